import os

import pytest

from musiclatent.apps.running import up_to_date
from musiclatent.config import Workspace


@pytest.fixture
def book(tmp_path):
    path = tmp_path / "01.ipynb"
    path.write_text('{"cells": []}')
    (tmp_path / "music").mkdir()
    (tmp_path / "music" / "a.wav").write_text("sound")
    return path


@pytest.fixture
def space(tmp_path):
    space = Workspace(profile="tiny", study="waveform", results=str(tmp_path / "results"))
    space.make("notebooks")
    (space.make("figures") / "a.png").write_text("picture")
    return space


def test_the_same_things_have_the_same_identity(book, tmp_path):
    music = [tmp_path / "music"]
    first = up_to_date.identity(book, {"a": "1"}, data=music, left={"n": "x"})
    assert first == up_to_date.identity(book, {"a": "1"}, data=music, left={"n": "x"})
    assert first != up_to_date.identity(book, {"a": "2"}, data=music, left={"n": "x"})
    assert first != up_to_date.identity(book, {"a": "1"}, data=music, left={"n": "y"})
    assert first != up_to_date.identity(book, {"a": "1"}, data=[], left={"n": "x"})
    book.write_text('{"cells": [ ]}')
    assert first != up_to_date.identity(book, {"a": "1"}, data=music, left={"n": "x"})


def test_data_that_changed_changes_it(book, tmp_path):
    music = tmp_path / "music"
    first = up_to_date.identity(book, {}, data=[music])
    os.utime(music / "a.wav", ns=(0, 0))
    second = up_to_date.identity(book, {}, data=[music])
    (music / "b.wav").write_text("more")
    assert len({first, second, up_to_date.identity(book, {}, data=[music])}) == 3


def test_a_stamp_holds_until_something_is_missing_or_cut(space):
    assert not up_to_date.is_up_to_date(space, "01", "x")
    up_to_date.record(space, "01", "x", began=0.0)
    assert up_to_date.is_up_to_date(space, "01", "x") and not up_to_date.is_up_to_date(
        space, "01", "y"
    )
    (space.make("figures") / "later.png").write_text("of the next notebook")
    assert up_to_date.is_up_to_date(space, "01", "x")
    (space.make("figures") / "a.png").write_text("pic")
    assert not up_to_date.is_up_to_date(space, "01", "x")
    (space.make("figures") / "a.png").unlink()
    assert not up_to_date.is_up_to_date(space, "01", "x")


def test_a_torn_stamp_does_not_hold(space):
    up_to_date.record(space, "01", "x", began=0.0)
    (space.make("notebooks") / ".01.stamp.json").write_text('{"identity": "x"')
    assert not up_to_date.is_up_to_date(space, "01", "x")


def test_what_was_there_before_is_no_matter_of_the_notebook(space):
    later = (space.path("figures") / "a.png").stat().st_mtime + 5
    up_to_date.record(space, "01", "x", began=later)
    assert up_to_date.read(space, "01").files == {}


def test_what_it_left_is_told_by_content_and_without_its_own_pictures(space):
    (space.make("latents") / "z.npy").write_text("z")
    (space.path("figures") / "01_a.png").write_text("picture")
    up_to_date.record(space, "01_one", "x", began=0.0)
    first = up_to_date.read(space, "01_one")
    assert set(first.files) == {"figures/a.png", "figures/01_a.png", "latents/z.npy"}
    (space.path("figures") / "01_a.png").write_text("another")
    os.utime(space.path("latents") / "z.npy", ns=(0, 0))
    up_to_date.record(space, "01_one", "x", began=0.0)
    assert up_to_date.read(space, "01_one").left == first.left
    (space.path("latents") / "z.npy").write_text("y")
    up_to_date.record(space, "01_one", "x", began=0.0)
    assert up_to_date.read(space, "01_one").left != first.left


def test_a_notebook_that_runs_again_keeps_the_files_that_it_only_reused(space):
    up_to_date.record(space, "01", "x", began=0.0)
    up_to_date.record(space, "01", "y", began=(space.path("figures") / "a.png").stat().st_mtime + 5)
    assert up_to_date.read(space, "01").files == {"figures/a.png": 7}


def test_the_sizes_of_a_profile_decide(book):
    parameters = {"profile": "tiny", "study": "mel"}
    assert up_to_date.identity(book, parameters, data=[]) != up_to_date.identity(
        book, parameters | {"profile": "demo"}, data=[]
    )
