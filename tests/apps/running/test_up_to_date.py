import os

import pytest

from musiclatent.apps.running import up_to_date
from musiclatent.config import Workspace


@pytest.fixture
def book(tmp_path):
    path = tmp_path / "01.ipynb"
    path.write_text("{}")
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
    first = up_to_date.identity(book, {"a": "1"}, data=music, before="x")
    assert first == up_to_date.identity(book, {"a": "1"}, data=music, before="x")
    assert first != up_to_date.identity(book, {"a": "2"}, data=music, before="x")
    assert first != up_to_date.identity(book, {"a": "1"}, data=music, before="y")
    assert first != up_to_date.identity(book, {"a": "1"}, data=[], before="x")
    book.write_text("{ }")
    assert first != up_to_date.identity(book, {"a": "1"}, data=music, before="x")


def test_data_that_changed_changes_it(book, tmp_path):
    music = tmp_path / "music"
    first = up_to_date.identity(book, {}, data=[music])
    os.utime(music / "a.wav", ns=(0, 0))
    second = up_to_date.identity(book, {}, data=[music])
    (music / "b.wav").write_text("more")
    assert len({first, second, up_to_date.identity(book, {}, data=[music])}) == 3


def test_a_stamp_holds_until_something_is_missing_or_cut(space):
    assert not up_to_date.is_up_to_date(space, "01", "x")
    up_to_date.record(space, "01", "x")
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
    up_to_date.record(space, "01", "x")
    (space.make("notebooks") / ".01.stamp.json").write_text('{"identity": "x"')
    assert not up_to_date.is_up_to_date(space, "01", "x")
