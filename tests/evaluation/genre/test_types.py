"""Types of genres: one network is trained on them, another's answers are added up."""

from dataclasses import replace

import numpy as np
import pandas as pd

from musiclatent.analysis import pooling
from musiclatent.config import Experiment, Training, Workspace
from musiclatent.evaluation import genre_networks
from musiclatent.evaluation.attribute_classification import Predictions
from musiclatent.evaluation.genre import types
from musiclatent.evaluation.genre_networks import Excerpts
from musiclatent.features import mel_descriptors
from musiclatent.features.mel import LogMel
from musiclatent.studies import STUDIES

BANDS, FRAMES = 32, 80
GENRES = np.array(["blues", "country", "disco", "metal"])
ROW = Experiment(
    name="genre-cnn",
    study="genre",
    key="cnn",
    model="GenreNetwork",
    options={"channels": [4, 8], "n_mels": BANDS, "dropout": 0.1, "masks": 0},
    about="",
    training=Training(learning_rate=2e-2, batch_size=8, select="last"),
)


def _excerpts(first_test: int) -> Excerpts:
    """Four genres, two of which sound alike; every fourth round of them is the test part."""
    labels = np.array(GENRES)[np.arange(64) % 4]
    x = 0.3 * np.random.default_rng(0).random((64, BANDS, FRAMES), np.float32)
    for one, label in zip(x, labels, strict=True):
        place = {"blues": 0, "country": 1, "disco": 10, "metal": 20}[label]
        one[place : place + 10] += 0.6
    items = pd.DataFrame({"item_id": [f"i{i}" for i in range(64)], "label": labels})
    split = np.where(np.arange(64) // 4 % 4 == first_test, "test", "train")
    return Excerpts(
        x=x,
        descriptors=mel_descriptors.extract(x),
        bands=pooling.mean_and_deviation(x),
        items=items.assign(group=items["item_id"], split=split, start_s=0.0),
        summary={},
        transform=LogMel(n_mels=BANDS),
    )


def _said(data: Excerpts, wrong: int = 0) -> Predictions:
    """Predictions of the genres of the test part, the first ones taken for another."""
    test = data.part("test")
    labels = data.labels[test]
    probabilities = (labels[:, None] == GENRES).astype(float)
    probabilities[:wrong] = np.roll(probabilities[:wrong], 2, axis=1)
    return Predictions(
        name="cnn",
        rows=np.flatnonzero(test),
        classes=GENRES,
        labels=labels,
        probabilities=probabilities[None],
        units=data.units(test),
    )


def test_a_network_on_types_stands_beside_sums_over_genres(monkeypatch, tmp_path):
    parts = {f"outer-{k}": _excerpts(k) for k in (0, 1)}
    monkeypatch.setattr(genre_networks, "load_excerpts", lambda study, space, split: parts[split])
    found, summed, of_genre = types.evaluate(
        ROW,
        STUDIES["genre"],
        space=Workspace(profile="tiny", study="genre", results=str(tmp_path)),
        splits=list(parts),
        epochs=8,
        genres=[_said(part, wrong=2) for part in parts.values()],
    )
    assert set(of_genre) == set(GENRES) and set(of_genre.values()) == {"type 1", "type 2", "type 3"}
    assert of_genre["blues"] == of_genre["country"] == "type 1"  # the largest
    assert found.name == "types" and summed.name == "genre_sums"
    assert np.array_equal(found.rows, summed.rows) and len(found.rows) == 32
    assert found.labels.tolist() == summed.labels.tolist()
    assert found.right.mean() > 0.9
    assert summed.right.mean() == 1 - 4 / 32  # the genres that were taken for one of another type


def test_rows_of_a_genre_without_a_type_are_left_out():
    data = _excerpts(0)
    of_genre = {"blues": "type 1", "disco": "type 2"}
    names = np.array(["type 1", "type 2"])
    summed = types._added_up(
        replace(_said(data), units=data.units(data.part("test"))), of_genre, names
    )
    assert set(summed.labels) == set(names) and len(summed.rows) == 8
    assert summed.right.all() and (data.labels[summed.rows] != "metal").all()
