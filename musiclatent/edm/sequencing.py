"""The automatic DJ, on paper: what one section costs after another, and an order of all tracks.

Sections are rows of a table, as `rhythm.rhythm_table` makes it; those of one track have the same
``path``. A track is left at the beginning of one of its later sections, its exit, for the beginning
of one of the earlier sections of the next, its entry.
"""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd
from scipy.spatial.distance import cdist

from musiclatent.config import SEED
from musiclatent.features.rhythm import STABLE
from musiclatent.features.tonal import Key, key_distance
from musiclatent.files import need_columns

REACH = 0.06  # largest change of tempo: one semitone where a turntable makes it
FAR = 10.0  # added to the tempo's part where beats cannot be matched
KEYS = 3.0  # steps of key distance that cost 1: beyond two, harmonies clash
SILENCE_DB = -60.0  # loudness below it is all the same
WEIGHTS = {"latent": 1.0, "tempo": 1.0, "key": 0.5, "energy": 0.5}  # of the parts of a cost
LEVEL_DB = 6.0  # step of loudness that costs 1
SHARE = 0.6  # entries lie in the first, exits in the last so much of a track
PLAY_S = 30.0  # what is played of a track between entry and exit
EXACT = 12  # tracks up to which the best order is found for certain
MOST = 4_000  # sections, 16 hours of 15 s: their matrix of costs holds the square of it
WORK = 2e8  # steps above which the exact order is given up
_KICKS = 1_000  # by the number of tracks: times that the search shakes an order it cannot improve
_SHAKEN = 8  # tracks in a row that change places then


@dataclass(frozen=True)
class Costs:
    """What each section (row) costs before each other (column).

    Parameters
    ----------
    total
        (B, B), float32, 0 or more: the sum of the parts.
    of_part
        The same of each part, by the names of `WEIGHTS`, weighted already.
    """

    total: np.ndarray
    of_part: dict[str, np.ndarray]

    def parts(self, i: int, j: int) -> dict[str, float]:
        """Return the parts of the cost of going from section `i` to section `j`."""
        return {part: float(costs[i, j]) for part, costs in self.of_part.items()}


@dataclass(frozen=True)
class Route:
    """An order of tracks.

    Parameters
    ----------
    tracks
        One row per track, as played: track (item_id), path, entry_s and exit_s (where it is entered
        and left, in its own time), entry and exit (rows of the table; -1 for the beginning and the
        end of the route), tempo, key (of most sections), loudness_db, and the cost of going to the
        next: cost, latent_cost, tempo_cost, key_cost, energy_cost (NaN for the last).
    total
        Sum of the costs.
    exact
        Whether no other order costs less.
    """

    tracks: pd.DataFrame
    total: float
    exact: bool


def transition_costs(table: pd.DataFrame, z: np.ndarray) -> Costs:
    """Return what it costs to play one section after another.

    Before the `WEIGHTS`, 1 is: the median distance of sections in `z`; a change of tempo by
    `REACH`, after doubling or halving; `KEYS` steps of key distance; `LEVEL_DB` of loudness. Beyond
    `REACH`, or without a steady beat, the tempo's part grows by `FAR`.

    Parameters
    ----------
    table
        Sections (B rows): path, tempo (beats per minute), stability, tonic, mode, loudness_db.
    z
        Latents or standardised descriptors (B, D) of the same rows.

    Raises
    ------
    ValueError
        If columns are missing, the rows of `table` and `z` differ, or there are none or more than
        `MOST`.
    """
    z = np.asarray(z, float)
    _validate(table, z)
    distance = cdist(z, z)
    median = np.median(distance[~np.eye(len(z), dtype=bool)]) if len(z) > 1 else 0.0
    loudness = table["loudness_db"].clip(lower=SILENCE_DB)
    loudness = loudness.fillna(loudness.median()).fillna(0).to_numpy(float)
    parts = {
        "latent": (distance / (median or 1.0)).astype(np.float32),
        "tempo": _tempo(table),
        "key": _key(table),
        "energy": (np.abs(loudness[:, None] - loudness) / LEVEL_DB).astype(np.float32),
    }
    parts = {name: np.float32(WEIGHTS[name]) * part for name, part in parts.items()}
    return Costs(sum(parts.values()), parts)


def candidates_after(costs: Costs, table: pd.DataFrame, *, i: int, k: int = 10) -> pd.DataFrame:
    """Find what can follow a section.

    Parameters
    ----------
    costs, table
        As `order_tracks` takes them.
    i
        Row of the section.
    k
        How many are listed.

    Returns
    -------
    DataFrame
        The k cheapest sections of other tracks: row, item_id, path, start_s, cost and its parts.

    Raises
    ------
    ValueError
        If there is no such row, or k is below 1.
    """
    if not 0 <= i < len(table) or k < 1:
        raise ValueError(f"row {i}, k {k}: take a row from 0 to {len(table) - 1}, k from 1 on")
    others = np.flatnonzero((table["path"] != table["path"].iloc[i]).to_numpy())
    rows = others[np.argsort(costs.total[i, others], kind="stable")[:k]]
    candidates = table.iloc[rows][["item_id", "path", "start_s"]].reset_index(drop=True)
    candidates.insert(0, "row", rows)
    candidates["cost"] = costs.total[i, rows]
    return candidates.assign(**{f"{k}_cost": part[i, rows] for k, part in costs.of_part.items()})


def order_tracks(table: pd.DataFrame, costs: Costs, seed: int = SEED) -> Route:
    """Order all tracks so that the transitions cost least.

    Every track comes once. The first is played from its beginning, the last to its end; every
    other is entered in its first and left in its last `SHARE`, at least `PLAY_S` apart, where its
    length allows. Order, entries and exits are chosen together.

    Parameters
    ----------
    table
        Sections (B rows): item_id, path, start_s, end_s, and what `transition_costs` takes.
    costs
        Of the same rows.
    seed
        Seed of the search where there are more than `EXACT` tracks.

    Raises
    ------
    ValueError
        If the costs are those of another table.

    Notes
    -----
    Held and Karp (1962), A dynamic programming approach to sequencing problems, over pairs of a
    track and its entry. Above `EXACT` tracks: greedy from every start, then moves that reverse a
    part or swap two neighbouring parts (2-opt and or-opt for costs that differ by direction), with
    random kicks (Lourenco, Martin and Stutzle 2003, Iterated local search).
    """
    if costs.total.shape != (len(table), len(table)):
        raise ValueError(
            f"there are {len(table)} sections, but costs of shape {costs.total.shape}; give the "
            "costs of this table"
        )
    tracks = _tracks(table)
    nodes = _nodes(table, tracks)
    track = np.array([node.track for node in nodes])
    step = _steps(nodes, costs.total)
    exact = len(tracks) <= EXACT and 2 ** len(tracks) * len(nodes) ** 2 <= WORK
    path = _held_karp(track, step) if exact else _search(track, step, seed)
    rows = _transitions(table, costs, [nodes[v] for v in path])
    return Route(rows, _length(path, step), exact)


@dataclass(frozen=True)
class _Node:
    """A track and where it is entered."""

    track: int
    row: int  # -1 for its beginning
    exits: np.ndarray  # rows where it may then be left


def _validate(table: pd.DataFrame, z: np.ndarray) -> None:
    """Refuse what `transition_costs` cannot compare."""
    wanted = ("path", "tempo", "stability", "tonic", "mode", "loudness_db")
    need_columns(table, wanted, "the sections lack", "take those of rhythm.rhythm_table")
    if z.ndim != 2 or not len(z) == len(table) > 0 or not np.isfinite(z).all():
        raise ValueError(
            f"z has shape {z.shape} for {len(table)} sections; give (B, D), a row of finite "
            "numbers for each of one or more"
        )
    if len(z) > MOST:
        raise ValueError(f"{len(z)} sections are more than {MOST}; mix fewer tracks at once")


def _tempo(table: pd.DataFrame) -> np.ndarray:
    """Return how far tempi are apart (B, B), 1 for `REACH`."""
    tempo = table["tempo"].to_numpy(float)
    steady = (table["stability"].to_numpy(float) >= STABLE) & (tempo > 0)
    octaves = np.log2(np.where(steady, tempo, 1.0)).astype(np.float32)
    difference = octaves[:, None] - octaves
    difference = np.abs(difference - np.round(difference)) / np.float32(np.log2(1 + REACH))
    difference[difference > 1] += np.float32(FAR)
    return np.where(steady[:, None] & steady, difference, np.float32(FAR))


def _key(table: pd.DataFrame) -> np.ndarray:
    """Return how far keys are apart (B, B), 1 for `KEYS` steps."""
    code, names = pd.MultiIndex.from_frame(table[["tonic", "mode"]]).factorize()
    keys = [Key(int(tonic), mode, 1.0) for tonic, mode in names]
    steps = np.array([[key_distance(a, b) for b in keys] for a in keys], np.float32)
    return steps[np.ix_(code, code)] / np.float32(KEYS)


def _tracks(table: pd.DataFrame) -> list[np.ndarray]:
    """Return the rows of each track by time; tracks by file name."""
    by_time = table.reset_index(drop=True).sort_values("start_s", kind="stable")
    return [rows.to_numpy() for rows in by_time.groupby("path").groups.values()]


def _nodes(table: pd.DataFrame, tracks: list[np.ndarray]) -> list[_Node]:
    """Return each track's beginning and entries, with the exits that go with them."""
    start_s, end_s = table["start_s"].to_numpy(float), table["end_s"].to_numpy(float)
    nodes = []
    for track, rows in enumerate(tracks):
        length = end_s[rows].max()
        late = rows[start_s[rows] >= (1 - SHARE) * length]
        entries = {-1: 0.0} | {row: start_s[row] for row in rows if start_s[row] <= SHARE * length}
        exits = {row: late[start_s[late] >= at_s + PLAY_S] for row, at_s in entries.items()}
        played = [_Node(track, row, late) for row, late in exits.items() if len(late)]
        nodes += played or [_Node(track, row, rows[-1:]) for row in (-1, rows[0])]
    return nodes


def _steps(nodes: list[_Node], total: np.ndarray) -> np.ndarray:
    """Return what it costs (V, V) to leave one node, at its best exit, for another."""
    track, row = (np.array([getattr(node, name) for node in nodes]) for name in ("track", "row"))
    step = np.stack([total[np.ix_(node.exits, row)].min(axis=0) for node in nodes]).astype(float)
    step[:, row < 0] = np.inf
    step[track[:, None] == track] = np.inf
    return step


def _held_karp(track: np.ndarray, step: np.ndarray) -> list[int]:
    """Find the cheapest path of nodes that meets every track once."""
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


def _search(track: np.ndarray, step: np.ndarray, seed: int) -> list[int]:
    """Find a cheap path of nodes, none more expensive than the tracks by name."""
    n = track[-1] + 1
    begins = np.unique(track, return_index=True)[1]
    rng = np.random.default_rng(seed)
    cost = np.zeros((n + 1, n + 1))  # the last row and column: before the first, after the last
    cost[:n, :n] = np.minimum.reduceat(np.minimum.reduceat(step, begins), begins, axis=1)
    np.fill_diagonal(cost, 0)
    best = min((_greedy(cost, first) for first in range(n)), key=lambda p: _length(p, cost))
    best = _improve(best, cost)
    for _ in range(_KICKS // n):
        shaken, at = best.copy(), 1 + rng.integers(max(1, n - _SHAKEN))
        part = slice(at, min(at + _SHAKEN, n + 1))
        shaken[part] = rng.permutation(shaken[part])
        best = min(best, _improve(shaken, cost), key=lambda p: _length(p, cost))
    paths = [_entries(order, track, step) for order in (best[1:-1], np.arange(n))]
    return min(paths, key=lambda path: _length(path, step))


def _length(path, step: np.ndarray) -> float:
    """Add up the costs along a path."""
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
    """Choose the entries, and with them the exits, of tracks in a given order (Viterbi)."""
    layers = [np.flatnonzero(track == t) for t in order]
    layers[0] = layers[0][:1]
    cost, back = np.zeros(1), []
    for a, b in pairwise(layers):
        through = cost[:, None] + step[np.ix_(a, b)]
        back.append(through.argmin(axis=0))
        cost = through.min(axis=0)
    at = [int(cost.argmin())]
    for previous in back[::-1]:
        at.append(int(previous[at[-1]]))
    return [int(layer[k]) for layer, k in zip(layers, at[::-1], strict=True)]


def _transitions(table: pd.DataFrame, costs: Costs, path: list[_Node]) -> pd.DataFrame:
    """Return the table of a route."""
    rows = []
    for node, following in zip(path, [*path[1:], None], strict=True):
        track = table[table["path"] == table["path"].iloc[node.exits[0]]]
        entry_s = 0.0 if node.row < 0 else float(table["start_s"].iloc[node.row])
        exit_row, exit_s, parts = -1, float(track["end_s"].max()), dict.fromkeys(WEIGHTS, np.nan)
        if following:
            exit_row = int(node.exits[costs.total[node.exits, following.row].argmin()])
            start_s, end_s = table[["start_s", "end_s"]].iloc[exit_row].astype(float)
            exit_s = start_s if start_s > entry_s else (entry_s + end_s) / 2
            parts = costs.parts(exit_row, following.row)
        row = {"track": track["item_id"].iloc[0], "path": track["path"].iloc[0]}
        row |= {"entry_s": entry_s, "exit_s": exit_s, "entry": node.row, "exit": exit_row}
        row |= {"tempo": track["tempo"].iloc[0], "key": track["key"].mode()[0]}
        power = 10 ** (track["loudness_db"].clip(lower=SILENCE_DB) / 10)
        row |= {"loudness_db": float(10 * np.log10(power.mean())), "cost": sum(parts.values())}
        rows.append(row | {f"{part}_cost": value for part, value in parts.items()})
    return pd.DataFrame(rows)
