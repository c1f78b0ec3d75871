"""Classify genre by descriptors of slices, with and without perturbed copies of the sound."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from sklearn.model_selection import StratifiedGroupKFold

from musiclatent import audio
from musiclatent.analysis import statistics
from musiclatent.config import SEED, SR
from musiclatent.evaluation import attribute_classification
from musiclatent.features import descriptors
from musiclatent.features.perturbed import sound
from musiclatent.files import progress

SLICE_S = 3.0
FOLDS = 5
CLASSIFIER = "svm"


@dataclass(frozen=True, kw_only=True)
class Slices:
    """Descriptors of slices of clips.

    Parameters
    ----------
    x
        (B, D).
    items
        One row per slice: item_id, label, group.
    copy
        Of which perturbed copy each slice is (B,); 0 for the sound itself.
    """

    x: np.ndarray
    items: pd.DataFrame
    copy: np.ndarray

    def plain(self) -> tuple[pd.DataFrame, np.ndarray]:
        """Return the descriptors of the sound itself, and the recording of each slice."""
        own = self.copy == 0
        table = pd.DataFrame(self.x[own], columns=list(descriptors.COLUMNS), dtype=float)
        return table, self.items.loc[own, "group"].to_numpy(str)


def measure(items: pd.DataFrame, copies: int = 1) -> Slices:
    """Measure the slices of clips, and those of perturbed copies of their sound.

    Parameters
    ----------
    items
        One row per clip: item_id, path, label, group.
    copies
        Perturbed copies of each.

    Raises
    ------
    ValueError
        If no clip is long enough for a slice.
    """
    rows, names, numbers = [], [], []
    for i, item in enumerate(progress(items.itertuples(), "slices", "clip", total=len(items))):
        y = audio.read(item.path, SR)[0]
        for copy in range(1 + copies):
            parts = _sliced(sound.perturb(y, SR, seed=[SEED, i, copy]) if copy else y)
            rows += [descriptors.extract(part, SR).to_numpy(np.float32) for part in parts]
            names += [(item.item_id, item.label, item.group)] * len(parts)
            numbers += [copy] * len(parts)
    if not rows:
        raise ValueError(f"none of {len(items)} clips is {SLICE_S:g} s long; give longer ones")
    table = pd.DataFrame(names, columns=["item_id", "label", "group"])
    return Slices(x=np.array(rows), items=table, copy=np.array(numbers))


def _sliced(y: np.ndarray) -> np.ndarray:
    """Return whole slices (B, N) of samples."""
    n = round(SLICE_S * SR)
    return y[: len(y) // n * n].reshape(-1, n)


def compare(slices: Slices) -> pd.DataFrame:
    """Classify clips that were not learned from by their slices, with and without the copies.

    Parameters
    ----------
    slices
        See `measure`.

    Returns
    -------
    DataFrame
        One row per clip: item_id, label, group; and whether the mean over its slices named it
        rightly: ``plain``, and ``augmented``, where copies of the other clips were learned from
        too. Folds keep a group whole.

    Raises
    ------
    ValueError
        If all clips are of one group.
    """
    items = slices.items
    folds = min(FOLDS, items["group"].nunique())
    if folds < 2:
        raise ValueError("all clips are of one group; give two recordings or more")
    splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=SEED)
    original, parts = slices.copy == 0, []
    for _, rows in splitter.split(slices.x, items["label"], items["group"]):
        judged = np.isin(np.arange(len(items)), rows)
        test = judged & original
        clips = items[test].groupby("item_id", sort=False).first()
        ways = {"plain": ~judged & original, "augmented": ~judged}
        right = {name: _right(slices, learned, test) for name, learned in ways.items()}
        parts.append(clips.assign(**right).reset_index())
    return pd.concat(parts, ignore_index=True)


def summarise(right: pd.DataFrame) -> dict[str, float]:
    """Summarise what `compare` returns.

    Parameters
    ----------
    right
        As `compare` returns it.

    Returns
    -------
    dict
        ``clips_plain`` and ``clips_augmented``, accuracies over clips; ``augmentation_gain`` with
        its bounds, paired over recordings.
    """
    gain = statistics.paired(right["augmented"], right["plain"], right["group"])
    accuracies = {f"clips_{name}": right[name].mean() for name in ("plain", "augmented")}
    return accuracies | gain.named("augmentation_gain")


def _right(slices: Slices, learned: np.ndarray, test: np.ndarray) -> np.ndarray:
    """Return for each clip of the test rows (B,) whether the mean over its slices is right."""
    labels = slices.items["label"].to_numpy(str)
    found = attribute_classification.fit_predict(CLASSIFIER, slices.x, labels, learned, test)
    mean = pd.DataFrame(found.probabilities[0], columns=found.classes)
    clips = slices.items["item_id"].to_numpy()[test]
    named = mean.groupby(clips, sort=False).mean().idxmax(axis=1)
    return (
        named.to_numpy() == slices.items[test].groupby("item_id", sort=False)["label"].first()
    ).to_numpy()
