"""Learn a linear map from which rows are of one recording, by steps: no label is seen."""

from collections.abc import Sequence

import numpy as np
import torch
from pytorch_metric_learning.losses import SupConLoss, TripletMarginLoss
from pytorch_metric_learning.miners import TripletMarginMiner
from torch import Tensor, nn

from musiclatent.analysis.metric import relevant
from musiclatent.analysis.metric.relevant import Projection
from musiclatent.config import SEED
from musiclatent.files import pick, progress

EPOCHS = 8
RATE = 2e-3  # peak of a one-cycle schedule of AdamW
# In a batch; the library lists triplets out of the cube of its rows.
PAIRS = {"contrast": 200, "triplet": 50}
TEMPERATURE = 0.1
MARGIN = 0.2


def _triplets(z: Tensor, codes: Tensor) -> Tensor:
    """Return the mean of max(d(a, p) - d(a, n) + margin, 0) over the triplets that violate it."""
    return TripletMarginLoss(MARGIN)(z, codes, TripletMarginMiner(MARGIN, "all")(z, codes))


LOSSES = {"contrast": SupConLoss(TEMPERATURE), "triplet": _triplets}


def fit(
    z: np.ndarray,
    recordings: Sequence,
    *,
    loss: str,
    dimensions: int = relevant.DIMENSIONS,
    epochs: int = EPOCHS,
    seed: int = SEED,
) -> Projection:
    """Train a linear map by pairs of rows of one recording against all other rows of a batch.

    Parameters
    ----------
    z, recordings, dimensions
        As in `relevant.fit`.
    loss
        One of `LOSSES`: ``triplet``, as Jansen et al. (2018), or ``contrast``, the cross
        entropy of Chen et al. (2020), SimCLR, with several positives as Khosla et al. (2020).
    epochs
        How often each row is an anchor.
    seed
        Seed of the weights and of the pairs.

    Returns
    -------
    Projection
        As `relevant.fit` gives it.

    Raises
    ------
    ValueError
        If there is no such loss.
    """
    measure, rng = pick(LOSSES, loss, "loss"), np.random.default_rng(seed)
    centre, deviation = relevant.standardising(z)
    x = torch.from_numpy(((z - centre) / deviation).astype(np.float32))
    codes = np.unique(np.asarray(recordings), return_inverse=True)[1]
    torch.manual_seed(seed)
    layer = nn.Linear(x.shape[1], dimensions)
    pairs = PAIRS[loss]
    steps = epochs * -(-len(x) // pairs)
    adam = torch.optim.AdamW(layer.parameters(), RATE)
    schedule = torch.optim.lr_scheduler.OneCycleLR(adam, RATE, steps + 1)
    for _ in progress(range(epochs), loss, "epoch"):
        order, mates = rng.permutation(len(x)), _mates(codes, rng)
        for rows in np.split(order, range(pairs, len(order), pairs)):
            both = np.concatenate([rows, mates[rows]])
            value = measure(layer(x[both]), torch.from_numpy(codes[both]))
            adam.zero_grad()
            value.backward()
            adam.step()
            schedule.step()
    weights, bias = (p.detach().numpy().astype(float) for p in (layer.weight, layer.bias))
    return Projection(centre, deviation, weights.T, -bias)


def _mates(codes: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw for each row (B,) another of its recording; itself where it is the only one."""
    shuffled = rng.permutation(len(codes))
    order = shuffled[np.argsort(codes[shuffled], kind="stable")]  # recordings in a row, each mixed
    ends = np.cumsum(np.bincount(codes))
    following = np.arange(1, len(codes) + 1)
    last = np.isin(following, ends)
    following[last] = np.concatenate([[0], ends[:-1]])
    mates = np.empty(len(codes), int)
    mates[order] = order[following]
    return mates
