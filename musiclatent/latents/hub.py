"""Share models over a Hugging Face hub: two files and a card, nothing that runs."""

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from musiclatent import config
from musiclatent.errors import (
    CheckpointError,
    MissingToolError,
    MusicLatentError,
    first_line,
    one_line,
)
from musiclatent.training import run_folder

if TYPE_CHECKING:
    from huggingface_hub import HfApi

PREFIX = "hub:"
CARD, SAMPLER = "README.md", "sampler.safetensors"
SHARED = (run_folder.CONFIG, run_folder.WEIGHTS, CARD, SAMPLER)  # all that is sent or taken


def fetched_home() -> Path:
    """Return where models lie that were fetched, as OWNER/NAME."""
    return config.cache_home() / "models"


def _named(spec: str) -> str:
    """Return OWNER/NAME of ``hub:OWNER/NAME``."""
    name = spec.removeprefix(PREFIX)
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", name) or ".." in name or "/." in f"/{name}":
        raise CheckpointError(f"{spec!r} names no model of a hub; write hub:OWNER/NAME")
    return name


def _api() -> "HfApi":
    """Return the client of the hub, at ``HF_ENDPOINT`` where that is set."""
    try:
        from huggingface_hub import HfApi
    except ImportError:
        raise MissingToolError(
            "models of a hub need huggingface_hub, which is not installed; install it with: "
            'pip install "musiclatent[hub]"'
        ) from None
    return HfApi(endpoint=os.environ.get("HF_ENDPOINT") or None)


@contextmanager
def _one_sentence(what: str) -> Iterator[None]:
    """Turn what the client reports into one sentence."""
    from huggingface_hub import errors

    try:
        yield
    except errors.RepositoryNotFoundError:
        raise CheckpointError(
            f"{what}: there is no such model, or it is private; check the name, or log in with: "
            "hf auth login"
        ) from None
    except MusicLatentError:
        raise
    except Exception as error:  # whatever the client and its transport raise
        reason = one_line(first_line(error))
        raise CheckpointError(
            f"{what}: the hub cannot be reached or refuses ({reason}); check the network and "
            "HF_ENDPOINT, then run the command again"
        ) from None


def pull(spec: str, *, again: bool = False) -> Path:
    """Return the folder of a model of a hub, fetched unless it is there.

    Parameters
    ----------
    spec
        ``hub:OWNER/NAME``.
    again
        Whether to fetch what is there anew.

    Raises
    ------
    CheckpointError
        If the hub has no such model or does not answer, or what it sends is no model of ours;
        nothing is left then.
    MissingToolError
        If huggingface_hub is not installed.
    """
    name = _named(spec)
    target = fetched_home() / name
    if (target / run_folder.CONFIG).exists() and not again:
        return target
    api = _api()
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".fetching-") as scratch:
        with _one_sentence(spec):
            api.snapshot_download(name, allow_patterns=list(SHARED), local_dir=scratch)
        run_folder.load_model(Path(scratch))  # refuses what is broken, another's, or no safetensors
        shutil.rmtree(target, ignore_errors=True)
        export(Path(scratch), target)
    return target


def push(folder: Path, spec: str, *, private: bool = False) -> str:
    """Send a model to a hub; return its address.

    Parameters
    ----------
    folder
        What `run_folder.write_model` filled; its card goes along where there is one.
    spec
        ``hub:OWNER/NAME``; made where it is not there.
    private
        Whether it is made for its owner alone.

    Raises
    ------
    CheckpointError
        If the folder holds no whole model, or the hub refuses.
    MissingToolError
        If huggingface_hub is not installed.
    """
    name = _named(spec)
    run_folder.load_model(folder)
    api = _api()
    with _one_sentence(spec), tempfile.TemporaryDirectory() as scratch:
        export(folder, Path(scratch) / "model")
        api.create_repo(name, private=private, exist_ok=True)
        api.upload_folder(repo_id=name, folder_path=Path(scratch) / "model")
    return f"{api.endpoint}/{name}"


def export(folder: Path, target: Path) -> Path:
    """Copy what a model is, and nothing that a training left beside it.

    Parameters
    ----------
    folder
        What `run_folder.write_model` filled.
    target
        The new folder.

    Raises
    ------
    CheckpointError
        If the folder holds no whole model, or the target is there already.
    """
    run_folder.read_config(folder)
    if target.exists():
        raise CheckpointError(f"{target} is there already; name another folder, or remove it")
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".copying-") as scratch:
        whole = Path(scratch) / "model"
        whole.mkdir()
        for name in SHARED:
            if (folder / name).is_file():
                shutil.copyfile(folder / name, whole / name)
        os.replace(whole, target)
    return target
