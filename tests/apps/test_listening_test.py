"""Judging by ear: the questions, the blind page in headless Chromium, the answers."""

import base64
import io
import json
import re
import time
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
import soundfile as sf
from helpers import browser
from hypothesis import given, settings
from hypothesis import strategies as st

from musiclatent import audio
from musiclatent.apps import listening_test

SR = 22050
EVIL = "</script><script>window.bad = 1</script><img src=x onerror='window.bad = 2'> é"


def _sections(n_tracks: int = 8, each: int = 4) -> tuple[np.ndarray, pd.DataFrame, np.ndarray]:
    """Tracks of two clusters in turn; two tracks share a tune."""
    row = np.arange(n_tracks * each)
    track = row // each
    sections = pd.DataFrame(
        {"item_id": [f"secret{t}" for t in track], "start_s": 0.3 * (row % each)}
    )
    sections = sections.assign(
        path=[f"/hidden/secret{t}.wav" for t in track],
        group=[f"tune{t // 2}" for t in track],
        label="covert",
        end_s=sections["start_s"] + 0.3,
    )
    labels = (row // 2) % 2
    z = np.stack([10.0 * labels, np.sin(row)], axis=1)
    return z, sections, labels


def _pairs(n: int = 32) -> pd.DataFrame:
    first = np.arange(n)
    return pd.DataFrame({"first": first, "second": (first + 9) % n})


def _questions(**sizes) -> pd.DataFrame:
    return listening_test.questions(*_sections(), _pairs(), **sizes)


# Questions


def test_questions_are_balanced_and_true():
    _, sections, labels = _sections()
    key = _questions(n_per_cluster=6, n_pairs=10, seed=3)
    assert list(key.columns) == listening_test.KEY
    assert key.groupby(["kind", "cluster"])["truth"].agg(["size", "sum"]).to_dict("index") == {
        ("fits", 0): {"size": 6, "sum": 3},
        ("fits", 1): {"size": 6, "sum": 3},
        ("mixes", -1): {"size": 10, "sum": 5},
    }
    assert key["question"].is_unique
    fits, mixes = key[key["kind"] == "fits"], key[key["kind"] == "mixes"]
    group = sections["group"].to_numpy()
    for row in fits.itertuples():
        assert labels[row.first] == labels[row.second] == row.cluster
        assert (labels[row.candidate] == row.cluster) == row.truth
        assert len({group[row.first], group[row.second], group[row.candidate]}) == 3
    for row in mixes.itertuples():
        assert row.second == -1
        assert group[row.first] != group[row.candidate]
        assert (row.candidate == (row.first + 9) % 32) == row.truth
    assert not fits.duplicated(["cluster", "candidate"]).any()
    assert mixes["first"].is_unique
    assert list(key["kind"]) == sorted(key["kind"])


def test_the_same_seed_asks_the_same_and_the_order_tells_nothing():
    pd.testing.assert_frame_equal(_questions(seed=1), _questions(seed=1))
    assert not _questions(seed=1).equals(_questions(seed=2))
    changes = [
        sum(a != b for a, b in pairwise(_questions(seed=seed)["truth"])) for seed in range(20)
    ]
    assert 8 < np.mean(changes) < 15  # of 23; two blocks would change 3 times


def test_only_clusters_or_only_mixes_and_none_of_no_cluster():
    assert set(_questions(n_pairs=0)["kind"]) == {"fits"}
    assert set(_questions(n_per_cluster=0)["kind"]) == {"mixes"}
    z, sections, labels = _sections()
    none = np.arange(32) % 8 == 7
    key = listening_test.questions(z, sections, np.where(none, -1, labels), _pairs(), n_pairs=0)
    assert set(key["cluster"]) == {0, 1}
    assert not none[key[["first", "second", "candidate"]].to_numpy()].any()


def test_what_cannot_be_asked_is_refused():
    z, sections, labels = _sections()
    for sizes, words in (
        ({"n_per_cluster": 3}, "n_per_cluster is 3; half are right"),
        ({"n_pairs": -2}, "n_pairs is -2"),
        ({"n_per_cluster": 0, "n_pairs": 0}, "there is nothing to ask"),
    ):
        with pytest.raises(ValueError, match=words):
            _questions(**sizes)
    with pytest.raises(ValueError, match="a pair names a section that is not among 0 to 31"):
        listening_test.questions(z, sections, labels, _pairs() + 9)
    same = pd.DataFrame({"first": [0, 1, 2], "second": [1, 2, 4]})  # one tune
    with pytest.raises(ValueError, match="there is nothing to ask"):
        listening_test.questions(z, sections, labels, same, n_per_cluster=0, n_pairs=2)


def test_a_small_collection_is_asked_about_less():
    many = _questions(n_per_cluster=40, n_pairs=60)
    fits, mixes = many[many["kind"] == "fits"], many[many["kind"] == "mixes"]
    assert len(mixes) == 32 and mixes["truth"].mean() == 0.5
    assert fits.groupby("cluster")["truth"].mean().eq(0.5).all()
    assert fits.groupby("cluster").size().max() < 40 and not fits.duplicated().any()


# The page


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """Sections that exist; section i is a sine of 100 + 20 i Hz."""
    folder = tmp_path_factory.mktemp("hidden")
    z, sections, labels = _sections()
    t = np.arange(round(0.3 * SR)) / SR
    for number in range(8):
        y = [0.5 * np.sin(2 * np.pi * (100 + 20 * (4 * number + i)) * t) for i in range(4)]
        audio.write(folder / f"secret{number}.wav", np.concatenate(y), SR)
    sections["path"] = [str(folder / f"{name}.wav") for name in sections["item_id"]]
    return sections, listening_test.questions(
        z, sections, labels, _pairs(), n_per_cluster=4, n_pairs=4
    )


@pytest.fixture(scope="module")
def path(corpus, tmp_path_factory):
    sections, key = corpus
    target = tmp_path_factory.mktemp("page") / "new" / "rate.html"
    return listening_test.page(target, key, sections=sections, sr=SR, title=f"Study {EVIL}")


def _held(path) -> tuple[dict, list[bytes]]:
    """Table and sounds of a page."""
    html = path.read_text("utf-8")
    table = json.loads(re.search(r'id="table">([^<]*)<', html)[1])
    offsets = np.frombuffer(base64.b64decode(re.search(r'"offsets">([^<]*)<', html)[1]), "<u4")
    letters = re.search(r'id="sound">([^<]*)<', html)[1]
    return table, [base64.b64decode(letters[a:b]) for a, b in pairwise(offsets)]


def test_the_page_is_blind(corpus, path):
    _, key = corpus
    table, sounds = _held(path)
    assert set(table) == {"title", "page", "questions"}
    assert {tuple(sorted(question)) for question in table["questions"]} == {
        ("id", "kind", "sounds")
    }
    html = re.sub(r'id="(sound|offsets)">[^<]*<', "", path.read_text("utf-8"))
    for word in ("secret", "tune", "covert", "truth", "member", "stranger", "candidate", "wav"):
        assert word not in html
    for sound in sounds:
        assert not re.search(b"secret|hidden|tune|covert", sound)
    order = [i for question in table["questions"] for i in question["sounds"]]
    assert list(dict.fromkeys(order)) == list(range(len(sounds)))  # numbered as they are heard
    alike = [q["sounds"][:2] for q in table["questions"] if q["kind"] == "fits"]
    assert [len(q["sounds"]) for q in table["questions"]] == [3] * len(alike) + [2] * 4
    assert re.fullmatch("[0-9a-f]{10}-001", table["questions"][0]["id"])
    assert len(key) == len(table["questions"])


def test_the_page_is_one_file_that_asks_for_nothing(path):
    html = path.read_text("utf-8")
    assert "://" not in html
    assert "default-src 'none'" in html
    assert html.count("<script") == html.count("</script>") == 4
    assert [p.name for p in path.parent.iterdir()] == ["rate.html"]


def test_each_question_holds_its_own_sounds(corpus, path):
    _, key = corpus
    table, sounds = _held(path)
    for row, question in zip(key.itertuples(), table["questions"], strict=True):
        rows = [i for i in (row.first, row.second, row.candidate) if i >= 0]
        for i, place in zip(rows, question["sounds"], strict=True):
            assert browser.pitch_hz(sounds[place]) == pytest.approx(100 + 20 * i, abs=3)
    assert all(len(sf.read(io.BytesIO(sound))[0]) > 0.25 * SR for sound in sounds)


def test_a_page_above_the_limit_is_refused(corpus, tmp_path):
    sections, key = corpus
    with pytest.raises(ValueError, match="the limit is 0.05: .* fit; take fewer"):
        listening_test.page(
            tmp_path / "p.html", key, sections=sections, sr=SR, title="t", limit_mb=0.05
        )
    assert not list(tmp_path.iterdir())


class Page(browser.Page):
    def open(self, path):
        self.driver.get(path.as_uri())
        self.wait("!!document.body.raters")

    def key(self, key: str, text: str = ""):
        code = {"ArrowLeft": 37, "Enter": 13, "Tab": 9}.get(key) or ord(key.upper())
        event = {"key": key, "windowsVirtualKeyCode": code}
        down = {"type": "keyDown", "text": text} if text else {"type": "rawKeyDown"}
        self.driver.execute_cdp_cmd("Input.dispatchKeyEvent", event | down)
        self.driver.execute_cdp_cmd("Input.dispatchKeyEvent", event | {"type": "keyUp"})

    def begin(self, name: str):
        self.wait("document.activeElement.id === 'rater'")
        self.driver.execute_cdp_cmd("Input.insertText", {"text": name})
        self.key("Enter", "\r")

    def said(self) -> str:
        return self.text("[role=status]")

    def hear(self):
        """Play all sounds of the question from the first."""
        self.key(" ", " ")
        self.wait("!document.querySelector('.answers button').disabled")

    def stored(self) -> dict:
        return self.ask("JSON.parse(Object.values(localStorage)[0])")


@pytest.fixture
def opened(driver, path):
    page = Page(driver)
    page.open(path)
    page.ask("localStorage.clear()")
    page.open(path)
    yield page
    assert page.complaints() == []
    assert page.ask("window.bad") is None


def test_a_rater_answers_by_keyboard_and_goes_on_after_a_reload(opened, corpus, path, tmp_path):
    _, key = corpus
    ids = list(key["question"])
    assert opened.text("h1") == f"Study {EVIL}"
    opened.begin("  Zoë  y/n <b> ")
    assert opened.text("h2") == "Does this fit the cluster you heard?"
    opened.key("y")
    assert opened.said() == "Listen to the last sound first."
    assert "answers" in opened.stored()
    assert opened.stored()["answers"] == {}
    for answer in "yny":
        opened.hear()
        opened.key(answer)
    expected = dict(zip(ids, [True, False, True], strict=False))
    rater = "Zoë y/n <b>"
    assert opened.stored() == {"rater": rater, "answers": {rater: expected}}
    assert opened.ask("document.querySelector('progress').value") == 3
    opened.open(path)
    assert "Question 4 of 12" in opened.text(".card .soft")
    opened.key("ArrowLeft")
    assert "Question 3 of 12" in opened.text(".card .soft")
    assert opened.text("[aria-pressed=true]") == "Yesy"
    opened.key("n")
    expected[ids[2]] = False
    assert opened.stored()["answers"][rater] == expected
    for _ in ids[3:]:
        opened.key(
            str(3 if opened.ask("document.querySelectorAll('.sounds button').length") == 3 else 2)
        )
        opened.wait("!document.querySelector('.answers button').disabled")
        opened.key("y")
    assert opened.text("h2") == "All questions are answered. Thank you."
    behaviour = {"behavior": "allow", "downloadPath": str(tmp_path)}
    opened.driver.execute_cdp_cmd("Page.setDownloadBehavior", behaviour)
    opened.ask("document.querySelector('.card button').click()")
    target = tmp_path / "answers-Zoë_y_n_b_.json"
    until = time.monotonic() + 5
    while not target.exists() and time.monotonic() < until:
        time.sleep(0.02)
    answers, quarantine = listening_test.read(tmp_path, key)
    assert quarantine.empty
    assert set(answers["rater"]) == {rater}
    expected |= dict.fromkeys(ids[3:], True)
    assert dict(zip(answers["question"], answers["answer"], strict=True)) == expected
    assert listening_test.agreement(answers, key)["n"].tolist() == [8, 4, 4, 4]


def test_each_sound_plays_in_order_and_pauses(opened):
    opened.begin("Ann")
    on = "[...document.querySelectorAll('.sounds button')].findIndex(b => b.matches('.on'))"
    listen = f"document.querySelector('audio').addEventListener('play', () => seen.push({on}))"
    opened.ask(f"window.seen = []; {listen}")
    opened.key(" ", " ")
    opened.wait("seen.length === 3")
    assert opened.ask("seen") == [0, 1, 2]
    opened.key("1")
    opened.wait(f"{on} === 0")
    opened.key(" ", " ")
    opened.wait("document.querySelector('audio').paused")
    opened.key(" ", " ")
    opened.wait("!document.querySelector('audio').paused")


def test_keys_do_nothing_in_the_name_and_two_raters_share_a_browser(opened, corpus):
    ids = list(corpus[1]["question"])
    opened.wait("document.activeElement.id === 'rater'")
    opened.key("y", "y")
    opened.key(" ", " ")
    opened.key("n", "n")
    assert opened.ask("document.querySelector('#rater').value") == "y n"
    opened.key("Enter", "\r")
    opened.hear()
    opened.key("n")
    opened.ask("document.querySelector('footer button:last-child').click()")
    opened.begin("constructor")
    assert "Question 1 of 12" in opened.text(".card .soft")
    opened.hear()
    opened.key("y")
    assert opened.stored()["answers"] == {"y n": {ids[0]: False}, "constructor": {ids[0]: True}}


def test_answers_that_cannot_be_kept_are_said_so_and_a_button_is_a_button(opened):
    opened.ask("Storage.prototype.setItem = () => { throw new Error('full'); }; 1")
    opened.begin("Ann")
    opened.key("2")
    opened.wait("!document.querySelector('.answers button').disabled")  # it goes on to the third
    opened.ask("document.querySelectorAll('.answers button')[1].focus()")
    opened.key(" ", " ")  # presses No, and does not play
    assert opened.said() == "This browser keeps no answers: save them before you close it."
    assert opened.ask("Object.values(document.body.raters.content().answers)") == [False]
    assert opened.ask("document.activeElement.tagName") == "H2"
    assert opened.ask("document.querySelector('audio').paused")


def test_the_page_fits_a_phone(opened):
    metrics = {"width": 375, "height": 720, "deviceScaleFactor": 2, "mobile": True}
    opened.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    try:
        for _ in range(2):
            assert opened.ask("document.documentElement.scrollWidth") == 375
            small = "[...document.querySelectorAll('button, input')].filter(node => "
            small += "node.offsetHeight && node.offsetHeight < 44).length"
            assert opened.ask(small) == 0
            if opened.ask("!!document.querySelector('#rater')"):
                opened.begin("Ann")
    finally:
        opened.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


# Answers


def _save(
    folder, name: str, answers: dict, saved: str = "2026-01-01T00:00:00.000Z", file=""
) -> None:
    content = {"page": "p", "rater": name, "saved": saved, "answers": answers}
    (folder / f"{file or name}.json").write_text(json.dumps(content), "utf-8")


def test_good_files_are_read_and_bad_ones_set_aside(tmp_path):
    key = _questions()
    a, b, c = key["question"][:3]
    _save(tmp_path, "Ann", {a: True, b: True}, "2026-01-02T00:00:00.000Z", file="z")
    _save(
        tmp_path, "Ann", {b: False, c: False}, "2026-01-03T00:00:00+02:00", file="answers-Ann (1)"
    )
    _save(tmp_path, "Ann", {a: False}, "2025-01-03T00:00:00", file="zz")
    _save(tmp_path, "Bob", {a: True})
    _save(tmp_path, "other", {"another-001": True})
    _save(tmp_path, "odd", {a: 1})
    _save(tmp_path, "when", {a: True}, "yesterday")
    _save(tmp_path, " ", {a: True}, file="nobody")
    (tmp_path / "list.json").write_text("[1]")
    (tmp_path / "cut.json").write_text('{"rater": "Ann"')
    (tmp_path / "bytes.json").write_bytes(b"\xff\xfe{")
    (tmp_path / "deep.json").write_text("[" * 100_000)
    (tmp_path / "folder.json").mkdir()
    (tmp_path / "notes.txt").write_text("not mine")
    answers, quarantine = listening_test.read(tmp_path, key)
    assert answers.to_numpy().tolist() == [
        ["Ann", a, True], ["Ann", b, False], ["Ann", c, False], ["Bob", a, True],
    ]  # fmt: skip
    assert answers["answer"].dtype == bool
    reasons = {re.split(r"[/.]", path)[-2]: why for path, why in quarantine.to_numpy()}
    assert set(reasons) == {
        *("other", "odd", "when", "nobody", "list", "cut", "bytes", "deep", "folder"),
    }
    assert reasons["other"] == "1 answers are to other questions; give it their key"
    assert reasons["odd"].startswith("an answer is neither true nor false")
    assert reasons["nobody"].startswith("it names no rater")
    assert reasons["cut"] == "it is no file of answers; save them again in the page"
    assert len(listening_test.read([tmp_path / "Bob.json"], key)[0]) == 1
    empty, _ = listening_test.read([tmp_path / "cut.json"], key)
    assert list(empty) == ["rater", "question", "answer"]
    with pytest.raises(ValueError, match="there are no answers in"):
        listening_test.read(tmp_path / "folder.json", key)


def _answered(key: pd.DataFrame, hear, names=("Ann", "Bob", "Cid")) -> pd.DataFrame:
    rows = [
        (name, row.question, bool(hear(name, row))) for name in names for row in key.itertuples()
    ]
    return pd.DataFrame(rows, columns=["rater", "question", "answer"])


def test_raters_that_hear_the_truth_agree_perfectly():
    key = _questions(n_per_cluster=6, n_pairs=8)
    table = listening_test.agreement(_answered(key, lambda _, row: row.truth), key)
    assert table[["kind", "cluster"]].to_numpy().tolist() == [
        ["fits", -1], ["fits", 0], ["fits", 1], ["mixes", -1],
    ]  # fmt: skip
    assert (table["kappa"] == 1).all()
    assert (table["yes_members"] == 1).all()
    assert (table["yes_strangers"] == 0).all()
    assert table["n"].tolist() == [36, 18, 18, 24]
    assert table["members"].tolist() == [18, 9, 9, 12]
    assert table["shared"].tolist() == [12, 6, 6, 8]
    assert table["low_members"][1] == pytest.approx(0.7009, abs=1e-4)  # Wilson, 9 of 9
    assert (table["note"] == "").all()


def test_a_kappa_that_is_missing_says_why(tmp_path):
    key = _questions(n_pairs=0)
    one = listening_test.agreement(_answered(key, lambda _, row: row.truth, ["Ann"]), key)
    assert one["kappa"].isna().all()
    assert set(one["note"]) == {listening_test.ONE_RATER}
    same = listening_test.agreement(_answered(key, lambda *_: True), key)
    assert set(same["note"]) == {listening_test.ONE_ANSWER}
    both = _answered(key, lambda _, row: row.truth, ["Ann", "Bob"])
    apart = both[(both["rater"] == "Ann") == (both.index % 2 == 0)]
    assert set(listening_test.agreement(apart, key)["note"]) == {listening_test.NONE_SHARED}
    key.to_csv(tmp_path / "key.csv", index=False)
    again = listening_test.agreement(both, pd.read_csv(tmp_path / "key.csv"))
    pd.testing.assert_frame_equal(again, listening_test.agreement(both, key))


def test_only_questions_that_all_answered_count_for_kappa():
    key = _questions(n_per_cluster=0, n_pairs=8)
    answers = _answered(key, lambda _, row: row.truth, ["Ann", "Bob"])
    (row,) = listening_test.agreement(answers.iloc[:-3], key).to_dict("records")
    assert (row["n"], row["shared"], row["kappa"]) == (13, 5, 1)
    with pytest.raises(ValueError, match="0 of 16 answers are to questions of this key"):
        listening_test.agreement(answers.assign(question="x"), key)
    with pytest.raises(ValueError, match="0 of 0 answers"):
        listening_test.agreement(answers[:0], key)


def test_fleiss_kappa_of_the_published_example():
    counts = [
        [0, 0, 0, 0, 14], [0, 2, 6, 4, 2], [0, 0, 3, 5, 6], [0, 3, 9, 2, 0], [2, 2, 8, 1, 1],
        [7, 7, 0, 0, 0], [3, 2, 6, 3, 0], [2, 5, 3, 2, 2], [6, 5, 2, 1, 0], [0, 2, 2, 3, 7],
    ]  # fmt: skip
    assert listening_test.fleiss_kappa(counts) == pytest.approx(0.210, abs=5e-4)
    assert listening_test.fleiss_kappa([[3, 0], [0, 3]]) == 1
    assert listening_test.fleiss_kappa([[1, 1], [1, 1]]) == -1
    assert np.isnan(listening_test.fleiss_kappa([[3, 0], [3, 0]]))
    for bad, words in (
        ([[1, 0], [0, 1]], "same number of raters, two or more"),
        ([[2, 0], [1, 2]], "same number of raters"),
        ([[-1, 3]], "whole numbers from 0 on"),
        ([[0.5, 1.5]], "whole numbers"),
        ([2, 2], "whole numbers from 0 on, \\(questions, categories\\)"),
        (np.zeros((0, 2)), "whole numbers"),
    ):
        with pytest.raises(ValueError, match=words):
            listening_test.fleiss_kappa(bad)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 999), st.integers(2, 9), st.integers(2, 4))
def test_kappa_does_not_depend_on_order_and_is_at_most_one(seed, n, categories):
    rng = np.random.default_rng(seed)
    counts = rng.multinomial(n, np.full(categories, 1 / categories), 12)
    kappa = listening_test.fleiss_kappa(counts)
    assert -1 <= kappa <= 1
    shuffled = rng.permutation(rng.permutation(counts), axis=1)
    assert listening_test.fleiss_kappa(shuffled) == pytest.approx(kappa)


def test_random_answers_agree_by_chance(rng):
    key = _questions(n_per_cluster=14, n_pairs=32)
    table = listening_test.agreement(_answered(key, lambda *_: rng.random() < 0.5, range(12)), key)
    assert (table["kappa"].abs() < 0.15).all()
    assert table["yes_members"].between(table["low_members"], table["high_members"]).all()
