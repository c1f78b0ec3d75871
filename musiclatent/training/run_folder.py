"""What a training leaves in its folder, and how it is recognised and loaded again.

A model is two files: ``model.safetensors``, and ``config.json``, which says what they are of. Who
uses a model needs no other; Lightning's checkpoints beside them serve resuming alone.
"""

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd
import torch
from safetensors import SafetensorError
from safetensors.torch import load, save_file

from musiclatent import __version__, errors, files, models, studies
from musiclatent.audio.windows import Transform
from musiclatent.config import PLAIN, Experiment
from musiclatent.data.datamodules import TRANSFORMS
from musiclatent.errors import CheckpointError
from musiclatent.models.base import LitModule
from musiclatent.training import checkpoints

CONFIG, WEIGHTS = "config.json", "model.safetensors"
FORMAT = 1  # of config.json; raised when code that is older cannot read it
NEEDED = ("format", "model", "options", "transform", "sr", "window_s", "sha256")


def write_model(folder: Path, model: LitModule, *, transform: Transform, **about: object) -> Path:
    """Write a model as a folder that describes itself.

    Parameters
    ----------
    folder
        Where ``model.safetensors`` and ``config.json`` go; it is made.
    model
        A model of `models.MODELS`.
    transform
        What makes its inputs of the samples of a window.
    about
        Plain values that are worth knowing: experiment, study, labels (in the order of a
        classifier's outputs), data (hash), figures.

    Returns
    -------
    Path
        The folder.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with files.whole_file(folder / WEIGHTS) as part:
        save_file({name: value.contiguous() for name, value in model.state_dict().items()}, part)
    spec = {"kind": transform.kind} | asdict(transform)
    window = {name: spec.pop(name) for name in ("sr", "window_s")}
    config = {"format": FORMAT, "model": type(model).__name__, "transform": spec, **window}
    config |= {"options": checkpoints.architecture(model.hparams), **about}
    config |= {"musiclatent": __version__, "torch": torch.__version__}
    config["sha256"] = files.sha256_of(folder / WEIGHTS)
    files.write_json(folder / CONFIG, config)  # last: with it the model counts as written
    return folder


def read_config(folder: Path) -> dict:
    """Read what a model's folder says of it.

    Parameters
    ----------
    folder
        A folder that `write_model` filled.

    Raises
    ------
    CheckpointError
        If one of its two files is missing, or ``config.json`` is broken, of an older or later
        format, or names a model or a transform that does not exist.
    """
    folder = Path(folder)
    missing = [name for name in (CONFIG, WEIGHTS) if not (folder / name).is_file()]
    if CONFIG in missing and (folder / "metrics.json").exists():
        raise CheckpointError(f"{folder} was written by an older version; {_again(folder)}")
    if missing:
        raise CheckpointError(
            f"{folder} holds no whole model ({' and '.join(missing)} missing); "
            f"{_again(folder)}, or copy both files of a model there"
        )
    path = folder / CONFIG
    try:
        config = json.loads(path.read_text("utf-8"))
        lacking = [name for name in NEEDED if name not in config]
        later = not lacking and config["format"] > FORMAT
    except (OSError, ValueError, TypeError) as error:
        reason = errors.one_line(errors.first_line(error))
        raise CheckpointError(f"{path} cannot be read ({reason}); {_broken(folder)}") from None
    if lacking:
        raise CheckpointError(f"{path} lacks {', '.join(lacking)}; {_broken(folder)}")
    if later:
        raise CheckpointError(
            f"{path} has the format {config['format']} of a later version and this one reads "
            f"{FORMAT}; install a newer musiclatent"
        )
    _require_known(path, config)
    return config


def _require_known(path: Path, config: dict) -> None:
    """Refuse a model or a transform that this version does not have."""
    kind = config["transform"].get("kind") if isinstance(config["transform"], dict) else None
    for what, name, known in (
        ("model", config["model"], models.MODELS),
        ("transform", kind, TRANSFORMS),
    ):
        if not isinstance(name, str) or name not in known:
            raise CheckpointError(
                f"{path} names the {what} {name!r}, which this version does not have; it has: "
                f"{', '.join(known)}"
            )


def load_model(folder: Path) -> LitModule:
    """Load a model from the two files of its folder, running no code that they may hold.

    Parameters
    ----------
    folder
        A folder that `write_model` filled.

    Returns
    -------
    LitModule
        The model, in evaluation mode, in 32 bits.

    Raises
    ------
    CheckpointError
        As `read_config`, or if the weights are not those that the folder describes, no
        safetensors, or do not fit the model.
    """
    config, path = read_config(folder), Path(folder) / WEIGHTS
    content = path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    if digest != config["sha256"]:
        raise CheckpointError(
            f"{path} is not the file that {CONFIG} describes (its sha256 begins with {digest[:8]}, "
            f"not {str(config['sha256'])[:8]}); copy both files again, or {_broken(folder)}"
        )
    try:
        weights = load(content)
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(
            f"{path} is no safetensors file ({errors.one_line(errors.first_line(error))}), and "
            f"nothing else is loaded; {_broken(folder)}"
        ) from None
    try:
        model = models.MODELS[config["model"]](**config["options"])
    except (TypeError, ValueError, RuntimeError) as error:
        reason = errors.one_line(errors.first_line(error))
        raise CheckpointError(
            f"{Path(folder) / CONFIG}: {config['model']} does not take its options ({reason}); "
            f"{_broken(folder)}"
        ) from None
    _require_fitting(path, model, weights)
    model.load_state_dict(weights)
    return model.eval()


def _require_fitting(path: Path, model: LitModule, weights: Mapping[str, torch.Tensor]) -> None:
    """Refuse weights of other names or shapes than a model has."""
    wanted = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    given = {name: tuple(value.shape) for name, value in weights.items()}
    for name in sorted(wanted.keys() | given.keys()):
        if wanted.get(name) != given.get(name):
            raise CheckpointError(
                f"{path} holds {name!r} of shape {given.get(name)} and {type(model).__name__} "
                f"takes {wanted.get(name)}; {_broken(path.parent)}"
            )


def read_transform(folder: Path) -> Transform:
    """Return what makes a model's inputs, as its folder describes it.

    Raises
    ------
    CheckpointError
        As `read_config`, or if the transform does not take its parameters.
    """
    config = read_config(folder)
    options = {name: value for name, value in config["transform"].items() if name != "kind"}
    options |= {name: config[name] for name in ("sr", "window_s")}
    try:
        transform = TRANSFORMS[config["transform"]["kind"]](**options)
        transform.shape  # noqa: B018, where rate and length show what is wrong with them
    except (TypeError, ValueError) as error:
        reason = errors.one_line(errors.first_line(error))
        raise CheckpointError(
            f"{Path(folder) / CONFIG}: its transform cannot be made ({reason}); {_broken(folder)}"
        ) from None
    return transform


def amend_config(folder: Path, **values: PLAIN) -> Path:
    """Write further values into the ``config.json`` of a model; return the file."""
    return files.write_json(Path(folder) / CONFIG, read_config(folder) | values)


def command(name: str) -> str:
    """Return the command that trains an experiment; all studies where none has one of that name."""
    for study in studies.STUDIES.values():
        if name in study.experiments:
            return f"make reproduce STUDY={study.name} EXPERIMENT={name}"
    return "make reproduce"


def _again(folder: Path) -> str:
    """Return how to make the model of a folder anew, as far as its name is known."""
    try:
        name = json.loads((Path(folder) / "run.json").read_text())["experiment"]["name"]
    except (OSError, ValueError, KeyError, TypeError):
        name = Path(folder).name
    return f"make it anew with: {command(name)}"


def _broken(folder: Path) -> str:
    """Return how to replace what is there and broken, which a training would take for ended."""
    return f"delete it and {_again(folder)}"


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


def has_ended(folder: Path) -> bool:
    """Return whether a folder holds a whole training."""
    return all((folder / name).exists() for name in ("metrics.json", CONFIG, WEIGHTS))


def is_complete(folder: Path, identity: dict) -> bool:
    """Return whether a folder holds a whole training of this identity."""
    return has_ended(folder) and _stored(folder) == identity["hash"]


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
    folder
        What `write_model` filled.
    metrics
        Name -> figure, such as ``test_mse``.
    curves
        One row per epoch: epoch, and the logged metrics of training and validation.
    status
        ``trained``, ``resumed`` or ``reused``.
    """

    experiment: Experiment
    folder: Path
    metrics: dict[str, float]
    curves: pd.DataFrame
    status: str

    @cached_property
    def sha256(self) -> str:
        """Hash of the weights, which names the model where its latents are kept."""
        return read_config(self.folder)["sha256"]

    def load(self) -> LitModule:
        """Load the model, see `load_model`."""
        return load_model(self.folder)


def read_run(experiment: Experiment, folder: Path) -> Run:
    """Read a run that ended, from the folder that `fit.train_experiment` filled.

    Raises
    ------
    CheckpointError
        If nothing was trained there, or something else; or as `read_config`.
    """
    folder = Path(folder)
    if not (folder / "metrics.json").exists():
        raise CheckpointError(
            f"{experiment.name} has not been trained in {folder}; train it with: "
            f"make reproduce STUDY={experiment.study} EXPERIMENT={experiment.name}"
        )
    config = read_config(folder)
    if (config["model"], config["options"]) != (experiment.model, _options(experiment)):
        raise CheckpointError(f"{folder} was not made by {experiment.name}; {_broken(folder)}")
    metrics = json.loads((folder / "metrics.json").read_text())
    curves = pd.DataFrame(json.loads((folder / "curves.json").read_text()))
    return Run(
        experiment=experiment, folder=folder, metrics=metrics, curves=curves, status="reused"
    )


def _options(experiment: Experiment) -> dict:
    """Return all options of an experiment's model as `write_model` writes them."""
    model = files.pick(models.MODELS, experiment.model, "model")(**experiment.options)
    return json.loads(json.dumps(checkpoints.architecture(model.hparams)))
