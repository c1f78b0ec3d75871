"""Atoms of sparse codes as a map over time: the energy of each mel band and frame.

A sparse code is values and positions (2, k), which count through transforms of several hops, their
frames and their bins. No component means the same in two sounds, so that codes are compared by what
they add up to.
"""

from collections.abc import Mapping
from typing import Protocol

import librosa
import numpy as np
import pandas as pd

from musiclatent.excerpts import Grid

BANDS = 64  # mel bands
FRAME = 1024  # samples
BATCH = 64  # codes at once: each takes a megabyte on the way


def energy(z: np.ndarray, hops: list[int], samples: int, sr: int) -> np.ndarray:
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
    """What is read here of `latents.Latents`, which stands further right."""

    z: np.ndarray  # (B, D), one row per window
    items: pd.DataFrame  # one row per window
    provenance: dict  # what made them, see `maps`


def maps(z: np.ndarray, provenance: Mapping) -> np.ndarray:
    """Return latents as maps that follow time: dense ones as they are, the atoms of sparse ones.

    Parameters
    ----------
    z
        Latents (B, D).
    provenance
        What `latents.Latents` knows of them: latent_shape; of sparse codes also hops, sr and
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
        found[part] = np.sqrt(energy(z[part], provenance["hops"], samples, sr))
    return found
