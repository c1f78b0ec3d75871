"""Judge experiments on data that their encoders never saw: one encoder for each split.

Neighbours, their standardisation and the encoder know the training part of a split, and only those
of its labels that the encoder was given.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from musiclatent import config
from musiclatent.analysis import neighbours, pooling, projection
from musiclatent.config import Experiment, Study, Workspace
from musiclatent.data.datamodules import CorpusDataModule
from musiclatent.evaluation import linear_probes
from musiclatent.evaluation.leakage import JUDGED, score_vectors
from musiclatent.latents.encode import encode_corpus
from musiclatent.latents.store import Latents
from musiclatent.training.fit import train_experiment
from musiclatent.training.run_folder import Run


def train_on_split(
    experiment: Experiment, study: Study, space: Workspace, split: str, labelled: float = 1.0
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
        Of every window; the column `known` tells which labels the encoder was given.
    """
    data = CorpusDataModule.of_study(study, space, split=split)
    plan = replace(experiment, training=replace(experiment.training, labelled=labelled))
    name = f"{experiment.name}-{split}" + (f"-{labelled:.0%}" if labelled < 1 else "")
    epochs = plan.training.epochs(config.profile(space.profile), f"{study.name}-folds")
    digits = split.rpartition("-")[2]
    seed = int(digits) if digits.isdigit() else config.SEED
    run = train_experiment(plan, data, space.path("folds", name), epochs=epochs, seed=seed)
    found = encode_corpus(run, data, space.path("folds", name, "latents"))
    return run, replace(found, items=found.items.assign(known=data.targets() >= 0))


def score_embeddings(encoded: Latents) -> dict[str, float]:
    """Judge the embeddings of the test part by neighbours in the training part, and by k-means.

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
    return score_vectors(z[fitted], labels[fitted], z[test], labels[test])


def neighbour_predictions(encoded: Latents) -> pd.DataFrame:
    """Return `label` and `predicted`, what the neighbours say, of each window of the test part."""
    z, labels, fitted, test = _parts(encoded)
    said = neighbours.predictions(z[fitted], labels[fitted], z[test])
    return pd.DataFrame({"label": labels[test], "predicted": said})


def _parts(encoded: Latents) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Standardised vectors (B, D), labels (B,), rows to fit on, rows to judge."""
    items = encoded.items
    labels = items["label"].to_numpy(str)
    usable = (labels != "") & ~items["silent"].to_numpy(bool)
    known = items["known"].to_numpy(bool) if "known" in items else usable
    fitted = usable & known & items["split"].eq("train").to_numpy()
    test = usable & items["split"].eq("test").to_numpy()
    if not fitted.any() or len(np.unique(labels[test])) < 2:
        raise ValueError(
            f"{fitted.sum()} training windows have a known label, and the test windows have the "
            f"labels {sorted(set(labels[test]))}; judging needs some, and two labels to tell apart"
        )
    z = pooling.window_vectors(encoded)
    return neighbours.standardise(z[fitted], z)[1], labels, fitted, test


def evaluate_splits(
    experiments: Sequence[Experiment],
    study: Study,
    space: Workspace,
    splits: Sequence[str],
    labelled: float = 1.0,
) -> tuple[pd.DataFrame, dict[str, pd.DataFrame]]:
    """Train and judge experiments on several splits; what was trained before is reused.

    Parameters
    ----------
    experiments, study, space, labelled
        As in `train`.
    splits
        Names of splits.

    Returns
    -------
    DataFrame
        One row an experiment and split: experiment, split, labelled, and what `judge` gives.
    dict
        Experiment -> predictions of all splits, see `predicted`.
    """
    rows, said = [], {}
    for experiment in experiments:
        parts = []
        for split in splits:
            _, encoded = train_on_split(experiment, study, space, split, labelled)
            about = {"experiment": experiment.name, "split": split, "labelled": labelled}
            rows.append(about | score_embeddings(encoded))
            parts.append(neighbour_predictions(encoded))
        said[experiment.name] = pd.concat(parts, ignore_index=True)
    return pd.DataFrame(rows), said


def summarise_splits(judged: pd.DataFrame) -> pd.DataFrame:
    """Bring the rows of `table` down to one an experiment.

    Parameters
    ----------
    judged
        What `table` gives.

    Returns
    -------
    DataFrame
        Means over the splits by experiment; `sd` of the accuracy over the splits, each with a seed
        of its own; `low` and `high`, the 95 % interval of all judged windows together.
    """
    parts = judged.groupby("experiment", sort=False)
    found = parts[["accuracy", *JUDGED]].mean()
    found.insert(1, "sd", parts["accuracy"].std())
    counts = parts["n"].sum()
    bounds = [
        neighbours.interval(found["accuracy"][name], int(counts[name])) for name in counts.index
    ]
    found.insert(2, "low", [low for low, _ in bounds])
    found.insert(3, "high", [high for _, high in bounds])
    return found


def fewer_labels(
    experiment: Experiment,
    study: Study,
    space: Workspace,
    splits: Sequence[str],
    shares: Sequence[float] = (0.1, 0.5, 1.0),
) -> pd.Series:
    """Return the mean accuracy for each share of the labels that encoder and neighbours know."""
    found = {
        share: evaluate_splits([experiment], study, space, splits, share)[0]["accuracy"].mean()
        for share in shares
    }
    return pd.Series(found, name="accuracy")


def leakage(
    experiments: Sequence[Experiment], study: Study, space: Workspace, folds: Sequence[int]
) -> pd.DataFrame:
    """Judge experiments on folds by group, and on random splits that tear groups apart.

    Parameters
    ----------
    experiments, study, space
        As in `train`.
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
        judged = evaluate_splits(experiments, study, space, [f"{kind}-{k}" for k in folds])[0]
        found = summarise_splits(judged)[["accuracy", "sd", "low", "high"]]
        counts = judged.groupby("experiment", sort=False)["n"].sum()
        about = {"protocol": found.index + f" {protocol}", "n_test": counts, "seeds": len(folds)}
        rows.append(found.assign(**about))
    return pd.concat(rows, ignore_index=True)


def held_out_maps(
    experiments: Sequence[Experiment], study: Study, space: Workspace, split: str
) -> tuple[dict[str, np.ndarray], pd.Series, dict[str, float]]:
    """Lay held-out windows on a map that was fitted on the training windows of their encoder.

    Parameters
    ----------
    experiments, study, space, split
        As in `train`.

    Returns
    -------
    dict
        Title -> points (B, 2) of the test part.
    Series
        Their labels.
    dict
        ``trustworthiness_KEY`` and ``classical_jazz_distance_KEY`` of each experiment.
    """
    panels, labels, found = {}, pd.Series(dtype=str), {}
    for row in experiments:
        _, encoded = train_on_split(row, study, space, split)
        z, part = pooling.window_vectors(encoded), encoded.items["split"].to_numpy()
        held = part == "test"
        points = projection.umap(z, fit_on=part == "train").points[held]
        labels, panels[f"{row.name}, held out"] = encoded.items.loc[held, "label"], points
        found[f"trustworthiness_{row.key}"] = projection.trustworthiness(z[held], points)
        distance = projection.label_distance(points, labels)
        found |= {f"classical_jazz_distance_{row.key}": distance} if np.isfinite(distance) else {}
    return panels, labels, found


def probe_factors(
    experiments: Sequence[Experiment], study: Study, space: Workspace, split: str, known: Workspace
) -> pd.DataFrame:
    """Read known factors off the embeddings of a corpus that was rendered with them.

    Parameters
    ----------
    experiments, study, space, split
        As in `train`.
    known
        Results of a profile with an embedded corpus.

    Returns
    -------
    DataFrame
        One row a factor, one column an experiment, and `chance`; see `linear_probes.probe`.
    """
    scores, corpus = {}, CorpusDataModule.of_study(study, known, split=split)
    for row in experiments:
        run, _ = train_on_split(row, study, space, split)
        encoded = encode_corpus(run, corpus, space.path("probes", row.name))
        found = linear_probes.probe(pooling.window_vectors(encoded), encoded.items).set_index(
            "factor"
        )
        scores |= {row.name: found["score"]}
    return pd.DataFrame(scores).assign(chance=found["chance"])
