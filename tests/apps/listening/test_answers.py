"""Answers of listeners: kept whole, checked, and summed up in a sentence."""

import json

import pandas as pd
import pytest

from musiclatent.apps.listening import answers

NAMES = [f"page-{i:03d}" for i in range(1, 5)]


@pytest.fixture
def folder(tmp_path):
    """A study with a page of four questions about two codings."""
    study = tmp_path / "demo" / "waveform"
    for name in (answers.PAGE, answers.KEY):
        (study / name).parent.mkdir(parents=True)
    (study / answers.PAGE).write_text("<html>")
    key = pd.DataFrame({"question": NAMES, "kind": "whole", "cluster": [0, 0, 1, 1]})
    key.assign(truth=[True, True, False, False]).to_csv(study / answers.KEY, index=False)
    return study


def _sent(rater: str = "Ann", yes: dict | None = None, **others) -> bytes:
    content = {"page": "page", "rater": rater, "saved": "2026-01-01T00:00:00.000Z"}
    content |= {"answers": {NAMES[0]: True} if yes is None else yes}
    return json.dumps(content | others).encode()


def test_a_listener_has_one_file_that_grows(folder):
    path = answers.store(folder, _sent(yes={NAMES[0]: True, NAMES[1]: True}))
    again = answers.store(folder, _sent(yes={NAMES[1]: False, NAMES[2]: False}))
    assert path == again and path.parent == folder / "listening"
    kept = json.loads(path.read_text())
    assert kept["rater"] == "Ann"
    assert kept["answers"] == {NAMES[0]: True, NAMES[1]: False, NAMES[2]: False}
    assert sorted(p.name for p in path.parent.iterdir()) == [path.name, "listen.html"]


def test_names_never_leave_the_folder_and_alike_ones_have_their_own_files(folder):
    names = ["../../etc/passwd", "Zoë", "Zo_", "..", "/", "con", "a" * 60, "名前", "<b>"]
    paths = [answers.store(folder, _sent(name)) for name in names]
    assert {path.parent for path in paths} == {folder / "listening"}
    assert len(set(paths)) == len(names)
    assert all(path.name.isascii() and len(path.name) < 70 for path in paths)
    assert [json.loads(path.read_text())["rater"] for path in paths] == names


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        (b"x" * 200_001, "200001 bytes are too many; answers take 200000 at most"),
        (b"{", "it is no file of answers"),
        (b"\xff\xfe{", "it is no file of answers"),
        (b"[" * 100_000, "it is no file of answers"),
        (_sent("  "), "it names no rater"),
        (_sent("a" * 61), "a name has 60 letters at most"),
        (_sent("a\nb"), "all of them printable"),
        (_sent("\ud800"), "all of them printable"),
        (_sent(yes={"other-001": True}), "1 answers are to other questions"),
        (_sent(yes={NAMES[0]: 1}), "an answer is neither true nor false"),
        (_sent(saved="soon"), "it is no file of answers"),
        (_sent(rater=3), "it is no file of answers"),
    ],
)
def test_what_is_no_answer_is_refused_and_nothing_written(folder, sent, words):
    with pytest.raises(ValueError, match=words):
        answers.store(folder, sent)
    assert [p.name for p in (folder / "listening").iterdir()] == ["listen.html"]


def test_more_listeners_than_a_page_takes_are_refused(folder, monkeypatch):
    monkeypatch.setattr(answers, "MOST", 2)
    for name in ("Ann", "Bob", "Ann"):
        answers.store(folder, _sent(name))
    with pytest.raises(ValueError, match="there are 2 listeners already; move their files"):
        answers.store(folder, _sent("Cid"))


def test_pages_are_studies_with_page_and_key(folder):
    base = folder.parent
    (base / "edm" / "listening").mkdir(parents=True)
    (base / "edm" / answers.PAGE).write_text("a page whose key is lost")
    assert answers.pages(base) == {"waveform": folder}
    assert answers.sentence(base / "edm") == ""


def test_the_sentence_counts_listeners_and_gives_kappa(folder):
    assert answers.sentence(folder) == answers.NOBODY
    truth = dict(zip(NAMES, [True, True, False, False], strict=True))
    answers.store(folder, _sent("Ann", truth))
    said = answers.sentence(folder)
    assert said.startswith("1 listener, 4 answers. Of what one would listen to: one rater")
    answers.store(folder, _sent("Bob", truth | {NAMES[0]: False}))
    # Observed agreement 3/4; Fleiss expects (3/8)^2 + (5/8)^2, Cohen 1/2 * 1/4 + 1/2 * 3/4.
    fleiss = (0.75 - 34 / 64) / (1 - 34 / 64)
    words = f"2 listeners, 8 answers. Of what one would listen to: Fleiss' kappa {fleiss:.2f}"
    words += ", Cohen's 0.50 over 4 questions that all answered."
    assert answers.sentence(folder) == words
    (folder / "listening" / "broken.json").write_text("{")
    assert answers.sentence(folder) == words + " 1 file of answers set aside."


def test_answers_to_questions_of_before_count_no_more(folder):
    answers.store(folder, _sent())
    key = pd.read_csv(folder / answers.KEY)
    key["question"] = [f"new-{i}" for i in range(4)]
    key.to_csv(folder / answers.KEY, index=False)
    assert answers.sentence(folder) == f"{answers.NOBODY} 1 file of answers set aside."
    path = answers.store(folder, _sent(yes={"new-1": True}))
    assert json.loads(path.read_text())["answers"] == {"new-1": True}
