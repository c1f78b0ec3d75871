import pytest

from musiclatent.apps.running import console
from musiclatent.apps.running.console import Console
from musiclatent.studies import STUDIES

SECONDS = {"mel/01": 10.0, "mel/02": 50.0, "edm/01": 30.0}
LONGEST = {"mel/01": 60.0, "mel/02": 50.0, "edm/01": 30.0}


def test_each_notebook_has_a_line_with_how_many_are_done(capsys):
    said = Console(SECONDS, longest=LONGEST, at_once=2)
    said.began("mel/01")
    said.tick(["mel/01"])
    said.ended("mel/01", "12 s")
    said.ended("edm/01", "failed in cell 3: ValueError: no; see x.ipynb")
    said.close()
    out, err = capsys.readouterr()
    assert out.splitlines() == [
        "[1/3] mel: 01 12 s",
        "[2/3] edm: 01 failed in cell 3: ValueError: no; see x.ipynb",
    ]
    assert err == ""  # nobody watches


def test_what_is_left_is_the_longest_chain_or_the_share_of_all(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(console.time, "monotonic", lambda: now[0])
    said = Console(SECONDS, longest=LONGEST, at_once=2)
    assert said.left_s() == 60  # the chain; all are 90 s on two
    assert Console(SECONDS, longest=LONGEST, at_once=1).left_s() == 90
    said.began("mel/01")
    now[0] += 4
    assert said.left_s() == 56
    now[0] += 20  # it takes longer than it took
    assert said.left_s() == 50
    said.ended("mel/01", "24 s")
    said.began("mel/02")
    now[0] += 30
    assert said.left_s() == 30


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(40, "less than a minute left"), (200, "about 3 min left")],
)
def test_minutes_are_said_in_words(seconds, words):
    assert words in console.said(seconds)


def test_the_shipped_times_are_of_notebooks_that_there_are():
    shipped = console.shipped("demo")
    names = {f"{s.name}/{book}" for s in STUDIES.values() for book in s.notebooks()}
    assert set(shipped) == names and all(seconds > 0 for seconds in shipped.values())
    assert console.shipped("paper") == {}
