"""The cache: right rows, nothing computed twice, and no way to break it by stopping it."""

import errno
import json
import logging
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time
import tracemalloc
from dataclasses import replace
from pathlib import Path

import dask
import distributed
import numpy as np
import pandas as pd
import pytest
import soundfile as sf
from helpers.transforms import Slow
from hypothesis import given
from hypothesis import strategies as st

from musiclatent import audio
from musiclatent.audio.windows import Waveform, windows
from musiclatent.data import cache, shards
from musiclatent.data.cache import descriptor_table
from musiclatent.data.workers import pool
from musiclatent.errors import CacheError
from musiclatent.features import descriptors
from musiclatent.features.descriptors import COLUMNS

SR = 8000
TRANSFORM = Waveform(sr=SR, window_s=0.25)
TESTS = Path(__file__).resolve().parents[1]
SAME = ("x.npy", "index.parquet", "quarantine.csv")
fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")


def write_wav(path, seconds, seed, scale=0.3):
    rng = np.random.default_rng(seed)
    sf.write(path, scale * np.clip(rng.standard_normal(round(seconds * SR)), -3, 3), SR)
    return path


def table(paths, **columns):
    n = len(paths)
    seconds = [sf.info(path).duration if Path(path).suffix == ".wav" else np.nan for path in paths]
    items = pd.DataFrame({"item_id": [f"i{i}" for i in range(n)], "path": [str(p) for p in paths]})
    return items.assign(
        label=[f"l{i % 3}" for i in range(n)], group=range(n), split="train", seconds=seconds
    ).assign(**columns)


@pytest.fixture
def items(tmp_path):
    folder = tmp_path / "audio"
    folder.mkdir()
    rng = np.random.default_rng(1)
    return table([write_wav(folder / f"{i}.wav", rng.uniform(0.1, 1.5), i) for i in range(12)])


@pytest.fixture
def message(caplog):
    caplog.set_level(logging.INFO, logger="musiclatent")

    def last() -> str:
        text = [r.getMessage() for r in caplog.records if "reused" in r.getMessage()][-1]
        caplog.clear()
        return text

    return last


def files_of(folder):
    return {name: (Path(folder) / name).read_bytes() for name in SAME}


def leftovers(folder):
    whole = {*SAME, "seen.parquet", "transform.json", ".lock"}
    return {path.name for path in Path(folder).iterdir()} - whole


# ---------------------------------------------------------------- right rows


def test_rows_are_the_windows_of_the_items_in_order(items, tmp_path):
    cached = cache.build(items, TRANSFORM, folder=tmp_path / "c")
    expected = [(i, s, y) for i, p in enumerate(items["path"]) for s, y in windows(p, SR, 0.25)]
    assert isinstance(cached.x, np.memmap)
    assert cached.x.dtype == np.float32
    assert np.array_equal(cached.x, np.stack([y for _, _, y in expected]))
    assert list(cached.items["item_id"]) == [f"i{i}" for i, _, _ in expected]
    assert list(cached.items["start_s"]) == [s for _, s, _ in expected]
    assert list(cached.items["row"]) == list(range(len(expected)))
    assert list(cached.items) == cache.INDEX
    assert len(cached.quarantine) == 0
    assert list(cached.quarantine) == ["path", "reason"]
    assert not leftovers(tmp_path / "c")


def test_the_end_of_a_window_is_the_end_of_its_sound(tmp_path):
    items = table([write_wav(tmp_path / "a.wav", 0.4, 0), write_wav(tmp_path / "b.wav", 0.1, 1)])
    rows = cache.build(items, TRANSFORM, folder=tmp_path / "c").items
    assert np.allclose(rows["end_s"], [0.25, 0.4, 0.1])
    rows = cache.build(items.assign(seconds=np.nan), TRANSFORM, folder=tmp_path / "c").items
    assert np.allclose(rows["end_s"], [0.25, 0.5, 0.25])


def test_silence_is_flagged(tmp_path):
    paths = [tmp_path / f"{i}.wav" for i in range(3)]
    for path, peak in zip(paths, (0.0, 2**-15, 2**-13), strict=True):
        sf.write(path, np.full(2000, peak), SR)
    rows = cache.build(table(paths), TRANSFORM, folder=tmp_path / "c").items
    assert list(rows["silent"]) == [True, True, False]


def test_one_and_two_processes_write_the_same_bytes(items, tmp_path):
    cache.build(items, Slow(), folder=tmp_path / "one")
    cache.build(items, Slow(), folder=tmp_path / "two", n_jobs=2)
    assert files_of(tmp_path / "one") == files_of(tmp_path / "two")
    assert not leftovers(tmp_path / "two")


def test_names_with_spaces_quotes_umlauts_and_newlines(tmp_path, message):
    names = ["a b.wav", 'it\'s "so".wav', "Größe 音楽.wav", "two\nlines.wav", "c,d;e\t.wav"]
    good = [write_wav(tmp_path / name, 0.5, i) for i, name in enumerate(names)]
    bad = [tmp_path / f"bad {name}" for name in names]
    for path in bad:
        path.write_bytes(b"not audio")
    items = pd.concat([table(good), bad_table(bad)])
    for _ in range(2):
        cached = cache.build(items, TRANSFORM, folder=tmp_path / "c")
        assert list(cached.items["path"].unique()) == [str(path) for path in good]
        assert list(cached.quarantine["path"]) == [str(path) for path in bad]
    assert message() == "cache: 5 of 10 items reused"


def test_a_disk_without_links_gets_a_copy(items, tmp_path, monkeypatch):
    def refuse(*args):
        raise PermissionError(errno.EPERM, "no links here")

    cache.build(items, TRANSFORM, folder=tmp_path / "linked")
    monkeypatch.setattr(Path, "hardlink_to", refuse)
    monkeypatch.setattr(shards, "_PART", 1000)  # several parts, and a last one that is not full
    cache.build(items, TRANSFORM, folder=tmp_path / "copied")
    assert files_of(tmp_path / "linked") == files_of(tmp_path / "copied")


def bad_table(paths):
    return pd.DataFrame(
        {"item_id": [p.name for p in paths], "path": [str(p) for p in paths]}
    ).assign(label="l0", group=range(len(paths)), split="train", seconds=np.nan)


def test_a_long_file_is_never_held_in_memory(tmp_path):
    path = tmp_path / "long.wav"
    with sf.SoundFile(path, "w", SR, 1) as file:
        for _ in range(60):
            file.write(np.zeros(60 * SR, np.float32))
    tracemalloc.start()
    cached = cache.build(table([path]), Waveform(sr=SR, window_s=5.0), folder=tmp_path / "c")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert cached.x.nbytes == 3600 * SR * 4  # 115 MB
    assert peak < 20e6


@given(st.integers(0, 10**15), st.lists(st.integers(1, 10**6), min_size=1, max_size=3))
def test_the_head_of_an_array_keeps_its_length(n_rows, shape):
    assert len(shards.header(n_rows, tuple(shape))) == len(shards.header(0, tuple(shape)))


# ---------------------------------------------------------------- nothing twice


def test_an_unchanged_corpus_is_reused_at_once(items, tmp_path, message, monkeypatch):
    first = cache.build(items, TRANSFORM, folder=tmp_path / "c")
    assert message() == "cache: 0 of 12 items reused"
    before, inode = files_of(tmp_path / "c"), (tmp_path / "c" / "x.npy").stat().st_ino
    monkeypatch.setattr(shards, "compute", None)  # nobody may even hash a file
    again = cache.build(items, TRANSFORM, folder=tmp_path / "c")
    assert message() == "cache: 12 of 12 items reused"
    assert files_of(tmp_path / "c") == before
    assert (tmp_path / "c" / "x.npy").stat().st_ino == inode
    pd.testing.assert_frame_equal(first.items, again.items)


def test_labels_groups_and_splits_change_without_computing(items, tmp_path, monkeypatch):
    cache.build(items, TRANSFORM, folder=tmp_path / "c")
    monkeypatch.setattr(shards, "compute", None)
    changed = items.assign(label="new", group=7, split=["test"] * 6 + ["validation"] * 6)
    rows = cache.build(changed, TRANSFORM, folder=tmp_path / "c").items
    assert set(rows["label"]) == {"new"}
    assert set(rows["group"]) == {7}
    assert list(rows["split"].unique()) == ["test", "validation"]


def test_a_changed_corpus_computes_only_what_is_new(items, tmp_path, message):
    cache.build(items, TRANSFORM, folder=tmp_path / "c")
    new = write_wav(tmp_path / "audio" / "new.wav", 0.8, 99)
    moved = (tmp_path / "audio" / "3.wav").rename(tmp_path / "audio" / "moved.wav")
    paths = [moved, *items["path"][[11, 0, 5]], new, *items["path"][[1, 2]]]
    changed = table(paths)
    cache.build(changed, TRANSFORM, folder=tmp_path / "c")
    assert message() == "cache: 6 of 7 items reused"
    cache.build(changed, TRANSFORM, folder=tmp_path / "fresh")
    assert files_of(tmp_path / "c") == files_of(tmp_path / "fresh")


def test_a_touched_file_is_reused_and_a_changed_one_is_not(items, tmp_path, message):
    before = cache.build(items, TRANSFORM, folder=tmp_path / "c")
    os.utime(items["path"][0], ns=(1, 1))
    shutil.copy(items["path"][2], items["path"][1])
    after = cache.build(items, TRANSFORM, folder=tmp_path / "c")
    assert message() == "cache: 12 of 12 items reused"  # the rows of a copy exist already
    keys = [c.items.groupby("item_id")["key"].first() for c in (before, after)]
    assert list((keys[0] != keys[1])[lambda different: different].index) == ["i1"]
    write_wav(items["path"][1], 0.7, 1000)
    cache.build(items, TRANSFORM, folder=tmp_path / "c")
    assert message() == "cache: 11 of 12 items reused"


def test_items_of_equal_bytes_are_computed_once_and_have_rows_each(items, tmp_path):
    twin = shutil.copy(items["path"][4], tmp_path / "audio" / "twin.wav")
    both = table([*items["path"][:5], twin, items["path"][4]])
    for n_jobs in (1, 2):
        cached = cache.build(both, TRANSFORM, folder=tmp_path / f"c{n_jobs}", n_jobs=n_jobs)
        rows = [cached.x[cached.items["item_id"] == name] for name in ("i4", "i5", "i6")]
        assert len(rows[0]) == len(list(windows(twin, SR, 0.25)))
        assert np.array_equal(rows[0], rows[1])
        assert np.array_equal(rows[0], rows[2])
    assert files_of(tmp_path / "c1") == files_of(tmp_path / "c2")


def test_another_transform_version_or_format_is_computed(items, tmp_path, message, monkeypatch):
    cache.build(items, TRANSFORM, folder=tmp_path / "c")
    message()
    cache.build(items, replace(TRANSFORM, window_s=0.5), folder=tmp_path / "c")
    assert message() == "cache: 0 of 12 items reused"
    assert json.loads((tmp_path / "c" / "transform.json").read_text())["parameters"] == {
        "sr": SR,
        "window_s": 0.5,
    }
    for place, name in ((Waveform, "version"), (shards, "CACHE_VERSION")):
        cache.build(items, TRANSFORM, folder=tmp_path / "c")
        message()
        monkeypatch.setattr(place, name, 77)
        shards.description.cache_clear()
        cache.build(items, TRANSFORM, folder=tmp_path / "c")
        assert message() == "cache: 0 of 12 items reused"
    monkeypatch.undo()
    shards.description.cache_clear()


# ---------------------------------------------------------------- bad input


def test_bad_files_are_set_aside_and_tried_again(items, tmp_path, message):
    Path(items["path"][2]).write_bytes(b"RIFF")
    Path(items["path"][5]).unlink()
    for n_jobs in (1, 2):
        cached = cache.build(items, TRANSFORM, folder=tmp_path / f"c{n_jobs}", n_jobs=n_jobs)
        assert list(cached.quarantine["path"]) == list(items["path"][[2, 5]])
        assert cached.quarantine["reason"].str.len().gt(20).all()
        assert not set(cached.items["item_id"]) & {"i2", "i5"}
    assert files_of(tmp_path / "c1") == files_of(tmp_path / "c2")
    message()
    write_wav(items["path"][5], 0.6, 5)
    cached = cache.build(items, TRANSFORM, folder=tmp_path / "c1")
    assert message() == "cache: 10 of 12 items reused"
    assert list(cached.quarantine["path"]) == [items["path"][2]]


def test_a_file_cut_short_leaves_no_rows_behind(items, tmp_path):
    whole = Path(items["path"][11]).read_bytes()
    Path(items["path"][3]).write_bytes(whole[: len(whole) // 2])
    cached = cache.build(items, TRANSFORM, folder=tmp_path / "c")
    assert list(cached.quarantine["path"]) == [items["path"][3]]
    assert len(cached.x) == len(cached.items)
    last = np.stack([y for _, y in windows(items["path"][11], SR, 0.25)])
    assert np.array_equal(cached.x[-len(last) :], last)


def test_a_corpus_of_bad_files_says_so(tmp_path):
    bad = [tmp_path / f"{i}.mp3" for i in range(3)]
    for path in bad:
        path.write_bytes(b"no")
    with pytest.raises(ValueError, match=r"none of the 3 files in .*'0\.mp3': .*; ") as error:
        cache.build(bad_table(bad), TRANSFORM, folder=tmp_path / "c")
    assert str(tmp_path) in str(error.value)
    assert "\n" not in str(error.value)


def test_tables_that_are_no_corpus_are_refused(items, tmp_path):
    with pytest.raises(ValueError, match="the corpus is empty"):
        cache.build(items.iloc[:0], TRANSFORM, folder=tmp_path / "c")
    with pytest.raises(ValueError, match="lacks group, split"):
        cache.build(items.drop(columns=["group", "split"]), TRANSFORM, folder=tmp_path / "c")
    assert not (tmp_path / "c").exists()


def test_a_transform_must_keep_its_shape(items, tmp_path, monkeypatch):
    monkeypatch.setattr(Slow, "shape", (4, 501))
    with pytest.raises(ValueError, match=r"'slow' gave shape \(4, 500\) and promised \(4, 501\)"):
        cache.build(items, Slow(), folder=tmp_path / "c")


def test_a_spoiled_cache_is_computed_again(items, tmp_path, message):
    cache.build(items, TRANSFORM, folder=tmp_path / "c")
    good = files_of(tmp_path / "c")
    for name in ("x.npy", "index.parquet", "seen.parquet"):
        (tmp_path / "c" / name).write_bytes((tmp_path / "c" / name).read_bytes()[:-100])
        cache.build(items, TRANSFORM, folder=tmp_path / "c")
        assert files_of(tmp_path / "c") == good
        assert message() == "cache: 0 of 12 items reused"


# ---------------------------------------------------------------- stopped at any moment


def run_killed(n_puts, n_moves, items, folder):
    """Build, and die by kill -9 at the n-th write or the n-th move of a file."""
    left = {"puts": n_puts, "moves": n_moves}

    def dying(kind, call):
        def wrapped(*args, **kwargs):
            left[kind] -= 1
            if not left[kind]:
                os.kill(os.getpid(), signal.SIGKILL)
            return call(*args, **kwargs)

        return wrapped

    shards.put = dying("puts", shards.put)
    for name in ("replace", "rename", "hardlink_to"):
        setattr(Path, name, dying("moves", getattr(Path, name)))
    shutil.rmtree = dying("moves", shutil.rmtree)
    cache.build(items, TRANSFORM, folder=folder)


def journalled(folder):
    """Count the files that a killed run had finished, as far as the disk shows."""
    lines = [path.read_text() for path in (folder / "shards").glob("*.jsonl")]
    return sum(text.count("\n") for text in lines)


@fork
@pytest.mark.parametrize("extended", [False, True])
def test_killed_at_any_step_it_continues_to_the_same_bytes(items, tmp_path, message, extended):
    Path(items["path"][4]).write_bytes(b"bad")
    cache.build(items, TRANSFORM, folder=tmp_path / "unbroken")
    start = tmp_path / "start"
    if extended:  # half of the corpus is cached already, in another order
        cache.build(items.iloc[[7, 3, 9, 0]], TRANSFORM, folder=start)
    else:
        start.mkdir()
    context = multiprocessing.get_context("fork")
    steps = [(k, 0) for k in range(1, 70, 7)] + [(0, k) for k in range(1, 12)]
    died = 0
    for puts, moves in steps:
        folder = shutil.copytree(start, tmp_path / "c")
        run = context.Process(target=run_killed, args=(puts, moves, items, folder))
        run.start()
        run.join()
        died += run.exitcode == -signal.SIGKILL
        whole = (folder / "ready").exists() or not (folder / "shards").exists()
        published = (folder / "x.npy").exists() and not extended
        finished = 11 if published and whole else journalled(folder) + 4 * extended
        cache.build(items, TRANSFORM, folder=folder)
        assert files_of(folder) == files_of(tmp_path / "unbroken"), (puts, moves)
        assert not leftovers(folder)
        reused = int(message().split()[1])
        assert reused == finished or (reused == 11 and whole), (puts, moves)
        shutil.rmtree(folder)
    assert died >= 15


SCRIPT = """
import sys
sys.path[:0] = [sys.argv[1]]
import pandas as pd
from helpers.transforms import Slow
from musiclatent.data import cache
print("ready", flush=True)
items, folder, n_jobs = pd.read_parquet(sys.argv[2]), sys.argv[3], int(sys.argv[4])
cache.build(items, Slow(), folder=folder, n_jobs=n_jobs)
"""


def start(table_path, folder, n_jobs):
    arguments = [str(TESTS), str(table_path), str(folder), str(n_jobs)]
    run = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    run.stdout.readline()
    return run


@fork
def test_killed_with_its_workers_it_continues(items, tmp_path, message):
    items.to_parquet(tmp_path / "items.parquet")
    cache.build(items, Slow(), folder=tmp_path / "unbroken")
    run = start(tmp_path / "items.parquet", tmp_path / "c", n_jobs=2)
    # Until some files are finished: at load 10 workers took over 20 s to start.
    deadline, wanted = time.monotonic() + 120, 5
    while journalled(tmp_path / "c") < wanted and time.monotonic() < deadline:
        time.sleep(0.002)
    run.kill()
    run.wait()
    run.stdout.close()
    finished = journalled(tmp_path / "c")
    cache.build(items, Slow(), folder=tmp_path / "c")
    os.killpg(run.pid, signal.SIGTERM)  # loky's workers, which wait for work for minutes
    assert finished >= wanted
    assert int(message().split()[1]) >= finished  # a worker may finish its file after the kill
    assert files_of(tmp_path / "c") == files_of(tmp_path / "unbroken")
    assert not leftovers(tmp_path / "c")


@fork
def test_two_runs_at_once_take_turns(items, tmp_path, message):
    items.to_parquet(tmp_path / "items.parquet")
    cache.build(items, Slow(), folder=tmp_path / "alone")
    run = start(tmp_path / "items.parquet", tmp_path / "c", n_jobs=1)
    while not (tmp_path / "c" / "shards").exists() and run.poll() is None:
        time.sleep(0.002)
    cache.build(items, Slow(), folder=tmp_path / "c")
    assert message() == "cache: 12 of 12 items reused"
    assert run.wait() == 0
    run.stdout.close()
    assert files_of(tmp_path / "c") == files_of(tmp_path / "alone")


# ---------------------------------------------------------------- no space left


@pytest.fixture
def small_disk(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(disk)]
    if not shutil.which("mount") or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("mounting a small disk needs root on Linux")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_a_full_disk_keeps_what_is_done(items, tmp_path, small_disk, message, n_jobs):
    cache.build(items, TRANSFORM, folder=tmp_path / "unbroken")
    message()
    with pytest.raises(CacheError) as error:
        cache.build(items, TRANSFORM, folder=small_disk / "c", n_jobs=n_jobs)
    text = str(error.value)
    finished = journalled(small_disk / "c")
    assert 0 < finished < 12
    for part in (str(small_disk), "No space left on device", f"{finished} of 12 items", " MB,"):
        assert part in text
    assert "\n" not in text
    assert leftovers(small_disk / "c") == {"shards"}
    npys = {path.stem for path in (small_disk / "c" / "shards").glob("*.npy")}
    assert npys == {path.stem for path in (small_disk / "c" / "shards").glob("*.jsonl")}
    subprocess.run(["mount", "-o", "remount,size=4m", str(small_disk)], check=True)
    cache.build(items, TRANSFORM, folder=small_disk / "c", n_jobs=n_jobs)
    assert message() == f"cache: {finished} of 12 items reused"
    assert files_of(small_disk / "c") == files_of(tmp_path / "unbroken")


def test_a_disk_that_fills_while_merging_loses_nothing(items, tmp_path, message, monkeypatch):
    cache.build(items, TRANSFORM, folder=tmp_path / "unbroken")
    message()

    def full(*args, **options):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patched:
        patched.setattr(shards, "merge", full)
        with pytest.raises(CacheError, match="No space left on device; 12 of 12 items"):
            cache.build(items, TRANSFORM, folder=tmp_path / "c")
    assert leftovers(tmp_path / "c") == {"shards"}
    cache.build(items, TRANSFORM, folder=tmp_path / "c")
    assert message() == "cache: 12 of 12 items reused"
    assert files_of(tmp_path / "c") == files_of(tmp_path / "unbroken")


def test_a_folder_that_cannot_be_made_says_so(items, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(CacheError, match=r"cannot write the cache in .*; 0 of 12 items"):
        cache.build(items, TRANSFORM, folder=tmp_path / "file" / "c")


# ---------------------------------------------------------------- a cluster


def test_a_dask_cluster_writes_the_same_bytes(items, tmp_path, monkeypatch, message):
    monkeypatch.setenv("PYTHONPATH", str(TESTS))
    cache.build(items, Slow(), folder=tmp_path / "here")
    settings = dask.config.set({"temporary-directory": str(tmp_path / "dask")})
    cluster = distributed.LocalCluster(
        2, processes=True, threads_per_worker=1, dashboard_address=None
    )
    with settings, cluster:
        address = cluster.scheduler_address
        cache.build(items.iloc[:5], Slow(), folder=tmp_path / "there", scheduler=address)
        cache.build(items, Slow(), folder=tmp_path / "there", scheduler=address)
    assert message() == "cache: 5 of 12 items reused"
    assert files_of(tmp_path / "here") == files_of(tmp_path / "there")


def test_a_dead_scheduler_says_so(items, tmp_path, monkeypatch):
    monkeypatch.setattr(pool, "CONNECT_S", 1)
    for address in ("tcp://127.0.0.1:9", "nonsense://x"):
        with pytest.raises(CacheError, match="no Dask scheduler with workers answers at") as error:
            cache.build(items, TRANSFORM, folder=tmp_path / "c", scheduler=address)
        assert "\n" not in str(error.value)


# ---------------------------------------------------------------- real music


@pytest.mark.real
def test_real_clips(data_root, tmp_path, message):
    paths = sorted((data_root / "gtzan" / "genres").glob("*/*.*"))
    items = table(paths).assign(seconds=30.0)
    cached = cache.build(items, Waveform(), folder=tmp_path / "c", n_jobs=2)
    assert len(cached.quarantine) == 0
    assert cached.x.shape == (6 * len(paths), 110250)
    assert np.mean(cached.x.astype(np.float64) ** 2) == pytest.approx(0.0231, abs=0.0005)
    assert not cached.items["silent"].any()


MUSIC_SR = 22_050


@pytest.fixture
def sections(tmp_path):
    """Three files: two sections, one of them silent; one short; one that is no sound."""
    rng = np.random.default_rng(0)
    sounds = {
        "a": rng.normal(size=2 * MUSIC_SR) * 0.1,
        "b": rng.normal(size=MUSIC_SR // 2) * 0.1,
    }
    sounds["a"][MUSIC_SR:] = 0
    for name, y in sounds.items():
        audio.write(tmp_path / f"{name}.wav", y.astype(np.float32), MUSIC_SR)
    (tmp_path / "c.wav").write_bytes(b"no sound")
    rows = pd.DataFrame({"item_id": ["a", "b", "c"], "seconds": [2.0, 0.5, 1.0]})
    return rows.assign(
        path=[str(tmp_path / f"{name}.wav") for name in rows["item_id"]],
        label=["x", "y", "y"],
        group=rows["item_id"],
        split=["train", "test", "train"],
    )


def test_a_row_a_section(sections, tmp_path):
    table, quarantine = descriptor_table(sections, tmp_path / "work", window_s=1.0, n_jobs=1)
    index = ["item_id", "path", "label", "group", "split", "start_s", "end_s", "silent"]
    assert list(table) == [*index, *COLUMNS]
    assert table["item_id"].tolist() == ["a", "a", "b"]
    assert table["split"].tolist() == ["train", "train", "test"]
    assert table["start_s"].tolist() == [0, 1, 0] and table["end_s"].tolist() == [1, 2, 0.5]
    assert table["silent"].tolist() == [False, True, False]
    assert (table[list(COLUMNS)].dtypes == np.float64).all()
    assert np.isfinite(table[list(COLUMNS)]).all(axis=None)
    y, _ = audio.read(sections["path"][1], MUSIC_SR)
    expected = descriptors.extract(y, MUSIC_SR)
    assert table.loc[2, list(COLUMNS)].tolist() == pytest.approx(expected.tolist(), rel=1e-6)
    assert quarantine["path"].tolist() == [sections["path"][2]]


def test_it_is_computed_once(sections, tmp_path, monkeypatch):
    first, _ = descriptor_table(sections[:2], tmp_path / "work", window_s=1.0, n_jobs=1)
    assert (tmp_path / "work/attributes-1s-22050hz/x.npy").is_file()
    monkeypatch.setattr(descriptors, "extract", None)
    again, _ = descriptor_table(sections[:2], tmp_path / "work", window_s=1.0, n_jobs=1)
    pd.testing.assert_frame_equal(again, first)


def test_a_section_too_short_for_attributes(sections, tmp_path):
    with pytest.raises(ValueError, match="4096 or more"):
        descriptor_table(sections, tmp_path, window_s=0.1, n_jobs=1)
