"""Evaluate experiments on data that their encoders never saw: one encoder for each split.

Neighbours, their standardisation and the encoder see the training part of a split, and only those
of its labels that the encoder was given.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from musiclatent import config
from musiclatent.analysis import neighbours, pooling, projection, statistics
from musiclatent.config import Experiment, Study, Workspace
from musiclatent.data.datamodules import CorpusDataModule
from musiclatent.evaluation import leakage, linear_probes
from musiclatent.latents import encode
from musiclatent.latents.store import Latents
from musiclatent.training import fit
from musiclatent.training.run_folder import Run


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
    """Return `label` and the neighbours' `predicted` for each window of the test part."""
    z, labels, fitted, test = _parts(encoded)
    predicted = neighbours.predictions(z[fitted], labels[fitted], z[test])
    return pd.DataFrame({"label": labels[test], "predicted": predicted})


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


def summarise_splits(scores: pd.DataFrame) -> pd.DataFrame:
    """Summarise the rows of `evaluate_splits` by experiment.

    Parameters
    ----------
    scores
        As returned by `evaluate_splits`.

    Returns
    -------
    DataFrame
        Means over the splits by experiment; `sd` of the accuracy over the splits, each with a seed
        of its own; `low` and `high`, the 95 % interval of all test windows together.
    """
    parts = scores.groupby("experiment", sort=False)
    summary = parts[["accuracy", *leakage.METRICS]].mean()
    summary["sd"] = parts["accuracy"].std()
    bounds = map(statistics.wilson, summary["accuracy"], parts["n"].sum())
    summary[["low", "high"]] = list(bounds)
    return summary[["accuracy", "sd", "low", "high", *leakage.METRICS]]


def fewer_labels(
    experiment: Experiment,
    study: Study,
    *,
    space: Workspace,
    splits: Sequence[str],
    shares: Sequence[float] = (0.1, 0.5, 1.0),
) -> pd.Series:
    """Return the mean accuracy for each share of the labels that encoder and neighbours see."""
    tables = [
        evaluate_splits([experiment], study, space=space, splits=splits, labelled=share)[0]
        for share in shares
    ]
    return pd.Series([table["accuracy"].mean() for table in tables], list(shares), name="accuracy")


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
        `low` and `high` (95 % interval of all of them together), `n_test`, `seeds`.
    """
    rows = []
    for protocol, kind in (("by_group", "outer"), ("random", "shuffled")):
        scores, _ = evaluate_splits(
            experiments, study, space=space, splits=[f"{kind}-{k}" for k in folds]
        )
        summary = summarise_splits(scores)[["accuracy", "sd", "low", "high"]]
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
        distance = projection.label_distance(points, labels)
        if np.isfinite(distance):  # the corpus has both labels
            metrics[f"classical_jazz_distance_{row.key}"] = distance
    return panels, labels, metrics


def probe_factors(
    experiments: Sequence[Experiment], study: Study, *, space: Workspace, split: str
) -> tuple[pd.DataFrame, dict[str, float]]:
    """Read factors off the embeddings of clips that were rendered with them.

    Parameters
    ----------
    experiments, study, space, split
        As in `train_on_split`.

    Returns
    -------
    DataFrame, dict
        As `linear_probes.summarise`; ``input`` is the input itself, pooled as the latents are.
    """
    data = linear_probes.probe_corpus(study, space)
    data.setup()
    items = data.window_items()
    rows = linear_probes.whole_windows(items, data.transform.window_s)
    x = data.transform.model_input(data.cached.x[data.cached.items["row"].to_numpy()[rows]])
    vectors = {"input": pooling.embedding(x)}
    for row in experiments:
        run, _ = train_on_split(row, study, space=space, split=split)
        encoded = encode.encode_corpus(run, data, space.path("probes", row.name))
        vectors[row.name] = pooling.window_vectors(encoded)[rows]
    probes = {name: linear_probes.probe(z, items.iloc[rows]) for name, z in vectors.items()}
    return linear_probes.summarise(probes)
