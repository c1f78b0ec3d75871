"""Measure how often `musiclatent classify` names the genre of a whole clip that no network saw.

On the clips of GTZAN whose rows among the excerpts are known. Each is classified by a network that
was trained without its recording: fold K by the network of the folds, ``genre-joint-outer-K``, or
fold 0 by the final classifier, which is trained on the training part of fold 0. Folds without a
network are left out and counted. Where nothing is trained here, the classifier that comes with the
package judges fold 0.

Run: MUSICLATENT_DATA=path/to/data python benchmarks/classify.py [--quick]  (a minute, then seconds)
"""

import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import common
import numpy as np
import pandas as pd

from musiclatent import audio, config, studies
from musiclatent.analysis import statistics
from musiclatent.apps import genre_timeline
from musiclatent.data import corpus, gtzan_tables
from musiclatent.errors import CheckpointError
from musiclatent.evaluation import genre_networks
from musiclatent.evaluation.genre_networks import Classifier
from musiclatent.features.mel import LogMel
from musiclatent.files import progress
from musiclatent.latents import shipped
from musiclatent.models.genre import GenreNetwork
from musiclatent.training import run_folder

NAME = "genre-joint"
KEYS = (
    *(f"classify_clip_accuracy{end}" for end in ("", "_low", "_high")),
    *("section_accuracy", "clips", "folds", "folds_missing"),
)


def network_of(fold: int) -> Classifier | None:
    """Return a network that did not see the clips of a fold; None where there is none."""
    space = config.Workspace(profile="real", study="genre")
    folder = space.path("folds", f"{NAME}-outer-{fold}")
    if run_folder.has_ended(folder):
        labels = run_folder.read_config(folder)["labels"]
        return Classifier(folder=folder, classes=tuple(labels), takes_descriptors=True)
    if fold:
        return None
    try:
        return genre_networks.read_classifier(shipped.find(NAME))
    except CheckpointError:
        return None


def clips_of(fold: int) -> pd.DataFrame:
    """Return the clips of a fold: path, label, group."""
    work = config.home() / "results" / "benchmarks" / "classify"
    items = corpus.load("gtzan", root=config.data_root(), work=work, split=f"excerpts-{fold}").items
    return items[items["split"].eq("test")]


def measure(folds: dict[int, pd.DataFrame], network: Callable[[int], Classifier | None]) -> dict:
    """Classify whole clips by the networks of their folds."""
    plan, rows, missing = studies.study("genre", "real"), [], 0
    for fold, clips in folds.items():
        classifier = network(fold)
        missing += classifier is None
        for clip in progress(clips.itertuples(), f"fold {fold}", "clip") if classifier else ():
            found = genre_timeline.section_probabilities(classifier, plan, Path(clip.path)).dropna()
            right = float(found.mean().idxmax() == clip.label)
            rows.append((clip.group, right, (found.idxmax(axis=1) == clip.label).mean()))
    if not rows:
        sys.exit(f"no network of genre is there; train one with: {run_folder.command(NAME)}")
    table = pd.DataFrame(rows, columns=["group", "right", "sections"])
    figures = statistics.mean(table["right"], table["group"]).named("classify_clip_accuracy")
    figures |= {"section_accuracy": table["sections"].mean(), "clips": len(table)}
    figures |= {"folds": len(folds) - missing, "folds_missing": missing}
    return {key: round(float(value), 4) for key, value in figures.items()}


def full() -> common.Figures:
    """Measure on all folds that have a network."""
    return measure({fold: clips_of(fold) for fold in range(gtzan_tables.N_FOLDS)}, network_of)


def quick() -> common.Figures:
    """Measure an untrained network on four short sounds."""
    rng = np.random.default_rng(0)
    with TemporaryDirectory() as folder:
        model = GenreNetwork(classes=2, channels=[4, 4], attributes=536, hidden=8)
        where = run_folder.write_model(
            Path(folder) / "model", model, transform=LogMel(window_s=3.0)
        )
        network = Classifier(folder=where, classes=("high", "low"), takes_descriptors=True)
        rows = []
        for i in range(4):
            y = np.convolve(rng.normal(size=7 * common.SR), np.ones(1 + 30 * (i % 2)), "same")
            path = audio.write(Path(folder) / f"{i}.wav", y / abs(y).max(), common.SR)
            rows.append({"path": str(path), "label": "low" if i % 2 else "high", "group": i})
        return measure({0: pd.DataFrame(rows)}, lambda fold: network)


if __name__ == "__main__":
    common.run(KEYS, full=full, quick=quick)
