"""One vector per window or recording, from latents that follow time.

Windows of a mel model are compared by their embedding, those of sparse codes by the energy of their
atoms (no component means the same in two sounds, so that codes are compared by what they add up
to), others by their latent as it is. Recordings of any length are compared by one vector each: that
of a mel model is the mean embedding of its windows, that of a variational one their mean latent.
That of a waveform model is the mean level of every channel in dB, less that of all: neither the
phase of the sound, its length nor its gain counts, and a distance is the difference in dB, root
mean square over the channels. Level statistics of frames are the oldest measure of timbre
similarity: Logan and Salomon (2001), A music similarity function based on signal analysis.
"""

from collections.abc import Iterable, Mapping
from typing import Protocol

import librosa
import numpy as np
import pandas as pd

from musiclatent.audio.windows import Grid

BANDS = 64  # mel bands
FRAME = 1024  # samples
BATCH = 64  # codes at once: each takes a megabyte on the way


def atom_energy(z: np.ndarray, hops: list[int], samples: int, sr: int) -> np.ndarray:
    """Add the energy of a sparse code up, by frame and mel band.

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
        (B, `BANDS`, T) energies; what lasts longer than a frame is shared by its frames.
    """
    n = -(-samples // max(hops)) * max(hops)
    hop = np.array(hops)[np.minimum(z[:, 1].astype(int) // n, len(hops) - 1)]  # B x k
    frame, bin_ = np.divmod(z[:, 1].astype(int) % n, hop)
    edges = librosa.mel_frequencies(BANDS + 1, fmin=0, fmax=sr / 2)
    band = np.searchsorted(edges, (bin_ + 0.5) / hop * sr / 2, side="right") - 1
    found = np.zeros((len(z), BANDS, -(-samples // FRAME)))
    row = np.broadcast_to(np.arange(len(z))[:, None], band.shape)
    for part in range(max(1, max(hops) // FRAME)):  # the frames that a long atom lasts
        shares = np.maximum(1, hop // FRAME)
        at = np.minimum(frame * hop // FRAME + part, found.shape[2] - 1)
        energy = np.where(part < shares, np.square(z[:, 0]) / shares, 0)
        np.add.at(found, (row, band.clip(0, BANDS - 1), at), energy)
    return found


class Encoded(Protocol):
    """What is read here of `store.Latents`, which stands further right."""

    z: np.ndarray  # (B, D), one row per window
    items: pd.DataFrame  # one row per window
    provenance: dict  # what made them, see `maps`


def over_time(z: np.ndarray, provenance: Mapping) -> np.ndarray:
    """Return latents as maps that follow time: dense ones as they are, the atoms of sparse ones.

    Parameters
    ----------
    z
        Latents (B, D).
    provenance
        What `store.Latents` knows of them: latent_shape; of sparse codes also hops, sr and
        window_s.

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
    found = np.empty((len(z), BANDS, -(-samples // FRAME)), np.float32)
    for start in range(0, len(z), BATCH):
        part = slice(start, start + BATCH)
        found[part] = np.sqrt(atom_energy(z[part], provenance["hops"], samples, sr))
    return found


def mean_and_deviation(z: np.ndarray) -> np.ndarray:
    """Summarise latents or spectrograms by the mean and the standard deviation over time.

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
    """Return what latents are compared by, whatever their length in time.

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
        As `summarise`.
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
    return WINDOW[provenance["input"]](over_time(z, provenance))


def _flat(z: np.ndarray) -> np.ndarray:
    """Return latents (B, K, T) as they are (B, D)."""
    return z.reshape(len(z), -1)


# By what a model takes: its latents follow time, or are numbers of the whole window.
WINDOW = {"waveform": _flat, "logmel": embedding, "logstft": _flat}
POOL = 8  # frames whose energy is added up, so that the phase of a single one does not count


def mean_levels(batches: Iterable[np.ndarray]) -> np.ndarray:
    """Summarise a recording by the levels of its maps.

    Parameters
    ----------
    batches
        Latents (B, K, T) of its windows, some at a time.

    Returns
    -------
    ndarray
        (K,) dB / sqrt(K): mean over time, where louder windows count more, less the mean over the
        maps. The Euclidean distance of two is in dB.
    """
    levels, weights = zip(*(_levels(z) for z in batches), strict=True)
    mean = np.average(np.concatenate(levels), axis=0, weights=np.concatenate(weights))
    return mean / np.sqrt(len(mean))


def _levels(z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return mean levels (B, K) of windows (B, K, T) in dB, centred, and the windows' weights."""
    pool = min(POOL, z.shape[2])
    power = np.square(z[..., : z.shape[2] // pool * pool], dtype=np.float64)
    power = power.reshape(*z.shape[:2], -1, pool).mean(axis=3)  # B x K x (T / pool)
    # 40 dB below the loudest nothing is heard, and a codec leaves nothing but its own noise.
    floor = 1e-4 * power.max(axis=(1, 2), keepdims=True) + 1e-10
    levels = 10 * np.log10(power + floor).mean(axis=2)
    weights = np.sqrt(power.mean(axis=(1, 2))) + 1e-9
    return levels - levels.mean(axis=1, keepdims=True), weights


def mean_embedding(batches: Iterable[np.ndarray]) -> np.ndarray:
    """Summarise a recording by what its windows have in common, as a triplet loss compares them.

    Parameters
    ----------
    batches
        Latents (B, K, T) of its windows, some at a time.

    Returns
    -------
    ndarray
        (3K,): the mean of the windows' embeddings, see `pooling.embedding`.
    """
    return np.concatenate([embedding(z) for z in batches]).mean(axis=0)


def mean_latent(batches: Iterable[np.ndarray]) -> np.ndarray:
    """Summarise a recording by the mean (D,) of its windows' latents (B, K, T)."""
    return np.concatenate([z.reshape(len(z), -1) for z in batches]).mean(axis=0)


RECORDING = {"waveform": mean_levels, "logmel": mean_embedding, "logstft": mean_latent}
