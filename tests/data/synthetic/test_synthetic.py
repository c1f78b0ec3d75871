"""The embedded corpora hold what their indices say."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import librosa
import numpy as np
import pandas as pd
import pytest
from scipy.signal import correlate
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.model_selection import LeaveOneOut, cross_val_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from musiclatent import audio, config
from musiclatent.config import PROFILES, DemoSize
from musiclatent.data import synthetic
from musiclatent.data.synthetic import dance, digits, instruments, music, score, tables
from musiclatent.data.synthetic.drums import KITS, strike
from musiclatent.data.synthetic.styles import DANCES, STYLES

TINY = PROFILES["tiny"].demo
SMALL = DemoSize(
    clips_per_style=1, clip_s=1.0, repeats=1, speakers=2, takes=1, tunes=1, versions=1, track_s=20.0
)
COLUMNS = {"item_id", "path", "label", "group", "seconds"}


@pytest.fixture(scope="module")
def corpora(tmp_path_factory, rendered) -> dict[str, pd.DataFrame]:
    folder = tmp_path_factory.mktemp("demo")
    for kind in synthetic.KINDS:
        rendered(kind, folder / kind)
    return {kind: synthetic.render(kind, TINY, folder / kind, n_jobs=1) for kind in synthetic.KINDS}


@pytest.fixture(scope="module")
def originals(corpora) -> pd.DataFrame:
    index = corpora["music"]
    return index[(index["copy_of"] == "") & ~index["outlier"]]


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def copies(corpora, kind: str):
    """Each copy of a kind beside its original: index row, samples of both."""
    index = corpora["music"].set_index("item_id", drop=False)
    for _, copy in index[index["copy_kind"] == kind].iterrows():
        original = index.loc[copy["copy_of"]]
        yield copy, original, audio.read(original["path"])[0], audio.read(copy["path"])[0]


def flux(y: np.ndarray, sr: int) -> np.ndarray:
    """Rise of the log-mel spectrum, one number every 128 samples."""
    return librosa.onset.onset_strength(y=y, sr=sr, hop_length=128, n_fft=512, n_mels=40)


def strength(onsets: np.ndarray, times_s: np.ndarray, sr: int) -> float:
    """Mean of the strongest onset within about 20 ms after each time."""
    frames = np.round(np.asarray(times_s) * sr / 128).astype(int)
    frames = frames[frames < len(onsets) - 4]
    return float(np.mean([onsets[f : f + 4].max() for f in frames]))


def scale(row: pd.Series) -> set[int]:
    return {(score.KEYS.index(row["key"]) + step) % 12 for step in score.MODES[row["mode"]]}


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> Path:
    """A folder for each kind of corpus."""
    folder = tmp_path_factory.mktemp("small")
    for kind in synthetic.KINDS:
        synthetic.render(kind, SMALL, folder / kind, n_jobs=1)
    return folder


@pytest.mark.parametrize("kind", synthetic.KINDS)
def test_same_seed_gives_same_bytes_on_any_number_of_processes(kind, small, tmp_path):
    synthetic.render(kind, SMALL, tmp_path, n_jobs=2)
    assert contents(small / kind) == contents(tmp_path)


@pytest.mark.parametrize("kind", synthetic.KINDS)
def test_another_seed_gives_other_sounds_and_replaces_the_old(kind, small, tmp_path):
    shutil.copytree(small / kind, tmp_path / kind)
    before = contents(tmp_path / kind / "audio")
    again = synthetic.render(kind, SMALL, tmp_path / kind, seed=1, n_jobs=1)
    after = contents(tmp_path / kind / "audio")
    assert sorted(after) == sorted(Path(path).name for path in again["path"])
    assert not set(before.values()) & set(after.values())


def test_a_larger_corpus_holds_the_smaller_one():
    large_size = replace(
        SMALL, clips_per_style=2, repeats=2, speakers=3, takes=2, tunes=2, versions=2
    )
    for plan in synthetic.PLANS.values():
        small, large = plan(SMALL, 0), plan(large_size, 0)
        originals = [item for item in small if not getattr(item, "copy_of", "")]
        assert set(originals) <= set(large)
        assert len({item.item_id for item in large}) == len(large)


def test_rendering_takes_up_what_is_there(small, tmp_path):
    shutil.copytree(small / "digits", tmp_path, dirs_exist_ok=True)
    index = synthetic.render("digits", SMALL, tmp_path, n_jobs=1)
    before = contents(tmp_path)
    stamps = {path: Path(path).stat().st_mtime_ns for path in index["path"]}
    lost = index["path"][3]
    Path(lost).unlink()
    (tmp_path / "index.parquet").unlink()
    synthetic.render("digits", SMALL, tmp_path, n_jobs=1)
    assert contents(tmp_path) == before
    assert all(Path(p).stat().st_mtime_ns == t for p, t in stamps.items() if p != lost)


def test_rendering_does_not_touch_a_folder_of_other_audio(tmp_path):
    (tmp_path / "audio").mkdir()
    (tmp_path / "audio" / "mine.wav").write_bytes(b"mine")
    with pytest.raises(ValueError, match="not rendered here; name an empty folder"):
        synthetic.render("music", SMALL, tmp_path)
    assert (tmp_path / "audio" / "mine.wav").read_bytes() == b"mine"


def test_unknown_kind_names_the_known_ones(tmp_path):
    with pytest.raises(ValueError, match="'opera'.*music, digits, dance"):
        synthetic.render("opera", SMALL, tmp_path)


@pytest.mark.parametrize("kind", synthetic.KINDS)
def test_index_describes_the_files(corpora, kind):
    index = corpora[kind]
    assert set(index.columns) >= COLUMNS
    assert index["item_id"].is_unique
    for _, row in index.iterrows():
        header = audio.info(row["path"])
        assert header.seconds == pytest.approx(row["seconds"], abs=1e-4)
        assert header.sr == (8000 if kind == "digits" else 22_050)
        assert header.channels == (2 if kind == "dance" else 1)


def test_every_voice_and_drum_sounds_in_tune_and_finite():
    rng = np.random.default_rng(0)
    for name in instruments.VOICES:
        y = instruments.play(name, 57, 0.8, rng)
        assert np.isfinite(y).all()
        assert np.abs(y).max() == pytest.approx(1)
        spectrum = np.abs(np.fft.rfft(y[2000:] * np.hanning(len(y) - 2000), 2**17))
        hz = np.arange(len(spectrum)) * config.SR / 2**17
        peak_hz = hz[spectrum.argmax()]
        partial = max(round(2 * peak_hz / 220), 1) / 2  # bells ring between the harmonics
        assert 1200 * abs(np.log2(peak_hz / (220 * partial))) < 20, name  # detuned voices beat
    for kit, drums in KITS.items():
        assert all(np.isfinite(strike(kit, drum, rng)).all() for drum in drums)


def test_a_row_of_a_table_names_a_function_and_its_options():
    def ping(rng, hz=1.0):
        return hz

    assert tables.sound({"sound": "ping", "hz": 3.0}, [ping])(None) == 3.0
    with pytest.raises(ValueError, match="no sound named 'bang'; choose one of: ping"):
        tables.sound({"sound": "bang"}, [ping])
    with pytest.raises(TypeError, match="herz"):
        tables.sound({"sound": "ping", "herz": 3.0}, [ping])


def test_a_style_has_patterns_of_whole_bars():
    assert STYLES["blues"].comp[0] == "x..x....x..x...."
    with pytest.raises(ValueError, match="a pattern of bass is not 12 steps long"):
        replace(STYLES["waltz"], bass=("0...............",))


def test_styles_play_what_there_is():
    for style in (*STYLES.values(), *DANCES.values()):
        assert {*style.leads, *style.comps, *style.basses} <= set(instruments.VOICES)
        assert set(style.kits) <= set(KITS)
    assert all(set(word.split()) <= set(digits.PHONES) for word in digits.WORDS)


def test_levels_are_those_of_music(corpora):
    powers = []
    for path in corpora["music"]["path"]:
        y, _ = audio.read(path)
        powers.append(np.mean(y**2))
        assert -26.5 < 10 * np.log10(powers[-1]) < -10
        assert np.abs(y).max() < 1
    assert 0.008 < np.mean(powers) < 0.03


def test_energy_falls_with_frequency(originals):
    bands = np.zeros(3)
    for path in originals["path"]:
        y, sr = audio.read(path)
        power = np.abs(np.fft.rfft(y)) ** 2
        hz = np.arange(len(power)) * sr / len(y)
        edges = np.searchsorted(hz, (100, 500, 2500, 10_000))
        bands += np.add.reduceat(power, edges)[:3] / power.sum()
    assert bands[0] > bands[1] > bands[2] > 0.001 * bands[0]


def test_factors_lie_in_their_style(originals):
    assert sorted(originals["style"].unique()) == sorted(STYLES)
    for _, row in originals.iterrows():
        style = STYLES[row["style"]]
        assert style.tempo[0] <= row["tempo"] <= style.tempo[1]
        assert style.brightness[0] <= row["brightness"] <= style.brightness[1]
        lead, comp, bass, *_ = row["instruments"].split(",")
        assert lead in style.leads and comp in style.comps and bass in style.basses


def test_two_outliers_of_extreme_tempo(corpora):
    index = corpora["music"]
    assert sorted(index.loc[index["outlier"], "tempo"]) == [40.0, 300.0]


def test_beats_are_where_the_index_says(originals):
    true = 0
    for _, row in originals.iterrows():
        beats = np.array(row["beat_times"])
        assert np.allclose(np.diff(beats), 60 / row["tempo"], atol=1e-5)
        assert beats[0] < 60 / row["tempo"] + 1e-6 and beats[-1] < row["seconds"]
        y, sr = audio.read(row["path"])
        onsets = flux(y, sr)
        wrong_tempo = beats[0] + (beats - beats[0]) * 1.061
        off = strength(onsets, wrong_tempo[wrong_tempo < row["seconds"]], sr)
        true += strength(onsets, beats, sr) > 1.2 * off
    assert true >= 0.9 * len(originals)


def test_strongest_pitches_belong_to_the_key(originals):
    belongs = []
    for _, row in originals.iterrows():
        y, sr = audio.read(row["path"])
        chroma = librosa.feature.chroma_stft(y=y, sr=sr, tuning=0, n_fft=4096).mean(axis=1)
        belongs.append(set(np.argsort(chroma)[-3:].tolist()) <= scale(row))
    assert np.mean(belongs) >= 0.75


def test_no_factor_of_the_clips_for_probes_follows_their_style():
    many = replace(SMALL, clips_per_style=100)
    clips = pd.DataFrame([clip.row() for clip in music.plan_probes(many, 0)])
    assert clips["group"].is_unique and sorted(clips["style"].unique()) == sorted(STYLES)
    for factor, (low, high) in {"tempo": (60, 180), "brightness": (0.1, 0.95)}.items():
        styles = clips.groupby("style")[factor]
        assert styles.min().max() < low + 0.1 * (high - low)
        assert styles.max().min() > high - 0.1 * (high - low)
        assert styles.mean().std() < 0.2 * clips[factor].std()
    assert clips.groupby("style")["key"].nunique().eq(12).all()
    assert clips["mode"].eq("minor").groupby(clips["style"]).mean().between(0.3, 0.7).all()


def test_no_corpus_holds_a_clip_of_another():
    keys = [{clip.rng_key for clip in plan(SMALL, 0)} for plan in (music.plan, music.plan_probes)]
    assert not keys[0] & keys[1]


@pytest.mark.parametrize("factor", music.CHANGES)
def test_a_pair_is_one_score_with_one_factor_changed(factor, monkeypatch):
    scores = []

    def write(clip):
        """Keep the parts of a clip, and render nothing."""
        rng = np.random.default_rng(clip.rng_key)
        scores.append((clip, music._compose(clip, STYLES[clip.style], rng)))
        return np.zeros(round((clip.seconds + music.MARGIN_S) * config.SR))

    def notes(clip, layer):
        """Beat, velocity and interval above the tonic of each note."""
        played = [(note.start_s, note.velocity, note.pitch) for note in layer.notes]
        start_s, velocity, pitch = np.array(played).reshape(-1, 3).T
        tonic = score.KEYS.index(clip.key)
        return (start_s - clip.grid.start_s) * clip.tempo / 60, velocity, (pitch - tonic) % 12

    monkeypatch.setattr(music, "_render", write)
    for number in range(len(STYLES)):
        scores.clear()
        y_a, y_b, values = music.render_pair(factor, number=number, seconds=4.0)
        (a, parts_a), (b, parts_b) = scores
        assert len(y_a) == len(y_b) == 4 * config.SR and values[0] != values[1]
        assert (getattr(a, factor), getattr(b, factor)) == values
        varied = {name for name, value in vars(a).items() if getattr(b, name) != value}
        assert varied == ({factor, "seconds"} if factor == "tempo" else {factor})
        for place, (one, other) in enumerate(zip(parts_a, parts_b, strict=True)):
            (beat, loud, above), (beat_b, loud_b, above_b) = notes(a, one), notes(b, other)
            np.testing.assert_allclose(beat_b, beat, atol=0.05)  # players are loose
            np.testing.assert_array_equal(loud_b, loud)
            if place in (0, 2) and factor != "mode":  # melody and bass
                np.testing.assert_array_equal(above_b, above)


def test_a_pair_of_an_unknown_factor_is_refused():
    with pytest.raises(ValueError, match="no factor of a pair named 'loudness'; choose one of"):
        music.render_pair("loudness")


def test_a_pair_sounds_as_it_says():
    dark, bright, _ = music.render_pair("brightness", seconds=2.0)
    centroids = [
        librosa.feature.spectral_centroid(y=y, sr=config.SR).mean() for y in (dark, bright)
    ]
    assert centroids[1] > 1.2 * centroids[0]
    again, _, _ = music.render_pair("brightness", seconds=2.0)
    other, _, _ = music.render_pair("brightness", seconds=2.0, seed=1)
    assert np.array_equal(dark, again) and not np.array_equal(dark, other)


def test_brightness_raises_the_centroid_in_every_style():
    for clip in music.plan(replace(SMALL, clip_s=2.0), 0)[: len(STYLES)]:
        centroids = []
        for brightness in (0.1, 0.5, 0.9):
            y, sr = replace(clip, brightness=brightness).synthesise()
            centroids.append(librosa.feature.spectral_centroid(y=y, sr=sr).mean())
        assert centroids == sorted(centroids), clip.style
        assert centroids[2] > 1.1 * centroids[0], clip.style


def test_styles_can_be_learnt_but_not_trivially():
    x, labels = [], []
    for clip in music.plan(replace(SMALL, clips_per_style=4, clip_s=3.0, repeats=0), 0):
        if not clip.outlier:
            y, sr = clip.synthesise()
            mfcc = librosa.feature.mfcc(y=y, sr=sr, n_mfcc=20, hop_length=1024)
            x.append(np.concatenate([mfcc.mean(axis=1), mfcc.std(axis=1)]))
            labels.append(clip.style)
    knn = make_pipeline(StandardScaler(), KNeighborsClassifier(1))
    accuracy = cross_val_score(knn, np.array(x), labels, cv=LeaveOneOut()).mean()
    assert 0.4 < accuracy < 0.95  # chance is 0.1


def test_each_kind_of_copy_is_there_and_in_its_originals_group(corpora):
    index = corpora["music"].set_index("item_id", drop=False)
    counts = index["copy_kind"].value_counts()
    assert all(counts[kind] == TINY.repeats for kind in music.COPIES)
    copied = index[index["copy_of"] != ""]
    assert (copied["group"] == index.loc[copied["copy_of"], "group"].to_numpy()).all()
    assert (copied["label"] == index.loc[copied["copy_of"], "label"].to_numpy()).all()
    originals = index[index["copy_of"] == ""]
    assert originals["group"].is_unique


def test_exact_copies_are_the_same_bytes(corpora):
    for copy, original, _, _ in copies(corpora, "exact"):
        assert Path(copy["path"]).read_bytes() == Path(original["path"]).read_bytes()


def test_gain_copies_differ_by_the_stated_gain(corpora):
    for copy, _, y, louder in copies(corpora, "gain"):
        gain = np.dot(y, louder) / np.dot(y, y)
        assert 20 * np.log10(gain) == pytest.approx(copy["gain_db"], abs=0.01)
        assert 3 <= abs(copy["gain_db"]) <= 12
        assert np.abs(louder - gain * y).max() < 3e-4  # rounding to 16 bits, no clipping


def test_gains_go_both_ways_and_offsets_off_the_hop():
    plans = music.plan(replace(SMALL, clips_per_style=8, repeats=20), 0)
    gains = [clip.gain_db for clip in plans if clip.copy_kind == "gain"]
    assert min(gains) >= -12 and max(gains) <= 12 and min(map(abs, gains)) >= 3
    assert 0.2 < np.mean(np.array(gains) > 0) < 0.8
    offsets = np.array([clip.offset for clip in plans if clip.copy_kind == "offset"])
    assert (offsets % 512 != 0).all()
    assert offsets.min() > 0.005 * 22_050 and offsets.max() <= 0.4 * 22_050


def test_codec_copies_are_lossy_and_aligned(corpora):
    for copy, _, y, decoded in copies(corpora, "codec"):
        assert copy["path"].endswith(".mp3")
        assert len(decoded) == len(y)
        assert 0.9 < np.corrcoef(y, decoded)[0, 1] < 0.99999
        lag = correlate(decoded[:40_000], y[:40_000], mode="same").argmax() - 20_000
        assert abs(lag) <= 1


def test_offset_copies_start_later_in_the_same_sound(corpora):
    for copy, original, y, later in copies(corpora, "offset"):
        n = 40_000
        lag = correlate(y[:n], later[:n], mode="full").argmax() - (n - 1)
        assert lag == round(copy["offset_s"] * 22_050)
        assert np.array_equal(y[lag:], later[:-lag])
        assert np.abs(later[-lag:]).max() > 0  # the sound goes on, no padding
        shared = [t - copy["offset_s"] for t in original["beat_times"] if t >= copy["offset_s"]]
        assert np.allclose(copy["beat_times"][: len(shared)], shared, atol=1e-5)


def test_digits_can_be_told_apart_over_takes_and_speakers(corpora):
    index = corpora["digits"]
    assert len(index) == 10 * TINY.speakers * TINY.takes
    assert sorted(index["label"].unique()) == [str(digit) for digit in range(10)]
    assert index["seconds"].between(0.2, 1.0).all()
    assert (index["group"] == index["item_id"]).all()
    assert (
        index["item_id"]
        == index["label"] + "_" + index["speaker"] + "_" + index["index"].astype(str)
    ).all()
    x = []
    for path in index["path"]:
        y, sr = audio.read(path)
        mfcc = librosa.feature.mfcc(y=y, sr=sr, n_mfcc=13, n_fft=256, hop_length=64, n_mels=32)
        x.append(np.concatenate([part.mean(axis=1) for part in np.array_split(mfcc, 5, axis=1)]))
    x, held_out = np.array(x), index["index"].to_numpy() == 1
    lda = LinearDiscriminantAnalysis(solver="lsqr", shrinkage="auto")
    fitted = lda.fit(x[~held_out], index["label"][~held_out])
    assert fitted.score(x[held_out], index["label"][held_out]) >= 0.9


def test_speakers_differ_and_takes_differ(corpora):
    index = corpora["digits"]
    speakers = index.groupby("speaker")["f0_hz"]
    assert (speakers.nunique() == 1).all()
    assert np.diff(np.sort(speakers.first())).min() > 5
    takes = index[(index["label"] == "3") & (index["speaker"] == "s0")]["path"]
    first, second = (audio.read(path)[0] for path in takes)
    n = min(len(first), len(second))
    assert not np.allclose(first[:n], second[:n], atol=1e-3)


def test_dance_sections_cover_the_track_and_silences_are_silent(corpora):
    for _, row in corpora["dance"].iterrows():
        sections = pd.DataFrame(json.loads(row["sections"]))
        assert set(sections["name"]) == {"intro", "build", "drop", "break", "silence", "outro"}
        assert sections["start_s"][0] == 0 and sections["end_s"].iloc[-1] == row["seconds"]
        assert (sections["end_s"][:-1].to_numpy() == sections["start_s"][1:].to_numpy()).all()
        y, sr = audio.read(row["path"])
        parts = {name: [] for name in sections["name"]}
        for name, start_s, end_s in sections.itertuples(index=False):
            parts[name].append(y[round(start_s * sr) : round(end_s * sr)])
        assert all(not part.any() and len(part) >= sr for part in parts.pop("silence"))
        level = {name: np.mean(np.concatenate(some) ** 2) for name, some in parts.items()}
        assert min(level.values()) > 1e-5
        assert level["drop"] > level["break"]


def test_versions_share_tune_and_mode_and_some_are_moved():
    size = replace(SMALL, tunes=20, versions=4)
    index = pd.DataFrame([track.row() for track in dance.plan(size, 0)])
    for tune, versions in index.groupby("tune"):
        assert versions["group"].nunique() == 1 and f"{tune:02d}" in versions["group"].iloc[0]
        assert versions["mode"].nunique() == 1
        assert versions["instruments"].nunique() == versions["label"].nunique() == len(versions)
        keys = versions["key"].map(score.KEYS.index)
        assert ((keys - keys.iloc[0]) % 12 == versions["semitones"]).all()
        assert versions["tempo"].max() / versions["tempo"].min() < 1.18**2 * 1.03 / 0.97
    first = index["version"] == 0
    assert not index.loc[first, ["semitones", "half_time"]].any(axis=None)
    assert (index.loc[~first, "semitones"] > 0).mean() == pytest.approx(1 / 2, abs=0.2)
    assert index.loc[~first, "half_time"].mean() == pytest.approx(1 / 4, abs=0.15)
    tempo = index.groupby("tune")["tempo"]
    near = (tempo.transform("first") / index["tempo"]).between(0.94, 1.07)[~first]
    assert 0.4 < near.mean() < 0.9


def test_in_half_time_chords_take_two_bars_over_the_same_beat():
    track = dance.plan(SMALL, 0)[0]
    style = dance.DANCES[track.style]
    slow, usual = (
        dance._compose(replace(track, half_time=half), style, np.random.default_rng(0))
        for half in (True, False)
    )
    for player in ("kick", "hat"):
        assert [n.start_s for n in slow[player].notes] == [n.start_s for n in usual[player].notes]
    starts = [sorted({n.start_s for n in part["comp"].notes}) for part in (slow, usual)]
    lasts = [np.median([n.seconds for n in part["bass"].notes]) for part in (slow, usual)]
    assert len(starts[0]) < 0.7 * len(starts[1]) and lasts[0] > 1.4 * lasts[1]


def test_dance_keeps_key_and_beat(corpora):
    for _, row in corpora["dance"].iterrows():
        assert np.allclose(np.diff(row["beat_times"]), 60 / row["tempo"], atol=1e-5)
        y, sr = audio.read(row["path"])
        chroma = librosa.feature.chroma_stft(y=y, sr=sr, tuning=0, n_fft=4096).mean(axis=1)
        assert int(chroma.argmax()) in scale(row)
        onsets = flux(y, sr)
        assert strength(onsets, row["beat_times"], sr) > 1.3 * onsets.mean()
