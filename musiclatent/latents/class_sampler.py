"""Make new sounds as a class of a corpus would sound: say a digit, as a speaker.

Latents are drawn from a distribution fitted to those of training recordings; a sound without a file
has no range of its own, so it takes that of a training recording of the same class.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.spatial.distance import cdist, pdist

from musiclatent.config import SEED
from musiclatent.data.datamodules import CorpusDataModule
from musiclatent.features.stft import SpectrogramBatch
from musiclatent.latents import generation
from musiclatent.latents.decode import decode
from musiclatent.latents.encode import encode_corpus
from musiclatent.latents.store import Latents, select
from musiclatent.training.run_folder import Run

SPREAD = 0.8  # of samples: at 1 fewer are understood (0.87 against 0.90 of the digits)
NEAREST = 5  # percentile of the distances between nearest real pairs that a copy lies below


@dataclass(frozen=True)
class ClassSampler:
    """Says what a trained experiment has learned to say.

    Parameters
    ----------
    run
        The trained experiment.
    known
        Latents of its training recordings.
    real
        Their spectrograms.
    """

    run: Run
    known: Latents
    real: SpectrogramBatch

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
            What is said and as whom; empty takes all.
        kind
            Distribution of the latents: ``classes``, a mixture of one Gaussian for each label and
            speaker, which all speakers of a label share but for its mean; or one that knows no
            classes, see `generation.random`.
        seed
            Seed of the draws.
        spread
            Deviation of the Gaussians of ``classes``, in their own: above 1 more varied, below 1
            more easily understood.

        Returns
        -------
        z
            Latents (n, K, T).
        made : Spectrograms
            What they decode to, with ranges of training recordings of the class.

        Raises
        ------
        ValueError
            If nobody said that, or hardly anybody, or a number has no meaning.
        """
        rows, rng = self._rows(label, speaker), np.random.default_rng([seed, n])
        if n < 1 or not 0 <= spread < np.inf:
            raise ValueError(f"n is {n} and spread {spread}; draw at least 1, with a spread from 0")
        drawn = rng.choice(rows, n)
        if kind == "classes":
            z = self._around(drawn, spread, seed)
        else:
            z = generation.random(self.known.shaped()[rows], n, kind, seed)
        x = decode(self.run, z, z.shape[1:])
        asked = pd.DataFrame({"label": [label] * n, "speaker": speaker})
        low, high = self.real.low[drawn], self.real.high[drawn]
        return z, SpectrogramBatch(x, low, high, asked, self.real.transform)

    def _around(self, drawn: np.ndarray, spread: float, seed: int) -> np.ndarray:
        """Draw a latent (n, K, T) of the class of each of the recordings `drawn` (n,)."""
        items, z = self.known.items, self.known.shaped()
        labels = items["label"].to_numpy(str)
        who = items["speaker"].to_numpy(str) if "speaker" in items else np.full(len(z), "")
        means, made = np.empty_like(z), np.empty((len(drawn), *z.shape[1:]), np.float32)
        for label, name in {*zip(labels, who, strict=True)}:
            mine = (labels == label) & (who == name)
            means[mine] = z[mine].mean(axis=0)
        for label in np.unique(labels[drawn]):
            mine, asked = labels == label, labels[drawn] == label
            noise = generation.random((z - means)[mine], int(asked.sum()), "gaussian", seed)
            made[asked] = means[drawn[asked]] + spread * noise
        return made

    @property
    def labels(self) -> list[str]:
        """What it can say."""
        return sorted(set(self.known.items["label"]) - {""})

    @property
    def speakers(self) -> list[str]:
        """Whom it can say it as; empty stands for anyone."""
        return ["", *sorted(set(self.known.items.get("speaker", [])))]

    def each(self, n: int, seed: int = SEED) -> tuple[np.ndarray, SpectrogramBatch]:
        """Draw `n` new sounds of each label, see `sample`."""
        parts = [self.sample(n, label, seed=seed + i) for i, label in enumerate(self.labels)]
        made, way = [part for _, part in parts], self.real.transform
        asked = pd.concat([part.items for part in made], ignore_index=True)
        joined = (np.concatenate([vars(p)[key] for p in made]) for key in ("x", "low", "high"))
        return np.concatenate([z for z, _ in parts]), SpectrogramBatch(*joined, asked, way)

    def as_speakers(self, n: int, seed: int = SEED) -> tuple[np.ndarray, np.ndarray]:
        """Draw `n` new sounds of each label as each speaker who said it.

        Returns
        -------
        asked
            Label and speaker of each, (B, 2).
        sounds
            (B, N) in [-1, 1].
        """
        said = self.known.items[["label", "speaker"]].astype(str).drop_duplicates()
        pairs = sorted(map(tuple, said.to_numpy()))
        sounds = [self.sample(n, *pair, seed=seed + i)[1].sounds() for i, pair in enumerate(pairs)]
        return np.repeat(np.array(pairs), n, axis=0), np.concatenate(sounds)

    def _rows(self, label: str, speaker: str) -> np.ndarray:
        """Rows of the training recordings of a class."""
        chosen = np.ones(len(self.known.items), bool)
        for column, value in (("label", label), ("speaker", speaker)):
            if value:
                if column not in self.known.items:
                    raise ValueError(f"these recordings name no {column}; leave it out")
                known = self.known.items[column].astype(str)
                if value not in set(known):
                    names = ", ".join(sorted(set(known)))
                    raise ValueError(f"there is no {column} {value!r}; choose one of: {names}")
                chosen &= known.eq(value).to_numpy()
        if not chosen.any():
            raise ValueError(f"{speaker} never said {label}; choose another speaker or label")
        times = self.known.items["label"].eq(label).sum()
        if label and times < 2:
            raise ValueError(f"{label!r} was recorded {times} times; two are needed")
        return np.flatnonzero(chosen)


def class_sampler(run: Run, data: CorpusDataModule, folder: Path) -> ClassSampler:
    """Prepare a trained experiment to speak.

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
        raise ValueError(
            f"{run.experiment.name} cannot speak; take one of the study digits or jazz"
        )
    encoded = encode_corpus(run, data, folder)
    fitted = encoded.items["split"].eq("train") & ~encoded.items["silent"]
    return ClassSampler(run, select(encoded, fitted.to_numpy()), data.spectrograms("train"))


def entropy(labels: np.ndarray, classes: int) -> float:
    """Return the entropy of labels (B,) over that of equally many of each class: 1 is even."""
    if classes < 2:
        raise ValueError(f"there are {classes} classes; two or more can come evenly")
    _, counts = np.unique(labels, return_counts=True)
    share = counts / counts.sum()
    return float(-(share * np.log(share)).sum() / np.log(classes))


def diversity(made: np.ndarray, asked: np.ndarray, real: np.ndarray, labels: np.ndarray) -> float:
    """Compare how far samples of one class lie apart with how far real ones do.

    Parameters
    ----------
    made, real
        Spectrograms ``(B, F, T)``, or other vectors, of samples and of recordings.
    asked, labels
        Their classes (B,).

    Returns
    -------
    float
        Mean distance between two samples of a class by that between two recordings of it, mean
        over the classes: 1 is as varied as life, 0 one stored sound a class.

    Raises
    ------
    ValueError
        If a class has less than two samples or recordings.
    """
    shares = []
    for label in np.unique(asked):
        if min((asked == label).sum(), (labels == label).sum()) < 2:
            raise ValueError(f"{label!r} has less than two samples or recordings; draw more")
        apart = [
            pdist(x[names == label].reshape((names == label).sum(), -1)).mean()
            for x, names in ((made, asked), (real, labels))
        ]
        shares.append(apart[0] / apart[1])
    return float(np.mean(shares))


def near_copies(z: np.ndarray, known: np.ndarray) -> dict[str, float]:
    """Look for samples that are copies of training recordings.

    Parameters
    ----------
    z
        Latents of samples (n, D).
    known
        Latents of training recordings (B, D).

    Returns
    -------
    dict
        ``nearest_sample``, the least distance from a sample to a recording; ``nearest_real``, the
        5th percentile of the distances from a recording to its nearest other; ``copies``, samples
        nearer than that.
    """
    apart = cdist(known, known)
    np.fill_diagonal(apart, np.inf)
    bound = float(np.percentile(apart.min(axis=1), NEAREST))
    nearest = cdist(z, known).min(axis=1)
    found = {"nearest_sample": float(nearest.min()), "nearest_real": bound}
    return found | {"copies": int((nearest < bound).sum())}
