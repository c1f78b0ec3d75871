from dataclasses import replace

import pytest
import torch
from helpers.models import MEL

from musiclatent import models
from musiclatent.errors import CheckpointError
from musiclatent.training.checkpoints import load_checkpoint


@pytest.fixture
def stored(tmp_path):
    """The checkpoint of a training that has begun."""
    torch.manual_seed(0)
    model = models.MODELS[MEL.model](**MEL.options, learning_rate=0.1, total_steps=7)
    content = {"state_dict": model.state_dict(), "hyper_parameters": dict(model.hparams)}
    torch.save(content, tmp_path / "last.ckpt")
    return tmp_path / "last.ckpt"


def test_a_stored_model_is_the_same_whatever_its_training_was(stored):
    model = load_checkpoint(stored, MEL)
    weights = torch.load(stored, weights_only=True)["state_dict"]
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
    other = replace(MEL, name="mel-other", model=model, options=MEL.options | change)
    with pytest.raises(CheckpointError, match="was not made by mel-other; delete .* train mel-o"):
        load_checkpoint(stored, other)


def test_weights_that_are_missing_from_the_file_are_said(stored):
    content = torch.load(stored, weights_only=True)
    for broken in ({**content, "state_dict": {}}, {"hyper_parameters": {}}):
        torch.save(broken, stored)
        with pytest.raises(CheckpointError, match="was not made by mel-small-3"):
            load_checkpoint(stored, MEL)
