"""Playlists: read back as players read them, valid against the schema; and what is chosen."""

import re
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from musiclatent.edm import selections

EVIL = ["a & b <c> \"d\" 'e'.wav", "]]>&amp;.mp3", "100%25 #1?.flac", "é 音楽 \U0001f3b5.wav"]


def _sections(n: int = 6) -> pd.DataFrame:
    row = np.arange(n)
    return pd.DataFrame(
        {
            "item_id": [f"track{i // 2}" for i in row],
            "path": [f"/music/track {i // 2}.wav" for i in row],
            "start_s": 15.0 * (row % 2),
            "end_s": 15.0 * (row % 2) + 15,
        }
    )


# Choices


@pytest.fixture
def two():
    """Two clusters on a line, around 0 and 10, a row halfway and one of no cluster."""
    z = np.array([[0.0], [1], [-1], [4.9], [10], [11], [8.1], [99]])
    return z, _sections(8), np.array([0, 0, 0, 0, 1, 1, 1, -1])


def test_a_cluster_comes_whole_and_in_order(two):
    _, sections, labels = two
    found = selections.cluster(sections, labels, 1)
    assert list(found.index) == [4, 5, 6]
    assert set(found["why"]) == {"of cluster 1"}
    with pytest.raises(ValueError, match="no section is of cluster 7; choose one of 0, 1"):
        selections.cluster(sections, labels, 7)
    with pytest.raises(ValueError, match="8 sections but 3 labels"):
        selections.cluster(sections, labels[:3], 1)


def test_central_sections_come_nearest_first(two):
    z, sections, labels = two
    found = selections.central(z, sections, labels=labels, k=0, n=2)  # mean 1.225
    assert list(found.index) == [1, 0]
    assert found["why"].iloc[0] == "0.225 from the centre of cluster 0, half lie within 1.73"
    assert len(selections.central(z, sections, labels=labels, k=0, n=99)) == 4


def test_border_sections_lie_between_two_clusters(two):
    z, sections, labels = two
    found = selections.border(z, sections, labels=labels, n=3)
    assert found.index[0] == 3
    assert found["why"].iloc[0] == (
        "between clusters 0 and 1: 3.68 from one centre, 4.8 from the other"
    )
    assert (
        len(selections.border(z, sections, labels=labels, n=99)) == 7
    )  # not the one of no cluster
    with pytest.raises(ValueError, match="1 clusters have no border"):
        selections.border(z, sections, labels=np.zeros(8, int), n=3)


def test_neighbours_are_of_other_tracks(two):
    z, sections, _ = two
    found = selections.neighbours(z, sections, i=0, n=99)  # rows 0 and 1 are one track
    assert list(found.index) == [2, 3, 6, 4, 5, 7]
    assert found["why"].iloc[0] == "1 away"
    tunes = sections.assign(group=["a", "a", "a", "b", "b", "b", "b", "a"])
    assert list(selections.neighbours(z, tunes, i=0, n=3).index) == [3, 6, 4]
    assert selections.neighbours(z, sections.assign(group="a"), i=0, n=3).empty
    with pytest.raises(ValueError, match="there is no section 8; choose one of 0 to 7"):
        selections.neighbours(z, sections, i=8, n=1)


def _attributes(rng, n: int = 60) -> tuple[np.ndarray, pd.DataFrame]:
    z = rng.uniform(size=(n, 4))
    sections = _sections(n).assign(silent=False, clipped=0.0, fold=0)
    sections["rms_mean"] = 0.1 + 0.001 * rng.normal(size=n)
    sections["spectral_centroid_mean"] = 2000 + 10 * rng.normal(size=n)
    return z, sections


def test_anomalies_say_why(rng):
    z, sections = _attributes(rng)
    sections.loc[3, "silent"] = True
    sections.loc[5, "rms_mean"] = 0.001
    sections.loc[7, "clipped"] = 0.031
    sections.loc[9, "end_s"] = sections.loc[9, "start_s"] + 7.9
    z[11], sections.loc[11, "spectral_centroid_mean"] = 20, 9000
    z[13], sections.loc[13, "clipped"], sections.loc[13, "rms_mean"] = -30, 0.5, 0.2
    found = selections.anomalies(z, sections, 10)["why"]
    assert list(found.index)[:2] == [13, 11]  # most reasons first, then the farthest
    assert set(found.index) == {3, 5, 7, 9, 11, 13}
    assert found[3] == "silence"
    assert found[5] == "almost silence, 40 dB below the median"
    assert found[7] == "clipping, 3.1% of the samples at full scale"
    assert found[9] == "cut at the end of the file, 7.9 of 15.0 s are sound"
    assert found[11].startswith("unlike all others: spectral_centroid_mean 9000 is far above the")
    assert re.match(r"clipping, 50.0%.*; unlike all others: rms_mean 0.2 is far above", found[13])
    assert list(selections.anomalies(z, sections, 2).index) == [13, 11]


def test_ordinary_sections_are_no_anomalies(rng):
    _, sections = _attributes(rng)
    z = np.arange(60.0)[:, None]  # all as far from the next
    assert selections.anomalies(z, sections, 10).empty
    assert selections.anomalies(np.zeros((60, 2)), sections, 10).empty
    lengths = sections.assign(end_s=sections["start_s"] + rng.uniform(8, 30, 60))
    assert selections.anomalies(np.zeros((60, 2)), lengths, 10).empty  # no grid, nothing is cut
    bare = sections[["item_id", "path", "start_s", "end_s"]]
    assert (
        selections.anomalies(np.eye(60)[:, :5], bare, 3)["why"]
        .eq("unlike all others: nothing is known of it")
        .all()
    )


def test_what_differs_by_rounding_is_no_anomaly(rng):
    level = 16.14 * (1 + 1e-6 * rng.standard_normal(8))
    sections = _sections(8).assign(rms_mean=0.2, spectral_centroid_mean=level)
    z = np.arange(8.0)[:, None] * (1 + 1e-7 * rng.standard_normal((8, 1)))
    assert selections.anomalies(z, sections, 8).empty


def test_what_cannot_be_judged_is_refused(two):
    z, sections, labels = two
    with pytest.raises(ValueError, match="2 sections are too few"):
        selections.anomalies(z[:2], sections[:2], 1)
    for bad, words in ((z[:3], "do not fit 8 sections"), (z * np.nan, "hold NaN or infinity")):
        for ask in (
            lambda z: selections.central(z, sections, labels=labels, k=0, n=1),
            lambda z: selections.border(z, sections, labels=labels, n=1),
            lambda z: selections.anomalies(z, sections, 1),
            lambda z: selections.neighbours(z, sections, i=0, n=1),
        ):
            with pytest.raises(ValueError, match=words):
                ask(bad)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 999), n=st.integers(4, 30), k=st.integers(2, 3))
def test_choices_are_rows_without_repetition_and_the_same_again(seed, n, k):
    rng = np.random.default_rng(seed)
    z, sections, labels = rng.integers(0, 3, (n, 2)), _sections(n), np.arange(n) % k
    for ask in (
        lambda: selections.central(z, sections, labels=labels, k=1, n=5),
        lambda: selections.border(z, sections, labels=labels, n=5),
        lambda: selections.anomalies(z, sections, 5),
        lambda: selections.neighbours(z, sections, i=n - 1, n=5),
    ):
        found = ask()
        pd.testing.assert_frame_equal(found, ask())
        assert found.index.is_unique
        pd.testing.assert_frame_equal(found.drop(columns="why"), sections.loc[found.index])
    away = np.linalg.norm(z - z[n - 1], axis=1)
    order = [away[i] for i in selections.neighbours(z, sections, i=n - 1, n=n).index]
    assert all(a <= b for a, b in pairwise(order))


# Seconds in a plane


def plane():
    """Two clusters beside each other, a second of the first amid the other, and one far out."""
    left = [(x, y) for x in (0.0, 1.0, 2.0) for y in (0.0, 1.0, 2.0)]
    right = [(x + 5, y) for x, y in left]
    points = np.array([*left, *right, (6.1, 1.1), (20.0, 1.0)])
    labels = np.array([0] * 9 + [1] * 9 + [0, 1])
    seconds = pd.DataFrame({"item_id": [f"t{i}" for i in range(20)], "path": "a.wav"})
    return points, seconds.assign(start_s=np.arange(20.0), end_s=np.arange(20.0) + 1), labels


def test_seconds_in_the_middle_at_the_rim_and_lost():
    points, seconds, labels = plane()
    lists = selections.of_plane(points, seconds, labels=labels, n=2)
    assert lists["lost"].index.tolist() == [19, 18]
    middle = np.median(points, axis=0)
    nearest = np.linalg.norm(points - middle, axis=1).argmin()
    assert lists["central"].index[0] == nearest
    assert lists["border"].index[0] == 0  # a corner of the left cluster, not what is lost
    why = lists["lost"]["why"]
    assert why.iloc[1].endswith("9 of the nearest 10 are of other clusters")
    assert "times as far from the middle of cluster 0 as half of it" in why.iloc[1]


def test_a_small_plane_gives_what_there_is():
    points, seconds, labels = plane()
    lists = selections.of_plane(points[:3], seconds[:3], labels=labels[:3], n=12)
    assert {kind: len(rows) for kind, rows in lists.items()} == {
        "central": 3,
        "border": 3,
        "lost": 3,
    }
    with pytest.raises(ValueError, match="there are 3 sections but 2 labels"):
        selections.of_plane(points[:3], seconds[:3], labels=labels[:2], n=1)
