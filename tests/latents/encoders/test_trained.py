"""Our own models as encoders, untrained ones here: only shapes, times and what is pooled."""

import numpy as np
import pytest
import torch
from helpers.models import MEL, SMALL, SPARSE, untrained, waveform_experiment

from musiclatent import models
from musiclatent.analysis import pooling
from musiclatent.audio.windows import Waveform
from musiclatent.errors import CheckpointError
from musiclatent.features.mel import LogMel
from musiclatent.latents.encoder import load_encoder
from musiclatent.latents.encoders import checker, contract
from musiclatent.latents.encoders.trained import load_trained
from musiclatent.training.run_folder import write_model

MEL_INPUT = LogMel(sr=8000, window_s=0.5, n_fft=256, hop_length=128, n_mels=16)
KINDS = {
    "waveform": (SMALL, Waveform(8000, 0.5)),
    "mel": (MEL, MEL_INPUT),
    "sparse": (
        waveform_experiment("SparseAutoencoder", SPARSE, "sparse"),
        Waveform(8000, 0.5),
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_a_row_is_the_pooled_vector_of_a_window(kind, tmp_path, rng):
    row, transform = KINDS[kind]
    run = untrained(tmp_path, row, transform=transform)
    encoder = load_trained(run.folder)
    y = rng.uniform(-0.5, 0.5, 8000 * 5).astype(np.float32)
    z = contract.encode_sound(encoder, y)
    assert z.shape == (10, encoder.dimensions)
    ours = load_encoder(run.folder)
    channels = pooling.as_channels(np.asarray(ours.encode(y)), ours._spec)
    third = pooling.recording_vector([channels[3:4]], transform.kind)
    np.testing.assert_allclose(z[3], third, rtol=1e-4, atol=1e-4)
    assert encoder.revision == run.sha256[:16] and encoder.name == row.name


@pytest.mark.parametrize("kind", KINDS)
def test_they_keep_the_contract(kind, tmp_path):
    row, transform = KINDS[kind]
    lines = list(checker.check(load_trained(untrained(tmp_path, row, transform=transform).folder)))
    assert all(line.passed for line in lines), "\n".join(map(str, lines))


def test_a_network_that_classifies_gives_its_features(tmp_path, rng):
    torch.manual_seed(0)
    model = models.MODELS["GenreNetwork"]()
    transform = LogMel(sr=22_050, window_s=3.0)
    encoder = load_trained(write_model(tmp_path / "genre", model, transform=transform))
    z = contract.encode_sound(encoder, rng.uniform(-0.5, 0.5, 22_050 * 7).astype(np.float32))
    assert z.shape == (2, encoder.dimensions)


def test_a_model_that_is_not_there_is_named(tmp_path):
    with pytest.raises(CheckpointError, match="'nothing' is neither a folder nor a model"):
        load_trained("nothing", tmp_path)
