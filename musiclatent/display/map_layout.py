"""From a folder of latents to what a map shows: places, clusters, and what can colour points."""

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from musiclatent.analysis import clustering, pooling, projection, soft_clustering
from musiclatent.analysis.projection import Projection
from musiclatent.files import pick
from musiclatent.latents.store import Latents

KINDS = {"pca": projection.pca, "umap": projection.umap, "tsne": projection.tsne}
CLUSTERS = 8  # as in the paper on waveforms
SAMPLE = 200  # rows that say how soft clusters are
NOT_SHOWN = ("path", "title", "group", "start_s", "end_s")
MOST_LABELS = 40  # colours and shapes of the map; a text with more values colours none


@dataclass(frozen=True, kw_only=True)
class MapLayout:
    """Latents of sound on a plane.

    Parameters
    ----------
    rows
        Which latents are heard (B,), row numbers.
    items
        B rows, with the columns `cluster` (k-means of the vectors) and `membership` (fuzzy c-means:
        the largest share that one of as many clusters has in a row, 1 for its core).
    vectors
        (B, D), by which segments are compared.
    plane
        The projection of the vectors.
    columns
        Names of columns of `items` that can colour the points.
    """

    rows: np.ndarray
    items: pd.DataFrame
    vectors: np.ndarray
    plane: Projection
    columns: tuple[str, ...]


def lay_out(latents: Latents, kind: str = "pca") -> MapLayout:
    """Lay out the audible windows on a plane.

    Parameters
    ----------
    latents
        Latents of a corpus.
    kind
        ``pca``, ``umap`` or ``tsne``, fitted on the training windows.

    Raises
    ------
    ValueError
        If there is no such kind, or there are too few windows for a map.
    """
    rows = np.flatnonzero(~np.asarray(latents.items.get("silent", np.zeros(len(latents.z))), bool))
    items = latents.items.iloc[rows].reset_index(drop=True)
    return replace(
        lay_out_vectors(pooling.map_vectors(latents.z, latents.provenance)[rows], items, kind),
        rows=rows,
    )


def lay_out_vectors(vectors: np.ndarray, items: pd.DataFrame, kind: str = "pca") -> MapLayout:
    """Lay out what vectors stand for on a plane.

    Parameters
    ----------
    vectors
        (B, D), by which segments are compared.
    items
        B rows: item_id, path, start_s, end_s and what can colour the points; with `split`, the
        projection is fitted on the rows for training.
    kind
        As in `lay_out`.

    Raises
    ------
    ValueError
        As `lay_out`.
    """
    project = pick(KINDS, kind, "kind of map")
    fitted = items.get("split", pd.Series("", items.index)).eq("train").to_numpy()
    # hardly any music for training: all of it makes the map
    plane = project(vectors, fit_on=fitted if fitted.sum() > 3 else None)
    k = max(1, min(CLUSTERS, len(items) // 2))
    items = items.assign(cluster=clustering.kmeans(vectors, k), membership=_membership(vectors, k))
    return MapLayout(
        rows=np.arange(len(items)),
        items=items,
        vectors=vectors,
        plane=plane,
        columns=colourable(items),
    )


def _membership(vectors: np.ndarray, k: int) -> np.ndarray:
    """Share (B,) of the cluster that a row belongs to most, among the first components."""
    few = projection.pca(vectors, min(projection.FIRST, *vectors.shape)).points
    some = few[np.linspace(0, len(few) - 1, min(len(few), SAMPLE)).astype(int)]
    try:
        return soft_clustering.fuzzy_c_means(
            few, k, m=soft_clustering.fuzzifier(some, k)
        ).memberships.max(axis=1)
    except ValueError:  # fewer than two clusters, or none that can be told apart softly
        return np.full(len(vectors), np.nan)


def colourable(items: pd.DataFrame) -> tuple[str, ...]:
    """Name the columns that tell rows apart without naming each: labels, clusters, numbers."""
    first = [name for name in ("label", "cluster", "membership", "split") if name in items]
    others = [name for name in items if name not in {*first, *NOT_SHOWN}]
    return tuple(name for name in [*first, *others] if _tells(items[name]))


def _tells(column: pd.Series) -> bool:
    """Return whether a column has two values or more, and no text for each row."""
    if pd.api.types.is_numeric_dtype(column):
        return column.nunique() > 1
    plain = column.map(lambda value: isinstance(value, str) or pd.isna(value) is True).all()
    return bool(plain) and 1 < column.replace("", None).nunique() <= MOST_LABELS
