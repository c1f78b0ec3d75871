"""Compare the preprocessing of files to cached excerpts with reading them by soundfile alone.

Both run in one process, in turn, in the same run; each pass of the cache starts from an empty
folder. What other jobs on the machine take hits both, so the ratio of a pass holds better than
its times, and the median over passes is given.

Run: MUSICLATENT_DATA=../shared/data python benchmarks/preprocess.py
"""

import json
import os
import shutil
import statistics
import struct
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import soundfile as sf

from musiclatent import cache
from musiclatent.excerpts import Waveform

READS, PASSES = 1000, 4
SECONDS, SR = 30, 22_050


def main() -> None:
    """Print the median ratio over passes, and the milliseconds a clip of both sides."""
    with tempfile.TemporaryDirectory(prefix="musiclatent-bench-") as scratch:
        files = distinct_clips(real_clips(), READS // PASSES, Path(scratch))
        time_read(files), time_cache(files[:20])  # fills the page cache, loads what is loaded late
        times = [(time_read(files), time_cache(files)) for _ in range(PASSES)]
    read_ms, cache_ms = zip(*times, strict=True)
    ratio = statistics.median(read / cached for read, cached in times)
    result = {
        "reads": PASSES * len(files),
        "soundfile_ms_per_clip": round(statistics.median(read_ms), 2),
        "cache_ms_per_clip": round(statistics.median(cache_ms), 2),
        "preprocess_speed_ratio": round(ratio, 3),
    }
    print(f"cache at {ratio:.2f} x the speed of soundfile alone", file=sys.stderr)
    print(json.dumps(result))


def real_clips() -> list[Path]:
    root = Path(os.environ.get("MUSICLATENT_DATA", "data"))
    return sorted((root / "gtzan" / "genres").glob("*/*.wav"))


def distinct_clips(clips: list[Path], n: int, folder: Path) -> list[Path]:
    """Copy clips, or make some; each file with a chunk of its own, else they would share a row."""
    files = [folder / f"{i:03}.wav" for i in range(n)]
    rng = np.random.default_rng(0)
    for i, file in enumerate(files):
        if clips:
            shutil.copyfile(clips[i % len(clips)], file)
        else:
            sf.write(file, 0.1 * rng.standard_normal(SECONDS * SR), SR)
        with file.open("ab") as end:
            end.write(struct.pack("<4sII", b"pass", 4, i))  # RIFF readers skip unknown chunks
    return files


def time_read(files: list[Path]) -> float:
    """Milliseconds a clip of soundfile alone, to the same float32 samples."""
    start = time.perf_counter()
    for file in files:
        sf.read(file, dtype="float32")
    return 1000 * (time.perf_counter() - start) / len(files)


def time_cache(files: list[Path]) -> float:
    """Milliseconds a clip from files to cached excerpts, in an empty folder."""
    paths = [str(file) for file in files]
    items = pd.DataFrame({"item_id": paths, "path": paths, "label": "", "group": paths})
    items = items.assign(split="train", seconds=float(SECONDS))
    with tempfile.TemporaryDirectory(dir=files[0].parent) as folder:
        start = time.perf_counter()
        cache.build(items, Waveform(), Path(folder), n_jobs=1)
        return 1000 * (time.perf_counter() - start) / len(files)


if __name__ == "__main__":
    main()
