import math

import pytest
import torch
from auraloss.freq import MultiResolutionSTFTLoss

from musiclatent.models import MODELS, base
from musiclatent.models.adaptive import ENVELOPE


def _noise(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)) * 0.1


def test_sisdr_of_a_perfect_copy_at_any_gain_is_high():
    x = _noise(0, 3, 1, 4000)
    assert (base.sisdr(x, 0.3 * x) > 60).all()


@pytest.mark.parametrize("level_db", [0.0, 10.0, 20.0])
def test_sisdr_is_the_ratio_of_signal_to_orthogonal_noise(level_db):
    t = torch.arange(8000) / 8000
    x = torch.sin(2 * math.pi * 100 * t)[None, None]
    noise = torch.cos(2 * math.pi * 100 * t)[None, None] * 10 ** (-level_db / 20)
    assert base.sisdr(x, x + noise).item() == pytest.approx(level_db, abs=1e-3)


def test_silence_is_left_out_of_the_ratios():
    x = torch.cat([_noise(0, 1, 1, 4000), torch.zeros(1, 1, 4000)])
    assert base.audible(x).tolist() == [True, False]
    assert len(base.sisdr(x, x)) == len(base.mrstft(x, x)) == 1
    assert len(base.mrstft(x[1:], x[1:])) == 0


def test_mrstft_is_zero_for_a_copy_and_each_window_stands_alone():
    x, other = _noise(0, 3, 1, 8000), _noise(1, 3, 1, 8000)
    assert base.mrstft(x, x).abs().max() == 0
    together = base.mrstft(x, other)
    alone = torch.cat([base.mrstft(a, b) for a, b in zip(x.split(1), other.split(1), strict=True)])
    # A batch of one may be summed in another order: float32 keeps 7 digits.
    torch.testing.assert_close(together, alone, rtol=1e-5, atol=1e-6)
    assert (together > 0.5).all()


def test_mrstft_is_that_of_auraloss_to_the_bit():
    x, other = _noise(0, 1, 1, 8000), _noise(1, 1, 1, 8000)
    assert base.mrstft(x, other).item() == MultiResolutionSTFTLoss()(other, x).item()


class Line(base.Autoencoder):
    """The least that can be trained."""

    stride = 4

    def __init__(self, learning_rate=0.5, total_steps=20):
        super().__init__(learning_rate, total_steps)
        self.gain = torch.nn.Parameter(torch.tensor(0.5))

    def encode(self, x):
        return self.pad(x).unflatten(2, (-1, self.stride))[:, 0].transpose(1, 2)

    def decode(self, z):
        return self.gain * z.transpose(1, 2).flatten(1)[:, None]


def test_the_rate_rises_to_its_peak_and_falls_once():
    model = Line()
    parts = model.configure_optimizers()
    optimizer, schedule = parts["optimizer"], parts["lr_scheduler"]["scheduler"]
    rates = []
    for _ in range(model.total_steps):
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    top = rates.index(max(rates))
    assert max(rates) == pytest.approx(0.5, rel=0.05) and 0 < top < 10
    assert rates == sorted(rates[:top]) + sorted(rates[top:], reverse=True)
    assert parts["lr_scheduler"]["interval"] == "step" and not model.supports_bf16


def test_a_waveform_step_returns_the_error_and_logs_dear_figures_of_the_first_batch_only():
    model, x = Line(), _noise(0, 3, 1, 4001)
    out = model(x)
    assert out.z.shape == (3, 4, 1001) and torch.equal(out.x_hat, 0.5 * x)
    names = []
    model.log = lambda name, value, **_: names.append(name)
    loss = model.training_step((x, torch.arange(3), torch.full((3,), -1)), 0)
    assert loss.item() == pytest.approx(0.25 * x.square().mean().item())
    assert names == ["train_mse", "train_sisdr", "train_mrstft"]
    for stage, expected in (("training", ["train_mse"]), ("validation", None), ("test", None)):
        names.clear()
        getattr(model, f"{stage}_step")((x, None, None), 1)
        assert names == (expected or [f"{stage}_mse", f"{stage}_sisdr"])


def test_measures_leave_silence_out_of_the_ratios_only():
    model = Line()
    x = torch.cat([_noise(0, 2, 1, 4000), torch.zeros(1, 1, 4000)])
    values = model.measure(x, 0.5 * x)
    assert {name: len(value) for name, value in values.items()} == {
        "mse": 3,
        "sisdr": 2,
        "mrstft": 2,
    }
    assert set(model.measure(x, x, with_stft=False)) == {"mse", "sisdr"}


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_a_model_says_what_not_all_can_do(model):
    placed = {"SparseAutoencoder", "DeepAutoencoder"}
    assert model.own_path == hasattr(model, "between") == (model.__name__ in placed)
    assert model.code == ("sparse" if model.__name__ == "SparseAutoencoder" else "dense")
    assert model.given == (ENVELOPE if model.__name__ == "DeepAutoencoder" else 0)
