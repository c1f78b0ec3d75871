import numpy as np
import pandas as pd
import pytest

from musiclatent.analysis import validation


def test_what_is_right_comes_back_as_it_was(rng):
    z, values = rng.normal(size=(4, 3)), np.array(["a", "b", "", "a"])
    assert np.array_equal(validation.matrix(z, width=3), z)
    rows, kept = validation.labelled(z, values, "rows")
    assert np.array_equal(rows, z[[0, 1, 3]]) and kept.tolist() == ["a", "b", "a"]
    table = pd.DataFrame(z, columns=list("xyz"))
    assert validation.table(table) is table
    assert validation.labelled_table(table, iter("abca")).tolist() == list("abca")
    validation.same_width(z, z[:1])
    validation.cluster_count(4, z)


@pytest.mark.parametrize(
    ("z", "words"),
    [
        (np.zeros(3), r"shape \(3,\); give a table \(B, 3\)"),
        (np.zeros((0, 3)), "not empty"),
        (np.zeros((2, 4)), r"give a table \(B, 3\)"),
        (np.array([[1, np.nan, 0]]), "NaN or infinity; leave those rows out"),
    ],
)
def test_what_is_no_matrix_is_refused(z, words):
    with pytest.raises(ValueError, match=words):
        validation.matrix(z, width=3)


def test_widths_and_counts_that_do_not_fit():
    with pytest.raises(ValueError, match="2 dimensions per row and the corpus 3; encode both"):
        validation.same_width(np.zeros((1, 2)), np.zeros((1, 3)))
    for k in (0, 3):
        with pytest.raises(ValueError, match=f"2 rows cannot form {k} clusters"):
            validation.cluster_count(k, np.zeros((2, 1)))


def test_labels_that_do_not_fit():
    with pytest.raises(ValueError, match="3 rows but 2 labels; give one label per row"):
        validation.labels(np.array(["a", "b"]), 3)
    with pytest.raises(ValueError, match="none of the 2 clips has a label"):
        validation.labelled(np.zeros((2, 1)), np.array(["", ""]), "clips")
    with pytest.raises(ValueError, match="1 rows have no label"):
        validation.labelled_table(pd.DataFrame({"x": [1.0, 2.0]}), ["a", None])


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (pd.DataFrame(), "0 rows and 0 columns; give some"),
        (pd.DataFrame({"x": ["a"]}), "the column 'x' holds no numbers"),
        (pd.DataFrame({"x": [np.inf]}), "the column 'x' holds NaN or infinity"),
    ],
)
def test_what_is_no_table_of_numbers_is_refused(table, words):
    with pytest.raises(ValueError, match=words):
        validation.table(table)
