"""Encode by reference codecs that need no training, and count the bits that any code costs.

A codec is a frozen dataclass of plain values with `form`, `encode` from waveforms (B, N) to a code,
and `decode` back to (B, N). Its form is ``dense``, values (B, K, T) of K components; ``sparse``,
values and positions (B, 2, k), the positions rising; or ``bytes``, a list of packets, of which
`bits` counts what is sent.

The values of a component, or all values of a sparse code, are rounded to equal steps (256, or
another power of two) from the least to the largest on the training windows; what lies outside is
clipped. What a symbol costs is
taken from how often it came on the training windows, as an arithmetic coder with that table would
have it; one is added to each count, so that a symbol that never came can be sent. Positions are
sent as gaps to the one before.
"""

import shutil
import subprocess
from dataclasses import dataclass
from typing import ClassVar, Protocol

import librosa
import numpy as np
import soxr
import torch
from scipy.fft import dct
from scipy.signal import correlate

from musiclatent import errors, files
from musiclatent.errors import MissingToolError
from musiclatent.models import adaptive, mdct

OPUS_SR = 48_000  # Hz, the rate that Opus counts its samples in
PCM = ["-f", "f32le", "-ar", str(OPUS_SR), "-ac", "1"]  # for ffmpeg: raw float32, mono
LAG_S = 0.02  # largest delay of a decoder that is looked for
LEVELS = 256  # 8 bits
GAPS = 256  # from here on a gap is sent as its power of two, and the rest in plain bits
SYMBOLS = GAPS + 32


class Coder(Protocol):
    """Turn excerpts into codes and back.

    The form tells what a code is, see `musiclatent.evaluation.codecs`: ``dense`` is an array
    (B, K, T), ``sparse`` an array (B, 2, k) of values and positions, ``bytes`` a list of packets.
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
        Coefficients kept of each excerpt; their positions count too: 2 k dimensions.
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
        positions = np.sort(np.argpartition(-np.abs(c), self.k - 1, axis=1)[:, : self.k], axis=1)
        # float32 holds whole numbers exactly below 2 ** 24, twelve minutes of samples.
        return np.stack([np.take_along_axis(c, positions, 1), positions.astype(np.float32)], axis=1)

    def decode(self, z: np.ndarray) -> np.ndarray:
        """Return waveforms (B, N) of codes (B, 2, k)."""
        c = np.zeros((len(z), -(-self.samples // self.hop) * self.hop), np.float32)
        np.put_along_axis(c, z[:, 1].astype(int), z[:, 0], axis=1)
        return self._inverse(c.reshape(len(z), -1, self.hop))[:, : self.samples]

    def _angles(self) -> tuple[np.ndarray, np.ndarray]:
        """Return cosine and sine by which samples on both sides of a boundary are rotated."""
        angle = np.pi / 4 - np.pi / (2 * self.hop) * (np.arange(self.hop // 2) + 0.5)
        return np.cos(angle).astype(np.float32), np.sin(angle).astype(np.float32)

    def _transform(self, x: np.ndarray) -> np.ndarray:
        """Return coefficients (B, T, H) of waveforms (B, T H)."""
        c, s = self._angles()
        blocks = x.reshape(len(x), -1, self.hop).copy()
        left, right = np.split(blocks, 2, axis=-1)
        a, b = right[:, :-1, ::-1].copy(), left[:, 1:].copy()  # either side of each boundary
        left[:, 1:], right[:, :-1] = c * b + s * a, (c * a - s * b)[..., ::-1]
        return dct(blocks, type=4, norm="ortho")

    def _inverse(self, z: np.ndarray) -> np.ndarray:
        """Return waveforms (B, T H) of coefficients (B, T, H)."""
        c, s = self._angles()
        blocks = dct(z, type=4, norm="ortho")  # its own inverse
        left, right = np.split(blocks, 2, axis=-1)
        v, u = left[:, 1:].copy(), right[:, :-1, ::-1].copy()
        left[:, 1:], right[:, :-1] = c * v - s * u, (s * v + c * u)[..., ::-1]
        return blocks.reshape(len(z), -1)


@dataclass(frozen=True)
class Resampled:
    """Keep fewer samples per second, by a good low-pass filter, and go back.

    Parameters
    ----------
    samples
        N, samples of an excerpt.
    sr
        Its sampling rate in Hz.
    to
        The lower rate in Hz: 2,800 Hz are 14,000 samples of five seconds.
    """

    form: ClassVar[str] = "dense"
    given: ClassVar[int] = 0

    samples: int
    sr: int
    to: int = 2800

    def encode(self, x: np.ndarray) -> np.ndarray:
        """Return the fewer samples (B, 1, N') of waveforms (B, N)."""
        return np.stack([_resample(y, self.sr, self.to) for y in x])[:, None]

    def decode(self, z: np.ndarray) -> np.ndarray:
        """Return waveforms (B, N) of fewer samples (B, 1, N')."""
        sounds = (_resample(y, self.to, self.sr) for y in z[:, 0])
        return np.stack([librosa.util.fix_length(y, size=self.samples) for y in sounds])


@dataclass(frozen=True)
class NoiseFilled:
    """A dense coder with an envelope beside its code, and noise where its sound lacks power.

    Parameters
    ----------
    coder
        The coder; its frames are `stride` samples, a divisor of 4,096.
    samples
        N, samples of an excerpt.

    Notes
    -----
    Envelope and noise are those of `models.adaptive` without what it learns: 112 bands every 4,096
    samples, which count in the code, and random signs (`adaptive.fill`).
    """

    form: ClassVar[str] = "dense"
    given: ClassVar[int] = 0

    coder: Coder
    samples: int

    @property
    def losses(self) -> tuple[str, ...]:
        """Return what the coder was trained on; the filling is not."""
        return self.coder.losses

    @property
    def _frames(self) -> int:
        """Return how many frames of the coder share an envelope."""
        return adaptive.HOP * adaptive.SEGMENT // self.coder.stride

    def encode(self, x: np.ndarray) -> np.ndarray:
        """Return codes (B, K', T) of waveforms (B, N): the coder's, then channels of envelope."""
        x = self._padded(x)
        z, frames = self.coder.encode(x), self._frames
        bands = adaptive.envelope_of(self._lapped(x), adaptive.band_matrix()).numpy()  # B x G x b
        channels = bands.reshape(*bands.shape[:2], -1, frames).transpose(0, 2, 1, 3)
        return np.concatenate([z, channels.reshape(len(z), -1, z.shape[2])], axis=1)

    def decode(self, z: np.ndarray) -> np.ndarray:
        """Return waveforms (B, N) of codes (B, K', T)."""
        frames = self._frames
        count = adaptive.BANDS // frames
        bands = z[:, -count:].reshape(len(z), count, -1, frames).transpose(0, 2, 1, 3)
        envelope = torch.from_numpy(bands.reshape(*bands.shape[:2], -1).astype(np.float32))
        c = self._lapped(self._padded(self.coder.decode(z[:, :-count])))
        filled = adaptive.fill(c, envelope.clamp_min(0), adaptive.band_matrix())
        return mdct.Lapped(adaptive.HOP).inverse(filled)[:, : self.samples].numpy()

    def _lapped(self, x: np.ndarray) -> torch.Tensor:
        """Return lapped coefficients (B, T, H) of padded waveforms."""
        return mdct.Lapped(adaptive.HOP)(torch.from_numpy(x))

    def _padded(self, x: np.ndarray) -> np.ndarray:
        """Return waveforms padded to whole segments of the envelope."""
        segment = adaptive.HOP * adaptive.SEGMENT
        return np.pad(np.asarray(x, np.float32), ((0, 0), (0, -x.shape[1] % segment)))


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
        codec = ["-c:a", "libopus", "-b:a", f"{self.kbit_s}k", "-f", "opus"]
        command = [*PCM, "-i", "pipe:0", *codec, "pipe:1"]
        return [_ffmpeg(command, _resample(y, self.sr, OPUS_SR).tobytes()) for y in x]

    def decode(self, z: list[bytes]) -> np.ndarray:
        """Return waveforms (B, N) of Ogg files; the decoder leaves the stated delay out."""
        command = ["-f", "ogg", "-i", "pipe:0", *PCM, "pipe:1"]
        sounds = (np.frombuffer(_ffmpeg(command, file), "<f4") for file in z)
        sounds = (_resample(y, OPUS_SR, self.sr) for y in sounds)
        return np.stack([librosa.util.fix_length(y, size=self.samples) for y in sounds])

    @staticmethod
    def bits(code: bytes) -> int:
        """Count the bits of an excerpt, see `opus_bits`."""
        return opus_bits(code)


def require_opus() -> None:
    """Validate that Opus can be used here.

    Raises
    ------
    MissingToolError
        If ffmpeg or its libopus is missing.
    """
    remedy = "install ffmpeg (apt install ffmpeg, or conda install -c conda-forge ffmpeg)"
    if not shutil.which("ffmpeg"):
        raise MissingToolError(f"Opus needs ffmpeg, which is not on the PATH; {remedy}")
    if b"libopus" not in _ffmpeg(["-hide_banner", "-encoders"], b""):
        raise MissingToolError(f"Opus needs libopus, which this ffmpeg lacks; {remedy}")


def opus_bits(file: bytes) -> int:
    """Count the bits of the packets of sound in an Ogg file.

    Parameters
    ----------
    file
        As `Opus.encode` returns of one excerpt.

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
    sizes, size = [], 0
    at = 0
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
    most, n = round(LAG_S * sr), x.shape[1]
    pairs = zip(x, x_hat, strict=True)
    correlation = sum(correlate(y_hat, y, method="fft") for y, y_hat in pairs)
    near = slice(max(0, n - 1 - most), n + most)  # lag 0 stands at n - 1
    lag = int(np.argmax(correlation[near])) + near.start - (n - 1)
    shifted = np.pad(x_hat, ((0, 0), (most, most)))
    return shifted[:, most + lag : most + lag + n]


def _resample(y: np.ndarray, sr: int, to: int) -> np.ndarray:
    """Resample one waveform (N,)."""
    return soxr.resample(np.asarray(y, np.float32), sr, to, quality="VHQ").astype("<f4")


def _ffmpeg(arguments: list[str], sound: bytes) -> bytes:
    """Send bytes through ffmpeg."""
    command = ["ffmpeg", "-v", "error", *arguments]
    done = subprocess.run(command, input=sound, capture_output=True, check=False)
    if done.returncode:
        message = errors.one_line(done.stderr.decode(errors="replace")) or "it gives no reason"
        raise MissingToolError(f"ffmpeg cannot do this ({message[:160]}); install a newer one")
    return done.stdout


@dataclass(frozen=True, kw_only=True)
class Quantiser:
    """Steps and costs, learned on training windows.

    Parameters
    ----------
    form
        ``dense`` or ``sparse``.
    low, step
        Least value and size of a step, (K, 1) each; one row for all values of a sparse code.
    costs
        Bits of each of the L symbols of each row (K, L).
    gaps
        Bits of each symbol of a gap (288,), without the plain bits; zeros of a dense code.
    """

    form: str
    low: np.ndarray
    step: np.ndarray
    costs: np.ndarray
    gaps: np.ndarray

    def rounded(self, z: np.ndarray) -> np.ndarray:
        """Return codes as they come back from their steps; positions stay as they are."""
        values = (self.low + self.step * self.symbols(z)).astype(np.float32)
        if self.form == "dense":
            return values
        return np.concatenate([values, np.asarray(z[:, 1:], np.float32)], axis=1)

    def bits(self, z: np.ndarray) -> np.ndarray:
        """Return the bits (B,) of codes, as (B, K, T) or (B, 2, k)."""
        rows = np.arange(len(self.costs))[:, None]
        total = self.costs[rows, self.symbols(z)].sum(axis=(1, 2))
        if self.form == "sparse":
            symbols, plain = _gaps(z)
            total += (self.gaps[symbols] + plain).sum(axis=1)
        return total

    def symbols(self, z: np.ndarray) -> np.ndarray:
        """Return the steps (B, K, T) that values are nearest to; (B, 1, k) of a sparse code."""
        values = z if self.form == "dense" else z[:, :1]
        return _nearest(values, self.low, self.step, self.costs.shape[1])


def fit_quantiser(z: np.ndarray, form: str, levels: int = LEVELS) -> Quantiser:
    """Fit steps and costs.

    Parameters
    ----------
    z
        Codes of training windows: (B, K, T), or (B, 2, k) of values and rising positions.
    form
        ``dense`` or ``sparse``.
    levels
        Steps, two or more.

    Raises
    ------
    ValueError
        If the form is another, the array is not of it, or there are too few steps.
    """
    if levels < 2:
        raise ValueError(f"levels is {levels}; take 2 steps or more")
    rows = files.pick({"dense": None, "sparse": 2}, form, "form of a code")
    z = np.asarray(z)
    if z.ndim != 3 or not z.size or rows not in (None, z.shape[1]):
        raise ValueError(f"a {form} code cannot have the shape {z.shape}; encode some windows")
    if not np.isfinite(z).all():
        raise ValueError("the codes hold NaN or infinity; encode the sound again")
    values = z if form == "dense" else z[:, :1]
    low = values.min(axis=(0, 2))[:, None].astype(np.float64)
    step = np.maximum((values.max(axis=(0, 2))[:, None] - low) / (levels - 1), 1e-12)
    symbols = _nearest(values, low, step, levels)
    costs = np.stack([_costs(symbols[:, k], levels) for k in range(len(low))])
    gaps = _costs(_gaps(z)[0], SYMBOLS) if form == "sparse" else np.zeros(SYMBOLS)
    return Quantiser(form=form, low=low, step=step, costs=costs, gaps=gaps)


def _nearest(values: np.ndarray, low: np.ndarray, step: np.ndarray, levels: int) -> np.ndarray:
    """Return the steps (B, K, T) that values are nearest to."""
    return np.clip(np.rint((values - low) / step), 0, levels - 1).astype(np.int64)


def _gaps(z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the symbol and the count of plain bits (B, k) of each gap between positions."""
    gap = np.diff(np.asarray(z[:, 1]).astype(np.int64), axis=1, prepend=-1)
    if (gap < 1).any():
        raise ValueError("the positions of a sparse code must rise; sort them")
    power = np.floor(np.log2(gap)).astype(np.int64)
    far = gap >= GAPS
    return np.where(far, GAPS + power, gap), np.where(far, power, 0)


def _costs(symbols: np.ndarray, n: int) -> np.ndarray:
    """Return the bits (n,) of each symbol, from how often it came, and a little more."""
    counts = np.bincount(symbols.ravel(), minlength=n) + min(1, LEVELS / n)
    return np.log2(counts.sum() / counts)
