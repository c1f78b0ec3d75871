"""Load the checkpoint of a training, to go on from it, without running any code that it may hold.

Who uses a model takes `run_folder.load_model`.
"""

import pickle
from collections.abc import Mapping
from pathlib import Path

import torch

from musiclatent import errors, files, models
from musiclatent.config import Experiment
from musiclatent.errors import CheckpointError
from musiclatent.models import base


def load_checkpoint(checkpoint: Path, experiment: Experiment) -> base.LitModule:
    """Load trained weights without running any code that the file may hold.

    Parameters
    ----------
    checkpoint
        A file that a training wrote.
    experiment
        The experiment that it must belong to.

    Returns
    -------
    LitModule
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
            f"{checkpoint} cannot be read as plain weights ({errors.first_line(error)}); it is cut "
            f"short or holds code; {remedy}"
        ) from None
    options = content.get("hyper_parameters") if isinstance(content, dict) else None
    model = files.pick(models.MODELS, experiment.model, "model")(**experiment.options)
    if architecture(options or {}) != architecture(model.hparams):
        raise CheckpointError(f"{checkpoint} was not made by {experiment.name}; {remedy}")
    try:
        model.load_state_dict(content["state_dict"])
    except (RuntimeError, KeyError):
        raise CheckpointError(f"{checkpoint} was not made by {experiment.name}; {remedy}") from None
    return model.eval()


def architecture(options: Mapping) -> dict:
    """Return a model's options without those that its training decides."""
    return {k: v for k, v in options.items() if k not in ("learning_rate", "total_steps")}
