"""Compare the attributes of 30 s clips with the calls of librosa that give the same, on one thread.

First the 53 columns of GTZAN's table without harmony and perceptr: librosa is called for each from
the samples, as a reader would write it. Then those four alone. Both sides run in one process, clip
by clip in turn, so what other jobs take hits both, and the median ratio over pairs is given.

Run: MUSICLATENT_DATA=../shared/data python benchmarks/attributes.py
"""

import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import librosa
import numpy as np
from threadpoolctl import threadpool_limits

from musiclatent import attributes, audio

CLIPS, PASSES, SEPARATED = 20, 2, 3
SECONDS, SR = 30, 22_050
FEATURES = {
    "chroma_stft": librosa.feature.chroma_stft,
    "rms": lambda y, sr: librosa.feature.rms(y=y),
    "spectral_centroid": librosa.feature.spectral_centroid,
    "spectral_bandwidth": librosa.feature.spectral_bandwidth,
    "rolloff": librosa.feature.spectral_rolloff,
    "zero_crossing_rate": lambda y, sr: librosa.feature.zero_crossing_rate(y),
}


def main() -> None:
    """Print the median ratios over pairs, the milliseconds a clip, and the largest difference."""
    clips = real_clips() or made_clips()
    with threadpool_limits(1):
        whole = pairs(librosas, ours, clips, PASSES)
        parts = pairs(librosas_separated, ours_separated, clips[:SEPARATED], 1)
    result = {"clips": len(whole)} | summary("attributes", whole) | summary("separated", parts)
    for name in ("attributes", "separated"):
        ratio = result[f"{name}_speed_ratio"]
        print(f"{name} at {ratio:.2f} x the speed of librosa, one thread", file=sys.stderr)
    print(json.dumps(result))


def real_clips() -> list[np.ndarray]:
    """Read clips of GTZAN, where it is there."""
    root = Path(os.environ.get("MUSICLATENT_DATA", "data"))
    paths = sorted((root / "gtzan" / "genres").glob("*/*.wav"))[:CLIPS]
    return [audio.read(path, SR, duration_s=SECONDS)[0] for path in paths]


def made_clips() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [0.1 * rng.standard_normal(SECONDS * SR, np.float32) for _ in range(CLIPS)]


def librosas(y: np.ndarray) -> dict[str, float]:
    rows = {name: feature(y=y, sr=SR) for name, feature in FEATURES.items()}
    mfcc = librosa.feature.mfcc(y=y, sr=SR, n_mfcc=20)
    rows |= {f"mfcc{i}": row for i, row in enumerate(mfcc, start=1)}
    onsets = librosa.onset.onset_strength(y=y, sr=SR, aggregate=np.median)
    tempo = librosa.feature.tempo(onset_envelope=onsets, sr=SR)
    return summaries(rows) | {"tempo": float(tempo[0])}


def ours(y: np.ndarray) -> dict[str, float]:
    return attributes.spectral(attributes.frames(y, SR))


def librosas_separated(y: np.ndarray) -> dict[str, float]:
    return summaries(dict(zip(("harmony", "perceptr"), librosa.effects.hpss(y), strict=True)))


def ours_separated(y: np.ndarray) -> dict[str, float]:
    return attributes.separated(attributes.frames(y, SR))


def summaries(rows: dict[str, np.ndarray]) -> dict[str, float]:
    means = {f"{name}_mean": float(np.mean(row)) for name, row in rows.items()}
    return means | {f"{name}_var": float(np.var(row)) for name, row in rows.items()}


def pairs(theirs: Callable, mine: Callable, clips: list, passes: int) -> list[tuple]:
    """Run both sides in turn: milliseconds of each, and the largest relative difference."""
    theirs(clips[0]), mine(clips[0])  # what is compiled or read once
    found = []
    for y in clips * passes:
        (expected, their_ms), (got, my_ms) = timed(theirs, y), timed(mine, y)
        assert got.keys() == expected.keys()
        worst = max(abs(got[name] - expected[name]) / abs(expected[name] or 1) for name in got)
        found.append((their_ms, my_ms, worst))
    return found


def timed(function: Callable, y: np.ndarray) -> tuple[dict[str, float], float]:
    """Return the result and the milliseconds of one call."""
    start = time.perf_counter()
    found = function(y)
    return found, 1000 * (time.perf_counter() - start)


def summary(name: str, found: list[tuple]) -> dict[str, float]:
    their_ms, my_ms, worst = zip(*found, strict=True)
    ratio = statistics.median(theirs / mine for theirs, mine, _ in found)
    return {
        f"{name}_librosa_ms_per_clip": round(statistics.median(their_ms), 1),
        f"{name}_ms_per_clip": round(statistics.median(my_ms), 1),
        f"{name}_largest_relative_difference": max(worst),
        f"{name}_speed_ratio": round(ratio, 3),
    }


if __name__ == "__main__":
    main()
