"""Folders of latents: made, reused, checked, selected, joined and decoded."""

import json
import logging
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import torch

from musiclatent import audio, latents, runs
from musiclatent.config import Experiment, Study
from musiclatent.datamodules import CorpusDataModule
from musiclatent.errors import LatentsError
from musiclatent.excerpts import Waveform
from musiclatent.models.waveform import WaveformAutoencoder
from musiclatent.runs import Run

SR, WINDOW_S = 8000, 0.5
SMALL = Experiment(
    name="waveform-small",
    study="waveform",
    key="small",
    model="WaveformAutoencoder",
    options={"maps": 8, "kernel_size": 64, "stride": 32, "extra": "none"},
    about="a small one for tests",
)
STUDY = Study("waveform", "", "", "", demo=(), real=(), window_s=WINDOW_S, sr=SR)


def untrained(folder, seed: int = 0, experiment: Experiment = SMALL) -> Run:
    """A run whose weights are random, stored as training stores them."""
    torch.manual_seed(seed)
    model = WaveformAutoencoder(**experiment.options)
    content = {"state_dict": model.state_dict(), "hyper_parameters": dict(model.hparams)}
    torch.save(content, folder / f"{seed}.ckpt")
    return Run(experiment, folder / f"{seed}.ckpt", {}, pd.DataFrame(), "trained")


@pytest.fixture(scope="module")
def music(tmp_path_factory):
    folder = tmp_path_factory.mktemp("music")
    t = np.arange(10_000) / SR  # 1.25 s: two windows and a padded third
    for i in range(5):
        (folder / f"style{i % 2}").mkdir(exist_ok=True)
        y = 0.3 * np.sin(2 * np.pi * 150 * (i + 1) * t * (1 + t))
        audio.write(folder / f"style{i % 2}" / f"{i}.wav", y, SR)
    audio.write(folder / "silence.wav", np.zeros(4000), SR)
    return folder


@pytest.fixture
def data(music, tmp_path):
    transform = Waveform(SR, WINDOW_S)
    return CorpusDataModule((str(music),), tmp_path / "cache", music, transform=transform, n_jobs=1)


@pytest.fixture
def run(tmp_path):
    return untrained(tmp_path)


def test_every_cached_window_is_encoded_in_order(run, data, tmp_path):
    found = latents.encode_corpus(run, data, tmp_path / "latents")
    x = torch.from_numpy(np.array(data.cached.x))[:, None]
    with torch.no_grad():
        z = runs.load(run.checkpoint, SMALL).encode(x)
    np.testing.assert_allclose(found.shaped(), z.numpy(), atol=1e-6)
    assert isinstance(found.z, np.memmap) and found.z.dtype == np.float32
    for name in ("item_id", "path", "label", "group", "split", "start_s", "end_s", "silent"):
        assert found.items[name].tolist() == data.cached.items[name].tolist()
    assert found.items["seconds"].notna().all()
    assert found.items["silent"].sum() == 1
    wanted = {"study": "waveform", "experiment": "waveform-small", "latent_shape": [8, 125]}
    wanted |= {"sr": SR, "window_s": WINDOW_S, "data": data.data_hash()}
    assert wanted.items() <= found.provenance.items()


def test_a_second_call_reuses_and_says_so(run, data, tmp_path, caplog):
    folder = tmp_path / "latents"
    first = latents.encode_corpus(run, data, folder)
    stamp = (folder / "z.npy").stat().st_mtime_ns
    with caplog.at_level(logging.INFO, "musiclatent"):
        again = latents.encode_corpus(run, data, folder)
    assert f"latents: {len(first.z)} windows of waveform-small reused" in caplog.text
    assert (folder / "z.npy").stat().st_mtime_ns == stamp
    pd.testing.assert_frame_equal(again.items, first.items)
    assert sorted(p.name for p in folder.iterdir()) == sorted(latents.NAMES)


def test_another_checkpoint_or_other_data_are_encoded_anew(run, data, tmp_path):
    folder, other = tmp_path / "latents", untrained(tmp_path, seed=1)
    first = np.array(latents.encode_corpus(run, data, folder).z)
    second = latents.encode_corpus(other, data, folder)
    assert not np.allclose(second.z, first)
    data.cached.items.loc[0, "split"] = "elsewhere"
    third = latents.encode_corpus(other, data, folder)
    assert third.items["split"][0] == "elsewhere"
    assert third.provenance["data"] != second.provenance["data"]


def test_moved_files_and_new_labels_are_taken_up_without_encoding(run, data, tmp_path):
    folder = tmp_path / "latents"
    latents.encode_corpus(run, data, folder)
    stamp = (folder / "z.npy").stat().st_mtime_ns
    data.cached.items["label"] = "new"
    assert set(latents.encode_corpus(run, data, folder).items["label"]) == {"new"}
    assert set(latents.read(folder).items["label"]) == {"new"}
    assert (folder / "z.npy").stat().st_mtime_ns == stamp


def test_the_message_names_both_checkpoints_and_the_command(run, data, tmp_path):
    latents.encode_corpus(run, data, tmp_path / "latents")
    other, digest = untrained(tmp_path, seed=1), data.data_hash()
    words = "of the checkpoint .{12} of waveform-small, not of .{12} of waveform-small; make them "
    words += "anew with: make reproduce STUDY=waveform EXPERIMENT=waveform-small"
    with pytest.raises(LatentsError, match=words):
        latents.read(tmp_path / "latents", run=other, data_hash=digest)
    with pytest.raises(LatentsError, match=f"of the data {digest[:12]}, not of the data abc; make"):
        latents.read(tmp_path / "latents", run=run, data_hash="abc")


def test_latents_of_loose_files_are_no_corpus(run, music, tmp_path):
    files = sorted(music.rglob("*.wav"))
    latents.encode_files(run, STUDY, files, tmp_path / "latents")
    assert len(latents.read(tmp_path / "latents", run=run).z)
    with pytest.raises(LatentsError, match="latents of loose files, not of the data abc"):
        latents.read(tmp_path / "latents", run=run, data_hash="abc")
    words = "not of .{12} of waveform-small; make them anew with: musiclatent encode FILES --study"
    with pytest.raises(LatentsError, match=words):
        latents.read(tmp_path / "latents", run=untrained(tmp_path, seed=1))


def test_files_and_the_corpus_of_them_have_the_same_latents(run, data, music, tmp_path):
    corpus = latents.encode_corpus(run, data, tmp_path / "corpus")
    files = list(dict.fromkeys(corpus.items["path"]))
    loose, quarantine = latents.encode_files(run, STUDY, files, tmp_path / "files")
    assert not quarantine
    np.testing.assert_allclose(loose.z, corpus.z, atol=1e-6)
    assert loose.items["start_s"].tolist() == corpus.items["start_s"].tolist()


def test_files_of_one_name_are_told_apart_and_bad_ones_set_aside(run, tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        audio.write(tmp_path / name / "song.wav", np.full(8000, 0.1), SR)
    (tmp_path / "bad.wav").write_bytes(b"no sound")
    odd = tmp_path / "odd\udce4.wav"
    files = [tmp_path / "a" / "song.wav", tmp_path / "b" / "song.wav", tmp_path / "bad.wav", odd]
    found, quarantine = latents.encode_files(run, STUDY, files, tmp_path / "latents")
    assert found.items["item_id"].nunique() == 2 and len(found.z) == 4
    assert list(quarantine) == [str(files[2]), str(odd)]
    assert "no valid UTF-8; rename it" in quarantine[str(odd)]


def test_no_files_and_no_good_files_are_said(run, tmp_path):
    with pytest.raises(ValueError, match="name at least one audio file"):
        latents.encode_files(run, STUDY, [], tmp_path)
    (tmp_path / "bad.wav").write_bytes(b"no sound")
    with pytest.raises(ValueError, match="none of the 1 files can be read"):
        latents.encode_files(run, STUDY, [tmp_path / "bad.wav"], tmp_path / "latents")
    with pytest.raises(LatentsError, match="holds no latents .*: musiclatent encode"):
        latents.read(tmp_path / "latents")


def test_a_torn_folder_is_said_and_made_anew(run, data, tmp_path):
    folder = tmp_path / "latents"
    whole = np.array(latents.encode_corpus(run, data, folder).z)
    breaks = {
        "z.npy": lambda path: path.write_bytes(path.read_bytes()[:-500]),
        "items.parquet": lambda path: path.write_bytes(b"PAR1"),
        "provenance.json": lambda path: path.write_text("{"),
    }
    for name, tear in breaks.items():
        tear(folder / name)
        with pytest.raises(LatentsError, match="holds broken latents .*; delete it and make them"):
            latents.read(folder)
        np.testing.assert_array_equal(latents.encode_corpus(run, data, folder).z, whole)
    about = json.loads((folder / "provenance.json").read_text()) | {"latent_shape": [9, 9]}
    (folder / "provenance.json").write_text(json.dumps(about))
    with pytest.raises(LatentsError, match="broken"):
        latents.read(folder)


def test_select_keeps_latents_and_items_together(run, data, tmp_path):
    found = latents.encode_corpus(run, data, tmp_path / "latents")
    heard = ~found.items["silent"].to_numpy()
    part = latents.select(found, heard)
    np.testing.assert_array_equal(part.z, found.z[heard])
    assert not part.items["silent"].any() and list(part.items.index) == list(range(len(part.z)))
    turned = latents.select(found, np.array([2, 0]))
    np.testing.assert_array_equal(turned.z, found.z[[2, 0]])
    assert turned.items["start_s"].tolist() == found.items["start_s"][[2, 0]].tolist()
    assert turned.shaped().shape == (2, 8, 125)
    assert len(latents.select(found, np.zeros(len(found.z), bool)).z) == 0


@pytest.mark.parametrize("keep", [[True, False], [0, 999], [-1]])
def test_select_refuses_what_is_not_there(run, data, tmp_path, keep):
    found = latents.encode_corpus(run, data, tmp_path / "latents")
    with pytest.raises(LatentsError, match="there are 16 windows"):
        latents.select(found, np.array(keep))


def test_join_adds_columns_and_keeps_rows(run, data, tmp_path):
    found = latents.encode_corpus(run, data, tmp_path / "latents")
    names = found.items["item_id"].unique()[:-1]
    table = pd.DataFrame({"item_id": names, "mood": np.arange(len(names)), "label": "wrong"})
    joined = latents.join(found, table)
    assert joined.items["item_id"].tolist() == found.items["item_id"].tolist()
    assert joined.items["label"].tolist() == found.items["label"].tolist()
    mood = joined.items.drop_duplicates("item_id").set_index("item_id")["mood"]
    assert mood[names].tolist() == table["mood"].tolist() and mood.isna().sum() == 1
    with pytest.raises(LatentsError, match="twice; give one row for each item_id"):
        latents.join(found, pd.concat([table, table]))
    with pytest.raises(LatentsError, match="the table lack the column 'mood'"):
        latents.join(joined, table[["item_id"]], on="mood")


def test_decoding_latents_gives_the_models_reconstruction(run, data, tmp_path):
    found = latents.encode_corpus(run, data, tmp_path / "latents")
    y = latents.decode(run, found.z, found.provenance["latent_shape"])
    assert y.dtype == np.float32 and y.shape == (16, 4000)
    np.testing.assert_allclose(
        y, runs.reconstruct(run, np.array(data.cached.x), data.transform), atol=1e-6
    )
    np.testing.assert_array_equal(latents.decode(run, found.shaped(), (8, 125)), y)
    with pytest.raises(LatentsError, match=r"shape \(16, 1000\); give \(B, 999\)"):
        latents.decode(run, found.z, (9, 111))


def test_encoding_the_same_twice_gives_the_same_bytes(run, data, tmp_path):
    for name in ("a", "b"):
        latents.encode_corpus(run, data, tmp_path / name)
    for name in latents.NAMES:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


_MEASURE = """
import sys
from pathlib import Path
import pandas as pd, torch
from musiclatent import latents
from musiclatent.runs import Run
from musiclatent.studies import study
torch.set_num_threads(1)
def status(key):
    line = next(l for l in open("/proc/self/status") if l.startswith(key))
    return int(line.split()[1]) / 1024
plan, folder = study("waveform"), Path(sys.argv[1])
run = Run(plan.experiment("waveform-64"), folder / "0.ckpt", {}, pd.DataFrame(), "trained")
before = status("VmRSS")
found, _ = latents.encode_files(run, plan, [folder / "long.wav"], folder / "latents")
print(len(found.z), round(status("VmHWM") - before))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_three_hours_are_encoded_within_300_mb(tmp_path):
    import soundfile as sf

    from musiclatent.studies import study

    untrained(tmp_path, experiment=study("waveform").experiment("waveform-64"))
    minute = np.random.default_rng(0).uniform(-0.5, 0.5, 60 * 8000).astype(np.float32)
    with sf.SoundFile(tmp_path / "long.wav", "w", 8000, 1) as file:
        for _ in range(180):
            file.write(minute)
    done = subprocess.run(
        [sys.executable, "-c", _MEASURE, str(tmp_path)], capture_output=True, text=True, check=True
    )
    windows, megabytes = map(int, done.stdout.split())
    assert windows == 3 * 3600 / 5
    assert megabytes < 300
    (tmp_path / "latents" / "z.npy").unlink()  # 119 MB
