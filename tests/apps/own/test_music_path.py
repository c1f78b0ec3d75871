"""A path of tracks from one to another."""

from pathlib import Path

import numpy as np
import pytest

from musiclatent import audio
from musiclatent.apps.own import music_path, new_music
from musiclatent.latents.representations import Representation

SR = 8000
BY = Representation(
    name="size",
    key="size-1",
    vector=lambda path: np.array([float(Path(path).stem.split()[0]), 0.0]),
    standardised=False,
)


@pytest.fixture
def music(tmp_path) -> Path:
    """Ten songs whose names say where they lie, and a copy of one."""
    folder = tmp_path / "music"
    folder.mkdir()
    rng = np.random.default_rng(0)
    for i in range(10):
        notes = np.repeat(rng.integers(200, 900, 24), SR // 4)
        y = 0.4 * np.sin(2 * np.pi * np.cumsum(notes) / SR) + 0.01 * rng.standard_normal(len(notes))
        audio.write(folder / f"{i}.wav", y, SR)
    audio.write(folder / "5 copy.flac", 0.5 * audio.read(folder / "5.wav")[0], SR)
    return folder


def test_a_path_goes_in_equal_steps_and_plays_no_recording_twice(music, tmp_path):
    ends = (music / "1.wav", music / "9.wav")
    tracks = music_path.path(BY, ends, music=music, out=tmp_path / "out", n=5)
    assert tracks["title"].tolist()[::2] == ["1.wav", tracks["title"][2], "9.wav"]
    assert tracks["title"][1] == "3.wav" and tracks["title"][3] == "7.wav"
    assert tracks["title"][2] in ("5.wav", "5 copy.flac")
    assert tracks["distance"].tolist() == [0] * 5 and tracks["step"].tolist() == [1, 2, 3, 4, 5]
    lines = (tmp_path / "out" / "path.m3u8").read_text().splitlines()
    assert [line for line in lines if not line.startswith("#")] == list(tracks["path"])
    page = (tmp_path / "out" / "path.html").read_text()
    assert "<title>From 1.wav</title>" in page and "in equal steps to 9.wav" in page


def test_what_no_path_can_be_made_of_is_said(music, tmp_path):
    where = {"music": music, "out": tmp_path / "out"}
    ends = (music / "0.wav", music / "9.wav")
    with pytest.raises(ValueError, match="ask for 3 or more"):
        music_path.path(BY, ends, **where, n=2)
    with pytest.raises(ValueError, match="ask for at most 10 tracks"):
        music_path.path(BY, ends, **where, n=30)
    with pytest.raises(ValueError, match=r"missing.wav: .*check the path"):
        music_path.path(BY, (music / "missing.wav", ends[1]), **where, n=3)


def test_examples_draw_near_and_counterexamples_push_away(music, tmp_path):
    options = {"music": music, "out": tmp_path / "out"}
    tracks, left_out = new_music.similar(
        BY, file=music / "2.wav", more=[music / "6.wav"], **options
    )
    assert tracks["title"][0] == "4.wav" and not {"2.wav", "6.wav"} & set(tracks["title"])
    assert sorted(Path(path).name for path in left_out["path"]) == ["2.wav", "6.wav"]
    tracks, _ = new_music.similar(
        BY, file=music / "4.wav", unlike=[music / "0.wav"], **options
    )  # 4 + (4 - 0) / 2
    assert tracks["title"][0] == "6.wav"
