"""Measure genre baselines on folds, and how much of a figure is leakage.

A random split of GTZAN has artists, and duplicates of a recording, on both sides. The tables here
set it beside stricter splits of the same clips.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import pandas as pd
from sklearn.decomposition import PCA
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.model_selection import GridSearchCV, StratifiedGroupKFold, train_test_split
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline
from sklearn.svm import SVC

from musiclatent.analysis import clustering, neighbours, pooling, statistics
from musiclatent.config import SEED
from musiclatent.features import fingerprint, mel_descriptors, stft

C = 5.0  # of the support vector machine, as in the figures that the data's README names
COMPONENTS = 128
FOLDS = 5  # spectrograms: one fold is the test part
SHRINKAGES = [0.1, 0.3, 0.5, 0.7, 0.9]
METRICS = ["recall_at_1", "mean_average_precision", "v_measure", "silhouette"]
WINDOW = ["item_id", "start_s", "group"]  # which window it is, and of which recording
TEST_SHARE = 0.25  # descriptors: of the published random lists
Split = tuple[np.ndarray, np.ndarray]  # rows to train on, rows to test on


def svm_predictions(
    z_train: np.ndarray, labels_train: np.ndarray, z_test: np.ndarray
) -> np.ndarray:
    """Predict labels (Q,) of `z_test` (Q, D) by a support vector machine, RBF kernel, C = 5."""
    return SVC(C=C).fit(z_train, labels_train).predict(z_test)


def score_vectors(
    z_train: np.ndarray, labels_train: np.ndarray, *, z_test: np.ndarray, labels_test: np.ndarray
) -> dict[str, float]:
    """Evaluate vectors by their neighbours in the training part, and by k-means of the test part.

    Parameters
    ----------
    z_train, labels_train
        Vectors (B, D) and labels (B,) that the neighbours know.
    z_test, labels_test
        Vectors (Q, D) and labels (Q,) to evaluate on, of two labels at least.

    Returns
    -------
    dict
        As `neighbours.knn`; and ``v_measure`` and ``silhouette`` of k-means with as many clusters
        as there are labels.
    """
    metrics = neighbours.knn(z_train, labels_train, z_test=z_test, labels_test=labels_test)
    clusters = clustering.kmeans(z_test, len(np.unique(labels_test)))
    metrics["v_measure"] = clustering.label_scores(labels_test, clusters)["v_measure"]
    metrics["silhouette"] = clustering.evaluate(z_test, clusters)["silhouette"]
    return metrics


def baselines(
    x: np.ndarray, items: pd.DataFrame, *, chosen: Sequence[int]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Evaluate what is to be had without a network.

    Parameters
    ----------
    x
        Spectrograms (B, M, T) in dB or standardised, as large as `mel_descriptors.extract` asks.
    items
        Their rows (B): `WINDOW`, `label`, and `fold`, int; a group never straddles.
    chosen
        Folds to test on; each time all other rows are for training.

    Returns
    -------
    DataFrame
        One row per method and fold: `method`, `fold`, and `score_vectors`. Methods: ``knn``
        (k = 10), ``svm`` and ``knn_lda`` (neighbours among `discriminants`) on ``band_stats``;
        ``pooled_input``, the spectrogram pooled as a latent is, see `pooling.embedding`;
        ``descriptors``, those of `mel_descriptors`; ``pca``, 128 components. All are standardised
        and fitted on training rows.
    DataFrame
        One row per method and test row: `WINDOW`, `method`, `fold`, `right`.

    Raises
    ------
    ValueError
        If lengths differ, or a fold has no rows, or all of them.
    """
    _same_length(x, items["label"], items["fold"])
    features = _without_network(x)
    rows, answers = [], []
    for fold in chosen:
        test = items["fold"].eq(fold).to_numpy()
        if test.all() or not test.any():
            raise ValueError(f"fold {fold} holds {test.sum()} of {len(test)} rows; choose another")
        for feature, z in features.items():
            z_train, z_test = _prepared(feature, z, test)
            for method, right, figures in _judged(z_train, z_test, items[~test], items[test]):
                about = {"method": f"{method}_{feature}", "fold": fold}
                rows.append(about | figures)
                answers.append(items.loc[test, WINDOW].assign(right=right, **about))
    return pd.DataFrame(rows), pd.concat(answers, ignore_index=True)


def _without_network(x: np.ndarray) -> dict[str, np.ndarray]:
    """Return what spectrograms (B, M, T) give without a network: name -> (B, D)."""
    scaled = stft.scale(np.asarray(x, np.float32))[0]
    return {
        "band_stats": pooling.mean_and_deviation(x),
        "pooled_input": pooling.embedding(scaled),
        "descriptors": mel_descriptors.extract(scaled),
        "pca": scaled.reshape(len(x), -1),  # B x MT
    }


def _prepared(feature: str, z: np.ndarray, test: np.ndarray) -> Split:
    """Return the training and the test rows of a feature as methods take them."""
    if feature == "pca":
        return _pca(z, ~test, test)
    return neighbours.standardise(z[~test], z[test])


def _judged(
    z_train: np.ndarray, z_test: np.ndarray, train: pd.DataFrame, test: pd.DataFrame
) -> Iterator[tuple[str, np.ndarray, dict[str, float]]]:
    """Yield each method, whether it was right (Q,), and its figures."""
    labels, truth = train["label"].to_numpy(str), test["label"].to_numpy(str)
    reduced = discriminants(z_train, labels, groups=train["group"].to_numpy(), z=z_test)
    for method, (a, b) in {"knn": (z_train, z_test), "knn_lda": reduced}.items():
        right = neighbours.predictions(a, labels, b) == truth
        yield method, right, score_vectors(a, labels, z_test=b, labels_test=truth)
    right = svm_predictions(z_train, labels, z_test) == truth
    yield "svm", right, {"accuracy": right.mean(), "n": len(right)}


def discriminants(
    z_train: np.ndarray, labels: np.ndarray, *, groups: np.ndarray, z: np.ndarray
) -> Split:
    """Reduce vectors to the directions in which labels lie apart, one fewer than labels.

    Parameters
    ----------
    z_train
        Vectors (B, D), standardised.
    labels, groups
        Label and recording of each (B,). By folds of them that keep a recording whole the shrinkage
        of the scatter is chosen, for the neighbours that vote afterwards.
    z
        Vectors (Q, D) to reduce by the same.

    Returns
    -------
    array, array
        (B, L - 1) and (Q, L - 1).

    Notes
    -----
    Ledoit and Wolf (2004), Honey, I shrunk the sample covariance matrix, for the shrunken scatter;
    its share is searched here.
    """
    fewest = pd.Series(groups).groupby(labels).nunique().min()
    model = LinearDiscriminantAnalysis(solver="eigen", shrinkage=SHRINKAGES[-1])
    if fewest > 1:
        folds = StratifiedGroupKFold(min(FOLDS, fewest), shuffle=True, random_state=SEED)
        vote = Pipeline([("lda", model), ("knn", KNeighborsClassifier(neighbours.K))])
        search = GridSearchCV(vote, {"lda__shrinkage": SHRINKAGES}, cv=folds)
        model = search.fit(z_train, labels, groups=groups).best_estimator_["lda"]
    else:
        model.fit(z_train, labels)
    return model.transform(z_train), model.transform(z)


def descriptor_leakage(
    table: pd.DataFrame,
    filtered: pd.Series,
    random: pd.Series,
    pairs: pd.DataFrame | None = None,
    seeds: int = 20,
) -> pd.DataFrame:
    """Measure how much of the accuracy on GTZAN's descriptors is leakage, by an SVM.

    Parameters
    ----------
    table
        One row per clip: item_id, label, and the descriptors.
    filtered
        Split of each item_id by the fault-filtered lists: ``train`` and ``validation`` are for
        training, ``test`` is classified, other clips are left out.
    random
        The same by the published random lists.
    pairs
        Columns clip_a and clip_b, clips that hold the same recording. None leaves their rows out.
    seeds
        How many random splits each row that draws its own takes the mean of.

    Returns
    -------
    DataFrame
        `protocol`, `accuracy`, `sd` over the random splits (NaN of a published one), `low` and
        `high` (95 % interval of one test part of `n_test` clips), `n_test`, `seeds`. Protocols:
        ``random`` (the lists), ``random_1000`` (their clips drawn again, stratified as they are),
        ``random_930`` (the clips of the filtered lists drawn again, plainly, with parts of the
        same size), ``filtered``; ``pairs_split`` (one clip of each pair on either side) and
        ``pairs_together`` (half of the pairs on either side; all other clips as in the former).

    Raises
    ------
    ValueError
        If a list names no clip of the table, a pair an unknown one, or a label is too rare.
    """
    x = table.drop(columns=["item_id", "label"]).to_numpy(float)
    labels = table["label"].to_numpy()
    by_random, by_filtered = _by_list(table, random), _by_list(table, filtered)
    all_1000, all_930 = (np.sort(np.concatenate(split)) for split in (by_random, by_filtered))
    n_1000, n_930 = len(by_random[1]), len(by_filtered[1])
    protocols = {
        "random": [by_random],
        "random_1000": [_stratified(labels, all_1000, n_1000, seed) for seed in range(seeds)],
        "random_930": [
            train_test_split(all_930, test_size=n_930, random_state=seed) for seed in range(seeds)
        ],
        "filtered": [by_filtered],
    }
    if pairs is not None:
        protocols |= _pair_protocols(labels, _groups(table, pairs), TEST_SHARE, seeds)
    return _accuracies(x, labels, protocols, svm_predictions)


def spectrogram_leakage(
    features: np.ndarray, labels: np.ndarray, *, groups: np.ndarray, seeds: int = 20
) -> pd.DataFrame:
    """Measure how much of the accuracy of neighbours is due to duplicate recordings.

    Parameters
    ----------
    features
        Vectors (B, D): summaries of spectrograms, or embeddings of an encoder that no label taught.
        They are standardised on the training rows; k = 10.
    labels
        Their labels (B,).
    groups
        Group of each row (B,): equal for the same recording. Artists are not known.
    seeds
        How many random splits each row takes the mean of.

    Returns
    -------
    DataFrame
        Columns as `descriptor_leakage`. Protocols: ``random`` (a stratified fifth is classified),
        ``by_group`` (one of five stratified folds by group), ``pairs_split`` and
        ``pairs_together``.

    Raises
    ------
    ValueError
        If lengths differ, numbers are missing, or a label is too rare.
    """
    labels, groups = np.asarray(labels), np.asarray(groups)
    _same_length(features, labels, groups)
    rows = np.arange(len(labels))
    n_test = len(rows) // FOLDS
    folds = [StratifiedGroupKFold(FOLDS, shuffle=True, random_state=seed) for seed in range(seeds)]
    protocols = {
        "random": [_stratified(labels, rows, n_test, seed) for seed in range(seeds)],
        "by_group": [next(fold.split(labels, labels, groups)) for fold in folds],
    }
    protocols |= _pair_protocols(labels, groups, 1 / FOLDS, seeds)
    return _accuracies(features, labels, protocols, neighbours.predictions)


def _accuracies(
    x: np.ndarray, labels: np.ndarray, protocols: dict[str, Iterable[Split]], predict: Callable
) -> pd.DataFrame:
    """Return one row per protocol: the mean over its splits."""
    rows = []
    for protocol, splits in protocols.items():
        scores = []
        for train, test in splits:
            z_train, z_test = neighbours.standardise(x[train], x[test])
            scores.append(np.mean(predict(z_train, labels[train], z_test) == labels[test]))
        sd = np.std(scores, ddof=1) if len(scores) > 1 else np.nan
        bounds = statistics.wilson(np.mean(scores), len(test))
        rows.append((protocol, np.mean(scores), sd, *bounds, len(test), len(scores)))
    columns = ["protocol", "accuracy", "sd", "low", "high", "n_test", "seeds"]
    return pd.DataFrame(rows, columns=columns)


def _by_list(table: pd.DataFrame, split: pd.Series) -> Split:
    """Return the rows of a published split."""
    part = table["item_id"].map(split)
    train = np.flatnonzero(part.isin(["train", "validation"]))
    test = np.flatnonzero(part == "test")
    if not len(train) or not len(test):
        raise ValueError("the split names no clip of the table for training or testing; match ids")
    return train, test


def _stratified(labels: np.ndarray, rows: np.ndarray, n_test: int, seed: int) -> Split:
    """Draw a split of rows at random, each label in its share."""
    names, counts = np.unique(labels[rows], return_counts=True)
    if counts.min() < FOLDS:
        raise ValueError(
            f"label {str(names[counts.argmin()])!r} has {counts.min()} clips to divide; "
            f"leave labels with fewer than {FOLDS} out"
        )
    return train_test_split(rows, test_size=n_test, random_state=seed, stratify=labels[rows])


def _pair_protocols(
    labels: np.ndarray, groups: np.ndarray, share: float, seeds: int
) -> dict[str, list[Split]]:
    """Draw splits in which duplicates straddle, or never do; the rest is the same."""
    return {
        "pairs_split": [_with_pairs(labels, groups, share, s, False) for s in range(seeds)],
        "pairs_together": [_with_pairs(labels, groups, share, s, True) for s in range(seeds)],
    }


def _with_pairs(
    labels: np.ndarray, groups: np.ndarray, share: float, seed: int, together: bool
) -> Split:
    """Draw a split of single clips at random, and of half of the repeated ones each way."""
    names, inverse, counts = np.unique(groups, return_inverse=True, return_counts=True)
    single = np.flatnonzero(counts[inverse] == 1)
    test = np.zeros(len(labels), bool)
    if len(single):
        test[_stratified(labels, single, round(share * len(single)), seed)[1]] = True
    rng = np.random.default_rng(seed)
    for turn, group in enumerate(rng.permutation(names[counts > 1])):
        rows = rng.permutation(np.flatnonzero(groups == group))
        if together:
            test[rows] = turn % 2
        else:
            test[rows[turn % 2 :: 2]] = True
    return np.flatnonzero(~test), np.flatnonzero(test)


def _groups(table: pd.DataFrame, pairs: pd.DataFrame) -> np.ndarray:
    """Return the group of each clip: equal where pairs connect."""
    row = pd.Series(range(len(table)), index=table["item_id"])
    clips = pairs[["clip_a", "clip_b"]]
    rows = clips.apply(lambda names: names.str.removesuffix(".wav").map(row))
    rows.columns = ["a", "b"]
    missing = clips[rows.isna().any(axis=1)]
    if len(missing):
        pair = ", ".join(missing.iloc[0])
        raise ValueError(f"the pair {pair} is not in the table; give pairs of the same corpus")
    return fingerprint.connected_groups(len(table), rows)


def _pca(flat: np.ndarray, train: np.ndarray, test: np.ndarray) -> Split:
    """Return principal components of training rows, and the test rows on them."""
    n = min(COMPONENTS, len(flat[train]), flat.shape[1])
    model = PCA(n, svd_solver="randomized", random_state=SEED).fit(flat[train])
    return model.transform(flat[train]), model.transform(flat[test])


def _same_length(x: np.ndarray, labels: np.ndarray, groups: np.ndarray) -> None:
    """Validate that tables are of one length."""
    if not len(x) == len(labels) == len(groups):
        raise ValueError(
            f"{len(x)} rows, {len(labels)} labels and {len(groups)} folds or groups; "
            "give one of each per row"
        )
