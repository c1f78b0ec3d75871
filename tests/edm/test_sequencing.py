from itertools import pairwise, permutations, product

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from musiclatent.edm import cheapest_paths, sequencing
from musiclatent.edm.sequencing import FAR, WEIGHTS

SECTION_S = 15.0


def _table(sections, rng) -> pd.DataFrame:
    """Tracks of so many sections each, of random tempo, key and loudness."""
    rows = []
    for track, n in enumerate(sections):
        shared = {"tempo": rng.uniform(118, 132), "tonic": rng.integers(12), "mode": "minor"}
        shared |= {"item_id": f"t{track}", "path": f"/music/t{track:03}.flac", "stability": 0.9}
        for i in range(n):
            times = {"start_s": i * SECTION_S, "end_s": (i + 1) * SECTION_S}
            rows.append(shared | times | {"loudness_db": rng.normal(-14, 2), "key": "A minor"})
    return pd.DataFrame(rows)


def _costs(table, rng) -> sequencing.Costs:
    return sequencing.transition_costs(table, rng.standard_normal((len(table), 4)))


def _two(**columns) -> pd.DataFrame:
    """Two sections of two tracks that are alike but for some columns."""
    same = {"item_id": ["a", "b"], "path": ["a", "b"], "start_s": 0.0, "end_s": 15.0}
    same |= {"tempo": 120.0, "stability": 1.0, "tonic": 0, "mode": "major", "key": "C major"}
    return pd.DataFrame(same | {"loudness_db": -14.0} | columns)


def _part(name, **columns) -> float:
    table = _two(**columns)
    parts = sequencing.transition_costs(table, np.zeros((2, 3))).parts(0, 1)
    assert all(value == 0 for part, value in parts.items() if part != name)
    return parts[name] / WEIGHTS[name]


def test_sections_that_are_alike_cost_nothing():
    assert (sequencing.transition_costs(_two(), np.zeros((2, 3))).total == 0).all()


@pytest.mark.parametrize(
    ("tempi", "cost"),
    [
        ((120, 120 * 1.0599), 1.0),
        ((120 * 1.0599, 120), 1.0),
        ((120, 120 * 1.061), FAR + 1.016),
        ((70, 140), 0.0),
        ((140, 70), 0.0),
        ((62, 120), 0.5627),
        ((120, 180), FAR + 4.9374),
    ],
)
def test_tempi_are_compared_as_ratios_after_doubling(tempi, cost):
    assert _part("tempo", tempo=np.array(tempi, float)) == pytest.approx(cost, abs=2e-3)


@pytest.mark.parametrize(
    "columns", [{"stability": [1.0, 0.0]}, {"tempo": [120.0, np.nan]}, {"tempo": [0.0, 120.0]}]
)
def test_without_a_beat_the_tempo_is_out_of_reach_but_finite(columns):
    assert _part("tempo", **columns) == FAR


def test_keys_and_loudness_cost_by_their_steps():
    assert _part("key", tonic=[0, 9], mode=["major", "minor"]) == 0  # relative
    assert _part("key", tonic=[0, 7]) == pytest.approx(1 / sequencing.KEYS)
    assert _part("key", tonic=[0, 6]) == pytest.approx(6 / sequencing.KEYS)
    assert _part("key", tonic=[-1, 6], mode=["", "major"]) == 0  # drums clash with nothing
    assert _part("energy", loudness_db=[-10.0, -22.0]) == pytest.approx(2.0)
    assert _part("energy", loudness_db=[-np.inf, sequencing.SILENCE_DB]) == 0
    assert _part("energy", loudness_db=[np.nan, -10.0]) == 0


def test_latents_are_measured_by_their_median_distance_and_parts_add_up(rng):
    table, z = _table([4, 3], rng), rng.standard_normal((7, 5))
    costs = sequencing.transition_costs(table, z)
    apart = costs.of_part["latent"][~np.eye(7, dtype=bool)]
    assert np.median(apart) == pytest.approx(WEIGHTS["latent"], rel=1e-5)
    assert sum(costs.parts(1, 5).values()) == pytest.approx(costs.total[1, 5], rel=1e-6)
    again = sequencing.transition_costs(table, 100 * z)
    np.testing.assert_allclose(again.total, costs.total, rtol=1e-5, atol=1e-6)
    assert costs.total.shape == (7, 7) and costs.total.dtype == np.float32


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t, z: (t.drop(columns=["tempo", "mode"]), z), "lack tempo, mode"),
        (lambda t, z: (t, z[:-1]), r"shape \(6, 2\) for 7 sections"),
        (lambda t, z: (t, z * np.nan), "finite"),
    ],
)
def test_what_cannot_be_compared_is_refused(rng, change, message):
    with pytest.raises(ValueError, match=message):
        sequencing.transition_costs(*change(_table([4, 3], rng), np.zeros((7, 2))))


def test_too_many_sections_and_costs_of_another_table_are_refused(rng, monkeypatch):
    table = _table([2, 2], rng)
    costs = _costs(table, rng)
    with pytest.raises(ValueError, match="costs of this table"):
        sequencing.order_tracks(table.iloc[:3], costs)
    with pytest.raises(ValueError, match="for 0 sections"):
        sequencing.transition_costs(table.iloc[:0], np.zeros((0, 2)))
    monkeypatch.setattr(sequencing, "MOST", 3)
    with pytest.raises(ValueError, match="4 sections are more than 3"):
        _costs(table, rng)


def test_what_follows_a_section_comes_from_other_tracks_the_cheapest_first(rng):
    table = _table([4, 3, 5], rng)
    costs = _costs(table, rng)
    candidates = sequencing.candidates_after(costs, table, i=5, k=4)
    assert len(candidates) == 4 and "t1" not in set(candidates["item_id"])
    assert candidates["cost"].is_monotonic_increasing
    others = np.flatnonzero(table["item_id"] != "t1")
    assert candidates["cost"].iloc[0] == costs.total[5, others].min()
    parts = candidates[[f"{part}_cost" for part in WEIGHTS]].sum(axis=1)
    np.testing.assert_allclose(parts, candidates["cost"], rtol=1e-5)
    assert len(sequencing.candidates_after(costs, table, i=0, k=100)) == 8
    with pytest.raises(ValueError, match="row 12"):
        sequencing.candidates_after(costs, table, i=12, k=1)


def _brute_force(table, total) -> float:
    """Try all orders, entries and exits, by the words of the rules."""
    tracks = [rows.to_numpy() for rows in table.groupby("path").groups.values()]
    start, end = table["start_s"].to_numpy(), table["end_s"].to_numpy()

    def plays(rows):
        length = end[rows[-1]]
        early = [row for row in rows if start[row] <= 0.6 * length]
        late = [row for row in rows if start[row] >= 0.4 * length - 1e-9]
        pairs = [(e, x) for e, x in product(early, late) if start[x] >= start[e] + 30]
        return pairs or [(rows[0], rows[-1])]

    best = np.inf
    for path in permutations(tracks):
        first = [x for x in path[0] if start[x] >= max(0.4 * end[path[0][-1]] - 1e-9, 30)]
        state = dict.fromkeys(first or path[0][-1:], 0.0)
        for rows in path[1:-1]:
            after = {}
            for e, x in plays(rows):
                cost = min(cost + total[out, e] for out, cost in state.items())
                after[x] = min(cost, after.get(x, np.inf))
            state = after
        entries = {e for e, _ in plays(path[-1])}
        ends = (cost + total[out, e] for (out, cost), e in product(state.items(), entries))
        best = min(best, *ends)
    return best


@given(st.lists(st.integers(1, 7), min_size=2, max_size=5), st.integers(0, 999))
@settings(max_examples=25, deadline=None)
def test_the_order_is_the_best_of_all(sections, seed):
    rng = np.random.default_rng(seed)
    table = _table(sections, rng)
    costs = _costs(table, rng)
    route = sequencing.order_tracks(table, costs)
    assert route.exact and route.total == pytest.approx(_brute_force(table, costs.total), rel=1e-5)
    assert route.tracks["cost"].sum() == pytest.approx(route.total, rel=1e-5)


def _graph(table, costs):
    nodes = sequencing.nodes_of(table, sequencing.tracks_of(table))
    return np.array([node.track for node in nodes]), sequencing.steps_of(nodes, costs.total)


@given(st.lists(st.integers(1, 8), min_size=2, max_size=30), st.integers(0, 999))
@settings(max_examples=8, deadline=None)
def test_a_route_visits_every_track_once_and_plays_it(sections, seed):
    rng = np.random.default_rng(seed)
    table = _table(sections, rng)
    costs = _costs(table, rng)
    route = sequencing.order_tracks(table, costs, seed)
    assert sorted(route.tracks["path"]) == sorted(table["path"].unique())
    assert route.exact == (len(sections) <= sequencing.EXACT)
    length = table.groupby("path")["end_s"].max()[route.tracks["path"]].to_numpy()
    entry, exit = route.tracks["entry_s"].to_numpy(), route.tracks["exit_s"].to_numpy()
    assert (exit > entry).all() and (exit <= length).all() and entry[0] == 0
    assert (exit - entry)[length >= 75].min(initial=np.inf) >= 30
    assert (entry <= 0.6 * length).all() and (exit >= 0.4 * length).all()
    by_name, step = np.arange(len(sections)), _graph(table, costs)
    assert (
        route.total
        <= cheapest_paths.length(cheapest_paths._entries(by_name, *step), step[1]) + 1e-6
    )
    for (_, a), (_, b) in pairwise(route.tracks.iterrows()):
        assert a["cost"] == pytest.approx(costs.total[a["exit"], b["entry"]], rel=1e-5)
        assert table["path"][a["exit"]] == a["path"] and table["path"][b["entry"]] == b["path"]


def test_the_search_finds_what_is_known_to_be_best(rng):
    # Tracks on a line: the cheapest path runs along it, whatever their names.
    table = _table([4] * 40, rng).assign(tempo=120.0, tonic=0, loudness_db=-14.0)
    place = rng.permutation(40)
    z = np.repeat(place, 4)[:, None].astype(float)
    route = sequencing.order_tracks(table, sequencing.transition_costs(table, z))
    visited = place[[int(path[8:11]) for path in route.tracks["path"]]]
    assert (np.abs(np.diff(visited)) == 1).all() and not route.exact


def test_the_search_is_as_good_as_the_exact_order_or_nearly(rng):
    table = _table([6] * 10, rng)
    costs = _costs(table, rng)
    track, step = _graph(table, costs)
    best = sequencing.order_tracks(table, costs).total
    assert best <= cheapest_paths.length(cheapest_paths.search(track, step, 0), step) <= 1.25 * best


def test_one_track_is_played_whole_and_the_same_seed_gives_the_same_route(rng):
    table = _table([1], rng)
    route = sequencing.order_tracks(table, _costs(table, rng))
    assert route.tracks[["entry_s", "exit_s"]].to_numpy().tolist() == [[0.0, 15.0]]
    assert route.total == 0 and np.isnan(route.tracks["cost"].iloc[0])
    table = _table([5] * 20, rng)
    costs = _costs(table, rng)
    a, b = (sequencing.order_tracks(table, costs, seed=3).tracks for _ in range(2))
    pd.testing.assert_frame_equal(a, b)


def test_rows_may_come_in_any_order_with_any_index(rng):
    table, z = _table([5, 4, 6, 5], rng), rng.standard_normal((20, 4))
    shuffled = rng.permutation(20)
    a = sequencing.order_tracks(table, sequencing.transition_costs(table, z))
    moved = table.iloc[shuffled]
    b = sequencing.order_tracks(moved, sequencing.transition_costs(moved, z[shuffled]))
    assert b.total == pytest.approx(a.total, rel=1e-6)
    same = ["path", "entry_s", "exit_s"]
    assert a.tracks[same].equals(b.tracks[same]) or a.tracks[same].equals(b.tracks[same][::-1])


def test_short_tracks_after_a_silence_can_be_entered(rng):
    # Their only exit lies too near to their first audible section; such two once hung the search.
    table = _table([6] * 14, rng)
    short = table["item_id"].isin(["t3", "t5"])
    table = table[~short | table["start_s"].between(15, 30)].reset_index(drop=True)
    route = sequencing.order_tracks(table, _costs(table, rng))
    assert np.isfinite(route.total) and len(route.tracks) == 14
