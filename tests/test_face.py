"""The ten names of `import musiclatent as ml`: lazy, from anywhere, in short scripts."""

import doctest
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from helpers.models import MEL, untrained
from helpers.signals import tone

import musiclatent as ml
from musiclatent import audio
from musiclatent.features.mel import LogMel
from musiclatent.latents import store

NAMES = (
    "load_encoder list_encoders load_audio save_audio open_corpus datamodule read_latents nearest "
    "interpolate show_map"
).split()
PACKAGE = Path(ml.__file__).parent
SCRIPT = """import musiclatent as ml
encoder = ml.load_encoder("model")
songs = ml.open_corpus("songs").items
known = [encoder.embed(encoder.encode(path)).mean(axis=0) for path in songs["path"]]
near = ml.nearest(encoder.embed(encoder.encode("song.wav")).mean(axis=0), known, k=5)
print(songs["item_id"].iloc[near["row"]].to_string(index=False))
"""


def test_the_face_is_ten_names():
    assert sorted(ml._FACE) == sorted(NAMES) and set(NAMES) <= set(dir(ml))
    for name in NAMES:
        assert callable(getattr(ml, name)) and getattr(ml, name).__doc__
    with pytest.raises(AttributeError, match="module 'musiclatent' has no attribute 'load'"):
        ml.load  # noqa: B018


def test_every_name_has_an_example():
    for name in NAMES:
        assert ">>> " in getattr(ml, name).__doc__, f"{name} has no example"


@pytest.mark.parametrize(
    "module", sorted({"", *(path.rpartition(".")[0] for path in ml._FACE.values())})
)
def test_the_examples_run(module, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    found = doctest.testmod(import_module(f"musiclatent.{module}".rstrip(".")))
    assert found.attempted and not found.failed


def test_a_script_of_six_lines_prints_the_neighbours_of_a_song(tmp_path):
    assert len(SCRIPT.splitlines()) <= 6
    transform = LogMel(sr=8000, window_s=0.5, n_mels=16)
    untrained(tmp_path, MEL, transform=transform).folder.rename(tmp_path / "model")
    (tmp_path / "songs").mkdir()
    for hz in (200, 300, 450, 700, 1000, 1500, 2200):
        audio.write(tmp_path / "songs" / f"{hz}.wav", tone(hz, sr=8000), 8000)
    audio.write(tmp_path / "song.wav", tone(450, sr=22_050), 22_050)
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        capture_output=True,
        text=True,
        cwd=tmp_path,  # no checkout
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(PACKAGE.parent)}
        | {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")},
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.split()
    assert len(lines) == 5 and lines[0] == "450.wav"


def test_sound_is_written_and_read(tmp_path):
    y = tone(440, sr=8000)
    ml.save_audio(tmp_path / "a.wav", y, 8000)
    found, sr = ml.load_audio(tmp_path / "a.wav", sr=4000)
    assert sr == 4000 and abs(len(found) - len(y) / 2) <= 1


def test_latents_on_disk_have_neighbours_with_names(tmp_path):
    z = np.random.default_rng(0).standard_normal((6, 8)).astype(np.float32)
    items = store.pd.DataFrame({"item_id": list("abcdef"), "start_s": 0.0})
    known = store.Latents(z, items, {"latent_shape": [4, 2], "input": "waveform"})
    table = ml.nearest(z[[4, 1]], known, k=2)
    assert table["item_id"].iloc[[0, 2]].tolist() == ["e", "b"]
    assert table["query"].tolist() == [0, 0, 1, 1] and table["distance"][0] == 0
    assert table["distance"][1] == np.sort(np.linalg.norm(z - z[4], axis=1))[1]


def test_importing_takes_a_tenth_of_a_second_and_no_torch():
    code = "import sys, musiclatent; print('torch' in sys.modules, 'numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]  # with neither it is over in milliseconds
