"""What a name means that recordings are compared by."""

import sys

import numpy as np
import pytest
from helpers.models import SMALL, untrained
from helpers.signals import tone

from musiclatent import audio
from musiclatent.errors import CheckpointError
from musiclatent.latents import comparison, representations, shipped

PLUGIN = """
import numpy as np
class Loud:
    name, sr, window_s, hop_s, dimensions = "loud", 8000, 0.5, 0.5, 2
    licence, revision = "MIT", "1"
    def encode(self, y):
        rows = max(1, len(y) // 4000)
        parts = np.resize(y, rows * 4000).reshape(rows, 4000)
        return np.stack([abs(parts).mean(axis=1), parts.std(axis=1)], axis=1).astype(np.float32)
class Odd(Loud):
    def encode(self, y):
        return np.zeros((1, 3), np.float32)
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A checkout with one model, a module of somebody else, and a file of sound."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MUSICLATENT_HOME", str(tmp_path))
    monkeypatch.setattr(shipped, "WEIGHTS", tmp_path / "weights")
    (tmp_path / "others_module.py").write_text(PLUGIN)
    monkeypatch.syspath_prepend(tmp_path)
    audio.write(tmp_path / "a.wav", tone(300, seconds=2.2), 8000)
    untrained(tmp_path / "results/demo/waveform/checkpoints").folder.rename(
        tmp_path / "results/demo/waveform/checkpoints" / SMALL.name
    )
    comparison.encoder.cache_clear()
    yield tmp_path
    comparison.encoder.cache_clear()
    sys.modules.pop("others_module", None)


def test_nothing_and_numbers_need_no_model(place):
    assert comparison.representation().name == representations.DEFAULT
    assert comparison.representation("mfcc+rates").widths == (40, 192)


def test_a_model_of_ours_is_found_by_its_name_and_its_folder(place):
    by_name = comparison.representation(SMALL.name)
    folder = place / "results/demo/waveform/checkpoints" / SMALL.name
    assert by_name.key == comparison.representation(str(folder)).key
    assert by_name.vector(place / "a.wav").shape == (8,) and not by_name.standardised


def test_the_class_of_somebody_else_is_compared_by_the_mean_of_its_rows(place):
    one = comparison.representation("others_module:Loud")
    y = audio.read(place / "a.wav")[0]
    parts = y[:16_000].reshape(4, 4000)
    expected = [abs(parts).mean(axis=1).mean(), parts.std(axis=1).mean()]
    np.testing.assert_allclose(one.vector(place / "a.wav"), expected, rtol=1e-5)
    assert one.standardised and one.key.startswith("loud-1-")


def test_sections_are_measured_by_the_same_names(place):
    y = tone(300, seconds=1.0).astype(np.float32)
    measure, _ = comparison.sections("others_module:Loud", 1.0)
    assert measure.sr == 8000 and measure.shape == (2,) and measure(y).shape == (2,)
    ours, _ = comparison.sections(SMALL.name, 1.0)
    assert ours(y).shape == ours.shape and ours != measure
    plain, _ = comparison.sections("mfcc", 15.0)
    assert plain.name == "mfcc" and comparison.sections("", 15.0)[0].name == representations.DEFAULT


def test_what_is_no_name_is_one_sentence(place):
    for spec, words in {
        "tea": "'tea' is neither a folder nor a model trained below",
        "hub:tea": "write hub:OWNER/NAME",
        "no_module_of_that:Name": "cannot be imported",
        "others_module:None_there": "cannot be imported",
        "json:JSONDecoder": "json:JSONDecoder lacks name, sr, window_s",
    }.items():
        with pytest.raises((ValueError, CheckpointError), match=words) as caught:
            comparison.representation(spec)
        assert "\n" not in str(caught.value)
    with pytest.raises(ValueError, match="rows of 3 numbers, not of 2"):
        comparison.representation("others_module:Odd").vector(place / "a.wav")
