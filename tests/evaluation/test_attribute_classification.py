"""Protocols on tables of attributes: who learns from which rows, and what is read."""

from types import SimpleNamespace

import joblib
import numpy as np
import pandas as pd
import pytest

from musiclatent import studies
from musiclatent.analysis import statistics
from musiclatent.config import Workspace
from musiclatent.data import cache, corpus, gtzan_tables
from musiclatent.evaluation import attribute_classification, classifiers
from musiclatent.evaluation.attribute_classification import (
    Predictions,
    calibrate_on_validation,
    compare_on_validation,
    concatenate,
    fit_predict,
    load_table,
    rotate_parts,
)
from musiclatent.features import descriptors

STUDY = studies.STUDIES["genre"]
LABELS = np.array(["blues", "jazz", "rock"])
N = 96


@pytest.fixture(autouse=True)
def one_process():
    """Start no processes for a few rows, so that what a test replaces is replaced everywhere."""
    with joblib.parallel_config(backend="threading"):
        yield


@pytest.fixture
def fitted(monkeypatch) -> list:
    """The classifiers that are made, which are fitted later."""
    made, make = [], classifiers.make_classifier
    monkeypatch.setattr(
        classifiers, "make_classifier", lambda *args: made.append(make(*args)) or made[-1]
    )
    return made


@pytest.fixture
def rows(rng) -> SimpleNamespace:
    """A table of three labels that overlap, in three parts; every eighth row is in none."""
    labels = LABELS[np.arange(N) % 3]
    x = rng.normal(size=(N, 5))
    x[:, :3] += 1.5 * (labels[:, None] == LABELS)
    parts = np.array(["train", "train", "train", "validation", "test", "validation", "test", ""])
    split = np.repeat(parts, 3)[np.arange(N) % 24]
    return SimpleNamespace(x=np.concatenate([np.exp(x), x[:, :1]], axis=1), y=labels, split=split)


def masks(split: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return split == "train", split == "test"


def test_what_stands_apart_is_right_and_what_is_drawn_is_not(rng):
    x = np.eye(3)[np.arange(60) % 3] * 50 + rng.normal(size=(60, 3))
    labels, train = LABELS[np.arange(60) % 3], np.arange(60) < 30
    perfect = fit_predict("lda", x, labels, train, ~train).summary()
    assert perfect["low"] == perfect["high"] == 1 and np.isnan(perfect["seeds_low"])
    assert perfect["method"] == "lda" and perfect["accuracy"] == 1 == perfect["seeds"]
    chance = fit_predict("lda", rng.normal(size=(600, 3)), np.tile(labels, 10), *masks(
        np.repeat(["train", "test"], 300)
    )).summary()  # fmt: skip
    assert chance["accuracy"] == pytest.approx(1 / 3, abs=0.1)


def test_a_verdict_of_several_seeds():
    said = np.array([[[0.9, 0.1], [0.2, 0.8]], [[0.6, 0.4], [0.7, 0.3]]])
    found = Predictions(
        name="x",
        rows=np.array([3, 5]),
        classes=np.array(["a", "c"]),
        labels=np.array(["a", "c"]),
        probabilities=said,
    )
    assert found.predicted.tolist() == [["a", "c"], ["a", "a"]]
    assert found.codes.tolist() == [0, 1]
    summary = found.summary()
    assert summary["accuracy"] == 0.75 and summary["n_test"] == 2 == summary["seeds"]
    over_seeds = statistics.over_seeds([1, 0.5])
    assert (summary["seeds_low"], summary["seeds_high"]) == (over_seeds.low, over_seeds.high)
    assert found.right.tolist() == [1, 0.5]
    assert found.metrics("key") == {
        "key": 0.75,
        "key_low": summary["low"],
        "key_high": summary["high"],
        "key_seeds_low": over_seeds.low,
        "key_seeds_high": over_seeds.high,
    }
    parts = np.array(["train", "", "", "test", "test", "validation"])
    assert found.by_part(parts, "key") == {"key_test": 1, "key_validation": 0.5}


def _answers(right: list[list[int]], **changes) -> Predictions:
    """A classifier that names rows rightly (1) or not (0), one list per seed."""
    n = len(right[0])
    fields = {"rows": np.arange(n), "labels": np.array(["a"] * n), "units": None} | changes
    probabilities = np.stack([np.array(right), 1 - np.array(right)], axis=2).astype(float)
    classes = np.array(["a", "b"])
    return Predictions(
        name=fields.pop("name", "x"), classes=classes, probabilities=probabilities, **fields
    )


def test_an_interval_is_of_units_and_a_bound_over_seeds_of_seeds():
    right = [[1, 1, 0, 0] * 6, [1, 1, 0, 1] * 6]
    units = np.repeat(np.arange(12), 2)
    one = _answers(right, units=units).summary()
    expected = statistics.mean([1, 1, 0, 0.5] * 6, units)
    assert (one["accuracy"], one["low"], one["high"]) == (
        expected.estimate,
        expected.low,
        expected.high,
    )
    rows = _answers(right).summary()  # each row a unit of its own: too narrow
    assert rows["high"] - rows["low"] < one["high"] - one["low"]
    assert one["seeds"] == 2 and one["seeds_low"] < 0.625 < one["seeds_high"]
    assert "key_seeds_low" not in _answers(right[:1]).metrics("key")


def test_classifiers_of_the_same_rows_are_compared_in_pairs():
    better, worse = _answers([[1] * 20], name="good"), _answers([[1, 0] * 10], name="bad")
    found = better.difference(worse)
    assert found.estimate == 0.5 and found.leaves_zero_out and found.p < 0.01
    assert worse.difference(better).estimate == -0.5 and better.difference(better).estimate == 0
    metrics = attribute_classification.compare_in_pairs([better, worse, better])
    assert set(metrics) == {
        f"{pair}{end}"
        for pair in ("good_vs_bad", "good_vs_good", "bad_vs_good")
        for end in ("", "_low", "_high", "_p")
    }
    assert metrics["good_vs_bad"] == 0.5 and metrics["good_vs_bad_low"] == found.low
    words = "good and x predict other rows; take one split"
    for change in ({"rows": np.arange(1, 21)}, {"labels": np.array(["b"] * 20)}):
        with pytest.raises(ValueError, match=words):
            _answers([[1] * 20], **change).difference(better)


def test_trainings_with_several_seeds_are_stacked():
    runs = [_answers([[1, 0]]), _answers([[1, 1]])]
    assert attribute_classification.stack_seeds(runs).right.tolist() == [1, 0.5]
    with pytest.raises(ValueError, match="predict other rows"):
        attribute_classification.stack_seeds([runs[0], _answers([[1, 0, 1]])])


def test_units_are_kept_when_parts_are_joined():
    parts = [_answers([[1, 0]], units=np.array(["r", "s"])), _answers([[1]], units=np.array(["r"]))]
    assert concatenate("x", parts).units.tolist() == ["r", "s", "r"]
    assert concatenate("x", [_answers([[1, 0]])] * 2).units is None


def test_leakage_is_what_artists_on_both_sides_add(rng):
    """Labels that follow the artist alone, and artists that the lists keep apart."""
    artist = np.arange(240) // 6
    labels, x = LABELS[artist % 3], rng.normal(size=(40, 8))[artist]
    x = x + 0.1 * rng.normal(size=x.shape)
    split = np.array(["train", "train", "validation", "test", ""])[artist % 5]
    measure = attribute_classification.measure_leakage
    found = measure("svm", x, labels=labels, split=split)
    assert found.estimate > 0.4 and found.low > 0.2 and found.units == 48
    x[split == ""] = np.nan  # rows of no part have no say
    assert measure("svm", x, labels=labels, split=split) == found
    alone = rng.normal(size=(240, 3)) + 4 * (labels[:, None] == LABELS)
    none = measure("svm", alone, labels=labels, split=split)
    assert abs(none.estimate) < 0.03 and not none.leaves_zero_out


def test_labels_that_training_never_saw_have_no_code():
    labels = np.array(["a", "b", "c", "z", "A"])
    found = Predictions(
        name="x",
        rows=np.arange(5),
        classes=np.array(["a", "c"]),
        labels=labels,
        probabilities=np.full((1, 5, 2), 0.5),
    )
    assert found.codes.tolist() == [0, -1, 1, -1, -1]


def test_seeds_are_those_of_classifiers_that_draw(rows):
    parts = masks(rows.split)
    assert fit_predict("lda", rows.x, rows.y, *parts, seeds=3).probabilities.shape == (1, 24, 3)
    found = fit_predict("mlp", rows.x, rows.y, *parts, seeds=2)
    assert found.probabilities.shape == (2, 24, 3)
    assert (found.probabilities[0] != found.probabilities[1]).any()
    again = fit_predict("mlp", rows.x, rows.y, *parts, seeds=1)
    np.testing.assert_array_equal(again.probabilities[0], found.probabilities[0])


@pytest.mark.parametrize("name", ["svm", "svm_logs", "lda", "gp"])
def test_all_that_is_fitted_is_fitted_on_training_rows(rows, fitted, name):
    """Neither scales nor probabilities move when other rows to be judged do."""
    train, test = masks(rows.split)
    kept = np.flatnonzero(test)[:5]
    other = rows.x.copy()
    moved = np.setdiff1d(np.flatnonzero(~train), kept)
    other[moved] = -1e3 * other[moved]
    first = fit_predict(name, rows.x, rows.y, train, test)
    second = fit_predict(name, other, np.where(train, rows.y, "rock"), train, test)
    # Not to the bit: all rows go through one product of matrices.
    np.testing.assert_allclose(
        first.probabilities[:, :5], second.probabilities[:, :5], rtol=1e-6, atol=1e-9
    )
    assert first.rows[:5].tolist() == kept.tolist()
    for a, b in zip(_states(fitted[0]), _states(fitted[1]), strict=True):
        np.testing.assert_array_equal(a, b)
    scaler = fitted[0]["standardscaler"]
    before = rows.x[train] if name == "svm" else fitted[0]["logs"].transform(rows.x[train])
    np.testing.assert_allclose(scaler.mean_, before.mean(axis=0))


def _states(model) -> list[np.ndarray]:
    """Fitted numbers of all `Logs`, `StandardScaler` and `Whiten` of a classifier."""
    found = []
    for step in getattr(model, "named_steps", {}).values():
        names = ("least_", "mean_", "scale_", "turn_")
        found += [getattr(step, name) for name in names if hasattr(step, name)]
        found += _states(step)
        for member in getattr(step, "estimators_", []):
            found += _states(member)
    return found


def test_what_cannot_be_judged(rows):
    train, test = masks(rows.split)
    with pytest.raises(ValueError, match="0 rows to learn from, 24 to classify, 0 in both"):
        fit_predict("lda", rows.x, rows.y, train & False, test)
    with pytest.raises(ValueError, match="36 rows to learn from, 0 to classify"):
        fit_predict("lda", rows.x, rows.y, train, test & False)
    with pytest.raises(ValueError, match="36 in both; give two parts that share no row"):
        fit_predict("lda", rows.x, rows.y, train, train | test)
    with pytest.raises(ValueError, match="all rows to learn from are of 'jazz'; give two labels"):
        fit_predict("lda", rows.x, np.full(N, "jazz"), train, test)
    with pytest.raises(ValueError, match="no classifier named 'x'"):
        fit_predict("x", rows.x, rows.y, train, test)
    rows.x[np.flatnonzero(test)[0], 0] = np.nan
    with pytest.raises(ValueError, match="NaN or infinity; leave those rows out"):
        fit_predict("lda", rows.x, rows.y, train, test)


def test_validation_never_looks_at_the_test_part(rows):
    blind = np.where((rows.split == "validation")[:, None] | (rows.split == "train")[:, None],
                     rows.x, np.nan)  # fmt: skip
    names = ("logistic", "lda", "gp")
    first = compare_on_validation(rows.x, rows.y, split=rows.split, names=names, seeds=1)
    pd.testing.assert_frame_equal(
        compare_on_validation(blind, rows.y, split=rows.split, names=names, seeds=1), first
    )
    assert set(first["method"]) == set(names) and (first["n_test"] == 24).all()
    assert first["accuracy"].is_monotonic_decreasing


def test_the_test_is_judged_by_what_the_other_parts_teach(rows):
    only = np.where((rows.split == "validation") & (rows.y == "jazz"), "swing", rows.y)
    found = attribute_classification.evaluate_on_test("lda", rows.x, labels=only, split=rows.split)
    assert found.classes.tolist() == ["blues", "jazz", "rock", "swing"]
    assert found.rows.tolist() == np.flatnonzero(rows.split == "test").tolist()
    left_out = np.where((rows.split == "")[:, None], np.nan, rows.x)  # rows in no part
    again = attribute_classification.evaluate_on_test(
        "lda", left_out, labels=only, split=rows.split
    )
    np.testing.assert_array_equal(again.probabilities, found.probabilities)


def test_in_rotation_each_row_is_judged_once_by_others(rows):
    found = rotate_parts("lda", rows.x, labels=rows.y, split=rows.split)
    assert sorted(found.rows) == np.flatnonzero(rows.split != "").tolist()
    np.testing.assert_array_equal(found.labels, rows.y[found.rows])
    part = rows.split[found.rows]
    for held in ("train", "validation", "test"):
        mixed = np.where(rows.split == held, np.roll(rows.y, 1), rows.y)
        other = rotate_parts("lda", rows.x, labels=mixed, split=rows.split).probabilities
        same = (other == found.probabilities).all(axis=(0, 2))
        assert same[part == held].all() and not same[part != held].any()
    direct = attribute_classification.evaluate_on_test(
        "lda", rows.x, labels=rows.y, split=rows.split
    )
    np.testing.assert_array_equal(direct.probabilities, found.probabilities[:, part == "test"])


def test_a_label_of_one_part_cannot_be_rotated(rows):
    rows.y[np.flatnonzero(rows.split == "test")[:2]] = "swing"
    with pytest.raises(ValueError, match="a label is missing in some training parts"):
        rotate_parts("lda", rows.x, labels=rows.y, split=rows.split)


def test_the_temperature_is_of_validation_rows_alone(rows):
    first, curves = calibrate_on_validation("lda", rows.x, labels=rows.y, split=rows.split)
    assert list(first)[:3] == ["temperature", "calibration_error_raw", "calibration_error"]
    assert [curve["n"].sum() for curve in curves.values()] == [24, 24]
    test, validation = rows.split == "test", rows.split == "validation"
    x, y = np.where(test[:, None], rows.x[::-1], rows.x), np.where(test, "rock", rows.y)
    second, _ = calibrate_on_validation("lda", x, labels=y, split=rows.split)
    assert second["temperature"] == first["temperature"]
    assert second["calibration_error"] != first["calibration_error"]
    third, _ = calibrate_on_validation(
        "lda", rows.x, labels=np.where(validation, "rock", rows.y), split=rows.split
    )
    assert third["temperature"] != first["temperature"]  # and the classifier is the same:
    assert third["calibration_error_raw"] == first["calibration_error_raw"]
    said = fit_predict("lda", rows.x, rows.y, rows.split == "train", validation)
    assert first["temperature"] == classifiers.fit_temperature(said.probabilities[0], said.codes)


def test_validation_rows_of_an_unseen_label_do_not_move_the_temperature(rows):
    extra = np.flatnonzero(rows.split == "validation")[:4]
    without, named = rows.split.copy(), rows.y.copy()
    without[extra], named[extra] = "", "swing"
    found, _ = calibrate_on_validation("lda", rows.x, labels=named, split=rows.split)
    assert found == calibrate_on_validation("lda", rows.x, labels=rows.y, split=without)[0]


@pytest.fixture
def computed(monkeypatch, rng) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Forty recordings, copies of four, and two sections of each as if computed from sound."""
    clips = pd.DataFrame({"item_id": [f"clip{i:02d}" for i in range(40)]})
    clips["group"] = np.arange(40) % 4
    clips["label"] = np.where(clips["group"] < 2, "x", "y")
    clips["split"] = clips["group"].map({0: "train", 1: "test", 2: "validation", 3: "train"})
    clips.loc[0, "label"] = ""
    found = clips.loc[np.repeat(clips.index, 2), ["item_id", "label"]].reset_index(drop=True)
    found["silent"] = found.index == 5
    numbers = rng.random((len(found), len(descriptors.COLUMNS)))
    found = found.join(pd.DataFrame(numbers, columns=list(descriptors.COLUMNS)))

    def of_study(study, space, *, sound, split):
        assert sound and split == "group"
        return SimpleNamespace(root=None, index=lambda: SimpleNamespace(items=clips))

    table = lambda items, folder, window_s: (found, None)  # noqa: E731
    monkeypatch.setattr(cache, "descriptor_table", table)
    monkeypatch.setattr(
        attribute_classification, "CorpusDataModule", SimpleNamespace(of_study=of_study)
    )
    return clips, found


def test_a_table_from_sound(computed, tmp_path):
    clips, found = computed
    items, numbers = load_table(
        STUDY, Workspace(profile="tiny", study="genre", results=str(tmp_path))
    )
    kept = [i for i in range(80) if i not in (0, 1, 5)]  # without a label; silent
    assert list(items) == ["item_id", "label", "filtered", "random"]
    pd.testing.assert_frame_equal(
        items[["item_id", "label"]], found.loc[kept, ["item_id", "label"]].reset_index(drop=True)
    )
    assert list(numbers) == [name for name in descriptors.COLUMNS if name not in descriptors.EMPTY]
    np.testing.assert_array_equal(numbers, found.loc[kept, list(numbers)])
    by_group = clips.set_index("item_id")["split"]
    assert items["filtered"].tolist() == by_group.loc[items["item_id"]].tolist()


def test_a_random_split_parts_copies_but_no_recording(computed, tmp_path):
    clips, _ = computed
    items, _ = load_table(STUDY, Workspace(profile="tiny", study="genre", results=str(tmp_path)))
    parts = items.groupby("item_id")["random"]
    assert (parts.nunique() == 1).all()
    assert set(items["random"]) == {"train", "validation", "test"}
    assert 7 <= parts.first().eq("test").sum() <= 8
    groups = items["item_id"].map(clips.set_index("item_id")["group"])
    assert (items.groupby(groups)["random"].nunique() > 1).all()
    again, _ = load_table(STUDY, Workspace(profile="tiny", study="genre", results=str(tmp_path)))
    pd.testing.assert_frame_equal(again, items)


def test_a_folder_of_ones_own_is_computed_in_any_profile(computed, tmp_path):
    items, _ = load_table(
        STUDY, Workspace(profile="real", study="genre", corpus="/music", results=str(tmp_path))
    )
    assert len(items) == 77


@pytest.mark.real
def test_the_published_table_and_its_lists(data_root, tmp_path, monkeypatch):
    monkeypatch.setenv("MUSICLATENT_DATA", str(data_root))
    items, numbers = load_table(
        STUDY, Workspace(profile="real", study="genre", results=str(tmp_path))
    )
    assert len(items) == len(numbers) == 1000
    assert items["item_id"].is_unique  # so that no clip is in two parts
    assert items["label"].value_counts().eq(100).all() and items["label"].nunique() == 10
    filtered = items["filtered"].value_counts().to_dict()
    assert filtered == {"train": 443, "validation": 197, "test": 290, "": 70}
    assert items["random"].value_counts().to_dict() == {
        "train": 500,
        "validation": 250,
        "test": 250,
    }
    assert not set(numbers) & set(descriptors.EMPTY) and numbers.shape[1] == 55
    assert np.isfinite(numbers).all(axis=None)
    known = gtzan_tables.read_descriptors(data_root).set_index("item_id").loc[items["item_id"]]
    np.testing.assert_array_equal(numbers, known[list(numbers)])
    parts = corpus.descriptor_splits(data_root, "filtered")
    assert items.set_index("item_id")["filtered"].loc[parts.index].to_dict() == parts.to_dict()
