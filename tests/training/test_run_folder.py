import pandas as pd
import pytest
import torch

from musiclatent.config import Experiment
from musiclatent.errors import CheckpointError
from musiclatent.files import write_json
from musiclatent.models.mel import MelAutoencoder
from musiclatent.training.run_folder import Run, read_run

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


def test_a_run_that_ended_is_read_and_one_that_did_not_names_the_command(stored, tmp_path):
    command = "make reproduce STUDY=mel EXPERIMENT=mel-small-3"
    with pytest.raises(CheckpointError, match=f"has not been trained in .*{command}"):
        read_run(SMALL, tmp_path)
    write_json(tmp_path / "metrics.json", {"test_mse": 0.5})
    write_json(tmp_path / "curves.json", [{"epoch": 0, "train_mse": 1.0}])
    run = read_run(SMALL, tmp_path)
    assert run.status == "reused" and run.metrics == {"test_mse": 0.5}
    assert run.curves["train_mse"].tolist() == [1.0] and run.checkpoint == stored.checkpoint
