import numpy as np
import pandas as pd
import pytest
import torch
from helpers.models import stored_mel

from musiclatent.studies import STUDIES
from musiclatent.training import metrics
from musiclatent.training.run_folder import Run


def _run(name="mel-cae-1", **metrics: float) -> Run:
    row = STUDIES[name.split("-")[0]].experiment(name)
    return Run(
        experiment=row,
        folder="nowhere",
        metrics=metrics,
        curves=pd.DataFrame(),
        status="trained",
    )


@pytest.fixture
def stored(tmp_path):
    return stored_mel(tmp_path)


def test_figures_stand_beside_the_papers():
    known = _run("mel-cae-1", test_knn=0.4, test_knn_low=0.3, test_knn_high=0.5)
    table = metrics.beside_paper(
        [known, _run("mel-crnn-7"), _run("waveform-32", test_knn=0.9)], "test_knn"
    )
    assert table["experiment"].tolist() == ["mel-cae-1", "mel-crnn-7"]  # the paper has no other
    assert table["family"].tolist() == ["mel-cae", "mel-crnn"]
    assert table["name"].tolist() == ["mel-cae-1: Baseline", "mel-crnn-7: Larger kernel"]
    assert table["paper"].tolist() == [0.485, 0.915]
    assert table.loc[0, ["ours", "low", "high"]].tolist() == [0.4, 0.3, 0.5]
    assert table.loc[1, ["ours", "low", "high"]].isna().all()
    assert table[["ours", "low", "high"]].dtypes.eq(float).all()


def test_a_table_without_rows_still_has_its_columns():
    table = metrics.beside_paper([], "test_knn")
    assert table.empty and list(table) == [
        *("experiment", "family", "name", "paper", "ours", "low", "high")
    ]


def test_metrics_are_named_by_the_experiments_key():
    found = metrics.flatten([_run("mel-cae-1", test_knn=0.4), _run("mel-crnn-10", test_knn=0.6)])
    assert found == {"test_knn_cae_1": 0.4, "test_knn_crnn_10": 0.6}


def test_seeds_are_summarised_by_their_mean_and_interval():
    runs = [_run(test_mse=value) for value in (1.0, 2.0, 3.0)]
    table = metrics.over_seeds([runs, runs[:1]], ["test_mse", "test_knn"])
    assert table["mean"].tolist() == [2.0, 1.0] and table["seeds"].tolist() == [3, 1]
    assert table["low"][0] < 2 < table["high"][0] and np.isnan(table["low"][1])


def test_means_are_over_windows_and_not_over_batches(stored):
    model = stored.load()
    x = torch.rand(5, 1, 16, 20, generator=torch.Generator().manual_seed(0))
    whole = metrics.evaluate(model, [(x, None)])
    assert set(whole) == {"mse"}
    parts = metrics.evaluate(model.train(), [(x[:4], None, None), (x[4:], None, None)])
    assert parts["mse"] == pytest.approx(whole["mse"]) and not model.training


def test_nothing_to_measure_gives_nothing(stored):
    assert metrics.evaluate(stored.load(), []) == {}
