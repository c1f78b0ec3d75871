"""Encoders by what a user writes."""

import re
import sys
from pathlib import Path

import pytest
from helpers.models import untrained
from helpers.signals import rising_files

from musiclatent.errors import CheckpointError
from musiclatent.latents.encoders import checker, contract, registry

CONTRIBUTING = Path(__file__).resolve().parents[3] / "CONTRIBUTING.md"

MODULE = """
import numpy as np
class Loudness:
    name, sr, window_s, hop_s, dimensions = "loudness", 8000, 1.0, 1.0, 1
    licence, revision = "MIT", "1"
    def encode(self, y):
        return np.abs(y[: len(y) // 8000 * 8000]).reshape(-1, 8000).max(1)[:, None]
class Lacking:
    name = "lacking"
class Layered(Loudness):
    layers = ("0", "1")
    def at_layer(self, name):
        self.name = f"layered#{name}"
        return self
class Failing:
    def __init__(self):
        raise OSError("no weights")
ready = Loudness()
"""


@pytest.fixture
def theirs(tmp_path, monkeypatch):
    (tmp_path / "their_encoders.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    yield "their_encoders"
    sys.modules.pop("their_encoders", None)


def test_statistics_by_name():
    assert registry.find("mfcc").dimensions == 40
    assert "mfcc" in registry.list_names("no/such/folder")


@pytest.mark.parametrize("name", ["Loudness", "ready"])
def test_a_class_or_an_object_of_somebody_else(theirs, name):
    assert registry.find(f"{theirs}:{name}").name == "loudness"


def test_a_layer(theirs):
    assert registry.find(f"{theirs}:Layered#1").name == "layered#1"
    with pytest.raises(ValueError, match="has no layer '7'; choose one of: 0, 1"):
        registry.find(f"{theirs}:Layered#7")
    with pytest.raises(ValueError, match="mfcc has no layer '1'; it has none to choose from"):
        registry.find("mfcc#1")


@pytest.mark.parametrize(
    ("member", "reason"),
    [
        ("Lacking", "lacks sr, window_s, hop_s, dimensions, licence, revision, encode"),
        ("Missing", "AttributeError"),
        ("Failing", "OSError: no weights"),
    ],
)
def test_what_is_wrong_with_a_class_is_one_sentence(theirs, member, reason):
    with pytest.raises(ValueError, match=reason) as caught:
        registry.find(f"{theirs}:{member}")
    assert "\n" not in str(caught.value)


def test_a_module_that_is_not_there():
    with pytest.raises(ValueError, match="no_such_module:X cannot be imported"):
        registry.find("no_such_module:X")


def test_an_entry_point(theirs, tmp_path):
    info = tmp_path / "theirs-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[musiclatent.encoders]\ntheir-loudness = their_encoders:Loudness\n"
    )
    assert "their-loudness" in registry.list_names(tmp_path)
    assert registry.find("their-loudness").name == "loudness"


def test_a_model_of_ours_by_folder_and_by_name(tmp_path):
    folder = tmp_path / "demo/waveform/checkpoints"
    run = untrained(folder)
    assert registry.find(str(run.folder)).name == "waveform-small"
    assert "waveform-small" in registry.list_names(tmp_path)
    assert registry.find("waveform-small-0", tmp_path).sr == 8000


def test_an_unknown_name_lists_what_there_is(tmp_path):
    with pytest.raises(CheckpointError, match="'wav2vec' is neither.*or choose one of: mfcc"):
        registry.find("wav2vec", tmp_path)


def test_the_encoder_of_the_document_keeps_the_contract(tmp_path, monkeypatch):
    (code,) = re.findall(r"```python\n(.*?)```", CONTRIBUTING.read_text(), re.DOTALL)
    assert sum(bool(line.strip()) for line in code.splitlines()) <= 15
    (tmp_path / "my_encoder.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    encoder = registry.find("my_encoder:Brightness")
    lines = list(checker.check(encoder))
    assert all(line.passed for line in lines), "\n".join(map(str, lines))
    files = sorted(rising_files(tmp_path, 16_000).rglob("*.wav"))
    assert {contract.file_vector(encoder, path).shape for path in files} == {(8,)}
