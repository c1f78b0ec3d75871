"""Choose the shares of timbre and tracks in `versions.distance` on embedded tunes, seeds 0 to 2.

Their versions differ in instruments, drums, form and, by up to 3 %, in tempo. The pair of shares
with the most sections whose nearest is of their tune is chosen, among equals that with the most
timbre. No real track is looked at.

Run: python benchmarks/versions.py  (about three minutes, once; what it renders is kept)
"""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from musiclatent import cache, config, demo, versions
from musiclatent.harmony import Harmony
from musiclatent.sections import attribute_table

SEEDS, WINDOW_S = (0, 1, 2), 15.0
SIZE = config.PROFILES["demo"].demo


def main() -> None:
    """Print the table, and what is chosen beside what is in use."""
    table = versions.choose([_corpus(seed) for seed in SEEDS])
    chosen = table[table["chosen"]].iloc[0]
    print(table.pivot(index="timbre", columns="track", values="top1").round(3))
    print(
        json.dumps(
            {
                "chosen_timbre": chosen["timbre"],
                "chosen_track": chosen["track"],
                "top1": round(chosen["top1"], 3),
                "in_use": [versions.TIMBRE_SHARE, versions.TRACK_SHARE],
            },
            indent=1,
        )
    )


def _corpus(seed: int) -> tuple[pd.DataFrame, np.ndarray]:
    """Render the tunes of a seed, and return their heard sections and `versions.alignment`."""
    folder = config.home() / "results" / "benchmarks" / "versions" / str(seed)
    items = demo.render("dance", SIZE, Path(folder) / "tunes", seed=seed).assign(split="")
    sections, _ = attribute_table(items, folder, window_s=WINDOW_S)
    harmony = cache.build(items, Harmony(window_s=WINDOW_S), folder / "harmony", n_jobs=2)
    heard = ~sections["silent"].to_numpy(bool)
    sections = sections[heard].reset_index(drop=True)
    places = (sections["start_s"] / WINDOW_S).round().astype(int)
    return sections, versions.alignment(harmony.x[heard], sections["item_id"], places)


if __name__ == "__main__":
    main()
