"""Versions of a tune: laid over each other, found again, and told from copies."""

import importlib
import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from musiclatent import audio
from musiclatent.config import DemoSize
from musiclatent.data import cache, splits
from musiclatent.data.synthetic import dance
from musiclatent.edm import versions

WIDTH = 20  # frames of a section


def centred(x: np.ndarray) -> np.ndarray:
    return x - x.mean(axis=-2, keepdims=True)


def walk(rng, n: int) -> np.ndarray:
    """Harmony (12, n) that changes every few frames."""
    return centred(np.repeat(rng.standard_normal((12, n // 2 + 1)), 2, axis=1)[:, :n])


def cut(track: np.ndarray) -> np.ndarray:
    """Sections (b, 12, WIDTH) of a track (12, n)."""
    n = track.shape[1] // WIDTH
    return track[:, : n * WIDTH].reshape(12, n, WIDTH).transpose(1, 0, 2)


def corpus(*tracks: np.ndarray) -> tuple[np.ndarray, list[str], list[int]]:
    parts = [cut(track) for track in tracks]
    items = [name for name, part in zip("abcdefgh", parts, strict=False) for _ in part]
    return np.concatenate(parts), items, [p for part in parts for p in range(len(part))]


def faster(track: np.ndarray, times: float) -> np.ndarray:
    """A track (12, n) that is played faster, by eighths of a frame."""
    step = round(8 * times)
    fine = np.repeat(track, 8, axis=1)[:, : track.shape[1] * 8 // step * step]
    return fine.reshape(12, -1, step).mean(axis=2)


def slow_alignment(harmony, items, places, margin=versions.MARGIN) -> np.ndarray:
    """One minus the largest correlation, window by window, in the best way for two tracks."""
    items, places, n = np.asarray(items), np.asarray(places), harmony.shape[2]
    ways = [(slower, key) for slower in versions.TEMPI for key in range(12)]
    agree = np.full((len(ways), len(items), len(items)), -1.0)
    for b in range(len(items)):
        track = np.zeros((12, (places[items == items[b]].max() + 1) * n))
        for row in np.flatnonzero(items == items[b]):
            track[:, places[row] * n : (places[row] + 1) * n] = harmony[row]
        for way, (slower, key) in enumerate(ways):
            moved = faster(np.roll(track, -key, axis=0), slower)
            moved = np.pad(moved, ((0, 0), (0, max(0, n - moved.shape[1]))))
            for a in range(len(items)):
                agree[way, a, b] = best_at(harmony[a], moved, slower, places[b])
    agree[1:] -= margin
    found = np.empty(agree.shape[1:])
    for one in np.unique(items):
        for other in np.unique(items):
            block = agree[:, items == one][:, :, items == other]
            found[np.ix_(items == one, items == other)] = (
                1 - block[block.max(axis=2).mean(axis=1).argmax()]
            )
    return np.minimum(found, found.T)


def best_at(section, track, slower: float, place: int) -> float:
    """The largest correlation with what of a track has its middle in one place of it."""
    n, best = section.shape[1], -1.0
    query = section - section.mean(axis=1, keepdims=True)
    for start in range(track.shape[1] - n + 1):
        if (start + n // 2) * slower // n == place:
            window = track[:, start : start + n]
            window = window - window.mean(axis=1, keepdims=True)
            best = max(best, np.corrcoef(query.ravel(), window.ravel())[0, 1])
    return best


@given(st.integers(0, 99), st.integers(1, 2), st.integers(2, 3), st.sampled_from([0, 0.2, 2]))
@settings(max_examples=4, deadline=None)
def test_alignment_is_that_of_the_slow_reference(seed, first, second, margin):
    rng = np.random.default_rng(seed)
    found = corpus(walk(rng, first * WIDTH), walk(rng, second * WIDTH))
    np.testing.assert_allclose(
        versions.align_harmony(*found, margin=margin), slow_alignment(*found, margin), atol=1e-4
    )


@pytest.mark.parametrize("semitones", [0, 1, 5, 11])
@pytest.mark.parametrize("slower", [1, 2])
def test_a_version_in_another_key_or_tempo_is_found(rng, semitones, slower):
    tune = walk(rng, 6 * WIDTH)
    other = np.repeat(np.roll(tune, semitones, axis=0), slower, axis=1)
    harmony, items, places = corpus(tune, other, walk(rng, 6 * WIDTH))
    found = versions.align_harmony(harmony, items, places)
    own, of_it, strangers = (np.array(items) == name for name in "abc")
    moved = versions.MARGIN if semitones or slower > 1 else 0
    assert found[np.ix_(own, of_it)].min(axis=1) == pytest.approx(moved, abs=1e-4)
    assert found[np.ix_(own, strangers)].min() > moved + 0.1
    still = versions.align_harmony(harmony, items, places, margin=2)
    assert moved == 0 or still[np.ix_(own, of_it)].min() > 0.3


@pytest.mark.parametrize("times", [0.85, 0.9, 1.1, 1.18])
def test_a_version_a_little_faster_or_slower_is_nearer_than_strangers(rng, times):
    tune = np.repeat(rng.standard_normal((12, 24)), 5, axis=1)  # chords of five frames
    at = np.arange(int(120 / times)) * times
    harmony, items, places = corpus(
        centred(tune), centred(tune[:, at.astype(int)]), walk(rng, 6 * WIDTH)
    )
    found = versions.align_harmony(harmony, items, places)
    own, of_it, strangers = (np.array(items) == name for name in "abc")
    near = found[np.ix_(own, of_it)].min(axis=1)
    assert np.median(near) < found[np.ix_(own, strangers)].min() - 0.05


def test_places_that_are_left_out_count_as_silent(rng):
    harmony = cut(walk(rng, 4 * WIDTH))
    kept = harmony[[0, 1, 3]], ["a", "a", "b"], [0, 2, 1]
    np.testing.assert_allclose(versions.align_harmony(*kept), slow_alignment(*kept), atol=1e-4)
    alone = versions.align_harmony(np.stack([harmony[0], 0 * harmony[0]]), ["a", "b"], [0, 0])
    np.testing.assert_allclose(alone, [[0, 1], [1, 1]], atol=1e-5)


@given(st.integers(0, 999), st.integers(1, 4), st.integers(1, 4))
@settings(max_examples=15, deadline=None)
def test_alignment_is_symmetric_and_0_to_itself_and_knows_no_level_of_a_track(seed, first, second):
    rng = np.random.default_rng(seed)
    harmony, items, places = corpus(walk(rng, first * WIDTH), walk(rng, second * WIDTH))
    found = versions.align_harmony(harmony, items, places)
    assert found.dtype == np.float32
    assert (found == found.T).all() and found.min() > -1e-5
    assert found.max() <= 2 + versions.MARGIN
    np.testing.assert_allclose(np.diag(found), 0, atol=1e-5)
    gain = np.where(np.array(items) == "a", *rng.uniform(0.6, 1.5, 2))[:, None, None]
    np.testing.assert_allclose(
        versions.align_harmony(gain * harmony, items, places), found, atol=1e-4
    )


@pytest.mark.parametrize("shift", [0, 3, 9, 10, 17])
def test_a_version_that_begins_elsewhere_is_found_and_noise_is_not(rng, shift):
    tune = walk(rng, 6 * WIDTH)
    other = np.concatenate([walk(rng, shift), tune, walk(rng, -shift % WIDTH)], axis=1)
    harmony, items, places = corpus(tune, other, walk(rng, 6 * WIDTH))
    found = versions.align_harmony(harmony, items, places, margin=2)
    own = [name == "a" for name in items], [name == "b" for name in items]
    assert found[np.ix_(*own)].min(axis=1) == pytest.approx(0, abs=1e-4)
    strangers = [name == "c" for name in items]
    assert found[np.ix_(own[0], strangers)].min() > 0.4
    assert 0.6 < found[np.ix_(own[0], strangers)].mean() < 1


@pytest.mark.parametrize(
    ("harmony", "items", "places", "words"),
    [
        (np.zeros((2, 12)), "ab", [0, 0], r"shape \(2, 12\); give finite \(B, 12, T\)"),
        (np.zeros((0, 12, 4)), "", [], r"\(0, 12, 4\)"),
        (np.full((2, 12, 4), np.nan), "ab", [0, 0], "finite"),
        (np.zeros((2, 12, 4)), "abc", [0, 0], "2 sections but 3 tracks and 2 places"),
        (np.zeros((2, 12, 4)), "ab", [0], "2 tracks and 1 places"),
    ],
)
def test_what_cannot_be_aligned_is_refused(harmony, items, places, words):
    with pytest.raises(ValueError, match=words):
        versions.align_harmony(harmony, list(items), places)


def test_more_sections_than_fit_are_refused(monkeypatch):
    monkeypatch.setattr(versions, "MOST", 1)
    with pytest.raises(ValueError, match="2 sections are more than 1; compare fewer tracks"):
        versions.align_harmony(np.zeros((2, 12, 4)), ["a", "b"], [0, 0])


def table(rng, tunes: int = 4, played: int = 2, each: int = 5) -> pd.DataFrame:
    """Sections with noise for attributes."""
    rows = pd.DataFrame(
        [
            {"item_id": f"t{t}-{v}", "group": f"t{t}", "start_s": 15.0 * s}
            for t in range(tunes)
            for v in range(played)
            for s in range(each)
        ]
    )
    noise = rng.uniform(1, 2, (len(rows), len(versions.TIMBRE)))
    return rows.join(pd.DataFrame(noise, columns=list(versions.TIMBRE)))


def planted(rows: pd.DataFrame, rng, tracks: bool = True) -> np.ndarray:
    """Distances that are small inside a tune and noise elsewhere."""
    tune = rows["group"].to_numpy()
    away = rng.uniform(0.8, 1.0, (len(rows), len(rows)))
    away = np.where((tune[:, None] == tune) & tracks, 0.1 * away, away)
    away = np.minimum(away, away.T)
    np.fill_diagonal(away, 0)
    return away


def test_planted_versions_are_found_and_shuffled_ones_by_chance_alone(rng):
    rows = table(rng)
    away = planted(rows, rng)
    tested = versions.version_retrieval(rows, away)
    assert tested["right"].all() and len(tested) == 40
    assert (rows["item_id"].to_numpy()[tested["nearest"]] != tested["item_id"]).all()
    shares = []
    for _ in range(20):
        order = rng.permutation(len(rows))
        shares.append(versions.version_retrieval(rows, away[np.ix_(order, order)])["right"].mean())
    assert np.mean(shares) == pytest.approx(5 / 35, abs=0.06)


def test_tunes_of_one_version_are_rivals_but_not_asked(rng):
    rows = table(rng)
    alone = rows["item_id"] != "t3-1"
    away = planted(rows, rng)[np.ix_(alone, alone)]
    rows = rows[alone].set_axis(range(100, 100 + alone.sum()))
    tested = versions.version_retrieval(rows, away)
    assert set(tested["group"]) == {"t0", "t1", "t2"}
    assert (rows["item_id"].to_numpy()[tested["row"]] == tested["item_id"]).all()
    away[:, -1], away[-1] = 0, 0  # now all are next to the one that nobody asks about
    assert not versions.version_retrieval(rows, away)["right"].any()


def test_what_cannot_be_tested_is_refused(rng):
    rows = table(rng)
    with pytest.raises(ValueError, match=r"40 sections but distances \(3, 3\)"):
        versions.version_retrieval(rows, np.zeros((3, 3)))
    with pytest.raises(ValueError, match=r"40 sections but distances \(3, 3\)"):
        versions.version_distance(rows, np.zeros((3, 3)))
    single = rows.assign(group=rows["item_id"])
    with pytest.raises(ValueError, match="no tune has several versions; name versions alike"):
        versions.version_retrieval(single, planted(rows, rng))
    with pytest.raises(ValueError, match="one track only"):
        versions.nearest_of_other_tracks(np.zeros((3, 3)), ["a", "a", "a"])


def test_a_summary_has_a_row_a_file(rng):
    tested = versions.version_retrieval(rows := table(rng), planted(rows, rng))
    tested.loc[tested["item_id"] == "t0-0", "right"] = [True, True, True, False, False]
    found = versions.summarise_by_file(tested)
    assert list(found.columns) == ["sections", "right"] and len(found) == 8
    assert found.loc["t0-0", "right"] == pytest.approx(0.6) and (found["sections"] == 5).all()


def test_views_are_compared_file_by_file_with_and_without_their_tracks(rng):
    rows = table(rng)
    away = planted(rows, rng)
    blind = planted(rows, rng, tracks=False)
    tested = versions.compare_views({"good": away, "noise": blind}, rows)
    assert list(tested) == ["good", "good_tracks", "noise", "noise_tracks"]
    found = versions.summarise_views(tested, "good")
    assert found.loc["good", ["sections", "files", "files_low", "behind"]].tolist() == [1, 1, 1, 0]
    noise = found.loc["noise"]
    assert noise["files_low"] < noise["files"] < noise["files_high"] < 0.6
    assert noise["behind"] == pytest.approx(1 - noise["files"]) and noise["behind_low"] > 0
    assert noise["behind_p"] < 0.05


def test_a_file_counts_once_however_long_it_is(rng):
    tested = pd.DataFrame({"item_id": list("aaaaab"), "right": [True] * 5 + [False]})
    found = versions.summarise_views({"view": tested}, "view").loc["view"]
    assert found["files"] == 0.5 and found["sections"] == pytest.approx(5 / 6)
    assert (found["files_low"], found["files_high"]) == (0, 1)


def test_chance_is_that_of_a_section_drawn_at_random(rng):
    rows = pd.DataFrame({"item_id": list("aabbbc"), "group": list("xxxxxy")})
    assert versions.chance(rows) == pytest.approx((2 * 3 / 4 + 3 * 2 / 3) / 5)
    assert versions.chance(table(rng)) == pytest.approx(5 / 35)


def test_tracks_agree_as_their_sections_do_on_average():
    away = np.array([[0, 1, 2, 6], [1, 0, 4, 8], [2, 4, 0, 3], [6, 8, 3, 0.0]])
    found = versions.track_distance(away, ["a", "a", "b", "c"])
    assert found[0, 2] == found[1, 2] == found[2, 0] == (3 + 2) / 2
    assert found[0, 3] == (7 + 6) / 2 and found[2, 3] == 3
    assert (np.diag(found) == 0).all() and (found == found.T).all()


def test_timbre_knows_no_unit_and_is_0_between_equals(rng):
    rows = table(rng)
    found = versions.timbre_distance(rows)
    assert found.shape == (40, 40) and (np.diag(found) == 0).all() and (found == found.T).all()
    louder = rows.assign(rms_mean=1000 * rows["rms_mean"] + 3)
    np.testing.assert_allclose(versions.timbre_distance(louder), found, rtol=1e-4, atol=1e-5)
    assert np.isfinite(versions.timbre_distance(rows.assign(rms_mean=1.0))).all()


def test_timbre_takes_deviations_rather_than_variances(rng):
    rows = table(rng).assign(**dict.fromkeys(versions.TIMBRE, 1.0))
    rows["mfcc3_var"] = (np.arange(40) % 4) ** 2.0
    found = versions.timbre_distance(rows)
    step = 1 / np.std([0, 1, 2, 3])
    np.testing.assert_allclose(found[0, :4], step * np.arange(4), rtol=1e-5)


def test_shares_of_0_leave_harmony_alone_in_units_of_its_median(rng):
    rows = table(rng)
    away = planted(rows, rng)
    np.testing.assert_allclose(
        versions.version_distance(rows, away, timbre_share=0), away / np.median(away)
    )
    full, half = (versions.version_distance(rows, away, timbre_share=t) for t in (0.4, 0.2))
    np.testing.assert_allclose(full - half, half - away / np.median(away), rtol=1e-5, atol=1e-6)


def test_tracks_that_agree_on_the_whole_help_sections_that_do_not(rng):
    rows = table(rng)
    away = planted(rows, rng)
    lost = np.arange(40) % 5 == 0  # the first section of each track sounds like anything
    away[np.ix_(lost, ~lost)] = away[np.ix_(~lost, lost)] = 0.5
    noise = rng.uniform(0.4, 0.6, away.shape)
    away[lost] = noise[lost]
    away = np.minimum(away, away.T)
    tested = versions.compare_views({"view": away}, rows)
    assert tested["view"]["right"].mean() < 0.95 and tested["view_tracks"]["right"].all()


def test_the_choice_is_what_finds_most_and_of_equals_that_with_timbre(rng, monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "benchmarks")
    monkeypatch.delitem(sys.modules, "versions", raising=False)
    bench = importlib.import_module("versions")
    tunes = [walk(rng, 3 * WIDTH) for _ in range(3)]
    harmony, items, places = corpus(*tunes, *(np.roll(tune, 4, axis=0) for tune in tunes))
    group = [dict(zip("abcdef", "xyzxyz", strict=True))[name] for name in items]
    sections = pd.DataFrame({"item_id": items, "group": group})
    noise = rng.uniform(1, 2, (len(sections), len(versions.TIMBRE)))
    sections = sections.join(pd.DataFrame(noise, columns=list(versions.TIMBRE)))
    found = bench.choose_shares([(sections, harmony, places)])
    grid = len(bench.MARGINS) * len(bench.SHARES) * len(bench.TRACK_SHARES)
    assert len(found) == grid and found["chosen"].sum() == 1
    chosen, best = found[found["chosen"]].iloc[0], found[found["top1"] == 1]
    assert chosen["top1"] == 1 > found.loc[found["margin"] == 2, "top1"].max()
    assert chosen["timbre"] == best["timbre"].max()
    assert chosen["track"] == best.loc[best["timbre"] == chosen["timbre"], "track"].min()


def test_copies_are_named_after_the_first_and_versions_are_not(rng):
    rows = table(rng, tunes=2, played=2, each=3)
    assert versions.find_duplicate_tracks(rows) == {}
    copy = rows[rows["item_id"] == "t0-0"].assign(item_id="copy", path="elsewhere")
    again = copy.assign(item_id="again").iloc[::-1]  # in another order
    assert versions.find_duplicate_tracks(pd.concat([rows, copy, again])) == {
        "copy": "t0-0",
        "again": "t0-0",
    }
    assert versions.find_duplicate_tracks(pd.concat([copy, rows])) == {"t0-0": "copy"}
    shorter = copy.iloc[:2]
    nearly = copy.assign(rms_mean=copy["rms_mean"] + 1e-9)
    assert versions.find_duplicate_tracks(pd.concat([rows, shorter])) == {}
    assert versions.find_duplicate_tracks(pd.concat([rows, nearly])) == {}


@given(st.integers(0, 99), st.integers(3, 12), st.integers(1, 4))
@settings(max_examples=20, deadline=None)
def test_no_tune_of_the_demo_dance_stands_on_both_sides_of_a_split(seed, tunes, played):
    size = DemoSize(
        clips_per_style=0,
        clip_s=0,
        repeats=0,
        speakers=0,
        takes=0,
        tunes=tunes,
        versions=played,
        track_s=40.0,
    )
    items = pd.DataFrame([track.row() for track in dance.plan(size, seed)])
    assert items["group"].nunique() == tunes and len(items) == tunes * played
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # that it cannot be split
        items["split"] = splits.by_group(items, seed)
    assert splits.straddling(items["group"], items["split"]) == []
    assert set(items["split"]) == set(splits.SPLITS)
    assert items.groupby("tune")["split"].nunique().eq(1).all()


@pytest.mark.real
def test_the_copy_among_the_real_tracks_is_found(data_root, tmp_path):
    names, rows = ("alone.mp3", "alone-2-full.mp3", "alone-2.mp3"), []
    for name in names:
        y, sr = audio.read(data_root / "edm" / name, duration_s=30.0)
        path = audio.write(tmp_path / f"{name}.wav", y, sr)
        row = {"item_id": name, "path": str(path), "label": "", "group": "alone", "split": ""}
        rows.append(row | {"seconds": 30.0})
    found, bad = cache.descriptor_table(
        pd.DataFrame(rows), tmp_path / "cache", window_s=15.0, n_jobs=1
    )
    assert len(found) == 6 and bad.empty
    assert versions.find_duplicate_tracks(found) == {"alone-2-full.mp3": "alone.mp3"}
