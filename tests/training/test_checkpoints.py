from dataclasses import replace

import pandas as pd
import pytest
import torch

from musiclatent.config import Experiment
from musiclatent.errors import CheckpointError
from musiclatent.models.mel import MelAutoencoder
from musiclatent.training.checkpoints import load_checkpoint
from musiclatent.training.run_folder import Run

OPTIONS = {"latent": 4, "channels": [4], "band_strides": [4], "time_strides": [4], "n_mels": 16}
SMALL = Experiment(
    name="mel-small-3",
    study="mel",
    key="small_3",
    model="MelAutoencoder",
    options=OPTIONS,
    about="Small; for tests.",
)


@pytest.fixture
def stored(tmp_path):
    """A run whose weights are random, stored as training stores them."""
    torch.manual_seed(0)
    model = MelAutoencoder(**OPTIONS, learning_rate=0.1, total_steps=7)
    content = {"state_dict": model.state_dict(), "hyper_parameters": dict(model.hparams)}
    torch.save(content, tmp_path / "best.ckpt")
    return Run(
        experiment=SMALL,
        checkpoint=tmp_path / "best.ckpt",
        metrics={},
        curves=pd.DataFrame(),
        status="trained",
    )


def test_a_stored_model_is_the_same_whatever_its_training_was(stored):
    model = load_checkpoint(stored.checkpoint, SMALL)
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
        load_checkpoint(stored.checkpoint, other)


def test_weights_that_are_missing_from_the_file_are_said(stored):
    content = torch.load(stored.checkpoint, weights_only=True)
    for broken in ({**content, "state_dict": {}}, {"hyper_parameters": {}}):
        torch.save(broken, stored.checkpoint)
        with pytest.raises(CheckpointError, match="was not made by mel-small-3"):
            load_checkpoint(stored.checkpoint, SMALL)
