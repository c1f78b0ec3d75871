"""Keep latents on disk with their provenance: read, select, join, export.

A folder holds ``z.npy`` (B, D), ``items.parquet`` and ``provenance.json``. What lies there is used
only if the same checkpoint and the same data made it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from musiclatent.analysis import pooling
from musiclatent.errors import LatentsError, first_line
from musiclatent.files import write_file

if TYPE_CHECKING:  # its module loads torch, which a table of latents needs not
    from musiclatent.training.run_folder import Run

NAMES = ("z.npy", "items.parquet", "provenance.json")
MANY = 14_000_000  # numbers looked at together: 112 MB in 64 bits, 1,000 windows of A1


@dataclass(frozen=True)
class Latents:
    """Latents of windows, and what they came from.

    Parameters
    ----------
    z
        (B, D) float32, one row per window; memory-mapped.
    items
        One row per window: item_id, path, label, group, split, start_s, end_s; of a corpus also
        silent, and further columns of the corpus.
    provenance
        study, experiment, options, hashes of the checkpoint and of the data (empty for loose
        files), latent_shape (K, T), sr, window_s, versions; of sparse codes their hops.
    """

    z: np.ndarray
    items: pd.DataFrame
    provenance: dict

    def shaped(self) -> np.ndarray:
        """Return the latents as (B, K, T)."""
        return self.z.reshape(len(self.z), *self.provenance["latent_shape"])


def read_latents(folder: Path, *, run: Run | None = None, data_hash: str = "") -> Latents:
    """Read a folder of latents, and verify their provenance.

    Parameters
    ----------
    folder
        A folder that `encode.encode_corpus` or `encode.encode_files` filled.
    run
        The experiment that must have made them; None asks for none.
    data_hash
        Hash of the data that they must be made of, see `CorpusDataModule.data_hash`; empty asks
        for none.

    Raises
    ------
    LatentsError
        If the folder holds no latents, broken ones, or those of another checkpoint or other data;
        the message names the command that makes them anew.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> np.save(folder / "z.npy", np.zeros((2, 12), np.float32))
    >>> pd.DataFrame({"item_id": ["a", "a"]}).to_parquet(folder / "items.parquet")
    >>> _ = write_file(folder / "provenance.json", '{"latent_shape": [4, 3]}')
    >>> read_latents(folder).shaped().shape
    (2, 4, 3)
    """
    folder = Path(folder)
    missing = [name for name in NAMES if not (folder / name).exists()]
    if missing:
        raise LatentsError(
            f"{folder} holds no latents ({', '.join(missing)} missing); make them with: "
            f"{_command(run, data_hash)}"
        )
    try:
        provenance = json.loads((folder / "provenance.json").read_text())
        z = np.load(folder / "z.npy", mmap_mode="r", allow_pickle=False)
        items = pd.read_parquet(folder / "items.parquet")
        if z.shape != (len(items), int(np.prod(provenance["latent_shape"]))):
            raise ValueError(f"{len(z)} latents but {len(items)} items")
    except (ValueError, OSError, EOFError, KeyError, TypeError) as error:
        raise LatentsError(
            f"{folder} holds broken latents ({first_line(error)}); delete it and make them with: "
            f"{_command(run, data_hash)}"
        ) from None
    _verify(folder, provenance, run, data_hash)
    return Latents(z, items, provenance)


def _verify(folder: Path, provenance: dict, run: Run | None, data_hash: str) -> None:
    """Validate that this checkpoint and these data made the latents."""
    remedy = f"make them anew with: {_command(run, data_hash)}"
    checkpoint, name = provenance.get("checkpoint"), provenance.get("experiment")
    if run is not None and checkpoint != (expected := run.sha256):
        raise LatentsError(
            f"{folder} holds latents of the checkpoint {str(checkpoint)[:12]} of "
            f"{name}, not of {expected[:12]} of {run.experiment.name}; {remedy}"
        )
    if data_hash and provenance.get("data") != data_hash:
        source = f"the data {provenance['data'][:12]}" if provenance.get("data") else "loose files"
        raise LatentsError(
            f"{folder} holds latents of {source}, not of the data {data_hash[:12]}; {remedy}"
        )


def _command(run: Run | None, data_hash: str) -> str:
    """Return the command that makes latents."""
    if run is None:
        return "musiclatent encode FILES"
    study, name = run.experiment.study, run.experiment.name
    if not data_hash:
        return f"musiclatent encode FILES --model {name}"
    return f"make reproduce STUDY={study} EXPERIMENT={name}"


def nearest(query: np.ndarray, latents: Latents | np.ndarray, k: int = 10) -> pd.DataFrame:
    """Find the windows nearest to a sound.

    Parameters
    ----------
    query
        Vectors (Q, D) of `encoder.Encoder.embed`, or one of them (D,).
    latents
        What is searched: latents of the same model, or vectors (B, D).
    k
        Number of neighbours of each vector; all of them where there are fewer.

    Returns
    -------
    DataFrame
        k rows for each vector in turn, the nearest first: query (row of `query`), row (of
        `latents`), distance, and of latents the columns of their items.

    Raises
    ------
    ValueError
        As `neighbours.nearest`.

    Examples
    --------
    >>> nearest([1.0, 0.0], [[0.0, 3.0], [1.0, 0.5], [1.0, 0.0]], k=2)
       query  row  distance
    0      0    2       0.0
    1      0    1       0.5
    """
    known = isinstance(latents, Latents)
    vectors = pooling.window_vectors(latents) if known else np.asarray(latents)
    query = np.asarray(query)
    from musiclatent.analysis import neighbours  # brings sklearn, 0.6 s that encoding does without

    distances, rows = neighbours.nearest(query[None] if query.ndim == 1 else query, vectors, k)
    table = {"query": np.arange(len(rows)).repeat(rows.shape[1]), "row": rows.ravel()}
    table = pd.DataFrame(table | {"distance": distances.ravel()})
    return table.join(latents.items, on="row") if known else table


def select(latents: Latents, keep: np.ndarray) -> Latents:
    """Return the latents of some of the windows.

    Parameters
    ----------
    latents
        Latents of B windows.
    keep
        (B,) bool, or rows in the order wanted.

    Raises
    ------
    LatentsError
        If `keep` has another length, or names rows that are not there.
    """
    rows, n = np.asarray(keep), len(latents.z)
    if rows.dtype == bool:
        if rows.shape != (n,):
            raise LatentsError(f"keep has shape {rows.shape}; there are {n} windows")
        rows = np.flatnonzero(rows)
    elif rows.size and (rows.min() < 0 or rows.max() >= n):
        raise LatentsError(f"keep names rows up to {rows.max()}; there are {n} windows")
    rows = rows.astype(int)
    return replace(
        latents, z=latents.z[rows], items=latents.items.iloc[rows].reset_index(drop=True)
    )


def audible(latents: Latents, most: int = MANY) -> np.ndarray:
    """Return the rows of windows with sound; of a large corpus those of some of its recordings.

    Parameters
    ----------
    latents
        Latents whose items have the columns item_id and silent.
    most
        How many numbers are enough. Above that, whole recordings are taken, evenly over the corpus.

    Returns
    -------
    ndarray
        Row numbers, in order.
    """
    rows = np.flatnonzero(~latents.items["silent"].to_numpy(bool))
    codes, names = pd.factorize(latents.items["item_id"].iloc[rows])
    enough = most / max(1, latents.z[0].size * len(rows))  # share of the corpus
    if enough >= 1:
        return rows
    kept = np.linspace(0, len(names) - 1, max(1, int(enough * len(names)))).astype(int)
    return rows[np.isin(codes, kept)]


def join(latents: Latents, table: pd.DataFrame, on: str = "item_id") -> Latents:
    """Return latents whose items have the columns of a table added.

    Parameters
    ----------
    latents
        Latents whose items have the column `on`.
    table
        One row per value of `on`; columns that the items have already are left out.
    on
        Column that both have.

    Raises
    ------
    LatentsError
        If one of them lacks the column, or the table has a value twice.
    """
    for name, columns in (("items", latents.items.columns), ("table", table.columns)):
        if on not in columns:
            raise LatentsError(f"the {name} lack the column {on!r}; join on a column of both")
    twice = table.loc[table[on].duplicated(), on]
    if len(twice):
        raise LatentsError(f"the table has {twice.iloc[0]!r} twice; give one row for each {on}")
    new = table[[on, *table.columns.difference(latents.items.columns, sort=False)]]
    return replace(latents, items=latents.items.merge(new, "left", on))


_CONFIG = """embeddings {
  tensor_name: "%s"
  tensor_path: "vectors.tsv"
  metadata_path: "metadata.tsv"
}
"""


def export_projector(folder: Path, z: np.ndarray, *, items: pd.DataFrame, title: str) -> Path:
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
        If lengths differ, or there are no vectors or no columns.
    """
    if len(z) != len(items) or not len(z) or not len(items.columns):
        raise ValueError(
            f"there are {len(z)} vectors and {len(items)} rows; give as many, not none"
        )
    folder = Path(folder)
    _write_tsv(folder / "vectors.tsv", z)
    # The projector takes a single column without its name.
    header = [items.columns] if len(items.columns) > 1 else []
    _write_tsv(folder / "metadata.tsv", [*header, *items.itertuples(index=False)])
    name = "".join(c for c in title if c.isalnum())
    write_file(folder / "projector_config.pbtxt", _CONFIG % name)
    return folder


def _write_tsv(path: Path, rows: Iterable[Iterable]) -> None:
    """Write rows of values, one per line."""
    write_file(path, "".join("\t".join(map(_cell, row)) + "\n" for row in rows))


def _cell(value: object) -> str:
    """Return a value as text without what ends a cell or a line."""
    text = f"{value:.6g}" if isinstance(value, float | np.floating) else str(value)
    return " ".join(text.split())
