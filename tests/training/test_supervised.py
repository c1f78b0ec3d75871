"""Training of classifiers: reused, begun anew, and gone on with after it was killed."""

from dataclasses import replace

import numpy as np
import pytest
import pytorch_lightning as pl
import torch

from musiclatent.config import Experiment, Training
from musiclatent.errors import CheckpointError
from musiclatent.features.mel import LogMel
from musiclatent.training import run_folder, supervised
from musiclatent.training.trainer import make_trainer

OPTIONS = {"classes": 2, "channels": [4, 8], "n_mels": 8, "hidden": 4, "attributes": 3}
JOINT = Experiment(
    name="genre-tiny",
    study="genre",
    key="tiny",
    model="GenreNetwork",
    options=OPTIONS,
    about="",
    training=Training(learning_rate=1e-2, batch_size=4, select="last"),
)
CNN = replace(JOINT, options=OPTIONS | {"attributes": 0})


@pytest.fixture
def data(rng) -> tuple[list[np.ndarray], np.ndarray]:
    """Nine rows, so that one is left over from batches of four; sound is low or high."""
    codes = np.arange(9) % 2
    x = 0.2 * rng.random((9, 8, 12), np.float32)
    x[codes == 0, :3] += 0.7
    x[codes == 1, 5:] += 0.7
    return [x, rng.random((9, 3)).astype(np.float32)], codes


def _fit(data, folder, experiment=JOINT, epochs=2, **options):
    about = {"labels": ["low", "high"], "transform": LogMel(n_mels=8)}
    return supervised.fit_classifier(experiment, *data, folder, epochs=epochs, **about, **options)


def _weights(folder) -> dict[str, torch.Tensor]:
    return run_folder.load_model(folder).state_dict()


def _equal(a, b) -> bool:
    left, right = _weights(a), _weights(b)
    return all(torch.equal(left[key], right[key]) for key in left)


@pytest.mark.parametrize("experiment", [CNN, JOINT])
def test_it_learns_and_its_scores_are_probabilities(data, tmp_path, experiment):
    inputs = data[0] if experiment is JOINT else data[0][:1]
    folder = _fit((inputs, data[1]), tmp_path / "run", experiment, epochs=25)
    found = supervised.class_probabilities(folder, inputs)
    assert found.shape == (9, 2) and (found >= 0).all()
    np.testing.assert_allclose(found.sum(1), 1, atol=1e-5)
    assert (found.argmax(1) == data[1]).all()
    many = [np.concatenate([part] * 8) for part in inputs]  # more than go at once
    np.testing.assert_allclose(
        supervised.class_probabilities(folder, many),
        np.concatenate([found] * 8),
        atol=1e-5,
    )


def test_an_ended_training_is_reused(data, tmp_path, monkeypatch):
    first = _fit(data, tmp_path / "run")
    stamp = (first / "model.safetensors").stat().st_mtime_ns
    monkeypatch.setattr(supervised.trainer, "fit_quietly", lambda *_: pytest.fail("trained again"))
    words = replace(JOINT, about="other words", paper={"accuracy": 0.5}, source="elsewhere")
    for experiment in (JOINT, words):
        assert _fit(data, tmp_path / "run", experiment) == first
    assert (first / "model.safetensors").stat().st_mtime_ns == stamp


@pytest.mark.parametrize("change", ["x", "numbers", "codes", "epochs", "seed", "options", "rate"])
def test_anything_else_is_trained_anew(data, tmp_path, monkeypatch, change):
    _fit(data, tmp_path / "run", epochs=1)
    monkeypatch.setattr(supervised.run_folder, "prepare_folder", lambda *_: pytest.skip("anew"))
    (x, numbers), codes = data
    experiment, options = JOINT, {"epochs": 2 if change == "epochs" else 1}
    if change in ("x", "numbers", "codes"):
        {"x": x, "numbers": numbers, "codes": codes}[change].flat[0] += 1
    if change == "seed":
        options["seed"] = 1
    if change == "options":
        experiment = replace(JOINT, options=OPTIONS | {"dropout": 0.1})
    if change == "rate":
        experiment = replace(JOINT, training=replace(JOINT.training, learning_rate=1e-3))
    with pytest.raises(pytest.skip.Exception):
        _fit(([x, numbers], codes), tmp_path / "run", experiment, **options)


def test_other_data_replaces_the_weights(data, tmp_path):
    first = _weights(_fit(data, tmp_path / "run"))
    again = _weights(_fit((data[0], 1 - data[1]), tmp_path / "run"))
    assert any(not torch.equal(first[key], again[key]) for key in first)


def test_the_same_seed_gives_the_same_weights(data, tmp_path):
    made = {"a": 3, "b": 3, "c": 4}
    first, again, other = (_fit(data, tmp_path / n, seed=seed) for n, seed in made.items())
    assert _equal(first, again) and not _equal(first, other)


class KilledError(Exception):
    """As if the process was gone."""


class Kill(pl.Callback):
    """Break a training off in the middle of its third epoch."""

    def on_train_batch_end(self, trainer, *_):
        if trainer.current_epoch == 2:
            raise KilledError


def test_a_training_that_is_killed_goes_on_to_the_same_weights(data, tmp_path, monkeypatch):
    whole = _fit(data, tmp_path / "whole", epochs=4)
    with monkeypatch.context() as patch:
        make = make_trainer

        def trainer(*args, **options):
            made = make(*args, **options)
            made.callbacks.append(Kill())
            return made

        patch.setattr(supervised.trainer, "make_trainer", trainer)
        with pytest.raises(KilledError):
            _fit(data, tmp_path / "killed", epochs=4)
    assert not (tmp_path / "killed" / "metrics.json").exists()
    torch.rand(7)  # another process has other random numbers behind it
    resumed = _fit(data, tmp_path / "killed", epochs=4)
    assert torch.load(resumed / "best.ckpt", weights_only=True)["epoch"] == 3
    assert _equal(resumed, whole)


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ((9, 9, 8), r"\[9, 9\] inputs and 8 classes; give as many"),
        ((9, 5, 9), r"\[9, 5\] inputs and 9 classes"),
        ((0, 0, 0), r"\[0, 0\] inputs and 0 classes"),
        ((1, 1, 1), "1 classes; give as many, two or more"),  # nothing to normalise by
    ],
)
def test_lengths_that_differ(data, tmp_path, rows, words):
    (x, numbers), codes = data
    with pytest.raises(ValueError, match=words):
        _fit(([x[: rows[0]], numbers[: rows[1]]], codes[: rows[2]]), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_the_folder_says_what_the_outputs_mean(data, tmp_path):
    config = run_folder.read_config(_fit(data, tmp_path / "run", epochs=1))
    assert config["labels"] == ["low", "high"] and config["experiment"] == "genre-tiny"
    assert config["model"] == "GenreNetwork" and config["options"] == OPTIONS | {
        name: config["options"][name] for name in config["options"].keys() - OPTIONS.keys()
    }
    assert run_folder.read_transform(tmp_path / "run") == LogMel(n_mels=8)
    assert config["figures"] and config["data"]


def test_a_folder_without_a_network_is_refused(data, tmp_path):
    with pytest.raises(CheckpointError, match="holds no whole model"):
        supervised.class_probabilities(tmp_path / "nothing", data[0])


def test_spectrograms_get_a_channel_and_attributes_none(data):
    x, numbers = supervised.tensors([part.astype(np.float64) for part in data[0]])
    assert x.shape == (9, 1, 8, 12) and numbers.shape == (9, 3)
    assert x.dtype == numbers.dtype == torch.float32
