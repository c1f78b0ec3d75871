import pytest
import pytorch_lightning as pl
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from musiclatent import audio, models
from musiclatent.audio.windows import Waveform
from musiclatent.config import Experiment, Training
from musiclatent.data.datamodules import CorpusDataModule
from musiclatent.models import adaptive, mdct
from musiclatent.models.adaptive import DeepAutoencoder, even_noise
from musiclatent.models.base import mrstft
from musiclatent.studies import study
from musiclatent.training.fit import train_experiment
from musiclatent.training.lightning import Trained
from musiclatent.training.run_folder import read_config

WINDOW = 110_250  # five seconds
SMALL = {"width": 8, "depth": 2, "tile": 4, "crop": 1}


def _small(**options) -> DeepAutoencoder:
    torch.manual_seed(0)
    return DeepAutoencoder(**SMALL | options)


def _music(*shape: int) -> torch.Tensor:
    """Tones over noise."""
    generator = torch.Generator().manual_seed(0)
    t = torch.arange(shape[-1]) / 22_050
    tones = sum(0.1 * torch.sin(2 * torch.pi * hz * t) for hz in (220.0, 554.4, 1318.5, 3000.0))
    return tones + 0.02 * torch.randn(*shape, generator=generator)


def _untrained(model: DeepAutoencoder) -> DeepAutoencoder:
    """Let every layer do something, as after training."""
    generator = torch.Generator().manual_seed(1)
    for p in model.parameters():
        p.data += 0.05 * torch.randn(p.shape, generator=generator)
    return model.eval()


def test_five_seconds_are_128_maps_of_108_frames():
    out = _small()(torch.zeros(2, 1, WINDOW))
    assert out.z.shape == (2, 128, 108) and out.z[0].numel() == 13_824
    assert out.x_hat.shape == (2, 1, WINDOW)


@settings(max_examples=15, deadline=None)
@given(n=st.integers(1, 13_000))
def test_any_length_comes_back_with_its_length(n):
    out = _small()(_music(1, 1, n))
    assert out.z.shape == (1, 128, 4 * -(-n // 4_096)) and out.x_hat.shape == (1, 1, n)
    assert out.x_hat.isfinite().all()


def test_bands_cover_all_bins_once():
    assert adaptive.EDGES[0] == 0 and adaptive.EDGES[-1] == adaptive.HOP
    assert _small().spread.sum(0).eq(1).all() and len(_small().spread) == 112
    assert adaptive.EDGES[adaptive.CANDIDATES] == adaptive.CANDIDATES * adaptive.WIDE


def test_coefficients_are_those_of_the_loudest_bands_of_nine_segments():
    model, n = _small(), torch.arange(12 * 4_096)
    hz = [(4 * band + 2) / 2048 for band in (5, 60)]  # in the middle of two bands
    x = sum(torch.sin(2 * torch.pi * f * n) for f in hz)[None, None]
    envelope = adaptive._bands(model.encode(x)[:, :28].transpose(1, 2))
    places = adaptive._places(envelope)
    assert places.shape == (1, 48, 100)
    assert len(places.unique()) == places.numel()  # none twice
    frames, bins = places[0] // 1024, places[0] % 1024
    for band in (5, 60):
        assert bins.eq(4 * band).sum() == 48  # in all frames
    assert (frames[:36] < 36).all() and (frames[36:] >= 36).all()  # each block by itself
    assert (frames.float().mean(1).unflatten(0, (-1, 4)).mean(1).diff() >= 0).all()
    loud = torch.zeros(1, 3, 112)
    loud[0, 1, :75] = 1  # all that is kept may stand in one segment
    assert adaptive._places(loud).unique().tolist() == [
        1024 * frame + k for frame in range(4, 8) for k in range(300)
    ]


def test_steps_of_the_quantiser_follow_the_loudness_of_each_band():
    model, x = _small(), _music(2, 1, 40_000)
    z = model.encode(x)
    scaled = z / model.scale(z)
    assert torch.equal(scaled[:, :28], z[:, :28])
    assert scaled[:, 28:].abs().max() <= 4.001  # all the power of four frames by four bins in one
    torch.testing.assert_close(model.scale(2 * z)[:, 28:], 4 * model.scale(z)[:, 28:])


def test_what_is_kept_comes_back_exactly():
    model, z = _small(), _small().encode(_music(1, 1, 8_192))
    c = model.lapped(model.decode(z)[:, 0])
    again = model.encode(model.decode(z))
    assert c.shape == (1, 8, 1024)
    # the envelope of what was decoded ranks bands as before, where noise does not change it
    kept = z[:, 28:].abs().sum()
    assert (again[:, 28:] - z[:, 28:]).abs().sum() < 0.2 * kept


def test_encoder_and_decoder_agree_on_the_bands_of_any_weights():
    model, x = _untrained(_small()), _music(2, 1, 16_384)
    z = model.encode(x)
    with torch.no_grad():
        model.carrier.zero_()
        near = (model.decode(z) - x).square().mean()
    assert near < 0.2 * x.square().mean()  # in the wrong bands they would add to the error


def test_decoded_sound_is_nearer_than_noise():
    model, x = _small(), _music(2, 1, 16_384)
    x_hat = model(x).x_hat
    noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(3)) * x.std()
    assert (x_hat - x).square().mean() < 0.3 * (noise - x).square().mean()
    assert (mrstft(x, x_hat) < 0.7 * mrstft(x, noise)).all()


def test_it_is_deterministic():
    x = _music(1, 1, 5_000)
    assert torch.equal(_small()(x).x_hat, _small()(x).x_hat)
    model = _small()
    assert torch.equal(model.encode(x), model.encode(x))


def test_silence_stays_silent_and_its_slopes_are_finite():
    model, x = _untrained(_small(learning_rate=0.0)), torch.zeros(2, 1, 8_192)
    model.log = lambda *_, **__: None
    assert model(x).x_hat.abs().max() < 1e-3
    _step(model, x).backward()
    slopes = [p.grad for p in model.parameters() if p.grad is not None]
    assert slopes and all(slope.isfinite().all() for slope in slopes)


def _step(model: DeepAutoencoder, x: torch.Tensor) -> torch.Tensor:
    """The training loss, outside of a trainer."""
    model.step_generator = lambda index: torch.Generator().manual_seed(index)
    return model._step((x,), "train", 0)


def test_every_part_learns_from_one_batch():
    model, x = _small(), _music(2, 1, 4_096)
    model.log = lambda *_, **__: None
    optimizer, losses = torch.optim.Adam(model.parameters(), 3e-3), []
    for _ in range(25):
        loss = _step(model, x)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.95 * losses[0]
    untouched = [
        name
        for (name, p), q in zip(model.named_parameters(), _small().parameters(), strict=True)
        if torch.equal(p, q)
    ]
    assert not untouched


def test_even_noise_is_nearer_to_noise_than_noise_and_always_the_same():
    start, noise = even_noise(12, 0), even_noise(12, 30)
    assert torch.equal(noise, even_noise(12, 30)) and set(start.unique().tolist()) == {-1.0, 1.0}
    lapped, generator = mdct.Lapped(adaptive.HOP), torch.Generator().manual_seed(9)
    other = adaptive._spectra(lapped.inverse(torch.randn(1, 12, 1024, generator=generator)))
    far = [
        sum(
            (a - b).abs().mean()
            for a, b in zip(adaptive._spectra(lapped.inverse(y[None])), other, strict=True)
        )
        for y in (start, noise)
    ]
    assert far[1] < 0.97 * far[0]


def test_latents_between_two_sounds_are_sounds():
    model = _untrained(_small())
    a, b = model.encode(_music(1, 1, 8_192)), model.encode(_music(1, 1, 8_192).flip(-1) * 0.3)
    for part in (0.0, 0.3, 1.0):
        assert model.decode(torch.lerp(a, b, part)).abs().max() < 2
    drawn = torch.randn(a.shape, generator=torch.Generator().manual_seed(0))
    assert model.decode(drawn).isfinite().all()


def test_a_given_envelope_is_held_and_says_what_is_kept():
    model, x = _untrained(_small()), _music(1, 1, 8_192)
    z = model.encode(x)
    torch.testing.assert_close(model.encode(x, z[:, :28]), z)
    other = z[:, :28].flip(1)  # quiet bands loud
    again = model.encode(x, other)
    torch.testing.assert_close(again[:, :28], other)
    places = adaptive._places(adaptive._bands(other.transpose(1, 2)))
    torch.testing.assert_close(
        again[:, 28:].transpose(1, 2), model.lapped(x[:, 0]).flatten()[places]
    )


def test_the_way_between_two_sounds_mixes_bands_where_they_stand():
    model = _small()
    n = torch.arange(16_384)
    low, high = (
        torch.sin(2 * torch.pi * (4 * band + 2) / 2048 * n)[None, None] for band in (5, 60)
    )
    a, b = model.encode(low), model.encode(high)
    for part, end in ((0.0, a), (1.0, b)):
        torch.testing.assert_close(model.decode(model.between(a, b, part)), model.decode(end))
    half = model.decode(model.between(a, b, 0.5))
    assert (half - (low + high) / 2).square().mean() < 0.05 * half.square().mean()
    assert (model.decode(torch.lerp(a, b, 0.5)) - (low + high) / 2).square().mean() > 0.01
    with pytest.raises(ValueError, match="give .B, 128, T., T a multiple of 4"):
        model.between(a, b[:, :100], 0.5)


def test_what_does_not_fit_is_refused():
    for name in SMALL:
        with pytest.raises(ValueError, match=f"{name} is 0; give 1 or more"):
            DeepAutoencoder(**SMALL | {name: 0})
    for shape in ((1, 127, 4), (1, 128, 6), (1, 128, 0), (128, 4)):
        with pytest.raises(ValueError, match="give .B, 128, T., T a multiple of 4"):
            _small().decode(torch.zeros(shape))


def test_hyper_parameters_are_plain_and_make_the_same_model():
    model = _small()
    assert all(isinstance(v, str | int | float | bool | list) for v in model.hparams.values())
    shapes = {key: value.shape for key, value in model.state_dict().items()}
    again = DeepAutoencoder(**model.hparams).state_dict()
    assert {key: value.shape for key, value in again.items()} == shapes


@pytest.mark.parametrize("profile", ["demo", "real"])
def test_the_experiment_builds(profile):
    row = study("waveform", profile).experiment("waveform-deep")
    assert row.key == "deep_13824" and row.training.select == "last"
    assert isinstance(models.MODELS[row.model](**row.options), DeepAutoencoder)


def test_fast_dev_run():
    loader = DataLoader(list(_music(2, 1, 6_000)), 2, collate_fn=lambda rows: (torch.stack(rows),))
    trainer = pl.Trainer(
        fast_dev_run=True, logger=False, enable_progress_bar=False, enable_model_summary=False,
        accelerator="cpu",
    )  # fmt: skip
    trainer.fit(Trained(_small()), loader, loader)
    assert {"train_mse", "train_mrstft", "validation_mse"} <= set(trainer.callback_metrics)


ROW = Experiment(
    name="deep-small", study="deep", key="d", model="DeepAutoencoder", options=SMALL, about="",
    training=Training(learning_rate=1e-3, batch_size=4, select="last"),
)  # fmt: skip


@pytest.fixture
def data(tmp_path):
    folder = tmp_path / "music"
    folder.mkdir()
    for i in range(9):
        y = 0.1 * torch.randn(8_000 + i, generator=torch.Generator().manual_seed(i))
        audio.write(folder / f"{i}.wav", y.numpy(), 8_000)
    transform = Waveform(8_000, 0.6)
    return CorpusDataModule(
        names=(str(folder),), folder=tmp_path / "c", root=folder, transform=transform, n_jobs=1
    )


def test_two_epochs_are_one_and_one_to_the_bit(data, tmp_path):
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    whole = train_experiment(ROW, data, folder=tmp_path / "whole", epochs=2)
    assert train_experiment(ROW, data, folder=tmp_path / "halves", epochs=2, stop_after=1) is None
    halves = train_experiment(ROW, data, folder=tmp_path / "halves", epochs=2)
    torch.set_num_threads(threads)
    assert halves.status == "resumed" and halves.curves.equals(whole.curves)
    a, b = (run.load().state_dict() for run in (whole, halves))
    assert all(torch.equal(a[key], b[key]) for key in a)
    assert read_config(whole.folder)["options"]["width"] == 8
    again = train_experiment(ROW, data, folder=tmp_path / "whole", epochs=2)
    assert again.status == "reused" and again.metrics == whole.metrics


def test_noise_fills_what_lacks_and_nothing_else():
    spread = adaptive.band_matrix()
    c = torch.randn(2, 8, adaptive.HOP, generator=torch.Generator().manual_seed(0))
    envelope = adaptive.envelope_of(c, spread)
    assert envelope.shape == (2, 2, 112)
    assert torch.allclose(envelope, torch.ones(()), atol=0.3)  # power 1 in all bands
    assert torch.allclose(adaptive.fill(c, envelope, spread), c, atol=1e-2)
    quiet = adaptive.fill(torch.zeros_like(c), envelope, spread)
    assert torch.allclose(adaptive.envelope_of(quiet, spread), envelope, rtol=1e-3)


def test_without_noise_or_networks_the_same_latent_sounds_otherwise():
    model, x = _untrained(_small()), _music(2, 1, 8192)
    z, whole = model.encode(x), model(x).x_hat
    assert torch.equal(model.decode(z, noise=True)[..., : x.shape[-1]], whole)
    near = model.decode(z, noise=False)[..., : x.shape[-1]]
    assert (near - x).square().mean() < (whole - x).square().mean()
    model.noise = False
    assert torch.equal(model.encode(x), z) and torch.equal(model(x).x_hat, near)
    assert model(x).x_hat.square().sum() < whole.square().sum()
    model.noise, model.networks = True, False
    assert model.encode(x).shape == z.shape
    power = model(x).x_hat.square().mean()
    assert power.item() == pytest.approx(x.square().mean().item(), rel=0.1)
