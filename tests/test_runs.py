from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch

from musiclatent import runs
from musiclatent.config import Experiment
from musiclatent.errors import CheckpointError
from musiclatent.excerpts import Waveform
from musiclatent.files import write_json
from musiclatent.models.mel import MelAutoencoder
from musiclatent.runs import Run
from musiclatent.spectrograms import LogMel
from musiclatent.studies import STUDIES

TRANSFORM = LogMel(8000, 0.25, n_fft=256, hop_length=64, n_mels=16)
OPTIONS = {"latent": 4, "channels": [4], "band_strides": [4], "time_strides": [4], "n_mels": 16}
SMALL = Experiment(
    name="mel-small-3",
    study="mel",
    key="small_3",
    model="MelAutoencoder",
    options=OPTIONS,
    about="Small; for tests.",
)


def _run(name="mel-cae-1", **metrics: float) -> Run:
    row = STUDIES[name.split("-")[0]].experiment(name)
    return Run(row, "nowhere", metrics, pd.DataFrame(), "trained")


@pytest.fixture
def stored(tmp_path):
    """A run whose weights are random, stored as training stores them."""
    torch.manual_seed(0)
    model = MelAutoencoder(**OPTIONS, learning_rate=0.1, total_steps=7)
    content = {"state_dict": model.state_dict(), "hyper_parameters": dict(model.hparams)}
    torch.save(content, tmp_path / "best.ckpt")
    return Run(SMALL, tmp_path / "best.ckpt", {}, pd.DataFrame(), "trained")


def test_every_experiment_has_a_model_that_takes_its_options():
    for study in STUDIES.values():
        for row in study.experiments.values():
            model = runs.MODELS[row.model](**row.options)
            assert model.stride > 0 if study.has_encoder else model.hparams["classes"] > 1


def test_a_stored_model_is_the_same_whatever_its_training_was(stored):
    model = runs.load(stored.checkpoint, SMALL)
    weights = torch.load(stored.checkpoint, weights_only=True)["state_dict"]
    assert not model.training and model.total_steps == 1
    assert all(torch.equal(weights[key], value) for key, value in model.state_dict().items())


@pytest.mark.parametrize(
    ("model", "change"),
    [
        ("MelAutoencoder", {"triplet_weight": 1.0}),
        ("MelAutoencoder", {"batch_norm": False}),
        ("MelAutoencoder", {"channels": [8]}),
        ("CRNNAutoencoder", {}),
    ],
)
def test_weights_of_another_configuration_are_refused(stored, model, change):
    other = replace(SMALL, name="mel-other", model=model, options=OPTIONS | change)
    with pytest.raises(CheckpointError, match="was not made by mel-other; delete .* train mel-o"):
        runs.load(stored.checkpoint, other)


def test_weights_that_are_missing_from_the_file_are_said(stored):
    content = torch.load(stored.checkpoint, weights_only=True)
    for broken in ({**content, "state_dict": {}}, {"hyper_parameters": {}}):
        torch.save(broken, stored.checkpoint)
        with pytest.raises(CheckpointError, match="was not made by mel-small-3"):
            runs.load(stored.checkpoint, SMALL)


def test_spectrograms_are_heard_at_their_own_level(stored, rng):
    t = np.arange(2000) / 8000
    y = [0.3 * np.sin(2 * np.pi * hz * t) + 0.01 * rng.standard_normal(2000) for hz in (300, 900)]
    x = np.stack([TRANSFORM(one) for one in y])
    heard = runs.reconstruct(stored, x, TRANSFORM)
    assert heard.shape == (2, 31 * 64) and np.isfinite(heard).all() and np.abs(heard).max() <= 1
    quiet = runs.reconstruct(stored, x - 20, TRANSFORM)  # the model sees the same
    np.testing.assert_allclose(quiet, 0.1 * heard, atol=1e-3)


def test_waveforms_come_back_as_the_model_gives_them(tmp_path):
    options = {"maps": 2, "kernel_size": 16, "stride": 8, "extra": "none"}
    row = Experiment(
        name="waveform-w",
        study="waveform",
        key="w",
        model="WaveformAutoencoder",
        options=options,
        about="",
    )
    model = runs.MODELS[row.model](**options)
    content = {"state_dict": model.state_dict(), "hyper_parameters": dict(model.hparams)}
    torch.save(content, tmp_path / "w.ckpt")
    run = Run(row, tmp_path / "w.ckpt", {}, pd.DataFrame(), "trained")
    x = np.random.default_rng(0).uniform(-0.1, 0.1, (3, 100)).astype(np.float32)
    with torch.no_grad():
        expected = model.eval()(torch.from_numpy(x)[:, None]).x_hat[:, 0].numpy()
    # Batches may be cut otherwise: float32, samples up to 1.
    np.testing.assert_allclose(runs.reconstruct(run, x, Waveform(1000, 0.1)), expected, atol=1e-6)


def test_figures_stand_beside_the_papers():
    known = _run("mel-cae-1", test_knn=0.4, test_knn_low=0.3, test_knn_high=0.5)
    table = runs.beside_paper(
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
    table = runs.beside_paper([], "test_knn")
    assert table.empty and list(table) == [
        *("experiment", "family", "name", "paper", "ours", "low", "high")
    ]


def test_metrics_are_named_by_the_experiments_key():
    found = runs.flatten([_run("mel-cae-1", test_knn=0.4), _run("mel-crnn-10", test_knn=0.6)])
    assert found == {"test_knn_cae_1": 0.4, "test_knn_crnn_10": 0.6}


def test_a_run_that_ended_is_read_and_one_that_did_not_names_the_command(stored, tmp_path):
    command = "make reproduce STUDY=mel EXPERIMENT=mel-small-3"
    with pytest.raises(CheckpointError, match=f"has not been trained in .*{command}"):
        runs.read_run(SMALL, tmp_path)
    write_json(tmp_path / "metrics.json", {"test_mse": 0.5})
    write_json(tmp_path / "curves.json", [{"epoch": 0, "train_mse": 1.0}])
    run = runs.read_run(SMALL, tmp_path)
    assert run.status == "reused" and run.metrics == {"test_mse": 0.5}
    assert run.curves["train_mse"].tolist() == [1.0] and run.checkpoint == stored.checkpoint


def test_means_are_over_windows_and_not_over_batches(stored):
    model = runs.load(stored.checkpoint, SMALL)
    x = torch.rand(5, 1, 16, 20, generator=torch.Generator().manual_seed(0))
    whole = runs.evaluate(model, [(x, None)])
    assert set(whole) == {"mse"}
    parts = runs.evaluate(model.train(), [(x[:4], None, None), (x[4:], None, None)])
    assert parts["mse"] == pytest.approx(whole["mse"]) and not model.training


def test_nothing_to_measure_gives_nothing(stored):
    assert runs.evaluate(runs.load(stored.checkpoint, SMALL), []) == {}
