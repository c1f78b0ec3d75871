"""Sound of any length through a model: no clicks, no sample more or less, constant memory."""

import tracemalloc

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from musiclatent import audio
from musiclatent.excerpts import Waveform
from musiclatent.models.blocks import Autoencoder, Output
from musiclatent.models.mel import MelAutoencoder
from musiclatent.models.waveform import LinearBlocks, PoolingAutoencoder, WaveformAutoencoder
from musiclatent.resynthesis import measure, rebuild, seam_error_db
from musiclatent.spectrograms import LogMel, log_mel
from musiclatent.studies import study

SR, WINDOW_S = 22_050, 5.0
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


class Edgy(Autoencoder):
    """Keep the sound, but for a second wrong number near both edges of the window."""

    def __init__(self, edge: int):
        super().__init__(0.0, 1)
        self.stride, self.wrong = 10, edge

    def encode(self, x):
        return x

    def decode(self, z):
        z = z.clone()
        z[..., : self.wrong] = 1
        z[..., z.shape[-1] - self.wrong :] = -1
        return z


def joined(net: Autoencoder, y: np.ndarray, sr: int = SR, window_s: float = WINDOW_S) -> np.ndarray:
    return np.concatenate([np.zeros(0, np.float32), *rebuild(net, [y], Waveform(sr, window_s))])


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
    y = np.random.default_rng(0).uniform(-0.5, 0.5, 16 * SR).astype(np.float32)
    last = len(y) - 2048  # the padded end of the last window is another one
    np.testing.assert_allclose(joined(net, y)[:last], whole(net, y)[:last], atol=atol)


def test_a_steady_sine_has_no_jump_at_the_borders(good):
    y = (0.5 * np.sin(2 * np.pi * 440 * np.arange(22 * SR) / SR)).astype(np.float32)
    y_hat = joined(good, y)
    assert np.mean((y_hat - y) ** 2) < 0.01 * np.mean(y**2)
    bend = np.abs(np.diff(y_hat, 2))  # a click is a jump of the slope
    inside, hop = slice(SR, 4 * SR), 204 * 512
    for start in range(hop, len(y) - hop, hop):
        assert bend[start - 512 : start + 6144].max() <= 1.01 * bend[inside].max()


def test_seams_are_no_worse_than_the_rest(good):
    assert abs(seam_error_db(good, Waveform(SR, WINDOW_S))) < 0.5
    for net in (model(**A1), model(PoolingAutoencoder), model(LinearBlocks)):
        assert abs(seam_error_db(net, Waveform(SR, WINDOW_S))) < 1


def test_the_figure_sees_edges_that_are_not_dropped():
    assert seam_error_db(Edgy(0), Waveform(1000, 2.0)) == 0  # nothing wrong anywhere
    assert (
        seam_error_db(Edgy(80), Waveform(1000, 2.0)) < 0.1
    )  # a third of the overlap of 250 is dropped
    assert seam_error_db(Edgy(120), Waveform(1000, 2.0)) > 20
    known = Edgy(120)
    known.edge = 120  # then more is shared, and dropped
    assert seam_error_db(known, Waveform(1000, 2.0)) < 0.1


# ---------------------------------------------------------------------------- length


@settings(max_examples=30, deadline=None)
@given(n=st.integers(1, 3000), cuts=st.lists(st.integers(1, 2999), max_size=5))
def test_any_length_comes_back_with_its_length(n, cuts):
    net = model(**SMALL)
    y = np.random.default_rng(n).uniform(-1, 1, n).astype(np.float32)
    blocks = np.split(y, sorted({c for c in cuts if c < n}))
    parts = list(rebuild(net, blocks, Waveform(1000, 0.5), 0.15))
    assert all(len(part) for part in parts)
    y_hat = np.concatenate(parts)
    assert y_hat.shape == (n,) and y_hat.dtype == np.float32 and np.abs(y_hat).max() <= 1
    # To the bit: however the sound is cut, the model gets the same windows.
    np.testing.assert_array_equal(
        y_hat, np.concatenate(list(rebuild(net, [y], Waveform(1000, 0.5), 0.15)))
    )
    np.testing.assert_allclose(y_hat[:-128], whole(net, y)[:-128], atol=1e-5)


def test_nothing_gives_nothing():
    assert list(rebuild(model(**SMALL), [], Waveform(1000, 1.0))) == []


@pytest.mark.parametrize(("sr", "channels"), [(8000, 1), (48_000, 2)])
def test_a_file_of_any_rate_comes_back_at_the_models_rate(tmp_path, sr, channels):
    y = 0.3 * np.random.default_rng(0).uniform(-1, 1, (channels, 3 * sr + 77))
    path = audio.write(tmp_path / "a.wav", y, sr)
    want = audio.read(path, 1000)[0]
    got = np.concatenate(list(rebuild(model(**SMALL), path, Waveform(1000, 1.0))))
    assert len(got) == len(want)
    # The file is resampled in blocks, and `joined` is another path to the same samples.
    np.testing.assert_allclose(got, joined(model(**SMALL), want, 1000, 1.0), atol=1e-5)


def test_hours_take_little_memory():
    net = model(**SMALL)
    blocks = (np.full(60_000, 0.1, np.float32) for _ in range(120))  # two hours at 1,000 Hz
    tracemalloc.start()
    n = sum(len(part) for part in rebuild(net, blocks, Waveform(1000, 30.0)))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert n == 7_200_000 and peak < 8e6  # the sound alone is 29 MB


@pytest.mark.parametrize(("window_s", "overlap_s"), [(0.5, 0.3), (0.5, -0.1), (0.03, 0.0)])
def test_an_overlap_that_does_not_fit_is_refused_at_once(window_s, overlap_s):
    with pytest.raises(ValueError, match="frames of 32 samples at 1000 Hz cannot share"):
        rebuild(model(**SMALL), [], Waveform(1000, window_s), overlap_s)


def test_windows_without_a_sample_are_refused_at_once():
    with pytest.raises(ValueError, match="a window of 0 s at 1000 Hz holds no sample"):
        rebuild(model(**SMALL), [], Waveform(1000, 0), 0)


# ---------------------------------------------------------------------------- figures


def test_figures_of_a_perfect_and_of_a_silent_copy(tmp_path):
    rng = np.random.default_rng(0)
    y = 0.3 * rng.standard_normal(int(2.7 * SR)).astype(np.float32)
    a = audio.write(tmp_path / "a.wav", y, SR)
    perfect = measure(a, a, SR, 1.0)
    assert perfect["mse"] == 0 and perfect["mrstft"] == 0 and perfect["sisdr"] > 60
    silent = audio.write(tmp_path / "b.wav", np.zeros_like(y), SR)
    read, _ = audio.read(a)
    assert measure(a, silent, SR, 1.0)["mse"] == pytest.approx(np.mean(read**2), rel=1e-4)
    short = audio.write(tmp_path / "c.wav", y[:1000], SR)  # padded to a window, which must not help
    empty = audio.write(tmp_path / "d.wav", np.zeros(1000), SR)
    read, _ = audio.read(short)
    assert measure(short, empty, SR, 1.0)["mse"] == pytest.approx(np.mean(read**2), rel=1e-4)
    nothing = measure(empty, empty, SR, 1.0)
    assert nothing["mse"] == 0 and np.isnan([nothing["sisdr"], nothing["mrstft"]]).all()


def test_noise_costs_what_it_should(tmp_path):
    rng = np.random.default_rng(0)
    y, noise = 0.2 * rng.standard_normal((2, 2 * SR)).astype(np.float32)
    a = audio.write(tmp_path / "a.wav", y, SR, subtype="FLOAT")
    b = audio.write(tmp_path / "b.wav", y + 0.1 * noise, SR, subtype="FLOAT")
    found = measure(a, b, SR, 1.0)
    assert found["sisdr"] == pytest.approx(20, abs=0.3)
    assert found["mse"] == pytest.approx(0.0004, rel=0.05)


@pytest.mark.real
def test_a_real_file_comes_back_with_its_length(data_root, tmp_path):
    source = data_root / "new_music" / "live_phone.mp3"
    net = model(**A1)
    path = audio.write_blocks(tmp_path / "a.wav", rebuild(net, source, Waveform(SR, WINDOW_S)), SR)
    y_hat, y = audio.read(path)[0], audio.read(source, SR)[0]
    assert len(y_hat) == len(y)
    np.testing.assert_allclose(y_hat[:-2048], whole(net, y)[:-2048], atol=2**-15)


class Copy(MelAutoencoder):
    """A model that gives back what it takes."""

    def forward(self, x):
        return Output(x[:, 0], x)


def test_spectrograms_come_back_as_sound_of_the_same_length_and_colour():
    net = Copy(latent=2, channels=[2], band_strides=[4], time_strides=[2]).eval()
    way, rng = LogMel(SR, 1.0), np.random.default_rng(0)
    y = np.convolve(rng.standard_normal(4 * SR + 123), np.ones(8) / 8, "same") * 0.2
    y_hat = np.concatenate(list(rebuild(net, [y.astype(np.float32)], way)))
    assert y_hat.shape == y.shape and np.abs(y_hat).max() <= 1
    inner = slice(2, -4)  # the last window is padded with silence
    error = np.abs(log_mel(y_hat, SR) - log_mel(y.astype(np.float32), SR))[:, inner]
    assert np.median(error) < 2.5


def test_silence_stays_silence_through_a_spectrogram_model():
    net = Copy(latent=2, channels=[2], band_strides=[4], time_strides=[2]).eval()
    y_hat = np.concatenate(list(rebuild(net, [np.zeros(3 * SR, np.float32)], LogMel(SR, 1.0))))
    assert len(y_hat) == 3 * SR and np.abs(y_hat).max() < 1e-3
