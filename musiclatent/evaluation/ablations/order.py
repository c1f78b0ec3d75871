"""Shuffle the frames that an encoder is given: what is lost is what it heard of their order."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch

from musiclatent.analysis import neighbours, pooling
from musiclatent.config import SEED, Experiment, Study, Workspace
from musiclatent.data.datamodules import CorpusDataModule
from musiclatent.evaluation import cross_validation, leakage
from musiclatent.latents import encode
from musiclatent.latents.store import Latents
from musiclatent.models.base import LitModule


def shuffle(x: np.ndarray, *, length: int, seed: int = SEED) -> np.ndarray:
    """Put the parts of each spectrogram into a random order, one of its own.

    Parameters
    ----------
    x
        Spectrograms (B, M, T).
    length
        Frames of a part, which stay in their order; what is left over stays at the end.
    seed
        The same seed gives the same order.

    Returns
    -------
    ndarray
        (B, M, T), the same frames.

    Raises
    ------
    ValueError
        If a part is shorter than a frame.
    """
    if length < 1:
        raise ValueError(f"a part of {length} frames cannot be moved; give 1 or more")
    n, bands, frames = x.shape
    count, rng = frames // length, np.random.default_rng(seed)
    order = np.argsort(rng.random((n, count)), axis=1)[:, None, :, None]
    parts = x[..., : count * length].reshape(n, bands, count, length)
    moved = np.take_along_axis(parts, order, axis=2).reshape(n, bands, -1)
    return np.concatenate([moved, x[..., count * length :]], axis=2)


def answers(
    experiments: Sequence[Experiment],
    study: Study,
    *,
    space: Workspace,
    splits: Sequence[str],
    names: dict[str, str],
) -> pd.DataFrame:
    """Ask the neighbours of test windows whose frames were shuffled before they were encoded.

    Parameters
    ----------
    experiments, study, space, splits
        As in `cross_validation.evaluate_splits`; the neighbours are unshuffled training windows.
    names
        Experiment -> ending of its methods.

    Returns
    -------
    DataFrame
        One row per method and window, as `cross_validation.answers`: ``knn_NAME`` (nothing is
        shuffled), ``knn_NAME_parts`` (parts as long as a latent frame, so that what a convolution
        hears mostly stays) and ``knn_NAME_frames`` (every frame).
    """
    parts = []
    for row in experiments:
        for split in splits:
            data = CorpusDataModule.of_study(study, space, split=split)
            run, encoded = cross_validation.train_on_split(row, study, space=space, split=split)
            data.setup()
            parts.append(_said(encode.load_model(run), encoded, data, names[row.name]))
    return pd.concat(parts, ignore_index=True)


def _said(model: LitModule, encoded: Latents, data: CorpusDataModule, name: str) -> pd.DataFrame:
    """Return the rows of one encoder and split."""
    items, labels, rows = encoded.items, encoded.items["label"].to_numpy(str), []
    usable = items["label"].ne("") & ~items["silent"].astype(bool)
    train, test = ((usable & items["split"].eq(part)).to_numpy() for part in ("train", "test"))
    x = data.transform.model_input(np.array(data.cached.x[test]))
    known = pooling.window_vectors(encoded)[train]
    for ending, length in {"": x.shape[2], "_parts": model.stride, "_frames": 1}.items():
        z = _encoded(model, shuffle(x, length=length))
        pair = neighbours.standardise(known, pooling.comparison_vectors(z, encoded.provenance))
        right = neighbours.predictions(pair[0], labels[train], pair[1]) == labels[test]
        about = {"method": f"knn_{name}{ending}", "right": right}
        rows.append(items.loc[test, leakage.WINDOW].assign(**about))
    return pd.concat(rows)


@torch.no_grad()
def _encoded(model: LitModule, x: np.ndarray) -> np.ndarray:
    """Return the latents (B, D) of spectrograms (B, M, T)."""
    batches = torch.from_numpy(x)[:, None].split(encode.BATCH)
    return torch.cat(
        [model.encode(part.to(model.device)).flatten(1).cpu() for part in batches]
    ).numpy()
