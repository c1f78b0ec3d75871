"""The automatic DJ, on paper: what one section costs after another, and an order of all tracks.

Sections are rows of a table, as `rhythm.rhythm_table` makes it; those of one track have the same
``path``. A track is left at the beginning of one of its later sections, its exit, for the beginning
of one of the earlier sections of the next, its entry.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.spatial.distance import cdist

from musiclatent.config import SEED
from musiclatent.edm import cheapest_paths
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
# Sections, 16 hours of 15 s: their matrix of costs holds the square of it; see `parts`.
MOST = 4_000
MANY = 1_000  # tracks: the search takes their cube, 9 s for 400 and hours for 4,000; see `parts`
WORK = 2e8  # steps above which the exact order is given up


@dataclass(frozen=True)
class Costs:
    """What each section (row) costs before each other (column).

    Parameters
    ----------
    total
        (B, B), or of some rows and columns, float32, 0 or more: the sum of the parts.
    of_part
        The same of each part, by the names of `WEIGHTS`, weighted already.
    """

    total: np.ndarray
    of_part: dict[str, np.ndarray]

    def parts(self, i: int, j: int) -> dict[str, float]:
        """Return the parts of the cost of going from section `i` to section `j`."""
        return {part: float(costs[i, j]) for part, costs in self.of_part.items()}

    def between(self, rows: np.ndarray, columns: np.ndarray) -> "Costs":
        """Return the costs of some rows (R,) before some columns (C,)."""
        at = np.ix_(rows, columns)
        return Costs(self.total[at], {part: costs[at] for part, costs in self.of_part.items()})


@dataclass(frozen=True, kw_only=True)
class Prices:
    """What the costs of sections depend on, for those whose matrix is too large.

    Parameters
    ----------
    z
        Latents (B, D), float.
    unit
        Distance in `z` that costs 1.
    octaves
        Logarithm of the tempo (B,), to the base 2; 0 without a steady beat.
    steady
        Whether there is one (B,), bool.
    key
        Key of each (B,), int.
    steps
        Distances of keys (K, K), 1 for `KEYS` steps.
    loudness
        Loudness (B,) in dB.
    """

    z: np.ndarray
    unit: float
    octaves: np.ndarray
    steady: np.ndarray
    key: np.ndarray
    steps: np.ndarray
    loudness: np.ndarray

    def between(self, rows: np.ndarray, columns: np.ndarray) -> Costs:
        """Return the costs of some rows (R,) before some columns (C,)."""
        a, b = np.asarray(rows), np.asarray(columns)
        both = self.steady[a, None] & self.steady[b]
        louder = np.abs(self.loudness[a, None] - self.loudness[b]) / LEVEL_DB
        parts = {
            "latent": (cdist(self.z[a], self.z[b]) / self.unit).astype(np.float32),
            "tempo": _tempo(self.octaves[a, None] - self.octaves[b], both),
            "key": self.steps[np.ix_(self.key[a], self.key[b])],
            "energy": louder.astype(np.float32),
        }
        parts = {name: np.float32(WEIGHTS[name]) * part for name, part in parts.items()}
        return Costs(sum(parts.values()), parts)


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
    if len(table) > MOST:
        raise ValueError(f"{len(table)} sections are more than {MOST}; mix fewer tracks at once")
    rows = np.arange(len(table))
    return prices(table, z).between(rows, rows)


def prices(table: pd.DataFrame, z: np.ndarray) -> Prices:
    """Find what the costs of sections depend on, in memory that grows with their number.

    Of more than `MOST` sections the median distance is that of as many, spread evenly.

    Parameters
    ----------
    table, z
        As `transition_costs` takes them.

    Raises
    ------
    ValueError
        As `transition_costs`, but for how many there are.
    """
    z = np.asarray(z, float)
    _validate(table, z)
    some = z[np.linspace(0, len(z) - 1, min(len(z), MOST)).round().astype(int)]
    distance = cdist(some, some)
    median = np.median(distance[~np.eye(len(some), dtype=bool)]) if len(some) > 1 else 0.0
    tempo = table["tempo"].to_numpy(float)
    steady = (table["stability"].to_numpy(float) >= STABLE) & (tempo > 0)
    loudness = table["loudness_db"].clip(lower=SILENCE_DB)
    code, names = pd.MultiIndex.from_frame(table[["tonic", "mode"]]).factorize()
    return Prices(
        z=z,
        unit=median or 1.0,
        octaves=np.log2(np.where(steady, tempo, 1.0)).astype(np.float32),
        steady=steady,
        key=code,
        steps=_key_steps([Key(int(tonic), mode, 1.0) for tonic, mode in names]),
        loudness=loudness.fillna(loudness.median()).fillna(0).to_numpy(float),
    )


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
    See `cheapest_paths`: `exact` up to `EXACT` tracks, `search` above. Of more sections than `MOST`
    the order is found in parts, see `parts`.
    """
    if costs.total.shape != (len(table), len(table)):
        raise ValueError(
            f"there are {len(table)} sections, but costs of shape {costs.total.shape}; give the "
            "costs of this table"
        )
    tracks = tracks_of(table)
    nodes = nodes_of(table, tracks)
    track = np.array([node.track for node in nodes])
    step = steps_of(nodes, costs.total)
    exact = len(tracks) <= EXACT and 2 ** len(tracks) * len(nodes) ** 2 <= WORK
    path = cheapest_paths.exact(track, step) if exact else cheapest_paths.search(track, step, seed)
    rows = transitions(table, tracks, path=[nodes[v] for v in path], between=costs.between)
    return Route(rows, cheapest_paths.length(path, step), exact)


@dataclass(frozen=True)
class Node:
    """A track and where it is entered.

    Parameters
    ----------
    track
        Its number.
    row
        Of the section where it is entered; -1 for its beginning.
    exits
        Rows where it may then be left (E,).
    """

    track: int
    row: int
    exits: np.ndarray


def _validate(table: pd.DataFrame, z: np.ndarray) -> None:
    """Refuse what `transition_costs` cannot compare."""
    wanted = ("path", "tempo", "stability", "tonic", "mode", "loudness_db")
    need_columns(table, wanted, "the sections lack", "take those of rhythm.rhythm_table")
    if z.ndim != 2 or not len(z) == len(table) > 0 or not np.isfinite(z).all():
        raise ValueError(
            f"z has shape {z.shape} for {len(table)} sections; give (B, D), a row of finite "
            "numbers for each of one or more"
        )


def _tempo(difference: np.ndarray, steady: np.ndarray) -> np.ndarray:
    """Return how far tempi are apart (B, B), 1 for `REACH`, of octaves and of where both are."""
    difference = np.abs(difference - np.round(difference)) / np.float32(np.log2(1 + REACH))
    difference[difference > 1] += np.float32(FAR)
    return np.where(steady, difference, np.float32(FAR))


def _key_steps(keys: Sequence[Key]) -> np.ndarray:
    """Return how far keys are apart (K, K), 1 for `KEYS` steps."""
    steps = np.array([[key_distance(a, b) for b in keys] for a in keys], np.float32)
    return steps / np.float32(KEYS)


def tracks_of(table: pd.DataFrame) -> list[np.ndarray]:
    """Return the rows of each track by time; tracks by file name."""
    by_time = table.reset_index(drop=True).sort_values("start_s", kind="stable")
    return [rows.to_numpy() for rows in by_time.groupby("path").groups.values()]


def nodes_of(table: pd.DataFrame, tracks: list[np.ndarray]) -> list[Node]:
    """Return each track's beginning and entries, with the exits that go with them.

    Parameters
    ----------
    table
        Sections, as `order_tracks` takes them.
    tracks
        Rows of each track by time, see `tracks_of`; their places here are the numbers of tracks.
    """
    start_s, end_s = table["start_s"].to_numpy(float), table["end_s"].to_numpy(float)
    nodes = []
    for track, rows in enumerate(tracks):
        length = end_s[rows].max()
        late = rows[start_s[rows] >= (1 - SHARE) * length]
        entries = {-1: 0.0} | {row: start_s[row] for row in rows if start_s[row] <= SHARE * length}
        exits = {row: late[start_s[late] >= at_s + PLAY_S] for row, at_s in entries.items()}
        played = [Node(track, row, late) for row, late in exits.items() if len(late)]
        if not any(node.row >= 0 for node in played):
            played = [Node(track, row, rows[-1:]) for row in (-1, rows[0])]
        nodes += played
    return nodes


def steps_of(nodes: list[Node], total: np.ndarray) -> np.ndarray:
    """Return what it costs (V, V) to leave one node, at its best exit, for another."""
    track, row = (np.array([getattr(node, name) for node in nodes]) for name in ("track", "row"))
    step = np.stack([total[np.ix_(node.exits, row)].min(axis=0) for node in nodes]).astype(float)
    step[:, row < 0] = np.inf
    step[track[:, None] == track] = np.inf
    return step


def transitions(
    table: pd.DataFrame,
    tracks: Sequence[np.ndarray],
    *,
    path: Sequence[Node],
    between: Callable[[np.ndarray, np.ndarray], Costs],
) -> pd.DataFrame:
    """Return the table of a route, see `Route`.

    Parameters
    ----------
    table
        Sections, as `order_tracks` takes them.
    tracks
        Rows of each track, see `tracks_of`.
    path
        The tracks, as played.
    between
        Costs of some rows before others.
    """
    rows = []
    for node, following in zip(path, [*path[1:], None], strict=True):
        track = table.iloc[np.sort(tracks[node.track])]
        entry_s = 0.0 if node.row < 0 else float(table["start_s"].iloc[node.row])
        exit_row, exit_s, parts = -1, float(track["end_s"].max()), dict.fromkeys(WEIGHTS, np.nan)
        if following:
            costs = between(node.exits, [following.row])
            best = int(costs.total[:, 0].argmin())
            exit_row = int(node.exits[best])
            start_s, end_s = table[["start_s", "end_s"]].iloc[exit_row].astype(float)
            exit_s = start_s if start_s > entry_s else (entry_s + end_s) / 2
            parts = costs.parts(best, 0)
        row = {"track": track["item_id"].iloc[0], "path": track["path"].iloc[0]}
        row |= {"entry_s": entry_s, "exit_s": exit_s, "entry": node.row, "exit": exit_row}
        row |= {"tempo": track["tempo"].iloc[0], "key": track["key"].mode()[0]}
        power = 10 ** (track["loudness_db"].clip(lower=SILENCE_DB) / 10)
        row |= {"loudness_db": float(10 * np.log10(power.mean())), "cost": sum(parts.values())}
        rows.append(row | {f"{part}_cost": value for part, value in parts.items()})
    return pd.DataFrame(rows)
