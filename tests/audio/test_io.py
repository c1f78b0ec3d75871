"""Reading and writing of audio: every format, every fault of the broken-audio table."""

import errno
import io
import os
import pickle
import resource
import shutil
import struct
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import soundfile as sf
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from musiclatent import audio
from musiclatent.audio import decoders
from musiclatent.errors import AudioError

SR = 22_050
N = 4 * SR
QUICK = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
needs_ffmpeg = pytest.mark.skipif(
    not shutil.which("ffmpeg") or not shutil.which("ffprobe"), reason="ffmpeg is not installed"
)
needs_posix = pytest.mark.skipif(os.name != "posix", reason="libsndfile reads pipes on posix only")


def sound(seconds: float = 4.0, sr: int = SR, channels: int = 1) -> np.ndarray:
    rng = np.random.default_rng(0)
    n = round(seconds * sr)
    tone = 0.3 * np.sin(2 * np.pi * 440 * np.arange(n) / sr)
    y = tone[:, None] + 0.05 * rng.standard_normal((n, channels))
    return y.astype(np.float32)


def with_ffmpeg(source: Path, target: Path, *options: str) -> Path:
    command = ["ffmpeg", "-v", "error", "-nostdin", "-y", "-i", str(source), *options, str(target)]
    subprocess.run(command, check=True)
    return target


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Whole files of 4 s, one of each format, to copy and break."""
    folder = tmp_path_factory.mktemp("whole")
    y = sound()
    for suffix in ("wav", "flac", "mp3", "au", "aiff", "ogg"):
        sf.write(folder / f"whole.{suffix}", y, SR)
    sf.write(folder / "whole.opus", sound(sr=24_000), 24_000, format="OGG", subtype="OPUS")
    sf.write(folder / "extensible.wav", sound(channels=3), SR, "PCM_24", format="WAVEX")
    if shutil.which("ffmpeg"):
        for suffix in ("m4a", "mp4", "aac", "wma"):
            options = ["-movflags", "+faststart"] if suffix in ("m4a", "mp4") else []
            with_ffmpeg(folder / "whole.wav", folder / f"whole.{suffix}", *options)
    return folder


def broken(folder: Path, tmp_path: Path, name: str, share: float) -> Path:
    data = (folder / name).read_bytes()
    path = tmp_path / name
    path.write_bytes(data[: int(len(data) * share)])
    return path


# ---------------------------------------------------------------------------- formats


@pytest.mark.parametrize("suffix", ["wav", "flac", "mp3", "au", "aiff", "ogg"])
def test_soundfile_formats_are_read(folder, suffix):
    y, sr = audio.read(folder / f"whole.{suffix}")
    assert (y.shape, y.dtype, sr) == ((N,), np.float32, SR)
    assert np.corrcoef(y, sound()[:, 0])[0, 1] > 0.95
    assert audio.info(folder / f"whole.{suffix}").seconds == 4.0


@needs_ffmpeg
@pytest.mark.parametrize("suffix", ["m4a", "mp4", "aac", "wma"])
def test_ffmpeg_formats_are_read(folder, suffix):
    y, sr = audio.read(folder / f"whole.{suffix}")
    info = audio.info(folder / f"whole.{suffix}")
    assert sr == info.sr == SR
    assert y.dtype == np.float32
    assert len(y) / SR == pytest.approx(4.0, abs=0.15)
    if suffix in ("m4a", "mp4"):  # their headers are exact, so the padding of the codec is cut
        assert len(y) == pytest.approx(N, abs=1)
        assert np.corrcoef(y[:N], sound()[: len(y), 0])[0, 1] > 0.95


def test_opus_is_read_at_its_rate(folder):
    y, sr = audio.read(folder / "whole.opus")
    assert (len(y), sr) == (192_000, 48_000)  # RFC 7845: Opus always decodes at 48 kHz


@pytest.mark.parametrize(
    ("subtype", "step"),
    [("PCM_U8", 2**-7), ("PCM_16", 2**-15), ("PCM_24", 2**-23), ("PCM_32", 2**-24), ("FLOAT", 0)],
)
@pytest.mark.parametrize("sr", [8_000, 192_000])
def test_every_depth_and_rate(tmp_path, subtype, step, sr):
    x = sound(0.1, sr, 8)
    sf.write(tmp_path / "a.wav", x, sr, subtype)
    y, got_sr = audio.read(tmp_path / "a.wav", mono=False)
    assert (y.shape, y.dtype, got_sr) == ((8, len(x)), np.float32, sr)
    np.testing.assert_allclose(y, x.T, atol=step)
    assert audio.info(tmp_path / "a.wav").channels == 8


def test_doubles_and_rf64_are_read(tmp_path):
    sf.write(tmp_path / "d.wav", sound(), SR, "DOUBLE")
    sf.write(tmp_path / "r.wav", sound(), SR, "FLOAT", format="RF64")
    for name in ("d.wav", "r.wav"):
        assert np.array_equal(audio.read(tmp_path / name)[0], sound()[:, 0])


def test_a_wrong_suffix_does_not_matter(folder, tmp_path):
    for suffix in ("wav", "flac", "mp3", "ogg"):
        shutil.copy(folder / f"whole.{suffix}", tmp_path / "song.au")
        assert len(audio.read(tmp_path / "song.au")[0]) == N


def test_silence_is_sound(tmp_path):
    sf.write(tmp_path / "s.wav", np.zeros((SR, 2)), SR)
    y, _ = audio.read(tmp_path / "s.wav", 16_000)
    assert y.shape == (16_000,)
    assert not y.any()


def test_mono_is_the_mean_of_the_channels(tmp_path):
    x = sound(0.1, channels=3)
    sf.write(tmp_path / "a.wav", x, SR, "FLOAT")
    np.testing.assert_allclose(audio.read(tmp_path / "a.wav")[0], x.mean(axis=1), atol=1e-7)


def test_resampling_keeps_the_tone(tmp_path):
    sf.write(tmp_path / "a.wav", sound(2, 48_000), 48_000, "FLOAT")
    y, sr = audio.read(tmp_path / "a.wav", SR)
    peak_hz = np.abs(np.fft.rfft(y)).argmax() * sr / len(y)
    assert (len(y), sr) == (2 * SR, SR)
    assert peak_hz == pytest.approx(440, abs=0.5)


@pytest.mark.parametrize(
    "name",
    ["a b.wav", "it's \"quoted\".wav", "é ü 音楽 🎵.wav", "two\nlines.wav", "-i.wav", "%d.wav",
     "a:b.wav", "#1?.wav", os.fsdecode(b"latin-\xe9.wav")],
)  # fmt: skip
def test_file_names(folder, tmp_path, name, monkeypatch):
    monkeypatch.chdir(tmp_path)  # so that a relative name may begin with a dash
    shutil.copy(folder / "whole.wav", name)
    assert len(audio.read(name)[0]) == N
    if shutil.which("ffprobe"):
        name = name.replace(".wav", ".m4a")
        shutil.copy(folder / "whole.m4a", name)
        assert audio.read(name)[1] == SR
    Path(name).write_bytes(b"no sound")
    with pytest.raises(AudioError) as caught:
        audio.read(name)
    assert len(str(caught.value).splitlines()) == 1


# ---------------------------------------------------------------------------- parts and blocks


@QUICK
@given(
    n=st.integers(1, 3000),
    channels=st.integers(1, 3),
    rates=st.sampled_from([(8000, None), (8000, 11_025), (44_100, 22_050), (192_000, 22_050)]),
    block=st.integers(1, 997),
    mono=st.booleans(),
)
def test_joined_blocks_equal_one_read(tmp_path, n, channels, rates, block, mono):
    sr, target = rates
    path = tmp_path / "a.wav"
    sf.write(path, np.random.default_rng(n).uniform(-1, 1, (n, channels)), sr, "FLOAT")
    if target and n * target < sr / 2:
        with pytest.raises(AudioError, match="too few to be resampled"):
            audio.read(path, target)
        return
    y, _ = audio.read(path, target, mono=mono)
    parts = list(audio.blocks(path, target, mono=mono, block_s=block / sr))
    atol = 1e-6 if target else 0  # resampled in other pieces, float32 may round otherwise
    np.testing.assert_allclose(np.concatenate(parts, axis=-1), y, rtol=0, atol=atol)
    assert y.shape[-1] == pytest.approx(n * (target or sr) / sr, abs=1)
    assert np.abs(y).max() <= 1


@pytest.mark.parametrize("suffix", ["wav", "flac", "mp3", "ogg", "au"])
def test_a_part_equals_that_part_of_the_whole(folder, suffix):
    path = folder / f"whole.{suffix}"
    whole, _ = audio.read(path)
    part, _ = audio.read(path, start_s=0.5, duration_s=0.75)
    start = round(0.5 * SR)
    np.testing.assert_allclose(part, whole[start : start + round(0.75 * SR)], atol=1e-4)
    assert len(audio.read(path, start_s=3.5, duration_s=9)[0]) == SR // 2


@needs_ffmpeg
def test_a_part_through_ffmpeg(folder):
    whole, _ = audio.read(folder / "whole.m4a")
    part, _ = audio.read(folder / "whole.m4a", start_s=0.5, duration_s=0.75)
    np.testing.assert_allclose(part, whole[11_025 : 11_025 + len(part)], atol=1e-4)
    assert len(part) == round(0.75 * SR)
    rest, _ = audio.read(folder / "whole.m4a", start_s=1.5)
    assert len(rest) == len(whole) - round(1.5 * SR)


@pytest.mark.parametrize("suffix", ["wav", "mp3", "ogg", "m4a", "aac"])
def test_a_part_after_the_end(folder, suffix):
    if suffix in ("m4a", "aac") and not shutil.which("ffprobe"):
        pytest.skip("ffmpeg is not installed")
    with pytest.raises(AudioError, match=r"starts at 5\.00 s, at or after the end"):
        audio.read(folder / f"whole.{suffix}", start_s=5)


@pytest.mark.real
@needs_ffmpeg
def test_opus_that_libsndfile_refuses_goes_through_ffmpeg(data_root):
    path = data_root / "game_music" / "wesnoth" / "battle-epic.opus"
    with pytest.raises(sf.LibsndfileError, match="malformed"):
        sf.info(path)
    assert audio.info(path).seconds == pytest.approx(30.0, abs=0.02)
    y, sr = audio.read(path)
    assert (sr, len(y)) == (48_000, pytest.approx(30 * 48_000, rel=1e-3))
    part, _ = audio.read(path, start_s=10.0, duration_s=2.0)
    np.testing.assert_allclose(part, y[480_000:576_000], atol=1e-3)


@pytest.mark.real
@needs_ffmpeg
def test_opus_goes_on_where_libsndfile_breaks_off(data_root):
    path = data_root / "game_music" / "hyperrogue" / "hr3-caves.opus"
    with pytest.raises(sf.LibsndfileError, match="malformed"):
        sf.read(path)
    y, sr = audio.read(path)
    assert len(y) / sr == pytest.approx(30.0, abs=0.02)
    command = ["ffmpeg", "-v", "error", "-nostdin", "-i", str(path), "-f", "f32le", "-"]
    whole = np.frombuffer(subprocess.run(command, capture_output=True).stdout, "<f4")
    late = slice(20 * sr, 21 * sr)  # after the break, where one packet of 20 ms is lost
    lags = np.correlate(whole[20 * sr - 2000 : 21 * sr + 2000], y[late]).argmax() - 2000
    assert abs(lags) / sr < 0.021
    near = whole[late.start + lags : late.stop + lags]
    assert np.corrcoef(near, y[late])[0, 1] > 0.99


@pytest.mark.parametrize(
    "options",
    [{"sr": 0}, {"sr": -1}, {"start_s": -1}, {"start_s": float("nan")}, {"start_s": float("inf")},
     {"duration_s": 0}, {"duration_s": float("nan")}],
)  # fmt: skip
def test_impossible_arguments(folder, options):
    with pytest.raises(ValueError, match=f"{next(iter(options))} is .*must be"):
        audio.read(folder / "whole.wav", **options)
    with pytest.raises(ValueError, match="block_s is 0"):
        next(audio.blocks(folder / "whole.wav", block_s=0))


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads memory from /proc")
def test_three_hours_in_blocks_stay_small(tmp_path):
    path, n = tmp_path / "long.wav", 3 * 3600 * 8000 * 2
    with path.open("wb") as f:  # sparse: zeros that take no disk
        f.write(b"RIFF" + struct.pack("<I", n + 36) + b"WAVEfmt ")
        f.write(struct.pack("<IHHIIHH", 16, 1, 1, 8000, 16_000, 2, 16))
        f.write(b"data" + struct.pack("<I", n))
        f.truncate(44 + n)
    code = (
        "import re, sys; from pathlib import Path; from musiclatent import audio\n"
        "peak = lambda: int(re.search(r'VmHWM:\\s+(\\d+)', "
        "Path('/proc/self/status').read_text())[1]) / 1024\n"
        "before = peak()\n"
        "print(sum(len(y) for y in audio.blocks(sys.argv[1])), peak() - before)\n"
        "sum(len(y) for y in audio.blocks(sys.argv[1], 16_000, duration_s=900)); "
        "print(peak() - before)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, path], capture_output=True, text=True, check=True
    )
    samples, plain_mb, resampled_mb = done.stdout.split()
    assert int(samples) == n // 2
    assert max(float(plain_mb), float(resampled_mb)) < 100


# ---------------------------------------------------------------------------- broken files


JPEG = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00" + bytes(range(256)) * 20


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("jpeg.wav", JPEG, "no audio that can be decoded"),
        ("jpeg.au", JPEG, "but a picture; name a file with sound"),
        ("noise.au", bytes(range(256)) * 20, "no audio header"),
        ("jpeg.mp3", JPEG, "no audio that can be decoded"),
        ("text.flac", b"not sound at all" * 100, "no audio that can be decoded"),
        ("empty.wav", b"", "0 bytes"),
        ("empty.mp3", b"", "0 bytes"),
        ("noise.xyz", bytes(5000), "no audio that can be decoded"),
    ],
)
def test_files_that_are_no_audio(tmp_path, name, content, words):
    (tmp_path / name).write_bytes(content)
    for door in (audio.read, audio.info, lambda path: list(audio.blocks(path, 8000))):
        with pytest.raises(AudioError, match=words) as caught:
            door(tmp_path / name)
        assert caught.value.path == tmp_path / name
        assert caught.value.remedy


@pytest.mark.parametrize("suffix", ["wav", "au", "aiff", "ogg"])
def test_no_riff_id(folder, tmp_path, suffix):
    (tmp_path / f"a.{suffix}").write_bytes((folder / f"whole.{suffix}").read_bytes()[4:])
    with pytest.raises(AudioError, match="no audio"):
        audio.read(tmp_path / f"a.{suffix}")


@pytest.mark.parametrize("promise", [0, 44_100, 0xFFFFFFFF])
def test_header_only(folder, tmp_path, promise):
    head = (folder / "whole.wav").read_bytes()[:40]
    (tmp_path / "a.wav").write_bytes(head + struct.pack("<I", promise))
    with pytest.raises(AudioError, match="holds no samples"):
        audio.read(tmp_path / "a.wav")


CUT = ["whole.wav", "extensible.wav", "whole.flac", "whole.mp3", "whole.au", "whole.aiff"]


@pytest.mark.parametrize("name", CUT)
def test_cut_files(folder, tmp_path, name):
    path = broken(folder, tmp_path, name, 0.6)
    assert audio.info(path).seconds == pytest.approx(4.0, abs=0.01)
    with pytest.raises(AudioError, match=r"only 2\.\d+ s of the promised 4\.00 s"):
        audio.read(path)
    with pytest.raises(AudioError, match="cut short"):
        list(audio.blocks(path, 16_000, block_s=0.3))
    y, _ = audio.read(path, start_s=0.25, duration_s=0.5)  # this part is whole
    assert len(y) == round(0.5 * SR)
    with pytest.raises(AudioError, match="at or after the end"):
        audio.read(path, start_s=3.9)


@pytest.mark.parametrize("name", CUT)
def test_files_with_little_missing_are_kept(folder, tmp_path, name):
    path = broken(folder, tmp_path, name, 0.96 if name.endswith("mp3") else 0.98)
    with pytest.warns(UserWarning, match=r"of the promised 4\.00 s .* kept"):
        y, _ = audio.read(path)
    assert 3.8 * SR < len(y) < N
    with pytest.warns(UserWarning, match="kept"):
        audio.read(path, start_s=3.5, duration_s=1)  # what counts is the whole file


@needs_ffmpeg
def test_cut_m4a(folder, tmp_path):
    with pytest.raises(AudioError, match="cut short"):
        audio.read(broken(folder, tmp_path, "whole.m4a", 0.5))
    with pytest.raises(AudioError, match="cut short"):
        audio.read(broken(folder, tmp_path, "whole.wma", 0.5))
    with_ffmpeg(folder / "whole.wav", tmp_path / "late.m4a")  # the index stands at the end
    with pytest.raises(AudioError, match=r"index \(moov\) is missing, so it is cut short"):
        audio.read(broken(tmp_path, tmp_path, "late.m4a", 0.9))


@pytest.mark.parametrize("suffix", ["ogg", "opus"])
def test_cut_ogg_is_noted(folder, tmp_path, suffix):
    with pytest.warns(UserWarning, match="may be cut short"):
        audio.read(broken(folder, tmp_path, f"whole.{suffix}", 0.9))


def test_whole_files_give_no_warning(folder):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for path in folder.iterdir():
            audio.read(path, 16_000)


@needs_posix
@pytest.mark.parametrize("size", [0, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF])
def test_a_streamed_wav_promises_nothing(folder, tmp_path, size):
    data = (folder / "whole.wav").read_bytes()[:60_000]
    (tmp_path / "a.wav").write_bytes(data[:40] + struct.pack("<I", size) + data[44:])
    y, _ = audio.read(tmp_path / "a.wav")
    assert np.array_equal(y, audio.read(folder / "whole.wav")[0][: len(y)])
    assert len(y) == (60_000 - 44) // 2
    part, _ = audio.read(tmp_path / "a.wav", start_s=0.5, duration_s=0.5)
    assert np.array_equal(part, y[11_025:22_050])
    with pytest.raises(AudioError, match="at or after the end"):
        audio.read(tmp_path / "a.wav", start_s=60)


def test_a_streamed_au_promises_nothing(folder, tmp_path):
    data = (folder / "whole.au").read_bytes()[:60_000]
    (tmp_path / "a.au").write_bytes(data[:8] + b"\xff" * 4 + data[12:])
    assert len(audio.read(tmp_path / "a.au")[0]) == (60_000 - 24) // 2


def test_chunks_before_the_samples_are_passed(folder, tmp_path):
    data = (folder / "whole.wav").read_bytes()
    note = b"LIST" + struct.pack("<I", 5001) + bytes(5002)  # odd sizes are padded to even
    path = tmp_path / "a.wav"
    path.write_bytes(data[:36] + note + data[36:])
    assert len(audio.read(path)[0]) == N
    path.write_bytes((data[:36] + note + data[36:])[:60_000])
    with pytest.raises(AudioError, match=r"promised 4\.00 s"):
        audio.read(path)


def without_table(folder: Path) -> tuple[bytes, bytes]:
    """First frame, which holds the Xing table, and all the others of a VBR mp3."""
    loud = sound(6) * np.linspace(1, 0, 6 * SR)[:, None] ** 8
    sf.write(folder / "v.mp3", loud, SR, bitrate_mode="VARIABLE", compression_level=0.2)
    data = (folder / "v.mp3").read_bytes()
    assert b"Xing" in data[:200]
    end = data.index(data[:2], 100)
    return data[:end], data[end:]


@needs_posix
def test_a_vbr_mp3_without_table_is_read_to_its_end(tmp_path):
    _, rest = without_table(tmp_path)
    path = tmp_path / "a.mp3"
    path.write_bytes(rest)
    assert sf.info(path).frames < 5 * SR  # libsndfile would stop early
    y, _ = audio.read(path)
    assert len(y) / SR == pytest.approx(6, abs=0.1)
    joined = np.concatenate(list(audio.blocks(path, block_s=0.37)))
    assert np.array_equal(joined, y)
    part, _ = audio.read(path, start_s=5, duration_s=0.5)
    assert np.array_equal(part, y[5 * SR : 5 * SR + len(part)])
    path.write_bytes(rest[: len(rest) // 2])
    assert 2 * SR < len(audio.read(path)[0]) < 5 * SR


@needs_posix
def test_a_vbri_table_is_a_promise(tmp_path):
    first, rest = without_table(tmp_path)
    frames = struct.unpack(">I", first[first.index(b"Xing") + 8 :][:4])[0]
    table = b"VBRI" + struct.pack(">HHHIIHHHH", 1, 0, 0, len(rest), frames, 0, 1, 1, 1)
    first = (first[:4] + bytes(32) + table).ljust(len(first), b"\0")
    path = tmp_path / "a.mp3"
    path.write_bytes(first + rest)
    assert len(audio.read(path)[0]) / SR == pytest.approx(6, abs=0.1)
    path.write_bytes(first + rest[: len(rest) // 3])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(AudioError, match="cut short"):
            audio.read(path)


def test_an_id3_tag_before_the_table(folder, tmp_path):
    tag = b"ID3\x04\x00\x00" + bytes([0, 0, 40, 0]) + bytes(40 * 128)
    data = (folder / "whole.mp3").read_bytes()
    (tmp_path / "a.mp3").write_bytes(tag + data)
    assert len(audio.read(tmp_path / "a.mp3")[0]) == N
    (tmp_path / "a.mp3").write_bytes(tag + data[: len(data) // 2])
    with pytest.raises(AudioError, match=r"promised 4\.00 s"):
        audio.read(tmp_path / "a.mp3")


def test_junk_inside_an_mp3(folder, tmp_path):
    data = (folder / "whole.mp3").read_bytes()
    (tmp_path / "a.mp3").write_bytes(data[:4000] + bytes(3000) + data[7000:])
    with pytest.raises(AudioError, match="cut short"):
        audio.read(tmp_path / "a.mp3")


def test_a_flac_of_unknown_length(folder, tmp_path):
    data = bytearray((folder / "whole.flac").read_bytes())
    data[21] &= 0xF0  # the last 36 bits before the checksum in STREAMINFO
    data[22:26] = bytes(4)
    (tmp_path / "a.flac").write_bytes(data)
    assert np.array_equal(audio.read(tmp_path / "a.flac")[0], audio.read(folder / "whole.flac")[0])
    joined = np.concatenate(list(audio.blocks(tmp_path / "a.flac", block_s=0.4)))
    assert len(joined) == N
    assert np.isnan(audio.info(tmp_path / "a.flac").seconds)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_samples_that_are_not_finite(tmp_path, value):
    y = sound()
    y[SR] = value
    sf.write(tmp_path / "a.wav", y, SR, "FLOAT")
    with pytest.raises(AudioError, match="NaN or infinite"):
        audio.read(tmp_path / "a.wav")
    assert len(audio.read(tmp_path / "a.wav", duration_s=0.5)[0]) == SR // 2


def test_integers_stored_as_floats(tmp_path):
    sf.write(tmp_path / "a.wav", sound() * 32_768, SR, "FLOAT")
    with pytest.raises(AudioError, match="16 bits: divide the samples by 32768"):
        audio.read(tmp_path / "a.wav")


def test_slight_overshoot_is_clipped(tmp_path):
    y = sound() / np.abs(sound()).max()
    sf.write(tmp_path / "a.wav", 1.05 * y, SR, "FLOAT")
    got, _ = audio.read(tmp_path / "a.wav")
    np.testing.assert_array_equal(got, np.clip(np.float32(1.05) * y[:, 0], -1, 1))
    square = np.sign(sound(0.5)) * 0.999
    sf.write(tmp_path / "b.wav", square, SR)
    assert np.abs(audio.read(tmp_path / "b.wav", 48_000)[0]).max() == 1


def test_paths_that_are_no_files(tmp_path, monkeypatch):
    with pytest.raises(AudioError, match="No such file"):
        audio.read(tmp_path / "missing.wav")
    with pytest.raises(AudioError, match="folder or device"):
        audio.read(tmp_path)
    with pytest.raises(AudioError, match="null"):
        audio.read("a\0b.wav")
    with pytest.raises(AudioError, match="name too long"):
        audio.read("a" * 5000 + ".wav")
    with pytest.raises(AudioError, match="folder or device"):
        audio.read(os.devnull)
    (tmp_path / "a.wav").write_bytes(JPEG)
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(AudioError, match="no permission"):
        audio.read(tmp_path / "a.wav")


def test_a_file_named_dash_is_not_standard_input(folder, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copy(folder / "whole.wav", "-")
    assert len(audio.read("-")[0]) == N


def test_errors_are_one_line_and_cross_processes(tmp_path):
    error = AudioError(tmp_path / "a\nb.wav", "no\nsound.", "find\nanother")
    again = pickle.loads(pickle.dumps(error))  # noqa: S301 (what joblib does with it)
    assert str(again) == str(error)
    assert str(error).endswith("a\\nb.wav': no sound; find another")
    assert (again.path, again.reason, again.remedy) == (error.path, error.reason, error.remedy)


# ---------------------------------------------------------------------------- ffmpeg


def test_no_program_is_needed(folder, tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    for path in folder.iterdir():
        assert audio.read(path, 8000)[1] == 8000


@needs_ffmpeg
def test_a_playlist_named_m4a_leads_nowhere(folder, tmp_path):
    shutil.copy(folder / "whole.wav", tmp_path / "secret.wav")
    for text in (
        "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nhttp://127.0.0.1:9/x.ts\n",
        "ffconcat version 1.0\nfile secret.wav\n",
    ):
        (tmp_path / "a.m4a").write_text(text)
        with pytest.raises(AudioError, match="a playlist; name the files that it lists"):
            audio.read(tmp_path / "a.m4a")


@needs_ffmpeg
def test_a_film_without_sound(tmp_path):
    path = tmp_path / "a.mp4"
    film = ["-f", "lavfi", "-i", "color=s=16x16:d=0.2", str(path)]
    subprocess.run(["ffmpeg", "-v", "error", "-nostdin", *film], check=True)
    with pytest.raises(AudioError, match="holds no sound"):
        audio.read(path)


@needs_ffmpeg
def test_a_wav_named_m4a(folder, tmp_path):
    shutil.copy(folder / "whole.wav", tmp_path / "a.m4a")
    assert np.array_equal(audio.read(tmp_path / "a.m4a")[0], audio.read(folder / "whole.wav")[0])


# ---------------------------------------------------------------------------- writing


@QUICK
@given(
    n=st.integers(1, 5000),
    channels=st.integers(1, 8),
    sr=st.sampled_from([8000, 22_050, 44_100, 192_000]),
    kind=st.sampled_from([("wav", None), ("wav", "PCM_24"), ("wav", "FLOAT"), ("flac", "PCM_24")]),
)
def test_written_files_read_back(tmp_path, n, channels, sr, kind):
    suffix, subtype = kind
    x = np.random.default_rng(n).uniform(-1.1, 1.1, (channels, n)).astype(np.float32)
    path = audio.write(tmp_path / f"a.{suffix}", x, sr, subtype=subtype)
    y, got = audio.read(path, mono=False)
    assert got == sr
    atol = {"FLOAT": 0, "PCM_24": 2**-23, None: 2**-15}[subtype]
    np.testing.assert_allclose(y, np.clip(x, -1, 1), atol=atol)
    again = audio.write(tmp_path / f"b.{suffix}", y, sr, subtype=subtype)
    assert np.array_equal(audio.read(again, mono=False)[0], y)  # nothing is lost a second time


def test_a_written_mp3_has_the_same_length(tmp_path):
    y, sr = audio.read(audio.write(tmp_path / "a.MP3", sound()[:, 0], SR))
    assert (len(y), sr) == (N, SR)
    assert np.corrcoef(y, sound()[:, 0])[0, 1] > 0.95


@pytest.mark.parametrize(
    ("name", "y", "sr", "subtype", "words"),
    [
        ("a.wav", np.zeros(0), SR, None, "not empty"),
        ("a.wav", np.zeros((2, 0)), SR, None, "not empty"),
        ("a.wav", np.zeros((1, 1, 5)), SR, None, r"shape \(1, 1, 5\)"),
        ("a.wav", np.array([0, np.nan]), SR, None, "NaN"),
        ("a.wav", np.array([0, 1]), SR, None, "give floats"),
        ("a.ogg", np.zeros(5), SR, None, r"use one of \.wav, \.flac, \.mp3"),
        ("a.mp3", np.zeros(5), 96_000, None, "mp3 cannot hold 1 channels at 96000 Hz"),
        ("a.flac", np.zeros((9, 5)), SR, None, "flac cannot hold 9 channels"),
        ("a.wav", np.zeros(5), SR, "PCM_17", "choose another"),
        ("a.flac", np.zeros(5), SR, "FLOAT", "choose another"),
    ],
)
def test_what_cannot_be_written(tmp_path, name, y, sr, subtype, words):
    with pytest.raises(ValueError, match=words):
        audio.write(tmp_path / name, y, sr, subtype=subtype)
    assert not list(tmp_path.iterdir())


def test_a_full_disk_leaves_the_old_file(tmp_path, monkeypatch):
    path = audio.write(tmp_path / "a.wav", sound(0.1)[:, 0], SR)
    before = path.read_bytes()

    def fill(self, data):
        with self.open("wb") as f:
            f.write(data[:100])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Path, "write_bytes", fill)
    with pytest.raises(OSError, match=r"No space left on device.*free some space") as caught:
        audio.write(path, sound()[:, 0], SR)
    assert caught.value.errno == errno.ENOSPC
    assert caught.value.filename == str(path)
    assert [p.read_bytes() for p in tmp_path.iterdir()] == [before]


def test_a_limit_on_file_size_leaves_nothing(tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
    try:
        with pytest.raises(OSError, match="could not write the audio file"):
            audio.write(tmp_path / "a.wav", sound()[:, 0], SR)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert not list(tmp_path.iterdir())


@QUICK
@given(
    cuts=st.lists(st.integers(1, N - 1), max_size=6),
    channels=st.sampled_from([0, 1, 2]),
    suffix=st.sampled_from(["wav", "flac"]),
)
def test_blocks_are_written_as_one_file(tmp_path, cuts, channels, suffix):
    y = 4 * sound(channels=max(1, channels)).T  # beyond full scale: clipped
    y = y if channels else y[0]
    parts = iter(np.split(y, sorted(set(cuts)), axis=-1))
    path = audio.write_blocks(tmp_path / f"a.{suffix}", parts, SR)
    whole = audio.write(tmp_path / f"b.{suffix}", y, SR)
    got, want = (audio.read(p, mono=channels == 0)[0] for p in (path, whole))
    assert np.array_equal(got, want) and got.shape[-1] == N
    assert sf.info(path).subtype == "PCM_16"
    assert len(list(tmp_path.iterdir())) <= 4


@pytest.mark.parametrize(
    ("name", "blocks", "words"),
    [
        ("a.wav", [], "not empty"),
        ("a.wav", [np.zeros(5), np.zeros(0)], "not empty"),
        ("a.wav", [np.zeros(5), np.full(5, np.inf)], "NaN or infinity"),
        ("a.wav", [np.zeros(5), np.zeros((1, 5))], r"shape \(1, 5\) after one of shape \(5,\)"),
        ("a.wav", [np.zeros((2, 5)), np.zeros((3, 5))], "shape"),
        ("a.mp3", [np.zeros(5)], r"use \.wav or \.flac"),
        ("a.flac", [np.zeros((9, 5))], "flac cannot hold 9 channels"),
    ],
)
def test_blocks_that_cannot_be_written(tmp_path, name, blocks, words):
    with pytest.raises(ValueError, match=words):
        audio.write_blocks(tmp_path / name, blocks, SR)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("suffix", ["wav", "flac"])
def test_a_disk_that_fills_up_between_blocks_leaves_the_old_file(tmp_path, suffix):
    path = audio.write(tmp_path / f"a.{suffix}", sound(0.1)[:, 0], SR)
    before = path.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        noise = np.random.default_rng(0).uniform(-1, 1, (20, SR)).astype(np.float32)
        with pytest.raises(OSError, match="disk may be full.*free some space") as caught:
            audio.write_blocks(path, noise, SR)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert caught.value.filename == str(path)
    assert [p.read_bytes() for p in tmp_path.iterdir()] == [before]


def test_a_source_that_breaks_off_leaves_nothing(tmp_path, folder):
    path = broken(folder, tmp_path, "whole.wav", 0.6)
    with pytest.raises(AudioError, match="cut short"):
        audio.write_blocks(tmp_path / "a.wav", audio.blocks(path, block_s=0.5), SR)
    assert [p.name for p in tmp_path.iterdir()] == ["whole.wav"]


def test_a_wav_of_more_than_4_gib_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(audio.io, "_MAX_WAV", 3 * SR)
    blocks = [np.zeros(SR, np.float32)] * 2
    with pytest.raises(ValueError, match=r"more than 4 GiB; use \.flac"):
        audio.write_blocks(tmp_path / "a.wav", blocks, SR)
    audio.write_blocks(tmp_path / "a.flac", blocks, SR)
    assert [p.name for p in tmp_path.iterdir()] == ["a.flac"]


def test_writing_makes_the_folder_and_refuses_a_file_in_its_place(tmp_path):
    (tmp_path / "file").touch()
    path = audio.write(tmp_path / "missing" / "a.wav", sound()[:, 0], SR)
    assert path.parent.name == "missing" and audio.info(path).sr == SR
    with pytest.raises(OSError, match="file"):
        audio.write(tmp_path / "file" / "a.wav", sound()[:, 0], SR)


@pytest.mark.parametrize("sr", [8000, 16_000, 22_050, 44_100, 96_000])
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("encode", [audio.to_mp3, audio.to_preview])
def test_encode_gives_a_small_mp3(sr, channels, encode):
    y = sound(3, sr, channels).T
    data = encode(y if channels > 1 else y[0], sr)
    assert 40_000 <= len(data) * 8 / 3 <= 52_000
    back, got = sf.read(io.BytesIO(data))
    assert back.ndim == 1
    assert len(back) / got == pytest.approx(3, abs=0.01)


@pytest.mark.parametrize("encode", [audio.to_mp3, audio.to_preview])
def test_sound_in_an_mp3_begins_where_it_began(encode):
    y = np.zeros(2 * 22_050, np.float32)
    y[2205:2300] = 0.8
    back, _ = sf.read(io.BytesIO(encode(y, 22_050)))
    assert np.argmax(np.abs(back) > 0.3) == pytest.approx(2205, abs=30)


def test_a_part_of_an_mp3_is_that_of_the_whole(tmp_path, rng, capfd):
    y = rng.normal(0, 0.02, 8 * SR)
    y[:: SR // 5] = 0.9  # what is loud takes bits that frames before it left
    path = tmp_path / "a.mp3"
    path.write_bytes(audio.to_mp3(y, SR))
    whole = sf.read(path, dtype="float32")[0]
    for start in rng.integers(0, 7 * SR, 60):
        part, _ = audio.read(path, start_s=start / SR, duration_s=0.5)
        np.testing.assert_allclose(part, whole[start : start + SR // 2], atol=1e-5)
    assert capfd.readouterr().err == ""  # libsndfile's decoder tells there of frames that it lacks


@pytest.mark.real
def test_a_part_of_a_real_mp3_is_that_of_the_whole(data_root):
    path = data_root / "edm" / "80s_vibe.mp3"
    whole, sr = sf.read(path, frames=7 * 44_100, dtype="float32")
    part, _ = audio.read(path, start_s=3.0, duration_s=2.0, mono=False)
    np.testing.assert_allclose(part.T, whole[3 * sr : 5 * sr], atol=1e-5)


def test_nothing_is_no_mp3():
    with pytest.raises(ValueError, match="not empty"):
        audio.to_mp3(np.zeros(0), SR)
    with pytest.raises(ValueError, match="not empty"):
        audio.to_preview(np.zeros(0), SR)


# ---------------------------------------------------------------------------- real files


@pytest.mark.parametrize("sr", [8000, 11_025, 48_000])
def test_samples_are_converted_as_those_of_a_file(tmp_path, rng, sr):
    y = rng.uniform(-1, 1, (2, 3 * sr)).astype(np.float32)
    path = audio.write(tmp_path / "a.wav", y, sr, subtype="FLOAT")
    found = audio.convert(y, sr, 8000)
    assert found.dtype == np.float32 and np.abs(found).max() <= 1
    np.testing.assert_allclose(found, audio.read(path, 8000)[0], atol=1e-5)
    np.testing.assert_array_equal(audio.convert(y.astype(np.float64), sr, 8000), found)


@pytest.mark.real
@pytest.mark.parametrize(
    ("name", "seconds"),
    [
        ("new_music/eight_d.m4a", 45.0),
        ("new_music/elevator_48k_24bit.flac", 60.0),
        ("new_music/hull_rupture.ogg", 120.0989),
        ("new_music/live_phone.mp3", 60.0),
        ("new_music/voice_note.opus", 30.0),
        ("gtzan/genres/pop/pop.00000.au", 30.0002),
        ("gtzan/genres/pop/pop.00001.wav", 30.0002),
        ("gtzan/genres/blues/blues.00099.mp3", 30.0133),
        ("edm/super-hacker-fights-ice.mp3", 106.1520),  # VBR, no table: libsndfile says 63.97
    ],
)
def test_real_files(data_root, name, seconds):
    if name.endswith("m4a") and not shutil.which("ffprobe"):
        pytest.skip("ffmpeg is not installed")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        y, sr = audio.read(data_root / name, SR)
    assert (sr, y.dtype, y.ndim) == (SR, np.float32, 1)
    assert len(y) / sr == pytest.approx(seconds, abs=2e-3)
    assert 0.01 < np.sqrt(np.mean(y**2)) < 1


# ---------------------------------------------------------------------------- odd but good


@pytest.mark.parametrize("share", [-1.0, -0.97, -0.9])
def test_channels_that_cancel_are_read_as_one(tmp_path, share):
    y = sound()[:, 0]
    sf.write(tmp_path / "a.wav", np.stack([0.5 * y, 0.5 * share * y, 0 * y], 1)[:, :2], SR, "FLOAT")
    with pytest.warns(UserWarning, match="its channels cancel each other; channel 1 alone is read"):
        got, _ = audio.read(tmp_path / "a.wav")
    np.testing.assert_allclose(got, 0.5 * y, atol=1e-6)
    assert audio.read(tmp_path / "a.wav", mono=False)[0].shape == (2, N)


@pytest.mark.parametrize("share", [1.0, 0.0, -0.3])
def test_other_stereo_is_the_mean_of_its_channels(tmp_path, share):
    y = sound()[:, 0]
    sf.write(tmp_path / "a.wav", np.stack([0.5 * y, 0.5 * share * y], 1), SR, "FLOAT")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        got, _ = audio.read(tmp_path / "a.wav")
    np.testing.assert_allclose(got, 0.25 * (1 + share) * y, atol=1e-6)


@pytest.mark.parametrize("db", [3.0, 12.0, 23.9])
@pytest.mark.parametrize(("format", "subtype"), [("WAV", "FLOAT"), ("AIFF", "DOUBLE")])
def test_hot_floats_are_scaled_with_a_word(tmp_path, db, format, subtype):
    y = sound()[:, 0] / np.abs(sound()).max()
    sf.write(tmp_path / "a.wav", 10 ** (db / 20) * y, SR, subtype, format=format)
    with pytest.warns(UserWarning, match=rf"{db:.1f} dB above full scale; it is scaled to 1"):
        got, _ = audio.read(tmp_path / "a.wav")
    np.testing.assert_allclose(got, y, atol=1e-6)
    with pytest.warns(UserWarning, match="scaled"):  # a part as the whole
        part, _ = audio.read(tmp_path / "a.wav", start_s=1, duration_s=1)
    np.testing.assert_allclose(part, y[SR : 2 * SR], atol=1e-6)


@pytest.mark.parametrize(("bits", "full"), [(8, 128), (16, 32_768), (24, 2**23), (32, 2**31)])
def test_the_remedy_for_integers_names_their_full_scale(tmp_path, bits, full):
    y = sound()[:, 0] / np.abs(sound()).max()
    sf.write(tmp_path / "a.wav", 0.9 * full * y, SR, "FLOAT")
    with pytest.raises(AudioError, match=rf"integers of {bits} bits: divide the samples by {full}"):
        audio.read(tmp_path / "a.wav")


@pytest.mark.parametrize(
    ("suffix", "format"),
    [("aifc", "AIFF"), ("w64", "W64"), ("caf", "CAF"), ("rf64", "RF64"), ("wave", "WAV"),
     ("oga", "OGG"), ("snd", "AU")],
)  # fmt: skip
def test_less_usual_suffixes_are_music(tmp_path, suffix, format):
    assert f".{suffix}" in decoders.SUFFIXES
    sf.write(tmp_path / f"a.{suffix}", sound(), SR, format=format)
    assert len(audio.read(tmp_path / f"a.{suffix}")[0]) == N


@needs_ffmpeg
@pytest.mark.parametrize("name", ["a.mkv", "a.mka", "a.webm", "a.wv", "a.tta", "a.mp2", "a.ac3"])
def test_the_sound_of_other_containers(folder, tmp_path, name):
    with_ffmpeg(folder / "whole.wav", tmp_path / name)
    y, sr = audio.read(tmp_path / name)
    assert len(y) / sr == pytest.approx(4.0, abs=0.1)
    part, _ = audio.read(tmp_path / name, start_s=1.7, duration_s=1)
    np.testing.assert_allclose(part, y[round(1.7 * sr) :][: len(part)], atol=1e-5)


@pytest.mark.real
def test_all_opus_files_are_read_without_a_program(data_root, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    for path in sorted((data_root / "game_music").glob("*/*.opus"))[::10]:
        y, sr = audio.read(path)
        assert len(y) / sr == pytest.approx(30.0, abs=0.02), path
