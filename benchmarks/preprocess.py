"""Compare the preprocessing of files to cached excerpts with reading them by soundfile alone.

Both run in one process, in turn, in the same run; each pass of the cache starts from an empty
folder. What other jobs on the machine take hits both, so the ratio of a pass holds better than
its times, and the median over passes is given.

Run: MUSICLATENT_DATA=../shared/data python benchmarks/preprocess.py [--quick]
"""

import shutil
import statistics
import struct
import sys
import tempfile
from functools import partial
from pathlib import Path

import common
import numpy as np
import pandas as pd
import soundfile as sf
from common import SECONDS, SR, timed

from musiclatent.audio.windows import Waveform
from musiclatent.data import cache

KEYS = ("reads", "soundfile_ms_per_clip", "cache_ms_per_clip", "preprocess_speed_ratio")


def measure(clips: int, passes: int) -> common.Figures:
    """Return the median ratio over passes, and the milliseconds per clip of both sides."""
    with tempfile.TemporaryDirectory(prefix="musiclatent-bench-") as scratch:
        files = distinct_clips(clips, Path(scratch))
        read_all(files)  # fills the page cache
        time_cache(files[:20])  # loads what is loaded late
        times = [(timed(read_all, files)[1], time_cache(files)) for _ in range(passes)]
    read_ms, cache_ms = zip(*times, strict=True)
    ratio = statistics.median(read / cached for read, cached in times)
    print(f"cache at {ratio:.2f} x the speed of soundfile alone", file=sys.stderr)
    return {
        "reads": passes * clips,
        "soundfile_ms_per_clip": round(statistics.median(read_ms) / clips, 2),
        "cache_ms_per_clip": round(statistics.median(cache_ms) / clips, 2),
        "preprocess_speed_ratio": round(ratio, 3),
    }


def distinct_clips(count: int, folder: Path) -> list[Path]:
    """Copy clips, or make some; each file with a chunk of its own, else they would share a row."""
    clips = common.gtzan()
    files = [folder / f"{i:03}.wav" for i in range(count)]
    rng = np.random.default_rng(0)
    for i, file in enumerate(files):
        if clips:
            shutil.copyfile(clips[i % len(clips)], file)
        else:
            sf.write(file, common.noise(rng), SR)
        with file.open("ab") as end:
            end.write(struct.pack("<4sII", b"pass", 4, i))  # RIFF readers skip unknown chunks
    return files


def read_all(files: list[Path]) -> None:
    """Read by soundfile alone, to the same float32 samples."""
    for file in files:
        sf.read(file, dtype="float32")


def time_cache(files: list[Path]) -> float:
    """Return the milliseconds from files to cached excerpts, in an empty folder."""
    paths = [str(file) for file in files]
    items = pd.DataFrame({"item_id": paths, "path": paths, "label": "", "group": paths})
    items = items.assign(split="train", seconds=float(SECONDS))
    with tempfile.TemporaryDirectory(dir=files[0].parent) as folder:
        return timed(partial(cache.build, items, Waveform(), folder=Path(folder), n_jobs=1))[1]


if __name__ == "__main__":
    common.run(
        KEYS,
        full=partial(measure, clips=250, passes=4),
        quick=partial(measure, clips=20, passes=2),
    )
