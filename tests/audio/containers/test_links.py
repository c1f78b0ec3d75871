import io

import numpy as np
import pytest
from helpers.files import SR, coded, id3, tune

from musiclatent import audio
from musiclatent.audio.containers import links
from musiclatent.audio.containers.parts import Part

A, B = tune(3, 1), tune(4, 2)


@pytest.mark.parametrize(
    ("suffix", "options"),
    [
        ("ogg", {"format": "OGG", "subtype": "VORBIS"}),
        ("flac", {"format": "FLAC"}),
        ("wav", {"format": "WAV"}),
        ("aiff", {"format": "AIFF"}),
    ],
)
def test_joined_files_are_read_to_the_end(tmp_path, suffix, options):
    path = tmp_path / f"joined.{suffix}"
    path.write_bytes(coded(A, **options) + coded(B, **options) + coded(A, **options))
    y, _ = audio.read(path)
    assert len(y) == 2 * len(A) + len(B) == round(audio.info(path).seconds * SR)
    assert np.corrcoef(y[len(A) : len(A) + len(B)], B)[0, 1] > 0.9
    part, _ = audio.read(path, start_s=3.5, duration_s=1)
    np.testing.assert_allclose(part, y[round(3.5 * SR) :][: len(part)], atol=1e-3)
    assert np.array_equal(np.concatenate(list(audio.blocks(path, block_s=0.7))), y)


def test_flacs_with_tags_are_joined_too(tmp_path):
    path = tmp_path / "a.flac"
    flac = coded(A, format="FLAC")
    path.write_bytes(id3(500) + flac + id3(70_000) + flac)
    assert len(audio.read(path)[0]) == 2 * len(A)


def test_chained_opus(tmp_path):
    path = tmp_path / "radio.opus"
    parts = [tune(3, seed)[: 2 * 24_000] for seed in (3, 4)]
    path.write_bytes(b"".join(coded(y, 24_000, format="OGG", subtype="OPUS") for y in parts))
    y, sr = audio.read(path)
    assert len(y) / sr == pytest.approx(4.0, abs=0.02)


def test_a_stream_of_another_rate_is_not_lost_in_silence(tmp_path):
    path = tmp_path / "a.ogg"
    options = {"format": "OGG", "subtype": "VORBIS"}
    path.write_bytes(coded(A, **options) + coded(B[::2].copy(), SR // 2, **options))
    with pytest.warns(UserWarning, match="of its 2 joined streams the last 1 have another rate"):
        y, _ = audio.read(path)
    assert len(y) == len(A)


def test_one_stream_is_one_link(tmp_path):
    for format in ("OGG", "FLAC", "WAV", "MP3"):
        data = coded(A, format=format)
        (tmp_path / "a").write_bytes(data)
        assert links.links(tmp_path / "a") == [(0, len(data))]


def test_a_part_is_a_file(tmp_path):
    (tmp_path / "a").write_bytes(bytes(range(100)))
    whole = b"head" + bytes(range(10, 90))
    with Part(tmp_path / "a", 10, 90, b"head") as part:
        assert part.read() == whole and part.read() == b"" and part.seekable()
        assert part.seek(-5, io.SEEK_END) == 79 and part.read(99) == whole[-5:]
        assert part.seek(2) == 2 and part.read(4) == whole[2:6] and part.tell() == 6
        assert part.seek(1, io.SEEK_CUR) == 7
