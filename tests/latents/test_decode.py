"""Folders of latents: made, reused, checked, selected, joined and decoded."""

import tracemalloc
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from musiclatent import audio, models
from musiclatent.audio.windows import Waveform
from musiclatent.display import player
from musiclatent.display.player import Listener
from musiclatent.errors import LatentsError
from musiclatent.evaluation import reconstruction
from musiclatent.features.mel import LogMel, log_mel
from musiclatent.latents.decode import decode, interpolate, rebuild
from musiclatent.latents.encode import encode_corpus
from musiclatent.models.base import Autoencoder, Output
from musiclatent.models.mel import MelAutoencoder
from musiclatent.models.waveform import LinearBlocks, PoolingAutoencoder, WaveformAutoencoder
from musiclatent.studies import study

SR, WINDOW_S = 8000, 0.5


def test_decoding_latents_gives_the_models_reconstruction(run, data, tmp_path):
    found = encode_corpus(run, data, tmp_path / "latents")
    y = decode(run.load(), found.z, found.provenance["latent_shape"])
    assert y.dtype == np.float32 and y.shape == (16, 4000)
    np.testing.assert_allclose(
        y, reconstruction.reconstruct(run, np.array(data.cached.x), data.transform), atol=1e-6
    )
    np.testing.assert_array_equal(decode(run.load(), found.shaped(), (8, 125)), y)
    with pytest.raises(LatentsError, match=r"shape \(16, 1000\); give \(B, 999\)"):
        decode(run.load(), found.z, (9, 111))


@pytest.fixture
def listener(monkeypatch):
    """A decoder that lays the frames of a latent end to end."""

    def decode(run, z, shape):
        return z.reshape(len(z), *shape).transpose(0, 2, 1).reshape(len(z), -1)

    monkeypatch.setattr(player, "decode", decode)
    monkeypatch.setattr(player, "interpolate", lambda *_: None)
    return Listener(SimpleNamespace(load=lambda: None), Waveform(SR, 0.5))


def _latent(level: float) -> np.ndarray:
    return np.full((4, 1000), level, np.float32)


def test_a_straight_way_is_the_models_own_where_it_has_one(listener, monkeypatch):
    a, b = _latent(0.0), _latent(1.0)
    assert listener.interpolate(a, b, 3).mean(axis=(1, 2)).tolist() == [0, 0.5, 1]

    def own(model, z_a, z_b, positions):
        return np.stack([z_a + 7 * p for p in positions])

    monkeypatch.setattr(player, "interpolate", own)
    assert listener.interpolate(a, b, 3).mean(axis=(1, 2)).tolist() == [0, 3.5, 7]
    assert listener.interpolate(a, b, 3, "spherical").mean(axis=(1, 2)).tolist() == [0, 0.5, 1]
    with pytest.raises(ValueError, match="steps is 1"):
        listener.interpolate(a, b, 1)


def test_models_without_a_way_have_none():
    options = {"numbers": 27_500, "hops": [64, 1024], "iterations": 2, "refits": 0, "crop": 2}
    for kind, more in {"WaveformAutoencoder": {"maps": 4}, "SparseAutoencoder": options}.items():
        model = models.MODELS[kind](**more)
        z = model.encode(torch.randn(2, 1, 4096)).detach().numpy()
        way = interpolate(model, *z, [0.0, 0.5, 1.0])
        assert (way is None) == (kind == "WaveformAutoencoder")
    np.testing.assert_array_equal(way[[0, 2]], z)


MUSIC_SR, FIVE_S = 22_050, 5.0
A1 = study("waveform").experiment("waveform-64").options
SMALL = {"maps": 4, "kernel_size": 64, "stride": 32}


def model(kind: type[Autoencoder] = WaveformAutoencoder, **options) -> Autoencoder:
    torch.manual_seed(0)
    return kind(**options).eval()


@pytest.fixture(scope="module")
def good() -> Autoencoder:
    """A1 as a lapped cosine transform (MDCT) kept below 1.4 kHz: random weights tell no sine."""
    net = model(**A1)
    k, n = np.arange(64)[:, None] + 0.5, np.arange(1024) + 0.5
    basis = np.sin(np.pi * n / 1024) * np.cos(np.pi / 512 * (n + 256) * k) / 16
    with torch.no_grad():
        for layer in (net.analysis, net.synthesis):
            layer.weight[:] = torch.from_numpy(basis)[:, None]
            layer.bias.zero_()
    return net


def joined(
    net: Autoencoder,
    y: np.ndarray,
    sr: int = MUSIC_SR,
    window_s: float = FIVE_S,
) -> np.ndarray:
    return np.concatenate(
        [np.zeros(0, np.float32), *rebuild(net, [y], transform=Waveform(sr, window_s))]
    )


def whole(net: Autoencoder, y: np.ndarray) -> np.ndarray:
    """What the model makes of everything at once."""
    with torch.no_grad():
        return net(torch.from_numpy(y)[None, None]).x_hat[0, 0].numpy()


# ---------------------------------------------------------------------------- seams


@pytest.mark.parametrize(
    ("kind", "options", "atol"),
    [
        (WaveformAutoencoder, A1, 1e-6),
        (WaveformAutoencoder, A1 | {"extra": "dense"}, 1e-6),
        (WaveformAutoencoder, A1 | {"extra": "conv"}, 1e-3),  # it sees farther than the overlap
        (PoolingAutoencoder, {}, 1e-6),
        (LinearBlocks, {}, 1e-6),
    ],
)
def test_windows_give_what_one_pass_over_everything_gives(kind, options, atol):
    net = model(kind, **options)
    y = np.random.default_rng(0).uniform(-0.5, 0.5, 16 * MUSIC_SR).astype(np.float32)
    last = len(y) - 2048  # the padded end of the last window is another one
    np.testing.assert_allclose(joined(net, y)[:last], whole(net, y)[:last], atol=atol)


def test_a_steady_sine_has_no_jump_at_the_borders(good):
    y = (0.5 * np.sin(2 * np.pi * 440 * np.arange(22 * MUSIC_SR) / MUSIC_SR)).astype(np.float32)
    y_hat = joined(good, y)
    assert np.mean((y_hat - y) ** 2) < 0.01 * np.mean(y**2)
    bend = np.abs(np.diff(y_hat, 2))  # a click is a jump of the slope
    inside, hop = slice(MUSIC_SR, 4 * MUSIC_SR), 204 * 512
    for start in range(hop, len(y) - hop, hop):
        assert bend[start - 512 : start + 6144].max() <= 1.01 * bend[inside].max()


# ---------------------------------------------------------------------------- length


@settings(max_examples=30, deadline=None)
@given(n=st.integers(1, 3000), cuts=st.lists(st.integers(1, 2999), max_size=5))
def test_any_length_comes_back_with_its_length(n, cuts):
    net = model(**SMALL)
    y = np.random.default_rng(n).uniform(-1, 1, n).astype(np.float32)
    blocks = np.split(y, sorted({c for c in cuts if c < n}))
    parts = list(rebuild(net, blocks, transform=Waveform(1000, 0.5), overlap_s=0.15))
    assert all(len(part) for part in parts)
    y_hat = np.concatenate(parts)
    assert y_hat.shape == (n,) and y_hat.dtype == np.float32 and np.abs(y_hat).max() <= 1
    # To the bit: however the sound is cut, the model gets the same windows.
    np.testing.assert_array_equal(
        y_hat,
        np.concatenate(list(rebuild(net, [y], transform=Waveform(1000, 0.5), overlap_s=0.15))),
    )
    np.testing.assert_allclose(y_hat[:-128], whole(net, y)[:-128], atol=1e-5)


def test_nothing_gives_nothing():
    assert list(rebuild(model(**SMALL), [], transform=Waveform(1000, 1.0))) == []


@pytest.mark.parametrize(("sr", "channels"), [(8000, 1), (48_000, 2)])
def test_a_file_of_any_rate_comes_back_at_the_models_rate(tmp_path, sr, channels):
    y = 0.3 * np.random.default_rng(0).uniform(-1, 1, (channels, 3 * sr + 77))
    path = audio.write(tmp_path / "a.wav", y, sr)
    want = audio.read(path, 1000)[0]
    got = np.concatenate(list(rebuild(model(**SMALL), path, transform=Waveform(1000, 1.0))))
    assert len(got) == len(want)
    # The file is resampled in blocks, and `joined` is another path to the same samples.
    np.testing.assert_allclose(got, joined(model(**SMALL), want, 1000, 1.0), atol=1e-5)


def test_hours_take_little_memory():
    net = model(**SMALL)
    blocks = (np.full(60_000, 0.1, np.float32) for _ in range(120))  # two hours at 1,000 Hz
    tracemalloc.start()
    n = sum(len(part) for part in rebuild(net, blocks, transform=Waveform(1000, 30.0)))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert n == 7_200_000 and peak < 8e6  # the sound alone is 29 MB


@pytest.mark.parametrize(("window_s", "overlap_s"), [(0.5, 0.3), (0.5, -0.1), (0.03, 0.0)])
def test_an_overlap_that_does_not_fit_is_refused_at_once(window_s, overlap_s):
    with pytest.raises(ValueError, match="frames of 32 samples at 1000 Hz cannot share"):
        rebuild(
            model(**SMALL),
            [],
            transform=Waveform(1000, window_s),
            overlap_s=overlap_s,
        )


def test_windows_without_a_sample_are_refused_at_once():
    with pytest.raises(ValueError, match="a window of 0 s at 1000 Hz holds no sample"):
        rebuild(model(**SMALL), [], transform=Waveform(1000, 0), overlap_s=0)


@pytest.mark.real
def test_a_real_file_comes_back_with_its_length(data_root, tmp_path):
    source = data_root / "new_music" / "live_phone.mp3"
    net = model(**A1)
    path = audio.write_blocks(
        tmp_path / "a.wav",
        rebuild(net, source, transform=Waveform(MUSIC_SR, FIVE_S)),
        MUSIC_SR,
    )
    y_hat, y = audio.read(path)[0], audio.read(source, MUSIC_SR)[0]
    assert len(y_hat) == len(y)
    np.testing.assert_allclose(y_hat[:-2048], whole(net, y)[:-2048], atol=2**-15)


class Copy(MelAutoencoder):
    """A model that gives back what it takes."""

    def forward(self, x):
        return Output(x[:, 0], x)


def test_spectrograms_come_back_as_sound_of_the_same_length_and_colour():
    net = Copy(latent=2, channels=[2], band_strides=[4], time_strides=[2]).eval()
    way, rng = LogMel(sr=MUSIC_SR, window_s=1.0), np.random.default_rng(0)
    y = np.convolve(rng.standard_normal(4 * MUSIC_SR + 123), np.ones(8) / 8, "same") * 0.2
    y_hat = np.concatenate(list(rebuild(net, [y.astype(np.float32)], transform=way)))
    assert y_hat.shape == y.shape and np.abs(y_hat).max() <= 1
    inner = slice(2, -4)  # the last window is padded with silence
    error = np.abs(log_mel(y_hat, MUSIC_SR) - log_mel(y.astype(np.float32), MUSIC_SR))[:, inner]
    assert np.median(error) < 2.5


def test_silence_stays_silence_through_a_spectrogram_model():
    net = Copy(latent=2, channels=[2], band_strides=[4], time_strides=[2]).eval()
    y_hat = np.concatenate(
        list(
            rebuild(
                net,
                [np.zeros(3 * MUSIC_SR, np.float32)],
                transform=LogMel(sr=MUSIC_SR, window_s=1.0),
            )
        )
    )
    assert len(y_hat) == 3 * MUSIC_SR and np.abs(y_hat).max() < 1e-3
