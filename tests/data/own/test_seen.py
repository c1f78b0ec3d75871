"""Files are read once, and again where their size or time has changed."""

import os

import numpy as np
import pytest

from musiclatent.data.own import seen


@pytest.fixture
def read(monkeypatch):
    """Read the size of a file; remember which were read."""
    asked = []

    def size(path):
        asked.append(path.rsplit("/")[-1])
        return {"letters": len(open(path).read()) if os.path.exists(path) else -1}  # noqa

    size.asked = asked
    return size


def _paths(tmp_path, *names):
    for name in names:
        (tmp_path / name).write_text(name)
    return [str(tmp_path / name) for name in names]


def test_only_what_changed_is_read_again(tmp_path, read):
    paths = _paths(tmp_path, "a", "bb", "ccc")
    options = {"store": tmp_path / "work" / "seen.parquet", "label": "test"}
    for _ in range(2):
        assert seen.facts(paths, read, **options)["letters"].tolist() == [1, 2, 3]
    assert sorted(read.asked) == ["a", "bb", "ccc"]
    (tmp_path / "bb").write_text("dddd")
    assert seen.facts(paths[::-1], read, **options)["letters"].tolist() == [3, 4, 1]
    assert sorted(read.asked) == ["a", "bb", "bb", "ccc"]


def test_files_of_another_folder_stay_known_and_lost_ones_are_not(tmp_path, read):
    first, second = _paths(tmp_path, "a", "bb")
    options = {"store": tmp_path / "seen.parquet", "label": "test"}
    gone = str(tmp_path / "gone")
    for paths in ([first], [second, gone], [first], [second, gone]):
        found = seen.facts(paths, read, **options)
        assert len(found) == len(paths)
    assert read.asked == ["a", "bb", "gone", "gone"]


def test_a_broken_store_and_one_of_other_facts_are_made_anew(tmp_path, read):
    paths, store = _paths(tmp_path, "a", "bb"), tmp_path / "seen.parquet"
    store.write_bytes(b"no parquet")
    assert seen.facts(paths, read, store=store, label="")["letters"].tolist() == [1, 2]
    other = seen.facts(
        [*paths, *_paths(tmp_path, "c")], lambda path: {"x": 1.0}, store=store, label=""
    )
    assert other.columns.tolist() == ["x"] and np.allclose(other["x"], 1)


def test_without_a_store_nothing_is_remembered(tmp_path, read):
    paths = _paths(tmp_path, "a")
    for _ in range(2):
        assert len(seen.facts(paths, read, store=None, label="")) == 1
    assert read.asked == ["a", "a"]
