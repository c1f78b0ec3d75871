"""Sound from STFT magnitudes: against librosa, from both starts, and at the door."""

import librosa
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from musiclatent.features import phase
from musiclatent.features.phase import STARTS, griffin_lim, phase_gradient, spectral_convergence

SR = 22_050
STUDIES = ((512, 256), (1024, 512))  # n_fft, hop_length of the studies
FRAMES = (*STUDIES, (512, 128))
pytestmark = pytest.mark.filterwarnings("ignore:n_fft=.* is too large")  # librosa, short sounds


def sine(hz: float = 1000.3) -> np.ndarray:
    return np.sin(2 * np.pi * hz * np.arange(SR) / SR).astype(np.float32)


def chirp() -> np.ndarray:
    t = np.arange(SR) / SR
    return np.sin(2 * np.pi * (300 + 1500 * t) * t).astype(np.float32)


def noise(seed: int = 0) -> np.ndarray:
    return 0.1 * np.random.default_rng(seed).standard_normal(SR).astype(np.float32)


def clicks() -> np.ndarray:
    y = np.zeros(SR, np.float32)
    y[1500::1337] = 1
    return y


SOUNDS = {"sine": sine(), "chirp": chirp(), "noise": noise(), "clicks": clicks()}


def magnitudes(y: np.ndarray, n_fft: int = 512, hop_length: int = 256) -> np.ndarray:
    return np.abs(librosa.stft(y, n_fft=n_fft, hop_length=hop_length))


def distance(y: np.ndarray, n_fft: int, hop_length: int, n_iter: int, start: str) -> float:
    """Return the spectral convergence of the way from `y` to magnitudes and back."""
    S = magnitudes(y, n_fft, hop_length)
    back = griffin_lim(S, n_fft, hop_length, n_iter=n_iter, start=start, length=len(y))
    return spectral_convergence(S, back, n_fft, hop_length)


@pytest.mark.parametrize("n_fft, hop_length", FRAMES)
@pytest.mark.parametrize("name", SOUNDS)
def test_the_sound_itself_is_at_distance_zero(name, n_fft, hop_length):
    y = SOUNDS[name]
    S = magnitudes(y, n_fft, hop_length)
    assert spectral_convergence(S, y, n_fft, hop_length) < 1e-6
    assert spectral_convergence(S, -y, n_fft, hop_length) < 1e-6
    assert spectral_convergence(S, 2 * y, n_fft, hop_length) == pytest.approx(1, abs=1e-5)
    assert spectral_convergence(S, 0 * y, n_fft, hop_length) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("n_fft, hop_length", FRAMES)
@pytest.mark.parametrize("n_iter", [0, 8])
def test_equals_librosa_from_random_phases(n_fft, hop_length, n_iter):
    S = magnitudes(chirp(), n_fft, hop_length)
    kind = {"n_fft": n_fft, "hop_length": hop_length, "n_iter": n_iter}
    rng = np.random.default_rng(3)
    other = librosa.griffinlim(S, random_state=rng, length=SR, **kind)
    y = griffin_lim(S, **kind, seed=3, length=SR)
    assert np.abs(y - other).max() < 1e-3
    assert spectral_convergence(S, y, n_fft, hop_length) == pytest.approx(
        spectral_convergence(S, other, n_fft, hop_length), rel=1e-3
    )


@pytest.mark.parametrize("n_fft, hop_length", FRAMES)
@pytest.mark.parametrize("name", SOUNDS)
def test_the_gradient_is_a_far_better_start(name, n_fft, hop_length):
    y = SOUNDS[name]
    before = distance(y, n_fft, hop_length, 0, "gradient")
    assert before < distance(y, n_fft, hop_length, 0, "random") * 0.7
    if name != "clicks":  # the later path from clicks depends on chance
        after = distance(y, n_fft, hop_length, 32, "gradient")
        assert after < distance(y, n_fft, hop_length, 32, "random") * 1.1


def test_frozen_distances_of_the_gradient_start():
    found = {name: distance(y, 512, 256, 0, "gradient") for name, y in SOUNDS.items()}
    frozen = {"sine": 0.04, "chirp": 0.06, "noise": 0.28, "clicks": 0.11}
    assert found == pytest.approx(frozen, abs=0.03)


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("name", SOUNDS)
def test_more_iterations_are_never_much_worse(name, start):
    distances = [distance(SOUNDS[name], 512, 256, n, start) for n in (0, 8, 32)]
    assert np.all(np.diff(distances) < 0.02)
    assert distances[-1] < 0.15


@settings(max_examples=10, deadline=None)
@given(hz=st.floats(200, 10_000), start_at=st.floats(0, 6.28))
def test_phases_of_a_sinusoid(hz, start_at):
    # At its loudest bin it advances by 2 pi hz hop / sr a frame, and by -pi to the bin above.
    y = np.sin(2 * np.pi * hz * np.arange(SR) / SR + start_at)
    phases = phase_gradient(magnitudes(y), 512, hop_length=256)
    k, inner = round(hz * 512 / SR), slice(4, -4)
    advance = np.exp(1j * np.diff(phases[k, inner]))
    error = np.angle(advance * np.exp(-2j * np.pi * hz * 256 / SR))
    assert np.abs(error).max() < 0.4  # 0.13 of a bin: a hann window is no Gaussian
    above = np.exp(1j * (phases[k + 1, inner] - phases[k, inner]))
    assert np.abs(above + 1).max() < 0.3


def test_phases_of_a_click():
    # With a click d samples after the middle of a frame, phases step by -2 pi d / n_fft - pi a bin.
    y = np.zeros(SR)
    y[128 * 40 + 30] = 1
    phases = phase_gradient(magnitudes(y, 512, 128), 512, hop_length=128)
    step = np.angle(np.exp(1j * (np.diff(phases[20:200, 40]) + np.pi)))
    assert step == pytest.approx(np.full(179, -2 * np.pi * 30 / 512), abs=0.1)


def test_quiet_bins_get_random_phases():
    S = magnitudes(noise())
    S[200:] = 0
    one, two = (
        phase_gradient(S, 512, hop_length=256, seed=1),
        phase_gradient(S, 512, hop_length=256, seed=2),
    )
    random = 2 * np.pi * np.random.default_rng(1).random(S.shape)
    assert np.allclose(one[200:], random[200:])
    change = np.exp(1j * (one - two))[:200]
    assert np.abs(change - change[0, 0]).max() < 1e-6  # one region: a rotation as a whole
    assert np.allclose(
        phase_gradient(S, 512, hop_length=256, seed=1, tolerance=0)[200:], random[200:]
    )


@pytest.mark.parametrize("start", STARTS)
def test_same_seed_same_bytes(start):
    S = magnitudes(noise())
    one, same, other = (
        griffin_lim(S, 512, 256, n_iter=4, start=start, seed=seed) for seed in (5, 5, 6)
    )
    assert one.tobytes() == same.tobytes()
    assert one.tobytes() != other.tobytes()


def test_input_is_left_as_it_was():
    S = magnitudes(noise())
    before = S.copy()
    griffin_lim(S, 512, 256, n_iter=2, start="gradient")
    assert np.array_equal(S, before)


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("n_iter", [0, 3])
def test_silence_gives_silence(start, n_iter):
    S = np.zeros((257, 5), np.float32)
    y = griffin_lim(S, 512, 256, n_iter=n_iter, start=start)
    assert y.shape == (4 * 256,) and y.dtype == np.float32 and not y.any()
    assert spectral_convergence(S, y, 512, 256) == 0
    assert spectral_convergence(S, y + 1, 512, 256) == np.inf


@settings(max_examples=25, deadline=None)
@given(
    frames=st.integers(2, 6),
    half=st.integers(1, 40),
    parts=st.floats(0, 1),
    extra=st.floats(0, 1),
    start=st.sampled_from(STARTS),
    level=st.sampled_from([1e-20, 1.0, 1e6, 1e20]),
)
@example(2, 1, 1.0, 0.0, "random", 1e6)  # bins of exactly 0 beside loud ones: it was NaN
@example(2, 2, 1.0, 1.0, "gradient", 1e20)
def test_every_shape_gives_finite_sound(frames, half, parts, extra, start, level):
    hop_length = max(1, int(parts * half))
    length = (frames - 1) * hop_length + int(extra * (hop_length - 1))
    S = level * np.random.default_rng(0).random((1 + half, frames))
    y = griffin_lim(S, 2 * half, hop_length, n_iter=2, start=start, length=length)
    assert y.shape == (length,) and y.dtype == np.float32 and np.isfinite(y).all()
    assert np.isfinite(spectral_convergence(S, y, 2 * half, hop_length))


@pytest.mark.parametrize("start", STARTS)
def test_sound_is_in_proportion_to_its_magnitudes(start):
    S = magnitudes(noise())
    # Powers of two scale every float exactly, and the start and the loop know no level.
    assert np.array_equal(
        griffin_lim(2.0**40 * S, 512, 256, n_iter=4),
        2.0**40 * griffin_lim(S, 512, 256, n_iter=4),
    )
    quiet, loud = (griffin_lim(g * S, 512, 256, n_iter=4, start=start) / g for g in (1e-6, 1e6))
    assert spectral_convergence(S, loud, 512, 256) == pytest.approx(
        spectral_convergence(S, quiet, 512, 256), rel=1e-3
    )


GOOD = np.ones((257, 4), np.float32)


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"magnitude": np.ones((256, 4))}, r"shape \(256, 4\) .* needs real numbers \(257, T\)"),
        ({"magnitude": np.ones((257, 1))}, "T 2 or more"),
        ({"magnitude": np.ones(257)}, r"shape \(257,\)"),
        ({"magnitude": -GOOD}, r"from -1.0 to -1.0; give linear ones from 0 to 1e\+20, not dB"),
        ({"magnitude": GOOD * np.nan}, "from nan to nan"),
        ({"magnitude": GOOD * np.inf}, "from inf to inf"),
        ({"magnitude": np.full((257, 4), 1e300)}, r"from 1e\+300 to 1e\+300"),
        ({"magnitude": np.full((257, 4), np.inf, np.float16)}, "from inf to inf"),
        ({"magnitude": GOOD * 1j}, "complex64; .* needs real numbers"),
        ({"n_fft": 511}, "n_fft is 511; it must be even"),
        ({"n_fft": 0}, "n_fft is 0"),
        ({"hop_length": 0}, "hop_length is 0 for n_fft 512; take 1 to 256"),
        ({"hop_length": 257}, "hop_length is 257 .* 1 to 256"),
        ({"n_iter": -1}, "n_iter is -1; it must be 0 or more"),
        ({"start": "zero"}, "start is 'zero'; it must be one of random, gradient"),
        ({"length": 767}, "767 samples make 3 frames.*have 4; give 768 to 1023 samples"),
        ({"length": 1024}, "1024 samples make 5 frames"),
    ],
)
def test_malformed_input_is_refused(changes, words):
    given = {"magnitude": GOOD, "n_fft": 512, "hop_length": 256} | changes
    with pytest.raises(ValueError, match=words):
        griffin_lim(**given)
    if changes.keys() <= {"magnitude", "n_fft", "hop_length"}:
        with pytest.raises(ValueError, match=words):
            phase_gradient(**given)
        with pytest.raises(ValueError, match=words):
            spectral_convergence(y=np.zeros(768), **given)


@pytest.mark.parametrize("tolerance", [-1e-6, 1, np.nan])
def test_a_wrong_tolerance_is_refused(tolerance):
    with pytest.raises(ValueError, match="tolerance is .* from 0 to below 1"):
        phase_gradient(GOOD, 512, hop_length=256, tolerance=tolerance)


@pytest.mark.parametrize(
    "y, words",
    [
        (np.zeros((2, 768)), "one channel"),
        (np.zeros(768, np.int16), "int16; give .* floats"),
        (np.full(768, np.nan), "NaN or infinity"),
        (np.zeros(700), "700 samples make 3 frames"),
    ],
)
def test_samples_of_another_kind_are_refused(y, words):
    with pytest.raises(ValueError, match=words):
        spectral_convergence(GOOD, y, 512, 256)


@pytest.mark.parametrize(
    ("n_fft", "hop_length", "length"),
    [(512, 256, 5920), (256, 64, 5920), (1024, 512, 22_050), (2048, 1024, 2100), (512, 100, 3000)],
)
def test_transforms_are_those_of_librosa(n_fft, hop_length, length):
    y = noise()[:length]
    X = librosa.stft(y, n_fft=n_fft, hop_length=hop_length)
    size = phase.Transforms(n_fft, hop_length, length)
    back = librosa.istft(X, n_fft=n_fft, hop_length=hop_length, length=length)
    # Equal to the bit here; a transform of another width may round otherwise.
    np.testing.assert_allclose(size.inverse(X), back, atol=1e-5)
    again = librosa.stft(back, n_fft=n_fft, hop_length=hop_length)
    np.testing.assert_allclose(size.project(X), again, atol=1e-4 * np.abs(again).max())


def test_the_quick_griffin_lim_is_that_of_librosa():
    S, options = magnitudes(chirp(), 1024, 256), {"n_iter": 5, "length": SR}
    wanted = librosa.griffinlim(S, hop_length=256, random_state=3, **options)
    y = phase.griffin_lim_of_librosa(S, 256, seed=3, **options)
    np.testing.assert_allclose(y, wanted, atol=1e-3)
