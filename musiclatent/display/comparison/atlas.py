"""A map as a parquet file for other tools, such as Embedding Atlas."""

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from musiclatent.analysis import neighbours, validation
from musiclatent.files import need_columns, whole_file

NEAR = 10  # neighbours that are listed
OPEN = "embedding-atlas {path} --x x --y y --neighbors neighbours --text path"
LEFT_OUT = ("path", "start_s", "end_s", "title", "group", "row", "key", "silent")


def write_parquet(
    path: Path, points: np.ndarray, items: pd.DataFrame, z: np.ndarray, k: int = NEAR
) -> Path:
    """Write a map as one parquet file, whole or not at all.

    Parameters
    ----------
    path
        The file; its folder is made.
    points
        (B, 2) coordinates.
    items
        B rows: path, start_s, end_s in seconds, and labels of any name. Rows of one `group` are of
        one recording and no neighbours.
    z
        Vectors (B, D), which say who is near whom.
    k
        Neighbours that are listed at most.

    Returns
    -------
    Path
        The file: path, start, end, x, y, vector (list of float32), neighbours (struct of ids, row
        numbers from 0, and distances, the nearest first, as Embedding Atlas reads them), and the
        labels. `OPEN` is the command that opens it.

    Raises
    ------
    ValueError
        If lengths differ, a column is missing or numbers are not finite.
    """
    z, points = validation.matrix(z), validation.matrix(points, "points", width=2)
    need_columns(items, ("path", "start_s", "end_s"), "the items have no column", "add it")
    if not len(z) == len(points) == len(items):
        raise ValueError(
            f"{len(points)} points, {len(items)} items and {len(z)} vectors; give as many of each"
        )
    columns = {
        "path": pa.array(items["path"].astype(str)),
        "start": pa.array(items["start_s"].astype(float)),
        "end": pa.array(items["end_s"].astype(float)),
        "x": pa.array(points[:, 0].astype(np.float32)),
        "y": pa.array(points[:, 1].astype(np.float32)),
        "vector": pa.array(list(z.astype(np.float32)), pa.list_(pa.float32())),
        "neighbours": _neighbours(z, items, k),
    }
    labels = [name for name in items if name not in (*LEFT_OUT, *columns)]
    table = pa.table(columns | {name: pa.array(items[name], from_pandas=True) for name in labels})
    path.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(path) as part:
        pq.write_table(table, part)
    return path


def _neighbours(z: np.ndarray, items: pd.DataFrame, k: int) -> pa.Array:
    """Return the neighbours of each row among other recordings, with their distances."""
    groups = items["group"] if "group" in items else np.arange(len(items))
    near = neighbours.nearest_others(z, np.asarray(groups), k)
    rows = []
    for i, others in enumerate(near):
        ids = others[others >= 0]
        distances = np.linalg.norm(z[ids] - z[i], axis=1)
        rows.append({"ids": ids.tolist(), "distances": distances.tolist()})
    kind = pa.struct([("ids", pa.list_(pa.int64())), ("distances", pa.list_(pa.float64()))])
    return pa.array(rows, kind)
