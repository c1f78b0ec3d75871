"""Windows of files, and the simplest transform."""

import dataclasses
import subprocess
import sys
from pathlib import Path

import librosa
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from musiclatent import audio
from musiclatent.audio.windows import Grid, Measurement, Transform, Waveform, cut, frames, windows
from musiclatent.data.datamodules import TRANSFORMS
from musiclatent.errors import AudioError
from musiclatent.features.descriptors import Clipping, Descriptors
from musiclatent.features.tonal import Harmony


def noise(n: int) -> np.ndarray:
    return np.random.default_rng(n).uniform(-1, 1, n).astype(np.float32)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(n=st.integers(1, 4000), size=st.integers(1, 900))
def test_windows_hold_the_file_in_order(tmp_path, n, size):
    x = noise(n)
    path = audio.write(tmp_path / "a.wav", x, 8000, subtype="FLOAT")
    starts, parts = zip(*windows(path, 8000, size / 8000), strict=True)
    assert {y.shape for y in parts} == {(size,)}
    assert starts == tuple(i * size / 8000 for i in range(len(parts)))
    y = np.concatenate(parts)
    kept = min(n, len(y))
    assert np.array_equal(y[:kept], x[:kept])
    assert not y[kept:].any()
    lost = n - kept
    assert lost * 2 < size  # at most the smaller half of a window
    assert len(y) - kept <= size // 2 or len(parts) == 1


@pytest.mark.parametrize(
    ("seconds", "count"), [(0.1, 1), (2.4, 1), (5, 1), (7.4, 1), (7.5, 2), (30, 6), (62.4, 12)]
)
def test_the_last_window(tmp_path, seconds, count):
    path = audio.write(tmp_path / "a.wav", noise(round(seconds * 8000)), 8000)
    assert len(list(windows(path, 8000, 5.0))) == count


def test_windows_do_not_depend_on_blocks(tmp_path, monkeypatch):
    path = audio.write(tmp_path / "a.wav", noise(100_000), 11_025)
    whole = list(windows(path, 8000, 0.7))
    monkeypatch.setattr(audio.io, "MAX_VALUES", 777)
    small = list(windows(path, 8000, 0.7))
    assert [start for start, _ in small] == [start for start, _ in whole]
    for (_, a), (_, b) in zip(small, whole, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)  # resampled in other pieces: float32 rounds


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(n=st.integers(1, 4000), size=st.integers(300, 900))
def test_the_grid_knows_where_windows_stand(tmp_path, n, size):
    path = audio.write(tmp_path / "a.wav", noise(n), 8000, subtype="FLOAT")
    grid = Grid(8000, size / 8000)
    starts, parts = zip(*windows(path, 8000, size / 8000), strict=True)
    starts = np.array(starts)
    assert grid.n == size
    assert np.array_equal(grid.place(starts), np.arange(len(parts)))
    assert len(parts) <= max(1, grid.most(n / 8000))
    assert grid.span_s(len(parts)) == pytest.approx(len(parts) * size / 8000)
    ends = grid.end_s(starts, n / 8000)
    assert np.allclose(ends[:-1], starts[1:])
    assert ends[-1] == min(starts[-1] + size / 8000, n / 8000)
    assert np.array_equal(grid.end_s(starts), starts + size / 8000)
    assert np.allclose(grid.offset_s(starts + size / 16_000), size / 16_000)
    for start_s, y in zip(starts, parts, strict=True):
        assert np.array_equal(grid.read(path, start_s), y)


def test_a_window_beyond_what_is_known_of_its_file_has_its_whole_length():
    assert Grid(8000, 2.0).end_s(np.array([0.0, 4.0]), np.array([np.nan, 3.0])).tolist() == [2, 6]


def test_a_stream_is_cut_as_a_file(tmp_path, rng):
    y = rng.uniform(-0.9, 0.9, 2600).astype(np.float32)
    path = audio.write(tmp_path / "a.wav", y, 1000, subtype="FLOAT")
    of_file = list(windows(path, 1000, 1.0))
    of_stream = list(cut([y[:700], y[700:]], 1000, 1.0))
    assert [start_s for start_s, _ in of_stream] == [start_s for start_s, _ in of_file] == [0, 1, 2]
    for (_, a), (_, b) in zip(of_stream, of_file, strict=True):
        np.testing.assert_array_equal(a, b)


def test_windows_are_resampled_and_mono(tmp_path):
    path = audio.write(tmp_path / "a.wav", noise(88_200).reshape(2, -1), 44_100)
    parts = list(windows(path, 22_050, 0.5))
    assert [y.shape for _, y in parts] == [(11_025,), (11_025,)]
    y, _ = audio.read(path, 22_050)
    joined = np.concatenate([y for _, y in parts])
    np.testing.assert_allclose(joined, y, atol=1e-6)  # resampled in other pieces


def test_a_window_without_samples(tmp_path):
    with pytest.raises(ValueError, match="holds no sample; make it longer"):
        next(windows(tmp_path / "a.wav", 8000, 0.00001))
    with pytest.raises(ValueError, match="holds no sample"):
        _ = Waveform(8000, 0.0).shape


def test_a_file_that_cannot_be_read(tmp_path):
    (tmp_path / "a.wav").write_bytes(b"RIFF")
    with pytest.raises(AudioError, match=r"a\.wav"):
        next(windows(tmp_path / "a.wav", 8000, 1.0))


@settings(max_examples=200, deadline=None)
@given(
    n_samples=st.integers(0, 300),
    cuts=st.lists(st.integers(0, 300), max_size=8),
    n=st.integers(1, 40),
    hop=st.integers(1, 40),
)
def test_frames_do_not_depend_on_blocks(n_samples, cuts, n, hop):
    y, hop = noise(n_samples), min(hop, n)
    blocks = np.split(y, sorted(min(cut, n_samples) for cut in cuts))
    *parts, rest = frames(blocks, n, hop, rest=True)
    assert len(parts) == len(blocks) + 1  # one array for each block: streams go side by side
    cut = np.concatenate(parts)
    count = max(0, (n_samples - n) // hop + 1)
    assert cut.shape == (count, n)
    assert cut.dtype == np.float32
    assert all(np.array_equal(cut[i], y[i * hop : i * hop + n]) for i in range(count))
    assert np.array_equal(rest, y[None, count * hop :])
    assert rest.shape[1] < n


@pytest.mark.parametrize("size", [1, 7, 1000])
@pytest.mark.parametrize(("n", "hop"), [(64, 16), (64, 64), (63, 10)])
def test_frames_are_those_of_librosa(size, n, hop):
    y = noise(640)
    blocks = [y[i : i + size] for i in range(0, len(y), size)]
    cut = np.concatenate(list(frames(blocks, n, hop)))
    assert np.array_equal(cut, librosa.util.frame(y, frame_length=n, hop_length=hop, axis=0))
    centred = np.concatenate(list(frames(blocks, n, hop, centre=True)))
    padded = np.pad(y, n // 2)
    assert np.array_equal(
        centred, librosa.util.frame(padded, frame_length=n, hop_length=hop, axis=0)
    )


def test_frames_of_too_little():
    assert [part.shape for part in frames([], 8, 4)] == [(0, 8)]
    assert [part.shape for part in frames([], 8, 4, centre=True)] == [(1, 8)]
    assert [part.shape for part in frames([], 8, 4, rest=True)] == [(0, 8), (1, 0)]
    assert [part.shape for part in frames([noise(7)], 8, 4, rest=True)][-1] == (1, 7)
    *_, last, rest = frames([noise(8), noise(8)], 8, 8, rest=True)
    assert last.shape == (0, 8)  # an exact multiple leaves nothing
    assert rest.shape == (1, 0)


@pytest.mark.parametrize("hop", [0, -1, 9])
def test_frames_that_would_lose_samples(hop):
    with pytest.raises(ValueError, match=f"the hop is {hop}; frames of 8 samples take 1 to 8"):
        next(frames([noise(20)], 8, hop))


def _names(protocol: type) -> set[str]:
    kinds = [kind for kind in protocol.__mro__ if kind.__module__ == Transform.__module__]
    names = {name for kind in kinds for name in (*vars(kind), *kind.__annotations__)}
    return {name for name in names if not name.startswith("_")}


@pytest.mark.parametrize("kind", [*TRANSFORMS.values(), Descriptors, Clipping, Harmony])
def test_every_transform_keeps_its_contract(kind):
    protocol = Transform if kind.kind in TRANSFORMS else Measurement
    made = kind(window_s=2.0)
    assert not {name for name in _names(protocol) if not hasattr(made, name)}
    y = noise(2 * made.sr)
    x = made(y)
    assert x.shape == made.shape
    if protocol is Transform:
        assert {"model_input", "hop_length", "shape"} < _names(protocol)
        back = made.to_audio(made.model_input(x[None]), *made.value_range(x[None]))
        assert back.shape[0] == 1
        assert abs(back.shape[1] - len(y)) < made.hop_length


def test_waveform_keeps_the_samples():
    transform = Waveform(8000, 0.5)
    x = noise(4000)
    assert (transform.kind, transform.version, transform.shape) == ("waveform", 1, (4000,))
    assert np.array_equal(transform(x), x)
    assert transform(x.astype(np.float64)).dtype == np.float32
    with pytest.raises(ValueError, match=r"shape \(3999,\); this transform takes \(4000,\)"):
        transform(x[1:])


def test_waveform_is_its_own_model_input_and_sound():
    transform, x = Waveform(8000, 0.5), noise(8000).reshape(2, 4000)
    assert np.array_equal(transform.model_input(x), x)
    assert np.array_equal(transform.to_audio(x), x)
    assert np.array_equal(transform.to_audio(x, low=np.zeros(2), high=np.ones(2)), x)


def test_waveform_is_plain_values():
    assert dataclasses.asdict(Waveform()) == {"sr": 22_050, "window_s": 5.0}
    assert Waveform() == Waveform(22_050, 5.0)
    with pytest.raises(dataclasses.FrozenInstanceError):
        Waveform().sr = 1


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads memory from /proc")
def test_an_hour_of_windows_stays_small(tmp_path):
    path = tmp_path / "long.wav"
    audio.write(path, np.zeros(100, np.float32), 8000)
    size = 3600 * 8000 * 2
    data = bytearray(path.read_bytes())
    data[40:44] = size.to_bytes(4, "little")
    path.write_bytes(data)
    with path.open("rb+") as f:
        f.truncate(44 + size)
    code = (
        "import re, sys; from pathlib import Path; from musiclatent.audio.windows import windows\n"
        "peak = lambda: int(re.search(r'VmHWM:\\s+(\\d+)', "
        "Path('/proc/self/status').read_text())[1]) / 1024\n"
        "before = peak(); print(sum(1 for _ in windows(sys.argv[1], 8000, 5.0)), peak() - before)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, path], capture_output=True, text=True, check=True
    )
    count, grown_mb = done.stdout.split()
    assert int(count) == 720
    assert float(grown_mb) < 60
