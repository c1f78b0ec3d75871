"""Tempo, beats and bars of synthesised and rendered dance tracks."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from musiclatent import audio, config
from musiclatent.config import SR
from musiclatent.data import synthetic
from musiclatent.data.synthetic import drums
from musiclatent.features import beat_grid, rhythm
from musiclatent.features.rhythm import RATE


def pulses(times_s: np.ndarray, seconds: float, rng: np.random.Generator) -> np.ndarray:
    """Bursts of noise that set in at once, over weak noise."""
    y = 1e-3 * rng.standard_normal(round(seconds * SR))
    burst = 0.3 * rng.standard_normal(4000) * np.exp(-np.arange(4000) / 1000)
    for start in np.round(times_s * SR).astype(int):
        part = y[start : start + len(burst)]
        part += burst[: len(part)]
    return y


def strengths(times_s: np.ndarray, seconds: float) -> np.ndarray:
    """Onset strength (T, 3) of ideal onsets."""
    t = (np.arange(round(seconds * RATE)) - 0.5) / RATE + rhythm.LATE_S
    away = np.abs(t[:, None] - times_s).min(axis=1)
    return np.maximum(0, 1 - away * RATE / 2)[:, None] * np.ones(3)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> pd.DataFrame:
    """Render a track of 40 s in each style."""
    size = replace(config.PROFILES["tiny"].demo, tunes=4, versions=1)
    folder = tmp_path_factory.mktemp("dance")
    return synthetic.render("dance", size, folder, n_jobs=1)


@pytest.fixture(scope="module")
def sections(corpus) -> pd.DataFrame:
    grid = pd.DataFrame({"start_s": [0.0, 15.0, 30.0], "end_s": [15.0, 30.0, 40.0]})
    return corpus[["item_id", "path"]].assign(tempo=1.0).merge(grid, how="cross")


@pytest.fixture(scope="module")
def analysed(sections, tmp_path_factory):
    folder = tmp_path_factory.mktemp("kept")
    return folder, *rhythm.rhythm_table(sections, folder, n_jobs=1)


def test_beats_of_rendered_tracks_lie_where_they_were_played(corpus, analysed):
    found, _ = rhythm.analyse_tracks(list(corpus["path"]), analysed[0], n_jobs=1)
    for row in corpus.itertuples():
        track, known = found[row.path].rhythm, np.array(row.beat_times)
        away = np.abs(track.beats_s[:, None] - known).min(axis=1)
        assert track.tempo == pytest.approx(row.tempo, rel=5e-4)
        assert len(track.beats_s) == len(known) and track.stability > rhythm.STABLE
        assert np.median(away) < 0.010 and away.max() < 0.020


def test_the_table_has_a_row_a_section_and_its_columns(sections, analysed):
    _, table, quarantine = analysed
    assert len(table) == len(sections) and quarantine.empty
    assert table[["item_id", "start_s"]].equals(sections[["item_id", "start_s"]])
    assert table["loudness_db"].between(-40, 0).all() and table["tonic"].between(0, 11).all()
    assert table.groupby("item_id")["tempo"].nunique().eq(1).all()
    assert (table["tempo"] > 80).all() and table.columns.is_unique
    assert {"stability", "mode", "key", "camelot", "key_strength", "track_key"} <= set(
        table.columns
    )


def test_a_second_run_reads_what_was_kept_and_gives_the_same(sections, analysed, monkeypatch):
    folder, table, _ = analysed
    monkeypatch.setattr(rhythm, "analyse_track", lambda path: pytest.fail("analysed twice"))
    again, _ = rhythm.rhythm_table(sections, folder, n_jobs=1)
    exact = ["item_id", "start_s", "key", "camelot", "tempo", "stability"]
    pd.testing.assert_frame_equal(again[exact], table[exact])
    np.testing.assert_allclose(again["key_strength"], table["key_strength"], atol=1e-4)
    assert not list(folder.glob("*.part"))
    for path in folder.glob("*.json"):
        json.loads(path.read_text(), parse_constant=lambda name: pytest.fail(name))


def test_a_bad_file_is_set_aside_and_the_run_goes_on(sections, analysed, tmp_path):
    (tmp_path / "bad.wav").write_bytes(b"no sound")
    bad = [
        {"path": str(tmp_path / name), "start_s": 0, "end_s": 5} for name in ("bad.wav", "no.wav")
    ]
    both = pd.concat([pd.DataFrame(bad), sections], ignore_index=True)
    table, quarantine = rhythm.rhythm_table(both, analysed[0], n_jobs=1)
    assert len(table) == len(sections)
    assert [path.rsplit("/")[-1] for path in quarantine["path"]] == ["bad.wav", "no.wav"]
    assert quarantine["reason"].str.len().gt(10).all()
    with pytest.raises(ValueError, match="none of the 1 files can be used; the first, .*bad.wav"):
        rhythm.analyse_tracks([tmp_path / "bad.wav"], tmp_path, n_jobs=1)


def test_onsets_that_set_in_at_once_are_timed_within_2_ms(rng, tmp_path):
    tempo, first_s = 123.7, 0.21
    times_s = np.arange(first_s, 29.9, 60 / tempo)
    path = audio.write(tmp_path / "pulses.wav", pulses(times_s, 30.0, rng), SR)
    found = rhythm.analyse_track(path).rhythm
    phase_s = (found.beats_s - first_s + 15 / tempo) % (30 / tempo) - 15 / tempo
    assert found.tempo == pytest.approx(tempo, rel=1e-4) and found.stability > 0.99
    assert np.abs(phase_s).max() < 0.002


def test_a_drifting_tempo_is_tracked(rng, tmp_path):
    intervals_s = 60 / np.linspace(115, 128, 150)
    times_s = 0.3 + np.cumsum(intervals_s)
    path = audio.write(tmp_path / "drift.wav", pulses(times_s, times_s[-1] + 0.5, rng), SR)
    found = rhythm.analyse_track(path).rhythm
    away = np.abs(times_s[:, None] - found.beats_s).min(axis=1)
    assert found.stability < rhythm.STABLE and 118 < found.tempo < 125
    assert np.median(away) < 0.02 and np.mean(away < 0.05) > 0.95


@settings(deadline=None, max_examples=6, derandomize=True)
@given(st.floats(90, 170), st.floats(0, 0.3), st.integers(0, 3))
def test_any_tempo_phase_and_bar_is_found(tempo, first_s, downbeat):
    beats_s = np.arange(first_s, 40, 60 / tempo)
    onsets = 0.5 * strengths(beats_s, 40.0)
    onsets[:, 0] += strengths(beats_s[downbeat::4], 40.0)[:, 0]
    found = rhythm.track_beats(onsets, np.ones((12, round(40 * RATE / 16))))
    at = np.abs(beats_s - found.beats_s[found.downbeat]).argmin()
    assert found.tempo == pytest.approx(tempo, rel=1e-3)
    assert np.abs(found.beats_s[:, None] - beats_s).min(axis=1)[1:-1].max() < 0.005
    assert at % 4 == downbeat


@pytest.mark.parametrize("tempo", [65, 72, 87, 124, 174, 178, 190])
def test_both_octaves_of_a_tempo_are_said(tempo):
    beats_s = np.arange(0.1, 40, 60 / tempo)
    onsets = 0.3 * strengths(np.arange(0.1, 40, 30 / tempo), 40.0)
    onsets[:, 0] += strengths(beats_s[::2], 40.0)[:, 0]
    onsets[:, 2] += strengths(beats_s[1::2], 40.0)[:, 2]
    found = rhythm.track_beats(onsets, np.ones((12, round(40 * RATE / 16))))
    assert found.other / found.tempo in (0.5, 2.0)
    nearest = min((found.tempo, found.other), key=lambda told: abs(told - tempo))
    assert nearest == pytest.approx(tempo, rel=1e-3)
    assert found.said == f"{found.tempo:.1f} or {found.other:.1f}"


def test_a_known_tempo_is_looked_for_near_it_and_an_odd_one_is_not_believed():
    assert beat_grid.around(100.0) == pytest.approx((96.0, 104.0))
    assert beat_grid.around(np.nan, (60.0, 120.0)) == (60.0, 120.0)
    assert beat_grid.around(0.0) == beat_grid.around(4000.0) == beat_grid.TEMPI


def test_a_tempo_is_looked_for_where_one_is_told_to(rng, tmp_path):
    path = audio.write(tmp_path / "p.wav", pulses(np.arange(0.2, 29, 60 / 130), 30.0, rng), SR)
    told = {str(path): (60.0, 70.0)}
    for _ in range(2):
        found, _ = rhythm.analyse_tracks([path], tmp_path / "kept", n_jobs=1, tempi=told)
        assert found[str(path)].rhythm.tempo == pytest.approx(65, rel=1e-3)
    usual, _ = rhythm.analyse_tracks([path], tmp_path / "kept", n_jobs=1)
    assert usual[str(path)].rhythm.tempo == pytest.approx(130, rel=1e-3)


@pytest.mark.parametrize("kit", sorted(drums.KITS))
def test_drums_have_no_key(kit, tmp_path):
    rng, y = np.random.default_rng(0), np.zeros(30 * SR, np.float32)
    for beat in range(56):
        for drum, late in (("kick", 0), ("snare" if beat % 2 else "hat", 0), ("open", 0.25)):
            hit = drums.strike(kit, drum, rng)
            part = y[round((0.5 * beat + late) * SR) :]
            part[: len(hit)] += 0.3 * hit[: len(part)]
    track = rhythm.analyse_track(audio.write(tmp_path / "drums.wav", y, SR))
    assert not track.key() and track.key().strength == 0 and track.part(0, 15)["key"] == ""


def test_noise_and_a_siren_have_no_key_and_chords_have_one(rng, tmp_path):
    t = np.arange(30 * SR) / SR
    siren = np.sin(2 * np.pi * (600 * t + 600 * np.sin(0.5 * t)))
    for y in (rng.standard_normal(len(t)) / 4, siren / 2):
        assert not rhythm.analyse_track(audio.write(tmp_path / "y.wav", y / 2, SR)).key()
    chord = sum(np.sin(2 * np.pi * hz * t) for hz in (220, 277.18, 329.63))
    track = rhythm.analyse_track(audio.write(tmp_path / "chord.wav", chord / 8, SR))
    assert track.key().name == "A major" and np.median(track.tones) > 0.2


def test_silence_and_short_files_have_no_rhythm(tmp_path):
    for seconds in (0.001, 2.0, 6.5):
        path = audio.write(tmp_path / "still.wav", np.zeros(max(1, round(seconds * SR))), SR)
        track = rhythm.analyse_track(path)
        assert np.isnan(track.rhythm.tempo) and not len(track.rhythm.beats_s)
        assert track.key().strength == 0 and track.loudness_db() == pytest.approx(rhythm.FLOOR_DB)
        assert len(track.power) == max(1, np.ceil(seconds))


def test_kept_silence_is_read_again(tmp_path):
    path = audio.write(tmp_path / "still.wav", np.zeros(SR), SR)
    for _ in range(2):
        found, _ = rhythm.analyse_tracks([path], tmp_path / "kept", n_jobs=1)
        assert np.isnan(found[str(path)].rhythm.tempo)


def test_loudness_is_the_rms_of_a_part(tmp_path):
    t = np.arange(4 * SR) / SR
    y = np.sin(2 * np.pi * 441 * t) * np.where(t < 2, 0.1, 1.0)
    track = rhythm.analyse_track(audio.write(tmp_path / "tone.wav", 0.9 * y, SR))
    assert track.loudness_db(2, 4) == pytest.approx(20 * np.log10(0.9) - 3.01, abs=0.05)
    assert track.loudness_db(0, 2) == pytest.approx(20 * np.log10(0.09) - 3.01, abs=0.2)


def test_blocks_do_not_matter(rng, tmp_path, monkeypatch):
    y = pulses(np.arange(0.2, 20, 0.5), 20.0, rng)
    path, blocks = audio.write(tmp_path / "y.wav", y, SR), audio.blocks
    whole = rhythm.analyse_track(path)
    monkeypatch.setattr(audio, "blocks", lambda path, sr: blocks(path, sr, block_s=0.7))
    parts = rhythm.analyse_track(path)
    np.testing.assert_allclose(parts.rhythm.beats_s, whole.rhythm.beats_s, atol=1e-6)
    np.testing.assert_allclose(parts.chroma, whole.chroma, rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(parts.power, whole.power, rtol=1e-5)


@pytest.mark.parametrize(
    ("onsets", "chroma", "words"),
    [
        (np.ones((900, 2)), np.ones((12, 60)), "shape"),
        (np.ones((900, 3)), np.ones((11, 60)), "shape"),
        (np.full((900, 3), np.nan), np.ones((12, 60)), "not finite"),
        (np.full((900, 3), -1.0), np.ones((12, 60)), "negative"),
    ],
)
def test_malformed_input_is_refused(onsets, chroma, words):
    with pytest.raises(ValueError, match=words):
        rhythm.track_beats(onsets, chroma)


def test_a_table_without_sections_is_refused(tmp_path):
    with pytest.raises(ValueError, match="lack start_s, end_s; cut the tracks"):
        rhythm.rhythm_table(pd.DataFrame({"path": ["a.wav"]}), tmp_path)
    with pytest.raises(ValueError, match="no tracks to analyse"):
        rhythm.analyse_tracks([], tmp_path)


@pytest.mark.real
def test_versions_of_a_real_tune_agree(data_root, tmp_path):
    names = ("super-hacker-fights-ice", "super-hacker-fights-ice-variation")
    found, _ = rhythm.analyse_tracks(
        [data_root / "edm" / f"{name}.mp3" for name in names], tmp_path, n_jobs=1
    )
    one, two = found.values()
    assert one.rhythm.tempo == pytest.approx(two.rhythm.tempo, rel=0.01)
    assert (
        one.key().name == two.key().name and min(one.rhythm.stability, two.rhythm.stability) > 0.9
    )
