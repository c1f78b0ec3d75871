"""Digits through waveform models, and who still understands them."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from helpers.models import untrained, waveform_experiment

from musiclatent import audio, config
from musiclatent.audio.windows import Waveform
from musiclatent.config import Workspace
from musiclatent.errors import AudioError
from musiclatent.evaluation.waveforms import spoken

SR = 8000
WINDOW = Waveform(SR, 1.0)


class ByPitch:
    """Takes what is above 1 kHz for a "high", silence for nothing."""

    def predict_files(self, paths):
        spectra = [np.abs(np.fft.rfft(audio.read(path, SR)[0], SR)) for path in paths]
        names = [("low", "high")[int(s.argmax() > 1000)] if s.max() > 1 else "" for s in spectra]
        return np.array(names)


@pytest.fixture
def recordings(tmp_path):
    t = np.arange(2000) / SR
    made = [("low", 300), ("high", 2000), ("low", 500), ("high", 1500)]
    paths = [
        audio.write(tmp_path / f"secret{i}.wav", 0.5 * np.sin(2 * np.pi * hz * t), SR)
        for i, (_, hz) in enumerate(made)
    ]
    return paths, [label for label, _ in made]


def _blocks(tmp_path, maps: int):
    """A run whose blocks of 16 samples keep their first `maps`: all of them are the sound."""
    options = {"maps": maps, "stride": 16}
    return untrained(tmp_path, waveform_experiment("LinearBlocks", options, f"blocks_{maps}"))


def _asked(runs, recordings, folder, **others):
    paths, labels = recordings
    how = {"recogniser": ByPitch(), "transform": WINDOW, "folder": folder}
    return spoken.recognise_rebuilt(runs, others.get("paths", paths), labels, **how)


def test_a_perfect_model_is_understood_and_one_without_numbers_is_not(tmp_path, recordings):
    runs = {"all": _blocks(tmp_path, 16)}
    right = _asked(runs, recordings, tmp_path / "out")
    assert list(right) == ["original", "all"] and right.all(axis=None)
    rebuilt = sorted((tmp_path / "out" / "all").iterdir())
    assert [path.name for path in rebuilt] == [f"{i:04d}.wav" for i in range(4)]
    original, again = audio.read(recordings[0][1])[0], audio.read(rebuilt[1])[0]
    np.testing.assert_allclose(again, original, atol=2e-4)
    wrong = recordings[0], ["high", "high", "low", "low"]
    assert _asked(runs, wrong, tmp_path / "out")["all"].tolist() == [False, True, True, False]


def test_shares_have_wilsons_interval_and_stand_beside_the_originals():
    right = pd.DataFrame({"original": [True] * 9, "a1_64": [True] * 6 + [False] * 3})
    metrics = spoken.understood(right)
    assert metrics["digits_understood_recordings"] == 9
    assert metrics["digits_understood_original_low"] == pytest.approx(0.7009, abs=1e-4)
    assert metrics["digits_understood_a1_64"] == pytest.approx(2 / 3)
    # Wilson (1927) at 6 of 9.
    assert metrics["digits_understood_a1_64_low"] == pytest.approx(0.3542, abs=1e-4)
    assert metrics["digits_understood_a1_64_high"] == pytest.approx(0.8794, abs=1e-4)
    assert metrics["digits_understood_a1_64_less_original"] == pytest.approx(-1 / 3)
    assert metrics["digits_understood_a1_64_less_original_p"] == pytest.approx(0.25)
    assert "digits_understood_original_less_original" not in metrics


def test_the_recogniser_is_that_of_the_digits_or_kept_apart(tmp_path, monkeypatch):
    asked = {}

    def of_study(plan, space):
        batch = SimpleNamespace(items=pd.DataFrame({"path": ["a"], "label": ["1"]}))
        return SimpleNamespace(spectrograms=lambda split: batch)

    def from_audio(train, folder, *, epochs):
        asked[len(asked)] = folder, epochs
        return ByPitch()

    monkeypatch.setattr(spoken.CorpusDataModule, "of_study", of_study)
    monkeypatch.setattr(spoken.recognisers, "from_audio", from_audio)
    space = Workspace(profile="tiny", study="waveform", results=str(tmp_path))
    spoken.digits(space)
    (tmp_path / "tiny" / "digits").mkdir(parents=True)
    assert spoken.digits(space)[1]["label"].tolist() == ["1"]
    places = [folder.relative_to(tmp_path / "tiny").as_posix() for folder, _ in asked.values()]
    assert places == ["waveform/digits/judges", "digits/judges"]
    assert asked[0][1] == config.profile("tiny").epochs["judge"]


def test_what_cannot_be_asked_is_refused(tmp_path, recordings):
    for paths in ([], recordings[0][:3]):
        with pytest.raises(ValueError, match="recordings and 4 labels; give one for each"):
            _asked({}, recordings, tmp_path, paths=paths)
    broken = tmp_path / "broken.wav"
    broken.write_bytes(b"RIFF")
    with pytest.raises(AudioError, match="broken.wav"):
        _asked({}, recordings, tmp_path, paths=[*recordings[0][:3], broken])
