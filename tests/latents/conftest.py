"""A folder of sounds, its datamodule, and a model without training."""

from pathlib import Path

import pytest
from helpers import signals
from helpers.models import untrained

from musiclatent.audio.windows import Waveform
from musiclatent.data.datamodules import CorpusDataModule
from musiclatent.training.run_folder import Run

SR, WINDOW_S = 8000, 0.5


@pytest.fixture(scope="module")
def music(tmp_path_factory) -> Path:
    """Five sounds of two windows and a padded third each, and a silence."""
    return signals.rising_files(tmp_path_factory.mktemp("music"), SR)


@pytest.fixture
def data(music, tmp_path) -> CorpusDataModule:
    transform = Waveform(SR, WINDOW_S)
    return CorpusDataModule(
        names=(str(music),), folder=tmp_path / "cache", root=music, transform=transform, n_jobs=1
    )


@pytest.fixture
def run(tmp_path) -> Run:
    return untrained(tmp_path)
