"""Find duplicate recordings of a corpus from their latents alone, whatever gain, codec or cut.

A latent of a waveform follows the phase of the sound: a duplicate cut 64 samples later has other
values. What stays is how the energy of each channel rises and falls over a third of a second. We
compare these curves, in the combinations of channels that even and odd frames agree on, at shifts
of up to a second; and we divide by how well the even frames of a recording agree with its odd ones.
So a duplicate scores about 1 even where the latents are noisy, and other music stays far below. The
threshold is learned from the scores of the corpus, never from its labels.

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

from musiclatent.analysis import neighbours, pooling
from musiclatent.files import release

SMOOTH_S = 0.37  # a third of a second: longer than any pitch, shorter than a bar
POWER = 0.25  # of the energy, so that loud notes do not decide alone
COMPONENTS = 16
SPAN_S = 120.0  # how much of the beginning of each recording is compared
SHIFT_S = 1.0  # largest shift between two duplicates
RATIO = 0.5  # the shorter must last at least this share of the longer
RELIABLE = 0.25  # below it a recording has no curve to speak of, and dividing would invent one
FALSE_PAIRS = 0.01  # expected number of false pairs in the whole corpus
BOUNDS = (0.5, 0.75)  # of the learned threshold: a duplicate is expected at 1
EXACT = 5_000  # recordings above which an index names the pairs to compare
OUTLINE, RATES = 512, 24  # points of the transform that outlines a curve, and rates kept of it
_NEAR = 32  # pairs kept per recording
_ROWS = 256  # recordings compared with all others at once


def find(latents: pooling.Encoded) -> pd.DataFrame:
    """Find the pairs of recordings that are the same, or nearly the same cut of one.

    Parameters
    ----------
    latents
        Latents of a corpus with their items and provenance (`store.Latents`): one row per window,
        ``item_id`` names the recording. Windows that the items call silent are left out.

    Returns
    -------
    DataFrame
        `a`, `b`: item_ids, the order that of the items; `distance`: 0 for the same, about 1 for
        other music. Nearest first; ``attrs["threshold"]`` is the distance below which pairs count.
        No pairs, and NaN, where latent frames are too long to follow the sound.
    """
    provenance = latents.provenance
    frame_s = provenance["window_s"] / pooling.as_channels(latents.z[:1], provenance).shape[-1]
    if 4 * frame_s > SMOOTH_S:
        none = pd.DataFrame({"a": [], "b": [], "distance": []})
        none.attrs["threshold"] = float("nan")
        return none

    recordings = _recordings(latents)

    def summaries() -> Iterator[np.ndarray]:
        for windows in recordings.values():
            yield summary(pooling.as_channels(latents.z[windows], provenance), frame_s)
            release(latents.z)

    # Twice over the latents rather than all summaries in memory.
    curves = _curves(summaries(), _components(summaries()))
    scores = _pairs(*curves, round(SHIFT_S / (2 * frame_s * _step(frame_s))))
    bound = threshold(scores["score"].to_numpy(), len(recordings))
    pairs = scores[scores["score"] >= bound].sort_values("score", ascending=False, kind="stable")
    names = np.array(list(recordings), dtype=object)
    distance = np.maximum(0.0, 1.0 - pairs["score"].to_numpy())
    table = pd.DataFrame({"a": names[pairs["a"]], "b": names[pairs["b"]], "distance": distance})
    table.attrs["threshold"] = 1.0 - bound
    return table


def summary(z: np.ndarray, frame_s: float) -> np.ndarray:
    """Compute how the energy of each channel moves, of even and of odd frames.

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
        and of the odd frames; about four points per `SMOOTH_S`. Gain cancels; a shift by part of a
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
    """Return how many even or odd frames lie from one point of a curve to the next."""
    return max(1, round(SMOOTH_S / (8 * frame_s)))


def threshold(scores: np.ndarray, n: int) -> float:
    """Estimate the score above which chance leaves `FALSE_PAIRS` pairs.

    The number of pairs of different music above a score falls exponentially in the tail; its rate
    is read between the n-th and the 4n-th best pair, where duplicates are too few to matter.

    Parameters
    ----------
    scores
        Scores of the best pairs.
    n
        Number of recordings.

    Returns
    -------
    float
        Within `BOUNDS`; the upper one for fewer than 17 recordings, too few for a tail.
    """
    low, high = BOUNDS
    if n < 17:
        return high
    best = np.sort(scores)[::-1]
    scale = (best[n - 1] - best[4 * n - 1]) / np.log(4)
    return float(np.clip(best[n - 1] + scale * np.log(n / FALSE_PAIRS), low, high))


def evaluate(pairs: pd.DataFrame, items: pd.DataFrame) -> dict[str, float]:
    """Compute recall and precision of pairs against those that share a group in the index.

    Parameters
    ----------
    pairs
        Columns `a` and `b`, item_ids.
    items
        Index with `item_id` and `group`; pairs of one group are the truth. `copy_of` and
        `copy_kind`, where there are such columns, name its kind; other pairs are of the kind
        ``known``.

    Returns
    -------
    dict
        ``repetition_recall_<kind>`` for each kind; ``repetition_precision``, 1 where there are
        neither pairs nor groups.

    Raises
    ------
    ValueError
        If `pairs` names an item that is not in the index.
    """
    items = items.drop_duplicates("item_id")
    missing = sorted({*pairs["a"], *pairs["b"]} - set(items["item_id"]))
    if missing:
        raise ValueError(f"{missing[0]!r} is not in the index; evaluate pairs of the same corpus")
    truth = _truth(items)
    predicted = {frozenset(pair) for pair in zip(pairs["a"], pairs["b"], strict=True)}
    hits = pd.Series([pair in predicted for pair in truth], dtype=float)
    recalls = hits.groupby(list(truth.values())).mean()
    precision = hits.sum() / len(predicted) if predicted else float(not truth)
    return {
        **{f"repetition_recall_{kind}": recall for kind, recall in recalls.items()},
        "repetition_precision": float(precision),
    }


def _truth(items: pd.DataFrame) -> dict[frozenset, str]:
    """Return the kind of each pair of items that share a group."""
    kinds = {}
    if "copy_of" in items:
        rows = zip(items["item_id"], items["copy_of"], items["copy_kind"], strict=True)
        kinds = {frozenset((name, source)): kind for name, source, kind in rows if source}
    groups = items.groupby("group")["item_id"]
    pairs = (frozenset(pair) for _, members in groups for pair in combinations(members, 2))
    return {pair: kinds.get(pair, "known") for pair in pairs}


def _recordings(latents: pooling.Encoded) -> dict[str, np.ndarray]:
    """Return the rows of the beginning of each recording, in order of time."""
    longest = max(1, round(SPAN_S / latents.provenance["window_s"]))
    items = latents.items.reset_index(drop=True)
    items = items[~items["silent"].astype(bool)] if "silent" in items else items
    groups = items.sort_values("start_s", kind="stable").groupby("item_id", sort=False).groups
    return {name: np.asarray(groups[name][:longest]) for name in items["item_id"].unique()}


def _components(summaries: Iterable[np.ndarray]) -> np.ndarray:
    """Compute the combinations of channels (K, C) in which even and odd frames agree best."""
    signal = noise = 0.0
    for halves in summaries:
        curve = _centred(halves.mean(axis=0))
        gap = halves[0] - halves[1]
        signal = signal + curve @ curve.T
        noise = noise + gap @ gap.T
    noise = noise + (1e-3 * np.trace(noise) / len(noise) + 1e-9) * np.eye(len(noise))
    ratio, vectors = eigh(signal, noise)
    ratio, vectors = ratio[::-1][:COMPONENTS], vectors[:, ::-1][:, :COMPONENTS]
    return vectors * np.maximum(ratio, 1e-9) ** -0.25  # noisy combinations count less


def _curves(summaries: Iterable[np.ndarray], basis: np.ndarray) -> tuple[list, np.ndarray]:
    """Return curves (C, T') per recording, and its reliability: how well its two halves agree."""
    curves, reliability = [], []
    for halves in summaries:
        even, odd = (_centred(basis.T @ half) for half in halves)
        power = np.sqrt(np.sum(even**2) * np.sum(odd**2))
        r = max(0.0, np.sum(even * odd) / power) if power > 0 else 0.0
        curves.append(((even + odd) / 2).astype(np.float32))
        reliability.append(max(RELIABLE, 2 * r / (1 + r)))  # Spearman and Brown: both halves
    return curves, np.array(reliability)


def _centred(curve: np.ndarray) -> np.ndarray:
    """Return a curve without its mean over time."""
    return curve - curve.mean(axis=-1, keepdims=True)


def _pairs(curves: list[np.ndarray], reliability: np.ndarray, shifts: int) -> pd.DataFrame:
    """Return the best pairs a < b of every recording with their scores."""
    length = np.array([curve.shape[1] for curve in curves])
    if len(curves) > EXACT:
        return _likely_pairs(curves, length, reliability, shifts)
    padded = [np.pad(curve.T, ((0, length.max() - curve.shape[1]), (0, 0))) for curve in curves]
    x = np.stack(padded)  # n x T' x C
    parts = []
    for first in range(0, len(x), _ROWS):
        rows = np.arange(first, min(first + _ROWS, len(x)))
        score = _scores(x, length, rows, shifts, reliability)
        score[rows[:, None] >= np.arange(len(x))] = -np.inf
        near = np.argsort(-score, axis=1, kind="stable")[:, :_NEAR]
        a, b = np.repeat(rows, near.shape[1]), near.ravel()
        parts.append(pd.DataFrame({"a": a, "b": b, "score": score[a - first, b]}))
    table = pd.concat(parts, ignore_index=True)
    return table[table["a"] < table["b"]]


def _likely_pairs(
    curves: list[np.ndarray], length: np.ndarray, reliability: np.ndarray, shifts: int
) -> pd.DataFrame:
    """Return pairs as `_pairs` does, of the recordings that an index finds near each other."""
    outlines = np.stack([_outline(curve) for curve in curves])
    near = neighbours.nearest(outlines, outlines, _NEAR)[1]
    pairs = np.stack([np.arange(len(near)).repeat(near.shape[1]), near.ravel()], axis=1)
    pairs = np.unique(np.sort(pairs[pairs[:, 0] != pairs[:, 1]], axis=1), axis=0)
    parts = []
    for a, of_a in pd.Series(pairs[:, 1]).groupby(pairs[:, 0]):
        rows = np.array([a, *of_a])
        longest = length[rows].max()
        few = [np.pad(curves[row].T, ((0, longest - length[row]), (0, 0))) for row in rows]
        alone = np.zeros(1, int)
        score = _scores(np.stack(few), length[rows], alone, shifts, reliability[rows])[0, 1:]
        parts.append(pd.DataFrame({"a": a, "b": rows[1:], "score": score}))
    return pd.concat(parts, ignore_index=True)


def _outline(curve: np.ndarray) -> np.ndarray:
    """Return how strongly a curve (C, T') moves at each of the slow rates: no shift changes it."""
    spectrum = np.abs(np.fft.rfft(curve, OUTLINE, axis=1))[:, 1 : 1 + RATES]
    return (spectrum / max(np.linalg.norm(spectrum), 1e-12)).ravel()


def _scores(
    x: np.ndarray, length: np.ndarray, rows: np.ndarray, shifts: int, reliability: np.ndarray
) -> np.ndarray:
    """Return the scores (rows, n) of recordings with all; 0 where one is far longer."""
    shorter = np.minimum.outer(length[rows], length)
    alike = shorter >= RATIO * np.maximum.outer(length[rows], length)
    score = _correlations(x, length, rows, shifts) * alike
    return score / np.sqrt(np.outer(reliability[rows], reliability))


def _correlations(x: np.ndarray, length: np.ndarray, rows: np.ndarray, shifts: int) -> np.ndarray:
    """Return the highest correlations (rows, n) of recordings with all, over shifts both ways."""
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
