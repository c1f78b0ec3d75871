"""Tasks are spread over processes; a process that is killed costs its tasks only."""

import os

import joblib
import pytest
from helpers.tasks import killed, square
from joblib.externals.loky.process_executor import TerminatedWorkerError

from musiclatent.data.workers import pool
from musiclatent.errors import CacheError


def test_a_killed_process_costs_its_tasks_only(tmp_path, caplog):
    tasks = [(i, str(tmp_path)) for i in range(8)]
    assert list(pool.each(square, tasks, n_jobs=2)) == [i * i for i in range(8)]
    assert "is done again" in caplog.text


def test_tasks_that_kill_every_process_end_the_run(monkeypatch):
    monkeypatch.setattr(pool, "LOSSES", 1)
    with pytest.raises(TerminatedWorkerError):
        list(pool.each(killed, [(0,), (1,)], n_jobs=2))


def test_no_tasks_need_no_workers_and_a_missing_scheduler_is_named(monkeypatch):
    assert list(pool.each(square, [], n_jobs=2)) == []
    monkeypatch.setattr(pool, "CONNECT_S", 1)
    with pytest.raises(CacheError, match="no Dask scheduler with workers answers at 'tcp://127"):
        list(pool.each(square, [(1, "")], n_jobs=1, scheduler="tcp://127.0.0.1:9"))


def test_who_works_alone_starts_no_process():
    with joblib.parallel_config("sequential"):
        assert set(pool.each(os.getpid, [()] * 3, n_jobs=2, scheduler=None)) == {os.getpid()}
