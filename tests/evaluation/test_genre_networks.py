"""Networks on short excerpts: what they are given, what they say, and what is kept of them."""

import shutil
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from musiclatent import studies
from musiclatent.analysis import genre_groups, pooling
from musiclatent.config import Experiment, Training, Workspace
from musiclatent.data.cache import Cached
from musiclatent.errors import CheckpointError
from musiclatent.evaluation import classifiers, genre_networks
from musiclatent.evaluation.attribute_classification import Predictions, concatenate
from musiclatent.evaluation.genre_networks import (
    Classifier,
    Excerpts,
    calibrate,
    evaluate_network,
    fuse,
    train_network,
)
from musiclatent.features import mel_descriptors
from musiclatent.features.mel import LogMel
from musiclatent.training import run_folder, supervised
from musiclatent.training.run_folder import read_config

BANDS, FRAMES = 32, 80
OPTIONS = {"channels": [4, 8], "n_mels": BANDS, "hidden": 8, "dropout": 0.1, "masks": 0}
CNN = Experiment(
    name="genre-cnn",
    study="genre",
    key="cnn",
    model="GenreNetwork",
    options=OPTIONS,
    about="",
    training=Training(learning_rate=2e-2, batch_size=8, select="last"),
)
JOINT = replace(CNN, name="genre-joint", key="joint", options=OPTIONS | {"attributes": 1})
GENRES = ("blues", "disco", "metal")


def _sounds(labels: np.ndarray, seed: int = 0) -> np.ndarray:
    """Spectrograms whose loud bands tell the label."""
    x = 0.3 * np.random.default_rng(seed).random((len(labels), BANDS, FRAMES), np.float32)
    for one, label in zip(x, labels, strict=True):
        first = 10 * GENRES.index(label)
        one[first : first + 10] += 0.6
    return x


def _excerpts(n: int = 48, seed: int = 0) -> Excerpts:
    """Half of the rows to learn from, a quarter each to validate and to test."""
    labels = np.array(GENRES)[np.arange(n) % 3]
    split = np.array(["train", "train", "validation", "test"])[np.arange(n) // 3 % 4]
    items = pd.DataFrame({"item_id": [f"i{i}" for i in range(n)], "label": labels, "split": split})
    items = items.assign(group=items["item_id"], start_s=0.0)
    x = _sounds(labels, seed)
    return Excerpts(
        x=x,
        descriptors=mel_descriptors.extract(x),
        bands=pooling.mean_and_deviation(x),
        items=items,
        summary={"split": "outer-0"},
        transform=LogMel(n_mels=BANDS),
    )


@pytest.fixture(scope="module")
def data() -> Excerpts:
    return _excerpts()


@pytest.fixture(scope="module", params=[CNN, JOINT], ids=["cnn", "joint"])
def network(request, data, tmp_path_factory) -> Classifier:
    folder = tmp_path_factory.mktemp(request.param.key) / "run"
    return train_network(request.param, data, folder=folder, epochs=12)


def _corpus(monkeypatch, items: pd.DataFrame, x: np.ndarray) -> list[dict]:
    """Put a corpus in place of the study's; return how it is asked for."""
    asked = []
    items = items.assign(item_id=[f"i{row}" for row in items["row"]], start_s=0.0)
    items = items.assign(group=items["item_id"], path="", key="")
    data = SimpleNamespace(
        setup=lambda: None,
        cached=Cached(x, items, pd.DataFrame()),
        names=("a", "b"),
        transform=SimpleNamespace(model_input=lambda x: x / 100),
        summary=lambda: {"corpora": "a, b"},
    )
    made = SimpleNamespace(of_study=lambda *_, **options: asked.append(options) or data)
    monkeypatch.setattr(genre_networks, "CorpusDataModule", made)
    return asked


def test_excerpts_leave_out_silence_and_what_has_no_label(monkeypatch):
    rows = [3, 0, 4, 2, 5, 1]  # the index need not stand in the order of the array
    items = pd.DataFrame({"row": rows, "split": ["train", "test"] * 3})
    items["label"] = ["blues", "", "disco", "disco", "blues", "metal"]
    items["silent"] = [False, False, True, False, False, False]
    x = np.random.default_rng(0).random((6, BANDS, FRAMES), np.float32) * 100
    asked = _corpus(monkeypatch, items, x)
    found = genre_networks.load_excerpts(
        studies.study("genre"), Workspace(profile="demo", study="genre"), "outer-1"
    )
    assert asked == [{"split": "outer-1"}] and found.summary == {"corpora": "a, b"}
    assert list(found.items) == ["item_id", "label", "group", "split", "start_s"]
    assert found.items["item_id"].tolist() == ["i3", "i2", "i5", "i1"]
    assert found.labels.tolist() == ["blues", "disco", "blues", "metal"]
    np.testing.assert_allclose(found.x, x[[3, 2, 5, 1]] / 100, rtol=1e-6)
    for one, numbers in zip(found.x, found.descriptors, strict=True):
        np.testing.assert_allclose(mel_descriptors.extract(one[None])[0], numbers, rtol=1e-4)
    assert found.part("train").tolist() == [True, False, True, False]
    train_rows = found.part("train")
    assert [len(part) for part in found.inputs(train_rows, True)] == [2, 2]
    (only,) = found.inputs(train_rows, False)
    assert np.array_equal(only, found.x[train_rows])


@pytest.mark.parametrize("labels", [["", "", ""], ["blues", "blues", ""], ["blues", "", "disco"]])
def test_genre_needs_two_labels(monkeypatch, labels):
    items = pd.DataFrame({"row": range(3), "label": labels, "split": "train"})
    items["silent"] = [False, False, True]  # what is silent has no say
    _corpus(monkeypatch, items, np.zeros((3, BANDS, FRAMES), np.float32))
    with pytest.raises(ValueError, match="a, b: no two labels are known; genre needs labels"):
        genre_networks.load_excerpts(
            studies.study("genre"), Workspace(profile="demo", study="genre")
        )


def test_a_network_tells_genres_apart(network, data):
    assert network.classes == GENRES
    assert read_config(network.folder)["options"]["classes"] == 3
    test = data.part("test")
    said = network.probabilities(data.x[test], data.descriptors[test])
    assert said.shape == (12, 3)
    np.testing.assert_allclose(said.sum(1), 1, atol=1e-5)
    assert (np.array(GENRES)[said.argmax(1)] == data.labels[test]).all()
    # Of a file there are no numbers yet: they are computed.
    np.testing.assert_allclose(network.probabilities(data.x[test]), said, atol=1e-5)


def test_a_joint_network_knows_how_many_attributes_there_are(network, data):
    wanted = data.descriptors.shape[1] if network.takes_descriptors else 0
    assert read_config(network.folder)["options"]["attributes"] == wanted


def test_a_temperature_softens_and_changes_no_order(network, data):
    said = network.probabilities(data.x)
    soft = replace(network, temperature=3.0).probabilities(data.x)
    assert np.array_equal(soft.argmax(1), said.argmax(1)) and (soft.max(1) < said.max(1)).all()


def test_judging_trains_on_the_training_part_alone(data, tmp_path, monkeypatch):
    seen, fit = [], supervised.fit_classifier

    def spy(experiment, inputs, codes, folder, **options):
        seen.append((inputs[0], codes))
        return fit(experiment, inputs, codes, folder, **options)

    monkeypatch.setattr(supervised, "fit_classifier", spy)
    verdict = evaluate_network(CNN, data, folder=tmp_path / "run", epochs=12)
    ((x, codes),) = seen
    assert np.array_equal(x, data.x[data.part("train")])
    assert np.array_equal(np.array(GENRES)[codes], data.labels[data.part("train")])
    assert verdict.name == "cnn" and verdict.probabilities.shape == (1, 12, 3)
    assert np.array_equal(verdict.rows, np.flatnonzero(data.part("test")))
    assert np.array_equal(verdict.labels, data.labels[verdict.rows])
    assert np.array_equal(verdict.units, data.items["group"][verdict.rows])
    assert verdict.summary()["accuracy"] == 1


def _verdict(rows, labels, probabilities, name="one", classes=GENRES) -> Predictions:
    said = np.array(probabilities, float)[None]
    return Predictions(
        name=name,
        rows=np.array(rows),
        classes=np.array(classes),
        labels=np.array(labels),
        probabilities=said,
    )


A = _verdict([0, 2], ["blues", "disco"], [[0.8, 0.1, 0.1], [0.4, 0.35, 0.25]])
B = _verdict([0, 2], ["blues", "disco"], [[0.6, 0.2, 0.2], [0.0, 0.7, 0.3]], "two")


def test_verdicts_on_several_splits_are_joined():
    other = _verdict([5], ["metal"], [[0.1, 0.1, 0.8]])
    found = concatenate("all", [A, other])
    assert found.name == "all" and found.rows.tolist() == [0, 2, 5]
    assert found.labels.tolist() == ["blues", "disco", "metal"]
    assert found.probabilities.shape == (1, 3, 3)
    assert found.summary()["accuracy"] == pytest.approx(2 / 3)
    strange = replace(other, classes=np.array(["blues", "disco", "rock"]))
    with pytest.raises(ValueError, match="all: a label is missing in some training parts; leave"):
        concatenate("all", [A, strange])


def test_fusing_takes_the_mean():
    found = fuse("both", [A, B])
    np.testing.assert_allclose(found.probabilities[0], [[0.7, 0.15, 0.15], [0.2, 0.525, 0.275]])
    assert found.name == "both" and found.predicted.tolist() == [["blues", "disco"]]
    assert A.summary()["accuracy"] == 0.5 and found.summary()["accuracy"] == 1
    seeds = replace(A, probabilities=np.concatenate([A.probabilities, B.probabilities]))
    both = fuse("both", [seeds, B])  # each seed of one with the only one of the other
    np.testing.assert_allclose(both.probabilities, [found.probabilities[0], B.probabilities[0]])


@pytest.mark.parametrize(
    "change",
    [
        {"rows": np.array([0, 3])},
        {"labels": np.array(["blues", "metal"])},
        {"classes": np.array(["blues", "disco", "rock"])},
    ],
)
def test_other_rows_are_not_fused(change):
    words = "two and one (predict other rows; take|have other labels; fuse) one split"
    with pytest.raises(ValueError, match=words):
        fuse("both", [A, replace(B, **change)])


def test_over_folds_judges_each_network_and_the_plain_ones_on_each_split(monkeypatch, tmp_path):
    seeds, made = [], {f"outer-{k}": _excerpts(seed=k) for k in range(2)}
    monkeypatch.setattr(genre_networks, "load_excerpts", lambda study, space, split: made[split])

    def spy(row, data, folder, *, epochs, seed):
        seeds.append((folder.name, epochs, seed))
        rows = np.flatnonzero(data.part("test"))
        return _verdict(rows, data.labels[rows], np.eye(3)[rows % 3], row.key)

    monkeypatch.setattr(genre_networks, "evaluate_network", spy)
    space = Workspace(profile="demo", study="genre", results=str(tmp_path))
    found = genre_networks.evaluate_over_folds(
        [CNN], studies.study("genre"), space=space, splits=list(made), epochs=7, seeds=(0, 2)
    )
    assert seeds == [
        ("genre-cnn-outer-0", 7, 0),
        ("genre-cnn-outer-0-seed-2", 7, 20),
        ("genre-cnn-outer-1", 7, 1),
        ("genre-cnn-outer-1-seed-2", 7, 21),
    ]
    assert [len(part.probabilities) for part in found["cnn"]] == [2, 2]
    assert [len(part.probabilities) for part in found["svm_attributes"]] == [1, 1]
    groups = made["outer-0"].items["group"]
    assert (
        found["svm_band_stats"][0].units.tolist() == groups[made["outer-0"].part("test")].tolist()
    )
    assert {name: len(said) for name, said in found.items()} == dict.fromkeys(
        ("cnn", "svm_attributes", "svm_band_stats"), 2
    )
    for name, said in found.items():
        assert concatenate(name, said).summary()["accuracy"] == 1
        assert fuse("both", [said[0], found["cnn"][0]]).summary()["accuracy"] == 1


def test_the_accuracy_of_types_adds_up_their_genres(monkeypatch):
    data = _excerpts()
    data.items.loc[0, "label"] = "metal"  # of the training part
    asked = []
    types = {"blues": "calm", "disco": "loud", "metal": "loud"}

    def fit(table, labels):
        asked.append((table.to_numpy().tolist(), list(table), list(labels)))
        return SimpleNamespace(assign=lambda names: np.array([types[name] for name in names]))

    monkeypatch.setattr(genre_networks, "load_excerpts", lambda *_: data)
    monkeypatch.setattr(genre_groups, "fit", fit)
    said = [[0.9, 0.1, 0.0], [0.4, 0.3, 0.3], [0.4, 0.3, 0.3], [0.2, 0.2, 0.6]]
    verdict = _verdict(range(4), ["blues", "blues", "disco", "disco"], said)
    verdict = replace(verdict, units=np.array(["r", "r", "s", "t"]))
    find = genre_networks.genre_group_accuracy
    found = find(
        [verdict], studies.study("genre"), Workspace(profile="demo", study="genre"), ["outer-0"]
    )
    assert found.estimate == 0.75 and found.units == 3  # disco is no metal, but as loud
    assert found.low < 0.75 < found.high
    train_rows = data.part("train")
    columns = mel_descriptors.columns(BANDS)
    numbers = data.descriptors[train_rows].tolist()
    assert asked == [(numbers, columns, data.labels[train_rows].tolist())]
    with pytest.raises(ValueError, match="shorter|argument"):
        find(
            [verdict],
            studies.study("genre"),
            Workspace(profile="demo", study="genre"),
            ["outer-0", "outer-1"],
        )


def test_types_of_real_attributes_can_be_told(data, monkeypatch):
    monkeypatch.setattr(genre_networks, "load_excerpts", lambda *_: data)
    rows = np.flatnonzero(data.part("test"))
    perfect = _verdict(rows, data.labels[rows], np.eye(3)[rows % 3])
    perfect = replace(perfect, units=rows)
    space = Workspace(profile="demo", study="genre")
    found = genre_networks.genre_group_accuracy(
        [perfect], studies.study("genre"), space, ["outer-0"]
    )
    assert found.estimate == found.low == 1 and found.units == len(rows)


def test_a_temperature_is_fitted_on_the_validation_part(data, monkeypatch):
    """The stub is sure of 0.99 and right in three of four."""
    right = np.array(GENRES)[(np.arange(48) + (np.arange(48) // 12 == 3)) % 3]
    told = np.where(right[:, None] == np.array(GENRES), 0.99, 0.005)

    class Sure(Classifier):
        def probabilities(self, x, descriptors=None):
            rows = [int(np.flatnonzero((data.x == one).all((1, 2)))[0]) for one in x]
            return classifiers.apply_temperature(told[rows], self.temperature)

    sure = Sure(folder=None, classes=GENRES, takes_descriptors=False, temperature=2.0)
    heated, curves, errors = calibrate(sure, data)
    plain = calibrate(replace(sure, temperature=1.0), data)[0]
    assert heated.temperature > 2 and heated.temperature == pytest.approx(plain.temperature, 0.01)
    assert errors["calibration_error"] < 0.05 < errors["calibration_error_raw"]
    assert len(curves) == 2 and all(curve["n"].sum() == 12 for curve in curves.values())
    other = data.labels.copy()
    other[data.part("test")] = "blues"  # the test part has no say
    spared = calibrate(sure, replace(data, items=data.items.assign(label=other)))[0]
    assert spared.temperature == heated.temperature
    again, _, after = calibrate(heated, data)
    assert again.temperature == pytest.approx(heated.temperature, rel=0.02)
    assert after["calibration_error_raw"] == pytest.approx(errors["calibration_error"])


def test_labels_that_the_network_never_saw_do_not_count_in_calibration(network, data):
    labels = data.labels.copy()
    labels[np.flatnonzero(data.part("test"))[:2]] = "rock"
    found = calibrate(network, replace(data, items=data.items.assign(label=labels)))[1]
    assert all(curve["n"].sum() == 10 for curve in found.values())


def test_what_is_written_is_read_again(network, data):
    run_folder.amend_config(network.folder, temperature=1.7)
    found = genre_networks.read_classifier(network.folder)
    assert found == replace(network, temperature=1.7)
    kept = replace(network, temperature=1.7).probabilities(data.x)
    assert np.array_equal(found.probabilities(data.x), kept)


@pytest.mark.parametrize("change", ["labels", "temperature", "options"])
def test_what_is_no_classifier_is_one_sentence(network, tmp_path, change):
    folder = shutil.copytree(network.folder, tmp_path / "run")
    run_folder.amend_config(folder, temperature=1.0)
    assert genre_networks.read_classifier(folder).temperature == 1
    run_folder.amend_config(folder, **{change: None})
    words = "holds GenreNetwork, not a classifier .* train one with: make reproduce STUDY=genre"
    with pytest.raises(CheckpointError, match=words) as caught:
        genre_networks.read_classifier(folder)
    assert "\n" not in str(caught.value)
    with pytest.raises(CheckpointError, match="holds no whole model"):
        genre_networks.read_classifier(tmp_path)


@pytest.mark.real
def test_no_recording_stands_on_both_sides(data_root, tmp_path, monkeypatch):
    monkeypatch.setenv("MUSICLATENT_DATA", str(data_root))
    monkeypatch.setattr(mel_descriptors, "extract", lambda x: np.zeros((len(x), 1), np.float32))
    space = Workspace(profile="real", study="genre", results=str(tmp_path))
    tested = []
    for split in ("outer-0", "outer-1"):
        found = genre_networks.load_excerpts(studies.study("genre", "real"), space, split)
        parts = found.items.groupby("split")["group"].agg(set)
        assert set(parts.index) == {"train", "test"} and not parts["train"] & parts["test"]
        assert len(found.items) == 1000 and found.items["label"].nunique() == 10
        assert found.x.shape == (1000, 128, 130) and found.x.min() == 0 and found.x.max() == 1
        # A copy under another group would straddle the split too.
        halves = [{x.tobytes() for x in found.x[found.part(p)]} for p in ("train", "test")]
        assert not halves[0] & halves[1]
        tested.append(set(found.items.loc[found.part("test"), "item_id"]))
    assert not tested[0] & tested[1] and all(180 < len(rows) < 220 for rows in tested)
