"""Embed spectrograms without labels: by what parts and perturbed views of a recording share.

The embedding is a linear map of what can be measured on a spectrogram. It is learned from pairs
of one recording: perturbed views of the training part, its other windows, and the windows of all
other sound at hand, of which nobody knows the genre.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd

from musiclatent import config
from musiclatent.analysis import neighbours, pooling
from musiclatent.analysis.metric import relevant
from musiclatent.config import Study, Workspace
from musiclatent.data import corpus, datamodules
from musiclatent.data.datamodules import CorpusDataModule
from musiclatent.evaluation import leakage
from musiclatent.features import mel_descriptors
from musiclatent.features.perturbed import spectrograms
from musiclatent.training import contrast

SOUND = ("game_music", "music_speech/music", "edm")  # corpora of which no label is used
VIEWS = 4  # perturbed views of each spectrogram; one on embedded corpora
BLOCK = 200  # spectrograms described at once
WAYS = {  # how the map is learned
    "relevant": relevant.fit,
    "contrast": partial(contrast.fit, loss="contrast"),
    "triplet": partial(contrast.fit, loss="triplet"),
}


@dataclass(frozen=True, kw_only=True)
class Material:
    """What an embedding is learned from and judged on.

    Parameters
    ----------
    z
        What is measured on the study's windows (B, D), see `describe`.
    views
        The same of perturbed views of them (V, B, D).
    items
        One row per window: `leakage.WINDOW`, `label`, `fold`.
    outside, recordings
        The same of other sound (W, D), and of which recording each is (W,).
    pooled
        How many of the D numbers are the spectrogram pooled as it is; they come first.
    """

    z: np.ndarray
    views: np.ndarray
    items: pd.DataFrame
    outside: np.ndarray
    recordings: np.ndarray
    pooled: int

    def pairs(self, fold: int) -> tuple[np.ndarray, np.ndarray]:
        """Return rows to learn from (N, D), none of them of a fold, and the recording of each."""
        train = self.items["fold"].ne(fold).to_numpy()
        own = np.array([f"own {group}" for group in self.items.loc[train, "group"]])
        rows = [self.z[train], *self.views[:, train], self.outside]
        return np.concatenate(rows), np.concatenate([*[own] * (len(rows) - 1), self.recordings])


def describe(x: np.ndarray) -> np.ndarray:
    """Return what is measured on spectrograms: pooled as latents are, and descriptors.

    Parameters
    ----------
    x
        Log-mel spectrograms (B, M, T) in [0, 1]; T of 80 frames or more.

    Returns
    -------
    array (B, D)
        `pooling.embedding` and `mel_descriptors.extract`, side by side.
    """
    parts = [x[first : first + BLOCK] for first in range(0, len(x), BLOCK)]
    rows = [np.concatenate([pooling.embedding(p), mel_descriptors.extract(p)], 1) for p in parts]
    return np.concatenate(rows)


def gather(study: Study, space: Workspace) -> Material:
    """Measure the windows of a study, perturbed views of them, and all other sound at hand.

    Parameters
    ----------
    study, space
        What is studied, and where its results go; on embedded corpora there is no other sound.
    """
    data = CorpusDataModule.of_study(study, space, split="outer-0")
    data.setup()
    items = data.cached.items[~data.cached.items["silent"].astype(bool)]
    x = data.transform.model_input(np.array(data.cached.x[items["row"].to_numpy()]))
    real = config.profile(space.profile).demo is None
    z, views = describe(x), [describe(_views(x, k)) for k in range(VIEWS if real else 1)]
    outside = list(_outside(study, space)) if real else []
    fold = items["item_id"].map(data.index().items.set_index("item_id")["fold"])
    return Material(
        z=z,
        views=np.stack(views),
        items=items[[*leakage.WINDOW, "label"]].assign(fold=fold).reset_index(drop=True),
        outside=np.concatenate([z[:0], *(rows for rows, _ in outside)]),
        pooled=3 * x.shape[1],
        recordings=np.concatenate([np.array([], str), *(names for _, names in outside)]),
    )


def _views(x: np.ndarray, k: int) -> np.ndarray:
    """Return a perturbed view of each spectrogram, block by block."""
    blocks = range(0, len(x), BLOCK)
    return np.concatenate([spectrograms.perturb(x[i : i + BLOCK], seed=[k, i]) for i in blocks])


def _outside(study: Study, space: Workspace) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield what is measured on other sound (W, D), and of which recording each window is."""
    root = config.data_root()
    for name in SOUND:
        if not (root / name).is_dir():
            continue
        data = CorpusDataModule(
            names=(name if name in corpus.NAMES else str(root / name),),
            folder=space.path("cache", name.replace("/", "-")),
            root=root,
            work=space.base / "corpora",
            transform=datamodules.transform(study),
            scheduler=config.scheduler(),
        )
        data.setup()
        heard = data.cached.items[~data.cached.items["silent"].astype(bool)]
        x = data.transform.model_input(np.array(data.cached.x[heard["row"].to_numpy()]))
        yield describe(x), np.array([f"{name} {group}" for group in heard["group"]])


def judge(
    material: Material, folds: Sequence[int], ways: Sequence[str] = tuple(WAYS)
) -> pd.DataFrame:
    """Judge embeddings by the ten nearest neighbours: the first place at which labels count.

    Parameters
    ----------
    material
        See `gather`.
    folds
        Each is the test part once; all other windows are learned from, and vote.
    ways
        Names of `WAYS`.

    Returns
    -------
    DataFrame
        One row per way and test window: `leakage.WINDOW`, `way`, `fold`, `right`.
    """
    labels, folded, parts = material.items["label"].to_numpy(str), material.items["fold"], []
    for fold in folds:
        test = folded.eq(fold).to_numpy()
        rows = material.items.loc[test, [*leakage.WINDOW, "fold"]]
        for way in ways:
            z = WAYS[way](*material.pairs(fold))(material.z)
            right = neighbours.predictions(z[~test], labels[~test], z[test]) == labels[test]
            parts.append(rows.assign(way=way, right=right))
    return pd.concat(parts, ignore_index=True)


def without_learning(material: Material, folds: Sequence[int]) -> pd.DataFrame:
    """Judge the spectrogram pooled as it is, which `leakage.baselines` calls ``knn_pooled_input``.

    Parameters
    ----------
    material, folds
        As in `judge`.

    Returns
    -------
    DataFrame
        One row per test window: `leakage.WINDOW`, `fold`, `method`, `right`.
    """
    labels, folded, parts = material.items["label"].to_numpy(str), material.items["fold"], []
    z = material.z[:, : material.pooled]
    for fold in folds:
        test = folded.eq(fold).to_numpy()
        train, rest = neighbours.standardise(z[~test], z[test])
        right = neighbours.predictions(train, labels[~test], rest) == labels[test]
        parts.append(material.items.loc[test, [*leakage.WINDOW, "fold"]].assign(right=right))
    return pd.concat(parts, ignore_index=True).assign(method="knn_pooled_input")


def best(
    material: Material, *, chosen_on: Sequence[int], folds: Sequence[int]
) -> tuple[pd.Series, pd.DataFrame]:
    """Choose how to learn an embedding on some folds, and judge that one on others.

    Parameters
    ----------
    material
        See `gather`.
    chosen_on, folds
        Folds on which the best way is found, and those on which it is judged.

    Returns
    -------
    Series
        Way -> accuracy on `chosen_on`; the highest is the chosen one.
    DataFrame
        One row per window of `folds`: `leakage.WINDOW`, `method` (``knn_label_free``), `way`,
        `right`.
    """
    tried = judge(material, chosen_on).groupby("way", sort=False)["right"].mean()
    way = str(tried.idxmax())
    return tried, judge(material, folds, [way]).assign(method="knn_label_free")
