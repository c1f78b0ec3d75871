"""Tracks ordered in parts: each once, at the true costs, nearly as well as all together."""

import numpy as np
import pandas as pd
import pytest

from musiclatent.edm import sequencing
from musiclatent.edm.large import parts


def _music(rng, tracks: int, sections: int = 5) -> tuple[pd.DataFrame, np.ndarray]:
    """Tracks of four styles, each of its tempo, in any order of their names."""
    style = rng.integers(4, size=tracks)
    of = np.repeat(np.arange(tracks), sections)
    place = np.tile(15.0 * np.arange(sections), tracks)
    table = pd.DataFrame({"item_id": of.astype(str), "start_s": place, "end_s": place + 15.0})
    table["path"] = [f"/music/{track:03}.flac" for track in of]
    table["tempo"] = (np.array([90, 118, 128, 174])[style] * rng.uniform(0.99, 1.01, tracks))[of]
    table["loudness_db"] = rng.normal(-14, 1, len(table))
    table = table.assign(stability=1.0, tonic=0, mode="minor", key="C minor")
    return table, 3 * np.eye(4)[style][of] + rng.normal(0, 0.3, (len(table), 4))


@pytest.fixture
def small(monkeypatch):
    """Parts of a few tracks; what all cost is still that of the whole."""
    unit, most = sequencing.prices, sequencing.MOST

    def prices(table, z):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sequencing, "MOST", most)
            return unit(table, z)

    monkeypatch.setattr(sequencing, "prices", prices)

    def limit(n: int) -> None:
        monkeypatch.setattr(sequencing, "MOST", n)

    return limit


def test_every_track_comes_once_at_true_costs_and_again_the_same(rng, small):
    table, z = _music(rng, 24)
    table = table.sample(frac=1, random_state=1)
    z = z[table.index]
    costs = sequencing.transition_costs(table, z)
    whole = sequencing.order_tracks(table, costs)
    small(60)
    route = parts.order_tracks(table, z)
    rows = route.tracks
    assert sorted(rows["path"]) == sorted(table["path"].unique()) and not route.exact
    left, entered = rows["exit"].to_numpy()[:-1], rows["entry"].to_numpy()[1:]
    np.testing.assert_allclose(rows["cost"][:-1], costs.total[left, entered], rtol=1e-5)
    assert route.total == pytest.approx(costs.total[left, entered].sum(), rel=1e-5)
    path = table["path"].to_numpy()
    assert (path[left] == rows["path"][:-1]).all() and (path[entered] == rows["path"][1:]).all()
    assert (
        rows["entry"][0] == -1 == rows["exit"].iloc[-1] and (rows["exit_s"] > rows["entry_s"]).all()
    )
    assert 0.9 * whole.total <= route.total <= 1.4 * whole.total
    pd.testing.assert_frame_equal(parts.order_tracks(table, z).tracks, rows)


def test_one_part_is_ordered_as_all_are(rng):
    table, z = _music(rng, 20)
    whole = sequencing.order_tracks(table, sequencing.transition_costs(table, z))
    route = parts.order_tracks(table, z)
    assert route.total == pytest.approx(whole.total, rel=1e-4)


def test_parts_hold_what_lies_together_and_stand_beside_their_like(rng, small, monkeypatch):
    place = rng.permutation(64)
    x = np.stack([place, 0.01 * rng.normal(size=64)], axis=1)
    small(80)
    found = parts.divide(x, np.full(64, 10))
    assert [len(part) for part in found] == [8] * 8
    assert sorted(np.concatenate(found)) == list(range(64))
    middles = [place[part].mean() for part in found]
    assert (np.abs(np.diff(middles)) == 8).all() and all(np.ptp(place[p]) == 7 for p in found)
    monkeypatch.setattr(parts, "TRACKS", 4)
    assert max(map(len, parts.divide(x, np.full(64, 10)))) == 4
    assert [len(part) for part in parts.divide(x[:2], np.array([500, 1]))] == [1, 1]


def test_half_and_double_tempo_lie_together_and_without_a_beat_apart(rng):
    table, z = _music(rng, 4)
    tempo = np.repeat([60.0, 120.0, 85.0, 120.0], 5)
    table = table.assign(tempo=tempo, loudness_db=-14.0)
    table.loc[table["path"].str.contains("003"), "stability"] = 0.0
    prices = sequencing.prices(table, 0 * z)
    x = parts._places(sequencing.tracks_of(table), prices)
    apart = np.linalg.norm(x[:, None] - x, axis=2)
    assert apart[0, 1] == pytest.approx(0, abs=1e-4) and apart[0, 2] > 5 and apart[1, 3] > 5
