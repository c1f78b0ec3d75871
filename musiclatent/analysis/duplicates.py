"""Find recordings that a corpus holds twice, from their latents alone, whatever gain, codec or cut.

A latent of a waveform follows the phase of the sound: a copy cut 64 samples later has other
numbers. What stays is how the energy of each map rises and falls over a third of a second. We
compare these curves, in the combinations of maps that even and odd frames agree on, at shifts of up
to a second; and we divide by how well the even frames of a recording agree with its odd frames.
So a copy scores about 1 even where the latents are noisy, and other music stays far below. Where
the line lies is learned from the scores of the corpus, never from its labels.

Sources: A. A. Green et al., A transformation for ordering multispectral data in terms of image
quality, IEEE TGRS 1988 (the combinations); C. Spearman, The proof and measurement of association
between two things, 1904, and Correlation calculated from faulty data, 1910 (the division);
J. Pickands, Statistical inference using extreme order statistics, 1975 (the tail).
"""

from collections.abc import Iterable, Iterator
from itertools import combinations

import numpy as np
import pandas as pd
from scipy.linalg import eigh
from scipy.ndimage import convolve1d

from musiclatent.analysis import pooling

SMOOTH_S = 0.37  # a third of a second: longer than any pitch, shorter than a bar
POWER = 0.25  # of the energy, so that loud notes do not decide alone
COMPONENTS = 16
SPAN_S = 120.0  # how much of the beginning of each recording is compared
SHIFT_S = 1.0  # largest shift between two copies
RATIO = 0.5  # the shorter must last at least this share of the longer
RELIABLE = 0.25  # below it a recording has no curve to speak of, and dividing would invent one
FALSE_PAIRS = 0.01  # expected number of false pairs in the whole corpus
BOUNDS = (0.5, 0.75)  # the learned threshold stays between them: a copy is expected at 1
_NEAR = 32  # pairs kept of each recording
_ROWS = 256  # recordings compared with all others at once


def find(latents: pooling.Encoded) -> pd.DataFrame:
    """Find the pairs of recordings that are the same, or nearly the same cut of one.

    Parameters
    ----------
    latents
        Latents of a corpus with their items and provenance (`store.Latents`): one row a window,
        ``item_id`` names the recording.

    Returns
    -------
    DataFrame
        `a`, `b`: item_ids, the order that of the items; `distance`: 0 for the same, about 1 for
        other music. Nearest first; ``attrs["threshold"]`` is the distance below which pairs count.
        No pairs, and NaN, where latent frames are too long to follow the sound.
    """
    rows, about = _recordings(latents), latents.provenance
    frame_s = about["window_s"] / pooling.over_time(latents.z[:1], about).shape[-1]
    if 4 * frame_s > SMOOTH_S:
        none = pd.DataFrame({"a": [], "b": [], "distance": []})
        none.attrs["threshold"] = float("nan")
        return none

    def summaries() -> Iterator[np.ndarray]:
        return (
            summary(pooling.over_time(latents.z[of_one], about), frame_s)
            for of_one in rows.values()
        )

    # Twice over the latents rather than all summaries in memory.
    curves = _curves(summaries(), _components(summaries()))
    scores = _pairs(*curves, round(SHIFT_S / (2 * frame_s * _step(frame_s))))
    bound = threshold(scores["score"].to_numpy(), len(rows))
    found = scores[scores["score"] >= bound].sort_values("score", ascending=False, kind="stable")
    names = np.array(list(rows), dtype=object)
    distance = np.maximum(0.0, 1.0 - found["score"].to_numpy())
    table = pd.DataFrame({"a": names[found["a"]], "b": names[found["b"]], "distance": distance})
    table.attrs["threshold"] = 1.0 - bound
    return table


def summary(z: np.ndarray, frame_s: float) -> np.ndarray:
    """Summarise a recording by how the energy of each map moves, twice.

    Parameters
    ----------
    z
        Latents (B, K, T) of consecutive windows of one recording.
    frame_s
        Time from frame to frame in seconds.

    Returns
    -------
    array (2, K, T')
        Smoothed energies to the power `POWER`, relative to the mean of the recording, of the even
        and of the odd frames; about four points in `SMOOTH_S`. Gain cancels; a shift by part of a
        frame changes little; all zero for silence.
    """
    z = np.asarray(z, np.float32)
    curve = np.moveaxis(z, 1, 0).reshape(z.shape[1], -1)  # K x (B T)
    curve = curve[:, : curve.shape[1] // 2 * 2]
    energy = np.square(curve - curve.mean(axis=1, keepdims=True))
    energy = np.stack([energy[:, 0::2], energy[:, 1::2]])  # 2 x K x T'
    window = np.hanning(max(1, round(SMOOTH_S / (2 * frame_s))) + 2)[1:-1]
    energy = convolve1d(energy, window / window.sum(), axis=-1)[..., :: _step(frame_s)]
    return (energy / max(float(energy.mean()), 1e-20)) ** POWER


def _step(frame_s: float) -> int:
    """Even or odd frames from one point of a curve to the next."""
    return max(1, round(SMOOTH_S / (8 * frame_s)))


def threshold(scores: np.ndarray, n: int) -> float:
    """Learn the score above which chance leaves `FALSE_PAIRS` pairs.

    The number of pairs of different music above a score falls exponentially in the tail; its rate
    is read between the n-th and the 4n-th best pair, below which copies are too few to matter.

    Parameters
    ----------
    scores
        Scores of the best pairs.
    n
        Number of recordings.

    Returns
    -------
    float
        Within `BOUNDS`; the upper one where fewer than 17 recordings say too little.
    """
    low, high = BOUNDS
    if n < 17:
        return high
    best = np.sort(scores)[::-1]
    scale = (best[n - 1] - best[4 * n - 1]) / np.log(4)
    return float(np.clip(best[n - 1] + scale * np.log(n / FALSE_PAIRS), low, high))


def evaluate(pairs: pd.DataFrame, items: pd.DataFrame) -> dict[str, float]:
    """Count found pairs against those that the index knows.

    Parameters
    ----------
    pairs
        Columns `a` and `b`, item_ids.
    items
        Index with `item_id` and `group`; pairs of one group are the truth. `copy_of` and
        `copy_kind`, where there are such columns, name the kinds; other pairs are ``known``.

    Returns
    -------
    dict
        ``repetition_recall_<kind>`` for each kind; ``repetition_precision``, 1 where nothing is
        found and nothing was to be found.

    Raises
    ------
    ValueError
        If `pairs` names an item that is not in the index.
    """
    items = items.drop_duplicates("item_id")
    strangers = sorted({*pairs["a"], *pairs["b"]} - set(items["item_id"]))
    if strangers:
        raise ValueError(f"{strangers[0]!r} is not in the index; evaluate pairs of the same corpus")
    truth = _truth(items)
    found = {frozenset(pair) for pair in zip(pairs["a"], pairs["b"], strict=True)}
    figures = {}
    for kind in sorted(set(truth.values())):
        same = [pair in found for pair, its_kind in truth.items() if its_kind == kind]
        figures[f"repetition_recall_{kind}"] = float(np.mean(same))
    right = len(found & set(truth))
    figures["repetition_precision"] = right / len(found) if found else float(not truth)
    return figures


def _truth(items: pd.DataFrame) -> dict[frozenset, str]:
    """Kind of each pair of items that share a group."""
    kinds = {}
    if "copy_of" in items:
        rows = zip(items["item_id"], items["copy_of"], items["copy_kind"], strict=True)
        kinds = {frozenset((name, source)): kind for name, source, kind in rows if source}
    repeated = items[items["group"].duplicated(keep=False)]
    members = (group["item_id"] for _, group in repeated.groupby("group"))
    pairs = (frozenset(pair) for group in members for pair in combinations(group, 2))
    return {pair: kinds.get(pair, "known") for pair in pairs}


def _recordings(latents: pooling.Encoded) -> dict[str, np.ndarray]:
    """Rows of the beginning of each recording, in order of time."""
    most = max(1, round(SPAN_S / latents.provenance["window_s"]))
    items = latents.items.reset_index(drop=True)
    order = items.sort_values("start_s", kind="stable").groupby("item_id", sort=False)
    groups = order.groups
    return {name: np.asarray(groups[name][:most]) for name in items["item_id"].unique()}


def _components(summaries: Iterable[np.ndarray]) -> np.ndarray:
    """Find combinations of maps (K, C) in which even and odd frames agree best; damp noisy ones."""
    signal = noise = 0.0
    for halves in summaries:
        curve, gap = _centred(halves.mean(axis=0)), halves[0] - halves[1]
        signal, noise = signal + curve @ curve.T, noise + gap @ gap.T
    noise = noise + (1e-3 * np.trace(noise) / len(noise) + 1e-9) * np.eye(len(noise))
    ratio, vectors = eigh(signal, noise)
    ratio, vectors = ratio[::-1][:COMPONENTS], vectors[:, ::-1][:, :COMPONENTS]
    return vectors * np.maximum(ratio, 1e-9) ** -0.25


def _curves(summaries: Iterable[np.ndarray], basis: np.ndarray) -> tuple[list, np.ndarray]:
    """Curves (C, T') of each recording, and its reliability: how well its two halves agree."""
    curves, reliability = [], []
    for halves in summaries:
        even, odd = (_centred(basis.T @ half) for half in halves)
        power = np.sqrt(np.sum(even**2) * np.sum(odd**2))
        r = max(0.0, np.sum(even * odd) / power) if power > 0 else 0.0
        curves.append(((even + odd) / 2).astype(np.float32))
        reliability.append(max(RELIABLE, 2 * r / (1 + r)))  # Spearman and Brown: both halves
    return curves, np.array(reliability)


def _centred(curve: np.ndarray) -> np.ndarray:
    """Take the mean over time away."""
    return curve - curve.mean(axis=-1, keepdims=True)


def _pairs(curves: list[np.ndarray], reliability: np.ndarray, shifts: int) -> pd.DataFrame:
    """Best pairs a < b of every recording with their scores."""
    length = np.array([curve.shape[1] for curve in curves])
    x = np.zeros((len(curves), length.max(), len(curves[0])), np.float32)  # n x T' x C
    for row, curve in zip(x, curves, strict=True):
        row[: curve.shape[1]] = curve.T
    parts = []
    for first in range(0, len(x), _ROWS):
        rows = np.arange(first, min(first + _ROWS, len(x)))
        shorter = np.minimum.outer(length[rows], length)
        alike = shorter >= RATIO * np.maximum.outer(length[rows], length)
        score = _correlations(x, length, rows, shifts) * alike
        score /= np.sqrt(np.outer(reliability[rows], reliability))
        score[rows[:, None] >= np.arange(len(x))] = -np.inf
        near = np.argsort(-score, axis=1, kind="stable")[:, :_NEAR]
        a, b = np.repeat(rows, near.shape[1]), near.ravel()
        parts.append(pd.DataFrame({"a": a, "b": b, "score": score[a - first, b]}))
    table = pd.concat(parts, ignore_index=True)
    return table[table["a"] < table["b"]]


def _correlations(x: np.ndarray, length: np.ndarray, rows: np.ndarray, shifts: int) -> np.ndarray:
    """Highest correlation (rows, n) of some recordings with all, either of them begun later."""
    power = np.pad(np.cumsum(np.square(x).sum(axis=2), axis=1), ((0, 0), (1, 0)))  # n x (T' + 1)
    best = np.full((len(rows), len(x)), -1.0)
    for lag in range(-min(shifts, x.shape[1] - 1), min(shifts, x.shape[1] - 1) + 1):
        i, j = max(0, lag), max(0, -lag)  # where each begins
        common = np.minimum.outer(length[rows] - i, length - j).clip(0)
        a, b = x[rows, i : x.shape[1] - j], x[:, j : x.shape[1] - i]
        dot = a.reshape(len(rows), -1) @ b.reshape(len(x), -1).T
        left = np.take_along_axis(power[rows], i + common, 1) - power[rows, i, None]
        right = np.take_along_axis(power.T, j + common, 0) - power[:, j]
        best = np.maximum(best, dot / np.sqrt(np.maximum(left * right, 1e-12)))
    return best
