"""Encoders that have packages of their own: MuQ, music2latent and CoDiCodec; and our VGGish.

The packages are optional, and fetch their weights by themselves when they are first used.
"""

from functools import partial
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch

from musiclatent import config
from musiclatent.errors import CheckpointError, first_line, one_line
from musiclatent.latents import pretrained
from musiclatent.latents.encoders.adapters.shapes import CodecEncoder, WindowEncoder
from musiclatent.models import vggish

MUQ = "OpenMuQ/MuQ-large-msd-iter"
CODEC_HOP = 4096  # samples at 44.1 kHz between frames of music2latent and of CoDiCodec


def _package(name: str) -> ModuleType:
    """Import a package."""
    try:
        return import_module(name)
    except ImportError as error:
        reason = one_line(first_line(error))
        raise CheckpointError(
            f"{name} cannot be imported ({reason}); run: pip install {name}"
        ) from None


def _made(name: str, make, *arguments: Any, **options: Any) -> Any:
    """Call what loads weights, or report in one sentence why it could not."""
    try:
        return make(*arguments, **options)
    except Exception as error:  # whatever code of others raises
        reason = one_line(first_line(error))
        raise CheckpointError(
            f"the weights of {name} cannot be loaded ({reason}); connect to the hub, or give "
            f"{name}:FOLDER"
        ) from None


def _version(name: str) -> str:
    """Return the version of an installed package."""
    try:
        return f"{name}-{version(name)}"
    except PackageNotFoundError:
        return name


def load_muq(where: str = "") -> WindowEncoder:
    """Load MuQ with the package muq.

    Parameters
    ----------
    where
        A folder, or OWNER/NAME on the hub.

    Raises
    ------
    CheckpointError
        If the package or its weights are missing.
    """
    muq = _package("muq")
    network = _made("muq", muq.MuQ.from_pretrained, where or MUQ).eval()
    layers = tuple(map(str, range(len(_hidden(network, np.zeros((1, 24_000), np.float32))))))
    return WindowEncoder(
        name=f"muq:{where}" if where else "muq",
        sr=24_000,
        window_s=5.0,
        licence="CC-BY-NC-4.0",
        revision=f"{where or MUQ}-{layers[-1]}",
        answers=partial(_hidden, network),
        layers=layers,
        layer=layers[-1],
        note="trained on the Million Song Dataset, and may have heard recordings of GTZAN",
    )


@torch.inference_mode()
def _hidden(network: Any, windows: np.ndarray) -> list[np.ndarray]:
    """Return what every layer answers to windows (B, N): (B, T, D) each."""
    answers = network(torch.from_numpy(windows), output_hidden_states=True).hidden_states
    return [answer.numpy() for answer in answers]


def load_sony(name: str, where: str = "") -> CodecEncoder:
    """Load music2latent or CoDiCodec with the package of that name.

    Parameters
    ----------
    name
        ``music2latent`` or ``codicodec``.
    where
        The file of its weights; empty lets the package fetch them.

    Raises
    ------
    CheckpointError
        If the package or its weights are missing.
    """
    options = {"load_path_inference": where} if where else {}
    codec = _made(name, _package(name).EncoderDecoder, **options)
    rows = partial(_rows, codec)
    return CodecEncoder(
        name=f"{name}:{where}" if where else name,
        sr=44_100,
        dimensions=rows(np.zeros(44_100 // CODEC_HOP * CODEC_HOP, np.float32)).shape[1],
        licence="CC-BY-NC-4.0" if name == "music2latent" else "see its page on the hub",
        revision=_version(name),
        hop=CODEC_HOP,
        to_rows=rows,
        to_sound=partial(_sound, codec, name == "music2latent"),
    )


def _rows(codec: Any, y: np.ndarray) -> np.ndarray:
    """Return rows (T, D): of latents (1, D, T), or of sets of latents (T, L, D)."""
    z = np.asarray(torch.as_tensor(codec.encode(np.array(y))).detach().cpu(), np.float32)
    rows = z[0].T if len(z) == 1 and z.shape[1] == 64 else z.reshape(len(z), -1)
    count = len(y) // CODEC_HOP
    return np.pad(rows[:count], ((0, max(0, count - len(rows))), (0, 0)), "edge")


def _sound(codec: Any, ordered: bool, z: np.ndarray) -> np.ndarray:
    """Return samples (N,) of rows (T, D)."""
    latents = torch.from_numpy(np.array(z))
    latents = latents.T[None] if ordered else latents.reshape(len(z), -1, 64)
    y = np.asarray(torch.as_tensor(codec.decode(latents)).detach().cpu(), np.float32)
    return np.atleast_2d(y.squeeze()).mean(axis=0)[: len(z) * CODEC_HOP]


def load_vggish(where: str = "") -> WindowEncoder:
    """Load VGGish with its published weights.

    Parameters
    ----------
    where
        Folder above ``vggish``; empty for that of the datasets.

    Raises
    ------
    CheckpointError
        As `pretrained.vggish`.
    """
    network, _ = pretrained.vggish(Path(where) if where else config.data_root())
    return WindowEncoder(
        name="vggish",
        sr=vggish.SR,
        window_s=vggish.PATCH / vggish.SR,
        step_s=vggish.PATCH_HOP / vggish.SR,
        licence="Apache-2.0",
        revision="vggish-10086976-embedding",
        answers=partial(_patches, network),
        layers=("embedding",),
        layer="embedding",
        note="trained on videos of YouTube",
    )


@torch.inference_mode()
def _patches(network: Any, windows: np.ndarray) -> list[np.ndarray]:
    """Return embeddings (B, 128) of windows of a patch each."""
    x = np.concatenate([vggish.log_mel(y) for y in windows])
    return [network(torch.from_numpy(x)[:, None]).numpy()]


LOADERS = {
    "muq": load_muq,
    "music2latent": partial(load_sony, "music2latent"),
    "codicodec": partial(load_sony, "codicodec"),
    "vggish": load_vggish,
}
