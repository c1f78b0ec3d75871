"""Group genres into types by what their descriptors have in common, and name the types by it.

A type is a cluster of training rows with the genres that have most of their rows in it. Types made
from descriptors favour models that see descriptors: no model of spectrograms shaped them.
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

from musiclatent.analysis import clustering, validation
from musiclatent.config import SEED
from musiclatent.features import descriptors
from musiclatent.files import need_columns, pick

NAMED_BY = 2  # contrasts in a type's name
SHOWN = 5  # contrasts in the table


@dataclass(frozen=True, kw_only=True)
class GenreGroups:
    """Genres grouped into types, and what places further rows.

    Parameters
    ----------
    of_label
        Name of the type of each genre.
    shares
        Share of each genre's rows (index) in the cluster of each type (columns, the largest
        cluster first); a row sums to 1.
    contrasts
        What distinguishes each type: `type`, `genres`, `attribute`, and `difference`, the mean of
        the rows of its genres minus the mean of all others, in standard deviations.
    inertia
        Sum of squared distances of the scaled rows to their centres.
    scaler
        Fitted on the training rows.
    centres
        (K, D) of the clusters, scaled: types (index) by descriptors (columns).
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
            Descriptors (Q, D) in the units of the training rows; further columns are left out.

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
        need_columns(table, columns, "the table has no column", "the types were made with it")
        z = self.scaler.transform(validation.table(table[columns]).to_numpy())
        nearest = pairwise_distances_argmin(z, self.centres.to_numpy())
        return np.array(list(self.centres.index))[nearest]

    def assign(self, labels: Iterable[str]) -> np.ndarray:
        """Return the type of each genre.

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
        return np.array([pick(self.of_label, str(label), "genre") for label in labels])


def fit(
    table: pd.DataFrame, labels: Iterable[str], n_types: int = 3, seed: int = SEED
) -> GenreGroups:
    """Group genres into types by k-means on scaled descriptors and the majority of their rows.

    A genre belongs to the type whose cluster holds most of its rows. Where a cluster would get no
    genre, it gets the one that loses least by it, so that every type has a genre; `shares` shows
    then that most of its rows lie elsewhere. A type is named by its strongest contrasts.

    Parameters
    ----------
    table
        Descriptors (B, D) of training rows only, in any units.
    labels
        Their genres (B,).
    n_types
        Number of types.
    seed
        Seed of the first centres.

    Returns
    -------
    GenreGroups
        Scaler, clusters, genres and names, all of these rows.

    Raises
    ------
    ValueError
        If lengths differ, numbers or labels are missing, or there are fewer than two types or
        fewer genres than types.
    """
    labels = validation.labelled_table(table, labels)
    n_labels = len(np.unique(labels))
    if not 2 <= n_types <= n_labels:
        raise ValueError(
            f"{n_labels} genres cannot form {n_types} types; choose two or more, "
            "and no more than genres"
        )
    scaler = StandardScaler().fit(table.to_numpy())
    z = pd.DataFrame(scaler.transform(table.to_numpy()), columns=table.columns)
    model = KMeans(n_types, n_init=clustering.STARTS, random_state=seed).fit(z.to_numpy())
    order = clustering.largest_first(np.bincount(model.labels_, minlength=n_types))
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
    table: pd.DataFrame,
    labels: Iterable[str],
    *,
    n_types: int = 3,
    seeds: Iterable[int] = range(10),
) -> dict[str, float | str]:
    """Compute how much the grouping depends on the seed, and on the sample of rows.

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
        the search alone, so ``same_map_resampled`` and ``moving_resampled`` are the same where each
        seed also draws the rows again, with replacement.

    Raises
    ------
    ValueError
        As `fit`, or if there are fewer than two seeds.

    Notes
    -----
    Hubert and Arabie (1985), Comparing partitions.
    """
    labels = validation.labelled_table(table, labels)
    seeds = list(seeds)
    if len(seeds) < 2:
        raise ValueError(f"{len(seeds)} seed has nothing to agree with; give two or more")
    fits = [fit(table, labels, n_types, seed) for seed in seeds]
    clusters = [types.place(table) for types in fits]
    rand = np.mean([adjusted_rand_score(*pair) for pair in combinations(clusters, 2)])
    samples = [_resample(labels, seed) for seed in seeds]
    resampled = [fit(table.iloc[rows], labels[rows], n_types) for rows in samples]
    same, moving = _agreement(fits)
    same_resampled, moving_resampled = _agreement(resampled)
    return {
        "adjusted_rand": float(rand),
        "same_map": same,
        "moving": moving,
        "same_map_resampled": same_resampled,
        "moving_resampled": moving_resampled,
    }


def _resample(labels: np.ndarray, seed: int) -> np.ndarray:
    """Draw as many rows of each genre again, with replacement."""
    rng = np.random.default_rng(seed)
    parts = [np.flatnonzero(labels == label) for label in np.unique(labels)]
    return np.concatenate([rng.choice(rows, len(rows)) for rows in parts])


def _agreement(fits: list[GenreGroups]) -> tuple[float, str]:
    """Return the share of the most common grouping, and the genres that others group otherwise."""
    # Codes in the order of appearance: equal for equal groups, whatever they are named.
    codes = [pd.factorize(np.array(list(groups.of_label.values())))[0] for groups in fits]
    common, count = Counter(map(tuple, codes)).most_common(1)[0]
    moved = np.any([_moved(common, other) for other in codes], axis=0)
    return count / len(codes), ", ".join(np.array(list(fits[0].of_label))[moved])


def _majority(shares: np.ndarray) -> np.ndarray:
    """Return the type of each genre: its largest share, but each type gets a genre."""
    types = shares.argmax(axis=1)
    loss = shares.max(axis=1, keepdims=True) - shares
    genres, owners = linear_sum_assignment(loss)
    types[genres] = owners
    return types


def _contrasts(z: pd.DataFrame, types: pd.Series, labels: np.ndarray) -> pd.DataFrame:
    """Return the strongest contrasts of each type (a number here), one of a family."""
    tables = []
    for k in range(types.max() + 1):
        genres = types.index[types == k]
        inside = np.isin(labels, genres)
        difference = z[inside].mean() - z[~inside].mean()
        difference = difference.sort_values(key=np.abs, ascending=False, kind="stable")
        top = difference[~difference.index.map(descriptors.family).duplicated()].head(SHOWN)
        top = top.rename_axis("attribute").reset_index(name="difference")
        tables.append(top.assign(type=k, genres=", ".join(genres)))
    return pd.concat(tables, ignore_index=True)[["type", "genres", "attribute", "difference"]]


def _names(contrasts: pd.DataFrame) -> list[str]:
    """Return a name of each type by its strongest contrasts; a name that is taken gets a number."""
    names = []
    for _, rows in contrasts.groupby("type"):
        first = rows.head(NAMED_BY)
        level = np.where(first["difference"] > 0, "high", "low")
        names.append(", ".join(map("{} {}".format, level, first["attribute"])))
    taken = pd.Series(names).groupby(names).cumcount()
    return [f"{name} ({n + 1})" if n else name for name, n in zip(names, taken, strict=True)]


def _moved(common: tuple[int, ...], other: np.ndarray) -> np.ndarray:
    """Return which genres another grouping groups otherwise, its types matched at best."""
    shared = pd.crosstab(np.array(common), other).to_numpy()
    matched = dict(zip(*linear_sum_assignment(shared, maximize=True), strict=True))
    return np.array([matched[a] != b for a, b in zip(common, other, strict=True)])
