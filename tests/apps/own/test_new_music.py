"""One's own music through a trained model: sounds, figures, neighbours, and a ranked list."""

import re
import shutil
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers.models import A1, untrained, waveform_experiment
from helpers.signals import tone

from musiclatent import audio
from musiclatent.analysis import pooling
from musiclatent.apps.own import new_music
from musiclatent.audio import decoders
from musiclatent.config import Experiment, Study
from musiclatent.display import style
from musiclatent.errors import AudioError, CheckpointError
from musiclatent.features.mel import LogMel
from musiclatent.latents import encode, representations
from musiclatent.latents.encode import encode_files
from musiclatent.latents.representations import Representation
from musiclatent.latents.store import read_latents
from musiclatent.studies import study
from musiclatent.training.run_folder import Run, read_run

SR = 8000
EXPERIMENT = waveform_experiment("WaveformAutoencoder", A1)
STUDY = Study(
    name="waveform", title="", question="", source="", demo=(), real=(), window_s=1.0, sr=SR
)


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Run:
    return untrained(tmp_path_factory.mktemp("run"), EXPERIMENT)


@pytest.fixture(scope="module")
def music(tmp_path_factory) -> Path:
    """Tones that rise, in two folders, in several formats, with one file that is no sound."""
    folder = tmp_path_factory.mktemp("my music")
    (folder / "b").mkdir()
    for i, name in enumerate(["b/0.wav", "1.flac", "2.wav", "b/3.mp3", "4.wav", "5 <&>.wav"]):
        sr = 16_000 if i % 2 else SR
        audio.write(folder / name, tone(220 * 2 ** (i / 2), sr=sr, seed=i), sr)
    (folder / "broken.wav").write_bytes(b"RIFF, or not")
    return folder


@pytest.fixture
def no_pictures(monkeypatch):
    """To draw takes half a second a file; the first test looks at pictures."""

    def save(figure, path):
        path.touch()
        return figure

    monkeypatch.setattr(style, "save_figure", save)


# ---------------------------------------------------------------------------- encode


def test_every_file_comes_back_beside_its_original(run, music, tmp_path):
    files = [music / "1.flac", music / "b/3.mp3", music / "broken.wav", music / "2.wav"]
    table, quarantine = new_music.encode_own_files(run, STUDY, files=files, folder=tmp_path / "out")
    assert table["name"].tolist() == ["1", "3", "2"]
    assert quarantine["path"].tolist() == [str(music / "broken.wav")]
    assert quarantine["reason"].str.len().gt(10).all()
    for row, path in zip(table.itertuples(), [files[0], files[1], files[3]], strict=True):
        y, sr = audio.read(path, SR)
        for kind in ("original", "reconstruction"):
            made = audio.info(tmp_path / "out" / f"{row.name}_{kind}.wav")
            assert (made.sr, made.channels, round(made.seconds * sr)) == (SR, 1, len(y))
        assert row.seconds == len(y) / sr
        x, _ = audio.read(tmp_path / "out" / f"{row.name}_original.wav")
        x_hat, _ = audio.read(tmp_path / "out" / f"{row.name}_reconstruction.wav")
        assert row.mse == pytest.approx(np.mean((x - x_hat)[: 3 * SR] ** 2), rel=1e-3)
        assert np.isfinite([row.sisdr, row.mrstft]).all()
        picture = (tmp_path / "out" / f"{row.name}.png").read_bytes()
        assert picture.startswith(b"\x89PNG") and len(picture) > 10_000
    assert "nearest" not in table
    assert (
        pd.read_csv(tmp_path / "out" / "files.csv")["seconds"].tolist() == table["seconds"].tolist()
    )
    assert len(read_latents(tmp_path / "out").z) == 9
    assert not list((tmp_path / "out").glob(".*"))


def test_files_of_one_name_do_not_overwrite_each_other_nor_what_lies_there(
    run, tmp_path, no_pictures
):
    (tmp_path / "a").mkdir()
    files = [tmp_path / "x.wav", tmp_path / "a" / "x.wav", tmp_path / "x_original.wav"]
    for hz, file in zip((200, 300, 400), files, strict=True):
        audio.write(file, tone(hz, 1.0), SR)
    before = [file.read_bytes() for file in files]
    table, _ = new_music.encode_own_files(run, STUDY, files=[*files, files[0]], folder=tmp_path)
    assert table["name"].tolist() == ["x-2", "x-3", "x_original"]
    assert [file.read_bytes() for file in files] == before
    assert len(list(tmp_path.glob("*_reconstruction.wav"))) == 3


def test_files_of_a_sparse_model_are_ranked_by_their_sound(tmp_path):
    options = {"hops": [64, 1024], "numbers": 27_500, "iterations": 2, "refits": 0, "crop": 2}
    row = Experiment(
        name="waveform-sparse",
        study="waveform",
        key="sparse",
        model="SparseAutoencoder",
        options=options,
        about="",
    )
    run = untrained(tmp_path, row)
    (tmp_path / "music").mkdir()
    for name, hz in {"asked": 300, "far": 2500, "near": 310, "between": 900}.items():
        audio.write(tmp_path / "music" / f"{name}.wav", tone(hz), SR)
    asked, out = tmp_path / "music" / "asked.wav", tmp_path / "out"
    by = representations.trained(run, STUDY)
    tracks, _ = new_music.similar(by, file=asked, music=tmp_path / "music", out=out, same=True)
    assert [Path(p).stem for p in tracks["path"]][-3] == "near"  # after itself, before two others
    vectors = [np.load(path) for path in (out / "vectors").rglob("*.npy")]
    assert len(vectors) == 4 and all(v.shape == (pooling.BANDS,) for v in vectors)


def test_neighbours_come_from_the_training_recordings(run, music, tmp_path, no_pictures):
    corpus, _ = encode_files(
        run,
        STUDY,
        files=[music / name for name in ("b/0.wav", "2.wav", "4.wav", "5 <&>.wav")],
        folder=tmp_path,
    )
    items = corpus.items.assign(silent=False)
    items["split"] = np.where(items["item_id"] == "4.wav", "test", "train")
    corpus = replace(corpus, items=items)
    copy = shutil.copy(music / "2.wav", tmp_path / "copy.wav")
    files = [Path(copy), music / "4.wav"]
    table, _ = new_music.encode_own_files(
        run, STUDY, files=files, folder=tmp_path / "out", training=corpus
    )
    assert table["nearest"][0].startswith("2.wav (0") and table["nearest_distance"][0] < 1e-4
    assert not re.search(r"4\.wav|nan", table["nearest"][1])  # known, but not from training
    assert table["nearest_distance"][1] > 0.1
    assert table["nearest"][1].count("(") == 3
    assert table["percentile"].between(0, 100).all() and table["percentile"][0] < 50
    assert table["note"].map(type).eq(str).all()


def test_nothing_to_encode_is_said(run, music, tmp_path):
    with pytest.raises(ValueError, match="no file to encode"):
        new_music.encode_own_files(run, STUDY, files=[], folder=tmp_path)
    with pytest.raises(ValueError, match="none of the 1 files can be read"):
        new_music.encode_own_files(
            run, STUDY, files=[music / "broken.wav"], folder=tmp_path / "out"
        )
    with pytest.raises(CheckpointError, match=r"train it with: make reproduce STUDY=waveform EXP"):
        read_run(EXPERIMENT, tmp_path)


# ---------------------------------------------------------------------------- similar


@pytest.fixture(scope="module")
def by(run) -> Representation:
    return representations.trained(run, STUDY)


def test_a_folder_is_ranked_from_near_to_far(by, music, tmp_path):
    tracks, left_out = new_music.similar(
        by, file=music / "2.wav", music=music, out=tmp_path, same=True
    )
    assert tracks["rank"].tolist() == [1, 2, 3, 4, 5, 6]
    assert tracks["title"][0] == "2.wav" and tracks["distance"][0] == pytest.approx(0, abs=1e-5)
    assert tracks["distance"].is_monotonic_increasing
    assert set(tracks["title"]) == {"b/0.wav", "1.flac", "2.wav", "b/3.mp3", "4.wav", "5 <&>.wav"}
    assert left_out["path"].tolist() == [str(music / "broken.wav")]
    page = (tmp_path / "similar.html").read_text()
    assert page.count("<audio") == 7 and page.count("data:audio/mpeg") == 7
    assert "5 &lt;&amp;&gt;.wav" in page and "<&>" not in page
    order = [page.index(f'href="{Path(path).as_uri()}"') for path in tracks["path"]]
    assert order == sorted(order)
    assert "The 6 tracks of" in page


def test_a_page_lists_the_nearest_and_says_of_how_many(by, music, tmp_path, monkeypatch):
    monkeypatch.setattr(new_music, "LISTED", 2)
    tracks, _ = new_music.similar(by, file=music / "2.wav", music=music, out=tmp_path, same=True)
    page = (tmp_path / "similar.html").read_text()
    assert "The nearest 2 of 6 tracks" in page and page.count("<li>") == 2
    assert len(tracks) == len(pd.read_csv(tmp_path / "similar.csv")) == 6


def test_the_recording_itself_and_its_cuts_are_left_out(tmp_path, rng):
    (tmp_path / "music").mkdir()
    songs = [np.cumsum(rng.normal(size=160_000)) % 2 - 1 for _ in range(3)]
    for name, y in {"a": songs[0], "b": songs[1], "c": songs[2], "quiet": songs[0] / 2}.items():
        audio.write(tmp_path / "music" / f"{name}.wav", y, 22_050)
    asked = tmp_path / "music" / "a.wav"
    by = representations.measured(representations.DEFAULT)
    where = {"file": asked, "music": tmp_path / "music"}
    tracks, left_out = new_music.similar(by, **where, out=tmp_path / "out")
    assert sorted(tracks["title"]) == ["b.wav", "c.wav"]
    assert sorted(Path(path).name for path in left_out["path"]) == ["a.wav", "quiet.wav"]
    assert left_out["reason"].str.contains("is the same recording as a.wav; --same").all()
    every, nothing = new_music.similar(by, **where, out=tmp_path / "out", same=True)
    assert every["title"][:2].tolist() == ["a.wav", "quiet.wav"] and nothing.empty
    for name in ("b", "c"):
        (tmp_path / "music" / f"{name}.wav").unlink()
    with pytest.raises(ValueError, match="none of its 2 files can be ranked; it is the same"):
        new_music.similar(by, **where, out=tmp_path / "out")


def test_a_second_call_decodes_nothing_and_writes_the_same(by, music, tmp_path, monkeypatch):
    options = {"file": music / "1.flac", "music": music, "out": tmp_path}
    first, _ = new_music.similar(by, **options)
    page = (tmp_path / "similar.html").read_bytes()
    monkeypatch.setattr(encode, "encode", lambda *_: pytest.fail("it was encoded before"))
    again, _ = new_music.similar(by, **options)
    pd.testing.assert_frame_equal(first, again)
    assert (tmp_path / "similar.html").read_bytes() == page


def test_what_cannot_be_ranked_is_said(by, music, tmp_path):
    with pytest.raises(AudioError, match="No such file"):
        new_music.similar(by, file=music / "missing.wav", music=music, out=tmp_path)
    with pytest.raises(ValueError, match="no such folder"):
        new_music.similar(by, file=music / "1.flac", music=music / "missing", out=tmp_path)
    shutil.copy(music / "broken.wav", tmp_path / "only.wav")
    with pytest.raises(ValueError, match="none of its 1 files can be ranked"):
        new_music.similar(by, file=music / "1.flac", music=tmp_path, out=tmp_path / "out")


# ---------------------------------------------------------------------------- real files


@pytest.mark.real
def test_all_new_music_comes_back_as_sound(data_root, tmp_path):
    if not shutil.which("ffmpeg"):
        pytest.skip("ffmpeg is not installed")
    plan = study("waveform")
    real = untrained(tmp_path, plan.experiment("waveform-64"))
    files = sorted(f for f in (data_root / "new_music").iterdir() if f.suffix in decoders.SUFFIXES)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        table, quarantine = new_music.encode_own_files(
            real, plan, files=files, folder=tmp_path / "out"
        )
    assert len(table) == 5 and quarantine.empty  # new_music_files
    for row in table.itertuples():
        y, sr = audio.read(tmp_path / "out" / f"{row.name}_reconstruction.wav")
        assert len(y) / sr == pytest.approx(audio.info(row.path).seconds, abs=0.01)
        assert np.sqrt(np.mean(y**2)) > 1e-3
    assert not re.search("nan", str(table[["mse", "sisdr", "mrstft"]]))


@pytest.fixture
def mel_run(tmp_path) -> Run:
    options = {"latent": 4, "channels": [4], "band_strides": [4], "time_strides": [4]}
    experiment = Experiment(
        name="mel-small",
        study="mel",
        key="small",
        model="MelAutoencoder",
        options=options,
        about="",
    )
    return untrained(tmp_path, experiment, transform=LogMel(sr=SR, window_s=1.0))


def test_a_spectrogram_model_takes_and_ranks_files_too(mel_run, tmp_path, no_pictures):
    plan = replace(STUDY, input="logmel")
    (tmp_path / "music").mkdir()
    for name, hz in {"low": 200, "low2": 210, "high": 2500}.items():
        audio.write(tmp_path / "music" / f"{name}.wav", tone(hz), SR)
    files = sorted((tmp_path / "music").glob("*.wav"))
    table, quarantine = new_music.encode_own_files(
        mel_run, plan, files=files, folder=tmp_path / "out"
    )
    assert len(table) == 3 and quarantine.empty and np.isfinite(table["mrstft"]).all()
    for name in table["name"]:
        y, sr = audio.read(tmp_path / "out" / f"{name}_reconstruction.wav")
        assert sr == SR and len(y) == len(tone(1))
    query = tmp_path / "music" / "low.wav"
    tracks, _ = new_music.similar(
        representations.trained(mel_run, plan),
        file=query,
        music=tmp_path / "music",
        out=tmp_path / "like",
    )
    assert tracks["title"].tolist() == ["low2.wav", "high.wav"]
