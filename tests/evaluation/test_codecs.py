"""Eight bits and what they cost: exact cases, round trips, bounds by zlib."""

import zlib

import numpy as np
import pytest

from musiclatent.errors import MissingToolError
from musiclatent.evaluation import codecs
from musiclatent.evaluation.codecs import MDCT, Opus, Resampled


def test_what_lies_on_the_steps_comes_back_exactly_and_the_rest_within_half_a_step(rng):
    z = np.stack([np.arange(256.0), np.arange(256.0) / 16 - 4])[None]
    exact = codecs.fit_quantiser(z, "dense")
    np.testing.assert_allclose(exact.rounded(z), z, atol=1e-5)
    z = rng.normal(size=(5, 3, 400)) * [[1.0], [10.0], [0.1]]
    quantiser = codecs.fit_quantiser(z, "dense")
    assert (np.abs(quantiser.rounded(z) - z) <= 0.501 * quantiser.step).all()
    outside = quantiser.rounded(z + 1e3)
    np.testing.assert_allclose(outside.max(axis=(0, 2)), z.max(axis=(0, 2)), rtol=1e-5)


def test_what_comes_evenly_costs_eight_bits_and_what_never_changes_nearly_none(rng):
    even = np.tile(np.arange(256.0), 400).reshape(4, 1, -1)
    assert codecs.fit_quantiser(even, "dense").bits(even) / even[0].size == pytest.approx(8.0)
    still = np.ones((4, 2, 100_000))
    assert (codecs.fit_quantiser(still, "dense").bits(still) / still[0].size < 0.01).all()


def test_bits_are_near_the_entropy_and_below_what_zlib_needs(rng):
    z = rng.normal(size=(20, 1, 20_000))
    quantiser = codecs.fit_quantiser(z[:10], "dense")
    bits = quantiser.bits(z[10:]) / 20_000
    symbols = np.rint((z[10:] - quantiser.low) / quantiser.step).clip(0, 255).astype(np.uint8)
    counts = np.bincount(symbols.ravel(), minlength=256) / symbols.size
    entropy = -(counts[counts > 0] * np.log2(counts[counts > 0])).sum()
    assert entropy - 0.01 < bits.mean() < entropy + 0.02
    assert bits.mean() < 8 * len(zlib.compress(symbols.tobytes(), 9)) / symbols.size


def test_half_the_steps_are_a_bit_less_and_twice_as_wide(rng):
    z = rng.uniform(size=(40, 1, 5000))
    eight, seven = (codecs.fit_quantiser(z, "dense", 2**bits) for bits in (8, 7))
    assert eight.bits(z).mean() - seven.bits(z).mean() == pytest.approx(5000, rel=0.01)
    np.testing.assert_allclose(seven.step / eight.step, 255 / 127)
    with pytest.raises(ValueError, match="levels is 1; take 2 steps or more"):
        codecs.fit_quantiser(z, "dense", 1)


def sparse(rng, size: int, k: int, places: int) -> np.ndarray:
    where = [np.sort(rng.choice(places, k, replace=False)) for _ in range(size)]
    return np.stack([rng.normal(size=(size, k)), where], axis=1).astype(np.float32)


def test_positions_are_kept_and_cost_what_choosing_them_costs(rng):
    k, places = 4000, 100_000
    z = sparse(rng, 20, k, places)
    quantiser = codecs.fit_quantiser(z, "sparse")
    np.testing.assert_array_equal(quantiser.rounded(z)[:, 1], z[:, 1])
    assert (np.abs(quantiser.rounded(z) - z)[:, 0] <= 0.501 * quantiser.step).all()
    p = k / places  # the least that any coder needs for positions without order
    least = places * -(p * np.log2(p) + (1 - p) * np.log2(1 - p))
    values = quantiser.costs[0][quantiser.symbols(z)].sum(axis=(1, 2))
    positions = quantiser.bits(z) - values
    assert (positions > 0.98 * least).all() and (positions < 1.03 * least).all()


def test_far_gaps_are_sent_too():
    z = np.array([[[1.0, -1.0, 0.5], [0.0, 300.0, 9_000_000.0]]])
    assert np.isfinite(codecs.fit_quantiser(z, "sparse").bits(z)).all()
    symbols, plain = codecs._gaps(z)
    assert symbols.tolist() == [[1, 256 + 8, 256 + 23]] and plain.tolist() == [[0, 8, 23]]


@pytest.mark.parametrize(
    ("z", "form", "words"),
    [
        (np.zeros((2, 3)), "dense", "cannot have the shape"),
        (np.zeros((2, 3, 4)), "sparse", "cannot have the shape"),
        (np.full((1, 2, 3), np.nan), "dense", "NaN"),
        (np.zeros((1, 2, 3)), "odd", "no form of a code named 'odd'"),
        (np.zeros((1, 2, 3)), "sparse", "must rise"),
    ],
)
def test_what_is_no_code_is_refused(z, form, words):
    with pytest.raises(ValueError, match=words):
        codecs.fit_quantiser(z, form)


SR, N = 22_050, 22_050


@pytest.fixture
def x() -> np.ndarray:
    """Two seconds: a chord that swells, and a chirp."""
    t = np.arange(N) / SR
    chord = sum(np.sin(2 * np.pi * hz * t) for hz in (220, 277.2, 329.6)) * t / 6
    return np.stack([chord, 0.4 * np.sin(2 * np.pi * 900 * t * (1 + 0.4 * t))]).astype(np.float32)


def opus_or_skip() -> None:
    try:
        codecs.require_opus()
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
        y = codecs.align(x, opus.decode(files), SR)
        assert y.shape == x.shape
        bits = [codecs.opus_bits(file) for file in files]
        assert all(0 < b < 8 * len(file) for b, file in zip(bits, files, strict=True))
        assert 0.3 * kbit_s * 1000 < np.mean(bits) * SR / N < 1.7 * kbit_s * 1000
        errors.append(np.square(y - x).mean() / np.square(x).mean())
    assert errors[1] < 0.1 and errors[1] < errors[0]


def test_packets_are_counted_across_pages():
    def page(lengths: list[int]) -> bytes:
        return b"OggS" + bytes(22) + bytes([len(lengths), *lengths]) + bytes(sum(lengths))

    # two header packets, one sound packet of 255 + 255 + 10 over two pages, one of 7
    file = page([19]) + page([40]) + page([255, 255]) + page([10, 7])
    assert codecs.opus_bits(file) == 8 * (520 + 7)
    with pytest.raises(ValueError, match="begins no Ogg page"):
        codecs.opus_bits(file + b"rest")


@pytest.mark.parametrize("lag", [-200, 0, 37])
def test_a_delay_is_found_and_undone(lag, rng):
    x = rng.normal(size=(3, 4000)).astype(np.float32)
    late = np.roll(x, lag, axis=1)
    found = codecs.align(x, late, SR)
    inner = slice(abs(lag), 4000 - abs(lag))
    np.testing.assert_array_equal(found[:, inner], x[:, inner])


def test_a_missing_program_is_named_with_what_to_do(monkeypatch, x):
    monkeypatch.setattr(codecs.shutil, "which", lambda name: None)
    with pytest.raises(MissingToolError, match=r"not on the PATH; install ffmpeg"):
        Opus(N, SR, 6).encode(x)
    monkeypatch.setattr(codecs.shutil, "which", lambda name: "ffmpeg")
    monkeypatch.setattr(codecs, "_ffmpeg", lambda *a: b" A..... aac")
    with pytest.raises(MissingToolError, match="libopus"):
        codecs.require_opus()


@pytest.mark.real
def test_the_reference_on_real_music_is_as_it_was(data_root):
    from musiclatent import audio

    path = data_root / "gtzan" / "genres" / "blues" / "blues.00000.wav"
    y, _ = audio.read(path, SR, duration_s=5.0)
    transform = MDCT(6912, len(y))
    error = np.square(transform.decode(transform.encode(y[None])) - y).mean()
    assert error / np.square(y).mean() == pytest.approx(0.0354, rel=1e-3)
