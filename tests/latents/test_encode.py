"""Folders of latents: made, reused, checked, selected, joined and decoded."""

import json
import logging
import os
import signal
import subprocess
import sys
from contextlib import suppress

import dask
import distributed
import numpy as np
import pandas as pd
import pytest
import torch
from helpers.models import untrained

from musiclatent import audio
from musiclatent.config import Study
from musiclatent.errors import LatentsError
from musiclatent.latents import encode
from musiclatent.latents.encode import encode_corpus, encode_files
from musiclatent.latents.store import NAMES, read_latents, select

SR, WINDOW_S = 8000, 0.5
STUDY = Study(
    name="waveform", title="", question="", source="", demo=(), real=(), window_s=WINDOW_S, sr=SR
)


def test_every_cached_window_is_encoded_in_order(run, data, tmp_path):
    found = encode_corpus(run, data, tmp_path / "latents")
    x = torch.from_numpy(np.array(data.cached.x))[:, None]
    with torch.no_grad():
        z = run.load().encode(x)
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
    first = encode_corpus(run, data, folder)
    stamp = (folder / "z.npy").stat().st_mtime_ns
    with caplog.at_level(logging.INFO, "musiclatent"):
        again = encode_corpus(run, data, folder)
    assert f"latents: {len(first.z)} windows of waveform-small reused" in caplog.text
    assert (folder / "z.npy").stat().st_mtime_ns == stamp
    pd.testing.assert_frame_equal(again.items, first.items)
    assert sorted(p.name for p in folder.iterdir()) == sorted(NAMES)


def test_another_checkpoint_or_other_data_are_encoded_anew(run, data, tmp_path):
    folder, other = tmp_path / "latents", untrained(tmp_path, seed=1)
    first = np.array(encode_corpus(run, data, folder).z)
    second = encode_corpus(other, data, folder)
    assert not np.allclose(second.z, first)
    data.cached.items.loc[0, "split"] = "elsewhere"
    third = encode_corpus(other, data, folder)
    assert third.items["split"][0] == "elsewhere"
    assert third.provenance["data"] != second.provenance["data"]


def test_moved_files_and_new_labels_are_taken_up_without_encoding(run, data, tmp_path):
    folder = tmp_path / "latents"
    encode_corpus(run, data, folder)
    stamp = (folder / "z.npy").stat().st_mtime_ns
    data.cached.items["label"] = "new"
    assert set(encode_corpus(run, data, folder).items["label"]) == {"new"}
    assert set(read_latents(folder).items["label"]) == {"new"}
    assert (folder / "z.npy").stat().st_mtime_ns == stamp


def test_files_and_the_corpus_of_them_have_the_same_latents(run, data, music, tmp_path):
    corpus = encode_corpus(run, data, tmp_path / "corpus")
    files = list(dict.fromkeys(corpus.items["path"]))
    loose, quarantine = encode_files(run, STUDY, files=files, folder=tmp_path / "files")
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
    found, quarantine = encode_files(run, STUDY, files=files, folder=tmp_path / "latents")
    assert found.items["item_id"].nunique() == 2 and len(found.z) == 4
    assert list(quarantine) == [str(files[2]), str(odd)]
    assert "no valid UTF-8; rename it" in quarantine[str(odd)]


def test_no_files_and_no_good_files_are_said(run, tmp_path):
    with pytest.raises(ValueError, match="name at least one audio file"):
        encode_files(run, STUDY, files=[], folder=tmp_path)
    (tmp_path / "bad.wav").write_bytes(b"no sound")
    with pytest.raises(ValueError, match="none of the 1 files can be read"):
        encode_files(run, STUDY, files=[tmp_path / "bad.wav"], folder=tmp_path / "latents")
    with pytest.raises(LatentsError, match="holds no latents .*: musiclatent encode"):
        read_latents(tmp_path / "latents")


def test_a_torn_folder_is_said_and_made_anew(run, data, tmp_path):
    folder = tmp_path / "latents"
    whole = np.array(encode_corpus(run, data, folder).z)
    breaks = {
        "z.npy": lambda path: path.write_bytes(path.read_bytes()[:-500]),
        "items.parquet": lambda path: path.write_bytes(b"PAR1"),
        "provenance.json": lambda path: path.write_text("{"),
    }
    for name, tear in breaks.items():
        tear(folder / name)
        with pytest.raises(LatentsError, match="holds broken latents .*; delete it and make them"):
            read_latents(folder)
        np.testing.assert_array_equal(encode_corpus(run, data, folder).z, whole)
    about = json.loads((folder / "provenance.json").read_text()) | {"latent_shape": [9, 9]}
    (folder / "provenance.json").write_text(json.dumps(about))
    with pytest.raises(LatentsError, match="broken"):
        read_latents(folder)


@pytest.mark.parametrize("keep", [[True, False], [0, 999], [-1]])
def test_select_refuses_what_is_not_there(run, data, tmp_path, keep):
    found = encode_corpus(run, data, tmp_path / "latents")
    with pytest.raises(LatentsError, match="there are 16 windows"):
        select(found, np.array(keep))


def test_encoding_the_same_twice_gives_the_same_bytes(run, data, tmp_path):
    for name in ("a", "b"):
        encode_corpus(run, data, tmp_path / name)
    for name in NAMES:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


_MEASURE = """
import sys
from pathlib import Path
import pandas as pd, torch
from musiclatent.latents.encode import encode_files
from musiclatent.training.run_folder import Run
from musiclatent.studies import study
torch.set_num_threads(1)
def status(key):
    line = next(l for l in open("/proc/self/status") if l.startswith(key))
    return int(line.split()[1]) / 1024
plan, folder = study("waveform"), Path(sys.argv[1])
run = Run(
    experiment=plan.experiment("waveform-64"),
    folder=folder / "waveform-64-0",
    metrics={},
    curves=pd.DataFrame(),
    status="trained",
)
before = status("VmRSS")
found, _ = encode_files(run, plan, files=[folder / "long.wav"], folder=folder / "latents")
print(len(found.z), round(status("VmHWM") - before))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_an_hour_is_encoded_within_300_mb(tmp_path):
    import soundfile as sf

    from musiclatent import studies

    untrained(tmp_path, experiment=studies.study("waveform").experiment("waveform-64"))
    minute = np.random.default_rng(0).uniform(-0.5, 0.5, 60 * 8000).astype(np.float32)
    with sf.SoundFile(tmp_path / "long.wav", "w", 8000, 1) as file:
        for _ in range(60):
            file.write(minute)
    done = subprocess.run(
        [sys.executable, "-c", _MEASURE, str(tmp_path)], capture_output=True, text=True, check=True
    )
    windows, megabytes = map(int, done.stdout.split())
    assert windows == 3600 / 5
    assert megabytes < 300
    (tmp_path / "latents" / "z.npy").unlink()  # 40 MB


def _bytes(folder):
    """What a folder of latents holds."""
    return {name: (folder / name).read_bytes() for name in NAMES}


def test_processes_write_the_same_bytes(run, data, music, tmp_path, monkeypatch):
    encode_corpus(run, data, tmp_path / "here")
    files = sorted(music.rglob("*.wav"))
    encode_files(run, STUDY, files=files, folder=tmp_path / "files")
    for name, value in (("MANY", 1), ("PART", 8)):
        monkeypatch.setattr(encode, name, value)
    data.n_jobs = 2
    encode_corpus(run, data, tmp_path / "there")
    assert _bytes(tmp_path / "there") == _bytes(tmp_path / "here")
    broken = tmp_path / "broken.wav"
    broken.write_bytes(b"no sound")
    _, reasons = encode_files(
        run, STUDY, files=[*files, broken], folder=tmp_path / "files2", n_jobs=2
    )
    assert list(reasons) == [str(broken)]
    assert _bytes(tmp_path / "files2") == _bytes(tmp_path / "files")


def test_a_cluster_that_loses_a_worker_writes_the_same_bytes(run, data, tmp_path, monkeypatch):
    encode_corpus(run, data, tmp_path / "here")
    monkeypatch.setattr(encode, "PART", 8)
    settings = dask.config.set({"temporary-directory": str(tmp_path / "dask")})
    cluster = distributed.LocalCluster(
        2, processes=True, threads_per_worker=1, dashboard_address=None
    )
    with settings, cluster:
        data.scheduler = cluster.scheduler_address
        doomed = next(iter(cluster.workers.values())).process.pid

        def killing(part, raw, append=encode._append):
            with suppress(ProcessLookupError):
                os.kill(doomed, signal.SIGKILL)  # the first part is there, the others are not
            append(part, raw)

        monkeypatch.setattr(encode, "_append", killing)
        encode_corpus(run, data, tmp_path / "there")
    assert _bytes(tmp_path / "there") == _bytes(tmp_path / "here")
