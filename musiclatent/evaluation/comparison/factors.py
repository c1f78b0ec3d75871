"""What known factors of rendered music do to vectors: how far, which way, and how separately."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy.spatial.distance import pdist
from sklearn.decomposition import PCA
from sklearn.ensemble import ExtraTreesClassifier, ExtraTreesRegressor

from musiclatent.config import SEED
from musiclatent.data.synthetic.counterfactuals import AS_IT_IS, FACTORS
from musiclatent.evaluation import linear_probes
from musiclatent.evaluation.comparison.judged import Judged, gather
from musiclatent.evaluation.comparison.vectors import Vectors, shared_rows

VARIED = {  # column of the clips, and its kind
    "key": "class",
    "tempo": "number",
    "brightness": "number",
    "lead": "class",
    "mode": "class",
    "level_db": "number",
}
TREES = 60
MOST_AXES = 64  # of a vector, for the disentanglement: wider ones are turned to their first axes
DATASET = "counterfactuals"


def moved(vectors: Vectors, clips: pd.DataFrame) -> pd.DataFrame:
    """Measure how far each factor moves the vector, beside the distance between any two scores.

    Parameters
    ----------
    vectors
        Vectors (B, D) of the clips, all known.
    clips
        B rows: number (of the score), factor (`AS_IT_IS` or one of `FACTORS`).

    Returns
    -------
    DataFrame
        One row per score in the order of its number, one column per factor: the distance from the
        clip as it is, divided by the root mean square distance of two clips as they are. 0 does
        not hear the factor, 1 hears another score.
    """
    x = vectors.scaled(fit_on=_plain(clips))
    usual = np.sqrt(np.square(pdist(x[_plain(clips)])).mean())
    steps = _steps(x, clips)
    return pd.DataFrame({name: np.linalg.norm(step, axis=1) for name, step in steps.items()}) / max(
        usual, 1e-12
    )


def alike(vectors: Vectors, clips: pd.DataFrame) -> pd.DataFrame:
    """Measure whether a step of a factor moves vectors the same way in every style.

    Parameters
    ----------
    vectors, clips
        As in `moved`; the clips have style and direction too.

    Returns
    -------
    DataFrame
        One row per score, one column per factor: the cosine of its step (upwards) with the mean
        step of the scores of the other half of the styles. 1 is the same way everywhere, 0 any
        way; 0 too where nothing moves.
    """
    x, plain = vectors.scaled(fit_on=_plain(clips)), clips.iloc[_plain(clips)]
    style = plain["style"].to_numpy()
    columns = {}
    for name, step in _steps(x, clips).items():
        ways = clips[clips["factor"] == name].sort_values("number")["direction"].to_numpy()
        columns[name] = _cosines(step * ways[:, None], style)
    return pd.DataFrame(columns)


def _cosines(steps: np.ndarray, style: np.ndarray) -> np.ndarray:
    """Return the cosine (N,) of each step with the mean step of the other half of the styles.

    Halves know nothing of each other; the mean of all other styles would lean away from the one
    that is left out.
    """
    names = np.random.default_rng(SEED).permutation(np.unique(style))
    first = np.isin(style, names[: len(names) // 2])
    means = {half: steps[first == half].mean(axis=0) for half in (False, True)}
    others = np.stack([means[not half] for half in first])
    size = np.linalg.norm(steps, axis=1) * np.linalg.norm(others, axis=1)
    return np.where(size > 1e-12, (steps * others).sum(axis=1) / np.maximum(size, 1e-12), 0.0)


def _plain(clips: pd.DataFrame) -> np.ndarray:
    """Return the rows (N,) of the clips as they are, by number."""
    return _rows(clips, AS_IT_IS)


def _rows(clips: pd.DataFrame, factor: str) -> np.ndarray:
    """Return the rows (N,) of one version of every score, by number."""
    rows = np.flatnonzero(clips["factor"] == factor)
    return rows[np.argsort(clips["number"].to_numpy()[rows], kind="stable")]


def _steps(x: np.ndarray, clips: pd.DataFrame) -> dict[str, np.ndarray]:
    """Return by factor the step (N, D) from each clip as it is to its counterfactual."""
    plain = _plain(clips)
    return {factor: x[_rows(clips, factor)] - x[plain] for factor in FACTORS}


def disentangled(vectors: Vectors, clips: pd.DataFrame) -> dict[str, float]:
    """Measure whether each axis of a vector tells one factor, and one axis each factor.

    Parameters
    ----------
    vectors, clips
        As in `moved`; the clips have the columns of `VARIED`.

    Returns
    -------
    dict
        ``disentanglement`` of the axes and ``completeness`` of the factors, each 0 to 1, weighted
        by how much an axis or a factor is told; NaN where nothing is.

    Notes
    -----
    Eastwood and Williams (2018), A framework for the quantitative evaluation of disentangled
    representations; importances are those of extremely randomised trees. A vector of more than
    `MOST_AXES` numbers is turned to its principal axes first.
    """
    x = vectors.scaled()
    if x.shape[1] > MOST_AXES:
        x = PCA(min(MOST_AXES, len(x)), random_state=SEED).fit_transform(x)
    weights = np.stack([_importance(x, clips[name], kind) for name, kind in VARIED.items()], axis=1)
    return {
        "disentanglement": _certainty(weights),
        "completeness": _certainty(weights.T),
    }


def _importance(x: np.ndarray, values: pd.Series, kind: str) -> np.ndarray:
    """Return how much each axis (D,) tells a factor, 0 where its values are all the same."""
    trees = ExtraTreesRegressor if kind == "number" else ExtraTreesClassifier
    options = {"min_samples_leaf": 5, "max_features": 0.5, "random_state": SEED}
    return trees(TREES, **options).fit(x, values.to_numpy()).feature_importances_


def _certainty(weights: np.ndarray) -> float:
    """Return one minus the entropy of each row, weighted by the rows' sums."""
    sums = weights.sum(axis=1)
    if not sums.sum() > 0:
        return float("nan")
    share = weights[sums > 0] / sums[sums > 0, None]
    with np.errstate(divide="ignore", invalid="ignore"):
        entropy = -np.where(share > 0, share * np.log(share), 0).sum(axis=1)
    entropy /= np.log(weights.shape[1])
    return float(np.average(1 - entropy, weights=sums[sums > 0]))


def probed(vectors: Vectors, clips: pd.DataFrame) -> pd.DataFrame:
    """Read the factors off the clips as they are, with styles held out; see `linear_probes.probe`.

    Parameters
    ----------
    vectors, clips
        As in `disentangled`; the clips have group and style.

    Returns
    -------
    DataFrame
        One row per factor of `VARIED`: factor, score, low, high, control, chance.
    """
    plain = _plain(clips)
    x = vectors.take(plain).scaled()
    return linear_probes.probe(x, clips.iloc[plain].reset_index(drop=True), VARIED)


def judge(measured: Mapping[str, Vectors], clips: pd.DataFrame) -> tuple[list[Judged], dict]:
    """Judge encoders by what factors do to their vectors.

    Parameters
    ----------
    measured
        Encoder -> vectors, one row per clip.
    clips
        As `counterfactuals.render` returns them.

    Returns
    -------
    list of Judged
        ``moved_FACTOR`` and ``alike_FACTOR``, one row per score.
    dict
        Encoder -> ``probe_FACTOR`` with ``_low``, ``_high`` and ``_control``, ``disentanglement``
        and ``completeness``.
    """
    rows = shared_rows(measured)
    whole = clips.iloc[rows].groupby("number")["factor"].transform("size") == 1 + len(FACTORS)
    rows = rows[whole.to_numpy()]  # a score that lacks a version is left out for all
    clips = clips.iloc[rows].reset_index(drop=True)
    taken = {name: vectors.take(rows) for name, vectors in measured.items()}
    units = clips.iloc[_plain(clips)]["group"].to_numpy()
    about = {"dataset": DATASET, "split": "each score with itself"}
    judged = gather(
        {name: moved(vectors, clips) for name, vectors in taken.items()},
        units,
        name="moved",
        question="a factor moves the vector, beside another score",
        **about,
    ) + gather(
        {name: alike(vectors, clips) for name, vectors in taken.items()},
        units,
        name="alike",
        question="a factor moves the vector the same way in every style",
        **about,
    )
    return judged, {name: _figures(vectors, clips) for name, vectors in taken.items()}


def _figures(vectors: Vectors, clips: pd.DataFrame) -> dict[str, float]:
    """Return the figures of one encoder that have no value per score."""
    figures = disentangled(vectors, clips)
    for row in probed(vectors, clips).to_dict("records"):
        key = f"probe_{row['factor']}"
        figures |= {key: row["score"], f"{key}_low": row["low"], f"{key}_high": row["high"]}
        figures[f"{key}_control"] = row["control"]
    return figures
