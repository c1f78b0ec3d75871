"""Validate matrices, tables and labels where the algorithms of this room receive them.

Each function returns what it checked, or raises ValueError with the value and the remedy. An
unknown label is the empty string.
"""

from collections.abc import Iterable

import numpy as np
import pandas as pd


def matrix(z: np.ndarray, name: str = "vectors", width: int | None = None) -> np.ndarray:
    """Return a matrix (B, D) that is not empty and holds finite numbers.

    Parameters
    ----------
    z
        The matrix.
    name
        What its rows are, for the message.
    width
        Number of columns that it must have; None takes any.

    Raises
    ------
    ValueError
        If it has another shape, is empty, or holds NaN or infinity.
    """
    z = np.asarray(z)
    if z.ndim != 2 or not z.size or width not in (None, z.shape[1]):
        wanted = f"(B, {width or 'D'})"
        raise ValueError(f"{name} have shape {z.shape}; give a table {wanted} that is not empty")
    if not np.isfinite(z).all():
        raise ValueError(f"{name} hold NaN or infinity; leave those rows out")
    return z


def same_width(query: np.ndarray, corpus: np.ndarray) -> None:
    """Validate that vectors (Q, D) and (B, D) have equally many dimensions."""
    if query.shape[1] != corpus.shape[1]:
        raise ValueError(
            f"the query has {query.shape[1]} dimensions per row and the corpus {corpus.shape[1]}; "
            "encode both with the same experiment"
        )


def cluster_count(k: int, z: np.ndarray) -> None:
    """Validate that rows `z` (B, D) can form `k` clusters."""
    if not 1 <= k <= len(z):
        raise ValueError(f"{len(z)} rows cannot form {k} clusters; choose k from 1 to {len(z)}")


def labels(values: np.ndarray, n: int, rows: str = "rows") -> np.ndarray:
    """Return labels as an array (n,), one per row.

    Parameters
    ----------
    values
        The labels.
    n
        Number of rows that they label.
    rows
        What the rows are, for the message.

    Raises
    ------
    ValueError
        If there are fewer or more.
    """
    values = np.asarray(values)
    if values.shape != (n,):
        raise ValueError(f"there are {n} {rows} but {values.size} labels; give one label per row")
    return values


def labelled(z: np.ndarray, values: np.ndarray, rows: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows of `z` (B, ...) whose label is known, and their labels.

    Raises
    ------
    ValueError
        As `labels`, or if no row has a label.
    """
    z, values = np.asarray(z), labels(values, len(z), rows)
    usable = values.astype(str) != ""
    if not usable.any():
        raise ValueError(f"none of the {len(z)} {rows} has a label; choose a labelled corpus")
    return z[usable], values[usable]


def table(columns: pd.DataFrame) -> pd.DataFrame:
    """Return a table that is not empty and holds finite numbers only.

    Raises
    ------
    ValueError
        If it is empty, or a column holds no numbers, NaN or infinity.
    """
    if columns.empty:
        raise ValueError("the table has {} rows and {} columns; give some".format(*columns.shape))
    for name in columns:
        if not pd.api.types.is_numeric_dtype(columns[name]):
            raise ValueError(f"the column {name!r} holds no numbers; leave it out")
        if not np.isfinite(columns[name]).all():
            raise ValueError(f"the column {name!r} holds NaN or infinity; leave those rows out")
    return columns


def labelled_table(columns: pd.DataFrame, values: Iterable[str]) -> np.ndarray:
    """Return the labels (B,) of a table (B, D) of descriptors as an array of str.

    Raises
    ------
    ValueError
        As `table` and `labels`, or if a label is unknown.
    """
    values = labels(np.array(list(values), dtype=object), len(table(columns)))
    unknown = pd.isna(values) | (values == "")
    if unknown.any():
        raise ValueError(f"{unknown.sum()} rows have no label; leave those rows out")
    return values.astype(str)
