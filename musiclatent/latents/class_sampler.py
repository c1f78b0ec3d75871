"""Sample new sounds of a class of a corpus: a digit, as a speaker.

Latents are drawn from a distribution fitted to those of training recordings. A sampled spectrogram
lies in [0, 1] without a range in dB, so it takes that of a training recording of the same class.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from safetensors.numpy import load_file, save_file
from scipy import stats
from scipy.spatial.distance import pdist

from musiclatent.analysis import projection
from musiclatent.config import SEED
from musiclatent.data.datamodules import CorpusDataModule
from musiclatent.errors import CheckpointError
from musiclatent.features.stft import SpectrogramBatch
from musiclatent.files import pick, sha256_of, whole_file
from musiclatent.latents import decode, encode, generation, store
from musiclatent.latents.store import Latents
from musiclatent.training import run_folder
from musiclatent.training.run_folder import Run

SAMPLER = "sampler.safetensors"  # beside a model that draws sounds of classes
SPREAD = 0.8  # of samples where none is asked for: at 1 fewer of the digits are recognised


@dataclass(frozen=True)
class ClassSampler:
    """Draws sounds of classes of recordings.

    Parameters
    ----------
    train
        Latents of training recordings.
    spectra
        Their spectrograms.
    decoder
        From latents (B, K, T) to spectrograms (B, F, T) in [0, 1].
    """

    train: Latents
    spectra: SpectrogramBatch
    decoder: Callable[[np.ndarray], np.ndarray]

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
        x = self.decoder(z)
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

    def each(
        self, n: int, *, seed: int = SEED, spread: float = SPREAD
    ) -> tuple[np.ndarray, SpectrogramBatch]:
        """Draw `n` new sounds of each label, see `sample`."""
        draws = [
            self.sample(n, label, seed=seed + i, spread=spread)
            for i, label in enumerate(self.labels)
        ]
        z, batches = zip(*draws, strict=True)
        parts = [(batch.x, batch.low, batch.high) for batch in batches]
        x, low, high = map(np.concatenate, zip(*parts, strict=True))
        items = pd.concat([batch.items for batch in batches], ignore_index=True)
        transform = self.spectra.transform
        return np.concatenate(z), SpectrogramBatch(x, low, high, items, transform)

    def as_speakers(
        self, n: int, *, seed: int = SEED, spread: float = SPREAD
    ) -> tuple[np.ndarray, np.ndarray]:
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
        sounds = [
            self.sample(n, *pair, seed=seed + i, spread=spread)[1].sounds()
            for i, pair in enumerate(pairs)
        ]
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
    decoder = partial(decode.decode, run.load(), latent_shape=latents.provenance["latent_shape"])
    train_latents = store.select(latents, train.to_numpy())
    return ClassSampler(train_latents, data.spectrograms("train"), decoder)


def write_sampler(sampler: ClassSampler, folder: Path) -> Path:
    """Write beside a model what its sampler needs, without any sound.

    Parameters
    ----------
    sampler
        Of a trained model.
    folder
        The model's: the file ``sampler.safetensors`` and the entry ``sampler`` of its config.

    Returns
    -------
    Path
        The file.
    """
    tensors = {"z": sampler.train.z.astype(np.float16)}
    tensors |= {"low": sampler.spectra.low, "high": sampler.spectra.high}
    tensors = {name: np.ascontiguousarray(value) for name, value in tensors.items()}
    names = {}
    for column in ("label", "speaker"):
        if column in sampler.train.items:
            values = sampler.train.items[column].astype(str)
            names[column], codes = np.unique(values, return_inverse=True)
            tensors[column] = codes.astype(np.int32)
    path = folder / SAMPLER
    with whole_file(path) as part:
        save_file(tensors, part)
    about = {name: values.tolist() for name, values in names.items()}
    run_folder.amend_config(folder, sampler=about | {"sha256": sha256_of(path)})
    return path


def read_sampler(run: Run) -> ClassSampler:
    """Read the sampler that lies beside a model.

    Parameters
    ----------
    run
        The model.

    Raises
    ------
    CheckpointError
        If there is none, or its file is not the one that the model's folder describes.
    """
    about, path = run_folder.read_config(run.folder), run.folder / SAMPLER
    wanted = about.get("sampler", {}).get("sha256")
    if not path.is_file() or sha256_of(path) != wanted:
        state = "is not the file that config.json describes" if path.is_file() else "is missing"
        raise CheckpointError(
            f"{path} {state}; samples are drawn by a model with its sampler, such as digits-vae"
        )
    tensors, transform = load_file(path), run_folder.read_transform(run.folder)
    columns = {name: np.array(names) for name, names in about["sampler"].items() if name in tensors}
    items = pd.DataFrame({name: names[tensors[name]] for name, names in columns.items()})
    model = run.load()
    spec = encode.latent_spec(model, transform)
    z = tensors["z"].astype(np.float32)
    spectra = SpectrogramBatch(
        np.empty((len(z), 0, 0), np.float32), tensors["low"], tensors["high"], items, transform
    )
    decoder = partial(decode.decode, model, latent_shape=spec["latent_shape"])
    return ClassSampler(Latents(z, items, spec), spectra, decoder)


def component_sampler(spectra: SpectrogramBatch, n: int) -> ClassSampler:
    """Return a sampler of principal components: what the same draws give without a network.

    Parameters
    ----------
    spectra
        Spectrograms of the training recordings.
    n
        Number of components, each scaled to variance 1.
    """
    rows, shape = spectra.x.reshape(len(spectra.x), -1), spectra.x.shape[1:]
    pca = projection.components(rows, n, whiten=True)

    def decoder(z: np.ndarray) -> np.ndarray:
        x = pca.inverse_transform(z[..., 0]).reshape(-1, *shape)
        return x.clip(0, 1).astype(np.float32)

    z = pca.transform(rows).astype(np.float32)
    train = Latents(z, spectra.items, {"latent_shape": [z.shape[1], 1]})
    return ClassSampler(train, spectra, decoder)


def entropy(labels: np.ndarray, classes: int) -> float:
    """Return the entropy of labels (B,) over that of equally many of each class: 1 is even.

    The bias of few labels is taken off: Miller (1955), Note on the bias of information estimates.

    Raises
    ------
    ValueError
        If there are less than two classes.
    """
    if classes < 2:
        raise ValueError(f"there are {classes} classes; entropy needs two or more")
    counts = np.unique(labels, return_counts=True)[1]
    nats = stats.entropy(counts) + (len(counts) - 1) / (2 * len(labels))
    return float(min(1.0, nats / np.log(classes)))


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
