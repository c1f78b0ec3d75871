"""Choose frame, hop and duration of spectrograms by what is still understood without a network."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from musiclatent.analysis import statistics
from musiclatent.audio.windows import Grid
from musiclatent.evaluation.recognisers import Recogniser
from musiclatent.features import stft
from musiclatent.features.stft import LogSTFT, SpectrogramBatch

# n_fft, hop and seconds; the third is the paper's.
SETTINGS = (
    (256, 64, 0.74),
    (256, 128, 0.74),
    (512, 256, 0.74),
    (512, 128, 0.74),
    (1024, 256, 0.74),
    (1024, 512, 0.74),
    (2048, 1024, 0.74),
    (512, 256, 0.25),
    (512, 256, 0.37),
    (512, 256, 0.5),
)


def understood(
    recordings: SpectrogramBatch,
    recogniser: Recogniser,
    *,
    folder: Path,
    settings: Sequence[tuple[int, int, float]] = SETTINGS,
    few: bool = False,
) -> tuple[pd.DataFrame, dict[str, float]]:
    """Send recordings through spectrograms and back to sound, and recognise that.

    Parameters
    ----------
    recordings
        Held-out recordings, with a label each; their spectrograms are made anew.
    recogniser
        From audio.
    folder
        Where wav files are written, one folder per setting.
    settings
        n_fft and hop in samples, duration in seconds.
    few
        Whether every second one is enough.

    Returns
    -------
    DataFrame
        One row per setting: ``n_fft``, ``hop``, ``seconds``, ``cells`` of a spectrogram,
        ``understood``, the share of recordings recognised, with its 95 % bounds.
    dict
        ``understood_NFFT_HOP_MILLISECONDSms`` of each.
    """
    rows, metrics = [], {}
    for n_fft, hop, seconds in settings[:: 2 if few else 1]:
        transform = replace(recordings.transform, n_fft=n_fft, hop_length=hop, window_s=seconds)
        name = f"{n_fft}_{hop}_{round(1000 * seconds)}ms"
        sounds = _there_and_back(recordings.items["path"], transform)
        labels = recogniser.predict_sounds(sounds, transform.sr, folder=folder / name)
        right = labels == recordings.items["label"].to_numpy(str)
        found = statistics.mean(right.astype(float))
        row = {"n_fft": n_fft, "hop": hop, "seconds": seconds}
        rows.append(row | {"cells": int(np.prod(transform.shape))} | found.named("understood"))
        metrics |= found.named(f"understood_{name}")
    return pd.DataFrame(rows), metrics


def _there_and_back(paths: Sequence[str], transform: LogSTFT) -> np.ndarray:
    """Return the sounds (B, N) that the spectrograms of files give."""
    grid = Grid(transform.sr, transform.window_s)
    spectra = np.stack([transform(grid.read(path)) for path in paths])
    return transform.to_audio(*stft.scale(spectra))
