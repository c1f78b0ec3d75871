"""The torch twin of the log-mel transform."""

import numpy as np
import pytest
import torch

from musiclatent.features import mel
from musiclatent.models.mel_frontend import log_mel

SR = 22_050


def batch(n: int = 30_000) -> np.ndarray:
    rng = np.random.default_rng(0)
    fade = np.linspace(0, 1, n) ** 3
    return np.stack([rng.uniform(-1, 1, n) * fade, 0.01 * rng.standard_normal(n), np.zeros(n)])


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"n_fft": 1024, "hop_length": 256, "n_mels": 64, "top_db": 60.0},
        {"n_fft": 512, "hop_length": 500, "n_mels": 20, "top_db": 200.0},
    ],
)
def test_it_equals_the_numpy_twin(parameters):
    y = batch().astype(np.float32)
    x = log_mel(torch.from_numpy(y), SR, **parameters)
    expected = np.stack([mel.log_mel(row, SR, **parameters) for row in y])
    assert x.dtype == torch.float32
    assert x.shape == expected.shape
    assert np.abs(x.numpy() - expected).max() < 1e-3


def test_short_sounds():
    y = batch(300).astype(np.float32)
    x = log_mel(torch.from_numpy(y), SR)
    assert np.abs(x[0].numpy() - mel.log_mel(y[0], SR)).max() < 1e-3


def test_items_of_a_batch_do_not_touch():
    y = torch.from_numpy(batch()).float()
    assert torch.allclose(log_mel(y, SR)[1:2], log_mel(y[1:2], SR), atol=1e-4)


def test_autocast_does_not_coarsen_it():
    y = torch.from_numpy(batch()).float()
    with torch.autocast("cpu", torch.bfloat16):
        x = log_mel(y, SR)
    assert torch.equal(x, log_mel(y, SR))
    assert log_mel(y.double(), SR).dtype == torch.float32


def test_gradients_reach_the_samples():
    y = torch.from_numpy(batch()[:1]).float().requires_grad_()
    log_mel(y, SR).mean().backward()
    assert torch.isfinite(y.grad).all()
    assert y.grad.abs().max() > 0


@pytest.mark.parametrize(
    ("y", "words"),
    [
        (torch.zeros(100), r"\(100,\); give floats \(B, N\)"),
        (torch.zeros(2, 0), "not empty"),
        (torch.zeros(2, 100, dtype=torch.int16), r"torch\.int16"),
    ],
)
def test_batches_that_are_no_sound(y, words):
    with pytest.raises(ValueError, match=words):
        log_mel(y, SR)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_it_is_the_same_on_a_gpu():
    y = torch.from_numpy(batch()).float()
    assert (log_mel(y.cuda(), SR).cpu() - log_mel(y, SR)).abs().max() < 1e-3
