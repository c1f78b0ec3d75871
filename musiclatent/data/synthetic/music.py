"""Music of ten styles whose factors are known, with planted duplicates and two outliers.

In the clips for probes no factor follows the style; a pair is one score with one factor changed.
"""

from dataclasses import dataclass, replace

import numpy as np

from musiclatent.config import SEED, SR, DemoSize
from musiclatent.data.synthetic import instruments, score
from musiclatent.data.synthetic.styles import STYLES, Style
from musiclatent.files import pick

MARGIN_S = 0.4  # rendered beyond the clip, so that a shifted duplicate can be cut from it
SOFTEST_DB = -26.0  # RMS in dBFS below which no clip falls
OUTLIERS = {"ambient": 40.0, "techno": 300.0}  # beats per minute, far outside every style
DRUM_LEVELS = {"kick": 0.9, "snare": 0.6, "hat": 0.35, "open": 0.3}
COPIES = ("exact", "gain", "codec", "offset")
CORPORA = {"music": 0, "probes": 3, "pairs": 4}  # so that none holds a clip of another
FREE_TEMPO, FREE_BRIGHTNESS = (60.0, 180.0), (0.1, 0.95)  # of clips for probes, in any style
FASTER = 1.3  # tempo ratio of a pair: a tempo between has no octave that lies between too
TRANSPOSED = 4  # semitones between the keys of a pair


@dataclass(frozen=True, kw_only=True)
class Clip(score.Factors):
    """One clip and its factors: all that is needed to render it, and its row of the index.

    Parameters
    ----------
    item_id
        Name of the clip and of its file.
    lead, comp, bass, kit
        Instruments.
    lead_in
        Share of the first bar that lies before the clip.
    seconds
        Length.
    rng_key
        What its random numbers are drawn from.
    outlier
        Whether the tempo is extreme on purpose.
    copy_of, copy_kind, gain_db, offset
        Of a planted duplicate: its original, kind, gain and shift in samples.
    """

    item_id: str
    lead_in: float
    seconds: float
    rng_key: tuple[int, ...]
    outlier: bool = False
    copy_of: str = ""
    copy_kind: str = ""
    gain_db: float = 0.0
    offset: int = 0

    @property
    def file(self) -> str:
        """File name; what a codec is to change is an mp3."""
        return self.item_id + (".mp3" if self.copy_kind == "codec" else ".wav")

    @property
    def grid(self) -> score.Grid:
        """Where its beats lie, on the original's clock."""
        style = STYLES[self.style]
        start_s = -self.lead_in * 60 * style.beats / self.tempo
        return score.Grid(
            tempo=self.tempo,
            beats=style.beats,
            start_s=start_s,
            swing=style.swing,
            loose_s=style.loose_s,
        )

    def row(self) -> dict:
        """Return a row of the index: every factor as a column."""
        shift_s = self.offset / SR
        beats = self.grid.beat_times(self.seconds + shift_s)
        return {
            "item_id": self.item_id,
            "label": self.style,
            "group": self.copy_of or self.item_id,
            "seconds": self.seconds,
            **self.factors(),
            "level_db": self.level_db + self.gain_db,
            "beat_times": [round(t - shift_s, 6) for t in beats if t >= shift_s],
            "outlier": self.outlier,
            "copy_of": self.copy_of,
            "copy_kind": self.copy_kind,
            "gain_db": self.gain_db,
            "offset_s": shift_s,
        }

    def synthesise(self) -> tuple[np.ndarray, int]:
        """Render the clip: float32 (N,) and its rate."""
        y = _render(self) * 10 ** (self.gain_db / 20)
        n = round(self.seconds * SR)
        return y[self.offset : self.offset + n].astype(np.float32), SR


def plan(size: DemoSize, seed: int) -> list[Clip]:
    """Draw the factors of every clip; a clip's own do not depend on how many there are."""
    clips = [
        _draw(style, number, size.clip_s, seed)
        for style in STYLES
        for number in range(size.clips_per_style)
    ]
    outliers = [_outlier(style, tempo, size.clip_s, seed) for style, tempo in OUTLIERS.items()]
    copies = [_copy(clips, kind, number, seed) for kind in COPIES for number in range(size.repeats)]
    return clips + outliers + copies


def plan_probes(size: DemoSize, seed: int) -> list[Clip]:
    """Draw clips whose tempo, key, mode and brightness say nothing of their style."""
    clips = [
        _draw(style, number, size.clip_s, seed, corpus="probes")
        for style in STYLES
        for number in range(size.clips_per_style)
    ]
    return [_freed(clip) for clip in clips]


def _freed(clip: Clip) -> Clip:
    """Draw again what a style would narrow down."""
    rng = np.random.default_rng((*clip.rng_key, 0))
    return replace(
        clip,
        tempo=round(rng.uniform(*FREE_TEMPO), 2),
        key=str(rng.choice(score.KEYS)),
        mode=str(rng.choice(list(score.MODES))),  # in turn, the rest would tell it
        brightness=round(rng.uniform(*FREE_BRIGHTNESS), 3),
    )


def render_pair(
    factor: str, *, number: int = 0, seconds: float = 6.0, seed: int = SEED
) -> tuple[np.ndarray, np.ndarray, tuple]:
    """Render one score twice, with one factor changed and the same notes in beats and degrees.

    Parameters
    ----------
    factor
        ``tempo`` (`FASTER`), ``key`` (`TRANSPOSED`; chords stay in their octave, so that some are
        inverted), ``mode``, ``brightness``, or ``lead``, the instrument of the melody.
    number
        Which pair; styles take turns.
    seconds
        Length of both.
    seed
        Seed of all random numbers.

    Returns
    -------
    y_a, y_b
        Samples (N,) float32 at `config.SR`, of the same loudness.
    values
        The factor of either: beats per minute, tonic, mode, setting in [0, 1], instrument.

    Raises
    ------
    ValueError
        If there is no such factor.
    """
    change = pick(CHANGES, factor, "factor of a pair")
    clip = draw_pair(number, seconds=seconds, seed=seed)
    a, b = (replace(clip, **values) for values in change(clip))
    y_a, y_b = (lengthened(one, max(a.tempo, b.tempo)).synthesise()[0] for one in (a, b))
    n = round(seconds * SR)
    return y_a[:n], y_b[:n], (getattr(a, factor), getattr(b, factor))


def draw_pair(number: int, *, seconds: float, seed: int = SEED) -> Clip:
    """Draw the clip whose factors a pair changes; styles take turns, and no factor follows them.

    Parameters
    ----------
    number
        Which pair.
    seconds, seed
        As in `render_pair`.
    """
    style = list(STYLES)[number % len(STYLES)]
    return _freed(_draw(style, number // len(STYLES), seconds, seed, corpus="pairs"))


def lengthened(clip: Clip, tempo: float) -> Clip:
    """Give a slower clip more seconds, so that it has the bars of one at `tempo`.

    Parameters
    ----------
    clip
        A clip of at most that tempo.
    tempo
        Beats per minute of the faster one.
    """
    whole_s = (clip.seconds + MARGIN_S) * tempo / clip.tempo
    return replace(clip, seconds=whole_s - MARGIN_S)


def _tempi(clip: Clip) -> tuple[dict, dict]:
    """Return a tempo in the middle of what music has, and a faster one."""
    tempo = round(float(np.interp(clip.tempo, FREE_TEMPO, (80, 110))), 2)
    return {"tempo": tempo}, {"tempo": round(FASTER * tempo, 2)}


def _keys(clip: Clip) -> tuple[dict, dict]:
    """Return the key of the clip, and one that lies some semitones above."""
    above = (score.KEYS.index(clip.key) + TRANSPOSED) % 12
    return {"key": clip.key}, {"key": score.KEYS[above]}


def _leads(clip: Clip) -> tuple[dict, dict]:
    """Return the instrument of the melody, and another one of any style."""
    others = sorted({lead for style in STYLES.values() for lead in style.leads} - {clip.lead})
    return {"lead": clip.lead}, {"lead": others[sum(clip.rng_key) % len(others)]}


CHANGES = {
    "tempo": _tempi,
    "key": _keys,
    "mode": lambda clip: ({"mode": "major"}, {"mode": "minor"}),
    "brightness": lambda clip: ({"brightness": 0.2}, {"brightness": 0.8}),
    "lead": _leads,
}


def _draw(name: str, number: int, seconds: float, seed: int, *, corpus: str = "music") -> Clip:
    """Draw the factors of one clip of a style."""
    style = STYLES[name]
    rng_key = (seed, CORPORA[corpus], list(STYLES).index(name), number)
    rng = np.random.default_rng((*rng_key, 0))
    tempo = rng.uniform(*style.tempo)  # the order of the draws decides what all clips sound like
    factors = score.draw(style, rng, rng, levels_db=(-24.0, -14.5))
    return Clip(
        item_id=f"{name}.{number:05d}",
        style=name,
        tempo=round(tempo, 2),
        **factors,
        lead_in=rng.uniform(0, 1),
        seconds=seconds,
        rng_key=(*rng_key, 1),
    )


def _outlier(style: str, tempo: float, seconds: float, seed: int) -> Clip:
    """Draw a clip of extreme tempo; its number lies beyond those of ordinary clips."""
    clip = _draw(style, 99_999, seconds, seed)
    return replace(clip, item_id=f"{style}.outlier", tempo=tempo, outlier=True)


def _copy(clips: list[Clip], kind: str, number: int, seed: int) -> Clip:
    """Plan a duplicate; the originals go round the styles, so that each is copied once at most.

    A quiet original is made louder and a loud one softer, within its headroom.
    """
    code = COPIES.index(kind)
    rng = np.random.default_rng((seed, 0, len(STYLES) + code, number, 0))
    place = code + len(COPIES) * number
    per_style = len(clips) // len(STYLES)
    clip = clips[place % len(STYLES) * per_style + place // len(STYLES) % per_style]
    up_db = min(12.0, -instruments.CREST_DB - clip.level_db)
    down_db = min(12.0, clip.level_db - SOFTEST_DB)
    gain_db = rng.uniform(3.0, up_db) if up_db > 4.0 else -rng.uniform(3.0, down_db)
    offset = int(rng.integers(round(0.005 * SR) + 1, round(0.4 * SR)))
    return replace(
        clip,
        item_id=f"{clip.style}.{kind}{number}",
        copy_of=clip.item_id,
        copy_kind=kind,
        gain_db=round(gain_db, 2) if kind == "gain" else 0.0,
        offset=offset + (offset % 512 == 0) if kind == "offset" else 0,
    )


def _render(clip: Clip) -> np.ndarray:
    """Render the clip and the margin after it."""
    style = STYLES[clip.style]
    rng = np.random.default_rng(clip.rng_key)
    n = round((clip.seconds + MARGIN_S) * SR)
    dry, send = np.zeros(n, np.float32), np.zeros(n, np.float32)
    for layer in _compose(clip, style, rng):
        y = score.sound(layer, n, rng)
        dry += y
        send += layer.send * y
    y = dry + style.wet * instruments.room(send, style.reverb_s, rng)
    y = instruments.tone(y, clip.brightness)
    y += 1e-3 * y.std() * rng.standard_normal(n, dtype=np.float32)  # a recording's hiss, -60 dB
    return instruments.master(y, clip.level_db)


def _compose(clip: Clip, style: Style, rng: np.random.Generator) -> list[score.Layer]:
    """Write the parts of the players."""
    bars = clip.grid.bars(clip.seconds + MARGIN_S)
    setting = clip.setting(clip.grid, style, rng, rng)
    motifs = score.tune(style.lead, setting.chords, rng)
    playing = [bar for bar in range(bars) if bar % 16 < 8 or bar % 16 >= 12]
    comp = score.choose(style.comp, bars, rng)
    bass = score.choose(style.bass, bars, rng)
    layers = [
        score.Layer(
            instrument=clip.lead, notes=score.lead(motifs, playing, setting), gain=0.5, send=1.0
        ),
        score.Layer(
            instrument=clip.comp, notes=score.comp(comp, setting, style.gate), gain=0.5, send=1.0
        ),
        score.Layer(instrument=clip.bass, notes=score.bass(bass, setting), gain=0.6, send=0.1),
    ]
    return layers + _drums(clip, style, bars, rng)


def _drums(clip: Clip, style: Style, bars: int, rng: np.random.Generator) -> list[score.Layer]:
    """Write the parts of the drums."""
    return [
        score.Layer(
            instrument=clip.instrument(drum),
            notes=score.drum(score.choose(getattr(style, drum), bars, rng), clip.grid, rng),
            gain=level * style.drums,
            send=0.1 if drum == "kick" else 0.5,
        )
        for drum, level in DRUM_LEVELS.items()
        if getattr(style, drum)
    ]
