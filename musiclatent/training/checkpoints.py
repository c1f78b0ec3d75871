"""Load trained weights without running any code that a file may hold."""

import pickle
from collections.abc import Mapping
from pathlib import Path

import torch

from musiclatent.config import Experiment
from musiclatent.errors import CheckpointError, first_line
from musiclatent.files import pick
from musiclatent.models import MODELS, base


def load_checkpoint(checkpoint: Path, experiment: Experiment) -> base.LitModule:
    """Load trained weights without running any code that the file may hold.

    Parameters
    ----------
    checkpoint
        A file that `fit` wrote.
    experiment
        The experiment that it must belong to.

    Returns
    -------
    Trained
        The model, in evaluation mode.

    Raises
    ------
    CheckpointError
        If the file is missing, cut short, holds more than plain values and tensors, or belongs
        to another experiment.
    """
    remedy = f"delete {Path(checkpoint).parent} and train {experiment.name} again"
    try:
        content = torch.load(checkpoint, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise CheckpointError(f"{checkpoint} is not there; train {experiment.name} first") from None
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError) as error:
        raise CheckpointError(
            f"{checkpoint} cannot be read as plain weights ({first_line(error)}); it is cut short "
            f"or holds code; {remedy}"
        ) from None
    options = content.get("hyper_parameters") if isinstance(content, dict) else None
    model = pick(MODELS, experiment.model, "model")(**experiment.options)
    if _own(options or {}) != _own(model.hparams):
        raise CheckpointError(f"{checkpoint} was not made by {experiment.name}; {remedy}")
    try:
        model.load_state_dict(content["state_dict"])
    except (RuntimeError, KeyError):
        raise CheckpointError(f"{checkpoint} was not made by {experiment.name}; {remedy}") from None
    return model.eval()


def _own(options: Mapping) -> dict:
    """Leave out of a model's options what its training decides."""
    return {k: v for k, v in options.items() if k not in ("learning_rate", "total_steps")}
