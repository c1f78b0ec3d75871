"""Does what was asked for come out, and what else moves? By tempo, key and spectrum as measured."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np
import pandas as pd
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from musiclatent import files
from musiclatent.analysis import neighbours, sample_quality, statistics
from musiclatent.config import SR
from musiclatent.evaluation import linear_probes
from musiclatent.evaluation.controls.material import Piece
from musiclatent.features import mel, mel_descriptors, stft, tonal
from musiclatent.latents.controlled.sampler import Controls, ControlSampler

TOLERANCE = 0.04  # of a tempo, as `reconstruction.TEMPO_TOLERANCE`
OCTAVES = (0.5, 1.0, 2.0)  # a beat is counted from 85 to 175 a minute: half or twice is the same
# What each change is, and from where on a reading has moved: beats, semitones, octaves of the
# centroid, dB.
CHANGES = {"tempo": 1.25, "key": 5, "brightness": 0.4, "level": -6.0}
COLUMNS = ("tempo", "beat", "tonic", "key", "level", "brightness", "style")
MOST = sample_quality.NEIGHBOURS
COPIES = ("copy_test_z", "density", "recall")
MOVED = {"brightness": 0.25, "level": 1.0}


def readings(sounds: Sequence[np.ndarray]) -> pd.DataFrame:
    """Read tempo, key, brightness and level off sounds.

    Parameters
    ----------
    sounds
        Samples (N,) at `config.SR` each, of 8 s or more.

    Returns
    -------
    DataFrame
        One row each: ``tempo`` in beats per minute from 85 to 175, NaN where there is none;
        ``tonic`` and ``mode``; ``brightness``, the centroid in octaves; ``level`` in dBFS.
    """
    rows = []
    for y in files.progress(sounds, "readings", "sound"):
        track = linear_probes.track(y)
        key = tonal.estimate_key(track.chroma)
        row = {"tempo": track.rhythm.tempo, "tonic": key.tonic, "mode": key.mode}
        level = 10 * np.log10(max(float(np.mean(np.square(y))), 1e-12))
        rows.append(row | {"brightness": float(linear_probes.brightness(y)), "level": level})
    return pd.DataFrame(rows)


def hits(asked: Sequence[Controls], read: pd.DataFrame) -> pd.DataFrame:
    """Compare what was asked for with what was read.

    Parameters
    ----------
    asked
        Controls of each sound (n).
    read
        As from `readings` (n rows).

    Returns
    -------
    DataFrame
        One row each, 1 or 0: ``tempo`` within 4 %, half and twice counting as the same; ``beat``
        within 4 % as it stands; ``tonic``; ``key``, tonic and mode; ``level`` within 1 dB.
    """
    tempo = read["tempo"].to_numpy() / np.array([one.tempo for one in asked])
    tonic = read["tonic"].to_numpy() == [one.tonic for one in asked]
    mode = read["mode"].to_numpy(str) == np.array([one.mode for one in asked])
    level = np.abs(read["level"].to_numpy() - [one.level_db for one in asked]) <= MOVED["level"]
    near = {"tempo": _near(tempo), "beat": np.abs(tempo - 1) < TOLERANCE}
    return pd.DataFrame(near | {"tonic": tonic, "key": tonic & mode, "level": level}).astype(float)


def shares(asked: Sequence[Controls], read: pd.DataFrame) -> dict[str, float]:
    """Return the shares of `hits` with 95 % bounds, and how brightness follows its control.

    Parameters
    ----------
    asked, read
        As in `hits`.

    Returns
    -------
    dict
        ``tempo``, ``beat``, ``tonic``, ``key``, ``level``, each with ``_low`` and ``_high``, and
        ``brightness``, the correlation of the control with the centroid in octaves.
    """
    found = {"brightness": _correlation([one.brightness for one in asked], read["brightness"])}
    for name, values in hits(asked, read).items():
        found |= statistics.mean(values).named(name)
    return found


def _correlation(one: Sequence[float], other: Sequence[float]) -> float:
    """Return the correlation of two series; 0 where one does not vary."""
    varied = np.ptp(one) > 0 and np.ptp(other) > 0
    return float(np.corrcoef(one, other)[0, 1]) if varied else 0.0


def _near(ratio: np.ndarray) -> np.ndarray:
    """Return whether ratios of tempi (n,) are 1, one half or two, within the tolerance."""
    return np.any([np.abs(ratio * k - 1) < TOLERANCE for k in OCTAVES], axis=0)


def vectors(sounds: Sequence[np.ndarray]) -> np.ndarray:
    """Return descriptors (n, D) of the log-mel spectrograms of sounds, which know no level."""
    bands = (stft.scale(mel.log_mel(y, SR)[None])[0] for y in sounds)
    return np.concatenate([mel_descriptors.extract(x) for x in bands])


def style_reader(pieces: Sequence[Piece]) -> Pipeline:
    """Fit what tells the style of a sound by its `vectors`, on training pieces."""
    model = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto")
    styles = [piece.controls.style for piece in pieces]
    return make_pipeline(StandardScaler(), model).fit(vectors([p.y for p in pieces]), styles)


def nearest(pieces: Sequence[Piece], asked: Controls) -> Piece:
    """Return the training piece whose controls are nearest: style, then key, then tempo.

    A style is worth more than a mode, a mode more than the tonic, a tonic more than an octave of
    tempo or the whole range of brightness.
    """

    def far(piece: Piece) -> float:
        one = piece.controls
        step = abs(np.log2(one.tempo / asked.tempo)) + abs(one.brightness - asked.brightness)
        wrong = (one.tonic != asked.tonic, one.mode != asked.mode, one.style != asked.style)
        return step + float(np.dot((2, 4, 8), wrong))

    return min(pieces, key=far)


def judged(
    sounds: Mapping[str, Sequence[np.ndarray]],
    asked: Sequence[Controls],
    *,
    training: Sequence[Piece],
    real: str,
) -> tuple[pd.DataFrame, dict[str, float]]:
    """Judge ways of answering the same controls.

    Parameters
    ----------
    sounds
        Name of a way -> a sound for each of the controls.
    asked
        The controls (n).
    training
        Pieces that samplers were fitted to.
    real
        Name of the way that is fresh real music, beside which copies are told.

    Returns
    -------
    DataFrame
        One row per way: the share of hits, ``brightness`` (correlation of the setting with what was
        read), ``style`` (share told right, by what was fitted to the training pieces), and of
        `sample_quality.evaluate` ``copy_test_z``, ``density`` and ``recall``.
    dict
        Every figure as ``WAY_COLUMN``, hits with 95 % bounds over the sounds.
    """
    reader, rows, metrics = style_reader(training), {}, {}
    known = vectors([piece.y for piece in training])
    features = {way: vectors(those) for way, those in sounds.items()}
    styles, least = np.array([one.style for one in asked]), min(len(asked) - 1, MOST)
    for way, those in sounds.items():
        found = shares(asked, readings(those))
        right = reader.predict(features[way]) == styles
        found |= statistics.mean(right.astype(float)).named("style")
        scaled = neighbours.standardise(known, features[way], features[real])
        quality = sample_quality.evaluate(scaled[1], scaled[2], scaled[0], k=least)
        found |= {name: quality[name] for name in COPIES}
        metrics |= {f"{way}_{name}": value for name, value in found.items()}
        rows[way] = {name: found[name] for name in (*COLUMNS, *COPIES)}
    return pd.DataFrame(rows).T, metrics


def changed(controls: Controls, factor: str) -> Controls:
    """Change one control, see `CHANGES`; brightness away from its nearer end.

    Raises
    ------
    ValueError
        If there is no such factor.
    """
    by = files.pick(CHANGES, factor, "factor to change")
    bright = controls.brightness + (by if controls.brightness < 0.5 else -by)
    changes = {
        "tempo": {"tempo": controls.tempo * (by if controls.tempo < 120 else 1 / by)},
        "key": {"tonic": (controls.tonic + by) % 12},
        "brightness": {"brightness": bright},
        "level": {"level_db": controls.level_db + by},
    }
    return replace(controls, **changes[factor])


def moves(
    draw: ControlSampler, asked: Sequence[Controls], *, seconds: float, seed: int
) -> pd.DataFrame:
    """Change one control of each piece and nothing else, and tell which readings move.

    Parameters
    ----------
    draw
        Draws both pieces of a pair by the same random numbers.
    asked
        Controls of the first of each pair.
    seconds
        Length of a piece.
    seed
        Of the first pair; the next ones count on.

    Returns
    -------
    DataFrame
        Factor that was changed x factor that was read: the share of pairs in which it moved, a
        tempo by 4 % or more, a key at all, the centroid by a quarter of an octave, the level by
        1 dB.
    """
    drawn = [draw.draw(one, seconds, seed=seed + i) for i, one in enumerate(asked)]
    before, rows = readings(drawn), {}
    for factor in CHANGES:
        others = [changed(one, factor) for one in asked]
        pairs = enumerate(others)
        after = readings([draw.draw(one, seconds, seed=seed + i) for i, one in pairs])
        moved = {"tempo": ~_near((after["tempo"] / before["tempo"]).to_numpy())}
        moved["key"] = (after[["tonic", "mode"]] != before[["tonic", "mode"]]).any(axis=1)
        for name, least in MOVED.items():
            moved[name] = (after[name] - before[name]).abs() > least
        rows[factor] = {name: float(np.mean(values)) for name, values in moved.items()}
    return pd.DataFrame(rows).T
