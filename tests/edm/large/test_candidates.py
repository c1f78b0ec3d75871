"""Versions among candidates: what is compared is exact, and a transposed copy is a candidate."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from musiclatent.edm import versions
from musiclatent.edm.large import candidates

WIDTH = 20  # frames of a section
ALL = [(a, b) for a in range(6) for b in range(a + 1, 6)]


def _walk(rng, n: int) -> np.ndarray:
    """Harmony (12, n) whose chords change every five frames."""
    return np.repeat(rng.standard_normal((12, n // 5)), 5, axis=1).astype(np.float32)


def _corpus(*tracks: np.ndarray) -> tuple[np.ndarray, list[str], list[int]]:
    """Sections, their tracks and places."""
    cut = [
        t[:, : t.shape[1] // WIDTH * WIDTH].reshape(12, -1, WIDTH).swapaxes(0, 1) for t in tracks
    ]
    items = [f"t{i:02}" for i, part in enumerate(cut) for _ in part]
    return np.concatenate(cut), items, [place for part in cut for place in range(len(part))]


@pytest.fixture
def six(rng):
    return _corpus(*(_walk(rng, WIDTH * n) for n in (3, 4, 2, 5, 3, 4)))


def test_of_all_pairs_the_nearest_are_those_of_the_whole_matrix(six):
    harmony, items, places = six
    exact = versions.align_harmony(harmony, items, places)
    found = candidates.compare(ALL, items, candidates.harmony_between(harmony, items, places))
    np.testing.assert_allclose(found["distance"], exact[found["row"], found["nearest"]], atol=1e-6)
    assert len(found) == len(items) * 5 and (found["own"] != found["other"]).all()
    for share in (0.0, versions.TRACK_SHARE):
        whole = versions.with_tracks(exact, items, share)
        near = candidates.nearest_of_other_tracks(candidates.with_tracks(found, share))
        np.testing.assert_array_equal(near, versions.nearest_of_other_tracks(whole, items))


@pytest.mark.parametrize("semitones", [0, 5])
@pytest.mark.parametrize("slower", [1, 2])
def test_a_transposed_copy_that_begins_elsewhere_is_a_candidate(rng, semitones, slower):
    tunes = [_walk(rng, 6 * WIDTH) for _ in range(20)]
    copy = np.repeat(np.roll(np.roll(tunes[3], semitones, axis=0), 7, axis=1), slower, axis=1)
    harmony, items, places = _corpus(*tunes, copy)
    pairs = candidates.near_in_harmony(harmony, items, places, k=1)
    assert [3, 20] in pairs.tolist() and len(pairs) < 30
    np.testing.assert_array_equal(candidates.near_in_harmony(harmony, items, places, k=1), pairs)
    found = candidates.compare(pairs, items, candidates.harmony_between(harmony, items, places))
    near = candidates.nearest_of_other_tracks(candidates.with_tracks(found))
    of_copy = np.array(items) == "t20"
    assert (np.array(items)[near[of_copy]] == "t03").all()


def test_what_is_kept_grows_with_the_sections_not_with_their_square(rng):
    harmony, items, places = _corpus(*(_walk(rng, 2 * WIDTH) for _ in range(30)))
    pairs = candidates.near_in_harmony(harmony, items, places, k=2)
    assert 30 <= len(pairs) <= 60 and (pairs[:, 0] < pairs[:, 1]).all()
    assert set(pairs.ravel()) == set(range(30))
    found = candidates.compare(pairs, items, candidates.vectors_between(rng.normal(size=(60, 3))))
    assert len(found) == 4 * len(pairs)


def test_candidates_of_vectors_hold_the_nearest(rng):
    z, items = rng.normal(size=(40, 4)), np.repeat(np.arange(10), 4)
    pairs = candidates.near_in_vectors(z, items, k=2)
    found = candidates.compare(pairs, items, candidates.vectors_between(z))
    away = np.linalg.norm(z[:, None] - z, axis=2)
    np.testing.assert_array_equal(
        candidates.nearest_of_other_tracks(found), versions.nearest_of_other_tracks(away, items)
    )


@dataclasses.dataclass
class _Tracks:
    """A collection of known harmony."""

    heard: tuple
    sections: pd.DataFrame

    @property
    def positions(self) -> np.ndarray:
        return np.array(self.heard[2])

    def harmony(self) -> np.ndarray:
        return self.heard[0]

    def aligned(self, margin: float = versions.MARGIN) -> np.ndarray:
        return versions.align_harmony(*self.heard, margin=margin)


def test_views_above_the_limit_are_those_below_it(rng, monkeypatch):
    tunes = [_walk(rng, 3 * WIDTH) for _ in range(4)]
    heard = _corpus(*tunes, *(np.roll(tune, 4, axis=0) for tune in tunes))
    sections = pd.DataFrame({"item_id": heard[1]})
    sections["group"] = [f"tune{int(name[1:]) % 4}" for name in heard[1]]
    noise = rng.uniform(1, 2, (len(sections), len(versions.TIMBRE)))
    sections = sections.join(pd.DataFrame(noise, columns=list(versions.TIMBRE)))
    tracks, vectors = _Tracks(heard, sections), {"view": rng.normal(size=(len(sections), 3))}
    below = candidates.compare_views(tracks, vectors)
    monkeypatch.setattr(versions, "MOST", 10)
    above = candidates.compare_views(tracks, vectors)
    assert set(below) - set(above) == {"harmony_timbre", "harmony_timbre_tracks"}
    for name, table in above.items():
        pd.testing.assert_frame_equal(table, below[name], check_dtype=False)
    assert above["harmony_tracks"]["right"].all()
    assert not above["harmony_same_key"]["right"].all()
    alone = _Tracks(heard, sections.assign(group=sections["item_id"]))
    with pytest.raises(ValueError, match="no tune has several versions"):
        candidates.compare_views(alone, vectors)


def test_one_track_and_bad_harmony_are_refused(six):
    harmony, _, places = six
    with pytest.raises(ValueError, match="one track only"):
        candidates.near_in_harmony(harmony, ["a"] * len(harmony), places)
    with pytest.raises(ValueError, match="2 tracks"):
        candidates.near_in_harmony(harmony, ["a", "b"], places)
