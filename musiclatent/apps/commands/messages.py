"""Print what every command says in the same words."""

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


def set_aside(quarantine: "pd.DataFrame") -> None:
    """Name the files that could not be read."""
    for path, reason in quarantine.itertuples(index=False):
        print(f"set aside: {path}: {reason}", file=sys.stderr)
