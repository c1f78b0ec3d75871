"""Recognise digits and speakers independently: trained on recordings, never on what a model made.

One recogniser works from audio, with a front end of its own: 8 kHz, 40 mel bands, a frame of 32 ms
every 10 ms. The other works from spectrograms that have no sound yet, in 40 mel bands up to 4 kHz.
Their folders, ``ear`` and ``eye``, and the experiments ``judge-ear`` and ``judge-eye`` keep the
names that earlier results carry.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch

from musiclatent import files
from musiclatent.analysis import statistics
from musiclatent.audio.windows import Grid, Transform
from musiclatent.config import SEED, Experiment, Training
from musiclatent.evaluation import reconstruction
from musiclatent.features import mel, stft
from musiclatent.features.mel import LogMel
from musiclatent.features.stft import LogSTFT, SpectrogramBatch
from musiclatent.latents import class_sampler
from musiclatent.latents.class_sampler import SPREAD, ClassSampler
from musiclatent.training import run_folder, supervised

TOP_HZ = 4000
BANDS = 40
RANGE_DB = 60.0
SPREADS = (0.4, 0.6, 0.8, 1.0, 1.2)
UNLABELLED = ("normal", "gaussian", "mixture")  # samplers that know no labels
RECOGNISED = 0.9  # share that a chosen spread needs: nine of ten
TRAINING = Training(learning_rate=4e-3, batch_size=32, select="last")


@dataclass(frozen=True, kw_only=True)
class Recogniser:
    """A trained recogniser.

    Parameters
    ----------
    folder
        What `train_recogniser` filled.
    labels
        Its classes.
    transform
        What makes the spectrograms that it takes; its window is the length of sound that it takes.
    """

    folder: Path
    labels: tuple[str, ...]
    transform: Transform

    def predict_files(self, paths: Sequence[str | Path]) -> np.ndarray:
        """Return the labels (B,) of sound files, see `log_mel_of_files`."""
        return self.predict(log_mel_of_files(paths, self.transform.window_s))

    def predict_spectrograms(self, x: np.ndarray) -> np.ndarray:
        """Return the labels (B,) of spectrograms `x` ``(B, F, T)`` in [0, 1]."""
        return self.predict(log_mel_of_spectrograms(x, self.transform))

    def predict_sounds(
        self, sounds: np.ndarray, sr: int, *, folder: Path, names: Sequence[str] = ()
    ) -> np.ndarray:
        """Write sounds as wav files, and recognise the files.

        Parameters
        ----------
        sounds
            (B, N) in [-1, 1].
        sr
            Their rate in Hz.
        folder
            Where the files are written.
        names
            Their names without ending; numbers where there are none.

        Returns
        -------
        ndarray
            Labels (B,).
        """
        names = names or [f"{i:04d}" for i in range(len(sounds))]
        files = reconstruction.write_sounds(sounds, sr, names=names, folder=folder)
        return self.predict_files(files)

    @torch.no_grad()
    def features(self, x: np.ndarray) -> np.ndarray:
        """Return what labels are read from (B, D), for spectrograms `x` ``(B, F, T)`` in [0, 1]."""
        model = run_folder.load_model(self.folder)
        (bands,) = supervised.tensors([log_mel_of_spectrograms(x, self.transform)])
        return torch.cat([model.pooled(part) for part in bands.split(64)]).numpy()

    def probabilities(self, x: np.ndarray) -> np.ndarray:
        """Return the probability of each label (B, classes) for log-mel spectrograms (B, M, T)."""
        return supervised.class_probabilities(self.folder, [x])

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Return the most probable label (B,) of log-mel spectrograms ``(B, M, T)`` in [0, 1]."""
        return np.array(self.labels)[self.probabilities(x).argmax(1)]


def audio_transform(window_s: float) -> LogMel:
    """Return what makes the spectrograms that the recogniser from audio takes."""
    return LogMel(
        sr=2 * TOP_HZ,
        window_s=window_s,
        n_fft=256,
        hop_length=80,
        n_mels=BANDS,
        top_db=RANGE_DB,
    )


def log_mel_of_files(paths: Sequence[str | Path], window_s: float) -> np.ndarray:
    """Compute what the recogniser from audio takes.

    Parameters
    ----------
    paths
        Audio files of any format and rate.
    window_s
        Seconds of each that are read; what is shorter is padded.

    Returns
    -------
    ndarray
        Log-mel spectrograms (B, M, T) in [0, 1], each by its own range.

    Raises
    ------
    AudioError
        If a file cannot be read.
    """
    transform = audio_transform(window_s)
    grid = Grid(transform.sr, window_s)
    bar = files.progress(paths, "listen", "file", delay=2)
    return transform.model_input(np.stack([transform(grid.read(path)) for path in bar]))


def log_mel_of_spectrograms(x: np.ndarray, transform: LogSTFT) -> np.ndarray:
    """Compute what the recogniser from spectrograms takes: mel bands up to 4 kHz, 60 dB deep.

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
    filters = mel.mel_filters(round(2 * top_hz), 2 * bins, BANDS)[:, :bins].toarray()
    power = 10 ** (np.asarray(x, np.float32)[:, :bins] * transform.top_db / 10)
    bands = 10 * np.log10(np.maximum(np.einsum("mf,bft->bmt", filters, power), 1e-3))
    loudest = bands.max((1, 2), keepdims=True)
    scaled = stft.scale(np.maximum(bands, loudest - RANGE_DB))[0]
    return scaled * (np.ptp(x, axis=(1, 2)) > 0)[:, None, None]  # silence shows no band


def train_recogniser(
    name: str,
    x: np.ndarray,
    *,
    labels: np.ndarray,
    transform: Transform,
    folder: Path,
    epochs: int,
    seed: int = SEED,
) -> Recogniser:
    """Train a recogniser on recordings, go on where it was killed, or reuse it.

    Parameters
    ----------
    name
        Name of the recogniser, such as ``ear``.
    x
        Log-mel spectrograms ``(B, M, T)`` in [0, 1] of recordings: of training files only.
    labels
        Their labels (B,).
    transform
        See `Recogniser`.
    folder
        Where it goes, see `run_folder.write_model`.
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
        raise ValueError(f"the labels are {list(names)}; a recogniser needs two or more")
    experiment = Experiment(
        name=f"judge-{name}",
        study="judge",
        key=name,
        model="Judge",
        options={"classes": len(names)},
        about="An independent judge.",
        training=TRAINING,
    )
    labels = names.tolist()
    supervised.fit_classifier(
        experiment,
        [x],
        codes,
        folder,
        labels=labels,
        transform=transform,
        epochs=epochs,
        seed=seed,
    )
    return Recogniser(folder=folder, labels=tuple(labels), transform=transform)


def from_audio(
    train: SpectrogramBatch, folder: Path, *, epochs: int, column: str = "label", seed: int = SEED
) -> Recogniser:
    """Train the recogniser from audio on recordings, or reuse it.

    Parameters
    ----------
    train
        Spectrograms of the training recordings, each from the beginning of its file.
    folder
        Folder of the recognisers.
    column
        What it recognises: ``label``, or ``speaker`` where the corpus names them.
    epochs, seed
        As in `train_recogniser`.
    """
    transform = audio_transform(train.transform.window_s)
    x = log_mel_of_files(train.items["path"], transform.window_s)
    labels, folder = train.items[column], folder / f"ear-{column}"
    return train_recogniser(
        "ear", x, labels=labels, transform=transform, folder=folder, epochs=epochs, seed=seed
    )


def from_spectrogram(
    train: SpectrogramBatch, folder: Path, *, epochs: int, seed: int = SEED
) -> Recogniser:
    """Train the recogniser from spectrograms on recordings, or reuse it; as `from_audio`."""
    x = log_mel_of_spectrograms(train.x, train.transform)
    labels, folder = train.items["label"], folder / "eye"
    return train_recogniser(
        "eye", x, labels=labels, transform=train.transform, folder=folder, epochs=epochs, seed=seed
    )


def ask(
    sampler: ClassSampler,
    recogniser: Recogniser,
    n: int,
    *,
    folder: Path | None = None,
    spread: float = SPREAD,
    seed: int = SEED,
) -> tuple[SpectrogramBatch, np.ndarray]:
    """Draw sounds of each label, and recognise them.

    Parameters
    ----------
    sampler, n, spread, seed
        Whose sounds, and how many of each label, see `ClassSampler.each`.
    recogniser
        From audio, or from spectrograms where there is no folder.
    folder
        Where wav files are written that it recognises.

    Returns
    -------
    samples
        The spectrograms; the label that was asked for is in their items.
    labels
        The labels that were recognised (B,).
    """
    _, samples = sampler.each(n, seed=seed, spread=spread)
    return samples, _recognised(recogniser, samples, folder)


def sample_entropies(
    sampler: ClassSampler,
    recogniser: Recogniser,
    n: int,
    *,
    folder: Path | None = None,
    seed: int = SEED,
) -> dict[str, float]:
    """Measure how evenly labels come where none is asked for, see `class_sampler.entropy`.

    Parameters
    ----------
    sampler, recogniser, folder, seed
        As in `ask`.
    n
        Number of sounds of each kind.

    Returns
    -------
    dict
        ``normal``, ``gaussian`` and ``mixture`` know no labels; ``conditional`` first draws the
        label of a training recording.
    """
    kinds = {kind: kind for kind in UNLABELLED} | {"conditional": "classes"}
    entropies = {}
    for name, kind in kinds.items():
        _, samples = sampler.sample(n, kind=kind, seed=seed)
        labels = _recognised(recogniser, samples, folder and folder / name)
        entropies[name] = class_sampler.entropy(labels, len(recogniser.labels))
    return entropies


@dataclass(frozen=True, kw_only=True)
class Choice:
    """How to sample, as a second recogniser chose it.

    Parameters
    ----------
    kind
        The sampler without labels whose labels come most evenly.
    spread
        The widest at which nine of ten are recognised; the least one where there is none.
    tried
        Spread -> share recognised, and kind -> entropy.
    """

    kind: str
    spread: float
    tried: dict[str | float, float]


def choose(sampler: ClassSampler, second: Recogniser, n: int, *, seed: int) -> Choice:
    """Choose how to sample by a recogniser that does not judge, on draws that are not judged.

    Parameters
    ----------
    sampler, n
        As in `ask`.
    second
        A recogniser from spectrograms, another than the one that judges.
    seed
        Another seed than that of the draws that are judged.
    """
    tried = {}
    for spread in SPREADS:
        samples, labels = ask(sampler, second, n, spread=spread, seed=seed)
        tried[spread] = float(np.mean(labels == samples.items["label"].to_numpy(str)))
    entropies = sample_entropies(sampler, second, n * len(sampler.labels), seed=seed)
    wide = [spread for spread in SPREADS if tried[spread] >= RECOGNISED]
    kind = max(UNLABELLED, key=entropies.get)
    return Choice(kind=kind, spread=max(wide, default=SPREADS[0]), tried=tried | entropies)


def _recognised(
    recogniser: Recogniser, samples: SpectrogramBatch, folder: Path | None
) -> np.ndarray:
    """Return the labels (B,) of spectrograms, or of their sounds where a folder takes the files."""
    if folder is None:
        return recogniser.predict_spectrograms(samples.x)
    names = [f"{label or 'any'}_{i}" for i, label in enumerate(samples.items["label"])]
    sr, sounds = samples.transform.sr, samples.sounds()
    return recogniser.predict_sounds(sounds, sr, folder=folder, names=names)


def compare(right: np.ndarray, others: np.ndarray, key: str) -> dict[str, float]:
    """Compare how often two methods were right on the same recordings.

    Parameters
    ----------
    right, others
        Whether each method was right (B,), one answer per recording.
    key
        Name of the difference.

    Returns
    -------
    dict
        KEY, the first method's share less the other's; KEY_low and KEY_high, see
        `statistics.paired`; KEY_p, see `statistics.mcnemar`.
    """
    p = statistics.mcnemar(right, others)
    return replace(statistics.paired(right, others), p=p).named(key)
