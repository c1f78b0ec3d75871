"""Residual vector quantisation of the frames of a latent, packed into bytes.

A codebook holds the vectors that k-means finds in what the codebooks before it have left of the
training frames; a frame is sent as the index of the nearest one of each. With fewer codebooks the
same code is coarser, so one fit serves all rates.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import ClassVar, Protocol

import numpy as np
from sklearn.cluster import MiniBatchKMeans

from musiclatent import files
from musiclatent.config import SEED
from musiclatent.evaluation.codecs import Coder

BITS = 10  # of an index, at most
PER_VECTOR = 8  # training frames for each vector of a codebook, at least
OUTLINE = 0.3  # share of the codebooks that the rows get from which others follow
BATCH, ROUNDS = 4096, 3  # of k-means


class LatentCoder(Coder, Protocol):
    """A dense coder whose latents may follow from their own first rows."""

    given: int
    losses: tuple[str, ...]

    def scale(self, z: np.ndarray) -> np.ndarray:
        """Return by what latents are divided before they are rounded."""


@dataclass(frozen=True)
class Codebooks:
    """Codebooks, each for what the ones before it leave.

    Parameters
    ----------
    vectors
        (S, L, D) of S codebooks; L is a power of two.
    """

    vectors: np.ndarray = field(repr=False)

    @property
    def bits(self) -> int:
        """Bits of an index."""
        return int(np.log2(self.vectors.shape[1]))

    def indices(self, frames: np.ndarray) -> np.ndarray:
        """Return the indices (n, S) of frames (n, D)."""
        left, chosen = np.array(frames, np.float32), []
        for vectors in self.vectors:
            chosen.append(_nearest(left, vectors))
            left -= vectors[chosen[-1]]
        return np.stack(chosen, axis=1) if chosen else np.zeros((len(left), 0), int)

    def frames(self, indices: np.ndarray) -> np.ndarray:
        """Return the frames (n, D) that indices (n, S) stand for."""
        total = np.zeros((len(indices), self.vectors.shape[2]), np.float32)
        for vectors, row in zip(self.vectors, indices.T, strict=True):
            total += vectors[row]
        return total

    def first(self, count: int) -> "Codebooks":
        """Return the first so many codebooks."""
        return Codebooks(self.vectors[:count])


def _nearest(frames: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """Return the vector nearest to each frame (n,)."""
    half = 0.5 * np.square(vectors).sum(axis=1)
    parts = (frames[i : i + BATCH] for i in range(0, len(frames), BATCH))
    return np.concatenate([np.argmax(part @ vectors.T - half, axis=1) for part in parts])


def fit_codebooks(frames: np.ndarray, count: int, *, seed: int = SEED) -> Codebooks:
    """Fit codebooks to training frames.

    Parameters
    ----------
    frames
        (n, D), 16 or more.
    count
        S, how many codebooks.
    seed
        Of k-means.

    Returns
    -------
    Codebooks
        Of 1,024 vectors, or fewer where there are less than eight frames for each.

    Raises
    ------
    ValueError
        If there are too few frames, or a value is not finite.
    """
    left = np.array(frames, np.float32)
    if left.ndim != 2 or len(left) < 2 * PER_VECTOR or not np.isfinite(left).all():
        raise ValueError(
            f"codebooks need {2 * PER_VECTOR} finite frames or more, (n, D); got {left.shape}"
        )
    levels = 2 ** min(BITS, int(np.log2(len(left) // PER_VECTOR)))
    how = {"batch_size": BATCH, "max_iter": ROUNDS, "n_init": 1, "init": "random"}
    vectors = []
    for i in files.progress(range(count), "codebooks", "codebook"):
        means = MiniBatchKMeans(levels, random_state=seed + i, **how).fit(left).cluster_centers_
        vectors.append(means.astype(np.float32))
        left -= vectors[-1][_nearest(left, vectors[-1])]
    return Codebooks(np.stack(vectors))


@dataclass(frozen=True, kw_only=True)
class ResidualCodec:
    """Send the latents of a coder as indices.

    Parameters
    ----------
    coder
        A trained model.
    frames
        T, latent frames of an excerpt.
    outline
        Codebooks of the rows from which others follow; without any where there are none.
    rest
        Codebooks of the other rows, divided by their scale.
    """

    form: ClassVar[str] = "bytes"
    given: ClassVar[int] = 0

    coder: LatentCoder
    frames: int
    outline: Codebooks
    rest: Codebooks

    @property
    def losses(self) -> tuple[str, ...]:
        """Return what the coder was trained on."""
        return self.coder.losses

    def encode(self, x: np.ndarray) -> list[bytes]:
        """Return the indices of waveforms (B, N), packed."""
        z, given = self.coder.encode(x), self.coder.given
        first = self.outline.indices(_rows(z[:, :given]))
        if given:
            z = self.coder.encode(x, self._outline(first, len(x)))
        rest = self.rest.indices(_rows(_scaled(self.coder, z)))
        indices = np.concatenate([first, rest], axis=1).reshape(len(x), -1)
        return [_packed(row, self.rest.bits) for row in indices]

    def decode(self, z: list[bytes]) -> np.ndarray:
        """Return waveforms (B, N) of packed indices."""
        count, given = len(self.outline.vectors), self.coder.given
        whole = (count + len(self.rest.vectors)) * self.frames
        indices = np.stack([_unpacked(one, self.rest.bits, whole) for one in z])
        indices = indices.reshape(len(z) * self.frames, -1)
        first, rest = np.split(indices, [count], axis=1)
        parts = [self._outline(first, len(z)), _latents(self.rest.frames(rest), len(z))]
        latents = np.concatenate(parts, axis=1)
        if given:
            latents *= self.coder.scale(latents)  # it follows from the first rows, and is 1 there
        return self.coder.decode(latents)

    def _outline(self, indices: np.ndarray, count: int) -> np.ndarray:
        """Return the given rows of so many windows: amplitudes, of which none is below 0."""
        return np.maximum(_latents(self.outline.frames(indices), count), 0)

    @staticmethod
    def bits(code: bytes) -> int:
        """Count the bits of an excerpt."""
        return 8 * len(code)

    def at(self, kbit_s: float, seconds: float) -> "ResidualCodec":
        """Return the codec with as many codebooks as a rate allows.

        Parameters
        ----------
        kbit_s
            Rate in kbit/s.
        seconds
            Length of an excerpt.
        """
        count = int(1000 * kbit_s * seconds / self.frames / self.rest.bits)
        first = round(OUTLINE * count) if self.coder.given else 0
        return replace(self, outline=self.outline.first(first), rest=self.rest.first(count - first))


def fit_codec(coder: LatentCoder, x: np.ndarray, *, kbit_s: float, seconds: float) -> ResidualCodec:
    """Fit codebooks to the latents of training excerpts.

    Parameters
    ----------
    coder
        A trained model.
    x
        Training waveforms (B, N).
    kbit_s
        The highest rate that is asked for, in kbit/s.
    seconds
        Length of an excerpt.

    Raises
    ------
    ValueError
        If the rate is below one index per frame, or there are too few frames.
    """
    z, given = coder.encode(x), coder.given
    frames = _rows(_scaled(coder, z))
    levels = min(BITS, int(np.log2(len(frames) // PER_VECTOR)))
    count = int(1000 * kbit_s * seconds / z.shape[2] / levels)
    if not count:
        raise ValueError(f"{kbit_s} kbit/s is less than an index per frame; ask for a higher rate")
    first = round(OUTLINE * count) if given else 0
    empty = Codebooks(np.zeros((0, 2**levels, given), np.float32))
    return ResidualCodec(
        coder=coder,
        frames=z.shape[2],
        outline=fit_codebooks(_rows(z[:, :given]), first) if first else empty,
        rest=fit_codebooks(frames, count - first),
    )


def rate_rows(
    coders: dict[str, LatentCoder], x: np.ndarray, *, rates: Iterable[int], seconds: float
) -> dict[str, ResidualCodec]:
    """Return a row for each model and rate, such as ``rvq_a1_6``.

    Parameters
    ----------
    coders
        Name -> trained model.
    x
        Training waveforms (B, N).
    rates
        In kbit/s.
    seconds
        Length of an excerpt.
    """
    rows = {}
    for name, coder in coders.items():
        codec = fit_codec(coder, x, kbit_s=max(rates), seconds=seconds)
        rows |= {f"rvq_{name}_{rate}": codec.at(rate, seconds) for rate in rates}
    return rows


def _scaled(coder: LatentCoder, z: np.ndarray) -> np.ndarray:
    """Return the rows of latents (B, K, T) that are not given, divided by their scale."""
    return (z / coder.scale(z))[:, coder.given :] if coder.given else z


def _rows(z: np.ndarray) -> np.ndarray:
    """Return the frames (B T, K) of latents (B, K, T)."""
    return z.transpose(0, 2, 1).reshape(len(z) * z.shape[2], z.shape[1])


def _latents(frames: np.ndarray, count: int) -> np.ndarray:
    """Return latents (B, K, T) of the frames (B T, K) of so many windows."""
    windows = frames.reshape(count, len(frames) // count, frames.shape[1])
    return windows.transpose(0, 2, 1).astype(np.float32)


def _packed(indices: np.ndarray, bits: int) -> bytes:
    """Return indices (n,) as bytes, so many bits each."""
    return np.packbits((indices[:, None] >> np.arange(bits)) & 1).tobytes()


def _unpacked(code: bytes, bits: int, count: int) -> np.ndarray:
    """Return what `_packed` took (count,)."""
    plain = np.unpackbits(np.frombuffer(code, np.uint8), count=count * bits)
    return plain.reshape(count, bits).astype(int) @ (1 << np.arange(bits))
