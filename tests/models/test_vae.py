"""Variational autoencoders: sizes, divergence, components, warm-up, and training."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file
from sklearn.decomposition import PCA
from torch.distributions import Normal, kl_divergence

from musiclatent import audio
from musiclatent.config import Experiment, Training
from musiclatent.data.datamodules import CorpusDataModule
from musiclatent.features.stft import LogSTFT
from musiclatent.models import MODELS
from musiclatent.models.vae import LARGEST, SMALLEST, VAE, Components, RecurrentVAE, divergence
from musiclatent.studies import study
from musiclatent.training.fit import train_experiment

SIZES = {
    "latent": 6,
    "channels": [4, 5],
    "band_strides": [2, 2],
    "time_strides": [2, 2],
    "bins": 16,
    "frames": 12,
    "components": 16,
    "hidden": 8,
}
FAMILIES = (VAE, RecurrentVAE)
seeds = st.integers(0, 2**31 - 1)


def _small(kind=VAE, **options) -> VAE:
    torch.manual_seed(0)
    more = {"recurrent": 5} if kind is RecurrentVAE else {}
    return kind(**SIZES | more | options)


def _noise(seed: int, *shape: int) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def _logged(model: VAE) -> dict[str, float]:
    """What a step logs; no trainer is needed."""
    values = {}
    model.log = lambda name, value, **_: values.update({name: value.item()})
    return values


@pytest.mark.parametrize("kind", FAMILIES)
@settings(max_examples=15, deadline=None)
@given(
    strides=st.lists(st.tuples(st.integers(1, 3), st.integers(1, 3)), min_size=1, max_size=3),
    rest=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    each=st.integers(1, 4),
    components=st.sampled_from([0, 16]),
    n=st.integers(1, 3),
)
@torch.no_grad()
def test_any_size_that_fits_comes_back(kind, strides, rest, each, components, n):
    bands, times = (list(column) for column in zip(*strides, strict=True))
    bins, frames = rest[0] * math.prod(bands), rest[1] * math.prod(times)
    latent_frames = rest[1] if kind is RecurrentVAE else 1
    options = {"channels": [3] * len(strides), "band_strides": bands, "time_strides": times}
    options |= {"bins": bins, "frames": frames, "components": components}
    model = _small(kind, latent=each * latent_frames, **options).eval()
    x = _noise(n, n, 1, bins, frames)
    mean, log_variance = model.posterior(x)
    assert mean.shape == log_variance.shape == (n, each, latent_frames)
    out = model(x)
    assert out.x_hat.shape == x.shape and out.x_hat.dtype == torch.float32
    assert out.x_hat.min() >= 0 and out.x_hat.max() <= 1
    assert model.sample(n).shape == x.shape


@pytest.mark.parametrize("kind", FAMILIES)
@pytest.mark.parametrize("components", [24, 0])
@torch.no_grad()
def test_what_posterior_encode_decode_and_forward_promise(kind, components):
    model = _small(kind, components=components).eval()
    x = _noise(0, 5, 1, 16, 12)
    mean, log_variance = model.posterior(x)
    out = model(x)
    assert torch.equal(model.encode(x), mean) and torch.equal(out.z, mean)
    assert torch.equal(out.mean, mean) and torch.equal(out.log_variance, log_variance)
    assert torch.equal(model.decode(mean), out.x_hat)
    drawn = model(x, torch.Generator().manual_seed(3))
    noise = torch.randn(mean.shape, generator=torch.Generator().manual_seed(3))
    torch.testing.assert_close(drawn.z, mean + noise * (log_variance / 2).exp())
    assert torch.equal(drawn.x_hat, model.decode(drawn.z))
    for gain in (0.0, 1e4):  # far away it is still a spectrogram
        x_hat = model.decode(gain * mean)
        assert x_hat.min() >= 0 and x_hat.max() <= 1
    measured = model.measure(x, out.x_hat)
    torch.testing.assert_close(measured["kl"], divergence(mean, log_variance))
    torch.testing.assert_close(measured["mse"], (out.x_hat - x).square().mean((1, 2, 3)))


@pytest.mark.parametrize("kind", FAMILIES)
@torch.no_grad()
def test_each_spectrogram_is_encoded_by_itself(kind):
    model, x = _small(kind).eval(), _noise(0, 4, 1, 16, 12)
    together = model.encode(x)
    for i in range(4):
        torch.testing.assert_close(model.encode(x[i : i + 1])[0], together[i])


@pytest.mark.parametrize("kind", FAMILIES)
def test_samples_are_standard_normal_latents_decoded(kind):
    model = _small(kind).eval()
    first, again, other = model.sample(3), model.sample(3), model.sample(3, seed=1)
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert not first.requires_grad and not torch.equal(first[0], first[1])
    z = torch.randn((3, *model.latent_shape), generator=torch.Generator().manual_seed(0))
    assert torch.equal(first, model.decode(z))


@pytest.mark.parametrize("shape", [(15, 12), (16, 13), (16, 24), (12, 16)])
@pytest.mark.parametrize("kind", FAMILIES)
def test_another_size_is_refused(kind, shape):
    words = rf"spectrograms are \({shape[0]}, {shape[1]}\); this model takes \(16, 12\)"
    with pytest.raises(ValueError, match=words):
        _small(kind).encode(torch.zeros(2, 1, *shape))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"channels": [4]}, "1 channels, 2 band_strides and 2 time_strides; give one of each"),
        ({"time_strides": [2]}, "2 channels, 2 band_strides and 1 time_strides"),
        ({"bins": 18}, "18 bins and 12 frames; give multiples of the strides' products, 4 and 4"),
        ({"frames": 14}, "16 bins and 14 frames; give multiples"),
        ({"latent": 0}, "latent 0, .*; give 1 or more"),
        ({"kl_weight": -0.1}, "kl_weight -0.1"),
        ({"kl_weight": float("nan")}, "kl_weight nan"),
        ({"kl_weight": float("inf")}, "kl_weight inf"),
        ({"warm_up": 1.5}, "warm_up 1.5; .* a share from 0 to 1"),
    ],
)
@pytest.mark.parametrize("kind", FAMILIES)
def test_sizes_that_do_not_fit_are_refused(kind, options, words):
    with pytest.raises(ValueError, match=words):
        _small(kind, **options)


def test_latent_frames_share_the_numbers():
    with pytest.raises(ValueError, match="latent is 7; give a multiple of the 3 latent frames"):
        _small(RecurrentVAE, latent=7)
    assert _small(RecurrentVAE).latent_shape == (2, 3)


@torch.no_grad()
def test_the_recurrent_layers_hear_the_past_and_the_future():
    model = _small(RecurrentVAE, components=0).eval()
    x = _noise(0, 1, 1, 16, 12)
    for changed in (0, 11):
        other = x.clone()
        other[..., changed] = 1 - other[..., changed]
        assert (model.encode(x) != model.encode(other)).any(1).all()


@settings(max_examples=30, deadline=None)
@given(seed=seeds, size=st.floats(0, 5))
def test_divergence_is_the_closed_form(seed, size):
    mean, log_variance = size * (_noise(seed, 2, 3, 4, 2) - 0.5)
    wanted = kl_divergence(Normal(mean, (log_variance / 2).exp()), Normal(0.0, 1.0)).sum((1, 2))
    torch.testing.assert_close(divergence(mean, log_variance), wanted, atol=1e-4, rtol=1e-4)


def test_divergence_by_hand():
    zero = torch.zeros(2, 3, 1)
    assert not divergence(zero, zero).any()
    torch.testing.assert_close(divergence(zero + 2, zero), torch.full((2,), 3 * 2.0))
    each = (0.25 - 1 - math.log(0.25)) / 2
    torch.testing.assert_close(divergence(zero, zero + math.log(0.25)), torch.full((2,), 3 * each))


@torch.no_grad()
def test_the_log_variance_stays_where_16_bits_can_hold_it():
    model = _small(components=0).eval()
    for bias, bound in ((-1e3, SMALLEST), (1e3, LARGEST)):
        model.to_latent.bias.fill_(bias)
        assert (model.posterior(_noise(0, 2, 1, 16, 12))[1] == bound).all()


def _fitted(model: VAE, x: torch.Tensor) -> VAE:
    """Fit the components and leave out what the network adds."""
    model.components.fit(x, 0.02)
    model.components.gates.data.zero_()
    return model.eval()


def _correlated(n: int, seed: int = 0, *, parts: int = 10, rest: float = 0.0) -> torch.Tensor:
    """Spectrograms (n, 1, 16, 12) that some numbers make up, each less than the one before."""
    numbers = _noise(seed, n, parts) * torch.tensor([0.5 / (i + 1) for i in range(parts)])
    x = (numbers @ _noise(seed + 1, parts, 192)).reshape(n, 1, 16, 12) / 3 + 0.1
    return x + rest * _noise(seed + 2, n, 1, 16, 12)


def _blocks(x: torch.Tensor, frames: int) -> np.ndarray:
    """Spectrograms (B, 1, F, T) cut into blocks of frames, one a row."""
    parts = x[:, 0].numpy().astype(float).reshape(len(x), x.shape[2], -1, frames)
    return parts.transpose(0, 2, 1, 3).reshape(-1, x.shape[2] * frames)


def _by_pca(x: np.ndarray, n: int, others: np.ndarray | None = None) -> np.ndarray:
    """Principal components of rows `x`, and what they make of them or of others."""
    pca = PCA(n, svd_solver="full").fit(x)
    return pca.inverse_transform(pca.transform(x if others is None else others))


@torch.no_grad()
def test_the_components_alone_are_principal_components():
    x, other = (_correlated(40, parts=6, rest=1e-3), _correlated(5, 9, parts=6, rest=1e-3))
    model = _fitted(_small(), x)
    for part in (x, other):
        wanted = _by_pca(_blocks(x, 12), 6, _blocks(part, 12)).clip(0, 1)
        np.testing.assert_allclose(_blocks(model(part).x_hat, 12), wanted, atol=1e-4)
    z = model.encode(x)[:, :, 0]
    torch.testing.assert_close(z.mean(0), torch.zeros(6), atol=1e-4, rtol=0)
    torch.testing.assert_close(z.T.cov(), torch.eye(6), atol=1e-3, rtol=0)


@torch.no_grad()
def test_the_components_of_a_recurrent_model_are_those_of_blocks():
    x = (_blocks(_correlated(20, parts=2), 12).reshape(20, 16, 12)).mean(2, keepdims=True)
    step = np.array([1, 1, 1, 1, -1, 1, -1, 1, 0.5, 0.5, 0.5, 0.5])  # two numbers make a block
    x = torch.from_numpy(0.3 + x[:, :1] * step).float()[:, None].expand(-1, -1, 16, -1)
    model = _fitted(_small(RecurrentVAE), x)
    wanted = _by_pca(_blocks(x, 4), 2).clip(0, 1)
    np.testing.assert_allclose(_blocks(model(x).x_hat, 4), wanted, atol=1e-4)
    z = model.encode(x).transpose(1, 2).flatten(0, 1)
    assert z.shape == (60, 2)
    torch.testing.assert_close(z.mean(0), torch.zeros(2), atol=1e-4, rtol=0)
    torch.testing.assert_close(z.T.cov(), torch.eye(2), atol=1e-3, rtol=0)


@torch.no_grad()
@pytest.mark.parametrize(("kind", "frames", "n"), [(VAE, 12, 6), (RecurrentVAE, 4, 2)])
def test_no_linear_map_of_the_size_is_better_than_the_components(kind, frames, n):
    x = _correlated(40)  # what is left out is little less than what is kept
    model = _fitted(_small(kind), x)
    blocks = _blocks(x, frames)
    best = np.square(_by_pca(blocks, n) - blocks).mean()
    ours = np.square(_blocks(model(x).x_hat, frames) - blocks).mean()
    assert float(ours / best) <= 1.001


@torch.no_grad()
def test_components_start_with_the_best_variance():
    """Of a linear decoder the loss is known, and no other variance makes it less."""
    x, weight = _correlated(40), 0.02
    components = Components(16, 12, 6, 16, 8)
    components.fit(x, weight)
    size = components.up.weight.square().sum(0)[:6]  # what a latent of variance 1 adds to the error

    def loss(log_variance: torch.Tensor) -> torch.Tensor:
        return size * log_variance.exp() / 2 + weight * (log_variance.exp() - log_variance) / 2

    best = loss(components.log_variance)
    for step in (-0.1, 0.1):
        assert (loss(components.log_variance + step) > best).all()
    assert (components.log_variance < 0).all() and components.fitted


@torch.no_grad()
@pytest.mark.parametrize("n", [1, 3])
def test_fewer_windows_than_latents_leave_some_unused(n):
    x = _correlated(n)
    model = _fitted(_small(), x)
    out = model(x)
    torch.testing.assert_close(out.x_hat, x, atol=1e-3, rtol=0)
    mean, log_variance = model.posterior(x)
    unused = (model.components.down.weight == 0).all(1)[:6]
    assert unused.sum() == 6 - (n - 1) and not mean[:, unused].any()
    assert (model.components.up.weight[:, :6][:, unused] == 0).all()
    assert (model.components.log_variance[unused] == 0).all()
    assert log_variance.isfinite().all()


@torch.no_grad()
def test_silent_windows_can_be_fitted():
    x = torch.zeros(5, 1, 16, 12)
    model = _fitted(_small(), x)
    assert not model(x).x_hat.any() and not model.encode(x).any()


def test_components_are_trained_at_a_hundredth_of_the_rate():
    model = _small(learning_rate=1e-2)
    groups = model.configure_optimizers()["optimizer"].param_groups
    slow = {id(p) for map in (model.components.down, model.components.up) for p in map.parameters()}
    assert {id(p) for p in groups[1]["params"]} == slow
    assert sum(len(group["params"]) for group in groups) == len([*model.parameters()])
    assert groups[1]["max_lr"] == pytest.approx(groups[0]["max_lr"] / 100) == 1e-4
    assert len(_small(components=0).configure_optimizers()["optimizer"].param_groups) == 1


@pytest.mark.parametrize(
    ("step", "warm_up", "weight"),
    [(0, 0.5, 0.1), (1, 0.5, 0.2), (4, 0.5, 0.5), (9, 0.5, 1), (15, 0.5, 1), (0, 0, 1)],
)
def test_the_weight_of_the_divergence_rises(monkeypatch, step, warm_up, weight):
    model = _small(kl_weight=0.3, warm_up=warm_up, total_steps=20)
    monkeypatch.setattr(VAE, "global_step", step)
    values = _logged(model)
    loss = model.training_step((_noise(0, 4, 1, 16, 12),), 0)
    assert loss.item() == values["train_loss"]
    assert values["train_reconstruction"] == pytest.approx(values["train_mse"] * 16 * 12 / 2)
    rising = (loss.item() - values["train_reconstruction"]) / values["train_kl"]
    assert rising == pytest.approx(weight * 0.3, rel=1e-3)


@torch.no_grad()
def test_validation_takes_the_mean_and_the_whole_weight():
    model = _small(kl_weight=0.3, warm_up=1.0, total_steps=100).eval()
    values, x = _logged(model), _noise(0, 4, 1, 16, 12)
    model.validation_step((x,), 0)
    out = model(x)
    mse, kl = (out.x_hat - x).square().mean(), divergence(out.mean, out.log_variance).mean()
    wanted = {"mse": mse, "reconstruction": 96 * mse, "kl": kl, "loss": 96 * mse + 0.3 * kl}
    assert values == pytest.approx({f"validation_{k}": v.item() for k, v in wanted.items()})


def test_training_draws_the_same_in_the_same_step():
    model = _small(shift=True)
    _logged(model)
    x = _noise(0, 4, 1, 16, 12)
    torch.manual_seed(5)
    first, again, other = (model.training_step((x,), index) for index in (3, 3, 4))
    assert torch.equal(first, again) and first != other


@pytest.mark.parametrize("kind", FAMILIES)
@pytest.mark.parametrize("components", [24, 0])
def test_one_batch_can_be_learned_by_heart(kind, components):
    options = {"channels": [16, 24], "latent": 24, "kl_weight": 1e-4, "components": components}
    model = _small(kind, **options | ({"recurrent": 32} if kind is RecurrentVAE else {}))
    _logged(model)
    x = (_noise(0, 8, 1, 4, 3) > 0.5).float()  # blocks of 4 bins and 4 frames
    x = x.repeat_interleave(4, 2).repeat_interleave(4, 3)
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    for step in range(150):
        loss = model.training_step((x,), step)
        optimizer.zero_grad(), loss.backward(), optimizer.step()
    with torch.no_grad():
        out = model(x)
    assert (out.x_hat - x).square().mean() < 0.1 * x.var()
    assert divergence(out.mean, out.log_variance).min() > 1  # it says something


@pytest.mark.parametrize("kind", FAMILIES)
def test_16_bits_give_finite_numbers(kind):
    model = _small(kind)
    _logged(model)
    x = _correlated(8)
    model.components.fit(x, 0.02)
    with torch.autocast("cpu", torch.bfloat16):
        out = model(x)
        loss = model.training_step((x,), 0)
    loss.backward()
    assert out.x_hat.dtype == out.mean.dtype == out.log_variance.dtype == torch.float32
    assert loss.isfinite() and loss.dtype == torch.float32
    assert all(p.grad is not None and p.grad.isfinite().all() for p in model.parameters())
    whole = model(x)
    torch.testing.assert_close(out.x_hat, whole.x_hat, atol=0.05, rtol=0)


@pytest.mark.parametrize("kind", FAMILIES)
def test_hyper_parameters_are_plain_and_make_the_same_model(kind):
    model = _small(kind, kl_weight=0.5, shift=True)
    options = dict(model.hparams)
    assert all(isinstance(value, str | int | float | bool | list) for value in options.values())
    assert (SIZES | {"kl_weight": 0.5, "shift": True}).items() <= options.items()
    assert ("recurrent" in options) == (kind is RecurrentVAE)
    shapes = {key: value.shape for key, value in model.state_dict().items()}
    again = kind(**options).state_dict()
    assert {key: value.shape for key, value in again.items()} == shapes


@pytest.mark.parametrize("profile", ["tiny", "real", "paper"])
@pytest.mark.parametrize("name", ["digits", "jazz"])
def test_the_experiments_of_both_studies_build(name, profile):
    for row in study(name, profile).experiments.values():
        with torch.device("meta"):
            model = MODELS[row.model](**row.options)
        assert math.prod(model.latent_shape) == model.hparams.latent <= 64
        assert (model.hparams.channels[0] == 512) == (profile == "paper")
        assert len(model.hparams.channels) == 5
        assert row.options.items() <= dict(model.hparams).items()
        frames = study(name, profile).frames
        transform = LogSTFT(window_s=study(name, profile).window_s, **frames)
        assert transform.shape == (model.hparams.bins, model.hparams.frames)


@pytest.mark.parametrize("profile", ["tiny", "real", "paper"])
@pytest.mark.parametrize("name", ["digits", "jazz"])
def test_no_two_experiments_of_a_study_are_the_same(name, profile):
    rows = study(name, profile).experiments.values()
    assert len({repr((row.model, row.options, row.training)) for row in rows}) == len(rows)


def _experiment(kind, **options) -> Experiment:
    more = {"recurrent": 5} if kind is RecurrentVAE else {}
    return Experiment(
        name="digits-small",
        study="digits",
        key="small",
        model=kind.__name__,
        options={**SIZES, "frames": 32, "bins": 16, "latent": 8, **more, **options},
        about="a small one for tests",
        training=Training(learning_rate=1e-2, batch_size=4, select="last"),
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tones")
    rng, t = np.random.default_rng(0), np.arange(1000) / 8000
    for i in range(12):
        y = 0.3 * np.sin(2 * np.pi * rng.uniform(100, 2000) * t)
        audio.write(folder / f"{i}.wav", y + 0.01 * rng.standard_normal(1000), 8000)
    return folder


@pytest.fixture
def data(folder, tmp_path):
    transform = LogSTFT(sr=8000, window_s=0.0625, n_fft=32, hop_length=16)  # 500 samples: 16 x 32
    return CorpusDataModule(
        names=(str(folder),), folder=tmp_path / "cache", root=folder, transform=transform, n_jobs=1
    )


@pytest.mark.parametrize("kind", FAMILIES)
@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_four_epochs_are_two_and_two_to_the_bit(data, tmp_path, kind, precision):
    plan = _experiment(kind, shift=True)

    def fit(name, **more):
        options = {"epochs": 4, "precision": precision} | more
        return train_experiment(plan, data, folder=tmp_path / name, **options)

    whole = fit("whole")
    assert fit("halves", stop_after=2) is None
    halves = fit("halves")
    assert halves.status == "resumed"
    a, b = (load_file(tmp_path / name / "model.safetensors") for name in ("whole", "halves"))
    assert all(torch.equal(a[key], b[key]) for key in a)
    assert halves.metrics == whole.metrics and halves.curves.equals(whole.curves)
    assert {"train_kl", "train_reconstruction", "validation_mse"} <= set(whole.curves)
    assert whole.metrics["latent_numbers"] == 8 and whole.metrics["test_kl"] > 0
    model = whole.load()
    assert type(model) is kind and not model.training
    assert all(torch.equal(a[key], value) for key, value in model.state_dict().items())
    assert model.components.fitted


def test_training_begins_with_the_principal_components_of_the_training_windows(data, tmp_path):
    still = replace(
        _experiment(VAE), training=Training(learning_rate=1e-12, batch_size=4, select="last")
    )
    run = train_experiment(still, data, folder=tmp_path / "run", epochs=1, precision="32-true")
    model = run.load()
    model.components.gates.data.zero_()
    x = data.transform.model_input(np.array(data.cached.x[data.rows("train")]))
    x = torch.from_numpy(x)[:, None]
    blocks = _blocks(x, 32)
    mean = model.components.up.bias.detach().numpy()
    np.testing.assert_allclose(mean, blocks.mean(0), atol=1e-5)
    best = np.square(_by_pca(blocks, 8).clip(0, 1) - blocks).mean()
    with torch.no_grad():
        found = _blocks(model(x).x_hat, 32)
    assert np.square(found - blocks).mean() < 1.05 * best


def test_without_components_training_needs_none(data, tmp_path):
    plan = _experiment(VAE, components=0)
    run = train_experiment(plan, data, folder=tmp_path / "run", epochs=2, precision="32-true")
    model = run.load()
    assert model.components is None and np.isfinite(run.metrics["test_mse"])
