"""Classifiers by name: what they learn, and that they learn it from training rows alone."""

import numpy as np
import pytest
from sklearn.base import clone

from musiclatent import classifiers
from musiclatent.classifiers import MODELS, SEEDED, Logs, Whiten, make

FAST = [name for name in MODELS if name != "mlp"]


@pytest.fixture(autouse=True)
def few_trees(monkeypatch):
    monkeypatch.setattr(classifiers, "TREES", 25)


def blobs(n: int = 45, seed: int = 0, apart: float = 4) -> tuple[np.ndarray, np.ndarray]:
    """Rows (n, 6), most of them above zero, of three labels that stand `apart`."""
    rng = np.random.default_rng(seed)
    labels = np.array(["rock", "blues", "jazz"])[np.arange(n) % 3]
    x = rng.normal(size=(n, 6))
    for i, label in enumerate(("blues", "jazz", "rock")):
        x[labels == label, i] += apart
    return np.concatenate([np.exp(0.3 * x[:, :5]), x[:, 5:]], axis=1), labels


def test_logs_of_columns_above_zero():
    x = np.array([[1.0, 0.0, -2.0], [np.e, 1.0, 3.0]])
    np.testing.assert_allclose(Logs().fit_transform(x), [[0, 0, -2], [1, 1, 3]])


def test_logs_are_chosen_by_training_rows_alone():
    logs = Logs().fit(np.array([[1.0, -1.0], [4.0, 5.0]]))
    new = np.array([[-3.0, 8.0], [0.0, 8.0], [0.5, 8.0], [np.e, -9.0]])
    np.testing.assert_allclose(logs.transform(new), [[0, 8], [0, 8], [0, 8], [1, -9]])
    np.testing.assert_array_equal(logs.least_, [1, np.nan])
    np.testing.assert_allclose(logs.transform(new)[:1], logs.transform(new[:1]))


def test_logs_leave_the_table_as_it_is():
    x = np.array([[1.0], [2.0]])
    Logs().fit_transform(x)
    np.testing.assert_array_equal(x, [[1], [2]])


def test_labels_spread_alike_after_whitening(rng):
    labels = np.repeat(["a", "b", "c"], 200)
    x = rng.normal(size=(600, 4)) @ rng.normal(size=(4, 4)) * 50
    x += np.repeat(rng.normal(size=(3, 4)) * 1000, 200, axis=0)
    turned = Whiten(shrinkage=1e-9).fit(x, labels).transform(x)
    inner = np.concatenate([turned[labels == c] - turned[labels == c].mean(0) for c in "abc"])
    np.testing.assert_allclose(inner.T @ inner / 600, np.eye(4), atol=1e-4)
    np.testing.assert_allclose(turned.mean(axis=0), 0, atol=1e-8)


def test_full_shrinkage_only_scales(rng):
    x, labels = rng.normal(size=(40, 3)) * [1, 5, 9], np.repeat(["a", "b"], 20)
    found = Whiten(shrinkage=1.0).fit(x, labels)
    np.testing.assert_allclose(found.turn_, np.eye(3) * found.turn_.max(), atol=1e-12)


def test_whitening_without_scatter(rng):
    x = rng.normal(size=(3, 5))
    found = Whiten().fit(x, np.array(["a", "b", "c"])).transform(x)  # one row a label
    assert np.isfinite(found).all()
    constant = np.ones((6, 2))
    assert (Whiten().fit(constant, np.repeat(["a", "b"], 3)).transform(constant) == 0).all()


def test_whitening_can_be_cloned():
    assert clone(Whiten(0.3)).shrinkage == 0.3


@pytest.mark.parametrize("name", MODELS)
def test_what_stands_apart_is_told_apart(name):
    x, labels = blobs(150, apart=12)  # leaves of boosting hold 20 rows
    new, truth = blobs(30, seed=1, apart=12)
    model = make(name).fit(x, labels)
    assert model.classes_.tolist() == ["blues", "jazz", "rock"]
    said = model.predict_proba(new)
    assert said.shape == (30, 3) and (said >= 0).all()
    np.testing.assert_allclose(said.sum(axis=1), 1)
    assert (model.classes_[said.argmax(axis=1)] == truth).mean() >= 0.95
    np.testing.assert_array_equal(model.predict(new), model.classes_[said.argmax(axis=1)])


@pytest.mark.parametrize("name", ["svm", "lda", "gp", "logistic"])
def test_two_labels(name):
    x, labels = blobs()
    kept = labels != "jazz"
    model = make(name).fit(x[kept], labels[kept])
    said = model.predict_proba(x[kept])
    assert said.shape == (30, 2)
    np.testing.assert_allclose(said.sum(axis=1), 1)
    np.testing.assert_array_equal(model.classes_[said.argmax(axis=1)], model.predict(x[kept]))


@pytest.mark.parametrize("name", FAST)
def test_a_row_is_judged_alone(name):
    """The other rows that are asked about neither shift scales nor ranks."""
    x, labels = blobs(apart=2)
    new, _ = blobs(12, seed=1, apart=2)
    model = make(name).fit(x, labels)
    said = model.predict_proba(new)
    np.testing.assert_allclose(model.predict_proba(new[:1]), said[:1], rtol=1e-6)
    strange = np.concatenate([new[:1], 1e3 * new[1:] - 50])
    np.testing.assert_allclose(model.predict_proba(strange)[:1], said[:1], rtol=1e-6)


def test_seeded_ones_depend_on_the_seed_and_on_nothing_else():
    x, labels = blobs(apart=1)
    new, _ = blobs(30, seed=1, apart=1)
    for name in FAST:
        first, same, other = (
            make(name, seed).fit(x, labels).predict_proba(new) for seed in (0, 0, 1)
        )
        np.testing.assert_array_equal(first, same, err_msg=name)
        if name == "boosting":  # on few rows it draws nothing
            continue
        assert (first != other).any() == (name in SEEDED), name


def test_it_is_made_anew():
    assert make("lda") is not make("lda")
    assert not hasattr(make("lda"), "classes_")


def test_no_such_classifier():
    with pytest.raises(ValueError, match="no classifier named 'tree'; choose one of: logistic"):
        make("tree")
