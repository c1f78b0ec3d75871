"""What a lower sampling rate leaves out."""

import numpy as np
import pytest

from musiclatent import audio
from musiclatent.errors import AudioError
from musiclatent.evaluation.waveforms import rates

RATE = 44_100


def _tones(*parts: tuple[float, float]) -> np.ndarray:
    t = np.arange(2 * RATE) / RATE
    return sum(a * np.sin(2 * np.pi * hz * t) for hz, a in parts)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("MUSICLATENT_DATA", str(tmp_path))
    (tmp_path / "edm").mkdir()
    return tmp_path / "edm"


def test_energy_above_is_counted_and_what_lies_below_stays(folder):
    low = audio.write(folder / "low.wav", _tones((1000, 0.4)), RATE)
    # A fifth of the energy lies above 11 kHz: 0.2^2 / (0.4^2 + 0.2^2).
    both = audio.write(folder / "both.wav", _tones((1000, 0.4), (15_000, 0.2)), RATE)
    table = rates.rate_table([low, both], seconds=1.0).set_index("item_id")
    assert table["corpus"].eq("edm").all() and table["rate"].eq(RATE).all()
    assert table.loc["low", "above_share"] < 1e-6
    assert table.loc["both", "above_share"] == pytest.approx(0.2, abs=1e-3)
    assert table.loc["both", "above_db"] == pytest.approx(10 * np.log10(0.2), abs=0.02)
    # Mean of 1 and 15 kHz, weighted 2 to 1, falls to 1 kHz.
    assert table.loc["both", "centroid"] == pytest.approx(1 - 1000 / (17_000 / 3), abs=0.03)
    assert abs(table.loc["low", "centroid"]) < 0.1
    assert table.loc["both", "log_spectral_distance"] > table.loc["low", "log_spectral_distance"]


def test_low_rates_and_silence_are_left_out_and_broken_files_are_named(folder):
    poor = audio.write(folder / "poor.wav", _tones((1000, 0.4))[::2], RATE // 2)
    silent = audio.write(folder / "silent.wav", np.zeros(RATE), RATE)
    table = rates.rate_table([poor, silent])
    assert table.empty and "above_db" in table and rates.summary(table) == {"rate_recordings": 0}
    broken = folder / "broken.wav"
    broken.write_bytes(b"RIFF")
    with pytest.raises(AudioError, match="broken.wav"):
        rates.rate_table([broken])


def test_recordings_are_taken_evenly_and_none_where_none_is(folder):
    assert rates.recordings(3) == []
    for i in range(5):
        audio.write(folder / f"{i}.wav", np.zeros(100), RATE)
    assert [path.stem for path in rates.recordings(3)] == ["0", "2", "4"]
    assert len(rates.recordings(9)) == 5 and rates.recordings(0) == []


def test_the_summary_has_an_interval_over_recordings(folder):
    paths = [
        audio.write(folder / f"{i}.wav", _tones((1000, 0.4), (15_000, 0.05 * i)), RATE)
        for i in range(3)
    ]
    metrics = rates.summary(rates.rate_table(paths, seconds=1.0))
    mean = metrics["rate_edm_above_share"]
    assert metrics["rate_edm_above_share_low"] < mean < metrics["rate_edm_above_share_high"]
    assert metrics["rate_recordings"] == 3
