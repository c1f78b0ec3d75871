"""Compare the attributes of 30 s clips with the calls of librosa that give the same, on one thread.

First the 53 columns of GTZAN's table without harmony and perceptr: librosa is called for each from
the samples, as a reader would write it. Then those four alone. Both sides run in one process, clip
by clip in turn, so what other jobs take hits both, and the median ratio over pairs is given.

Run: MUSICLATENT_DATA=../shared/data python benchmarks/attributes.py [--quick]
"""

import statistics
import sys
from collections.abc import Callable
from functools import partial

import common
import librosa
import numpy as np
from common import SR, timed
from threadpoolctl import threadpool_limits

from musiclatent.features import descriptors

KEYS = (
    "clips",
    "attributes_librosa_ms_per_clip",
    "attributes_ms_per_clip",
    "attributes_largest_relative_difference",
    "attributes_speed_ratio",
    "separated_librosa_ms_per_clip",
    "separated_ms_per_clip",
    "separated_largest_relative_difference",
    "separated_speed_ratio",
)
FEATURES = {
    "chroma_stft": librosa.feature.chroma_stft,
    "rms": lambda y, sr: librosa.feature.rms(y=y),
    "spectral_centroid": librosa.feature.spectral_centroid,
    "spectral_bandwidth": librosa.feature.spectral_bandwidth,
    "rolloff": librosa.feature.spectral_rolloff,
    "zero_crossing_rate": lambda y, sr: librosa.feature.zero_crossing_rate(y),
}


def measure(clips: int, passes: int, separated: int) -> common.Figures:
    """Return the median ratios over pairs, the milliseconds per clip, the largest difference."""
    sounds = common.clips(clips)
    with threadpool_limits(1):
        whole = pairs(librosas, ours, sounds * passes)
        parts = pairs(librosas_separated, ours_separated, sounds[:separated])
    return {"clips": len(whole)} | summary("attributes", whole) | summary("separated", parts)


def librosas(y: np.ndarray) -> dict[str, float]:
    rows = {name: feature(y=y, sr=SR) for name, feature in FEATURES.items()}
    mfcc = librosa.feature.mfcc(y=y, sr=SR, n_mfcc=20)
    rows |= {f"mfcc{i}": row for i, row in enumerate(mfcc, start=1)}
    onsets = librosa.onset.onset_strength(y=y, sr=SR, aggregate=np.median)
    tempo = librosa.feature.tempo(onset_envelope=onsets, sr=SR)
    return summaries(rows) | {"tempo": float(tempo[0])}


def ours(y: np.ndarray) -> dict[str, float]:
    return descriptors.spectral(descriptors.frames(y, SR))


def librosas_separated(y: np.ndarray) -> dict[str, float]:
    return summaries(dict(zip(("harmony", "perceptr"), librosa.effects.hpss(y), strict=True)))


def ours_separated(y: np.ndarray) -> dict[str, float]:
    return descriptors.separated(descriptors.frames(y, SR))


def summaries(rows: dict[str, np.ndarray]) -> dict[str, float]:
    means = {f"{name}_mean": float(np.mean(row)) for name, row in rows.items()}
    return means | {f"{name}_var": float(np.var(row)) for name, row in rows.items()}


def pairs(theirs: Callable, ours: Callable, clips: list[np.ndarray]) -> list[tuple]:
    """Return milliseconds of both sides, run in turn, and the largest relative difference."""
    theirs(clips[0])  # what is compiled or read once
    ours(clips[0])
    rows = []
    for y in clips:
        (expected, librosa_ms), (values, ours_ms) = timed(theirs, y), timed(ours, y)
        assert values.keys() == expected.keys()
        worst = max(abs(values[k] - expected[k]) / abs(expected[k] or 1) for k in values)
        rows.append((librosa_ms, ours_ms, worst))
    return rows


def summary(name: str, rows: list[tuple]) -> common.Figures:
    librosa_ms, ours_ms, worst = zip(*rows, strict=True)
    ratio = statistics.median(theirs / ours for theirs, ours, _ in rows)
    print(f"{name} at {ratio:.2f} x the speed of librosa, one thread", file=sys.stderr)
    return {
        f"{name}_librosa_ms_per_clip": round(statistics.median(librosa_ms), 1),
        f"{name}_ms_per_clip": round(statistics.median(ours_ms), 1),
        f"{name}_largest_relative_difference": max(worst),
        f"{name}_speed_ratio": round(ratio, 3),
    }


if __name__ == "__main__":
    common.run(
        KEYS,
        full=partial(measure, clips=20, passes=2, separated=3),
        quick=partial(measure, clips=2, passes=1, separated=1),
    )
