"""Time `musiclatent compare`: the first run on an empty store, the second encodes nothing.

On game_music, with statistics, the five models that come along and four of other packages, where
they were fetched; the quick form takes two encoders on six short sounds.

Run: MUSICLATENT_DATA=path/to/data python benchmarks/compare.py [--quick]  (minutes)
"""

import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import common
import numpy as np

from musiclatent import audio, config
from musiclatent.apps import comparison
from musiclatent.errors import CheckpointError
from musiclatent.evaluation.comparison import compare, tasks
from musiclatent.latents.encoders import registry, statistics

KEYS = ("compare_encoders", "compare_files", "compare_first_s", "compare_second_s")
RESULTS = "results"
OURS = ("mel-crnn-6", "genre-joint", "digits-vae", "waveform-64", "waveform-deep")
FETCHED = ("musicnn-mtt", "musicnn-msd", "basic-pitch", "resemblyzer")
NAMES = (*statistics.NAMES[:3], *OURS, *FETCHED)


def findable() -> list[str]:
    """Return the names of those of the twelve that are there; say which are not."""
    names = []
    for name in NAMES:
        try:
            registry.find(name, RESULTS)
            names.append(name)
        except CheckpointError as error:
            print(f"missing: {name}: {error}", file=sys.stderr)
    return names


def run(names: list[str], music: Path, folder: Path) -> float:
    """Compare encoders on a folder of music; return the seconds that it took."""
    start = time.perf_counter()
    find, about = compare.find_encoders(names, RESULTS)
    material = tasks.of_folder(music, folder / "store")
    found = compare.run(find, material, folder / "store", about=about)
    comparison.write(found, folder / "out", folder / "store")
    return time.perf_counter() - start


def measure(names: list[str], music: Path) -> common.Figures:
    """Time both runs."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        return {
            "compare_encoders": len(names),
            "compare_files": len(tasks.of_folder(music, folder).music),
            "compare_first_s": run(names, music, folder),
            "compare_second_s": run(names, music, folder),
        }


def full() -> common.Figures:
    """Time all encoders that are there on game_music."""
    music = config.data_root() / "game_music"
    if not (music / "tracks.csv").exists():
        sys.exit(f"{music} is not there; set MUSICLATENT_DATA to a folder with game_music")
    return measure(findable(), music)


def quick() -> common.Figures:
    """Time two encoders on six sounds of four seconds."""
    rng = np.random.default_rng(0)
    with TemporaryDirectory() as folder:
        for i in range(6):
            y = np.convolve(rng.normal(size=4 * common.SR), np.ones(2 + i), "same")
            audio.write(Path(folder) / f"{i}.wav", 0.5 * y / abs(y).max(), common.SR)
        return measure(["mfcc", "log-mel"], Path(folder))


if __name__ == "__main__":
    common.run(KEYS, full=full, quick=quick)
