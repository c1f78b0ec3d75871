"""What a training leaves in its folder, and how it is recognised again."""

import hashlib
import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from musiclatent.config import Experiment
from musiclatent.errors import CheckpointError
from musiclatent.files import write_json
from musiclatent.training.checkpoints import load_checkpoint


def with_hash(plan: dict) -> dict:
    """Add to a plain table its own sha256, as `hash`."""
    return plan | {"hash": hashlib.sha256(json.dumps(plan, sort_keys=True).encode()).hexdigest()}


def _stored(folder: Path) -> str:
    """Hash of the identity of what lies in a folder; empty if there is none that can be read."""
    try:
        return json.loads((folder / "run.json").read_text())["hash"]
    except (OSError, ValueError, KeyError):
        return ""


def is_complete(folder: Path, identity: dict) -> bool:
    """Tell whether a folder holds a whole training of this identity."""
    whole = (folder / "metrics.json").exists() and (folder / "best.ckpt").exists()
    return whole and _stored(folder) == identity["hash"]


def prepare_folder(experiment: Experiment, folder: Path, identity: dict) -> bool:
    """Make the folder ready; tell whether it holds the beginning of the same run."""
    begun = (folder / "last.ckpt").exists() and not (folder / "metrics.json").exists()
    if _stored(folder) == identity["hash"] and begun:
        load_checkpoint(folder / "last.ckpt", experiment)  # says so if it cannot be read
        return True
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    write_json(folder / "run.json", identity)
    return False


@dataclass(frozen=True)
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
        One row an epoch: epoch, and the logged metrics of training and validation.
    status
        ``trained``, ``resumed`` or ``reused``.
    """

    experiment: Experiment
    checkpoint: Path
    metrics: dict[str, float]
    curves: pd.DataFrame
    status: str


def read_run(experiment: Experiment, folder: Path) -> Run:
    """Read a run that ended, from the folder that `fit` filled.

    Raises
    ------
    CheckpointError
        If nothing was trained there.
    """
    if not ((folder / "metrics.json").exists() and (folder / "best.ckpt").exists()):
        raise CheckpointError(
            f"{experiment.name} has not been trained in {folder}; train it with: "
            f"make reproduce STUDY={experiment.study} EXPERIMENT={experiment.name}"
        )
    metrics = json.loads((folder / "metrics.json").read_text())
    curves = pd.DataFrame(json.loads((folder / "curves.json").read_text()))
    return Run(experiment, folder / "best.ckpt", metrics, curves, "reused")
