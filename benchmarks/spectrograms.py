"""Compare log-mel spectrograms of 30 s clips with those of librosa, on one thread.

Both run in one process, clip by clip in turn. What other jobs on the machine take hits both, so
the ratio of a pair holds better than its times, and the median over pairs is given.

Run: MUSICLATENT_DATA=../shared/data python benchmarks/spectrograms.py
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

from musiclatent import audio
from musiclatent.spectrograms import log_mel

CLIPS, PASSES = 20, 4
SECONDS, SR = 30, 22_050


def main() -> None:
    """Print the median ratio over pairs, and the milliseconds a clip of both sides."""
    clips = real_clips() or made_clips()
    worst_db = max(np.abs(librosas(y) - ours(y)).max() for y in clips[:3])
    with threadpool_limits(1):
        times = [(timed(librosas, y), timed(ours, y)) for _ in range(PASSES) for y in clips]
    librosa_ms, ours_ms = zip(*times, strict=True)
    ratio = statistics.median(theirs / mine for theirs, mine in times)
    result = {
        "clips": len(times),
        "librosa_ms_per_clip": round(statistics.median(librosa_ms), 2),
        "log_mel_ms_per_clip": round(statistics.median(ours_ms), 2),
        "log_mel_difference_db": round(float(worst_db), 6),
        "log_mel_speed_ratio": round(ratio, 3),
    }
    print(f"log-mel at {ratio:.2f} x the speed of librosa, one thread", file=sys.stderr)
    print(json.dumps(result))


def real_clips() -> list[np.ndarray]:
    """Read clips of GTZAN, where it is there."""
    root = Path(os.environ.get("MUSICLATENT_DATA", "data"))
    paths = sorted((root / "gtzan" / "genres").glob("*/*.wav"))[:CLIPS]
    return [audio.read(path, SR, duration_s=SECONDS)[0] for path in paths]


def made_clips() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [0.1 * rng.standard_normal(SECONDS * SR, np.float32) for _ in range(CLIPS)]


def librosas(y: np.ndarray) -> np.ndarray:
    power = librosa.feature.melspectrogram(y=y, sr=SR, n_fft=2048, hop_length=512, n_mels=128)
    return librosa.power_to_db(power, ref=1.0, amin=1e-10, top_db=80.0)


def ours(y: np.ndarray) -> np.ndarray:
    return log_mel(y, SR, n_fft=2048, hop_length=512, n_mels=128, top_db=80.0)


def timed(transform: Callable[[np.ndarray], np.ndarray], y: np.ndarray) -> float:
    """Milliseconds of one call."""
    start = time.perf_counter()
    transform(y)
    return 1000 * (time.perf_counter() - start)


if __name__ == "__main__":
    main()
