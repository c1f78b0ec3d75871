"""Choose the shares of timbre and tracks in `versions.version_distance` on embedded tunes.

Their seeds are 0 to 2; versions differ in instruments, drums, form and, by up to 3 %, in tempo. The
pair of shares with the most sections whose nearest is of their tune is chosen, among equals that
with the most timbre. No real track is looked at.

Run: python benchmarks/versions.py [--quick]  (three minutes, once: what it renders is kept)
"""

import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import product
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
SHARES = (0.0, 0.1, 0.2, 0.4, 0.8)
TRACK_SHARES = (0.0, 0.25, 0.5, 1.0, 2.0)
WINDOW_S = 15.0
FULL = config.PROFILES["demo"].demo
QUICK = replace(config.PROFILES["tiny"].demo, tunes=2)


def measure(
    seeds: tuple[int, ...], size: config.DemoSize, folder: str, n_jobs: int
) -> common.Figures:
    """Return the shares that are chosen, and those in use."""
    root = config.home() / "results" / "benchmarks" / folder
    table = choose_shares([corpus(seed, size, root / str(seed), n_jobs) for seed in seeds])
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
    harmony = cache.build(
        items, Harmony(window_s=WINDOW_S), folder=folder / "harmony", n_jobs=n_jobs
    )
    audible = ~sections["silent"].to_numpy(bool)
    sections = sections[audible].reset_index(drop=True)
    places = (sections["start_s"] / WINDOW_S).round().astype(int)
    return sections, versions.align_harmony(harmony.x[audible], sections["item_id"], places)


def choose_shares(corpora: Sequence[tuple[pd.DataFrame, np.ndarray]]) -> pd.DataFrame:
    """Try shares of timbre and of tracks on corpora with known versions.

    Parameters
    ----------
    corpora
        Sections and `versions.align_harmony` of each.

    Returns
    -------
    DataFrame
        One row per pair of shares: timbre, track, top1, chosen: the best, and among equals the one
        with the most timbre.
    """
    rows = [
        {"timbre": share, "track": track, "top1": top1_of(corpora, share, track)}
        for share, track in product(SHARES, TRACK_SHARES)
    ]
    table = pd.DataFrame(rows)
    best = table.sort_values(["top1", "timbre", "track"], kind="stable").index[-1]
    return table.assign(chosen=table.index == best)


def top1_of(corpora: Sequence, share: float, track: float) -> float:
    """Return the share of sections, over all corpora, whose nearest is of their tune."""
    right = []
    for rows, aligned in corpora:
        distances = versions.version_distance(rows, aligned, timbre_share=share, track_share=track)
        right.append(versions.version_retrieval(rows, distances)["right"])
    return float(np.concatenate(right).mean())


if __name__ == "__main__":
    common.run(
        KEYS,
        full=partial(measure, (0, 1, 2), FULL, "versions", n_jobs=2),
        # Four short tracks take less time than two processes that load librosa.
        quick=partial(measure, (0,), QUICK, "versions-quick", n_jobs=1),
    )
