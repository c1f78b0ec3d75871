"""Encode the harmonic and the percussive part of spectrograms apart, and add them up again.

The decomposition of waveforms that Couri and Oliveira name as future work, by the best linear map
of each part.
"""

import librosa
import numpy as np

from musiclatent.evaluation import reconstruction
from musiclatent.features import stft
from musiclatent.features.stft import SpectrogramBatch


def reconstruct_by_parts(
    train: SpectrogramBatch, test: SpectrogramBatch, *, n: int, blocks: int = 1
) -> np.ndarray:
    """Return reconstructions of which tones and beats had half of the latent dimensions each.

    Parameters
    ----------
    train, test
        Spectrograms of the recordings that the maps are fitted to, and of others.
    n
        Latent dimensions of both parts together.
    blocks
        As in `reconstruction.reconstruct_by_pca`.

    Returns
    -------
    ndarray
        (B, F, T) in [0, 1], of the ranges of `test`.
    """
    pairs = zip(_parts(train), _parts(test), strict=True)
    how = {"n": n // 2, "blocks": blocks}
    rebuilt = [reconstruction.reconstruct_by_pca(*pair, **how) for pair in pairs]
    floor = 10 ** (test.low[:, None, None] / 20)  # each part has it where it is silent
    total = sum(10 ** (test.db(x) / 20) - floor for x in rebuilt) + floor
    return _scaled(20 * np.log10(np.maximum(total, floor)), test)


def _parts(batch: SpectrogramBatch) -> tuple[np.ndarray, np.ndarray]:
    """Return the harmonic and the percussive part (B, F, T), each in the range of the whole.

    Notes
    -----
    Fitzgerald (2010), Harmonic/percussive separation using median filtering.
    """
    masked = [librosa.decompose.hpss(stft.magnitudes(db)[:-1]) for db in batch.db()]
    parts = (np.stack(part) for part in zip(*masked, strict=True))
    harmonic, percussive = (20 * np.log10(np.maximum(part, 1e-6)) for part in parts)
    return _scaled(harmonic, batch), _scaled(percussive, batch)


def _scaled(db: np.ndarray, batch: SpectrogramBatch) -> np.ndarray:
    """Return decibels (B, F, T) in [0, 1], by the range of each spectrogram of a batch."""
    low, high = batch.low[:, None, None], batch.high[:, None, None]
    return ((db - low) / np.maximum(high - low, 1e-6)).clip(0, 1).astype(np.float32)
