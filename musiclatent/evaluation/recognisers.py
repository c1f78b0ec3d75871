"""Independent judges of what is said: trained on recordings, never on what a model made.

The *ear* hears a wav file with a front end of its own: 8 kHz, 40 mel bands, a frame of 32 ms every
10 ms. The *eye* sees spectrograms that have no sound yet, in 40 mel bands up to 4 kHz.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from musiclatent.audio.windows import Grid
from musiclatent.config import SEED, Experiment, Training
from musiclatent.features.mel import LogMel, mel_filters
from musiclatent.features.stft import LogSTFT, SpectrogramBatch, scale
from musiclatent.files import progress
from musiclatent.training import supervised

TOP_HZ, BANDS, RANGE_DB = 4000, 40, 60.0
TRAINING = Training(learning_rate=4e-3, batch_size=32, select="last")


@dataclass(frozen=True)
class Recogniser:
    """A trained judge.

    Parameters
    ----------
    checkpoint
        Its weights.
    experiment
        What was trained.
    labels
        Its classes.
    transform
        What makes the spectrograms that it shall see, and the length of what it shall hear.
    """

    checkpoint: Path
    experiment: Experiment
    labels: tuple[str, ...]
    transform: LogSTFT

    def hear(self, paths: Sequence[str | Path]) -> np.ndarray:
        """Return what is said (B,) in sound files, see `heard`."""
        return self.name(log_mel_of_files(paths, self.transform.window_s))

    def see(self, x: np.ndarray) -> np.ndarray:
        """Return what is said (B,) in spectrograms `x` ``(B, F, T)`` in [0, 1], see `seen`."""
        return self.name(log_mel_of_spectrograms(x, self.transform))

    def scores(self, x: np.ndarray) -> np.ndarray:
        """Return the probability of each label (B, classes) for log-mel spectrograms (B, M, T)."""
        return supervised.class_probabilities(self.checkpoint, self.experiment, [x])

    def name(self, x: np.ndarray) -> np.ndarray:
        """Return the most probable label (B,) of log-mel spectrograms ``(B, M, T)`` in [0, 1]."""
        return np.array(self.labels)[self.scores(x).argmax(1)]


def log_mel_of_files(paths: Sequence[str | Path], window_s: float) -> np.ndarray:
    """Listen to sound files.

    Parameters
    ----------
    paths
        Audio files of any format and rate.
    window_s
        Seconds of each that are heard; what is shorter is padded.

    Returns
    -------
    ndarray
        Log-mel spectrograms (B, M, T) in [0, 1], each by its own range.

    Raises
    ------
    AudioError
        If a file cannot be read.
    """
    sr = 2 * TOP_HZ
    front = LogMel(sr, window_s, n_fft=256, hop_length=80, n_mels=BANDS, top_db=RANGE_DB)
    grid, files = Grid(sr, window_s), progress(paths, "listen", "file", delay=2)
    return front.model_input(np.stack([front(grid.read(path)) for path in files]))


def log_mel_of_spectrograms(x: np.ndarray, transform: LogSTFT) -> np.ndarray:
    """Look at spectrograms as a judge does: in mel bands up to 4 kHz, 60 dB deep.

    Parameters
    ----------
    x
        Spectrograms ``(B, F, T)`` in [0, 1] of the transform's full range.
    transform
        What made them.

    Returns
    -------
    ndarray
        Log-mel spectrograms (B, M, T) in [0, 1], each by its own range.
    """
    top_hz = min(TOP_HZ, transform.sr / 2)
    bins = round(transform.n_fft * top_hz / transform.sr)
    filters = mel_filters(round(2 * top_hz), 2 * bins, BANDS)[:, :bins].toarray()
    power = 10 ** (np.asarray(x, np.float32)[:, :bins] * transform.top_db / 10)
    bands = 10 * np.log10(np.maximum(np.einsum("mf,bft->bmt", filters, power), 1e-3))
    loudest = bands.max((1, 2), keepdims=True)
    found = scale(np.maximum(bands, loudest - RANGE_DB))[0]
    return found * (np.ptp(x, axis=(1, 2)) > 0)[:, None, None]  # silence shows no band


def train_recogniser(
    name: str,
    x: np.ndarray,
    labels: np.ndarray,
    transform: LogSTFT,
    folder: Path,
    *,
    epochs: int,
    seed: int = SEED,
) -> Recogniser:
    """Train a judge on recordings, go on where it was killed, or reuse it.

    Parameters
    ----------
    name
        Name of the judge, such as ``ear``.
    x
        Log-mel spectrograms ``(B, M, T)`` in [0, 1] of recordings: of training files only.
    labels
        What they say (B,).
    transform
        See `Judge`.
    folder
        Folder of its checkpoint.
    epochs
        Length of the training.
    seed
        Seed of weights, order and augmentation.

    Raises
    ------
    ValueError
        If there are less than two labels, or not one for each spectrogram.
    """
    if len(x) != len(labels):
        raise ValueError(f"there are {len(x)} spectrograms and {len(labels)} labels; give as many")
    names, codes = np.unique(np.asarray(labels, str), return_inverse=True)
    if len(names) < 2:
        raise ValueError(f"the labels are {list(names)}; a judge needs two or more to tell apart")
    experiment = Experiment(
        name=f"judge-{name}",
        study="judge",
        key=name,
        model="Judge",
        options={"classes": len(names)},
        about="An independent judge.",
        training=TRAINING,
    )
    found = Recogniser(folder / "best.ckpt", experiment, tuple(names.tolist()), transform)
    supervised.fit_classifier(experiment, [x], codes, folder, epochs=epochs, seed=seed)
    return found


def from_audio(
    known: SpectrogramBatch, folder: Path, *, epochs: int, of: str = "label", seed: int = SEED
) -> Recogniser:
    """Train the judge that hears files on recordings, or reuse it.

    Parameters
    ----------
    known
        Spectrograms of the training recordings, each from the beginning of its file.
    folder
        Folder of the judges.
    of
        What it tells apart: ``label``, or ``speaker`` where the corpus names them.
    epochs, seed
        As in `train`.
    """
    way, labels = known.transform, known.items[of].to_numpy(str)
    x, place = log_mel_of_files(known.items["path"], way.window_s), folder / f"ear-{of}"
    return train_recogniser("ear", x, labels, way, place, epochs=epochs, seed=seed)


def from_spectrogram(
    known: SpectrogramBatch, folder: Path, *, epochs: int, seed: int = SEED
) -> Recogniser:
    """Train the judge that sees spectrograms on recordings, or reuse it; as `ear`."""
    way, labels = known.transform, known.items["label"].to_numpy(str)
    return train_recogniser(
        "eye",
        log_mel_of_spectrograms(known.x, way),
        labels,
        way,
        folder / "eye",
        epochs=epochs,
        seed=seed,
    )
