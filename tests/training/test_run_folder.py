import pytest
from helpers.models import MEL, stored_mel

from musiclatent.errors import CheckpointError
from musiclatent.files import write_json
from musiclatent.training.run_folder import read_run


@pytest.fixture
def stored(tmp_path):
    return stored_mel(tmp_path)


def test_a_run_that_ended_is_read_and_one_that_did_not_names_the_command(stored, tmp_path):
    command = "make reproduce STUDY=mel EXPERIMENT=mel-small-3"
    with pytest.raises(CheckpointError, match=f"has not been trained in .*{command}"):
        read_run(MEL, tmp_path)
    write_json(tmp_path / "metrics.json", {"test_mse": 0.5})
    write_json(tmp_path / "curves.json", [{"epoch": 0, "train_mse": 1.0}])
    run = read_run(MEL, tmp_path)
    assert run.status == "reused" and run.metrics == {"test_mse": 0.5}
    assert run.curves["train_mse"].tolist() == [1.0] and run.checkpoint == stored.checkpoint
