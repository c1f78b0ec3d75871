"""Vectors that somebody else made of the files of a folder, as one more row of the comparison.

A parquet file with the columns path, start_s, end_s and vector; or ``NAME.npy`` (rows, D) with
``NAME.csv`` beside it, which has path, start_s and end_s. Paths are below the folder, or absolute.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from musiclatent.errors import LatentsError, first_line, printable
from musiclatent.evaluation.comparison.vectors import Vectors

SUFFIXES = (".npy", ".parquet")
COLUMNS = ("path", "start_s", "end_s")


def read(file: Path, paths: Sequence[str | Path], folder: Path) -> Vectors:
    """Read vectors from outside: the mean of the rows of each file.

    Parameters
    ----------
    file
        A ``.npy`` or ``.parquet`` file.
    paths
        The audio files of the folder.
    folder
        What paths that are not absolute begin at.

    Returns
    -------
    Vectors
        One row per path; files without any row are set aside.

    Raises
    ------
    LatentsError
        If the file cannot be read, columns are missing, rows are not finite or end before they
        begin, a path is not in the folder, or a row is there twice.
    """
    items, z = _table(file)
    _check(file, items, z)
    absolute = items["path"].map(lambda name: str((Path(folder) / name).resolve()))
    places = {str(Path(path).resolve()): row for row, path in enumerate(paths)}
    if len(strange := items["path"][~absolute.isin(places)]):
        raise LatentsError(
            f"{printable(file)}: {printable(strange.iloc[0])} is not in {printable(folder)} "
            f"({strange.nunique()} such paths); give paths of its audio files"
        )
    rows = absolute.map(places).to_numpy()
    sums, counts = np.zeros((len(paths), z.shape[1])), np.bincount(rows, minlength=len(paths))
    np.add.at(sums, rows, z)
    with np.errstate(invalid="ignore"):
        means = (sums / counts[:, None]).astype(np.float32)
    reason = f"{printable(file.name)} has no row of it; add one, or leave the file out"
    reasons = {int(row): reason for row in np.flatnonzero(counts == 0)}
    return Vectors(z=means, widths=(z.shape[1],), reasons=reasons)


def _table(file: Path) -> tuple[pd.DataFrame, np.ndarray]:
    """Read items and vectors (rows, D)."""
    try:
        if file.suffix == ".npy":
            z = np.load(file, allow_pickle=False)
            return pd.read_csv(file.with_suffix(".csv")), np.asarray(z, np.float32)
        table = pd.read_parquet(file)
        if "vector" not in table:
            raise LatentsError(f"{printable(file)} has no column vector; it needs {COLUMNS} too")
        return table.drop(columns="vector"), np.array([np.asarray(v) for v in table["vector"]])
    except (OSError, ValueError, TypeError) as error:
        if isinstance(error, LatentsError):
            raise
        raise LatentsError(
            f"{printable(file)} cannot be read as vectors ({first_line(error)}); give a parquet "
            "file with path, start_s, end_s and vector, or a .npy with a .csv of these beside it"
        ) from error


def _check(file: Path, items: pd.DataFrame, z: np.ndarray) -> None:
    """Refuse rows that cannot be placed or compared."""
    if missing := [name for name in COLUMNS if name not in items]:
        raise LatentsError(f"{printable(file)} has no column {', '.join(missing)}; add it")
    if z.ndim != 2 or not z.size or len(z) != len(items):
        raise LatentsError(
            f"{printable(file)} has vectors of shape {z.shape} for {len(items)} rows; give (rows, "
            "numbers), as many of each"
        )
    bad = {
        "numbers that are NaN or infinite": ~np.isfinite(z).all(axis=1),
        "times that are no numbers, or end before they start": ~(
            items["start_s"].to_numpy(float) < items["end_s"].to_numpy(float)
        ),
        "the same path and start_s as another row": items.duplicated(
            ["path", "start_s"]
        ).to_numpy(),
    }
    for what, rows in bad.items():
        if rows.any():
            row = int(rows.argmax())
            raise LatentsError(
                f"{printable(file)}: row {row} ({printable(items['path'].iloc[row])}) has {what}; "
                f"drop or mend it ({int(rows.sum())} rows in all)"
            )
