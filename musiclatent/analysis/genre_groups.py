"""Music types: genres grouped by what their attributes have in common, and named by it.

A type is a cluster of training rows with the genres that have most of their rows in it. Types made
from attributes favour models that see attributes: no model of spectrograms had a say in them.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd
from scipy.optimize import linear_sum_assignment
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score, pairwise_distances_argmin
from sklearn.preprocessing import StandardScaler

from musiclatent.analysis.clustering import STARTS
from musiclatent.config import SEED
from musiclatent.features.descriptors import family

NAMED_BY, SHOWN = 2, 5  # contrasts in a type's name, and in the table


@dataclass(frozen=True)
class GenreGroups:
    """Genres grouped into types, and what places further rows.

    Attributes
    ----------
    of_label
        Name of the type of each genre.
    shares
        Share of each genre's rows (index) in the cluster of each type (columns, the largest
        cluster first); a row sums to 1.
    contrasts
        What sets each type apart: `type`, `genres`, `attribute`, and `difference`, the mean of the
        rows of its genres minus the mean of all others, in standard deviations.
    inertia
        Sum of squared distances of the scaled rows to their centres.
    scaler
        Fitted on the training rows.
    centres
        (K, D) of the clusters, scaled: types (index) by attributes (columns).
    """

    of_label: dict[str, str]
    shares: pd.DataFrame
    contrasts: pd.DataFrame
    inertia: float
    scaler: StandardScaler
    centres: pd.DataFrame

    def place(self, table: pd.DataFrame) -> np.ndarray:
        """Find the type whose centre lies nearest to each row.

        Parameters
        ----------
        table
            Attributes (Q, D) in the units of the training rows; further columns are left out.

        Returns
        -------
        array (Q,) of str
            Names of types.

        Raises
        ------
        ValueError
            If a column is missing, or numbers are.
        """
        columns = self.centres.columns
        missing = [name for name in columns if name not in table]
        if missing:
            raise ValueError(f"the table has no column {missing[0]!r}; the types were made with it")
        z = self.scaler.transform(_numbers(table[columns]).to_numpy())
        return np.array(list(self.centres.index))[
            pairwise_distances_argmin(z, self.centres.to_numpy())
        ]

    def assign(self, labels: Iterable[str]) -> np.ndarray:
        """Name the type of each genre.

        Parameters
        ----------
        labels
            Genres (Q,).

        Returns
        -------
        array (Q,) of str
            Names of types.

        Raises
        ------
        ValueError
            If a genre was not among the training rows.
        """
        labels = [str(label) for label in labels]
        strange = [label for label in labels if label not in self.of_label]
        if strange:
            known = ", ".join(self.of_label)
            raise ValueError(f"the genre {strange[0]!r} has no type; there are types of {known}")
        return np.array([self.of_label[label] for label in labels])


def fit(
    table: pd.DataFrame, labels: Iterable[str], n_types: int = 3, seed: int = SEED
) -> GenreGroups:
    """Group genres into types by k-means on scaled attributes and the majority of their rows.

    A genre belongs to the type whose cluster holds most of its rows. Where a cluster would get no
    genre, it gets the one that loses least by it, so that every type owns a genre; `shares` says
    then that most of its rows lie elsewhere. A type is named by its strongest contrasts.

    Parameters
    ----------
    table
        Attributes (B, D) of training rows only, in any units.
    labels
        Their genres (B,).
    n_types
        Number of types.
    seed
        Seed of the first centres.

    Returns
    -------
    MusicTypes
        Scaler, clusters, genres and names, all of these rows.

    Raises
    ------
    ValueError
        If lengths differ, numbers or labels are missing, or there are fewer than two types or
        fewer genres than types.
    """
    labels = validate(table, labels)
    _enough(labels, n_types)
    scaler = StandardScaler().fit(table.to_numpy())
    z = pd.DataFrame(scaler.transform(table.to_numpy()), columns=table.columns)
    model = KMeans(n_types, n_init=STARTS, random_state=seed).fit(z.to_numpy())
    order = np.argsort(-np.bincount(model.labels_, minlength=n_types), kind="stable")
    shares = pd.crosstab(labels, model.labels_, normalize="index")
    shares = shares.reindex(columns=order, fill_value=0.0)
    types = pd.Series(_majority(shares.to_numpy()), shares.index)
    contrasts = _contrasts(z, types, labels)
    names = _names(contrasts)
    return GenreGroups(
        of_label={genre: names[k] for genre, k in types.items()},
        shares=shares.set_axis(names, axis=1).rename_axis(index="genre", columns="type"),
        contrasts=contrasts.assign(type=[names[k] for k in contrasts["type"]]),
        inertia=float(model.inertia_),
        scaler=scaler,
        centres=pd.DataFrame(model.cluster_centers_[order], names, table.columns),
    )


def stability(
    table: pd.DataFrame, labels: Iterable[str], n_types: int = 3, seeds: Iterable[int] = range(10)
) -> dict[str, float | str]:
    """Judge how much the grouping depends on the seed, and on the rows that happen to be there.

    Parameters
    ----------
    table, labels, n_types
        As in `fit`.
    seeds
        Two or more seeds.

    Returns
    -------
    dict
        ``adjusted_rand`` of the clusters, the mean over pairs of seeds, 1 where all agree;
        ``same_map``, share of the seeds that group the genres in the most common way; ``moving``,
        the genres that are elsewhere with some other seed, empty where none is. The seeds test
        the search alone, so ``same_map_resampled`` and ``moving_resampled`` say the same where each
        seed also draws the rows again, with replacement.

    Raises
    ------
    ValueError
        As `fit`, or if there are fewer than two seeds.

    Notes
    -----
    Hubert and Arabie (1985), Comparing partitions.
    """
    labels, seeds = validate(table, labels), list(seeds)
    if len(seeds) < 2:
        raise ValueError(f"{len(seeds)} seed has nothing to agree with; give two or more")
    fits = [fit(table, labels, n_types, seed) for seed in seeds]
    clusters = [types.place(table) for types in fits]
    rand = np.mean([adjusted_rand_score(*pair) for pair in combinations(clusters, 2)])
    drawn = [_redrawn(labels, seed) for seed in seeds]
    again = [fit(table.iloc[rows], labels[rows], n_types) for rows in drawn]
    same, moving = _agreement(fits)
    same_resampled, moving_resampled = _agreement(again)
    return {
        "adjusted_rand": float(rand),
        "same_map": same,
        "moving": moving,
        "same_map_resampled": same_resampled,
        "moving_resampled": moving_resampled,
    }


def _redrawn(labels: np.ndarray, seed: int) -> np.ndarray:
    """Draw as many rows of each genre again, with replacement."""
    rng = np.random.default_rng(seed)
    parts = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    return np.concatenate([rng.choice(rows, len(rows)) for rows in parts])


def _agreement(fits: list[GenreGroups]) -> tuple[float, str]:
    """Share of the most common grouping, and the genres that are elsewhere in another."""
    maps = [_numbered(types.of_label) for types in fits]
    usual, count = Counter(maps).most_common(1)[0]
    moved = np.any([_moved(usual, other) for other in maps], axis=0)
    return count / len(maps), ", ".join(np.array(list(fits[0].of_label))[moved])


def validate(table: pd.DataFrame, labels: Iterable[str]) -> np.ndarray:
    """Look at a labelled table of attributes at the door.

    Parameters
    ----------
    table
        Attributes (B, D).
    labels
        Labels (B,).

    Returns
    -------
    array (B,) of str
        The labels.

    Raises
    ------
    ValueError
        If lengths differ, a column holds no numbers or NaN or infinity, or a label is unknown.
    """
    labels = np.array(list(labels), dtype=object)
    if len(labels) != len(_numbers(table)):
        raise ValueError(f"the table has {len(table)} rows but there are {len(labels)} labels")
    unknown = pd.isna(labels) | (labels == "")
    if unknown.any():
        raise ValueError(f"{unknown.sum()} rows have no label; leave those rows out")
    return labels.astype(str)


def _numbers(table: pd.DataFrame) -> pd.DataFrame:
    """Refuse a table with words or gaps, or without rows or columns."""
    if table.empty:
        raise ValueError(f"the table has {len(table)} rows and {table.shape[1]} columns; give some")
    for name in table:
        if not pd.api.types.is_numeric_dtype(table[name]):
            raise ValueError(f"the column {name!r} holds no numbers; leave it out")
        if not np.isfinite(table[name]).all():
            raise ValueError(f"the column {name!r} holds NaN or infinity; leave those rows out")
    return table


def _enough(labels: np.ndarray, n_types: int) -> None:
    """Refuse a number of types that the genres cannot fall into."""
    n_labels = len(np.unique(labels))
    if not 2 <= n_types <= n_labels:
        raise ValueError(
            f"{n_labels} genres cannot fall into {n_types} types; choose two or more, "
            "and no more than genres"
        )


def _majority(shares: np.ndarray) -> np.ndarray:
    """Type of each genre: its largest share, but every type gets the genre that loses least."""
    types = shares.argmax(axis=1)
    loss = shares.max(axis=1, keepdims=True) - shares
    genres, owners = linear_sum_assignment(loss)
    types[genres] = owners
    return types


def _contrasts(z: pd.DataFrame, types: pd.Series, labels: np.ndarray) -> pd.DataFrame:
    """List the strongest contrasts of each type (a number here), one of a family."""
    tables = []
    for k in range(types.max() + 1):
        genres = types.index[types == k]
        inside = np.isin(labels, genres)
        difference = z[inside].mean() - z[~inside].mean()
        difference = difference.sort_values(key=np.abs, ascending=False, kind="stable")
        top = difference[~difference.index.map(family).duplicated()].head(SHOWN)
        rows = {"attribute": top.index, "difference": top.to_numpy()}
        tables.append(pd.DataFrame({"type": k, "genres": ", ".join(genres), **rows}))
    return pd.concat(tables, ignore_index=True)


def _names(contrasts: pd.DataFrame) -> list[str]:
    """Name each type by its strongest contrasts; a name that is taken gets a number."""
    names = []
    for _, rows in contrasts.groupby("type"):
        first = rows.head(NAMED_BY)
        level = np.where(first["difference"] > 0, "high", "low")
        names.append(", ".join(map("{} {}".format, level, first["attribute"])))
    taken = pd.Series(names).groupby(names).cumcount()
    return [f"{name} ({n + 1})" if n else name for name, n in zip(names, taken, strict=True)]


def _numbered(of_label: dict[str, str]) -> tuple[int, ...]:
    """Write a grouping as numbers, equal for equal groups whatever they are named."""
    return tuple(pd.factorize(np.array(list(of_label.values())))[0].tolist())


def _moved(usual: tuple[int, ...], other: tuple[int, ...]) -> np.ndarray:
    """Genres that are elsewhere, where as many as possible are at home."""
    shared = pd.crosstab(np.array(usual), np.array(other)).to_numpy()
    homes = dict(zip(*linear_sum_assignment(shared, maximize=True), strict=True))
    return np.array([homes[a] != b for a, b in zip(usual, other, strict=True)])
