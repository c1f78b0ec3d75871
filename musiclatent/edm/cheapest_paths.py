"""Cheap paths that meet each of several groups of nodes once, such as tracks with their entries."""

from collections.abc import Iterable
from itertools import pairwise

import numpy as np

from musiclatent.config import SEED

_KICKS = 1_000  # by the number of tracks: times that the search shakes an order it cannot improve
_SHAKEN = 8  # tracks in a row that change places then


def exact(track: np.ndarray, step: np.ndarray) -> list[int]:
    """Find the cheapest path of nodes that meets every track once.

    Parameters
    ----------
    track
        Track of each node (V,), rising; the path begins at the first of one.
    step
        What it costs to go from one node to another (V, V).

    Notes
    -----
    Held and Karp (1962), A dynamic programming approach to sequencing problems, over pairs of a
    track and its entry.
    """
    bit = 1 << track
    full = int(np.bitwise_or.reduce(bit))
    best = np.full((full + 1, len(track)), np.inf)  # of paths through a set that end at a node
    begins = np.unique(track, return_index=True)[1]
    best[bit[begins], begins] = 0
    for seen in range(1, full):
        inside, outside = np.flatnonzero(bit & seen), np.flatnonzero(bit & ~seen)
        through = best[seen, inside][:, None] + step[np.ix_(inside, outside)]
        best[seen | bit[outside], outside] = through.min(axis=0)
    path, seen = [int(best[full].argmin())], full
    while seen := seen ^ int(bit[path[-1]]):
        path.append(int((best[seen] + step[:, path[-1]]).argmin()))
    return path[::-1]


def search(track: np.ndarray, step: np.ndarray, seed: int) -> list[int]:
    """Find a cheap path of nodes, none more expensive than the tracks by their numbers.

    Parameters
    ----------
    track, step
        As `exact` takes them.
    seed
        Of the kicks.

    Notes
    -----
    Greedy from every start, then moves that reverse a part or swap two neighbouring parts (2-opt
    and or-opt for costs that differ by direction), with random kicks (Lourenco, Martin and Stutzle
    2003, Iterated local search).
    """
    order = cheapest_order(track, step, seed=seed)
    paths = [_entries(order, track, step) for order in (order, np.arange(track[-1] + 1))]
    return min(paths, key=lambda path: length(path, step))


def cheapest_order(
    track: np.ndarray,
    step: np.ndarray,
    *,
    before: np.ndarray | float = 0.0,
    after: np.ndarray | float = 0.0,
    start: np.ndarray | None = None,
    seed: int = SEED,
) -> np.ndarray:
    """Find a cheap order of tracks.

    Parameters
    ----------
    track, step
        As `exact` takes them.
    before, after
        What it costs to begin and to end with each track (T,).
    start
        An order (T,) that none is worse than.
    seed
        Of the kicks.

    Returns
    -------
    array (T,), int
        The tracks, as played.
    """
    n = track[-1] + 1
    begins = np.unique(track, return_index=True)[1]
    rng = np.random.default_rng(seed)
    cost = np.zeros((n + 1, n + 1))  # the last row and column: before the first, after the last
    cost[:n, :n] = np.minimum.reduceat(np.minimum.reduceat(step, begins), begins, axis=1)
    np.fill_diagonal(cost, 0)
    cost[n, :n], cost[:n, n] = before, after
    paths = [_greedy(cost, first) for first in range(n)]
    paths += [] if start is None else [np.array([n, *start, n])]
    best = min(paths, key=lambda p: length(p, cost))
    best = _improve(best, cost)
    for _ in range(_KICKS // n):
        shaken, at = best.copy(), 1 + rng.integers(max(1, n - _SHAKEN))
        part = slice(at, min(at + _SHAKEN, n + 1))
        shaken[part] = rng.permutation(shaken[part])
        best = min(best, _improve(shaken, cost), key=lambda p: length(p, cost))
    return best[1:-1]


def length(path: Iterable[int], step: np.ndarray) -> float:
    """Add up the costs (V, V) along a path."""
    return float(sum(step[v, w] for v, w in pairwise(path)))


def _greedy(cost: np.ndarray, first: int) -> np.ndarray:
    """Return the path that goes on to the cheapest track left; it begins and ends outside."""
    n = len(cost) - 1
    path, left = [n, first], np.arange(n) != first
    while left.any():
        path.append(int(np.where(left, cost[path[-1], :n], np.inf).argmin()))
        left[path[-1]] = False
    return np.array([*path, n])


def _improve(p: np.ndarray, cost: np.ndarray) -> np.ndarray:
    """Reverse parts and swap neighbouring parts of a path until that makes it no cheaper."""
    improved = True
    while improved:
        improved = False
        for i in range(1, len(p) - 2):
            for move in (_reversed, _swapped):
                change, moved = move(p, i, cost)
                if change < -1e-6:
                    p, improved = moved, True
    return p


def _reversed(p: np.ndarray, i: int, cost: np.ndarray) -> tuple[float, np.ndarray]:
    """Reverse p[i:j] for the best j; return by how much the cost changes, and the path."""
    ahead, back = cost[p[:-1], p[1:]], cost[p[1:], p[:-1]]
    j = np.arange(i + 2, len(p))
    change = cost[p[i - 1], p[j - 1]] + cost[p[i], p[j]] - ahead[i - 1] - ahead[j - 1]
    change += np.cumsum(back[i:-1] - ahead[i:-1])
    best, j = change.min(), j[change.argmin()]
    return best, np.concatenate([p[:i], p[i:j][::-1], p[j:]])


def _swapped(p: np.ndarray, i: int, cost: np.ndarray) -> tuple[float, np.ndarray]:
    """Swap p[i:j] and p[j:k] for the best j and k; return the change of cost, and the path."""
    m = np.arange(i + 1, len(p))
    cut = cost[p[m - 1], p[m]]
    change = cost[p[i - 1], p[m]][:, None] + cost[p[m - 1], p[i]] + cost[np.ix_(p[m - 1], p[m])]
    change -= cost[p[i - 1], p[i]] + cut[:, None] + cut
    change[np.tril_indices(len(m))] = 0  # j comes before k
    j, k = m[list(np.unravel_index(change.argmin(), change.shape))]
    return change.min(), np.concatenate([p[:i], p[j:k], p[i:j], p[k:]])


def _entries(order: np.ndarray, track: np.ndarray, step: np.ndarray) -> list[int]:
    """Choose the entries, and with them the exits, of tracks in a given order."""
    layers = [np.flatnonzero(track == t) for t in order]
    layers[0] = layers[0][:1]
    chosen = through_layers(step[np.ix_(a, b)] for a, b in pairwise(layers))
    return [int(layer[k]) for layer, k in zip(layers, chosen, strict=True)]


def through_layers(steps: Iterable[np.ndarray]) -> list[int]:
    """Choose a node of each layer so that the way through all costs least (Viterbi).

    Parameters
    ----------
    steps
        What it costs to go from each node of a layer to each of the next, (1, b), (b, c) and so on:
        the first layer has one node.
    """
    cost, back = np.zeros(1), []
    for step in steps:
        through = cost[:, None] + step
        back.append(through.argmin(axis=0))
        cost = through.min(axis=0)
    at = [int(cost.argmin())]
    for previous in back[::-1]:
        at.append(int(previous[at[-1]]))
    return at[::-1]
