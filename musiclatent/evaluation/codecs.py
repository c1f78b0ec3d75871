"""Reference codecs that need no training, and the bits that any code costs.

A codec is a frozen dataclass of plain values with `form`, `encode` from waveforms (B, N) to a code,
and `decode` back to (B, N). Its form is ``dense``, numbers (B, K, T) of K components; ``sparse``,
values and positions (B, 2, k), the positions rising; or ``bytes``, a list of packets.

The numbers of a component, or all values of a sparse code, are rounded to 256 equal steps from the
least to the largest on the training windows; what lies outside is clipped. What a symbol costs is
taken from how often it came on the training windows, as an arithmetic coder with that table would
have it; one is added to each count, so that a symbol that never came can be sent. Positions are
sent as gaps to the one before.
"""

import shutil
import subprocess
from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np
import soxr
from scipy.fft import dct
from scipy.signal import correlate, correlation_lags

from musiclatent.errors import MissingToolError, one_line
from musiclatent.files import pick

OPUS_SR = 48_000  # Hz, the rate that Opus counts its samples in
LAG_S = 0.02  # largest delay of a decoder that is looked for


class Coder(Protocol):
    """Turn excerpts into codes and back.

    The form says what a code is, see `musiclatent.evaluation.codecs`: ``dense`` is an array (B, K, T),
    ``sparse`` an array (B, 2, k) of values and positions, ``bytes`` a list of packets.
    """

    form: str

    def encode(self, x: np.ndarray) -> np.ndarray | list[bytes]:
        """Return the code of waveforms (B, N)."""

    def decode(self, z: np.ndarray | list[bytes]) -> np.ndarray:
        """Return the waveforms (B, N) of a code."""


@dataclass(frozen=True)
class MDCT:
    """Keep the largest coefficients of a modified discrete cosine transform, sine window.

    Parameters
    ----------
    k
        Coefficients kept of each excerpt; their positions count too: 2 k numbers.
    samples
        N, samples of an excerpt.
    hop
        Samples from frame to frame, even; a window has twice as many.

    Notes
    -----
    Princen and Bradley (1987), Subband/transform coding using filter bank designs based on time
    domain aliasing cancellation. Here as a folding and a DCT-IV; the ends of an excerpt are not
    folded, so that the transform is orthonormal on whole frames.
    """

    form: ClassVar[str] = "sparse"
    given: ClassVar[int] = 0

    k: int
    samples: int
    hop: int = 1024

    def encode(self, x: np.ndarray) -> np.ndarray:
        """Return the k largest coefficients and their positions (B, 2, k) of waveforms (B, N)."""
        x = np.pad(np.asarray(x, np.float32), ((0, 0), (0, -x.shape[1] % self.hop)))
        c = self._transform(x).reshape(len(x), -1)
        if not 1 <= self.k <= c.shape[1]:
            raise ValueError(f"k is {self.k}; an excerpt has {c.shape[1]} coefficients")
        places = np.sort(np.argpartition(-np.abs(c), self.k - 1, axis=1)[:, : self.k], axis=1)
        # float32 holds whole numbers exactly below 2 ** 24, twelve minutes of samples.
        return np.stack([np.take_along_axis(c, places, 1), places.astype(np.float32)], axis=1)

    def decode(self, z: np.ndarray) -> np.ndarray:
        """Return waveforms (B, N) of codes (B, 2, k)."""
        c = np.zeros((len(z), -(-self.samples // self.hop) * self.hop), np.float32)
        np.put_along_axis(c, z[:, 1].astype(int), z[:, 0], axis=1)
        return self._inverse(c.reshape(len(z), -1, self.hop))[:, : self.samples]

    def _angles(self) -> tuple[np.ndarray, np.ndarray]:
        """Cosine and sine by which samples on both sides of a boundary are turned."""
        angle = np.pi / 4 - np.pi / (2 * self.hop) * (np.arange(self.hop // 2) + 0.5)
        return np.cos(angle).astype(np.float32), np.sin(angle).astype(np.float32)

    def _transform(self, x: np.ndarray) -> np.ndarray:
        """Coefficients (B, T, H) of waveforms (B, T H)."""
        (c, s), blocks = self._angles(), x.reshape(len(x), -1, self.hop).copy()
        left, right = np.split(blocks, 2, axis=-1)
        a, b = right[:, :-1, ::-1].copy(), left[:, 1:].copy()  # either side of each boundary
        left[:, 1:], right[:, :-1] = c * b + s * a, (c * a - s * b)[..., ::-1]
        return dct(blocks, type=4, norm="ortho")

    def _inverse(self, z: np.ndarray) -> np.ndarray:
        """Waveforms (B, T H) of coefficients (B, T, H)."""
        (c, s), blocks = self._angles(), dct(z, type=4, norm="ortho")  # its own inverse
        left, right = np.split(blocks, 2, axis=-1)
        v, u = left[:, 1:].copy(), right[:, :-1, ::-1].copy()
        left[:, 1:], right[:, :-1] = c * v - s * u, (s * v + c * u)[..., ::-1]
        return blocks.reshape(len(z), -1)


@dataclass(frozen=True)
class Resampled:
    """Keep fewer samples a second, by a good low-pass filter, and go back.

    Parameters
    ----------
    samples
        N, samples of an excerpt.
    sr
        Its sampling rate in Hz.
    to
        The lower rate in Hz: 2,800 Hz are 14,000 numbers of five seconds.
    """

    form: ClassVar[str] = "dense"
    given: ClassVar[int] = 0

    samples: int
    sr: int
    to: int = 2800

    def encode(self, x: np.ndarray) -> np.ndarray:
        """Return the fewer samples (B, 1, N') of waveforms (B, N)."""
        return np.stack([_rate(y, self.sr, self.to) for y in x])[:, None]

    def decode(self, z: np.ndarray) -> np.ndarray:
        """Return waveforms (B, N) of fewer samples (B, 1, N')."""
        return np.stack([_length(_rate(y, self.to, self.sr), self.samples) for y in z[:, 0]])


@dataclass(frozen=True)
class Opus:
    """Encode each excerpt by itself with Opus (RFC 6716), by ffmpeg and libopus.

    Parameters
    ----------
    samples
        N, samples of an excerpt.
    sr
        Its sampling rate in Hz.
    kbit_s
        Bit rate asked for in kbit/s; what comes out is counted.
    """

    form: ClassVar[str] = "bytes"

    samples: int
    sr: int
    kbit_s: int

    def encode(self, x: np.ndarray) -> list[bytes]:
        """Return an Ogg file of each waveform of (B, N).

        Raises
        ------
        MissingToolError
            If ffmpeg or its libopus is missing.
        """
        require_opus()
        raw = ["-f", "f32le", "-ar", str(OPUS_SR), "-ac", "1", "-i", "pipe:0"]
        codec = ["-c:a", "libopus", "-b:a", f"{self.kbit_s}k", "-f", "opus", "pipe:1"]
        return [_ffmpeg([*raw, *codec], _rate(y, self.sr, OPUS_SR).tobytes()) for y in x]

    def decode(self, z: list[bytes]) -> np.ndarray:
        """Return waveforms (B, N) of Ogg files; the decoder leaves the known delay out."""
        raw = ["-f", "ogg", "-i", "pipe:0", "-f", "f32le", "-ar", str(OPUS_SR), "-ac", "1"]
        sounds = (np.frombuffer(_ffmpeg([*raw, "pipe:1"], one), "<f4") for one in z)
        return np.stack([_length(_rate(y, OPUS_SR, self.sr), self.samples) for y in sounds])


def require_opus() -> None:
    """Say in one sentence what Opus lacks here.

    Raises
    ------
    MissingToolError
        If ffmpeg or its libopus is missing.
    """
    remedy = "install ffmpeg (apt install ffmpeg, or conda install -c conda-forge ffmpeg)"
    if not shutil.which("ffmpeg"):
        raise MissingToolError(f"Opus needs ffmpeg, which is not on the PATH; {remedy}")
    if b"libopus" not in _ffmpeg(["-encoders"], b"", "-hide_banner"):
        raise MissingToolError(f"Opus needs libopus, which this ffmpeg lacks; {remedy}")


def opus_bits(file: bytes) -> int:
    """Count the bits of the packets of sound in an Ogg file.

    Parameters
    ----------
    file
        What `Opus.encode` gives of one excerpt.

    Returns
    -------
    int
        Bits of all packets; neither the headers nor the container count, as both are about as
        large as a second of sound at 6 kbit/s, whatever its length.

    Raises
    ------
    ValueError
        If this is no whole Ogg file.

    Notes
    -----
    RFC 3533 (pages: 27 bytes, a table of lengths, the packets) and RFC 7845 (two header packets).
    """
    sizes, at, size = [], 0, 0
    while at < len(file):
        if file[at : at + 4] != b"OggS" or at + 27 > len(file):
            raise ValueError(f"byte {at} begins no Ogg page; encode the sound again")
        lengths = file[at + 27 : at + 27 + file[at + 26]]
        for length in lengths:
            size += length
            if length < 255:  # the last part of its packet
                sizes.append(size)
                size = 0
        at += 27 + len(lengths) + sum(lengths)
    return 8 * sum(sizes[2:])


def align(x: np.ndarray, x_hat: np.ndarray, sr: int) -> np.ndarray:
    """Shift decoded waveforms to where they correlate best with the originals.

    Parameters
    ----------
    x, x_hat
        Originals and decoded waveforms (B, N).
    sr
        Sampling rate in Hz.

    Returns
    -------
    ndarray
        (B, N), all shifted by the same whole number of samples, 20 ms at most: the delay is the
        decoder's, not the excerpt's.
    """
    most = round(LAG_S * sr)
    lags = correlation_lags(x.shape[1], x.shape[1])
    near = np.abs(lags) <= most
    pairs = zip(x, x_hat, strict=True)
    found = sum(correlate(y_hat, y, method="fft")[near] for y, y_hat in pairs)
    lag = int(lags[near][np.argmax(found)])
    shifted = np.pad(x_hat, ((0, 0), (most, most)))
    return shifted[:, most + lag : most + lag + x.shape[1]]


def _rate(y: np.ndarray, sr: int, to: int) -> np.ndarray:
    """Resample one waveform (N,)."""
    return soxr.resample(np.asarray(y, np.float32), sr, to, quality="VHQ").astype("<f4")


def _length(y: np.ndarray, n: int) -> np.ndarray:
    """Cut or pad a waveform to n samples."""
    return np.pad(y[:n], (0, max(0, n - len(y))))


def _ffmpeg(arguments: list[str], sound: bytes, *first: str) -> bytes:
    """Send bytes through ffmpeg."""
    command = ["ffmpeg", "-v", "error", *first, *arguments]
    done = subprocess.run(command, input=sound, capture_output=True, check=False)
    if done.returncode:
        said = one_line(done.stderr.decode(errors="replace")) or "it gives no reason"
        raise MissingToolError(f"ffmpeg cannot do this ({said[:160]}); install a newer one")
    return done.stdout


LEVELS = 256
GAPS = 256  # from here on a gap is sent as its power of two, and the rest in plain bits
_SYMBOLS = GAPS + 32


@dataclass(frozen=True)
class Quantiser:
    """Steps and costs, learned on training windows.

    Parameters
    ----------
    form
        ``dense`` or ``sparse``.
    low, step
        Least number and size of a step, (K, 1) each; one row for all values of a sparse code.
    costs
        Bits of each of the 256 symbols of each row (K, 256).
    gaps
        Bits of each symbol of a gap (288,), without the plain bits; zeros of a dense code.
    """

    form: str
    low: np.ndarray
    step: np.ndarray
    costs: np.ndarray
    gaps: np.ndarray

    def rounded(self, z: np.ndarray) -> np.ndarray:
        """Return codes as they come back from 8 bits; positions stay as they are."""
        numbers = (self.low + self.step * _symbols(self, z)).astype(np.float32)
        if self.form == "dense":
            return numbers
        return np.concatenate([numbers, np.asarray(z[:, 1:], np.float32)], axis=1)

    def bits(self, z: np.ndarray) -> np.ndarray:
        """Return the bits (B,) of codes, as (B, K, T) or (B, 2, k)."""
        symbols = _symbols(self, z)
        rows = np.arange(len(self.costs))[:, None]
        total = self.costs[rows, symbols].sum(axis=(1, 2))
        if self.form == "sparse":
            symbols, plain = _gaps(z)
            total += (self.gaps[symbols] + plain).sum(axis=1)
        return total


def fit_quantiser(z: np.ndarray, form: str) -> Quantiser:
    """Learn steps and costs.

    Parameters
    ----------
    z
        Codes of training windows: (B, K, T), or (B, 2, k) of values and rising positions.
    form
        ``dense`` or ``sparse``.

    Raises
    ------
    ValueError
        If the form is another, or the array is not of it.
    """
    rows = pick({"dense": None, "sparse": 2}, form, "form of a code")
    z = np.asarray(z)
    if z.ndim != 3 or not z.size or rows not in (None, z.shape[1]):
        raise ValueError(f"a {form} code cannot have the shape {z.shape}; encode some windows")
    if not np.isfinite(z).all():
        raise ValueError("the codes hold NaN or infinity; encode the sound again")
    numbers = _numbers(z, form)
    low = numbers.min(axis=(0, 2))[:, None].astype(np.float64)
    step = np.maximum((numbers.max(axis=(0, 2))[:, None] - low) / (LEVELS - 1), 1e-12)
    none = np.zeros(_SYMBOLS)
    found = Quantiser(form, low, step, np.zeros((len(low), LEVELS)), none)
    symbols = _symbols(found, z)
    costs = np.stack([_costs(symbols[:, k], LEVELS) for k in range(len(low))])
    gaps = _costs(_gaps(z)[0], _SYMBOLS) if form == "sparse" else none
    return Quantiser(form, low, step, costs, gaps)


def _numbers(z: np.ndarray, form: str) -> np.ndarray:
    """Numbers (B, K, T) that are rounded: all of a dense code, the values of a sparse one."""
    return np.asarray(z if form == "dense" else z[:, :1])


def _symbols(quantiser: Quantiser, z: np.ndarray) -> np.ndarray:
    """Return the steps (B, K, T) that the numbers are nearest to."""
    steps = (_numbers(z, quantiser.form) - quantiser.low) / quantiser.step
    return np.clip(np.rint(steps), 0, LEVELS - 1).astype(np.int64)


def _gaps(z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Symbol and number of plain bits (B, k) of each gap between positions."""
    gap = np.diff(np.asarray(z[:, 1]).astype(np.int64), axis=1, prepend=-1)
    if (gap < 1).any():
        raise ValueError("the positions of a sparse code must rise; sort them")
    power = np.floor(np.log2(gap)).astype(np.int64)
    far = gap >= GAPS
    return np.where(far, GAPS + power, gap), np.where(far, power, 0)


def _costs(symbols: np.ndarray, n: int) -> np.ndarray:
    """Bits (n,) of each symbol, from how often it came, and once more."""
    counts = np.bincount(symbols.ravel(), minlength=n) + 1
    return np.log2(counts.sum() / counts)
