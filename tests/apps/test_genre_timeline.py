"""Naming the genre of files, section by section."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from musiclatent import audio
from musiclatent.apps import genre_timeline
from musiclatent.display import genre as display_genre
from musiclatent.display import style
from musiclatent.errors import AudioError
from musiclatent.studies import study

STUDY = study("genre", "tiny")
SR = STUDY.sr  # resampling would leave a trace in silence


def _probabilities(x: np.ndarray) -> np.ndarray:
    """A stub: bass below band 40, treble above."""
    assert x.ndim == 3 and x.min() >= 0 and x.max() <= 1
    low = x.mean(axis=2).argmax(axis=1) < 40
    return np.where(low[:, None], [0.7, 0.1, 0.2], [0.1, 0.3, 0.6])


NETWORK = SimpleNamespace(classes=("bass", "noise", "treble"), probabilities=_probabilities)


def _write(path: Path, *parts: tuple[float, float]) -> Path:
    """Write tones of (hz, seconds) one after another; 0 Hz is silence."""
    y = [0.3 * np.sin(2 * np.pi * hz * np.arange(round(s * SR)) / SR) for hz, s in parts]
    path.parent.mkdir(exist_ok=True)
    return audio.write(path, np.concatenate(y), SR)


@pytest.fixture
def drawn(monkeypatch) -> list[tuple[str, bool]]:
    """In place of pictures, which take time: their titles, and whether they show a waveform."""
    found = []

    def timeline(table, title, y, sr):
        found.append((title, y is not None))
        return SimpleNamespace()

    monkeypatch.setattr(display_genre, "timeline", timeline)
    monkeypatch.setattr(style, "save_figure", lambda figure, path: path.touch())
    monkeypatch.setattr(genre_timeline.plt, "close", lambda _: None)
    return found


@pytest.mark.parametrize("batch", [2, 64])
def test_sections_follow_the_music(tmp_path, monkeypatch, batch):
    monkeypatch.setattr(genre_timeline, "BATCH", batch)
    file = _write(tmp_path / "two.wav", (200, 9), (3000, 6), (0, 3))
    found = genre_timeline.section_probabilities(NETWORK, STUDY, file)
    assert found.index.tolist() == [0, 3, 6, 9, 12, 15] and found.index.name == "start_s"
    assert list(found) == ["bass", "noise", "treble"]
    heard = found.iloc[:5]
    assert heard.idxmax(axis=1).tolist() == ["bass"] * 3 + ["treble"] * 2
    np.testing.assert_allclose(heard.sum(axis=1), 1)
    assert found.iloc[5].isna().all()


def test_a_short_file_is_one_section_and_a_short_rest_is_none(tmp_path):
    short = _write(tmp_path / "short.wav", (200, 0.4))
    rest = _write(tmp_path / "rest.wav", (200, 4))
    for file in (short, rest):
        found = genre_timeline.section_probabilities(NETWORK, STUDY, file)
        assert found.index.tolist() == [0] and found["bass"].tolist() == [0.7]


def test_a_file_that_is_no_sound(tmp_path):
    (tmp_path / "bad.wav").write_bytes(b"no sound at all")
    with pytest.raises(AudioError, match=r"bad\.wav"):
        genre_timeline.section_probabilities(NETWORK, STUDY, tmp_path / "bad.wav")


def test_files_leave_tables_and_pictures(tmp_path):
    file = _write(tmp_path / "two.wav", (200, 9), (3000, 6))
    silent = _write(tmp_path / "none.wav", (0, 3.5))
    out = tmp_path / "deep" / "out"
    table, quarantine = genre_timeline.classify_files(
        NETWORK, STUDY, files=[file, silent, str(file)], folder=out
    )
    assert quarantine.empty and len(table) == 2  # the same file twice counts once
    first, second = table.to_dict("records")
    assert first["name"] == "two" and first["path"] == str(file)
    assert (first["seconds"], first["sections"], first["genre"]) == (15, 5, "bass")
    assert first["probability"] == pytest.approx((3 * 0.7 + 2 * 0.1) / 5)
    assert (first["second"], first["steady"]) == ("treble", 0.6)
    assert first["second_probability"] == pytest.approx((3 * 0.2 + 2 * 0.6) / 5)
    assert (second["genre"], second["second"], second["sections"]) == ("", "", 1)
    assert all(np.isnan(second[k]) for k in ("probability", "second_probability", "steady"))
    for name in ("two.png", "none.png"):
        assert (out / name).read_bytes().startswith(b"\x89PNG")
    sections = pd.read_csv(out / "two.csv", index_col="start_s")
    pd.testing.assert_frame_equal(
        sections, genre_timeline.section_probabilities(NETWORK, STUDY, file)
    )
    assert pd.read_csv(out / "none.csv", index_col="start_s").isna().all(axis=None)
    assert pd.read_csv(out / "files.csv")["name"].tolist() == ["two", "none"]
    assert pd.read_csv(out / "quarantine.csv").empty
    assert not list(out.glob("*.part*"))


def test_a_broken_file_is_set_aside_and_the_run_goes_on(tmp_path, drawn):
    good = _write(tmp_path / "good.wav", (3000, 3))
    bad = tmp_path / "bad.wav"
    bad.write_bytes(good.read_bytes()[:20])
    missing = tmp_path / "missing.wav"
    out = tmp_path / "out"
    table, quarantine = genre_timeline.classify_files(
        NETWORK, STUDY, files=[bad, missing, good], folder=out
    )
    assert table["genre"].tolist() == ["treble"]
    assert quarantine["path"].tolist() == [str(bad), str(missing)]
    assert all("; " in reason and "\n" not in reason for reason in quarantine["reason"])
    assert pd.read_csv(out / "quarantine.csv").equals(quarantine)
    assert not (out / "bad.csv").exists()
    assert drawn == [("treble (60%): good.wav", True)]


def test_nothing_to_hear_is_one_sentence(tmp_path):
    bad = tmp_path / "bad.wav"
    bad.write_bytes(b"no sound at all")
    with pytest.raises(ValueError, match=r"none of the 2 files can be read; the first, .*bad\.wav"):
        genre_timeline.classify_files(
            NETWORK, STUDY, files=[bad, tmp_path / "missing.wav"], folder=tmp_path / "out"
        )
    with pytest.raises(ValueError, match="there are no files to classify; name one or more"):
        genre_timeline.classify_files(NETWORK, STUDY, files=[], folder=tmp_path / "out")


def test_files_of_the_same_name_get_tables_of_their_own(tmp_path, drawn):
    low, high = (
        _write(tmp_path / folder / "song.wav", (hz, 3)) for folder, hz in (("a", 200), ("b", 3000))
    )
    table, _ = genre_timeline.classify_files(
        NETWORK, STUDY, files=[low, high], folder=tmp_path / "out"
    )
    assert table["name"].tolist() == ["song", "song-2"]
    for name, genre in zip(table["name"], ("bass", "treble"), strict=True):
        found = pd.read_csv(tmp_path / "out" / f"{name}.csv", index_col="start_s")
        assert found.idxmax(axis=1).tolist() == [genre]


def test_files_named_as_the_tables_of_all_keep_theirs(tmp_path, drawn):
    files = [_write(tmp_path / f"{name}.wav", (200, 3)) for name in ("files", "quarantine")]
    table, _ = genre_timeline.classify_files(NETWORK, STUDY, files=files, folder=tmp_path / "out")
    assert pd.read_csv(tmp_path / "out" / "files.csv")["path"].tolist() == [str(f) for f in files]
    for name in table["name"]:
        assert "bass" in pd.read_csv(tmp_path / "out" / f"{name}.csv")


def test_a_long_file_is_drawn_without_its_waveform(tmp_path, drawn, monkeypatch):
    monkeypatch.setattr(genre_timeline, "SHOWN_S", 6.0)
    files = [_write(tmp_path / f"{s}.wav", (200, s)) for s in (6, 9)]
    genre_timeline.classify_files(NETWORK, STUDY, files=files, folder=tmp_path / "out")
    assert [waveform for _, waveform in drawn] == [True, False]
