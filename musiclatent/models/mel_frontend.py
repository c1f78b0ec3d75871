"""Log-mel spectrograms in torch: the twin of `mel.log_mel` for GPUs."""

from functools import lru_cache

import torch
from torch import Tensor

from musiclatent.features import mel


def log_mel(
    y: Tensor,
    sr: int,
    n_fft: int = 2048,
    hop_length: int = 512,
    n_mels: int = 128,
    top_db: float = 80.0,
) -> Tensor:
    """Compute log-mel spectrograms of a batch, on the device where it lies.

    On CPUs the numpy twin is faster. Float32 inside, whatever autocast says.

    Parameters
    ----------
    y
        Samples ``(B, N)``, floats in [-1, 1].
    sr, n_fft, hop_length, n_mels, top_db
        As in `mel.log_mel`.

    Returns
    -------
    Tensor
        Decibels ``(B, M, T)`` float32, T = 1 + N // hop_length.

    Raises
    ------
    ValueError
        If the batch has another number of axes, is empty or holds no floats.
    """
    if y.ndim != 2 or not y.numel() or not y.is_floating_point():
        raise ValueError(f"samples are {y.dtype} {tuple(y.shape)}; give floats (B, N), not empty")
    with torch.autocast(y.device.type, enabled=False):
        window, filters = _window(n_fft, y.device), _filters(sr, n_fft, n_mels, y.device)
        spectra = torch.stft(
            y.float(), n_fft, hop_length, window=window, pad_mode="constant", return_complex=True
        )  # B x F x T
        power = spectra.real.square() + spectra.imag.square()
        x = 10 * (filters @ power).clamp(min=mel.AMIN).log10()  # B x M x T
        return x.maximum(x.amax((1, 2), keepdim=True) - top_db)


@lru_cache(maxsize=8)
def _window(n_fft: int, device: torch.device) -> Tensor:
    """Return a Hann window (n_fft,), rounded once as in numpy."""
    return torch.hann_window(n_fft, dtype=torch.float64).float().to(device)


@lru_cache(maxsize=8)
def _filters(sr: int, n_fft: int, n_mels: int, device: torch.device) -> Tensor:
    """Return mel filters (M, F); dense, for GPUs."""
    return torch.from_numpy(mel.mel_filters(sr, n_fft, n_mels).toarray()).to(device)
