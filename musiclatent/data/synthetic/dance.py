"""Long dance tracks of several sections, with silences, in several versions of each tune.

A tune is a key, a chord sequence and a melody; a version sets it with other instruments, drums,
lengths of sections, and a tempo up to 3 % away. Any but the first may also be transposed, up to
18 % faster or slower, and in half time: chords and melody twice as slow over the same beat.
"""

import json
from dataclasses import dataclass

import numpy as np

from musiclatent.config import SR, DemoSize
from musiclatent.data.synthetic import instruments, score
from musiclatent.data.synthetic.styles import DANCES, Style

# Section, its share of the track, and who plays in it.
FORM = (
    ("intro", 3, ("kick", "hat", "open")),
    ("build", 3, ("hat", "open", "comp", "lead", "rise")),
    ("drop", 5, ("kick", "snare", "hat", "open", "bass", "comp", "lead")),
    ("break", 4, ("comp", "lead")),
    ("silence", 0, ()),  # one bar
    ("drop", 5, ("kick", "snare", "hat", "open", "bass", "comp", "lead")),
    ("outro", 3, ("kick", "hat", "bass")),
)
DRUM_LEVELS = {"kick": 1.0, "snare": 0.6, "hat": 0.35, "open": 0.35}
LEVELS = {**DRUM_LEVELS, "bass": 0.6, "comp": 0.6, "lead": 0.4}
STAYS = (0, 1.0, False)  # in key and tempo, and not in half time
PANS = {"hat": 0.3, "open": -0.3, "comp": -0.4, "lead": 0.3}  # from -1, left, to 1, right


@dataclass(frozen=True, kw_only=True)
class Track(score.Factors):
    """One version of a tune: all that is needed to render it, and its row of the index.

    Parameters
    ----------
    tune, version
        Numbers of the tune and of its version.
    semitones
        How far it is transposed up from the first version, from 0 to 11.
    half_time
        Whether chords and melody take twice as long.
    seconds
        Length.
    seed
        Seed of the corpus.
    """

    tune: int
    version: int
    semitones: int
    half_time: bool
    seconds: float
    seed: int

    @property
    def item_id(self) -> str:
        """Name by tune and version."""
        return f"tune{self.tune:02d}.version{self.version}"

    @property
    def file(self) -> str:
        """File name."""
        return f"{self.item_id}.flac"

    @property
    def grid(self) -> score.Grid:
        """Where the beats lie."""
        return score.Grid(tempo=self.tempo)

    def form(self) -> list[tuple[str, int, tuple[str, ...]]]:
        """Return (name, bars, players) of sections; at least 1 s is left for the last silence."""
        bars = int((self.seconds - 1.0) / self.grid.bar_s) - 1
        vary = _rng(self.seed, self.tune, self.version, 1).uniform(0.8, 1.25, len(FORM))
        shares = np.array([share for _, share, _ in FORM]) * vary
        edges = np.rint(np.cumsum(shares) / shares.sum() * bars).astype(int)
        lengths = np.diff(edges, prepend=0)
        return [
            (name, int(length) if share else 1, players)
            for (name, share, players), length in zip(FORM, lengths, strict=True)
        ]

    def sections(self) -> list[dict]:
        """Return sections as name, start_s and end_s; together they cover the track."""
        bars = np.cumsum([0] + [length for _, length, _ in self.form()])
        edges_s = [*(round(float(bar) * self.grid.bar_s, 6) for bar in bars), self.seconds]
        names = [*(name for name, _, _ in self.form()), "silence"]
        return [
            {"name": name, "start_s": start_s, "end_s": end_s}
            for name, start_s, end_s in zip(names, edges_s[:-1], edges_s[1:], strict=True)
        ]

    def row(self) -> dict:
        """Return a row of the index: every factor as a column; the sections are a json string."""
        return {
            "item_id": self.item_id,
            "label": self.style,
            "group": f"tune{self.tune:02d}",
            "seconds": self.seconds,
            "tune": self.tune,
            "version": self.version,
            "semitones": self.semitones,
            "half_time": self.half_time,
            **self.factors(),
            "beat_times": self.grid.beat_times(self.seconds),
            "sections": json.dumps(self.sections()),
        }

    def synthesise(self) -> tuple[np.ndarray, int]:
        """Render the track: float32 (2, N) and its rate."""
        style = DANCES[self.style]
        rng = _rng(self.seed, self.tune, self.version, 2)
        n = round(self.seconds * SR)
        mix = np.zeros((2, n), np.float32)
        duck = _duck(self, n)
        for player, layer in _compose(self, style, rng).items():
            y = score.sound(layer, n, rng) * (1 if player in ("kick", "snare") else duck)
            pan = PANS.get(player, 0.0)
            mix += np.array([[1 - pan], [1 + pan]], np.float32) * y
        mix += _rise(self, n, rng)
        for side in mix:
            wet = instruments.room(side, style.reverb_s, rng)
            side[:] = instruments.tone(side + style.wet * wet, self.brightness)
        return instruments.master(mix, self.level_db) * _sounding(self, n), SR


def plan(size: DemoSize, seed: int) -> list[Track]:
    """Draw the factors of every track; a track's own do not depend on how many there are."""
    return [
        _draw(tune, version, size.track_s, seed)
        for tune in range(size.tunes)
        for version in range(size.versions)
    ]


def _rng(seed: int, tune: int, version: int, use: int) -> np.random.Generator:
    """Return random numbers for one use; version -1 stands for the tune."""
    return np.random.default_rng((seed, 2, tune, version + 1, use))


def _draw(tune: int, version: int, seconds: float, seed: int) -> Track:
    """Draw one version of a tune; tempo, key and mode come from the tune, and may be moved."""
    name = list(DANCES)[(tune + version) % len(DANCES)]
    style = DANCES[name]
    tune_rng = _rng(seed, tune, -1, 0)
    rng = _rng(seed, tune, version, 0)
    tempo = tune_rng.uniform(*style.tempo) * rng.uniform(0.97, 1.03)
    factors = score.draw(style, tune_rng, rng, levels_db=(-20.0, -15.0))
    semitones, faster, half_time = _moved(_rng(seed, tune, version, 3)) if version else STAYS
    factors["key"] = score.KEYS[(score.KEYS.index(factors["key"]) + semitones) % 12]
    return Track(
        tune=tune,
        version=version,
        semitones=semitones,
        half_time=half_time,
        style=name,
        tempo=round(tempo * faster, 2),
        **factors,
        seconds=seconds,
        seed=seed,
    )


def _moved(rng: np.random.Generator) -> tuple[int, float, bool]:
    """Draw by how many semitones, and how many times as fast, and whether it is in half time."""
    semitones = int(rng.integers(1, 12)) * int(rng.random() < 0.5)
    faster = float(rng.uniform(1 / 1.18, 1.18)) if rng.random() < 0.5 else 1.0
    return semitones, faster, bool(rng.random() < 0.25)


def _compose(track: Track, style: Style, rng: np.random.Generator) -> dict[str, score.Layer]:
    """Write the parts; chords and melody are drawn from the tune alone."""
    tune = _rng(track.seed, track.tune, -1, 1)
    slower = 2 if track.half_time else 1
    setting = track.setting(score.Grid(tempo=track.tempo / slower), style, tune, rng)
    motifs = score.tune(style.lead, setting.chords, tune)
    players = [playing for _, length, playing in track.form() for _ in range(length)]
    tuned = players[::slower]

    def part(name: str, players: list) -> list[str]:
        """Return patterns bar by bar, empty where the player rests."""
        patterns = score.choose(getattr(style, name), len(players), rng)
        return [p if name in playing else "" for p, playing in zip(patterns, players, strict=True)]

    leading = [bar for bar, playing in enumerate(tuned) if "lead" in playing]
    notes = {
        "lead": score.lead(motifs, leading, setting),
        "comp": score.comp(part("comp", tuned), setting, style.gate),
        "bass": score.bass(part("bass", tuned), setting),
    }
    notes |= {name: score.drum(part(name, players), track.grid, rng) for name in DRUM_LEVELS}
    return {
        name: score.Layer(instrument=track.instrument(name), notes=played, gain=LEVELS[name])
        for name, played in notes.items()
    }


def _duck(track: Track, n: int) -> np.ndarray:
    """Return the level of what the bass drum pushes aside: low on each of its beats, else 1."""
    gain = np.ones(n, np.float32)
    since_s = (np.arange(n) / SR) % (60 / track.tempo)
    dip = (1 - 0.7 * np.exp(-since_s / 0.1)).astype(np.float32)
    for part in _parts(track, n, "kick"):
        gain[part] = dip[part]
    return gain


def _rise(track: Track, n: int, rng: np.random.Generator) -> np.ndarray:
    """Return noise that grows through each build, alike on both sides."""
    y = np.zeros(n, np.float32)
    for part in _parts(track, n, "rise"):
        length = part.stop - part.start
        noise = rng.standard_normal(length, dtype=np.float32)
        y[part] = 0.08 * noise * np.linspace(0, 1, length, dtype=np.float32) ** 2
    return y


def _sounding(track: Track, n: int) -> np.ndarray:
    """Return a level that is exactly 0 in the silences and closes within 20 ms before each."""
    gain = np.ones(n, np.float32)
    fade = round(0.02 * SR)
    for part in _parts(track, n, None):
        gain[part] = 0
        gain[part.start - fade : part.start] = np.linspace(1, 0, fade, dtype=np.float32)
    return gain


def _parts(track: Track, n: int, player: str | None) -> list[slice]:
    """Find the samples of the sections in which one plays; None asks for the silences."""
    players = {name: who for name, _, who in FORM}
    return [
        slice(round(section["start_s"] * SR), min(round(section["end_s"] * SR), n))
        for section in track.sections()
        if (player in players[section["name"]] if player else section["name"] == "silence")
    ]
