import numpy as np
import pytest
from helpers.files import SR, coded, id3, mp3, tune

from musiclatent import audio
from musiclatent.audio.containers.mpeg import mpeg

Y, OTHER = tune(5), tune(4, 1)
FRAME_S = 2 * 1152 / SR  # what an encoder adds at both ends, without a table that says so


def seconds(tmp_path, data: bytes) -> float:
    (tmp_path / "a.mp3").write_bytes(data)
    y, sr = audio.read(tmp_path / "a.mp3")
    joined = np.concatenate(list(audio.blocks(tmp_path / "a.mp3", block_s=0.6)))
    np.testing.assert_allclose(joined, y, atol=1e-6)  # behind zeros mpg123 rounds by the block
    return len(y) / sr


@pytest.mark.parametrize("size", [0, 30_000, 80_000, 1_000_000])
def test_covers_of_any_size_before_frames_without_a_table(tmp_path, size):
    data = (id3(size) if size else b"") + mp3(Y, table=False)
    assert seconds(tmp_path, data) == pytest.approx(5, abs=FRAME_S)
    assert audio.info(tmp_path / "a.mp3").seconds == pytest.approx(5, abs=2 * FRAME_S)


@pytest.mark.parametrize(
    "before",
    [bytes(3000), bytes(66_000), id3(2_000) + bytes(30_000), id3(900) + id3(90_000)],
    ids=["zeros", "many zeros", "tag and zeros", "two tags"],
)
def test_what_stands_before_the_first_frame(tmp_path, before):
    assert seconds(tmp_path, before + mp3(Y)) == pytest.approx(5, abs=FRAME_S)


@pytest.mark.parametrize("table", [True, False])
def test_joined_mp3s_are_read_to_the_end(tmp_path, table):
    old = b"TAG" + bytes(125)
    data = mp3(Y, table=table) + old + id3(70_000) + mp3(OTHER, mode="VARIABLE") + mp3(Y)
    assert seconds(tmp_path, data) == pytest.approx(14, abs=4 * FRAME_S)


def test_an_mp4_named_mp3_is_read(tmp_path):
    av = pytest.importorskip("av")
    with av.open(str(tmp_path / "a.mp3"), "w", format="mp4") as container:
        sound = container.add_stream("aac", rate=SR, layout="mono")
        frame = av.AudioFrame.from_ndarray(Y[None], format="fltp", layout="mono")
        frame.sample_rate = SR
        container.mux([*sound.encode(frame), *sound.encode(None)])
    y, _ = audio.read(tmp_path / "a.mp3")
    assert len(y) / SR == pytest.approx(5, abs=0.1)


def test_the_layout_of_a_file(tmp_path):
    tail = b"TAG" + bytes(125)
    (tmp_path / "a").write_bytes(id3(700) + mp3(Y) + tail)
    layout = mpeg(tmp_path / "a")
    assert layout.start == len(id3(700)) and layout.stop == len(id3(700)) + len(mp3(Y))
    assert layout.whole and abs(layout.samples - len(Y)) < 4 * 1152
    (tmp_path / "a").write_bytes(mp3(Y) + mp3(OTHER))
    assert not mpeg(tmp_path / "a").whole and mpeg(tmp_path / "a").left > 9000
    for data in (coded(Y, format="FLAC"), b"text" * 4000, bytes(9000), b"\xff\xfb"):
        (tmp_path / "a").write_bytes(data)
        assert mpeg(tmp_path / "a") is None
