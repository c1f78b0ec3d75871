"""Numbers and names as a sentence has them."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd

LARGE = 10_000  # from here on a comma stands between thousands


def short(value: float, digits: int = 3) -> str:
    """Write a number with a few significant digits; an en dash where there is none."""
    if not np.isfinite(value):
        return "–"
    if abs(value) >= 10**digits or value == 0:
        return f"{value:,.0f}" if abs(value) >= LARGE else f"{value:.0f}"
    decimals = digits - 1 - int(np.floor(np.log10(abs(value))))
    return f"{value:.{decimals}f}" if decimals <= digits + 3 else f"{value:.{digits - 1}e}"


def clock(seconds: float) -> str:
    """Write seconds as minutes and seconds: ``1:05``."""
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"


def percent(share: float) -> str:
    """Write a share in [0, 1] as whole percents."""
    return f"{share:.0%}".replace("%", "\u00a0%")


def listed(words: Iterable[object]) -> str:
    """Join words: ``a, b and c``."""
    words = [str(word) for word in words]
    return " and ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))


def counted(n: int, one: str, many: str = "") -> str:
    """Write how many: ``1 song``, ``2 songs``."""
    return f"{n:,} {one if n == 1 else many or one + 's'}"


def valued(values: Mapping[str, float] | pd.Series, most: int = 5, unit: str = "") -> str:
    """Name the first few values: ``a 0.5, b 0.25``."""
    pairs = list(values.items())[:most]
    return listed(f"{name} {short(value)}{unit}" for name, value in pairs)


def extremes(values: pd.Series, unit: str = "") -> str:
    """Name the least and the largest of values: ``from 0.1 (a) to 0.9 (b)``."""
    low, high = values.idxmin(), values.idxmax()
    ends = [f"{short(values[name])}{unit} ({name})" for name in (low, high)]
    return f"from {ends[0]} to {ends[1]}" if low != high else ends[0]


def interval(row: Mapping[str, float], names: Sequence[str] = ("accuracy", "low", "high")) -> str:
    """Write an estimate with its bounds: ``0.50 (0.40 to 0.60)``."""
    value, low, high = (f"{row[name]:.2f}" for name in names)
    return f"{value} ({low} to {high})"
