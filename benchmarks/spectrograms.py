"""Compare log-mel spectrograms of 30 s clips with those of librosa, on one thread.

Both run in one process, clip by clip in turn. What other jobs on the machine take hits both, so
the ratio of a pair holds better than its times, and the median over pairs is given.

Run: MUSICLATENT_DATA=../shared/data python benchmarks/spectrograms.py [--quick]
"""

import statistics
import sys
from functools import partial

import common
import librosa
import numpy as np
from common import SR, timed
from threadpoolctl import threadpool_limits

from musiclatent.features.mel import log_mel

KEYS = (
    "clips",
    "librosa_ms_per_clip",
    "log_mel_ms_per_clip",
    "log_mel_difference_db",
    "log_mel_speed_ratio",
)


def measure(clips: int, passes: int) -> common.Figures:
    """Return the median ratio over pairs, and the milliseconds per clip of both sides."""
    sounds = common.clips(clips)
    worst_db = max(np.abs(librosas(y) - ours(y)).max() for y in sounds[:3])
    with threadpool_limits(1):
        times = [(timed(librosas, y)[1], timed(ours, y)[1]) for y in sounds * passes]
    librosa_ms, ours_ms = zip(*times, strict=True)
    ratio = statistics.median(theirs / ours for theirs, ours in times)
    print(f"log-mel at {ratio:.2f} x the speed of librosa, one thread", file=sys.stderr)
    return {
        "clips": len(times),
        "librosa_ms_per_clip": round(statistics.median(librosa_ms), 2),
        "log_mel_ms_per_clip": round(statistics.median(ours_ms), 2),
        "log_mel_difference_db": round(float(worst_db), 6),
        "log_mel_speed_ratio": round(ratio, 3),
    }


def librosas(y: np.ndarray) -> np.ndarray:
    power = librosa.feature.melspectrogram(y=y, sr=SR, n_fft=2048, hop_length=512, n_mels=128)
    return librosa.power_to_db(power, ref=1.0, amin=1e-10, top_db=80.0)


def ours(y: np.ndarray) -> np.ndarray:
    return log_mel(y, SR, n_fft=2048, hop_length=512, n_mels=128, top_db=80.0)


if __name__ == "__main__":
    common.run(
        KEYS,
        full=partial(measure, clips=20, passes=4),
        quick=partial(measure, clips=2, passes=1),
    )
