"""Make sound from the magnitudes of a short-time Fourier transform (STFT), without its phases.

Conventions are librosa's: hann window, centred frames on zero padding, the phase of a frame is
counted from its left edge.
"""

from collections.abc import Callable
from heapq import heappop, heappush

import librosa
import numpy as np
import scipy.fft
from numpy.lib.stride_tricks import sliding_window_view

from musiclatent import numba_cache
from musiclatent.features import validation

_GAMMA = 0.25645  # of n_fft**2: the Gaussian nearest to a hann window (Průša and others 2017)
_MOMENTUM = 0.99  # as the paper of fast Griffin-Lim finds best
# Beside a click that only two frames hear the logarithm falls without end, and its derivative goes
# wild. A fall of 40 dB at most mends that (from 0.65 to 0.11 of spectral convergence for clicks at
# hop n_fft // 2) and leaves speech and music as they were.
_FALL = np.log(100)
_TINY = np.finfo(np.float32).tiny
# The edge of a window lifts samples by up to n_fft**2, and they have to stay float32.
_LOUDEST = np.float32(1e20)
STARTS = ("random", "gradient")
_WALK = "void(b1[::1], i8[::1], i8[::1], f8[::1], f8[::1], f8[::1], i8)"


def griffin_lim(
    magnitude: np.ndarray,
    n_fft: int,
    hop_length: int,
    *,
    n_iter: int = 32,
    start: str = "random",
    seed: int = 0,
    length: int | None = None,
) -> np.ndarray:
    """Make sound with given STFT magnitudes by fast Griffin-Lim, from a start that can be chosen.

    From random phases it gives what ``librosa.griffinlim`` gives for
    ``random_state=numpy.random.default_rng(seed)``.

    Parameters
    ----------
    magnitude
        STFT magnitudes ``(F, T)``, linear (not dB), 0 to 1e20, F = 1 + n_fft // 2, T of 2 or more.
    n_fft
        Length of a frame in samples; even.
    hop_length
        Samples from one frame to the next, 1 to n_fft // 2.
    n_iter
        Iterations, 0 or more; 0 gives the sound of the start.
    start
        First phases: "random", or "gradient" from `phase_gradient`.
    seed
        Of the random phases.
    length
        Samples N to give, of which T frames can be made: from (T - 1) * hop_length, which None
        takes, to T * hop_length - 1.

    Returns
    -------
    ndarray
        Samples ``(N,)`` float32, finite, not scaled: their peak can pass 1.

    Raises
    ------
    ValueError
        If the magnitudes are none, or a parameter is out of its range.

    References
    ----------
    Perraudin, Balazs, Søndergaard: A fast Griffin-Lim algorithm, WASPAA 2013.
    """
    S = _checked(magnitude, n_fft, hop_length)
    length = (S.shape[1] - 1) * hop_length if length is None else length
    _check_length(length, S.shape[1], hop_length)
    if n_iter < 0:
        raise ValueError(f"n_iter is {n_iter}; it must be 0 or more")
    if start not in STARTS:
        raise ValueError(f"start is {start!r}; it must be one of {', '.join(STARTS)}")
    if start == "gradient":
        phases = phase_gradient(S, n_fft, hop_length=hop_length, seed=seed)
    else:
        phases = _random(S.shape, seed)
    size = Transforms(n_fft, hop_length, length)
    # Below 1 the quotient of the loop stays finite where X is 0; a power of two keeps every bit.
    exponent = np.frexp(S.max())[1]
    X = _iterate(np.ldexp(S, -exponent), phases, n_iter, size.project)
    return np.ldexp(size.inverse(X), exponent)


def griffin_lim_of_librosa(
    S: np.ndarray, hop_length: int, *, n_iter: int, length: int, seed: int
) -> np.ndarray:
    """Give what ``librosa.griffinlim`` gives, but for rounding, in a fraction of its time.

    Parameters
    ----------
    S
        STFT magnitudes ``(F, T)``, float32.
    hop_length, n_iter, length
        As in `griffin_lim`.
    seed
        Of the first phases: ``random_state``.
    """
    size = Transforms(2 * (len(S) - 1), hop_length, length)
    angles = np.empty(S.shape, np.complex64)
    angles[:] = librosa.util.phasor(2 * np.pi * np.random.RandomState(seed).random(S.shape))
    angles *= S
    before = None
    for _ in range(n_iter):
        rebuilt = size.project(angles)
        angles[:] = rebuilt
        if before is not None:
            angles -= _MOMENTUM / (1 + _MOMENTUM) * before
        angles /= np.abs(angles) + _TINY
        angles *= S
        before = rebuilt
    return size.inverse(angles)


class Transforms:
    """The STFT and its inverse for sounds of one length, as librosa's but for rounding.

    librosa makes window, padding and weights anew at each call, which takes most of its time.

    Parameters
    ----------
    n_fft, hop_length, length
        As in `griffin_lim`; where the hop is no divisor of the frame, librosa works.
    """

    def __init__(self, n_fft: int, hop_length: int, length: int) -> None:
        self._n, self._hop, self._length = n_fft, hop_length, length
        self._sizes = {"n_fft": n_fft, "hop_length": hop_length}
        window = librosa.filters.get_window("hann", n_fft, fftbins=True)
        self._window = window.astype(np.float32)  # in 64 bits it takes 1.7 times as long
        self._padded = np.zeros(length + n_fft, np.float32)
        self._frames = sliding_window_view(self._padded, n_fft)[::hop_length]  # T x n_fft
        options = {"window": "hann", "win_length": n_fft, **self._sizes, "dtype": np.float32}
        weights = librosa.filters.window_sumsquare(n_frames=len(self._frames), **options)
        weights = librosa.util.fix_length(weights[n_fft // 2 :], size=length)
        self._weights = np.where(weights > librosa.util.tiny(weights), weights, np.float32(1))

    def project(self, X: np.ndarray) -> np.ndarray:
        """Return the STFT (F, T) of the sound of an STFT-like (F, T)."""
        y = self.inverse(X)
        if self._n % self._hop:
            return librosa.stft(y, **self._sizes)
        self._padded[self._n // 2 : self._n // 2 + self._length] = y
        return scipy.fft.rfft(self._window * self._frames, axis=1).T

    def inverse(self, X: np.ndarray) -> np.ndarray:
        """Return the sound (N,) float32 of an STFT-like (F, T)."""
        if self._n % self._hop:
            return librosa.istft(X, **self._sizes, length=self._length)
        frames = scipy.fft.irfft(X.T, n=self._n, axis=1) * self._window
        frames = frames.reshape(len(frames), -1, self._hop)  # T x parts x hop
        added = np.zeros((sum(frames.shape[:2]) - 1, self._hop), np.float32)
        for part in reversed(range(frames.shape[1])):  # of each sample the earliest frame first
            added[part : part + len(frames)] += frames[:, part]
        y = added.ravel()[self._n // 2 :][: self._length]
        return y / self._weights


def _iterate(S: np.ndarray, phases: np.ndarray, n_iter: int, project: Callable) -> np.ndarray:
    """Return the STFT (F, T) of magnitudes `S` that fast Griffin-Lim reaches from some phases."""
    X = S * librosa.util.phasor(phases.astype(np.float32))
    before = np.zeros_like(X)
    for _ in range(n_iter):
        rebuilt = project(X)
        X = rebuilt - _MOMENTUM / (1 + _MOMENTUM) * before
        X *= S / (np.abs(X) + _TINY)
        before = rebuilt
    return X


def _random(shape: tuple[int, ...], seed: int) -> np.ndarray:
    """Draw phases from 0 to 2 pi, float64."""
    return 2 * np.pi * np.random.default_rng(seed).random(shape)


def phase_gradient(
    magnitude: np.ndarray, n_fft: int, *, hop_length: int, seed: int = 0, tolerance: float = 1e-6
) -> np.ndarray:
    """Compute phases from magnitudes alone, by phase-gradient heap integration.

    For a Gaussian window of width gamma the logarithm s of the magnitude gives the derivatives of
    the phase, counted from the middle of the frame, in time t and angular frequency w:
    d phase / dt = w + 2 pi / gamma * ds / dw and d phase / dw = -gamma / (2 pi) * ds / dt.
    They are summed from the loudest bin outwards, always on from the loudest bin reached. Beyond
    the paper, a fall of the magnitude to the next frame counts as 40 dB at most.

    Parameters
    ----------
    magnitude, n_fft, hop_length
        As in `griffin_lim`. Small hops give good derivatives: take n_fft // 4 or less if you can.
    seed
        Of the random phases that quiet bins, and the first bin of each loud region, get.
    tolerance
        Bins up to this share of the loudest are quiet, 0 to 1 (1 excluded).

    Returns
    -------
    ndarray
        Phases ``(F, T)`` float64 in radians, 0 to 2 pi.

    Raises
    ------
    ValueError
        If the magnitudes are none, or a parameter is out of its range.

    References
    ----------
    Průša, Balazs, Søndergaard: A noniterative method for reconstruction of phase from STFT
    magnitude, IEEE/ACM Transactions on Audio, Speech, and Language Processing 25(5), 2017.
    """
    S = _checked(magnitude, n_fft, hop_length)
    if not 0 <= tolerance < 1:
        raise ValueError(f"tolerance is {tolerance}; it must be from 0 to below 1")
    quiet = S.max() * tolerance
    to_next_bin, to_next_frame = _phase_steps(np.maximum(S, max(quiet, _TINY)), n_fft, hop_length)
    phases = _random(S.shape, seed)
    return _integrate(S, quiet, phases, to_next_bin, to_next_frame) % (2 * np.pi)


def _phase_steps(S: np.ndarray, n_fft: int, hop_length: int) -> tuple[np.ndarray, np.ndarray]:
    """Return phase steps (F, T) to the bin above and to the next frame; the last are void."""
    log = np.log(S.astype(np.float64))
    per_bin = np.gradient(log, axis=0)
    wide = np.pad(log, ((0, 0), (1, 1)), mode="edge")
    before, after = (np.maximum(x, log - _FALL) for x in (wide[:, :-2], wide[:, 2:]))
    per_frame = (after - before) / 2
    ratio = _GAMMA * n_fft / hop_length  # gamma / (n_fft * hop_length)
    centre = 2 * np.pi * hop_length / n_fft * np.arange(len(S))[:, None]
    up = -ratio * per_frame - np.pi  # librosa counts from the left edge, half a frame earlier
    along = centre + per_bin / ratio
    return (up + np.roll(up, -1, axis=0)) / 2, (along + np.roll(along, -1, axis=1)) / 2


def _integrate(
    S: np.ndarray, quiet: float, phases: np.ndarray, up: np.ndarray, along: np.ndarray
) -> np.ndarray:
    """Sum steps over bins above `quiet`, loudest first; the others keep their phases."""
    # A guard row and column at the end, done from the start, stand for all four borders: index -1
    # reaches them too. Ranks in place of magnitudes leave no two alike.
    S, up, along, padded = (np.pad(x, (0, 1)) for x in (S, up, along, phases))
    order = np.argsort(-S, axis=None, kind="stable")
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    done, phase = np.less_equal(S, quiet).ravel(), padded.ravel()
    walk = numba_cache.compiled(_walk, _WALK)
    walk(done, order, rank, phase, up.ravel(), along.ravel(), S.shape[1])
    return phase.reshape(S.shape)[:-1, :-1]


def _walk(
    done: np.ndarray,
    order: np.ndarray,
    rank: np.ndarray,
    phase: np.ndarray,
    up: np.ndarray,
    along: np.ndarray,
    row: int,
) -> None:
    """Fill in phases from the loudest bin outwards; all arrays are flat, `row` is their width."""
    for first in order:
        if done[first]:
            continue
        done[first], heap = True, [rank[first]]
        while len(heap):
            i = order[heappop(heap)]
            steps = (along[i], -along[i - 1], up[i], -up[i - row])
            places = (i + 1, i - 1, i + row, i - row)
            for k in range(4):
                j = places[k]
                if not done[j]:
                    done[j] = True
                    phase[j] = phase[i] + steps[k]
                    heappush(heap, rank[j])


def spectral_convergence(
    magnitude: np.ndarray, y: np.ndarray, n_fft: int, hop_length: int
) -> float:
    """Measure how far the STFT magnitudes of a sound are from those asked for.

    Parameters
    ----------
    magnitude, n_fft, hop_length
        As in `griffin_lim`.
    y
        Samples ``(N,)`` float, T = 1 + N // hop_length.

    Returns
    -------
    float
        Norm of the difference by norm of `magnitude`; 0 is perfect. Infinite for sound where
        silence is asked for.

    Raises
    ------
    ValueError
        As `griffin_lim`, or if the samples are no sound or give another number of frames.

    References
    ----------
    Sturmel, Daudet: Signal reconstruction from STFT magnitude: a state of the art, DAFx 2011.
    """
    S = _checked(magnitude, n_fft, hop_length)
    y = validation.samples(y)
    _check_length(len(y), S.shape[1], hop_length)
    difference = np.abs(librosa.stft(y, n_fft=n_fft, hop_length=hop_length)) - S
    distance, norm = (float(np.linalg.norm(x.astype(np.float64))) for x in (difference, S))
    if not norm:
        return float("inf") if distance else 0.0
    return distance / norm


def _checked(magnitude: np.ndarray, n_fft: int, hop_length: int) -> np.ndarray:
    """Return magnitudes of this STFT as float32 (F, T); refuse what cannot be."""
    validation.frames(n_fft, hop_length, n_fft // 2)
    S = np.asarray(magnitude)
    bins = 1 + n_fft // 2
    if S.ndim != 2 or len(S) != bins or S.shape[1] < 2 or S.dtype.kind not in "fiu":
        raise ValueError(
            f"magnitudes have shape {S.shape} and are {S.dtype}; n_fft {n_fft} needs real numbers "
            f"({bins}, T), T 2 or more"
        )
    if not (S.min() >= 0 and S.max() <= _LOUDEST):
        raise ValueError(
            f"magnitudes go from {S.min()} to {S.max()}; give linear ones from 0 to "
            f"{_LOUDEST:.0e}, not dB"
        )
    return S.astype(np.float32, copy=False)


def _check_length(length: int, frames: int, hop_length: int) -> None:
    """Refuse a number of samples that has another number of frames."""
    shortest = (frames - 1) * hop_length
    if length // hop_length + 1 != frames:
        raise ValueError(
            f"{length} samples make {length // hop_length + 1} frames, but the magnitudes have "
            f"{frames}; give {shortest} to {shortest + hop_length - 1} samples"
        )
