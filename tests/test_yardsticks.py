"""The untrained transform, Opus and fewer samples: round trips, frozen figures, sizes."""

import numpy as np
import pytest

from musiclatent import yardsticks
from musiclatent.errors import MissingToolError
from musiclatent.yardsticks import MDCT, Opus, Resampled

SR, N = 22_050, 22_050


@pytest.fixture
def x() -> np.ndarray:
    """Two seconds: a chord that swells, and a chirp."""
    t = np.arange(N) / SR
    chord = sum(np.sin(2 * np.pi * hz * t) for hz in (220, 277.2, 329.6)) * t / 6
    return np.stack([chord, 0.4 * np.sin(2 * np.pi * 900 * t * (1 + 0.4 * t))]).astype(np.float32)


def opus_or_skip() -> None:
    try:
        yardsticks.require_opus()
    except MissingToolError as error:
        pytest.skip(str(error))


def test_all_coefficients_give_the_sound_back_and_keep_its_energy(x):
    full = MDCT(22 * 1024, N)
    z = full.encode(x)
    assert z.shape == (2, 2, 22_528) and z.dtype == np.float32
    np.testing.assert_allclose(full.decode(z), x, atol=1e-6)
    np.testing.assert_allclose(np.square(z[:, 0]).sum(1), np.square(x).sum(1), rtol=1e-5)


def test_a_basis_function_needs_one_coefficient():
    transform = MDCT(1, 8 * 64, hop=64)
    y = transform.decode(np.array([[[1.0], [3 * 64 + 5]]], np.float32))
    assert np.count_nonzero(np.abs(y[0]) > 1e-6) == 128  # a window of two hops
    assert y[0].argmax() in range(2 * 64 + 32, 5 * 64)
    np.testing.assert_allclose(transform.encode(y), [[[1.0], [197.0]]], atol=1e-6)


def test_the_error_is_what_the_coefficients_left_out_hold(x):
    transform, full = MDCT(300, N), MDCT(22 * 1024, N)
    z = transform.encode(x)
    assert (np.diff(z[:, 1]) > 0).all()
    left = np.sort(np.square(full.encode(x)[:, 0]))[:, :-300].sum(1)
    padded = MDCT(300, 22 * 1024).decode(z)
    whole = np.pad(x, ((0, 0), (0, 22 * 1024 - N)))
    np.testing.assert_allclose(np.square(padded - whole).sum(1), left, rtol=1e-3)
    assert np.square(transform.decode(z) - x).mean() < 0.01 * np.square(x).mean()


def test_too_many_coefficients_are_refused(x):
    with pytest.raises(ValueError, match="an excerpt has 22528 coefficients"):
        MDCT(30_000, N).encode(x)


def test_fewer_samples_keep_what_lies_below_half_their_rate(x):
    less = Resampled(N, SR)
    z = less.encode(x)
    assert z.shape == (2, 1, 2800)
    y = less.decode(z)
    assert y.shape == x.shape
    assert np.square(y - x)[0].mean() < 1e-3 * np.square(x)[0].mean()  # all below 330 Hz
    assert np.square(y - x)[1].mean() > 0.05 * np.square(x)[1].mean()  # the chirp reaches 1,620 Hz


def test_opus_comes_back_in_time_and_its_packets_are_counted(x):
    opus_or_skip()
    errors = []
    for kbit_s in (6, 24):
        opus = Opus(N, SR, kbit_s)
        files = opus.encode(x)
        y = yardsticks.aligned(x, opus.decode(files), SR)
        assert y.shape == x.shape
        bits = [yardsticks.opus_bits(file) for file in files]
        assert all(0 < b < 8 * len(file) for b, file in zip(bits, files, strict=True))
        assert 0.3 * kbit_s * 1000 < np.mean(bits) * SR / N < 1.7 * kbit_s * 1000
        errors.append(np.square(y - x).mean() / np.square(x).mean())
    assert errors[1] < 0.1 and errors[1] < errors[0]


def test_packets_are_counted_across_pages():
    def page(lengths: list[int]) -> bytes:
        return b"OggS" + bytes(22) + bytes([len(lengths), *lengths]) + bytes(sum(lengths))

    # two header packets, one sound packet of 255 + 255 + 10 over two pages, one of 7
    file = page([19]) + page([40]) + page([255, 255]) + page([10, 7])
    assert yardsticks.opus_bits(file) == 8 * (520 + 7)
    with pytest.raises(ValueError, match="begins no Ogg page"):
        yardsticks.opus_bits(file + b"rest")


@pytest.mark.parametrize("lag", [-200, 0, 37])
def test_a_delay_is_found_and_undone(lag, rng):
    x = rng.normal(size=(3, 4000)).astype(np.float32)
    late = np.roll(x, lag, axis=1)
    found = yardsticks.aligned(x, late, SR)
    inner = slice(abs(lag), 4000 - abs(lag))
    np.testing.assert_array_equal(found[:, inner], x[:, inner])


def test_a_missing_program_is_named_with_what_to_do(monkeypatch, x):
    monkeypatch.setattr(yardsticks.shutil, "which", lambda name: None)
    with pytest.raises(MissingToolError, match=r"not on the PATH; install ffmpeg"):
        Opus(N, SR, 6).encode(x)
    monkeypatch.setattr(yardsticks.shutil, "which", lambda name: "ffmpeg")
    monkeypatch.setattr(yardsticks, "_ffmpeg", lambda *a: b" A..... aac")
    with pytest.raises(MissingToolError, match="libopus"):
        yardsticks.require_opus()


@pytest.mark.real
def test_the_reference_on_real_music_is_as_it_was(data_root):
    from musiclatent import audio

    path = data_root / "gtzan" / "genres" / "blues" / "blues.00000.wav"
    y, _ = audio.read(path, SR, duration_s=5.0)
    transform = MDCT(6912, len(y))
    error = np.square(transform.decode(transform.encode(y[None])) - y).mean()
    assert error / np.square(y).mean() == pytest.approx(0.0354, rel=1e-3)
