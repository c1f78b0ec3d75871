from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from musiclatent.config import SR, Workspace
from musiclatent.data import synthetic
from musiclatent.evaluation import linear_probes
from musiclatent.studies import STUDIES

STYLES = np.array(["ambient", "blues", "disco", "march", "tango", "waltz"])
NUMBERS = {"tempo": "number", "brightness": "number"}


@pytest.fixture
def clips(rng) -> pd.DataFrame:
    """Two windows of each of 30 clips of six styles; no factor follows the style."""
    table = pd.DataFrame({
        "group": [f"clip{i}" for i in range(180)],
        "style": np.repeat(STYLES, 30),
        "tempo": rng.uniform(60, 180, 180),
        "brightness": rng.random(180),
        "key": rng.choice(["C", "F#", "A#"], 180),
        "mode": rng.choice(["major", "minor"], 180, p=[0.8, 0.2]),
    })  # fmt: skip
    return table.loc[table.index.repeat(2)].reset_index(drop=True)


def _holding(items: pd.DataFrame, names: list[str], width: int, rng) -> np.ndarray:
    """Latents that hold some factors linearly, turned into `width` numbers, nearly."""
    known = pd.get_dummies(items[names]).to_numpy(float)
    known = (known - known.mean(axis=0)) / known.std(axis=0)
    z = known @ np.linalg.qr(rng.standard_normal((width, width)))[0][: known.shape[1]]
    return z + 0.01 * rng.standard_normal(z.shape)


def _rows(z: np.ndarray, items: pd.DataFrame, factors=linear_probes.FACTORS) -> pd.DataFrame:
    return linear_probes.probe(z, items, factors).set_index("factor")


@pytest.mark.parametrize("width", [16, 500])
def test_what_latents_hold_is_read_on_styles_never_seen(clips, rng, width):
    rows = _rows(_holding(clips, ["tempo", "mode", "style"], width, rng), clips)
    assert list(rows.index) == list(linear_probes.FACTORS) and (rows["n"] == 360).all()
    assert rows["score"]["tempo"] > 0.95 and rows["ordinary"]["tempo"] > 0.99
    assert rows["score"][["mode", "style"]].to_list() == pytest.approx([1, 1])
    assert rows["score"]["brightness"] < 0.1 and rows["score"]["key"] < 0.45
    assert rows["chance"].to_dict() == pytest.approx(
        {"tempo": 0, "brightness": 0, "key": 1 / 3, "mode": 1 / 2, "style": 1 / 6}
    )
    assert (rows["low"] <= rows["score"]).all() and (rows["score"] <= rows["high"]).all()
    assert (rows["high"] - rows["low"])["brightness"] > 0.01


def test_a_latent_that_is_the_factor_reads_it_without_error(clips):
    rows = _rows(clips[["tempo"]].to_numpy(), clips, {"tempo": "number"})
    assert rows["score"]["tempo"] == pytest.approx(1, abs=1e-6)


def test_a_latent_that_is_the_style_reads_nothing_where_styles_are_held_out(clips, rng):
    middle = clips["style"].map(dict(zip(STYLES, [60, 80, 120, 115, 125, 160], strict=True)))
    clips["tempo"] = middle + rng.uniform(-8, 8, len(clips)).repeat(2)[::2]
    clips["mode"] = np.where(clips["style"].isin(STYLES[::2]), "major", "minor")
    factors = {"tempo": "number", "mode": "class"}
    rows = _rows(_holding(clips, ["style"], 16, rng), clips, factors)
    assert rows["ordinary"]["tempo"] > 0.9 and rows["ordinary"]["mode"] == pytest.approx(1)
    assert rows["score"]["tempo"] < 0.05 and (rows["low"] <= rows["chance"]).all(), rows
    np.testing.assert_allclose(rows["style_oracle"], rows["ordinary"], atol=0.02)


def test_a_style_oracle_reads_nothing_of_factors_that_styles_share(clips, rng):
    rows = _rows(rng.standard_normal((360, 8)), clips)
    assert (rows["style_oracle"] - rows["chance"]).drop("style").abs().max() < 0.12
    assert rows["style_oracle"]["style"] == pytest.approx(1)


def test_controls_are_at_chance_for_latents_that_hold_everything(clips, rng):
    z = _holding(clips, list(linear_probes.FACTORS), 64, rng)
    rows = _rows(z, clips)
    assert rows["score"].min() > 0.95
    assert (rows["control"] - rows["chance"]).abs().max() < 0.12


def test_scores_are_those_of_hand():
    y, constant = np.array([[1.0], [2.0], [4.0]]), np.array([[2.0], [2.0], [2.0]])
    read = np.array([[1.0], [3.0], [4.0]])
    values = linear_probes._judged(y, read, constant)
    assert values.mean() == pytest.approx(1 - 1 / 5)  # squared errors 0, 1, 0 against 1, 0, 4
    truth = np.eye(2)[[0, 0, 0, 1]]
    answers = np.eye(2)[[0, 0, 1, 1]]
    found = linear_probes._judged(truth, answers, np.full((4, 2), 0.5))
    assert found.mean() == pytest.approx((2 / 3 + 1) / 2)
    assert linear_probes._judged(truth, np.eye(2)[[0] * 4], np.full((4, 2), 0.5)).mean() == 0.5


def test_every_clip_is_judged_once_and_no_style_is_on_both_sides(clips):
    styles = clips["style"].to_numpy(str)
    folds = linear_probes.folds(styles, linear_probes.FOLDS)
    assert len(folds) == len(STYLES)  # one style at a time
    assert sorted(np.concatenate([test for _, test in folds])) == list(range(360))
    for train, test in folds:
        assert not set(styles[train]) & set(styles[test]) and len(train) + len(test) == 360


def test_the_same_latents_give_the_same_table_in_any_unit(clips, rng):
    z = _holding(clips, ["tempo", "mode"], 12, rng)
    table = linear_probes.probe(z, clips, NUMBERS)
    clips["tempo"] = 1000 * clips["tempo"] - 5
    pd.testing.assert_frame_equal(linear_probes.probe(z * 1000 + 5, clips, NUMBERS), table)


def test_what_cannot_be_probed_is_refused(clips, rng):
    z = rng.standard_normal((360, 3))
    with pytest.raises(ValueError, match="359 latents but 360 items"):
        linear_probes.probe(z[1:], clips)
    with pytest.raises(ValueError, match="no column 'loudness'"):
        linear_probes.probe(z, clips, {"loudness": "number"})
    with pytest.raises(ValueError, match="no kind of factor named 'colour'; choose one of"):
        linear_probes.probe(z, clips, {"tempo": "colour"})
    with pytest.raises(ValueError, match="tempo is not known of 2 items; leave them out"):
        linear_probes.probe(z, clips.assign(tempo=clips["tempo"].where(clips.index > 1)))
    with pytest.raises(ValueError, match="mode has one value only"):
        linear_probes.probe(z, clips.assign(mode="major"))
    with pytest.raises(ValueError, match="2 of style; give 3 or more"):
        linear_probes.probe(z, clips.assign(style=np.repeat(["a", "b"], 180)))
    with pytest.raises(ValueError, match="NaN or infinity"):
        linear_probes.probe(z * np.nan, clips)


def test_the_clips_for_probes_are_many_on_real_and_few_on_tiny(tmp_path):
    sizes = {}
    for profile in ("tiny", "demo", "real", "paper"):
        space = Workspace(profile=profile, study="mel", results=str(tmp_path))
        data = linear_probes.probe_corpus(STUDIES["mel"], space)
        assert data.demo.clip_s == 6 and data.transform.window_s == 3
        sizes[profile] = len(synthetic.PLANS["probes"](data.demo, 0))
    assert sizes == {"tiny": 20, "demo": 60, "real": 300, "paper": 300}
    long = linear_probes.probe_corpus(replace(STUDIES["mel"], window_s=30.0), space)
    assert long.demo.clip_s == 30 and long.work != data.work


def test_music_is_rendered_beside_real_recordings_alone():
    study = STUDIES["waveform"]
    for profile in ("tiny", "demo"):
        assert (
            linear_probes.rendered_corpus(study, Workspace(profile=profile, study=study.name))
            is None
        )
    data = linear_probes.rendered_corpus(study, Workspace(profile="real", study=study.name))
    assert data.names == ("demo-music",) and data.demo.clip_s == 30 and data.split == "group"


def test_windows_that_are_padded_or_silent_are_left_out():
    items = pd.DataFrame({"start_s": [0.0, 5, 0, 5], "seconds": [6.0, 6, 10, 10]})
    items["silent"] = [False, False, True, False]
    assert linear_probes.whole_windows(items, 5.0).tolist() == [0, 3]


def test_a_middle_lies_between_where_its_reading_does():
    between = linear_probes.factor_between
    for middle, expected in ((0, 0), (0.05, 0), (0.5, 1), (0.95, 0), (1.5, 0), (-0.5, 0)):
        assert between("loudness", 3, 5, middle=3 + 2 * middle, read=float) == expected
        assert between("loudness", 5, 3, middle=5 - 2 * middle, read=float) == expected
    assert np.isnan(between("loudness", 3, 3, middle=3, read=float))
    assert np.isnan(between("loudness", 3, 5, middle=np.nan, read=float))
    with pytest.raises(ValueError, match="no factor to read named 'loudness'"):
        between("loudness", np.zeros(9), np.ones(9), middle=np.ones(9))


def _pulse(tempo: float, seconds: float = 16.0) -> np.ndarray:
    """Clicks of so many beats per minute."""
    y = np.zeros(round(seconds * SR), np.float32)
    for time_s in np.arange(0.1, seconds - 0.1, 60 / tempo):
        n = round(time_s * SR)
        y[n : n + 900] += np.hanning(900) * np.sin(np.arange(900) * 0.3)
    return y


def _scale(tonic: int) -> np.ndarray:
    """The triads of a major key, one after the other."""
    t = np.arange(SR) / SR
    chords = [[0, 4, 7], [5, 9, 12], [7, 11, 14], [0, 4, 7]]
    return np.concatenate([
        sum(np.sin(2 * np.pi * 261.63 * 2 ** ((tonic + step) / 12) * t) for step in chord)
        for chord in chords
    ]) / 4  # fmt: skip


def test_tempo_key_and_brightness_are_read_off_pure_signals(rng):
    between = linear_probes.factor_between
    slow, middle, fast = (_pulse(tempo) for tempo in (90, 103, 117))
    assert between("tempo", slow, fast, middle=middle) == 1
    assert between("tempo", slow, fast, middle=slow) == 0
    assert np.isnan(between("tempo", slow[: 5 * SR], fast[: 5 * SR], middle=middle[: 5 * SR]))
    assert between("key", _scale(10), _scale(14), middle=_scale(12)) == 1  # over the octave
    assert between("key", _scale(10), _scale(14), middle=_scale(10)) == 0
    assert between("key", _scale(10), _scale(14), middle=_scale(6)) == 0
    low, mid, high = (np.sin(2 * np.pi * hz / SR * np.arange(SR)) for hz in (300, 900, 2700))
    assert between("brightness", low, high, middle=mid) == 1
    assert between("brightness", low, mid, middle=high) == 0


@pytest.mark.parametrize(
    ("factor", "seconds"), [("tempo", 12.0), ("key", 6.0), ("brightness", 3.0)]
)
def test_pairs_are_read_as_they_were_made(factor, seconds):
    pairs = linear_probes.readable_pairs(factor, 2, seconds=seconds)
    assert len(pairs) == 2
    for a, b, (low, high) in pairs:
        assert len(a) == len(b) == seconds * SR and low != high
        assert linear_probes.factor_between(factor, a, b, middle=a) == 0


def test_a_tempo_is_not_read_off_a_few_seconds():
    assert linear_probes.readable_pairs("tempo", 1, seconds=4.0) == []
