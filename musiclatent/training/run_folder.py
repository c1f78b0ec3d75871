"""What a training leaves in its folder, and how it is recognised again."""

import hashlib
import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path

import pandas as pd

from musiclatent import files
from musiclatent.config import Experiment
from musiclatent.errors import CheckpointError
from musiclatent.training import checkpoints


def with_hash(plan: dict) -> dict:
    """Add to a plain table its own sha256, as `hash`."""
    return plan | {"hash": hashlib.sha256(json.dumps(plan, sort_keys=True).encode()).hexdigest()}


def deciding(experiment: Experiment) -> dict:
    """Return what of an experiment decides its training: no text, no paper's figure, no study.

    Full sizes are in use as options and training, or not at all.
    """
    row = asdict(experiment) | {"about": "", "paper": {}, "source": ""}
    return {key: row[key] for key in row if key not in ("full", "full_training", "study")}


def _stored(folder: Path) -> str:
    """Return the hash of a folder's identity; empty if there is none that can be read."""
    try:
        return json.loads((folder / "run.json").read_text())["hash"]
    except (OSError, ValueError, KeyError):
        return ""


def _has_ended(folder: Path) -> bool:
    """Return whether a folder holds a whole training."""
    return (folder / "metrics.json").exists() and (folder / "best.ckpt").exists()


def is_complete(folder: Path, identity: dict) -> bool:
    """Return whether a folder holds a whole training of this identity."""
    return _has_ended(folder) and _stored(folder) == identity["hash"]


def prepare_folder(experiment: Experiment, folder: Path, identity: dict) -> bool:
    """Prepare a folder; return whether it holds the beginning of the same run."""
    begun = (folder / "last.ckpt").exists() and not (folder / "metrics.json").exists()
    if _stored(folder) == identity["hash"] and begun:
        checkpoints.load_checkpoint(folder / "last.ckpt", experiment)  # raises if broken
        return True
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    files.write_json(folder / "run.json", identity)
    return False


@dataclass(frozen=True, kw_only=True)
class Run:
    """A trained experiment.

    Parameters
    ----------
    experiment
        What was trained.
    checkpoint
        File of the best weights.
    metrics
        Name -> figure, such as ``test_mse``.
    curves
        One row per epoch: epoch, and the logged metrics of training and validation.
    status
        ``trained``, ``resumed`` or ``reused``.
    """

    experiment: Experiment
    checkpoint: Path
    metrics: dict[str, float]
    curves: pd.DataFrame
    status: str


def read_run(experiment: Experiment, folder: Path) -> Run:
    """Read a run that ended, from the folder that `fit.train_experiment` filled.

    Raises
    ------
    CheckpointError
        If nothing was trained there.
    """
    if not _has_ended(folder):
        raise CheckpointError(
            f"{experiment.name} has not been trained in {folder}; train it with: "
            f"make reproduce STUDY={experiment.study} EXPERIMENT={experiment.name}"
        )
    metrics = json.loads((folder / "metrics.json").read_text())
    curves = pd.DataFrame(json.loads((folder / "curves.json").read_text()))
    return Run(
        experiment=experiment,
        checkpoint=folder / "best.ckpt",
        metrics=metrics,
        curves=curves,
        status="reused",
    )
