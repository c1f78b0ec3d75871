"""Pool latents over time: one vector per window or per recording.

Windows of a mel model are compared by their embedding, those of sparse codes by the energy of their
atoms (no component means the same in two sounds, so that codes are compared by what they add up
to), others by their latent as it is. Recordings of any length are compared by one vector each: that
of a mel model is the mean embedding of its windows, that of a variational one their mean latent.
That of a waveform model is the mean level of every channel in dB, less that of all: neither the
phase of the sound, its length nor its gain counts, and a distance is the difference in dB, root
mean square over the channels. Level statistics of frames are the oldest measure of timbre
similarity: Logan and Salomon (2001), A music similarity function based on signal analysis.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Protocol

import librosa
import numpy as np
import pandas as pd

from musiclatent.audio.windows import Grid
from musiclatent.files import blocks

BANDS = 64  # mel bands
FRAME = 1024  # samples
POOL = 8  # frames whose energy is averaged, so that the phase of a single one does not count
BATCH = 64  # codes at once: each takes a megabyte of working memory
BLOCK = 256  # latents pooled at once: 14 MB of A1's


def atom_energy(z: np.ndarray, hops: list[int], *, samples: int, sr: int) -> np.ndarray:
    """Compute the energy of a sparse code by frame and mel band.

    Parameters
    ----------
    z
        Values and positions (B, 2, k): positions count through the transforms, their frames and
        their bins.
    hops
        Hop of each transform.
    samples, sr
        Samples of an excerpt, and its rate in Hz.

    Returns
    -------
    ndarray
        (B, `BANDS`, T) energies; that of an atom longer than a frame is spread over its frames.
    """
    n = -(-samples // max(hops)) * max(hops)
    hop = np.array(hops)[np.minimum(z[:, 1].astype(int) // n, len(hops) - 1)]  # B x k
    frame, bin_ = np.divmod(z[:, 1].astype(int) % n, hop)
    edges = librosa.mel_frequencies(BANDS + 1, fmin=0, fmax=sr / 2)
    band = np.searchsorted(edges, (bin_ + 0.5) / hop * sr / 2, side="right") - 1
    energies = np.zeros((len(z), BANDS, -(-samples // FRAME)))
    row = np.arange(len(z))[:, None]
    lasts = np.maximum(1, hop // FRAME)  # frames
    for part in range(lasts.max(initial=1)):
        at = np.minimum(frame * hop // FRAME + part, energies.shape[2] - 1)
        energy = np.where(part < lasts, np.square(z[:, 0]) / lasts, 0)
        np.add.at(energies, (row, band.clip(0, BANDS - 1), at), energy)
    return energies


class Encoded(Protocol):
    """What is read here of `store.Latents`, which stands further right."""

    z: np.ndarray  # (B, D), one row per window
    items: pd.DataFrame  # one row per window
    provenance: dict  # what made them, see `as_channels`


def as_channels(z: np.ndarray, provenance: Mapping) -> np.ndarray:
    """Return latents as channels over time: dense ones as they are, the atoms of sparse ones.

    Parameters
    ----------
    z
        Latents (B, D).
    provenance
        As in `store.Latents`: latent_shape; of sparse codes also hops, sr and window_s.

    Returns
    -------
    ndarray
        (B, K, T), or of sparse codes the roots of energies (B, `BANDS`, T).
    """
    z = np.asarray(z).reshape(len(z), *provenance["latent_shape"])
    if "hops" not in provenance:
        return z
    sr = provenance["sr"]
    samples = Grid(sr, provenance["window_s"]).n
    channels = np.empty((len(z), BANDS, -(-samples // FRAME)), np.float32)
    for start in range(0, len(z), BATCH):
        part = slice(start, start + BATCH)
        channels[part] = np.sqrt(atom_energy(z[part], provenance["hops"], samples=samples, sr=sr))
    return channels


def mean_and_deviation(z: np.ndarray) -> np.ndarray:
    """Compute the mean and the standard deviation over time of latents or spectrograms.

    Parameters
    ----------
    z
        Latents (B, K, T), or spectrograms (B, M, T) in any unit.

    Returns
    -------
    array (B, 2K), float32
        First the means, then the standard deviations.

    Raises
    ------
    ValueError
        If `z` has another number of axes, or no frames.
    """
    z = np.asarray(z)
    if z.ndim != 3 or not z.size:
        raise ValueError(f"latents have shape {z.shape}; give (B, K, T) that is not empty")
    parts = [z.mean(axis=2, dtype=np.float32), z.std(axis=2, dtype=np.float32)]
    return np.concatenate(parts, axis=1)  # B x 2K


def embedding(z: np.ndarray) -> np.ndarray:
    """Compute the embeddings by which latents of any length in time are compared.

    Parameters
    ----------
    z
        Latents (B, K, T).

    Returns
    -------
    array (B, 3K), float32
        Mean and standard deviation over time, and the mean step from frame to frame, scaled to
        length 1 together: as the triplet loss of `models.mel` sees them. Zeros stay zeros.

    Raises
    ------
    ValueError
        As `mean_and_deviation`.
    """
    z = np.asarray(z)
    summary = mean_and_deviation(z)
    steps = np.abs(np.diff(z, axis=2)).sum(axis=2, dtype=np.float32) / max(1, z.shape[2] - 1)
    summary = np.concatenate([summary, steps], axis=1)  # B x 3K
    return summary / np.maximum(np.linalg.norm(summary, axis=1, keepdims=True), 1e-12)


def window_vectors(latents: Encoded) -> np.ndarray:
    """Return the rows by which windows are compared.

    Parameters
    ----------
    latents
        Latents of windows with their provenance (`store.Latents`).

    Returns
    -------
    array (B, D)
        Embeddings of mel spectrograms; of sparse codes the energies of their atoms; of other models
        the latents themselves.
    """
    return comparison_vectors(latents.z, latents.provenance)


def comparison_vectors(z: np.ndarray, provenance: Mapping) -> np.ndarray:
    """Return the rows (B, D') by which latents (B, D) of a provenance are compared."""
    return _pooled(z, provenance, WINDOW_POOLING[provenance["input"]])


def map_vectors(z: np.ndarray, provenance: Mapping) -> np.ndarray:
    """Return the rows (B, D') by which a map lays out latents (B, D) of a provenance.

    As `comparison_vectors`, but of a waveform model the mean levels of the channels: its latent as
    it is holds the phase of the sound, and on a map of it only the loudest windows lie apart.
    """
    kind = provenance["input"]
    return _pooled(z, provenance, _centred_levels if kind == "waveform" else WINDOW_POOLING[kind])


def _pooled(
    z: np.ndarray, provenance: Mapping, pool: Callable[[np.ndarray], np.ndarray]
) -> np.ndarray:
    """Return what pooling makes of latents (B, D), some at a time; as they are they stay mapped."""
    if pool is _flat and "hops" not in provenance:
        return np.asarray(z).reshape(len(z), -1)
    return np.concatenate([pool(as_channels(block, provenance)) for block in blocks(z, BLOCK)])


def _centred_levels(channels: np.ndarray) -> np.ndarray:
    """Return the levels (B, K) of channels (B, K, T), so that distances are in dB."""
    return _levels(channels)[0] / np.sqrt(channels.shape[1])


def _flat(z: np.ndarray) -> np.ndarray:
    """Return latents (B, K, T) as they are (B, D)."""
    return z.reshape(len(z), -1)


# By the input of a model: only a mel model compares embeddings, as its triplet loss does.
WINDOW_POOLING = {"waveform": _flat, "logmel": embedding, "logstft": _flat, "rows": _flat}


def recording_vector(batches: Iterable[np.ndarray], kind: str) -> np.ndarray:
    """Return the vector by which a recording of any length is compared.

    Parameters
    ----------
    batches
        Latents (B, K, T) of its windows, some at a time.
    kind
        Input of the model, as in `WINDOW_POOLING`: ``waveform`` takes `mean_levels`, the others the
        mean of the windows' vectors.
    """
    if kind == "waveform":
        return mean_levels(batches)
    return np.concatenate([WINDOW_POOLING[kind](z) for z in batches]).mean(axis=0)


def mean_levels(batches: Iterable[np.ndarray]) -> np.ndarray:
    """Compute the mean levels of the channels of a recording.

    Parameters
    ----------
    batches
        Latents (B, K, T) of its windows, some at a time.

    Returns
    -------
    ndarray
        (K,) dB / sqrt(K): mean over time, where louder windows count more, less the mean over the
        channels. The Euclidean distance of two is in dB.
    """
    levels, weights = zip(*(_levels(z) for z in batches), strict=True)
    mean = np.average(np.concatenate(levels), axis=0, weights=np.concatenate(weights))
    return mean / np.sqrt(len(mean))


def _levels(z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return mean levels (B, K) of windows (B, K, T) in dB, centred, and the windows' weights."""
    pool = min(POOL, z.shape[2])
    power = np.square(z[..., : z.shape[2] // pool * pool], dtype=np.float64)
    power = power.reshape(*z.shape[:2], -1, pool).mean(axis=3)  # B x K x (T / pool)
    # 40 dB below the loudest nothing is audible, and a codec leaves nothing but its own noise.
    floor = 1e-4 * power.max(axis=(1, 2), keepdims=True) + 1e-10
    levels = 10 * np.log10(power + floor).mean(axis=2)
    weights = np.sqrt(power.mean(axis=(1, 2))) + 1e-9
    return levels - levels.mean(axis=1, keepdims=True), weights
