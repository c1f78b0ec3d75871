"""What the benchmarks share: two forms of one measurement, figures kept as promised, and clips."""

import argparse
import json
import math
import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from musiclatent import audio

SECONDS, SR = 30, 22_050
Figures = dict[str, float]


def run(
    keys: Sequence[str],
    *,
    full: Callable[[], Figures],
    quick: Callable[[], Figures],
    quick_keys: Sequence[str] | None = None,
    lacks: str = "",
) -> None:
    """Print the figures of a benchmark as one flat json object on one line of stdout.

    Parameters
    ----------
    keys
        Names of all figures, in the order in which they are printed.
    full, quick
        The measurement in its two sizes; the option ``--quick`` chooses the small one.
    quick_keys
        Names of the figures of the small size, where these are fewer.
    lacks
        What must be installed first, or nothing. The full form then fails; the quick one prints
        ``{"skipped": lacks}``, so that no figure seems to be there.

    Raises
    ------
    SystemExit
        If something must be installed for the full form, or the figures are not those promised.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="small inputs, seconds; not to quote")
    is_quick = parser.parse_args().quick
    if lacks and not is_quick:
        sys.exit(lacks)
    if lacks:
        print(json.dumps({"skipped": lacks}))
    elif is_quick:
        print(json.dumps(checked(quick(), quick_keys or keys)))
    else:
        print(json.dumps(checked(full(), keys)))


def checked(figures: Figures, keys: Sequence[str]) -> Figures:
    """Return the figures in the order of their keys, or exit where one is not as promised."""
    missing = [key for key in keys if not math.isfinite(figures.get(key, math.nan))]
    if missing:
        sys.exit(f"no finite figure for {', '.join(missing)}; mend the measurement")
    if undeclared := sorted(figures.keys() - set(keys)):
        sys.exit(f"{', '.join(undeclared)} not declared; add to KEYS and to benchmarks/README.md")
    return {key: figures[key] for key in keys}


def gtzan(kind: str = "wav") -> list[Path]:
    """Return the files of GTZAN of that kind; none where it is not there."""
    root = Path(os.environ.get("MUSICLATENT_DATA", "data"))
    return sorted((root / "gtzan" / "genres").glob(f"*/*.{kind}"))


def clips(count: int) -> list[np.ndarray]:
    """Return the samples of 30 s clips of GTZAN, or of as much noise where it is not there."""
    if paths := gtzan()[:count]:
        return [audio.read(path, SR, duration_s=SECONDS)[0] for path in paths]
    return [noise(np.random.default_rng(i)) for i in range(count)]


def noise(rng: np.random.Generator) -> np.ndarray:
    """Return 30 s of white noise, (N,) float32."""
    return 0.1 * rng.standard_normal(SECONDS * SR, np.float32)


def timed(function: Callable, *arguments: object) -> tuple[object, float]:
    """Return the result and the milliseconds of one call."""
    start = time.perf_counter()
    result = function(*arguments)
    return result, 1000 * (time.perf_counter() - start)
