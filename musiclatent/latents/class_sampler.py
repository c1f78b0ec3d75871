"""Sample new sounds of a class of a corpus: a digit, as a speaker.

Latents are drawn from a distribution fitted to those of training recordings. A sampled spectrogram
lies in [0, 1] without a range in dB, so it takes that of a training recording of the same class.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats
from scipy.spatial.distance import cdist, pdist

from musiclatent.config import SEED
from musiclatent.data.datamodules import CorpusDataModule
from musiclatent.features.stft import SpectrogramBatch
from musiclatent.files import pick
from musiclatent.latents import decode, encode, generation, store
from musiclatent.latents.store import Latents
from musiclatent.training.run_folder import Run

SPREAD = 0.8  # of samples: at 1 fewer are recognised (0.87 against 0.90 of the digits)
NEAREST = 5  # percentile of the distances between nearest recordings: a duplicate lies below it


@dataclass(frozen=True)
class ClassSampler:
    """Draws sounds of the classes that a trained experiment has learned.

    Parameters
    ----------
    run
        The trained experiment.
    train
        Latents of its training recordings.
    spectra
        Their spectrograms.
    """

    run: Run
    train: Latents
    spectra: SpectrogramBatch

    def sample(
        self,
        n: int,
        label: str = "",
        speaker: str = "",
        kind: str = "classes",
        seed: int = SEED,
        spread: float = SPREAD,
    ) -> tuple[np.ndarray, SpectrogramBatch]:
        """Draw new sounds.

        Parameters
        ----------
        n
            How many.
        label, speaker
            Classes of the sounds; empty takes all.
        kind
            Distribution of the latents: ``classes``, a mixture of one Gaussian per label and
            speaker, which all speakers of a label share but for its mean; or one without classes,
            see `generation.random`.
        seed
            Seed of the draws.
        spread
            Factor on the deviation of the Gaussians of ``classes``: above 1 more varied, below 1
            more easily recognised.

        Returns
        -------
        z
            Latents (n, K, T).
        spectrograms
            The decoded latents, with ranges of training recordings of the class.

        Raises
        ------
        ValueError
            If the class has too few recordings, or `n`, `kind` or `spread` is invalid.
        """
        rows = self._rows(label, speaker)
        if n < 1 or not 0 <= spread < np.inf:
            raise ValueError(f"n is {n} and spread {spread}; draw at least 1, with a spread from 0")
        drawn = np.random.default_rng([seed, n]).choice(rows, n)
        if kind == "classes":
            z = self._around(drawn, spread, seed)
        else:
            z = generation.random(self.train.shaped()[rows], n, kind=kind, seed=seed)
        x = decode.decode(self.run, z, z.shape[1:])
        items = pd.DataFrame({"label": [label] * n, "speaker": speaker})
        real = self.spectra
        return z, SpectrogramBatch(x, real.low[drawn], real.high[drawn], items, real.transform)

    def _around(self, drawn: np.ndarray, spread: float, seed: int) -> np.ndarray:
        """Draw a latent (n, K, T) of the class of each of the recordings `drawn` (n,)."""
        z = self.train.shaped()
        classes = self.train.items.filter(["label", "speaker"]).astype(str)
        means = np.empty_like(z)
        for rows in classes.groupby(list(classes)).indices.values():
            means[rows] = z[rows].mean(axis=0)
        labels = classes["label"].to_numpy()
        samples = np.empty((len(drawn), *z.shape[1:]), np.float32)
        for label in np.unique(labels[drawn]):
            chosen = labels[drawn] == label
            residuals = (z - means)[labels == label]
            noise = generation.random(residuals, int(chosen.sum()), kind="gaussian", seed=seed)
            samples[chosen] = means[drawn[chosen]] + spread * noise
        return samples

    @property
    def labels(self) -> list[str]:
        """Labels that it can sample."""
        return sorted(set(self.train.items["label"]) - {""})

    @property
    def speakers(self) -> list[str]:
        """Speakers that it can sample; empty stands for all."""
        return ["", *sorted(set(self.train.items.get("speaker", [])))]

    def each(self, n: int, seed: int = SEED) -> tuple[np.ndarray, SpectrogramBatch]:
        """Draw `n` new sounds of each label, see `sample`."""
        draws = [self.sample(n, label, seed=seed + i) for i, label in enumerate(self.labels)]
        z, batches = zip(*draws, strict=True)
        parts = [(batch.x, batch.low, batch.high) for batch in batches]
        x, low, high = map(np.concatenate, zip(*parts, strict=True))
        items = pd.concat([batch.items for batch in batches], ignore_index=True)
        transform = self.spectra.transform
        return np.concatenate(z), SpectrogramBatch(x, low, high, items, transform)

    def as_speakers(self, n: int, seed: int = SEED) -> tuple[np.ndarray, np.ndarray]:
        """Draw `n` new sounds of each label as each speaker who recorded it.

        Returns
        -------
        classes
            Label and speaker of each, (B, 2).
        sounds
            (B, N) in [-1, 1].
        """
        classes = self.train.items[["label", "speaker"]].astype(str)
        pairs = sorted(set(classes.itertuples(index=False, name=None)))
        sounds = [self.sample(n, *pair, seed=seed + i)[1].sounds() for i, pair in enumerate(pairs)]
        return np.repeat(np.array(pairs), n, axis=0), np.concatenate(sounds)

    def _rows(self, label: str, speaker: str) -> np.ndarray:
        """Return the rows of the training recordings of a class."""
        items = self.train.items
        if speaker and "speaker" not in items:
            raise ValueError("these recordings have no speaker; leave it out")
        chosen = np.ones(len(items), bool)
        for column, value in (("label", label), ("speaker", speaker)):
            if value:
                values = items[column].astype(str)
                pick(dict.fromkeys(sorted(set(values))), value, column)
                chosen &= values.eq(value).to_numpy()
        if not chosen.any():
            raise ValueError(f"{speaker} never recorded {label}; choose another speaker or label")
        times = items["label"].eq(label).sum()
        if label and times < 2:
            raise ValueError(f"{label!r} was recorded {times} times; two are needed")
        return np.flatnonzero(chosen)


def class_sampler(run: Run, data: CorpusDataModule, folder: Path) -> ClassSampler:
    """Return a sampler of a trained experiment.

    Parameters
    ----------
    run
        The trained experiment.
    data
        Its windows.
    folder
        Folder of its latents, which are made if they are missing.

    Raises
    ------
    ValueError
        If the experiment is none of log-magnitude spectrograms.
    """
    if data.transform.kind != "logstft":
        name = run.experiment.name
        raise ValueError(f"{name} samples no spectrograms; take one of the study digits or jazz")
    latents = encode.encode_corpus(run, data, folder)
    train = latents.items["split"].eq("train") & ~latents.items["silent"]
    return ClassSampler(run, store.select(latents, train.to_numpy()), data.spectrograms("train"))


def entropy(labels: np.ndarray, classes: int) -> float:
    """Return the entropy of labels (B,) over that of equally many of each class: 1 is even."""
    if classes < 2:
        raise ValueError(f"there are {classes} classes; entropy needs two or more")
    return float(stats.entropy(np.unique(labels, return_counts=True)[1]) / np.log(classes))


def diversity(
    samples: np.ndarray, sample_labels: np.ndarray, real: np.ndarray, labels: np.ndarray
) -> float:
    """Compute how varied samples of one class are, relative to real recordings of it.

    Parameters
    ----------
    samples, real
        Spectrograms ``(B, F, T)``, or other vectors, of samples and of recordings.
    sample_labels, labels
        Their classes (B,).

    Returns
    -------
    float
        Mean distance between two samples of a class over that between two recordings of it, mean
        over the classes: 1 is as varied as recordings, 0 one stored sound per class.

    Raises
    ------
    ValueError
        If a class has less than two samples or recordings.
    """
    ratios = []
    for label in np.unique(sample_labels):
        new, old = samples[sample_labels == label], real[labels == label]
        if min(len(new), len(old)) < 2:
            raise ValueError(f"{label!r} has less than two samples or recordings; draw more")
        distances = [pdist(x.reshape(len(x), -1)).mean() for x in (new, old)]
        ratios.append(distances[0] / distances[1])
    return float(np.mean(ratios))


def near_duplicates(z: np.ndarray, z_train: np.ndarray) -> dict[str, float]:
    """Count samples that are near-duplicates of training recordings.

    Parameters
    ----------
    z
        Latents of samples (n, D).
    z_train
        Latents of training recordings (B, D).

    Returns
    -------
    dict
        ``nearest_sample``, the least distance from a sample to a recording; ``nearest_real``, the
        5th percentile of the distances from a recording to its nearest other; ``copies``, samples
        nearer than that.
    """
    among_train = cdist(z_train, z_train)
    np.fill_diagonal(among_train, np.inf)
    bound = float(np.percentile(among_train.min(axis=1), NEAREST))
    nearest = cdist(z, z_train).min(axis=1)
    copies = int((nearest < bound).sum())
    return {"nearest_sample": float(nearest.min()), "nearest_real": bound, "copies": copies}
