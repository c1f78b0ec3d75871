"""Files that the TensorBoard Projector opens: vectors, and what is known of each."""

from pathlib import Path

import numpy as np
import pandas as pd

from musiclatent.files import write_file

_CONFIG = """embeddings {
  tensor_name: "%s"
  tensor_path: "vectors.tsv"
  metadata_path: "metadata.tsv"
}
"""


def write(folder: Path, z: np.ndarray, items: pd.DataFrame, title: str) -> Path:
    """Write ``vectors.tsv``, ``metadata.tsv`` and ``projector_config.pbtxt``.

    Open them with ``tensorboard --logdir FOLDER``, or load both tables at projector.tensorflow.org.

    Parameters
    ----------
    folder
        Where they go; it is made.
    z
        Vectors (B, D).
    items
        B rows; every column becomes one of the metadata.
    title
        Name of the vectors.

    Raises
    ------
    ValueError
        If lengths differ, or there is nothing to write.
    """
    if len(z) != len(items) or not len(z) or not len(items.columns):
        raise ValueError(
            f"there are {len(z)} vectors and {len(items)} rows; give as many, not none"
        )
    folder = Path(folder)
    rows = ("\t".join(f"{value:.6g}" for value in row) for row in z)
    write_file(folder / "vectors.tsv", "\n".join(rows) + "\n")
    lines = [items.columns, *items.itertuples(index=False)]
    if len(items.columns) == 1:  # the projector takes a single column without its name
        lines = lines[1:]
    rows = ("\t".join(map(_cell, line)) for line in lines)
    write_file(folder / "metadata.tsv", "\n".join(rows) + "\n")
    name = "".join(c for c in title if c.isalnum())
    write_file(folder / "projector_config.pbtxt", _CONFIG % name)
    return folder


def _cell(value: object) -> str:
    """Write a value without what ends a cell or a line."""
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    return " ".join(text.split())
