"""Tables as a reader wants them: few significant digits, as many in a column, the best marked.

A notebook's session has IPython show every table in this way, so that no notebook formats one.
"""

import html
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import PurePath

import numpy as np
import pandas as pd
from pandas.io.formats.style import Styler

from musiclatent.display.words.numbers import short

DIGITS = 3  # significant ones
SPREAD = 100  # times the median below which values of a column get digits of their own
LONGEST = 60  # rows that are shown
BEST = "font-weight: bold; text-decoration: underline"
LESS = {  # columns, or rows, whose least value is the best
    *("mse", "test_mse", "validation_mse", "mse_8_bits", "mrstft", "test_mrstft", "mel_distance"),
    *("log_spectral_distance", "frechet", "ece", "nll", "brier"),
}
MORE = {  # and whose largest is
    *("sisdr", "test_sisdr", "accuracy", "test_knn", "knn", "silhouette", "estoi", "stoi"),
    *("key_agreement", "tempo_agreement", "reconstruction_accuracy", "precision", "recall", "f"),
}


def styled(table: pd.DataFrame | pd.Series | Mapping) -> Styler:
    """Return a table to be displayed.

    Parameters
    ----------
    table
        Any. Of a series or a mapping each value is a row with digits of its own; of the columns, or
        else the rows, that `LESS` and `MORE` name, the best value is bold. Of more than 60 rows
        the first 60 are shown.
    """
    frame = _frame(table)
    shown = frame.head(LONGEST)
    forms = {name: _form(shown[name], alone=frame is not table) for name in shown}
    style = shown.style.format(forms, na_rep="–")
    for axis in ("index", "columns"):
        style = style.format_index(_name, escape="html", axis=axis)
    if isinstance(frame.index, pd.RangeIndex):
        style = style.hide(axis="index")
    if not len(frame):
        style = style.set_caption("no rows")
    if len(frame) > LONGEST:
        style = style.set_caption(f"{LONGEST} of {len(frame):,} rows")
    for names, how in ((LESS, "min"), (MORE, "max")):
        columns, rows = ([n for n in side if n in names] for side in (shown.columns, shown.index))
        if columns and len(shown) > 1:
            style = style.apply(partial(_marks, how=how), subset=columns)
        elif rows and shown.shape[1] > 1 and "low" not in shown.columns:  # bounds rival nobody
            style = style.apply(partial(_marks, how=how), axis=1, subset=pd.IndexSlice[rows, :])
    return style


def _name(label: object) -> str:
    """Return the name of a row or column: 0.1, where pandas writes 0.100000."""
    return f"{label:g}" if isinstance(label, float) else str(label)


def install() -> None:
    """Have IPython, where it runs, show tables, series and mappings as `styled` does."""
    from IPython import get_ipython

    if (shell := get_ipython()) is not None:
        formatter = shell.display_formatter.formatters["text/html"]
        for kind in (pd.DataFrame, pd.Series, dict):
            formatter.for_type(kind, lambda table: styled(table).to_html())


def _frame(table: pd.DataFrame | pd.Series | Mapping) -> pd.DataFrame:
    """Return any table as one whose rows and columns have names of their own."""
    if isinstance(table, Mapping):
        table = pd.Series(dict(table), dtype=object)
    if isinstance(table, pd.Series):
        table = table.astype(object).to_frame("value" if table.name is None else table.name)
    if not table.index.is_unique:
        counted = table.index.name is None and pd.api.types.is_integer_dtype(table.index)
        table = table.reset_index(drop=counted)  # a count that begins again names nothing
    return table if table.columns.is_unique else table.set_axis(range(table.shape[1]), axis=1)


def _form(column: pd.Series, alone: bool) -> Callable[[object], str]:
    """Return how the values of a column are written."""
    if alone or not pd.api.types.is_float_dtype(column):
        return _write
    values = column.abs()[np.isfinite(column) & column.ne(0)]
    if not len(values) or values.min() * SPREAD < values.median():
        return _write
    exact = bool(np.equal(np.mod(values, 1), 0).all())
    decimals = 0 if exact else DIGITS - 1 - int(np.floor(np.log10(values.median())))
    return f"{{:,.{np.clip(decimals, 0, 6)}f}}".format


def _write(value: object) -> str:
    """Write any value: numbers with few digits, a path as the name of its file."""
    if isinstance(value, bool | np.bool_):
        return "yes" if value else "no"
    if isinstance(value, int | np.integer):
        return f"{value:,}"
    if isinstance(value, float | np.floating):
        return short(float(value), DIGITS)
    path = isinstance(value, PurePath) or (isinstance(value, str) and value.startswith("/"))
    return html.escape(PurePath(value).name if path else str(value))


def _marks(values: pd.Series, how: str) -> list[str]:
    """Return the look of each value: the best is bold, where there is one."""
    numbers = pd.to_numeric(values, errors="coerce")
    best = numbers.agg(how)
    return [BEST if number == best and numbers.nunique() > 1 else "" for number in numbers]
