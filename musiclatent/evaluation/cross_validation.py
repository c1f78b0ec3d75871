"""Evaluate experiments on data that their encoders never saw: one encoder for each split.

Neighbours, their standardisation and the encoder see the training part of a split, and only those
of its labels that the encoder was given.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from musiclatent import config, studies
from musiclatent.analysis import neighbours, pooling, projection, statistics
from musiclatent.config import Experiment, Study, Workspace
from musiclatent.data.datamodules import CorpusDataModule
from musiclatent.evaluation import (
    attribute_classification,
    genre_networks,
    leakage,
)
from musiclatent.evaluation.attribute_classification import Predictions
from musiclatent.latents import encode
from musiclatent.latents.store import Latents
from musiclatent.training import fit, supervised
from musiclatent.training.run_folder import Run

SHARES = (0.1, 0.5, 1.0)  # of the labels
EMBEDDED = ("genre-crnn", "genre-joint")  # rows whose features are tried as an embedding


def train_on_split(
    experiment: Experiment, study: Study, *, space: Workspace, split: str, labelled: float = 1.0
) -> tuple[Run, Latents]:
    """Train an experiment on one split of the study's corpus, and encode all of the corpus.

    Parameters
    ----------
    experiment
        What to train; it takes the profile's epochs for evaluation over folds.
    study, space
        What is studied, and where its results go.
    split
        Such as ``outer-0``, see `corpus.load`; a number at its end is the seed of the weights.
    labelled
        Share of the training windows whose label is known, in (0, 1].

    Returns
    -------
    Run
        What was trained, or reused.
    Latents
        Of every window; the column `known` marks the labels that the encoder was given.
    """
    data = CorpusDataModule.of_study(study, space, split=split)
    plan = replace(experiment, training=replace(experiment.training, labelled=labelled))
    name = f"{experiment.name}-{split}"
    if labelled < 1:
        name += f"-{labelled:.0%}"
    epochs = plan.training.epochs(config.profile(space.profile), f"{study.name}-folds")
    digits = split.rpartition("-")[2]
    seed = int(digits) if digits.isdigit() else config.SEED
    run = fit.train_experiment(
        plan, data, folder=space.path("folds", name), epochs=epochs, seed=seed
    )
    encoded = encode.encode_corpus(run, data, space.path("folds", name, "latents"))
    return run, replace(encoded, items=encoded.items.assign(known=data.targets() >= 0))


def score_embeddings(encoded: Latents) -> dict[str, float]:
    """Evaluate embeddings of the test part by neighbours in the training part, and by k-means.

    Parameters
    ----------
    encoded
        Latents of a corpus with labels; items has `label`, `split`, `silent`, and may have `known`.

    Returns
    -------
    dict
        As `leakage.score_vectors`.

    Raises
    ------
    ValueError
        If the training or the test part has no label.
    """
    z, labels, fitted, test = _parts(encoded)
    return leakage.score_vectors(
        z[fitted], labels[fitted], z_test=z[test], labels_test=labels[test]
    )


def neighbour_predictions(encoded: Latents) -> pd.DataFrame:
    """Return what the neighbours of each window of the test part say.

    Parameters
    ----------
    encoded
        As in `score_embeddings`; items has the columns `leakage.WINDOW` too.

    Returns
    -------
    DataFrame
        One row per window: `leakage.WINDOW`, `label`, `predicted`; and `predicted_lda`, by the
        neighbours among the `leakage.discriminants` of the embeddings, as baselines have them.
    """
    z, labels, fitted, test = _parts(encoded)
    rows = encoded.items.loc[test, [*leakage.WINDOW, "label"]].reset_index(drop=True)
    groups = encoded.items["group"].to_numpy()
    reduced = leakage.discriminants(z[fitted], labels[fitted], groups=groups[fitted], z=z[test])
    return rows.assign(
        predicted=neighbours.predictions(z[fitted], labels[fitted], z[test]),
        predicted_lda=neighbours.predictions(reduced[0], labels[fitted], reduced[1]),
    )


def _parts(encoded: Latents) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return standardised vectors (B, D), labels (B,), rows to fit on, rows to evaluate on."""
    items = encoded.items
    labels = items["label"].to_numpy(str)
    usable = (labels != "") & ~items["silent"].to_numpy(bool)
    fitted = usable & items["split"].eq("train").to_numpy()
    if "known" in items:
        fitted &= items["known"].to_numpy(bool)
    test = usable & items["split"].eq("test").to_numpy()
    if not fitted.any() or len(np.unique(labels[test])) < 2:
        raise ValueError(
            f"{fitted.sum()} training windows have a known label, and the test windows have the "
            f"labels {sorted(set(labels[test]))}; give some, and two labels to classify"
        )
    z = pooling.window_vectors(encoded)
    return neighbours.standardise(z[fitted], z)[1], labels, fitted, test


def evaluate_splits(
    experiments: Sequence[Experiment],
    study: Study,
    *,
    space: Workspace,
    splits: Sequence[str],
    labelled: float = 1.0,
) -> tuple[pd.DataFrame, dict[str, pd.DataFrame]]:
    """Train and evaluate experiments on several splits; what was trained before is reused.

    Parameters
    ----------
    experiments, study, space, labelled
        As in `train_on_split`.
    splits
        Names of splits.

    Returns
    -------
    DataFrame
        One row per experiment and split: experiment, split, labelled, and `score_embeddings`.
    dict
        Experiment -> predictions of all splits, see `neighbour_predictions`.
    """
    rows, predictions = [], {}
    for experiment in experiments:
        parts = []
        for split in splits:
            _, encoded = train_on_split(
                experiment, study, space=space, split=split, labelled=labelled
            )
            row = {"experiment": experiment.name, "split": split, "labelled": labelled}
            rows.append(row | score_embeddings(encoded))
            parts.append(neighbour_predictions(encoded))
        predictions[experiment.name] = pd.concat(parts, ignore_index=True)
    return pd.DataFrame(rows), predictions


def answers(predictions: dict[str, pd.DataFrame], names: dict[str, str]) -> pd.DataFrame:
    """Return whether neighbours of embeddings were right, as `leakage.baselines` has it.

    Parameters
    ----------
    predictions
        Experiment -> rows of `evaluate_splits`.
    names
        Experiment -> ending of its methods: ``knn_NAME`` and ``knn_lda_NAME``.

    Returns
    -------
    DataFrame
        One row per method and window: `leakage.WINDOW`, `method`, `right`.
    """
    parts = []
    for name, rows in predictions.items():
        for column, method in {"predicted": "knn", "predicted_lda": "knn_lda"}.items():
            right = rows[column] == rows["label"]
            about = {"method": f"{method}_{names[name]}", "right": right}
            parts.append(rows[leakage.WINDOW].assign(**about))
    return pd.concat(parts, ignore_index=True)


def compare_methods(answered: pd.DataFrame, *, reference: str) -> pd.DataFrame:
    """Compare methods that judged the same windows, over recordings.

    Parameters
    ----------
    answered
        `leakage.WINDOW`, `method`, `right`; every method has the same windows.
    reference
        The method that all others are set against.

    Returns
    -------
    DataFrame
        By method, the best first: `accuracy`, `low`, `high` (95 %, over recordings), `n`; and
        `difference` to the reference with `difference_low`, `difference_high` and `p`.

    Raises
    ------
    ValueError
        If methods judged other windows.
    """
    window = leakage.WINDOW[:2]
    known = {n: part.set_index(window).sort_index() for n, part in answered.groupby("method")}
    base, rows = known[reference], {}
    for name, one in known.items():
        if not one.index.equals(base.index):
            raise ValueError(f"{name} judged other windows than {reference}; judge the same")
        alone = statistics.mean(one["right"], one["group"])
        gain = statistics.paired(one["right"], base["right"], one["group"])
        rows[name] = {"accuracy": alone.estimate, "low": alone.low, "high": alone.high}
        rows[name] |= {"n": len(one)} | gain.named("difference")
    table = pd.DataFrame(rows).T.rename(columns={"difference_p": "p"})
    return table.sort_values("accuracy", ascending=False, kind="stable")


def summarise_splits(scores: pd.DataFrame, predictions: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Summarise what `evaluate_splits` returns by experiment.

    Parameters
    ----------
    scores, predictions
        As returned by `evaluate_splits`.

    Returns
    -------
    DataFrame
        Means over the splits by experiment; `sd` of the accuracy over the splits, each with a seed
        of its own; `low` and `high`, its 95 % interval over the recordings of all splits.
    """
    parts = scores.groupby("experiment", sort=False)
    summary = parts[["accuracy", *leakage.METRICS]].mean()
    summary["sd"] = parts["accuracy"].std()
    for name, rows in predictions.items():
        one = statistics.mean(rows["predicted"] == rows["label"], rows["group"])
        summary.loc[name, ["low", "high"]] = one.low, one.high
    return summary[["accuracy", "sd", "low", "high", *leakage.METRICS]]


def fewer_labels(
    experiment: Experiment,
    study: Study,
    *,
    space: Workspace,
    splits: Sequence[str],
    shares: Sequence[float] = SHARES,
) -> pd.Series:
    """Return the mean accuracy for each share of the labels that encoder and neighbours see.

    A demo leaves the least one out.
    """
    shares = shares[1:] if config.profile(space.profile).demo else shares
    tables = [
        evaluate_splits([experiment], study, space=space, splits=splits, labelled=share)[0]
        for share in shares
    ]
    return pd.Series([table["accuracy"].mean() for table in tables], list(shares), name="accuracy")


def classify_latents(space: Workspace, split: str) -> Predictions | None:
    """Classify by an SVM the latents of the study ``mel``, whose encoder saw the same split.

    Parameters
    ----------
    space
        Where the results of genre go; the encoder is that which the study ``mel`` trained beside,
        or an embedded one that is trained here.
    split
        Such as ``outer-0``.

    Returns
    -------
    Predictions or None
        None where there is no such encoder.
    """
    study = studies.study("mel", space.profile)
    row = study.main()
    beside = replace(space, study="mel")
    trained = beside.path("folds", f"{row.name}-{split}", "latents") / "provenance.json"
    if trained.exists():
        space = beside
    elif config.profile(space.profile).demo is None:
        return None
    _, encoded = train_on_split(row, study, space=space, split=split)
    usable = encoded.items["label"].ne("") & ~encoded.items["silent"].astype(bool)
    items, z = encoded.items[usable], pooling.window_vectors(encoded)[usable]
    train, test = (items["split"].eq(part).to_numpy() for part in ("train", "test"))
    labels = items["label"].to_numpy(str)
    predictions = attribute_classification.fit_predict("svm", z, labels, train, test)
    units = items["group"].to_numpy()[test]
    return replace(predictions, name=f"mel_latents_{split.replace('-', '_')}", units=units)


def embed_excerpts(
    experiment: Experiment, data: genre_networks.Excerpts, *, folders: dict[int, Path], epochs: int
) -> np.ndarray:
    """Embed excerpts by networks of several seeds, side by side: what each scores, standardised.

    Parameters
    ----------
    experiment, data, epochs
        As in `genre_networks.train_network`.
    folders
        Seed of the weights -> folder of that network.

    Returns
    -------
    array
        Vectors (B, D) of all excerpts; only those of the training part were learned from.
    """
    parts, train = [], data.part("train")
    for seed, folder in folders.items():
        network = genre_networks.train_network(
            experiment, data, folder=folder, epochs=epochs, seed=seed
        )
        inputs = data.inputs(np.ones(len(train), bool), network.takes_descriptors)
        z = supervised.class_features(network.folder, inputs)
        parts.append(neighbours.standardise(z[train], z)[1])
    return np.concatenate(parts, axis=1)


def embeddings(
    space: Workspace, split: str, *, seeds: Sequence[int], names: Sequence[str] = EMBEDDED
) -> tuple[dict[str, np.ndarray], genre_networks.Excerpts]:
    """Embed the excerpts of one split by networks that learned genre from its training part.

    Parameters
    ----------
    space
        Where results go. On real data the networks are those of the study ``genre`` beside it,
        trained there or reused; embedded ones stay here, as both studies may be at work.
    split
        Such as ``outer-0``.
    seeds
        Of the networks side by side, as in `genre_networks.evaluate_over_folds`.
    names
        Rows of the study.

    Returns
    -------
    dict
        Name -> vectors (B, D); ``NAME_descriptors`` has the `leakage.discriminants` of the
        descriptors beside them, with equal weight.
    Excerpts
        Whose they are.
    """
    study, profile = studies.study("genre", space.profile), config.profile(space.profile)
    space = space if profile.demo else replace(space, study="genre")
    epochs = profile.epochs["genre"]
    data, found = genre_networks.load_excerpts(study, space, split), {}
    train = data.part("train")
    z = neighbours.standardise(data.descriptors[train], data.descriptors)[1]
    groups = data.items["group"].to_numpy()[train]
    beside = leakage.discriminants(z[train], data.labels[train], groups=groups, z=z)[1]
    for name in names:
        row, folders = (
            study.experiment(name),
            genre_networks.seed_folders(space, name, split, seeds),
        )
        found[row.key] = z = embed_excerpts(row, data, folders=folders, epochs=epochs)
        found[f"{row.key}_descriptors"] = np.concatenate([_even(z, train), _even(beside, train)], 1)
    return found, data


def _even(z: np.ndarray, train: np.ndarray) -> np.ndarray:
    """Return vectors (B, D) scaled so that those of training rows have a mean square of 1."""
    return z / np.sqrt(np.square(z[train]).sum(axis=1).mean())


def best_embedding(
    space: Workspace, *, chosen_on: Sequence[str], splits: Sequence[str]
) -> tuple[pd.Series, pd.DataFrame]:
    """Choose an embedding on some folds, and judge it on others by its neighbours.

    A demo tries those of `EMBEDDED` without the recurrent network alone.

    Parameters
    ----------
    space
        As in `embeddings`.
    chosen_on
        Splits on which the best one is found, with one seed.
    splits
        Splits on which that one is judged, with all seeds of the profile side by side.

    Returns
    -------
    Series
        Embedding -> mean accuracy on `chosen_on`; the highest is the chosen one.
    DataFrame
        One row per window of `splits`: `leakage.WINDOW`, `method` (``knn_best_embedding``),
        `embedding`, `right`.
    """
    profile = config.profile(space.profile)
    names = EMBEDDED[1:] if profile.demo else EMBEDDED
    tried = [
        _neighbours_right(*embeddings(space, split, seeds=[0], names=names)) for split in chosen_on
    ]
    scores = pd.concat(tried).groupby("embedding", sort=False)["right"].mean()
    best, seeds = str(scores.idxmax()), profile.seeds
    study = studies.study("genre", space.profile)
    names = [name for name in names if study.experiment(name).key == best.split("_")[0]]
    parts = [
        _neighbours_right(*embeddings(space, split, seeds=seeds, names=names)) for split in splits
    ]
    judged = pd.concat(parts, ignore_index=True)
    return scores, judged[judged["embedding"] == best].assign(method="knn_best_embedding")


def _neighbours_right(found: dict[str, np.ndarray], data: genre_networks.Excerpts) -> pd.DataFrame:
    """Return for each embedding and test row whether the neighbours were right."""
    train, test = data.part("train"), data.part("test")
    parts = []
    for name, z in found.items():
        predicted = neighbours.predictions(z[train], data.labels[train], z[test])
        rows = data.items.loc[test, leakage.WINDOW]
        parts.append(rows.assign(embedding=name, right=predicted == data.labels[test]))
    return pd.concat(parts, ignore_index=True)


def group_leakage(
    experiments: Sequence[Experiment], study: Study, *, space: Workspace, folds: Sequence[int]
) -> pd.DataFrame:
    """Evaluate experiments on folds by group, and on random splits that tear groups apart.

    Parameters
    ----------
    experiments, study, space
        As in `train_on_split`.
    folds
        Folds by group; and as many random splits, with the same seeds.

    Returns
    -------
    DataFrame
        `protocol` (experiment and ``by_group`` or ``random``), `accuracy`, `sd` over the splits,
        `low` and `high` (95 %, over recordings), `n_test`, `seeds`.
    """
    rows = []
    for protocol, kind in (("by_group", "outer"), ("random", "shuffled")):
        scores, predictions = evaluate_splits(
            experiments, study, space=space, splits=[f"{kind}-{k}" for k in folds]
        )
        summary = summarise_splits(scores, predictions)[["accuracy", "sd", "low", "high"]]
        summary["protocol"] = summary.index + f" {protocol}"
        summary["n_test"] = scores.groupby("experiment")["n"].sum()
        rows.append(summary.assign(seeds=len(folds)))
    return pd.concat(rows, ignore_index=True)


def held_out_maps(
    experiments: Sequence[Experiment], study: Study, *, space: Workspace, split: str
) -> tuple[dict[str, np.ndarray], pd.Series, dict[str, float]]:
    """Project held-out windows by a map that was fitted on the training windows of their encoder.

    Parameters
    ----------
    experiments, study, space, split
        As in `train_on_split`.

    Returns
    -------
    dict
        Title -> points (B, 2) of the test part.
    Series
        Their labels.
    dict
        ``trustworthiness_KEY`` and ``classical_jazz_distance_KEY`` of each experiment.
    """
    panels, metrics = {}, {}
    labels = pd.Series(dtype=str)
    for row in experiments:
        _, encoded = train_on_split(row, study, space=space, split=split)
        z, part = pooling.window_vectors(encoded), encoded.items["split"].to_numpy()
        test = part == "test"
        points = projection.umap(z, fit_on=part == "train").points[test]
        labels = encoded.items.loc[test, "label"]
        panels[f"{row.name}, held out"] = points
        metrics[f"trustworthiness_{row.key}"] = projection.trustworthiness(z[test], points)
        distance = projection.label_distance(z[test], labels)
        if np.isfinite(distance):  # the corpus has both labels
            metrics[f"classical_jazz_distance_{row.key}"] = distance
    return panels, labels, metrics
