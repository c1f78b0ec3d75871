"""From factors to notes, and from notes to sound; music and dance share it.

Pitches are MIDI note numbers, chords and melodies are scale degrees counted from 0 (7 is the octave
of 0), times are seconds from the start of the file, where a note may begin before 0.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from musiclatent.config import SR
from musiclatent.data.synthetic import drums, instruments
from musiclatent.data.synthetic.styles import Style

KEYS = ("C", "C#", "D", "D#", "E", "F", "F#", "G", "G#", "A", "A#", "B")
MODES = {"major": (0, 2, 4, 5, 7, 9, 11), "minor": (0, 2, 3, 5, 7, 8, 10)}
BASS_LOW = 33  # lowest note of a chord's root in the bass
COMP_LOW = 55  # lowest note of an accompaniment
LOUD = {"X": 1.0, "x": 0.75, "o": 0.4}
DRUMS = ("kick", "snare", "hat", "open")


@dataclass(frozen=True, kw_only=True)
class Note:
    """One note or drum beat: start and length in seconds, pitch (MIDI), velocity in [0, 1]."""

    start_s: float
    seconds: float
    pitch: float
    velocity: float


@dataclass(frozen=True, kw_only=True)
class Layer:
    """What one instrument plays: its notes, its level, and how much goes to the room."""

    instrument: str
    notes: list[Note]
    gain: float
    send: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Grid:
    """Where the beats lie: tempo in bpm, beats in a bar, time of bar 0, swing and looseness.

    Parameters
    ----------
    tempo
        Beats per minute.
    beats
        Beats in a bar; a beat has four steps.
    start_s
        Time of bar 0 in seconds; negative where the recording begins amid a bar.
    swing
        How far the second eighth of a beat comes late, in beats.
    loose_s
        Standard deviation of the players' timing in seconds.
    """

    tempo: float
    beats: int = 4
    start_s: float = 0.0
    swing: float = 0.0
    loose_s: float = 0.0

    @property
    def step_s(self) -> float:
        """Length of a sixteenth in seconds."""
        return 15.0 / self.tempo

    @property
    def bar_s(self) -> float:
        """Length of a bar in seconds."""
        return 60.0 * self.beats / self.tempo

    def bars(self, seconds: float) -> int:
        """Count the bars that begin before `seconds`."""
        return int(np.ceil((seconds - self.start_s) / self.bar_s))

    def at(self, bar: int, step: int, rng: np.random.Generator) -> float:
        """Return the time in seconds at which a player plays one step of a bar."""
        late = self.swing * 60 / self.tempo * (step % 4 == 2)
        time_s = self.start_s + bar * self.bar_s + step * self.step_s + late
        return time_s + (self.loose_s * rng.standard_normal() if self.loose_s else 0.0)

    def beat_times(self, seconds: float) -> list[float]:
        """List the times of the beats within the first `seconds`."""
        count = self.bars(seconds) * self.beats
        times = self.start_s + 60.0 / self.tempo * np.arange(count)
        return [round(float(t), 6) for t in times[(times >= 0) & (times < seconds)]]


@dataclass(frozen=True, kw_only=True)
class Factors:
    """What a recording of a style is drawn to be.

    Parameters
    ----------
    style, tempo, key, mode, brightness, level_db
        Factors: style, bpm, tonic, major or minor, filter setting in [0, 1], RMS in dBFS.
    lead, comp, bass, kit
        Instruments; an empty kit is none.
    """

    style: str
    tempo: float
    key: str
    mode: str
    brightness: float
    level_db: float
    lead: str
    comp: str
    bass: str
    kit: str

    def factors(self) -> dict:
        """Return the factors as columns of an index."""
        row = {name: getattr(self, name) for name in ("style", "tempo", "key", "mode")}
        row["instruments"] = ",".join(filter(None, (self.lead, self.comp, self.bass, self.kit)))
        return row | {"brightness": self.brightness, "level_db": self.level_db}

    def instrument(self, player: str) -> str:
        """Name what a player plays: lead, comp, bass, or one of `DRUMS`."""
        return f"{self.kit}/{player}" if player in DRUMS else getattr(self, player)

    def setting(
        self, grid: Grid, style: Style, tune: np.random.Generator, rng: np.random.Generator
    ) -> "Setting":
        """Draw chords from the random numbers of the `tune`; the players take those of `rng`."""
        chords = style.progressions[tune.integers(len(style.progressions))]
        return Setting(grid=grid, key=(KEYS.index(self.key), self.mode), chords=chords, rng=rng)


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What all players of a recording share: beats, tonic and mode, one chord per bar, chance."""

    grid: Grid
    key: tuple[int, str]
    chords: Sequence[int]
    rng: np.random.Generator


def draw(
    style: Style, tune: np.random.Generator, rng: np.random.Generator, levels_db: tuple
) -> dict:
    """Draw the factors that `Factors` names, but for style and tempo.

    Parameters
    ----------
    style
        What they are drawn from.
    tune, rng
        Random numbers for key and mode, and for all else; one generator may serve both.
    levels_db
        Lowest and highest RMS in dBFS.
    """
    return {
        "key": str(tune.choice(KEYS)),
        "mode": "minor" if tune.random() < style.minor else "major",
        "brightness": round(rng.uniform(*style.brightness), 3),
        "level_db": round(rng.uniform(*levels_db), 2),
        "lead": str(rng.choice(style.leads)),
        "comp": str(rng.choice(style.comps)),
        "bass": str(rng.choice(style.basses)),
        "kit": str(rng.choice(style.kits)) if style.kits else "",
    }


def pitch(tonic: int, mode: str, degree: int, low: int | None = None) -> int:
    """Convert a scale degree into a MIDI number, folded into the octave above `low` if given."""
    number = tonic + MODES[mode][degree % 7] + 12 * (degree // 7)
    return 60 + number if low is None else low + (number - low) % 12


def hits(pattern: str) -> list[tuple[int, int, str]]:
    """List the hits of a pattern: step, steps until the next hit or the bar's end, character."""
    steps = [step for step, char in enumerate(pattern) if char != "."]
    return [(a, b - a, pattern[a]) for a, b in pairwise([*steps, len(pattern)])]


def choose(patterns: Sequence[str], bars: int, rng: np.random.Generator) -> list[str]:
    """Draw a pattern for each bar: one main pattern, another draw at the end of each four bars."""
    main = rng.choice(patterns)
    return [str(rng.choice(patterns)) if bar % 4 == 3 else str(main) for bar in range(bars)]


def drum(patterns: Iterable[str], grid: Grid, rng: np.random.Generator) -> list[Note]:
    """Play one drum through the bars."""
    return [
        Note(
            start_s=grid.at(bar, step, rng),
            seconds=0.0,
            pitch=0.0,
            velocity=LOUD[char] * rng.uniform(0.85, 1.0),
        )
        for bar, pattern in enumerate(patterns)
        for step, _, char in hits(pattern)
    ]


def bass(patterns: Iterable[str], setting: Setting) -> list[Note]:
    """Play a bass line: each digit is a scale step above the chord's root; 7 is the octave."""
    grid, rng = setting.grid, setting.rng
    notes = []
    for bar, pattern in enumerate(patterns):
        chord = setting.chords[bar % len(setting.chords)]
        root = pitch(*setting.key, chord, low=BASS_LOW)
        for step, length, char in hits(pattern):
            above = pitch(*setting.key, chord + int(char)) - pitch(*setting.key, chord)
            velocity = (0.9 if step % 4 == 0 else 0.7) * rng.uniform(0.9, 1.0)
            start_s = grid.at(bar, step, rng)
            notes.append(
                Note(
                    start_s=start_s,
                    seconds=0.85 * length * grid.step_s,
                    pitch=root + above,
                    velocity=velocity,
                )
            )
    return notes


def comp(patterns: Iterable[str], setting: Setting, gate: float) -> list[Note]:
    """Play chords: a loudness letter strikes all three tones, a digit one of them (3: octave)."""
    grid, rng = setting.grid, setting.rng
    notes = []
    for bar, pattern in enumerate(patterns):
        chord = setting.chords[bar % len(setting.chords)]
        tones = sorted(pitch(*setting.key, chord + third, low=COMP_LOW) for third in (0, 2, 4))
        tones.append(tones[0] + 12)
        for step, length, char in hits(pattern):
            start_s = grid.at(bar, step, rng)
            seconds = gate * length * grid.step_s
            played = [tones[int(char)]] if char.isdigit() else tones[:3]
            velocity = (0.8 if char.isdigit() else LOUD[char] * 0.55) * rng.uniform(0.85, 1.0)
            notes += [
                Note(start_s=start_s, seconds=seconds, pitch=tone, velocity=velocity)
                for tone in played
            ]
    return notes


Motif = list[tuple[int, int, int]]  # step, length in steps, scale degree


def motif(pattern: str, chord: int, last: int, rng: np.random.Generator) -> Motif:
    """Draw one bar of melody near the degree `last`: chord tones on the beat, steps between."""
    bar, degree = [], last
    for step, length, _ in hits(pattern):
        degree = int(np.clip(degree + rng.choice([-2, -1, -1, 0, 1, 1, 2]), -2, 9))
        if step % 4 == 0:
            degree = min(
                (d for d in range(-2, 10) if (d - chord) % 7 in (0, 2, 4)),
                key=lambda d: (abs(d - degree), d),
            )
        bar.append((step, length, degree))
    return bar


def tune(patterns: Sequence[str], chords: Sequence[int], rng: np.random.Generator) -> list[Motif]:
    """Draw a melody for one round of the chords (four bars at least)."""
    motifs: list[Motif] = []
    last = int(rng.integers(0, 5))
    for bar in range(max(4, len(chords))):
        motifs.append(motif(rng.choice(patterns), chords[bar % len(chords)], last, rng))
        last = motifs[-1][-1][2]
    return motifs


def lead(motifs: Sequence[Motif], bars: Iterable[int], setting: Setting) -> list[Note]:
    """Play the melody in those bars; tonics below F an octave higher, so that all lie alike."""
    grid, rng = setting.grid, setting.rng
    return [
        Note(
            start_s=grid.at(bar, step, rng),
            seconds=0.9 * length * grid.step_s,
            pitch=pitch(*setting.key, degree) + 12 * (setting.key[0] < 5),
            velocity=rng.uniform(0.65, 0.95),
        )
        for bar in bars
        for step, length, degree in motifs[bar % len(motifs)]
    ]


def sound(layer: Layer, n: int, rng: np.random.Generator) -> np.ndarray:
    """Render a layer; a note that comes again is copied, as a sampler would.

    Parameters
    ----------
    layer
        An instrument of `instruments.VOICES`, or ``kit/drum`` of `drums.KITS`, and its notes.
    n
        Number of samples.
    rng
        Source of the instrument's noise.

    Returns
    -------
    np.ndarray
        float32 (n,).
    """
    y = np.zeros(n, np.float32)
    samples: dict[tuple, np.ndarray] = {}
    name, _, struck = layer.instrument.partition("/")
    for note in layer.notes:
        key = (note.pitch, round(note.seconds, 4))
        if key not in samples and struck:
            samples[key] = drums.strike(name, struck, rng)
        elif key not in samples:
            samples[key] = instruments.play(name, note.pitch, note.seconds, rng)
        _add(y, layer.gain * note.velocity * samples[key], round(note.start_s * SR))
    return y


def _add(y: np.ndarray, note: np.ndarray, start: int) -> None:
    """Add a note at a sample, leaving out what lies before the start or past the end."""
    note = note[max(0, -start) :]
    start = max(0, start)
    note = note[: max(0, len(y) - start)]
    y[start : start + len(note)] += note
