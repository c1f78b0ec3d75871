import time
from graphlib import CycleError
from threading import Lock

import pytest

from musiclatent.apps.running import schedule
from musiclatent.studies import STUDIES

BEFORE = {"a": set(), "b": {"a"}, "c": {"b"}, "d": set(), "e": {"a"}}
SECONDS = {"a": 1, "b": 2, "c": 4, "d": 5, "e": 1}


def test_the_longest_chain_counts_what_waits():
    assert schedule.chains(BEFORE, SECONDS) == {"a": 7, "b": 6, "c": 4, "d": 5, "e": 1}
    assert set(schedule.chains(BEFORE, {}).values()) == {0}


def test_one_at_a_time_the_longest_chain_goes_first():
    done = []
    schedule.run(BEFORE, done.append, at_once=1, longest=schedule.chains(BEFORE, SECONDS))
    assert done == ["a", "b", "d", "c", "e"]


def test_two_at_a_time_none_begins_before_what_it_waits_for():
    lock, running, ended, most = Lock(), set(), [], []

    def work(name):
        with lock:
            assert BEFORE[name] <= set(ended)
            running.add(name)
            most.append(len(running))
        time.sleep(0.02)
        with lock:
            running.remove(name)
            ended.append(name)

    schedule.run(BEFORE, work, at_once=2, longest=schedule.chains(BEFORE, SECONDS))
    assert sorted(ended) == sorted(BEFORE) and max(most) == 2


def test_what_fails_stops_the_rest():
    stopped = []

    def work(name):
        raise RuntimeError(name)

    with pytest.raises(RuntimeError, match="a"):
        schedule.run(
            BEFORE, work, at_once=1, longest=SECONDS | {"a": 9}, stop=lambda: stopped.append(1)
        )
    assert stopped == [1]


def test_the_graph_of_all_studies_holds_their_order_and_what_another_trains():
    before = schedule.graph({name: study.notebooks() for name, study in STUDIES.items()})
    assert len(before) == sum(len(study.notebooks()) for study in STUDIES.values())
    assert before["jazz/01_preprocess"] == set()
    assert before["mel/02_train_autoencoders"] == {"mel/01_preprocess"}
    assert "mel/02_train_autoencoders" in before["edm/62_edm_embeddings"]
    assert "mel/21_mel_evaluation" in before["genre/53_genre_networks"]
    alone = schedule.graph({"edm": ["62_edm_embeddings"]})
    assert alone == {"edm/62_edm_embeddings": set()}


def test_every_need_is_a_notebook_of_the_same_study_or_names_one_of_another():
    for name, study in STUDIES.items():
        for book in study.notebooks():
            for need in schedule.needs(name, book):
                owner, needed = need.split("/")
                assert needed in STUDIES[owner].notebooks(), f"{book} needs {need}"
    assert set(schedule.NEEDS) <= {b for study in STUDIES.values() for b in study.notebooks()}


def test_what_renders_the_same_corpus_waits_for_who_renders_it_first():
    plans = {name: study.notebooks() for name, study in STUDIES.items()}
    before = schedule.graph(plans)
    named = {one for name, ones in schedule.AFTER.items() for one in (name, *ones)}
    assert named <= set(before)
    assert "waveform/01_preprocess" in before["mel/01_preprocess"]
    assert schedule.graph({"mel": plans["mel"]})["mel/01_preprocess"] == set()


def test_notebooks_that_wait_for_one_another_are_refused(monkeypatch):
    monkeypatch.setitem(schedule.NEEDS, "one", ("two",))
    with pytest.raises(CycleError):
        schedule.graph({"x": ["one", "two"]})
