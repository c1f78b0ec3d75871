import pytest

from musiclatent import audio
from musiclatent.audio.containers.others import what_else
from musiclatent.errors import AudioError


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"#EXTM3U\n1.mp3\n", "a playlist; name the files that it lists"),
        (b"\xef\xbb\xbf[playlist]\nFile1=a\n", "a playlist; name"),
        (b"\n<!DOCTYPE html><html>", "a web page; download the file again"),
        (b"PK\3\4" + bytes(50), "an archive; unpack it first"),
        (b"MThd" + bytes(50), "MIDI, notes without sound; render"),
        (b"\x89PNG\r\n\x1a\n", "a picture; name a file with sound"),
    ],
)
@pytest.mark.parametrize("suffix", ["mp3", "wav", "m4a"])
def test_the_remedy_helps_with_what_the_file_is(tmp_path, data, words, suffix):
    path = tmp_path / f"a.{suffix}"
    path.write_bytes(data)
    with pytest.raises(AudioError, match=words) as caught:
        audio.read(path)
    assert "ffmpeg" not in str(caught.value)


def test_bytes_that_say_nothing(tmp_path):
    (tmp_path / "a").write_bytes(b"\7" * 99)
    assert what_else(tmp_path / "a") is None
