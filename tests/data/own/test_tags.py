"""Tags are read from every kind of file, and written without touching the sound."""

import math

import mutagen
import numpy as np
import pytest
import soundfile as sf
from mutagen import id3

from musiclatent.data.own import tags
from musiclatent.errors import AudioError

SR = 22_050
KINDS = {
    "flac": {},
    "mp3": {},
    "ogg": {"subtype": "VORBIS"},
    "opus": {"format": "OGG", "subtype": "OPUS"},
}
KINDS |= {"wav": {}, "aiff": {}}


@pytest.fixture(params=KINDS)
def file(request, tmp_path):
    path = tmp_path / f"a.{request.param}"
    sr = 24_000 if request.param == "opus" else SR
    sf.write(path, 0.1 * np.sin(np.arange(sr) / 9), sr, **KINDS[request.param])
    return path


def test_what_is_written_is_read_and_the_sound_stays(file):
    before, _ = sf.read(file)
    nothing = tags.read_tags(file)
    assert (
        nothing["artist"] == "" and math.isnan(nothing["bpm"]) and set(nothing) == set(tags.FIELDS)
    )
    tags.write_tags(file, bpm=127.6)
    assert tags.read_tags(file)["bpm"] == pytest.approx(127.6, abs=0.41)
    assert tags.read_tags(file)["initial_key"] == ""
    tags.write_tags(file, key="F#m")
    found = tags.read_tags(file)
    assert found["initial_key"] == "F#m" and found["bpm"] == pytest.approx(127.6, abs=0.41)
    np.testing.assert_array_equal(sf.read(file)[0], before)
    assert [path.name for path in file.parent.iterdir()] == [file.name]


def test_names_years_and_genres_of_an_mp3(tmp_path):
    sf.write(tmp_path / "a.mp3", np.zeros(SR), SR)
    file = mutagen.File(tmp_path / "a.mp3")
    file.add_tags()
    for frame, text in ((id3.TPE1, "Björk\n"), (id3.TCON, "(17)"), (id3.TDRC, "1997-09-22")):
        file.tags.add(frame(encoding=3, text=[text]))
    file.save()
    found = tags.read_tags(tmp_path / "a.mp3")
    assert (found["artist"], found["genre"], found["year"]) == ("Björk", "Rock", 1997.0)


@pytest.mark.parametrize(
    "content", [b"", b"RIFFnothing", b"fLaC" + bytes(40), b"ID3\x03\0\0\x7f\x7f\x7f\x7f"]
)
def test_a_broken_file_has_no_tags_and_takes_none(tmp_path, content):
    path = tmp_path / "a.flac"
    path.write_bytes(content)
    assert tags.read_tags(path)["artist"] == ""
    with pytest.raises(AudioError, match="tags"):
        tags.write_tags(path, bpm=120)
    assert path.read_bytes() == content and len(list(tmp_path.iterdir())) == 1
