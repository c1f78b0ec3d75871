"""Three types of genres: a network that is trained on them, beside one on the genres."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from musiclatent.analysis import genre_groups
from musiclatent.config import Experiment, Study, Workspace
from musiclatent.evaluation import attribute_classification, genre_networks
from musiclatent.evaluation.attribute_classification import Predictions
from musiclatent.evaluation.genre_networks import Excerpts
from musiclatent.features import mel_descriptors


def evaluate(
    experiment: Experiment,
    study: Study,
    *,
    space: Workspace,
    splits: Sequence[str],
    epochs: int,
    genres: Sequence[Predictions],
) -> tuple[Predictions, Predictions, dict[str, str]]:
    """Train a network on three types of genres, beside one on genres whose answers are added up.

    The types are made once, from the descriptors of rows that no split tests on.

    Parameters
    ----------
    experiment, study, space, splits, epochs
        As in `evaluate_over_folds`, with the first seed.
    genres
        What the same row predicts of genres: one per split, of which the first seed counts.

    Returns
    -------
    Predictions
        ``types``, of all splits.
    Predictions
        ``genre_sums``, of the same rows: the probabilities of the genres of a type, added up.
    dict
        Genre -> its type, ``type 1`` the one with the largest cluster.
    """
    every = [genre_networks.load_excerpts(study, space, split) for split in splits]
    types = _types(every[0], np.logical_and.reduce([data.part("train") for data in every]))
    names = np.array(sorted(set(types.values())))
    typed, summed = [], []
    for data, split, part in zip(every, splits, genres, strict=True):
        known = np.isin(data.labels, list(types))
        labels = data.items["label"].map(types).fillna("")
        folder = space.path("folds", f"{experiment.name}-types-{split}")
        one = replace(data.select(known), items=data.items.assign(label=labels)[known])
        seed = int(split.rpartition("-")[2])
        row = replace(experiment, key="types")
        found = genre_networks.evaluate_network(row, one, folder=folder, epochs=epochs, seed=seed)
        typed.append(replace(found, rows=np.flatnonzero(known)[found.rows]))
        summed.append(_added_up(part, types, names))
    parts = {"types": typed, "genre_sums": summed}
    return *(attribute_classification.concatenate(k, v) for k, v in parts.items()), types


def _types(data: Excerpts, rows: np.ndarray) -> dict[str, str]:
    """Return the type of each genre, made from the descriptors of some rows (B,) bool."""
    columns = mel_descriptors.columns(data.x.shape[1])
    table = pd.DataFrame(data.descriptors[rows], columns=columns)
    groups = genre_groups.fit(table, data.labels[rows])
    numbers = {name: f"type {i}" for i, name in enumerate(groups.shares.columns, 1)}
    return {genre: numbers[name] for genre, name in groups.of_label.items()}


def _added_up(genres: Predictions, types: dict[str, str], names: np.ndarray) -> Predictions:
    """Return predictions of types by those of genres, of the rows whose genre has a type."""
    known = np.isin(genres.labels, list(types))
    columns = np.array([[types.get(genre) == name for name in names] for genre in genres.classes])
    return replace(
        genres,
        rows=genres.rows[known],
        classes=names,
        labels=np.array([types[genre] for genre in genres.labels[known]]),
        probabilities=genres.probabilities[:1, known] @ columns.astype(float),
        units=genres.units[known],
    )
