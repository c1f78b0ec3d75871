from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from helpers.models import A1, SPARSE, untrained, waveform_experiment

from musiclatent import audio
from musiclatent.audio.windows import Waveform
from musiclatent.config import Workspace
from musiclatent.data.datamodules import CorpusDataModule
from musiclatent.evaluation import downstream, linear_probes, rate_distortion, reconstruction
from musiclatent.studies import STUDIES

SR, N = 8000, 8192
WAVEFORM = Waveform(SR, N / SR)


@pytest.fixture
def a1(tmp_path) -> rate_distortion.ModelCodec:
    return rate_distortion.ModelCodec(
        untrained(tmp_path, waveform_experiment("WaveformAutoencoder", A1)), N
    )


@pytest.fixture
def sparse(tmp_path) -> rate_distortion.ModelCodec:
    return rate_distortion.ModelCodec(
        untrained(tmp_path, waveform_experiment("SparseAutoencoder", SPARSE, "sparse")), N
    )


def clips(n: int, windows: int) -> pd.DataFrame:
    name = np.repeat([f"c{i:02d}" for i in range(n)], windows)
    label = np.repeat(["jazz", "rock"] * (n // 2), windows)
    return pd.DataFrame({"item_id": name, "group": name, "label": label})


def test_genre_is_told_by_other_clips_only(rng):
    items = clips(12, 4)
    told = np.where(items["label"].eq("jazz"), 5.0, -5.0)[:, None] + rng.normal(size=(48, 8))
    assert downstream.genre_accuracy(told, items, 5) == {
        "accuracy": 1.0,
        "excerpts": 1.0,
        "clips": 12,
    }
    # each clip has a place of its own: a copy of its own excerpts would name it, others do not
    alone = np.repeat(rng.normal(size=(12, 8)), 4, axis=0)
    assert downstream.genre_accuracy(alone, items, 3)["excerpts"] < 0.9
    one = downstream.genre_accuracy(alone[:4], items[:4])
    assert np.isnan(one["accuracy"]) and one["clips"] == 1


def test_few_other_windows_vote_once_each_and_none_of_the_own(rng):
    items = clips(2, 5)  # one clip of each label: the only other clip is always wrong
    assert downstream.genre_accuracy(rng.normal(size=(10, 3)), items)["accuracy"] == 0


def test_a_sample_takes_copies_first_and_is_in_order():
    items = pd.DataFrame(
        {
            "item_id": np.repeat([f"r{i}" for i in range(8)], 3),
            "group": np.repeat(["a", "b", "c", "c", "d", "e", "f", "f"], 3),
            "split": np.repeat(["train", "test"], 12),
            "copy_kind": np.repeat(["", "", "", "exact", "", "", "", "gain"], 3),
            "silent": [False, True, False] * 8,
        }
    )
    found = downstream.sample_windows(items, 5, 1)
    assert items.loc[found, "item_id"].tolist() == ["r2", "r3", "r4", "r6", "r7"]
    assert (np.diff(downstream.sample_windows(items, 99, 9)) > 0).all() and len(
        downstream.sample_windows(items, 99, 9)
    ) == 16
    plain = items.drop(columns="copy_kind")
    found = plain.loc[downstream.sample_windows(plain, 4, 1), "item_id"].tolist()
    assert found == ["r0", "r3", "r4", "r6"]  # of both splits


def test_the_middle_of_a_linear_path_is_the_cross_fade(a1, sparse, rng):
    x = (0.1 * rng.normal(size=(2, N))).astype(np.float32)
    for coder in (a1, sparse):
        z = coder.encode(x)
        middles = downstream.decode_middle(coder, *z)
        assert all(y.shape == (N,) for y in middles.values())
    ends = coder.decode(z)
    np.testing.assert_allclose(middles["straight"], ends.mean(axis=0), atol=1e-5)
    assert not np.allclose(middles["placed"], middles["straight"], atol=1e-3)
    assert set(downstream.decode_middle(a1, *a1.encode(x))) == {"straight"}


def test_paths_lead_from_recording_to_recording(sparse, rng):
    x = (0.1 * rng.normal(size=(4, N))).astype(np.float32)
    items = clips(4, 1)
    latents = downstream.encode_waveforms(sparse, x, items, WAVEFORM)
    reals = reconstruction.sound_features(x, SR)
    scores = downstream.interpolation(sparse, latents, reals, items["group"].to_numpy())
    paths, names = ("straight", "placed", "crossfade"), ("descriptors", "mel", "crossfade_sisdr")
    assert set(scores) == {f"{path}_{name}" for path in paths for name in names}
    assert scores["crossfade_crossfade_sisdr"] > 60 > scores["placed_crossfade_sisdr"]
    assert scores["straight_mel"] == pytest.approx(scores["crossfade_mel"], rel=1e-3)


def test_a_middle_lies_between_two_ends_that_differ_and_not_two_that_are_equal():
    t = np.arange(2 * N * 22_050 // SR) / 22_050
    low, high = (0.3 * np.sin(2 * np.pi * hz * t).astype(np.float32) for hz in (300, 2700))
    whole = {"encode": lambda x: x[:, None], "decode": lambda z: z[:, 0]}  # samples are latents
    coder = SimpleNamespace(form="dense", samples=N, model=SimpleNamespace(own_path=False), **whole)
    share = downstream.between_share(coder, "brightness", [(low, high, ())], sr=SR)
    assert share["straight"] == 1  # a cross-fade of both is as bright as half of each
    same = downstream.between_share(coder, "brightness", [(low, low, ())], sr=SR)
    assert np.isnan(same["straight"])


def test_no_latent_finds_exact_duplicates_too(rng):
    mel = downstream.MelEnergy(SR)
    t = np.arange(16 * N) / SR
    notes = rng.choice([220, 330, 440, 660, 880, 1320, 1760], (8, 64)).repeat(len(t) // 64, axis=1)
    x = (0.3 * np.sin(2 * np.pi * np.cumsum(notes, axis=1) / SR)).astype(np.float32).reshape(-1, N)
    items = pd.DataFrame({"item_id": np.repeat(list("abcdefgh"), 16), "label": ""})
    items = items.assign(group="all one", start_s=np.tile(np.arange(16) * N / SR, 8))
    latents = downstream.encode_waveforms(mel, x, items, WAVEFORM)
    scores = downstream.duplicate_scores(mel, latents, x=x, transform=WAVEFORM)
    assert scores["recall_exact"] == scores["recall_gain"] == scores["precision"] == 1


def test_planted_copies_are_what_they_say(rng):
    x = (0.1 * rng.normal(size=(12, 2 * SR))).astype(np.float32)
    items = pd.DataFrame({"item_id": np.repeat(["a", "b"], 6), "label": "x"})
    copies, about = downstream.plant_duplicates(x, items, SR)
    assert about["copy_kind"].tolist() == 2 * [
        *("exact",) * 6, *("gain",) * 6, *("codec",) * 6, *("offset",) * 5,
        *("crop",) * 2, *("noise",) * 6, *("pitch",) * 6
    ]  # fmt: skip
    assert (about["group"] == about["copy_of"]).all() and set(about["copy_of"]) == {"a", "b"}
    of_b = {kind: copies[about["item_id"].eq(f"b, {kind}")] for kind in about["copy_kind"].unique()}
    np.testing.assert_array_equal(of_b["exact"], x[6:])
    np.testing.assert_array_equal(of_b["gain"], 0.5 * x[6:])
    near = np.square(of_b["codec"] - x[6:]).mean() / np.square(x).mean()
    assert 0 < near < 0.9  # an mp3 of noise, but not moved
    np.testing.assert_array_equal(of_b["crop"], x[6:8])
    noise = np.square(of_b["noise"] - x[6:]).mean() / np.square(x[6:]).mean()
    assert noise == pytest.approx(0.1, rel=0.05)
    later = x[6:].ravel()[round(downstream.OFFSET_S * SR) :][: 10 * SR]
    np.testing.assert_array_equal(of_b["offset"].ravel(), later)


def test_copies_of_real_sounds_are_planted_and_found(a1, rng):
    t = np.arange(16 * N) / SR
    notes = rng.choice([220, 330, 440, 660, 880, 1320, 1760], (8, 64)).repeat(len(t) // 64, axis=1)
    x = (0.3 * np.sin(2 * np.pi * np.cumsum(notes, axis=1) / SR)).astype(np.float32).reshape(-1, N)
    items = pd.DataFrame({"item_id": np.repeat(list("abcdefgh"), 16), "label": ""})
    items = items.assign(group="all one", start_s=np.tile(np.arange(16) * N / SR, 8))
    found = downstream.duplicate_scores(
        a1, downstream.encode_waveforms(a1, x, items, WAVEFORM), x=x, transform=WAVEFORM
    )
    kinds = ("exact", "gain", "codec", "offset")
    assert all(found[f"recall_{kind}"] == 1 for kind in kinds) and found["precision"] == 1
    mixed_up = downstream.encode_waveforms(a1, rng.permutation(x), items, WAVEFORM)
    assert downstream.duplicate_scores(a1, mixed_up, x=x, transform=WAVEFORM)["recall_codec"] < 0.9


def test_levels_know_no_phase(rng):
    z = rng.normal(size=(3, 5, 32)) * np.array([1.0, 2, 3, 4, 5])[:, None]
    np.testing.assert_allclose(downstream.level_statistics(z), downstream.level_statistics(-z))
    louder = downstream.level_statistics(10 * z) - downstream.level_statistics(z)
    np.testing.assert_allclose(louder[:, :5], np.log(100), rtol=1e-4)
    np.testing.assert_allclose(louder[:, 5:], 0, atol=1e-4)
    assert downstream.level_statistics(z[..., :3]).shape == (3, 10)


def test_the_table_of_a_small_corpus(a1, sparse, tmp_path, monkeypatch):
    monkeypatch.setattr(downstream, "CHANGED", 2)
    t = np.arange(20_000) / SR
    for i in range(9):
        folder = tmp_path / "music" / f"style{i % 2}"
        folder.mkdir(parents=True, exist_ok=True)
        y = 0.3 * np.sin(2 * np.pi * (150 + 90 * i) * t * (1 + 0.1 * t)) * (1 + np.sin(i * t)) / 2
        audio.write(folder / f"{i}.wav", y, SR)
    transform, music = WAVEFORM, tmp_path / "music"
    data = CorpusDataModule(
        names=(str(music),), folder=tmp_path / "cache", root=music, transform=transform, n_jobs=1
    )
    rows = downstream.sample_rows(data, 99, 9)
    coders = {"a1": a1, "sparse": sparse}
    found = downstream.downstream_table(coders, (data, rows), rendered=(data, rows), changed=2)
    assert list(found.columns) == ["mel", "a1", "sparse"]
    assert found.loc[["knn_whole", "knn_levels"]].notna().all(axis=None)  # folders are labels
    assert found.loc["copies_recall_exact"].notna().all()
    assert found.loc["demo_copies_recall_exact"].notna().all()
    assert not found.index.str.startswith("middle").any()  # a single test recording: no path
    copies = found.loc["copies_recall_exact"].array
    assert (found.loc["demo_copies_recall_exact"] == copies).all()  # of the same rows
    assert np.isnan(found["mel"]["between_brightness_straight"])
    assert 0 <= found["a1"]["between_brightness_straight"] <= 1  # of random weights


def test_copies_of_rendered_music_are_not_sought_twice(a1):
    found = {"copies_recall_exact": 0.5, "knn_whole": 1.0}
    assert downstream._rendered_copies(a1, None, found) == {"demo_copies_recall_exact": 0.5}


def test_what_was_rendered_into_sounds_is_read_off_their_levels(a1, sparse, tmp_path):
    space = Workspace(profile="tiny", study="waveform")
    data = linear_probes.probe_corpus(STUDIES["waveform"], space)
    data = replace(data, folder=tmp_path, work=tmp_path, transform=WAVEFORM, n_jobs=1)
    table, metrics = downstream.probe_factors({"a1": a1, "sparse": sparse}, data)
    latents = ["a1_whole", "a1_levels", "sparse_whole", "sparse_levels"]
    assert list(table) == [*latents, "chance", "style_oracle", "control"]
    assert list(table.index) == list(linear_probes.FACTORS) and table.notna().all(axis=None)
    assert table.loc["style", "sparse_levels"] > 0.2 > table.loc["style", "chance"]
    assert metrics["probe_a1_levels_tempo"] == table.loc["tempo", "a1_levels"]
