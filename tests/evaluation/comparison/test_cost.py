"""What an encoder costs is counted, and kept by its revision."""

import json

import numpy as np
import pytest
import torch
from helpers.encoders import Level
from joblib.externals.loky import ProcessPoolExecutor

from musiclatent.evaluation.comparison import cost
from musiclatent.latents.encoders.statistics import Statistics


def test_numbers_and_weights_are_counted():
    found = cost.figures_of(Level)
    assert set(found) == set(cost.FIGURES)
    assert found["numbers_per_s"] == 2 / 0.5 and found["speed"] > 1 and found["memory_mb"] > 10
    assert found["weights_mb"] != found["weights_mb"]  # nothing tells
    assert cost.weights_mb(Statistics("mfcc")) == 0

    class Net(Level):
        import torch

        model = torch.nn.Linear(999, 1)

    assert cost.weights_mb(Net()) == pytest.approx(1000 * 4 / 1e6)


def test_figures_are_kept_by_name_and_revision(tmp_path, monkeypatch):
    calls = []
    figures = dict.fromkeys(cost.FIGURES, 1.0) | {"weights_mb": float("nan")}
    monkeypatch.setattr(cost, "_in_new_process", lambda find: calls.append(find) or figures)
    first = cost.measure(Level, tmp_path)
    assert cost.measure(Level, tmp_path)["speed"] == first["speed"] and len(calls) == 1
    cost.measure(lambda: Level(revision="2"), tmp_path)
    assert len(calls) == 2
    [kept, _] = (tmp_path / "cost").iterdir()
    assert json.loads(kept.read_text())["weights_mb"] is None


def test_who_measures_beside_other_work_knows_no_memory(tmp_path):
    torch.set_num_threads(2)
    found = cost.measure(Level, tmp_path, apart=False)
    assert found["speed"] > 1 and found["memory_mb"] != found["memory_mb"]
    assert torch.get_num_threads() == 2
    assert np.isnan(cost.measure(Level, tmp_path, apart=False)["memory_mb"])  # as kept


def test_memory_is_that_of_the_process_and_not_of_who_started_it():
    held = np.ones(60_000_000)  # 480 MB
    with ProcessPoolExecutor(1) as pool:
        assert pool.submit(cost._most_mb).result() < held.nbytes / 1e6 < cost._most_mb()
