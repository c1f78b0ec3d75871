"""Choose the shares of timbre and tracks in `versions.version_distance` on embedded tunes.

The versions of seeds 0 to 2 differ in instruments, drums, form and, by up to 3 %, in tempo. The pair of shares
with the most sections whose nearest is of their tune is chosen, among equals that with the most
timbre. No real track is looked at.

Run: python benchmarks/versions.py [--quick]  (three minutes, once: what it renders is kept)
"""

import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import common
import numpy as np
import pandas as pd

from musiclatent import config
from musiclatent.data import cache, synthetic
from musiclatent.data.cache import descriptor_table
from musiclatent.edm import versions
from musiclatent.features.tonal import Harmony

KEYS = ("chosen_timbre", "chosen_track", "chosen_top1", "in_use_timbre", "in_use_track")
WINDOW_S = 15.0
FULL = config.PROFILES["demo"].demo
QUICK = replace(config.PROFILES["tiny"].demo, tunes=2)


def measure(
    seeds: tuple[int, ...], size: config.DemoSize, folder: str, n_jobs: int
) -> common.Figures:
    """Return the shares that are chosen, and those in use."""
    root = config.home() / "results" / "benchmarks" / folder
    table = versions.choose_shares([corpus(seed, size, root / str(seed), n_jobs) for seed in seeds])
    chosen = table[table["chosen"]].iloc[0]
    print(table.pivot(index="timbre", columns="track", values="top1").round(3), file=sys.stderr)
    return {
        "chosen_timbre": chosen["timbre"],
        "chosen_track": chosen["track"],
        "chosen_top1": round(chosen["top1"], 3),
        "in_use_timbre": versions.TIMBRE_SHARE,
        "in_use_track": versions.TRACK_SHARE,
    }


def corpus(
    seed: int, size: config.DemoSize, folder: Path, n_jobs: int
) -> tuple[pd.DataFrame, np.ndarray]:
    """Render the tunes of a seed; return their audible sections and `versions.align_harmony`."""
    items = synthetic.render("dance", size, folder / "tunes", seed=seed, n_jobs=n_jobs)
    items = items.assign(split="")
    sections, _ = descriptor_table(items, folder, window_s=WINDOW_S, n_jobs=n_jobs)
    harmony = cache.build(items, Harmony(window_s=WINDOW_S), folder / "harmony", n_jobs=n_jobs)
    audible = ~sections["silent"].to_numpy(bool)
    sections = sections[audible].reset_index(drop=True)
    places = (sections["start_s"] / WINDOW_S).round().astype(int)
    return sections, versions.align_harmony(harmony.x[audible], sections["item_id"], places)


if __name__ == "__main__":
    common.run(
        KEYS,
        full=partial(measure, (0, 1, 2), FULL, "versions", n_jobs=2),
        # Four short tracks take less time than two processes that load librosa.
        quick=partial(measure, (0,), QUICK, "versions-quick", n_jobs=1),
    )
