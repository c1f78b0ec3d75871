import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import butter, sosfilt

from musiclatent import audio, config
from musiclatent.data import synthetic
from musiclatent.features import structure
from musiclatent.features.structure import boundaries, central_sections, hit_rate, novelty

SR = 22_050


def table(levels_db, centroids_hz, item: str = "a", silent=False) -> pd.DataFrame:
    rms = 10 ** (np.array(levels_db, float) / 20)
    columns = {"item_id": item, "rms_mean": rms, "spectral_centroid_mean": centroids_hz}
    return pd.DataFrame(columns).assign(silent=silent)


def test_the_sections_with_most_energy_are_central():
    # An intro that is soft, a bright build, three drops, a dark break, and an end.
    rows = table([-30, -14, -10, -10, -11, -14, -24], [900, 6000, 2000, 2100, 1900, 500, 1500])
    found = central_sections(rows)
    roles = ["quiet", "border", "central", "central", "central", "border", "quiet"]
    assert found["role"].tolist() == roles
    assert found["chosen"].tolist() == [role == "central" for role in roles]
    assert found["distance"].isna().tolist() == [role == "quiet" for role in roles]
    assert found["distance"][2] == 0 and found["level_db"][2] == pytest.approx(-10)
    assert found["why"][0] == "20.0 dB below the loud level of its track"
    assert found["why"][1].startswith("far from the centre of its track: -4.0 dB, +1.58 octaves")
    assert found["why"][2].startswith("near the centre")


def test_limits_are_those_asked_for():
    rows = table([-10, -10, -15, -10], [1000, 1000, 1000, 3000])
    assert central_sections(rows)["role"].tolist() == ["central", "central", "border", "border"]
    assert central_sections(rows, quiet_db=4)["role"][2] == "quiet"
    assert central_sections(rows, spread=4)["chosen"].all()


def test_each_track_is_judged_by_itself_and_rows_stay_in_order():
    loud, soft = table([-10] * 3, [2000] * 3, "loud"), table([-50] * 3, [400] * 3, "soft")
    mixed = pd.concat([loud, soft]).iloc[[0, 3, 1, 4, 2, 5]]  # an index that repeats
    found = central_sections(mixed)
    assert found["chosen"].all() and found["item_id"].tolist() == ["loud", "soft"] * 3
    assert found.index.tolist() == mixed.index.tolist()


def test_silence_is_dropped_but_a_silent_track_keeps_one():
    rows = pd.concat(
        [
            table([-10, -np.inf], [1000, 0], "half", [False, True]),
            table([-np.inf, -100], [0, 0], "none", True),
        ]
    )
    found = central_sections(rows)
    assert found["chosen"].tolist() == [True, False, False, True]
    assert found["role"].tolist() == ["central", "quiet", "quiet", "quiet"]
    assert found["why"].tolist()[1:3] == ["silent", "silent"]
    assert found["why"].tolist()[3] == "silent like the whole track, kept as its loudest section"


@settings(deadline=None, max_examples=15)
@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.floats(0, 1), st.floats(0, 9000), st.booleans()),
        min_size=1,
        max_size=20,
    )
)
def test_every_track_keeps_a_section(rows):
    names = ["item_id", "rms_mean", "spectral_centroid_mean", "silent"]
    found = central_sections(pd.DataFrame(rows, columns=names))
    assert found.groupby("item_id")["chosen"].any().all()
    assert (found["why"] != "").all() and set(found["role"]) <= {"central", "border", "quiet"}


def test_tables_that_cannot_be_judged():
    with pytest.raises(ValueError, match="sections lack silent, rms_mean"):
        central_sections(pd.DataFrame({"item_id": ["a"], "spectral_centroid_mean": [1.0]}))
    with pytest.raises(ValueError, match="hold NaN"):
        central_sections(table([np.nan], [1000]))
    with pytest.raises(ValueError, match="both must be above 0"):
        central_sections(table([-10], [1000]), spread=0)


def blocks(*lengths: int) -> np.ndarray:
    """Features that change at once to something unlike."""
    return np.repeat(np.eye(len(lengths)), lengths, axis=1)


def test_novelty_peaks_where_the_blocks_meet():
    found = novelty(blocks(30, 25, 40), 8)
    assert sorted(np.argsort(found)[-2:]) == [30, 55]
    assert found[[30, 55]] == pytest.approx([0.5, 0.5], abs=1e-6)
    assert np.abs(found[[10, 45, 80]]).max() < 1e-6 and abs(found[0]) < 1e-6
    assert novelty(np.repeat([[1.0, -1]], 20, axis=1), 8)[20] == pytest.approx(1, abs=1e-6)


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 100), st.integers(1, 30), st.integers(1, 9))
def test_the_band_gives_what_the_whole_matrix_gives(seed, T, L):
    features = np.random.default_rng(seed).standard_normal((4, T)).astype(np.float32)
    unit = np.pad(features / np.linalg.norm(features, axis=0), ((0, 0), (L, L)), mode="symmetric")
    similar = unit.T @ unit
    at = (np.arange(2 * L) - L + 0.5) / L
    kernel = np.outer(np.sign(at), np.sign(at)) * np.exp(-2 * (at[:, None] ** 2 + at**2))
    whole = [(similar[t : t + 2 * L, t : t + 2 * L] * kernel).sum() for t in range(T)]
    assert novelty(features, L) == pytest.approx(np.array(whole) / np.abs(kernel).sum(), abs=1e-5)


def test_features_that_have_no_novelty():
    with pytest.raises(ValueError, match=r"shape \(3, 0\)"):
        novelty(np.zeros((3, 0)))
    with pytest.raises(ValueError, match="kernel_size is 0"):
        novelty(np.ones((3, 4)), 0)
    assert (novelty(np.zeros((3, 50))) == 0).all()


def curve(**peaks: float) -> tuple[np.ndarray, np.ndarray]:
    times_s = np.arange(200) * 0.5
    values = np.zeros(200)
    for name, height in peaks.items():
        values[int(name[1:]) * 2] = height
    return values, times_s


def starts(values, times_s, least_s=8.0, longest_s=60.0) -> list[float]:
    return boundaries(values, times_s, 100.0, least_s, longest_s).tolist()


def test_the_highest_peaks_win_and_keep_their_distance(monkeypatch):
    values, times_s = curve(t20=0.5, t25=0.4, t40=0.3, t60=0.02, t95=0.9)
    assert starts(values, times_s) == [20, 40]
    assert starts(values, times_s, least_s=4) == [20, 25, 40, 95]
    monkeypatch.setattr(structure, "THRESHOLD", 0.45)
    assert starts(values, times_s, longest_s=100) == [20]


def test_long_sections_are_cut_where_novelty_is_highest():
    values, times_s = curve(t20=0.5, t60=0.02)
    assert starts(values, times_s, longest_s=50) == [20, 60]
    assert starts(*curve()) == [50]
    assert starts(np.zeros(1), np.zeros(1)) == []


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 1000), st.floats(3, 10), st.floats(20, 60), st.floats(1, 150))
def test_sections_keep_their_limits(seed, least, longest, end_s):
    times_s = np.arange(0, end_s, 0.5)
    values = np.random.default_rng(seed).uniform(0, 0.3, len(times_s))
    found = boundaries(values, times_s, end_s, least, longest)
    lengths = np.diff([0, *found, end_s])
    assert lengths.max() <= longest
    assert lengths.min() >= min(least, end_s) - 1e-9 and np.isin(found, times_s).all()


def test_boundaries_that_cannot_be():
    with pytest.raises(ValueError, match="the longest must be twice the shortest"):
        starts(np.zeros(3), np.arange(3), least_s=10, longest_s=15)
    with pytest.raises(ValueError, match="as many rising times"):
        starts(np.zeros(3), np.zeros(3))


@pytest.fixture(scope="module")
def song(tmp_path_factory):
    """Noise that is dark, bright, soft and bright; beats every 0.6 s."""
    rng = np.random.default_rng(0)
    parts = [(14.4, "low", 0.3), (12.0, "high", 0.3), (9.6, "high", 0.02), (14.4, "high", 0.3)]
    sound = []
    for seconds, side, gain in parts:
        y = rng.standard_normal(round(seconds * SR))
        sound.append(gain * sosfilt(butter(4, 1500, side, fs=SR, output="sos"), y))
    y = np.concatenate(sound)
    path = tmp_path_factory.mktemp("song") / "song.wav"
    return audio.write(path, 0.5 * y / np.abs(y).max(), SR), np.arange(0, 50.4, 0.6)


def test_sections_begin_where_the_sound_changes(song):
    path, beats_s = song
    found = structure.structural_sections(path, beats_s)
    assert list(found) == ["start_s", "end_s", "novelty"]
    assert found["start_s"].tolist() == pytest.approx([0, 14.4, 26.4, 36])
    assert found["end_s"].tolist() == pytest.approx([14.4, 26.4, 36, 50.4])
    assert found["novelty"][0] == 0 and (found["novelty"][1:] > 0.05).all()
    steps = structure.structural_sections(path)
    assert steps["start_s"].tolist() == pytest.approx([0, 14.5, 26.5, 36], abs=0.51)


def test_sections_begin_with_a_bar(song):
    path, beats_s = song
    starts = structure.structural_sections(path, beats_s, downbeat=2)["start_s"][1:]
    assert len(starts) and np.isin(np.round(starts / 0.6).astype(int) % 4, [2]).all()
    with pytest.raises(ValueError, match="downbeat is 4 of 84 beats"):
        structure.structural_sections(path, beats_s, downbeat=4)
    with pytest.raises(ValueError, match="beats must be rising times"):
        structure.structural_sections(path, beats_s[::-1])


def test_blocks_do_not_matter(song, monkeypatch):
    path, _ = song
    whole, end_s = structure._frames(path)
    read = audio.blocks
    monkeypatch.setattr(audio, "blocks", lambda path, sr: read(path, sr, block_s=1.3))
    parts, _ = structure._frames(path)
    assert whole.shape == parts.shape == (25, 1 + round(50.4 * SR) // 1024) and end_s == 50.4
    assert parts == pytest.approx(whole, abs=1e-3)


@pytest.mark.parametrize("n", [1, 100, 30_000])
def test_a_short_or_silent_file_is_one_section(tmp_path, n):
    path = audio.write(tmp_path / "y.wav", np.zeros(n), SR)
    found = structure.structural_sections(path)
    assert len(found) == 1 and found["end_s"][0] == pytest.approx(n / SR)


def test_hits_are_one_to_one():
    known = np.array([10.0, 20, 30])
    assert hit_rate(known[::-1], known, 0.5) == {"precision": 1, "recall": 1, "f": 1}
    assert hit_rate(known + 5, known, 3) == {"precision": 0, "recall": 0, "f": 0}
    twice = hit_rate([9.8, 10.1, 20.6], known, 0.5)
    assert twice == pytest.approx({"precision": 1 / 3, "recall": 1 / 3, "f": 1 / 3})
    assert hit_rate([12.5, 22], [10, 14.9], 3)["f"] == 0.5
    assert hit_rate([8, 11], [10, 13], 3)["f"] == 1
    assert hit_rate([], [], 3)["f"] == 1 and hit_rate([], known, 3)["f"] == 0
    with pytest.raises(ValueError, match="finite times"):
        hit_rate([np.nan], known, 3)
    with pytest.raises(ValueError, match="window of -1"):
        hit_rate(known, known, -1)


def test_demo_tracks_are_cut_where_they_were_composed(tmp_path):
    size = replace(config.PROFILES["tiny"].demo, tunes=1, versions=2)
    tracks = synthetic.render("dance", size, tmp_path / "dance", n_jobs=1)
    ours, grid = [], []
    for track in tracks.itertuples():
        known = [part["start_s"] for part in json.loads(track.sections)][1:]
        found = structure.structural_sections(track.path, np.array(track.beat_times), least_s=4)
        ours.append(hit_rate(found["start_s"][1:], known, 0.5)["f"])
        grid.append(hit_rate(np.arange(15, track.seconds, 15), known, 0.5)["f"])
    assert np.mean(ours) > np.mean(grid) + 0.3


@pytest.mark.real
def test_real_tracks_are_cut_into_sections(data_root):
    found = structure.structural_sections(data_root / "edm" / "80s_vibe.mp3")
    lengths = found["end_s"] - found["start_s"]
    assert len(found) >= 2 and lengths.between(8, 60).all()
