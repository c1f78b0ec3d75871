"""Vectors from outside: placed by path, averaged over the rows of a file, refused in a sentence."""

import numpy as np
import pandas as pd
import pytest

from musiclatent.errors import LatentsError
from musiclatent.evaluation.comparison import outside

ROWS = [
    ("a.wav", 0.0, 5.0, [1.0, 2.0]),
    ("a.wav", 5.0, 10.0, [3.0, 4.0]),
    ("b/c.wav", 0.0, 5.0, [5.0, 6.0]),
]


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "music"


def _paths(folder):
    return [str(folder / name) for name in ("b/c.wav", "a.wav", "d.wav")]


def _table(rows=ROWS):
    return pd.DataFrame(rows, columns=["path", "start_s", "end_s", "vector"])


def _parquet(folder, table):
    file = folder.parent / "theirs.parquet"
    table.to_parquet(file, index=False)
    return file


def test_rows_of_a_file_are_averaged_and_files_without_rows_set_aside(folder):
    found = outside.read(_parquet(folder, _table()), _paths(folder), folder)
    np.testing.assert_array_equal(found.z[:2], [[5, 6], [2, 3]])
    assert found.widths == (2,) and list(found.reasons) == [2]
    assert "theirs.parquet has no row of it" in found.reasons[2]


def test_npy_takes_its_rows_from_the_csv_beside_it_and_paths_may_be_absolute(folder):
    table = _table().drop(columns="vector")
    table.loc[0, "path"] = str(folder / "a.wav")
    table.to_csv(folder.parent / "theirs.csv", index=False)
    np.save(folder.parent / "theirs.npy", np.array([row[3] for row in ROWS]))
    found = outside.read(folder.parent / "theirs.npy", _paths(folder), folder)
    np.testing.assert_array_equal(found.z[:2], [[5, 6], [2, 3]])


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([*ROWS, ("x.wav", 0.0, 1.0, [0.0, 0.0])], r"x.wav is not in .*music \(1 such paths\)"),
        ([*ROWS, ROWS[0]], r"row 3 \(a.wav\) has the same path and start_s as another row"),
        ([*ROWS, ("a.wav", 9.0, 9.0, [0.0, 0.0])], r"row 3 \(a.wav\) has times .* end before they"),
        ([*ROWS, ("a.wav", np.nan, 9.0, [0.0, 0.0])], r"has times that are no numbers"),
        ([*ROWS, ("a.wav", 10.0, 15.0, [np.nan, 0.0])], r"has numbers that are NaN or infinite"),
        ([*ROWS, ("a.wav", 10.0, 15.0, [0.0])], "cannot be read as vectors"),
    ],
)
def test_rows_that_cannot_be_placed_are_refused(folder, rows, words):
    with pytest.raises(LatentsError, match=words):
        outside.read(_parquet(folder, _table(rows)), _paths(folder), folder)


def test_files_that_hold_no_vectors_are_refused(folder):
    with pytest.raises(LatentsError, match="has no column vector"):
        outside.read(_parquet(folder, _table().drop(columns="vector")), _paths(folder), folder)
    with pytest.raises(LatentsError, match="has no column end_s; add it"):
        outside.read(_parquet(folder, _table().drop(columns="end_s")), _paths(folder), folder)
    np.save(folder.parent / "alone.npy", np.zeros((1, 2)))
    with pytest.raises(LatentsError, match=r"alone.npy cannot be read as vectors .*No such file"):
        outside.read(folder.parent / "alone.npy", _paths(folder), folder)
    (folder.parent / "bad.parquet").write_bytes(b"no")
    with pytest.raises(LatentsError, match="bad.parquet cannot be read as vectors"):
        outside.read(folder.parent / "bad.parquet", _paths(folder), folder)
    np.save(folder.parent / "objects.npy", np.array([{}, []], object), allow_pickle=True)
    with pytest.raises(LatentsError, match="cannot be read as vectors"):
        outside.read(folder.parent / "objects.npy", _paths(folder), folder)
