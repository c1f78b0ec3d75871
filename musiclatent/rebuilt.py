"""Send held-out spectrograms through a model and measure what comes back, as picture and as sound.

A spectrogram has no phase: the original goes through the same inversion, and is the bound that no
model can pass.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from sklearn.decomposition import PCA

from musiclatent import audio, latents
from musiclatent.config import SEED
from musiclatent.datamodules import CorpusDataModule
from musiclatent.excerpts import Grid
from musiclatent.models.blocks import mrstft, sisdr
from musiclatent.phases import griffin_lim, spectral_convergence
from musiclatent.runs import Run
from musiclatent.stfts import (
    ITERATIONS,
    LogSTFT,
    log_spectral_distance,
    magnitudes,
    unscale,
)


@dataclass(frozen=True)
class Spectrograms:
    """Spectrograms of one split, in [0, 1], with what brings them back to decibels.

    Parameters
    ----------
    x
        ``(B, F, T)`` in [0, 1].
    low, high
        Their minimum and maximum in dB (B,).
    items
        One row each: item_id, path, label, start_s, end_s and what else the corpus knows.
    transform
        What made them.
    """

    x: np.ndarray
    low: np.ndarray
    high: np.ndarray
    items: pd.DataFrame
    transform: LogSTFT

    def db(self, x: np.ndarray | None = None) -> np.ndarray:
        """Return decibels (B, F, T) of the spectrograms, or of others with the same ranges."""
        return unscale(self.x if x is None else x, self.low, self.high)

    def sounds(self, x: np.ndarray | None = None) -> np.ndarray:
        """Return the sounds (B, N) of the spectrograms, or of others with the same ranges."""
        return self.transform.sound(self.x if x is None else x, self.low, self.high)


def take(data: CorpusDataModule, split: str, at_most: int | None = None) -> Spectrograms:
    """Take the audible spectrograms of a split.

    Parameters
    ----------
    data
        Windows of a corpus.
    split
        ``train``, ``validation`` or ``test``.
    at_most
        How many are enough, spread over the split; None takes all.
    """
    data.setup()
    rows = data.rows(split, audible=True)
    if at_most and len(rows) > at_most:
        rows = rows[np.linspace(0, len(rows) - 1, at_most).astype(int)]
    x = np.array(data.cached.x[rows])
    items = latents.corpus_items(data).iloc[rows].reset_index(drop=True)
    return Spectrograms(
        data.transform.model_input(x), *data.transform.pair(x), items, data.transform
    )


@torch.no_grad()
def by_model(run: Run, x: np.ndarray) -> np.ndarray:
    """Return what a model makes of spectrograms `x` ``(B, F, T)`` in [0, 1], by its mean latent."""
    model = latents.placed(run)
    parts = torch.from_numpy(x)[:, None].split(latents.BATCH)  # B x 1 x F x T
    x_hats = [model(part.to(model.device)).x_hat.cpu() for part in parts]
    return torch.cat(x_hats)[:, 0].numpy()


def by_pca(
    train: np.ndarray, x: np.ndarray, n: int, blocks: int = 1, seed: int = SEED
) -> np.ndarray:
    """Return what principal components make of spectrograms: the best linear map to `n` numbers.

    Parameters
    ----------
    train
        Spectrograms ``(B', F, T)`` in [0, 1] that the components are fitted to.
    x
        Spectrograms ``(B, F, T)`` in [0, 1].
    n
        Numbers kept; as many as there are training spectrograms at most.
    blocks
        Parts of equal length that each spectrogram is cut into along time; all share one map to
        n / blocks numbers.
    seed
        Of the randomised decomposition.
    """
    rows, others = (_cut(part, blocks) for part in (train, x))
    kept = min(n // blocks, *rows.shape)
    # As many more as are wanted: then the search finds what an exact one would.
    fitted = PCA(kept, svd_solver="randomized", n_oversamples=kept, random_state=seed).fit(rows)
    found = fitted.inverse_transform(fitted.transform(others))
    found = found.reshape(len(x), blocks, x.shape[1], -1).transpose(0, 2, 1, 3)  # B x F x b x T/b
    return found.reshape(x.shape).clip(0, 1).astype(np.float32)


def _cut(x: np.ndarray, blocks: int) -> np.ndarray:
    """Cut spectrograms (B, F, T) into blocks along time, one a row (B blocks, F T / blocks)."""
    parts = x.reshape(*x.shape[:2], blocks, -1).transpose(0, 2, 1, 3)
    return parts.reshape(len(x) * blocks, -1)


def errors(
    original: Spectrograms, x_hat: np.ndarray, inside: np.ndarray | None = None
) -> dict[str, float]:
    """Measure spectrograms against their originals.

    Parameters
    ----------
    original
        The originals.
    x_hat
        What came back, ``(B, F, T)`` in [0, 1].
    inside
        Cells that can hold sound ``(B, F, T)``, see `LogSTFT.inside`; None leaves that apart.

    Returns
    -------
    dict
        ``mse``, ``log_spectral_distance`` in dB; with `inside` also ``mse_inside``,
        ``mse_outside``, ``inside_share`` of all cells and ``outside_share_of_error``.
    """
    error = np.square(x_hat - original.x)
    distance = log_spectral_distance(original.db(), original.db(x_hat))
    found = {"mse": float(error.mean()), "log_spectral_distance": float(distance.mean())}
    if inside is None:
        return found
    share, outside = float(inside.mean()), float((error * ~inside).mean())
    found |= {"mse_inside": (found["mse"] - outside) / max(share, 1e-9), "inside_share": share}
    found |= {"mse_outside": outside / max(1 - share, 1e-9)}
    return found | {"outside_share_of_error": outside / max(found["mse"], 1e-12)}


def convergence(original: Spectrograms, start: str) -> float:
    """Measure how well phases are found: mean spectral convergence, 0 is perfect.

    Parameters
    ----------
    original
        Spectrograms of recordings.
    start
        First phases of Griffin-Lim, ``random`` or ``gradient``.
    """
    way, found = original.transform, []
    for x_db in original.db():
        frames, magnitude = (way.n_fft, way.hop_length), magnitudes(x_db)
        y = griffin_lim(magnitude, *frames, ITERATIONS, start, length=way.length)
        found.append(spectral_convergence(magnitude, y, *frames))
    return float(np.mean(found))


def write(sounds: np.ndarray, sr: int, names: Sequence[str], folder: Path) -> list[Path]:
    """Write each sound (N,) of `sounds` as a wav file of that name; return the files."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{name}.wav" for name in names]
    for path, y in zip(paths, sounds, strict=True):
        audio.write(path, y, sr)
    return paths


def recordings(original: Spectrograms) -> np.ndarray:
    """Read the sound (B, N) that spectrograms were made of, padded at the end."""
    grid = Grid(original.transform.sr, original.transform.window_s)
    starts = original.items[["path", "start_s"]].itertuples(index=False)
    return np.stack([grid.read(path, start_s) for path, start_s in starts])


@torch.no_grad()
def sound_errors(y: np.ndarray, y_hat: np.ndarray) -> dict[str, float]:
    """Measure sounds against their originals.

    Parameters
    ----------
    y, y_hat
        Originals and what came back, (B, N) in [-1, 1].

    Returns
    -------
    dict
        ``sisdr`` in dB and ``mrstft``, means over the audible ones.
    """
    x, x_hat = (torch.from_numpy(np.ascontiguousarray(part))[:, None] for part in (y, y_hat))
    return {"sisdr": float(sisdr(x, x_hat).mean()), "mrstft": float(mrstft(x, x_hat).mean())}
