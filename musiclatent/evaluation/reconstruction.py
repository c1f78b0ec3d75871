"""Reconstruct held-out spectrograms, and measure the result as picture and as sound.

A spectrogram has no phase: the original goes through the same inversion, and is the bound that no
model can pass.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from musiclatent import audio
from musiclatent.analysis import projection
from musiclatent.audio import windows
from musiclatent.audio.windows import Transform
from musiclatent.config import SEED
from musiclatent.features import phase, stft
from musiclatent.features.stft import SpectrogramBatch
from musiclatent.latents import decode, encode
from musiclatent.models import base
from musiclatent.models.base import LitModule
from musiclatent.training import checkpoints
from musiclatent.training.run_folder import Run


@torch.no_grad()
def reconstruct(run: Run, x: np.ndarray, transform: Transform) -> np.ndarray:
    """Send cached windows through a trained autoencoder, and back to sound.

    Parameters
    ----------
    run
        What was trained.
    x
        Cached windows: waveforms (B, N) in [-1, 1], or spectrograms (B, M, T) in dB.
    transform
        What made them.

    Returns
    -------
    ndarray
        Sounds (B, N) in [-1, 1].
    """
    model = checkpoints.load_checkpoint(run.checkpoint, run.experiment)
    x_hat = model(torch.from_numpy(transform.model_input(x))[:, None]).x_hat[:, 0].numpy()
    return transform.to_audio(x_hat, *transform.value_range(x))


FLOOR = 1e-10  # mean squared error that 16 bits leave


def seam_error_db(model: LitModule, transform: Transform) -> float:
    """Compare the error where windows fade into each other with the error elsewhere.

    The sound is a sine of 440 Hz over ten windows; both ends of the sound are left out.

    Parameters
    ----------
    model, transform
        As in `decode.rebuild`.

    Returns
    -------
    float
        Mean squared error at the nine seams against that elsewhere, in dB; 0 where there is no
        error that 16 bits could hold.
    """
    n, hop = decode.window_starts(model, transform, decode.OVERLAP_S)
    fade = decode.crossfade(n - hop)
    angle = 2 * np.pi * 440 * np.arange(9 * hop + n) / transform.sr
    y = (0.5 * np.sin(angle)).astype(np.float32)
    error = np.square(np.concatenate(list(decode.rebuild(model, [y], transform=transform))) - y)
    inner = error[hop : 10 * hop].reshape(9, hop)  # each row begins with what two windows share
    seams = np.zeros(hop, bool)
    seams[: len(fade)] = (fade > 0) & (fade < 1)
    at_seams, elsewhere = inner[:, seams].mean(), inner[:, ~seams].mean()
    return float(10 * np.log10((at_seams + FLOOR) / (elsewhere + FLOOR)))


@torch.no_grad()
def measure(
    original: str | Path, rebuilt: str | Path, sr: int, *, window_s: float
) -> dict[str, float]:
    """Measure a rebuilt file against its original, window by window.

    Parameters
    ----------
    original, rebuilt
        Audio files of the same length.
    sr
        Sample rate of the comparison in Hz.
    window_s
        Length of a window in seconds; less than half a window at the end is left out.

    Returns
    -------
    dict
        ``mse`` of the samples; ``sisdr`` in dB and ``mrstft``, means over the audible windows, NaN
        where there is none.
    """
    error, sisdrs, mrstfts = 0.0, [], []
    pair = (windows.windows(file, sr, window_s) for file in (original, rebuilt))
    for (_, y), (_, y_hat) in zip(*pair, strict=True):
        x, x_hat = torch.from_numpy(y)[None, None], torch.from_numpy(y_hat)[None, None]
        error += float((x_hat - x).square().sum())
        sisdrs.append(base.sisdr(x, x_hat))
        mrstfts.append(base.mrstft(x, x_hat))
    span_s = windows.Grid(sr, window_s).span_s(len(sisdrs))
    seconds = min(span_s, audio.info(original).seconds)  # without the padding
    means = {"sisdr": float(torch.cat(sisdrs).mean()), "mrstft": float(torch.cat(mrstfts).mean())}
    return {"mse": error / (seconds * sr)} | means


@torch.no_grad()
def reconstruct_by_model(run: Run, x: np.ndarray) -> np.ndarray:
    """Return reconstructions of spectrograms `x` ``(B, F, T)`` in [0, 1] from their mean latent."""
    model = encode.load_model(run)
    parts = torch.from_numpy(x)[:, None].split(encode.BATCH)  # B x 1 x F x T
    x_hats = [model(part.to(model.device)).x_hat.cpu() for part in parts]
    return torch.cat(x_hats)[:, 0].numpy()


def reconstruct_by_pca(
    train: np.ndarray, x: np.ndarray, *, n: int, blocks: int = 1, seed: int = SEED
) -> np.ndarray:
    """Return reconstructions by principal components: the best linear map to `n` dimensions.

    Parameters
    ----------
    train
        Spectrograms ``(B', F, T)`` in [0, 1] that the components are fitted to.
    x
        Spectrograms ``(B, F, T)`` in [0, 1].
    n
        Latent dimensions; as many as there are training spectrograms at most.
    blocks
        Parts of equal length that each spectrogram is cut into along time; all share one map to
        n / blocks dimensions.
    seed
        Of the randomised decomposition.
    """
    rows, others = (_cut(part, blocks) for part in (train, x))
    pca = projection.components(rows, n // blocks, seed=seed)
    x_hat = pca.inverse_transform(pca.transform(others))
    x_hat = x_hat.reshape(len(x), blocks, x.shape[1], -1).transpose(0, 2, 1, 3)  # B x F x b x T/b
    return x_hat.reshape(x.shape).clip(0, 1).astype(np.float32)


def _cut(x: np.ndarray, blocks: int) -> np.ndarray:
    """Return spectrograms (B, F, T) cut along time, one block per row (B blocks, F T / blocks)."""
    parts = x.reshape(*x.shape[:2], blocks, -1).transpose(0, 2, 1, 3)
    return parts.reshape(len(x) * blocks, -1)


def spectrogram_errors(
    original: SpectrogramBatch, x_hat: np.ndarray, inside: np.ndarray | None = None
) -> dict[str, float]:
    """Measure spectrograms against their originals.

    Parameters
    ----------
    original
        The originals.
    x_hat
        Their reconstructions ``(B, F, T)`` in [0, 1].
    inside
        Cells that can hold sound ``(B, F, T)``, see `LogSTFT.inside`; None leaves that apart.

    Returns
    -------
    dict
        ``mse``, ``log_spectral_distance`` in dB; with `inside` also ``mse_inside``,
        ``mse_outside``, ``log_spectral_distance_inside``, ``inside_share`` of all cells and
        ``outside_share_of_error``.
    """
    error = np.square(x_hat - original.x)
    pair = original.db(), original.db(x_hat)
    distance = stft.log_spectral_distance(*pair)
    mse = float(error.mean())
    metrics = {"mse": mse, "log_spectral_distance": float(distance.mean())}
    if inside is None:
        return metrics
    share, outside = float(inside.mean()), float((error * ~inside).mean())
    return metrics | {
        "mse_inside": (mse - outside) / max(share, 1e-9),
        "log_spectral_distance_inside": _distance_inside(*pair, inside),
        "inside_share": share,
        "mse_outside": outside / max(1 - share, 1e-9),
        "outside_share_of_error": outside / max(mse, 1e-12),
    }


def _distance_inside(x_db: np.ndarray, x_hat_db: np.ndarray, inside: np.ndarray) -> float:
    """Return the mean log-spectral distance over the cells and frames (B, F, T) inside."""
    square = np.ma.masked_array(np.square(x_db - x_hat_db), ~inside)
    return float(np.sqrt(square.mean(axis=1)).mean(axis=1).mean())


def phase_convergence(original: SpectrogramBatch, start: str) -> float:
    """Measure phase reconstruction: mean spectral convergence, 0 is perfect.

    Parameters
    ----------
    original
        Spectrograms of recordings.
    start
        First phases of Griffin-Lim, ``random`` or ``gradient``.
    """
    transform, errors = original.transform, []
    frames = transform.n_fft, transform.hop_length
    for magnitude in map(stft.magnitudes, original.db()):
        y = phase.griffin_lim(
            magnitude, *frames, n_iter=stft.ITERATIONS, start=start, length=transform.length
        )
        errors.append(phase.spectral_convergence(magnitude, y, *frames))
    return float(np.mean(errors))


def write_sounds(sounds: np.ndarray, sr: int, names: Sequence[str], folder: Path) -> list[Path]:
    """Write each sound (N,) of `sounds` as a wav file of that name; return the files."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{name}.wav" for name in names]
    for path, y in zip(paths, sounds, strict=True):
        audio.write(path, y, sr)
    return paths


def read_recordings(original: SpectrogramBatch) -> np.ndarray:
    """Read the sound (B, N) that spectrograms were made of, padded at the end."""
    grid = windows.Grid(original.transform.sr, original.transform.window_s)
    starts = original.items[["path", "start_s"]].itertuples(index=False)
    return np.stack([grid.read(path, start_s) for path, start_s in starts])


@torch.no_grad()
def audio_errors(y: np.ndarray, y_hat: np.ndarray) -> dict[str, float]:
    """Measure sounds against their originals.

    Parameters
    ----------
    y, y_hat
        Originals and reconstructions (B, N) in [-1, 1].

    Returns
    -------
    dict
        ``sisdr`` in dB and ``mrstft``, means over the audible ones, and ``sisdr_median``: the
        ratio has a long tail.
    """
    x, x_hat = (torch.from_numpy(np.array(part, np.float32))[:, None] for part in (y, y_hat))
    sisdr = base.sisdr(x, x_hat).numpy()
    means = {"sisdr": sisdr.mean(), "mrstft": base.mrstft(x, x_hat).mean()}
    means["sisdr_median"] = np.median(sisdr) if len(sisdr) else np.nan
    return {name: float(value) for name, value in means.items()}
