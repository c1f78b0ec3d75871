"""Choose the shares and the margin of `versions` on embedded tunes with known versions.

Their seeds are 0 to 2, and 3 to judge the choice by; versions differ in instruments, drums and
form, and a part of them in key, in tempo by up to 18 %, or in that chords and melody are in half
time. The choice with the most sections whose nearest is of their tune is taken, among equals that
with the most timbre and then the least of the tracks. No real track is looked at.

Run: python benchmarks/versions.py [--quick]  (five minutes, once: what it renders is kept)
"""

import sys
from collections.abc import Iterable, Sequence
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

CHOSEN = ("margin", "timbre", "track")
IN_USE = (versions.MARGIN, 0.0, versions.TRACK_SHARE)
SAME_KEY = (2.0, 0.0, versions.TRACK_SHARE)
KEYS = (
    *(f"{of}_{name}" for of in ("chosen", "in_use") for name in CHOSEN),
    *(f"{of}_top1" for of in ("chosen", "same_key", "fresh", "fresh_same_key")),
)
MARGINS = (0.0, 0.05, 0.1, 0.15, 0.2, 0.3, 2.0)  # 2: neither key nor tempo is ever moved
SHARES = (0.0, 0.1, 0.2, 0.4, 0.8)
TRACK_SHARES = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
WINDOW_S = 15.0
FULL = config.PROFILES["real"].rendered
QUICK = replace(config.PROFILES["tiny"].demo, tunes=2)


def measure(
    seeds: tuple[int, ...], fresh: int, size: config.DemoSize, *, folder: str, n_jobs: int
) -> common.Figures:
    """Return the choice, what is in use, and how well it does on tunes it was not chosen on."""
    root = config.home() / "results" / "benchmarks" / folder
    tunes = {seed: corpus(seed, size, root / str(seed), n_jobs) for seed in (*seeds, fresh)}
    table, judged = choose_shares([tunes[seed] for seed in seeds]), choose_shares([tunes[fresh]])
    grid = table.pivot(index=["margin", "timbre"], columns="track", values="top1")
    print(grid.round(3).to_string(), file=sys.stderr)
    chosen = table[table["chosen"]].iloc[0]
    figures = {f"chosen_{name}": chosen[name] for name in (*CHOSEN, "top1")}
    figures |= {f"in_use_{name}": value for name, value in zip(CHOSEN, IN_USE, strict=True)}
    figures |= {"same_key_top1": table.loc[table["margin"] == SAME_KEY[0], "top1"].max()}
    shares = judged.set_index(list(CHOSEN))["top1"]
    figures |= {"fresh_top1": shares[IN_USE], "fresh_same_key_top1": shares[SAME_KEY]}
    return {name: round(float(value), 3) for name, value in figures.items()}


Tunes = tuple[pd.DataFrame, np.ndarray, np.ndarray]  # sections, their harmony, their places


def corpus(seed: int, size: config.DemoSize, folder: Path, n_jobs: int) -> Tunes:
    """Render the tunes of a seed; return their audible sections, their harmony and places."""
    items = synthetic.render("dance", size, folder / "tunes", seed=seed, n_jobs=n_jobs)
    items = items.assign(split="")
    sections, _ = descriptor_table(items, folder, window_s=WINDOW_S, n_jobs=n_jobs)
    harmony = cache.build(
        items, Harmony(window_s=WINDOW_S), folder=folder / "harmony", n_jobs=n_jobs
    )
    audible = ~sections["silent"].to_numpy(bool)
    sections = sections[audible].reset_index(drop=True)
    places = (sections["start_s"] / WINDOW_S).round().astype(int).to_numpy()
    return sections, harmony.x[audible], places


def choose_shares(corpora: Sequence[Tunes]) -> pd.DataFrame:
    """Try margins, shares of timbre and of tracks on corpora with known versions.

    Parameters
    ----------
    corpora
        What `corpus` returns of each.

    Returns
    -------
    DataFrame
        One row per choice: margin, timbre, track, top1, chosen: the best, and among equals the one
        with the most timbre, then the least of the tracks.
    """
    rows = []
    for margin in MARGINS:
        aligned = [
            versions.align_harmony(harmony, sections["item_id"], places, margin=margin)
            for sections, harmony, places in corpora
        ]
        tables = [sections for sections, _, _ in corpora]
        rows += [
            {"margin": margin, "timbre": share, "track": track}
            | {"top1": top1_of(zip(tables, aligned, strict=True), share, track)}
            for share, track in product(SHARES, TRACK_SHARES)
        ]
    table = pd.DataFrame(rows)
    order = table.sort_values(["top1", "timbre", "track"], ascending=[False, False, True])
    return table.assign(chosen=table.index == order.index[0])


def top1_of(tried: Iterable[tuple[pd.DataFrame, np.ndarray]], share: float, track: float) -> float:
    """Return the share of sections, over all corpora, whose nearest is of their tune."""
    right = []
    for sections, aligned in tried:
        alone = versions.version_distance(sections, aligned, timbre_share=share)
        distances = versions.with_tracks(alone, sections["item_id"], track)
        right.append(versions.version_retrieval(sections, distances)["right"])
    return float(np.concatenate(right).mean())


if __name__ == "__main__":
    common.run(
        KEYS,
        full=partial(measure, (0, 1, 2), 3, FULL, folder="versions", n_jobs=2),
        # Four short tracks take less time than two processes that load librosa.
        quick=partial(measure, (0,), 0, QUICK, folder="versions-quick", n_jobs=1),
    )
