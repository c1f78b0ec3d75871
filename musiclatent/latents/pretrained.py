"""Load networks that others trained: VGGish, its files verified before they are read."""

import pickle
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import chain
from pathlib import Path

import numpy as np
import torch
from torch import nn

from musiclatent import audio
from musiclatent.audio import windows
from musiclatent.data.datasets import SOURCES
from musiclatent.errors import AudioError, CheckpointError, first_line, plain_errors
from musiclatent.files import sha256_of
from musiclatent.models.vggish import PATCH, PATCH_HOP, SIZE, SR, VGGish, log_mel, postprocess

Postprocessor = Callable[[np.ndarray], np.ndarray]  # (B, 128) -> (B, 128) uint8
_FETCH = "musiclatent data fetch vggish"
_PCA = {"pca_eigen_vectors": {(SIZE, SIZE)}, "pca_means": {(SIZE,), (SIZE, 1)}}
# the published file of the components holds numpy arrays, pickled before numpy 2
_RECONSTRUCT = np.empty(0).__reduce__()[0]
_ARRAYS = [
    *(np.ndarray, np.dtype, type(np.dtype(np.float64)), type(np.dtype(np.float32))),
    *((_RECONSTRUCT, f"numpy.{core}.multiarray._reconstruct") for core in ("core", "_core")),
]


def available(root: Path) -> bool:
    """Return whether the weights of VGGish are in the data folder; `vggish` verifies them.

    Parameters
    ----------
    root
        Folder above all datasets, see `config.data_root`.
    """
    return _files(root)[0][0].is_file()


def vggish(root: Path) -> tuple[VGGish, Postprocessor | None]:
    """Load VGGish with its published weights.

    Parameters
    ----------
    root
        Folder above all datasets; the files are in ``vggish`` inside it.

    Returns
    -------
    VGGish
        The network, frozen.
    Postprocessor or None
        `vggish.postprocess` with its components; None where their file is missing.

    Raises
    ------
    CheckpointError
        If the weights are missing, or a file is not the published one or does not fit.
    FetchError
        If the system refuses to read a file.
    """
    weights, components = _files(root)
    if not weights[0].is_file():
        raise CheckpointError(f"{weights[0]} is not there; run: {_FETCH}")
    model = VGGish()
    shapes = {name: {tuple(p.shape)} for name, p in model.state_dict().items()}
    state = _read(*weights, shapes)
    if unexpected := sorted(set(state) - set(shapes)):
        raise CheckpointError(
            f"{weights[0]}: VGGish has no {unexpected[0]!r}; {_again(weights[0])}"
        )
    model.load_state_dict(state, assign=True)
    model.requires_grad_(False).eval()
    if not components[0].is_file():
        return model, None
    arrays = _read(*components, _PCA)
    eigen_vectors, means = (np.asarray(arrays[name], np.float64) for name in _PCA)
    return model, partial(postprocess, eigen_vectors=eigen_vectors, means=means)


def embed(
    model: nn.Module, path: str | Path, batch: int = 32
) -> Iterator[tuple[list[float], np.ndarray]]:
    """Embed a sound file of any length, 0.96 s at a time, in constant memory.

    Parameters
    ----------
    model
        From `vggish`; it takes (B, 1, 96, 64) and gives (B, 128).
    path
        An audio file.
    batch
        Patches embedded at once; only the last batch has fewer.

    Yields
    ------
    start_s
        Where each patch begins, in seconds; every 0.96 s. It lasts 0.975 s.
    z
        Their embeddings ``(B, 128)`` float32.

    Raises
    ------
    AudioError
        If the file cannot be read or is shorter than a patch.
    ValueError
        If `batch` is below 1.
    """
    if batch < 1:
        raise ValueError(f"batch is {batch}; give 1 patch or more")
    done = 0
    n = (batch - 1) * PATCH_HOP + PATCH
    parts = windows.frames(audio.blocks(path, SR), n, batch * PATCH_HOP, rest=True)
    for y in chain.from_iterable(parts):
        if len(y) >= PATCH:
            yield _embed(model, y, done)
            done += batch
    if not done:
        reason = f"it lasts {len(y) / SR:.3f} s, and VGGish needs {PATCH / SR} s"
        raise AudioError(path, reason, "leave it out")


def _embed(model: nn.Module, y: np.ndarray, done: int) -> tuple[list[float], np.ndarray]:
    """Return start times and embeddings of samples (N,) that come after `done` patches."""
    x = torch.from_numpy(log_mel(y))[:, None]  # B x 1 x 96 x 64
    with torch.inference_mode():
        z = model(x.to(next(model.parameters()).device)).cpu().numpy()
    return [(done + i) * PATCH_HOP / SR for i in range(len(x))], z


def _files(root: Path) -> list[tuple[Path, str]]:
    """Return the weights and the components: where each belongs, and its sha256 or its start."""
    source = SOURCES["vggish"]
    return [(Path(root) / source.folder / remote.to, remote.sha256) for remote in source.remotes]


def _read(path: Path, sha256: str, shapes: Mapping[str, set[tuple]]) -> dict:
    """Read named arrays of a file with this hash, running no code that it may hold."""
    with plain_errors(str(path)):
        digest = sha256_of(path)
        if not digest.startswith(sha256):
            reason = f"its sha256 begins with {digest[:8]}, not {sha256[:8]}"
            raise CheckpointError(f"{path} is not the published file ({reason}); {_again(path)}")
        try:
            with torch.serialization.safe_globals(_ARRAYS):
                content = torch.load(path, map_location="cpu", weights_only=True)
        except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError) as error:
            raise CheckpointError(
                f"{path} cannot be read as plain weights ({first_line(error)}); {_again(path)}"
            ) from None
    for name, valid in shapes.items():
        if not isinstance(content, dict) or name not in content:
            raise CheckpointError(f"{path} holds no {name!r}; {_again(path)}")
        if (shape := tuple(getattr(content[name], "shape", ()))) not in valid:
            reason = f"holds {name!r} of shape {shape}, not {max(valid)}"
            raise CheckpointError(f"{path} {reason}; {_again(path)}")
    return content


def _again(path: Path) -> str:
    """Return how to get the right file."""
    return f"delete {path.name} and run: {_FETCH}"
