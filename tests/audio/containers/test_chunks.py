import struct
import warnings

import numpy as np
import pytest
from helpers.files import SR, coded, patched, tune

from musiclatent import audio
from musiclatent.audio.containers.chunks import data_chunk
from musiclatent.errors import AudioError

Y = tune(4)
# Format -> where the size of the samples stands, how, and what it counts beside them.
SIZES = {
    "WAV": (lambda b: b.index(b"data") + 4, "<I", 0),
    "AU": (lambda b: 8, ">I", 0),
    "W64": (lambda b: b.index(b"data") + 16, "<Q", 24),
    "CAF": (lambda b: b.index(b"data") + 4, ">Q", 4),
    "RF64": (lambda b: 28, "<Q", 0),
}


def written(tmp_path, format: str, seconds: float) -> tuple:
    """A file that promises so many seconds, and its whole samples."""
    data = coded(Y, format=format, subtype="PCM_16")
    find, form, extra = SIZES[format]
    path = tmp_path / f"a.{format.lower()}"
    path.write_bytes(patched(data, find(data), form, round(seconds * SR) * 2 + extra))
    return path, np.rint(Y * 2**15) / 2**15


@pytest.mark.parametrize("format", SIZES)
def test_sound_behind_the_promised_end_is_read_with_a_word(tmp_path, format):
    path, whole = written(tmp_path, format, 1.5)
    with pytest.warns(UserWarning, match=r"sound follows the 1\.50 s that its header promises"):
        y, _ = audio.read(path)
    np.testing.assert_allclose(y, whole, atol=2**-15)


@pytest.mark.parametrize("format", ["WAV", "W64", "RF64"])
def test_sound_that_is_missing_is_said(tmp_path, format):
    path, _ = written(tmp_path, format, 9)
    with pytest.raises(AudioError, match=r"only 4\.00 s of the promised 9\.00 s"):
        audio.read(path)


@pytest.mark.parametrize(("size", "words"), [(0, "says that it is empty"), (2**32 - 1, "")])
def test_sizes_that_were_never_filled_in(tmp_path, size, words):
    data = coded(Y, format="WAV", subtype="PCM_16")
    (tmp_path / "a.wav").write_bytes(patched(data, 40, "<I", size))
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        assert len(audio.read(tmp_path / "a.wav")[0]) == len(Y)
    assert [w for w in said if words and words in str(w.message)] or (not words and not said)


def test_an_aiff_that_counts_too_few_frames(tmp_path):
    data = coded(Y, format="AIFF", subtype="PCM_16")
    data = patched(data, data.index(b"COMM") + 10, ">I", SR)
    data = patched(data, data.index(b"SSND") + 4, ">I", 2 * SR + 8)
    (tmp_path / "a.aiff").write_bytes(data)
    with pytest.warns(UserWarning, match=r"sound follows the 1\.00 s"):
        assert len(audio.read(tmp_path / "a.aiff")[0]) == len(Y)


@pytest.mark.parametrize(
    "behind",
    [
        b"LIST" + struct.pack("<I", 9000) + bytes(9000),
        b"id3 " + struct.pack("<I", 30_000) + b"ID3" + b"\7" * 29_997,
        bytes(50_000),
        b"abcd" + struct.pack("<I", 6000) + b"\7" * 6000,
        b"TAG" + b"\7" * 125,
    ],
    ids=["LIST", "id3", "zeros", "unknown chunk", "ID3v1"],
)
def test_tags_and_padding_behind_the_samples_are_no_sound(tmp_path, behind):
    (tmp_path / "a.wav").write_bytes(coded(Y, format="WAV") + behind)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(audio.read(tmp_path / "a.wav")[0]) == len(Y)


def test_other_files_have_no_such_chunk(tmp_path):
    for data in (coded(Y, format="FLAC"), b"RIFF", b"caff", b"riff" + bytes(90)):
        (tmp_path / "a").write_bytes(data)
        assert data_chunk(tmp_path / "a") is None
