import dataclasses
import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from musiclatent import audio
from musiclatent.edm import cue_sheets, mixdown
from musiclatent.edm.decks import deck
from musiclatent.edm.sequencing import Route
from musiclatent.features import rhythm
from musiclatent.features.rhythm import Rhythm

SR = 22_050


def _rhythm(tempo, seconds, first_s=0.0, steady=1.0) -> Rhythm:
    return Rhythm(
        tempo=tempo, beats_s=np.arange(first_s, seconds, 60 / tempo), downbeat=0, stability=steady
    )


def _route(*rows) -> Route:
    """Tracks given as (path, entry_s, exit_s)."""
    tracks = pd.DataFrame(rows, columns=["path", "entry_s", "exit_s"])
    tracks["track"] = [path.stem for path in tracks["path"]]
    tracks["path"] = tracks["path"].astype(str)
    return Route(tracks.assign(loudness_db=-20.0), 0.0, True)


def _clicks(path, beats_s, seconds, channel):
    """Write a click at each beat into one of two channels; return the path."""
    y = np.zeros((2, round(seconds * SR)))
    for beat_s in beats_s:
        near = np.arange(max(0, round((beat_s - 0.01) * SR)), round((beat_s + 0.01) * SR))
        near = near[near < y.shape[1]]
        y[channel, near] += 0.5 * np.exp(-0.5 * ((near / SR - beat_s) / 5e-4) ** 2)
    return audio.write(path, y, SR)


def _tone(path, hz, seconds, sr=SR, level=0.3):
    t = np.arange(round(seconds * sr)) / sr
    return audio.write(path, level * np.sin(2 * np.pi * hz * t), sr)


def _clicks_in(y, sr, start_s, end_s) -> np.ndarray:
    """Find clicks: the centres of what lies above a tenth of a click."""
    y = np.where(y > 0.01, y, 0)
    edges = np.flatnonzero(np.diff((y > 0).astype(int)))
    spans = zip(edges[::2] + 1, edges[1::2] + 1, strict=False)
    clicks_s = [np.average(np.arange(a, b), weights=y[a:b]) / sr for a, b in spans]
    return np.array([t for t in clicks_s if start_s < t < end_s])


@pytest.fixture(scope="module")
def clicks(tmp_path_factory):
    """Mix three click tracks of 120, 124 and 118 beats a minute; the middle one is on the right."""
    folder = tmp_path_factory.mktemp("clicks")
    tempi, first = {"a": 120.0, "b": 124.0, "c": 118.0}, {"a": 0.25, "b": 0.1, "c": 0.4}
    rhythms, tracks = {}, []
    for name, tempo in tempi.items():
        rhythm = _rhythm(tempo, 60, first[name])
        path = _clicks(folder / f"{name}.wav", rhythm.beats_s, 60, int(name == "b"))
        rhythms[str(path)] = rhythm
        tracks.append((path, 5.0, 38.0))
    mix = mixdown.render(_route(*tracks), rhythms, path=folder / "mix.flac", sr=SR)
    return mix, rhythms, folder


def test_clicks_of_both_tracks_are_heard_at_once(clicks):
    mix = clicks[0]
    y, sr = audio.read(mix.path, mono=False)
    assert sr == SR and y.shape[1] == round(mix.seconds * SR)
    for _, row in mix.tracks.iloc[1:].iterrows():
        # Clicks near the ends of a fade are too soft to be found.
        span = row["start_s"] + 0.15 * row["fade_s"], row["start_s"] + 0.85 * row["fade_s"]
        left, right = (_clicks_in(channel, sr, *span) for channel in y)
        assert len(left) == len(right) == pytest.approx(22, abs=1)
        np.testing.assert_allclose(left, right, atol=2e-4)


def test_the_sound_lies_where_the_time_map_says(clicks):
    mix, rhythms, _ = clicks
    y, sr = audio.read(mix.path, mono=False)
    row = mix.tracks.iloc[1]
    clicks_s = _clicks_in(
        y[1], sr, row["start_s"] + 3, row["end_s"] - 3
    )  # fade, glide and the rest
    expected_s = mix.position(row["path"], rhythms[row["path"]].beats_s)
    assert len(clicks_s) > 60
    assert np.abs(clicks_s[:, None] - expected_s).min(axis=1).max() < 2e-4


def test_perfect_beats_align_perfectly_and_shifted_ones_by_their_shift(clicks):
    mix, rhythms, _ = clicks
    beats = {path: rhythm.beats_s for path, rhythm in rhythms.items()}
    table = mixdown.beat_alignment(mix, beats)
    assert list(table["track"]) == ["b", "c"] and (table["beats"] >= 31).all()
    assert table["worst_ms"].max() < 0.1
    b = next(path for path in beats if path.endswith("b.wav"))
    table = mixdown.beat_alignment(mix, beats | {b: beats[b] + 0.01})
    np.testing.assert_allclose(table["median_ms"], [10 * 124 / 120, 10], atol=0.1)
    assert (
        mixdown.beat_alignment(mix, beats | {b: np.zeros(0)})["worst_ms"].tolist() == [np.inf] * 2
    )
    assert mixdown.beat_alignment(mix, {}).empty


def test_fades_begin_at_downbeats_and_tracks_come_back_to_their_tempo(clicks):
    mix, rhythms, _ = clicks
    for a, b in itertools.pairwise(mix.tracks.to_dict("records")):
        bars = [mix.position(row["path"], rhythms[row["path"]].beats_s[::4]) for row in (a, b)]
        assert all(np.abs(bar - b["start_s"]).min() < 1e-4 for bar in bars)
    b, c = mix.tracks.iloc[1], mix.tracks.iloc[2]
    assert b["rate"] == pytest.approx(120 / 124) and c["rate"] == pytest.approx(124 / 118)
    assert (mix.tracks["beats"].tolist(), b["fade_s"]) == ([0, 32, 32], pytest.approx(16, abs=1e-3))
    after = mix.position(b["path"], np.array([30.0, 31.0, 32.0]))
    np.testing.assert_allclose(np.diff(after), 1, atol=1e-9)
    early = mix.position(b["path"], np.array([6.0, 7.0]))
    assert np.diff(early)[0] == pytest.approx(124 / 120, rel=1e-6)
    assert mix.tracks["note"].eq("").all() and mix.quarantine.empty


@given(
    st.floats(0.94, 1.06),
    st.floats(0, 60),
    st.floats(0.1, 30),
    st.floats(0.5, 30),
    st.floats(0, 1000),
)
@settings(max_examples=50, deadline=None)
def test_the_time_map_rises_and_can_be_inverted(rate, from_s, fade_s, glide_s, start_s):
    fade = {"rate": rate, "from_s": from_s, "fade_s": fade_s, "glide_s": glide_s}
    row = mixdown._row({"track": "a", "path": "a"}, fade | {"start_s": start_s, "note": ""}, SR)
    t = start_s + np.linspace(-5, fade_s + glide_s + 20, 500)
    source = deck.source(row, t)
    step = np.diff(source) / np.diff(t)
    assert (step > min(rate, 1) - 1e-6).all() and (step < max(rate, 1) + 1e-6).all()
    np.testing.assert_allclose(deck.mixed(row, source), t, atol=1e-6)
    after = (deck.source(row, row["start_s"] + row["fade_s"] + row["glide_s"] + 3)) * SR
    assert after == pytest.approx(round(after), abs=1e-5)
    assert abs(row["from_s"] - from_s) <= 0.51 / SR


def test_tones_are_mixed_as_the_formula_says(tmp_path, monkeypatch):
    # Continuity, levels, resampling and rates at once: the mix is known sample by sample.
    hz = {"a": 220.0, "b": 1000.0}
    paths = [_tone(tmp_path / "a.wav", 220, 50), _tone(tmp_path / "b.wav", 1000, 50, 44_100)]
    rhythms = {str(paths[0]): _rhythm(125, 50), str(paths[1]): _rhythm(121, 50, 0.2)}
    route = _route((paths[0], 0, 32), (paths[1], 4, 50))
    mix = mixdown.render(route, rhythms, path=tmp_path / "mix.wav", sr=SR, beats=16)
    y, _ = audio.read(mix.path, mono=False)
    assert (y[0] == y[1]).all() and y.shape[1] == round(SR * mix.seconds)
    t, expected = np.arange(y.shape[1]) / SR, 0
    a, b = mix.tracks.to_dict("records")
    w = np.pi / 2 * np.clip((t - b["start_s"]) / b["fade_s"], 0, 1)
    for row, weight in ((a, np.cos(w)), (b, np.sin(w))):
        tone = np.sin(2 * np.pi * hz[row["track"]] * deck.source(row, t))
        expected = expected + 0.3 * 10 ** (row["gain_db"] / 20) * weight * tone
    np.testing.assert_allclose(y[0, : -SR // 10], expected[: -SR // 10], atol=5e-4)
    for module in (deck, mixdown):
        monkeypatch.setattr(module, "BLOCK", 7_001)
    again = mixdown.render(route, rhythms, path=tmp_path / "again.wav", sr=SR, beats=16)
    np.testing.assert_allclose(audio.read(again.path, mono=False)[0], y, atol=2 / 32768)


def test_one_track_alone_stays_as_it_is(tmp_path):
    path = _clicks(tmp_path / "a.wav", [0.5, 1.5], 2, 0)
    mix = mixdown.render(_route((path, 0, 2)), {}, path=tmp_path / "mix.flac", sr=SR)
    np.testing.assert_array_equal(
        audio.read(mix.path, mono=False)[0], audio.read(path, mono=False)[0]
    )
    assert mix.seconds == 2 and mix.tracks["gain_db"].tolist() == [0]
    assert mixdown.beat_alignment(mix, {}).empty
    with pytest.raises(ValueError, match="other.wav is not among the tracks of mix.flac"):
        mix.position("other.wav", 0.0)


@pytest.mark.parametrize(("levels", "peak"), [((0.9, 0.9), mixdown.PEAK), ((1.0, 0.1), 0.447)])
def test_loud_tracks_do_not_clip_and_all_are_equally_loud(tmp_path, levels, peak):
    paths = [_tone(tmp_path / f"{i}.wav", 50, 30, level=level) for i, level in enumerate(levels)]
    rhythms = {str(path): _rhythm(120, 30) for path in paths}
    route = _route((paths[0], 0, 12), (paths[1], 0, 30))
    route.tracks["loudness_db"] = 20 * np.log10(levels)
    mix = mixdown.render(route, rhythms, path=tmp_path / "mix.wav", sr=SR)
    y, _ = audio.read(mix.path)
    assert np.abs(y).max() == pytest.approx(peak, abs=2e-3)  # equal tones in phase add up to 1.41
    first, last = np.abs(y[: 5 * SR]).max(), np.abs(y[-5 * SR :]).max()
    assert last == pytest.approx(first, rel=0.01)


@pytest.mark.parametrize(
    ("a", "b", "note"),
    [
        (_rhythm(120, 30), _rhythm(140, 30), "tempi of 120.0 and 140.0 are more than 6% apart"),
        (_rhythm(120, 30), _rhythm(120, 30, steady=0.1), "1 has no steady beat"),
        (None, _rhythm(120, 30), "0 has no steady beat"),
        (
            Rhythm(tempo=np.nan, beats_s=np.zeros(0), downbeat=0, stability=1.0),
            _rhythm(120, 30),
            "0 has no steady beat",
        ),
        (_rhythm(120, 30), _rhythm(120, 1), "no room for a bar of both"),
        (
            _rhythm(120, 30),
            dataclasses.replace(_rhythm(120, 30), bar=3),
            "bars of 4 and of 3 beats",
        ),
        (
            Rhythm(
                tempo=120,
                beats_s=np.arange(60) / 2 + 0.1 * (np.arange(60) % 2),
                downbeat=0,
                stability=1.0,
            ),
            _rhythm(120, 30),
            "the beats of 0 wander by 50 ms",
        ),
    ],
)
def test_where_beats_cannot_be_matched_a_plain_fade_says_why(tmp_path, a, b, note):
    paths = [_tone(tmp_path / f"{i}.wav", 100, 30) for i in range(2)]
    rhythms = {str(path): rhythm for path, rhythm in zip(paths, (a, b), strict=True) if rhythm}
    route = _route((paths[0], 0, 20), (paths[1], 5, 30))
    mix = mixdown.render(route, rhythms, path=tmp_path / "mix.wav", sr=SR)
    row = mix.tracks.iloc[1]
    assert row["note"] == f"plain crossfade: {note}" and not row["matched"]
    assert (row["start_s"], row["from_s"], row["fade_s"], row["rate"]) == (20, 5, 4, 1)
    assert mix.seconds == 45 and audio.info(mix.path).seconds == 45
    assert (
        f'REM COMMENT "{row["note"]}"'
        in cue_sheets.write_cue_sheet(mix, tmp_path / "mix.cue").read_text()
    )


@pytest.mark.parametrize(("tempi", "beats"), [((70, 140), 16), ((140, 71), 32)])
def test_half_and_double_time_are_matched(tmp_path, tempi, beats):
    paths = [_tone(tmp_path / f"{i}.wav", 100, 50) for i in range(2)]
    rhythms = {str(path): _rhythm(tempo, 50, 0.3) for path, tempo in zip(paths, tempi, strict=True)}
    route = _route((paths[0], 0, 30), (paths[1], 5, 50))
    mix = mixdown.render(route, rhythms, path=tmp_path / "mix.wav", sr=SR, beats=beats)
    row = mix.tracks.iloc[1]
    assert row["matched"] and row["rate"] == pytest.approx(2 * min(tempi) / max(tempi), rel=0.03)
    table = mixdown.beat_alignment(mix, {path: rhythm.beats_s for path, rhythm in rhythms.items()})
    assert table["worst_ms"].max() < 0.1 and table["beats"][0] in (16, 17)


@pytest.mark.parametrize("seconds", [0.2, 1.0, 3.0, 9.0, 17.0])
@pytest.mark.parametrize("steady", [0.0, 1.0])
def test_tracks_shorter_than_a_fade_are_all_heard_in_order(tmp_path, seconds, steady):
    paths = [_tone(tmp_path / f"{i}.wav", 100, seconds) for i in range(3)]
    rhythms = {str(path): _rhythm(120, seconds, steady=steady) for path in paths}
    route = _route(*((path, 0, seconds / 2) for path in paths))
    mix = mixdown.render(route, rhythms, path=tmp_path / "mix.wav", sr=SR)
    assert (mix.tracks["start_s"].diff().iloc[1:] > 0).all()
    assert (mix.tracks["end_s"].diff().iloc[1:] > 0).all()
    fade_end = mix.tracks["start_s"] + mix.tracks["fade_s"]
    assert (fade_end.iloc[:-1].to_numpy() <= mix.tracks["start_s"].iloc[1:] + 1e-3).all()
    assert (mix.tracks["fade_s"] <= seconds / 2 + 1e-3).all()
    assert audio.info(mix.path).seconds == pytest.approx(mix.seconds, abs=1e-6)


def test_bars_of_three_are_matched_downbeat_on_downbeat(tmp_path):
    paths = [_tone(tmp_path / f"{i}.wav", 100, 60) for i in range(2)]
    waltzes = [dataclasses.replace(_rhythm(t, 60, 0.2), bar=3) for t in (120, 123)]
    rhythms = {str(path): waltz for path, waltz in zip(paths, waltzes, strict=True)}
    mix = mixdown.render(
        _route((paths[0], 0, 30), (paths[1], 5, 60)), rhythms, path=tmp_path / "mix.wav", sr=SR
    )
    row = mix.tracks.iloc[1]
    assert row["beats"] == 24 and row["bar"] == 3 and row["tempo"] == "123.0"
    downbeats = [mix.position(str(p), w.downbeats_s) for p, w in zip(paths, waltzes, strict=True)]
    both = [t[(t > row["start_s"] - 0.1) & (t < row["start_s"] + row["fade_s"])] for t in downbeats]
    np.testing.assert_allclose(both[0][:8], both[1][both[1] >= both[0][0] - 0.1][:8], atol=1e-3)


def test_silence_is_left_out_at_the_ends_and_inside(tmp_path):
    still, y = np.zeros(20 * SR), 0.3 * np.sin(np.arange(15 * SR) / 10)
    first = audio.write(tmp_path / "a.wav", np.concatenate([still, y, still, y]), SR)
    second = audio.write(tmp_path / "b.wav", np.concatenate([y, still]), SR)
    route = _route((first, 0.0, 68.0), (second, 0.0, 30.0))
    mix = mixdown.render(route, {}, path=tmp_path / "mix.wav", sr=SR)
    y, sr = audio.read(mix.path)
    loud = np.abs(y[: len(y) // (sr // 10) * (sr // 10)]).reshape(-1, sr // 10).max(axis=1) > 1e-3
    quiet = np.diff(np.flatnonzero(np.concatenate([[True], loud, [True]])))
    assert quiet.max() <= 7  # tenths of a second
    assert mix.seconds == pytest.approx(30.5 - 4 + 15.25, abs=0.05)
    assert mix.tracks["cut_s"].tolist() == pytest.approx([39.5, 19.75], abs=0.05)
    assert mix.position(str(first), 60.0) == pytest.approx(15 + 0.5 + 5, abs=0.02)


def test_beats_that_were_found_with_errors_are_matched_by_their_line(tmp_path, rng):
    paths = [_tone(tmp_path / f"{i}.wav", 100, 50) for i in range(2)]
    exact = {str(path): _rhythm(t, 50).beats_s for path, t in zip(paths, (120, 123), strict=True)}
    rhythms = {
        path: Rhythm(
            tempo=120.0, beats_s=beats + rng.normal(0, 0.01, len(beats)), downbeat=0, stability=1.0
        )
        for path, beats in exact.items()
    }
    route = _route((paths[0], 0, 30), (paths[1], 5, 50))
    mix = mixdown.render(route, rhythms, path=tmp_path / "mix.wav", sr=SR)
    assert mixdown.beat_alignment(mix, exact)["worst_ms"].max() < 12


def test_broken_files_leave_the_route_and_are_named(tmp_path):
    good = [_tone(tmp_path / f"{i}.wav", 100, 20) for i in range(2)]
    broken = tmp_path / "broken.flac"
    broken.write_bytes(b"fLaC and no more")
    cut = _tone(tmp_path / "cut.wav", 100, 20)
    cut.write_bytes(cut.read_bytes()[:100_000])
    route = _route((broken, 0, 10), (good[0], 0, 10), (cut, 0, 10), (good[1], 0, 10))
    mix = mixdown.render(route, {}, path=tmp_path / "mix.wav", sr=SR)
    assert mix.tracks["track"].tolist() == ["0", "1"] and mix.seconds == 30
    assert mix.quarantine["path"].tolist() == [str(broken), str(cut)]
    assert "cut short" in mix.quarantine["reason"][1]
    with pytest.raises(ValueError, match="none of 1 tracks can be read"):
        mixdown.render(_route((broken, 0, 10)), {}, path=tmp_path / "none.wav", sr=SR)
    assert not (tmp_path / "none.wav").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"beats": 12}, "12 beats does not fill bars"),
        ({"path": "mix.mp3"}, "use .flac or .wav"),
        ({"path": "a.wav"}, "a.wav is one of the tracks"),
        ({"twice": True}, "a.wav comes twice"),
    ],
)
def test_what_cannot_be_rendered_is_refused(tmp_path, options, message):
    a = _tone(tmp_path / "a.wav", 100, 1)
    tracks = [(a, 0, 1)] * (2 if options.pop("twice", False) else 1)
    path = tmp_path / options.pop("path", "mix.wav")
    with pytest.raises(ValueError, match=message):
        mixdown.render(_route(*tracks), {}, path=path, sr=SR, **options)


def test_a_mix_too_long_for_wav_is_refused_before_it_is_heard(tmp_path, monkeypatch):
    monkeypatch.setattr(audio.io, "_MAX_WAV", 4 * SR)
    monkeypatch.setattr(mixdown, "_sound", lambda *_: pytest.fail("it is rendered"))
    path = _tone(tmp_path / "a.wav", 440, 2.0)
    with pytest.raises(ValueError, match=r"mix\.wav: .*more than 4 GiB; use \.flac"):
        mixdown.render(_route((path, 0, 2)), {}, path=tmp_path / "mix.wav")


def test_a_mix_that_cannot_be_written_leaves_nothing(tmp_path):
    a = _tone(tmp_path / "a.wav", 100, 1)
    with pytest.raises(OSError, match=r"a\.wav"):
        mixdown.render(_route((a, 0, 1)), {}, path=tmp_path / "a.wav" / "mix.wav", sr=SR)
    assert [path.name for path in tmp_path.iterdir()] == ["a.wav"]


def test_beats_that_rhythm_finds_align_within_25_ms(clicks, tmp_path):
    _, rhythms, folder = clicks
    paths = [folder / "a.wav", folder / "b.wav"]
    found = {str(path): rhythm.analyse_track(path).rhythm for path in paths}
    route = _route(*((path, 5.0, 38.0) for path in paths))
    mix = mixdown.render(route, found, path=tmp_path / "mix.wav", sr=SR, beats=16)
    table = mixdown.beat_alignment(mix, {path: rhythms[path].beats_s for path in found})
    assert mix.tracks["matched"].tolist() == [False, True]
    assert table["worst_ms"].max() < 25
