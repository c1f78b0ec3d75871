"""Compare codes of music by how many numbers they take and what of the music they keep."""

from collections.abc import Mapping

import numpy as np
import pandas as pd

from musiclatent.config import SR
from musiclatent.errors import CheckpointError
from musiclatent.evaluation import reconstruction
from musiclatent.latents.encoders.packages import onnx
from musiclatent.latents.notes import transcription
from musiclatent.models import base

KEPT = ("key_agreement", "tempo_agreement", "mel_distance", "log_spectral_distance", "mrstft")


def add_notes(
    y: np.ndarray, sounds: Mapping[str, np.ndarray]
) -> tuple[dict[str, np.ndarray], float, str]:
    """Add what a synthesiser plays of the notes of sounds, where the network was fetched.

    Parameters
    ----------
    y
        Recordings (B, N) at `config.SR`.
    sounds
        Name -> what other codes made of them (B, N).

    Returns
    -------
    sounds
        With ``notes``, where it can be made.
    numbers
        Numbers of the notes of one recording on average; NaN without notes.
    skipped
        Why there are no notes, or empty.
    """
    try:
        network = onnx.load_notes()
    except CheckpointError as error:
        return dict(sounds), np.nan, f"notes are left out: {error}"
    played, numbers = transcription.through_notes(network, y)
    return {**sounds, "notes": played}, numbers, ""


def compact_table(
    y: np.ndarray, sounds: Mapping[str, np.ndarray], *, numbers: Mapping[str, float]
) -> pd.DataFrame:
    """Measure what codes keep of the music, by what no model was trained on.

    Parameters
    ----------
    y
        Recordings (B, N) at `config.SR`; silent ones are left out.
    sounds
        Name -> what a code made of them (B, N).
    numbers
        Name -> numbers of one recording; codes without any are of the spectrogram itself.

    Returns
    -------
    DataFrame
        One row per code: ``numbers_s`` per second, and means of `reconstruction.excerpt_errors`.
    """
    y = np.asarray(y, np.float32)
    heard = np.abs(y).max(axis=1) > base.SILENCE_PEAK
    original, rows = reconstruction.analyse(y[heard], SR), {}
    for name, sound in sounds.items():
        errors = reconstruction.excerpt_errors(original, reconstruction.analyse(sound[heard], SR))
        size = {"numbers_s": numbers.get(name, np.nan) * SR / y.shape[1]}
        rows[name] = size | errors[list(KEPT)].mean().to_dict()
    return pd.DataFrame(rows).T
