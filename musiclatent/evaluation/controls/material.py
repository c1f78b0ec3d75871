"""Music whose controls are known: rendered, or read off recordings by the analysers."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from musiclatent import audio, config, files
from musiclatent.config import SEED, SR
from musiclatent.data.synthetic import music
from musiclatent.data.synthetic.music import Clip
from musiclatent.data.synthetic.styles import STYLES
from musiclatent.evaluation import linear_probes
from musiclatent.features import rhythm, tonal
from musiclatent.latents.controlled import bars, sampler
from musiclatent.latents.controlled.sampler import Controls, ControlSampler

SECONDS = 12.0  # of a clip: a tempo is read off 8 s or more


@dataclass(frozen=True, kw_only=True)
class Piece:
    """A piece of music and what it is.

    Parameters
    ----------
    y
        Samples (N,) at `config.SR`.
    controls
        What it is.
    starts_s
        Where its bars begin, and where the last one ends, in seconds.
    """

    y: np.ndarray
    controls: Controls
    starts_s: np.ndarray

    def spectra(self) -> np.ndarray:
        """Return the spectrograms of its bars, see `bars.spectra`."""
        return bars.spectra(self.y, self.starts_s, tonic=self.controls.tonic)


def rendered_clips(per_style: int, seed: int = SEED) -> list[Clip]:
    """Plan clips of each style whose tempo, key, mode and brightness do not follow the style."""
    size = replace(config.PROFILES["demo"].demo, clips_per_style=per_style, clip_s=SECONDS)
    return music.plan_probes(size, seed)


def of_clips(clips: Sequence[Clip]) -> list[Piece]:
    """Render clips."""
    bar = files.progress(clips, "render", "clip")
    return [_rendered(clip) for clip in bar]


def _rendered(clip: Clip) -> Piece:
    """Render a clip; its bars are those of its score."""
    starts_s = clip.grid.start_s + clip.grid.bar_s * np.arange(clip.grid.bars(clip.seconds) + 1)
    inside = (starts_s >= 0) & (starts_s <= clip.seconds)
    return Piece(y=clip.synthesise()[0], controls=asked_of(clip), starts_s=starts_s[inside])


def asked_of(clip: Clip) -> Controls:
    """Return what a clip is drawn to be, as controls."""
    return Controls(
        tempo=clip.tempo,
        tonic=tonal.NAMES.index(clip.key),
        mode=clip.mode,
        brightness=clip.brightness,
        level_db=clip.level_db,
        style=clip.style,
        beats=STYLES[clip.style].beats,
    )


def of_recordings(paths: Sequence[str | Path], folder: Path) -> list[Piece]:
    """Read controls and bars off recordings; those without a steady tempo and a key are left out.

    Parameters
    ----------
    paths
        Audio files.
    folder
        Where what was analysed is kept, as in `rhythm.analyse_tracks`.

    Returns
    -------
    list
        Pieces without a style, whose brightness is the centroid in octaves.
    """
    tracks, _ = rhythm.analyse_tracks(list(map(str, paths)), folder, n_jobs=1)
    pieces = (_recorded(path, track) for path, track in tracks.items())
    return [piece for piece in pieces if piece is not None]


def _recorded(path: str, track: rhythm.Track) -> Piece | None:
    """Return a recording as a piece, None where nothing tells its bars or its key."""
    found, key = track.rhythm, tonal.estimate_key(track.chroma)
    starts_s = found.downbeats_s
    if found.stability < rhythm.STABLE or not key or len(starts_s) < 2:
        return None
    y, _ = audio.read(path, sr=SR)
    controls = Controls(
        tempo=found.tempo,
        tonic=key.tonic,
        mode=key.mode,
        brightness=linear_probes.brightness(y),
        level_db=track.loudness_db(),
        beats=found.bar,
    )
    return Piece(y=y, controls=controls, starts_s=starts_s)


def shuffled(pieces: Sequence[Piece], n: int, seed: int = SEED) -> list[Controls]:
    """Return new controls: each from a piece, but tempo, brightness and level of three others."""
    rng = np.random.default_rng(seed)
    known, asked = [piece.controls for piece in pieces], []
    for _ in range(n):
        own, tempo, bright, level = (known[i] for i in rng.integers(0, len(known), 4))
        others = {"tempo": tempo.tempo, "brightness": bright.brightness}
        asked.append(replace(own, level_db=level.level_db, **others))
    return asked


def fit(pieces: Sequence[Piece], components: Sequence[int] = (1,)) -> list[ControlSampler]:
    """Fit samplers to the bars of pieces, see `sampler.fit`."""
    spectra = [piece.spectra() for piece in files.progress(pieces, "bars", "piece")]
    of_bars = zip(pieces, spectra, strict=True)
    controls = [piece.controls for piece, part in of_bars for _ in part]
    return sampler.fit(np.concatenate(spectra), controls, components=components)
