"""Order more tracks than can all be compared with each other: part by part.

Tracks are divided into parts of such that sound alike, and the parts stand beside those that they
are like. Each is ordered as `sequencing` does it, and begins near where the part before it ended.
The second half of each and the first of the next are ordered again, together; then entries and
exits of all tracks are chosen. Time grows with the number of tracks; the memory is that of one
part, beside what is known of each section.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import pandas as pd

from musiclatent.config import SEED
from musiclatent.edm import cheapest_paths, sequencing
from musiclatent.edm.sequencing import Node, Prices, Route
from musiclatent.files import progress

# Of a part: of four minutes each they are 4,000 sections, and the search takes the cube of it.
TRACKS = 250
TEMPO = 4.0  # how much more than their cost here tempi divide, for what is out of reach costs FAR


def order_tracks(table: pd.DataFrame, z: np.ndarray, seed: int = SEED) -> Route:
    """Order all tracks so that the transitions cost little, in parts of at most `MOST` sections.

    Parameters
    ----------
    table
        Sections (B rows), as `sequencing.order_tracks` takes them.
    z
        Latents or standardised descriptors (B, D) of the same rows.
    seed
        Of the search in each part.

    Returns
    -------
    Route
        Every track once, with the costs that `sequencing.prices` gives.

    Raises
    ------
    ValueError
        As `sequencing.prices`.
    """
    prices, tracks = sequencing.prices(table, z), sequencing.tracks_of(table)
    sections = np.array([len(rows) for rows in tracks])
    known = _Known(table, prices, seed)
    order: list[np.ndarray] = []  # rows of the tracks, as played
    ends = [0]
    for part in progress(divide(_places(tracks, prices), sections), "order", "part", delay=2):
        order += _ordered(known, [tracks[t] for t in np.sort(part)], before=order[-1:])
        ends.append(len(order))
    _join(known, order, ends)
    path = _entered(table, order, prices)
    rows = sequencing.transitions(table, order, path=path, between=prices.between)
    return Route(rows, float(rows["cost"].sum()), len(tracks) == 1)


def divide(x: np.ndarray, sections: np.ndarray) -> list[np.ndarray]:
    """Divide tracks into parts, each again in two where they lie farthest apart.

    Parameters
    ----------
    x
        Where each track lies (T, D).
    sections
        How many sections each has (T,).

    Returns
    -------
    list of arrays
        Numbers of the tracks of each part: at most `TRACKS`, and of at most `sequencing.MOST`
        sections or one track. Each is followed by one that lies beside it.
    """
    return list(_halves(np.asarray(x, float), np.asarray(sections), np.arange(len(x)), None))


def _halves(
    x: np.ndarray, sections: np.ndarray, part: np.ndarray, before: np.ndarray | None
) -> Iterator[np.ndarray]:
    """Yield the parts of a part along the first principal direction, turned as the one before."""
    if len(part) == 1 or (sections[part].sum() <= sequencing.MOST and len(part) <= TRACKS):
        yield part
        return
    apart = x[part] - x[part].mean(axis=0)
    direction = np.linalg.eigh(apart.T @ apart)[1][:, -1]
    along = direction[np.abs(direction).argmax()] if before is None else direction @ before
    direction *= -1.0 if along < 0 else 1.0
    part = part[np.argsort(apart @ direction, kind="stable")]
    until = np.cumsum(sections[part])
    cut = int(np.clip(np.searchsorted(until, until[-1] / 2, side="right"), 1, len(part) - 1))
    for half in (part[:cut], part[cut:]):
        yield from _halves(x, sections, half, direction)


def _places(tracks: Sequence[np.ndarray], prices: Prices) -> np.ndarray:
    """Return where tracks lie (T, D), so that far apart is expensive."""
    weights, angle = sequencing.WEIGHTS, 2 * np.pi * prices.octaves
    # Half and double are the same tempo: a circle, on which `REACH` is as long as it costs.
    radius = TEMPO * weights["tempo"] / (2 * np.pi * np.log2(1 + sequencing.REACH))
    x = [
        weights["latent"] * prices.z / prices.unit,
        radius * np.stack([np.cos(angle), np.sin(angle)], axis=1) * prices.steady[:, None],
        sequencing.FAR * ~prices.steady[:, None],
        weights["energy"] * prices.loudness[:, None] / sequencing.LEVEL_DB,
    ]
    return np.stack([np.hstack([part[rows].mean(axis=0) for part in x]) for rows in tracks])


@dataclass(frozen=True)
class _Known:
    """What a part is ordered by."""

    table: pd.DataFrame
    prices: Prices
    seed: int


def _join(known: _Known, order: list[np.ndarray], ends: Sequence[int]) -> None:
    """Order again, in place, what lies around the end of each part."""
    halves = [(a + b) // 2 for a, b in pairwise(ends)]
    for first, last in progress(list(pairwise(halves)), "join", "part", delay=2):
        span = order[first:last]
        if sum(map(len, span)) <= sequencing.MOST:
            before, after = order[max(0, first - 1) : first], order[last : last + 1]
            order[first:last] = _ordered(known, span, before=before, after=after, begun=True)


def _ordered(
    known: _Known,
    tracks: Sequence[np.ndarray],
    *,
    before: Sequence[np.ndarray] = (),
    after: Sequence[np.ndarray] = (),
    begun: bool = False,
) -> list[np.ndarray]:
    """Order some tracks, between one before and one after where there are such.

    The order in which they are given is taken for a first one if it is `begun`.
    """
    rows, lengths = np.concatenate(tracks), [len(track) for track in tracks]
    of_track = np.split(np.arange(len(rows)), np.cumsum(lengths)[:-1])
    nodes = sequencing.nodes_of(known.table.iloc[rows], of_track)
    track = np.array([node.track for node in nodes])
    costs = known.prices.between
    ends = {"before": np.zeros(len(tracks)), "after": np.zeros(len(tracks))}
    for end in before:
        total = costs(sequencing.nodes_of(known.table, [end])[0].exits, rows).total.min(axis=0)
        ends["before"] = np.array([total[of].min() for of in of_track])
    for end in after:
        entries = [node.row for node in sequencing.nodes_of(known.table, [end]) if node.row >= 0]
        total = costs(rows, entries).total.min(axis=1)
        ends["after"] = np.array([total[of].min() for of in of_track])
    step = sequencing.steps_of(nodes, costs(rows, rows).total)
    start = np.arange(len(tracks)) if begun else None
    best = cheapest_paths.cheapest_order(track, step, **ends, start=start, seed=known.seed)
    return [tracks[t] for t in best]


def _entered(table: pd.DataFrame, order: Sequence[np.ndarray], prices: Prices) -> list[Node]:
    """Choose entries and exits of tracks in a given order."""

    def layer(i: int) -> list[Node]:
        """Return the nodes of the i-th track, made anew: those of all would fill the memory."""
        nodes = [replace(node, track=i) for node in sequencing.nodes_of(table, [order[i]])]
        return nodes if i else nodes[:1]

    def step(i: int) -> np.ndarray:
        """Return what it costs to go from each node of the i-th track to each of the next."""
        rows = np.array([node.row for node in layer(i + 1)])
        costs = [prices.between(node.exits, rows).total.min(axis=0) for node in layer(i)]
        return np.where(rows < 0, np.inf, np.stack(costs))

    chosen = cheapest_paths.through_layers(step(i) for i in range(len(order) - 1))
    return [layer(i)[k] for i, k in enumerate(chosen)]
