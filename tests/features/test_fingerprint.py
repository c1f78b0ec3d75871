import io
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile as sf

from musiclatent import audio
from musiclatent.features import fingerprint
from musiclatent.features.fingerprint import connected_groups, find_duplicates

SR = 22_050
SCALE = np.array([0, 2, 3, 5, 7, 8, 10])


def song(seed, drums=0, melody=1.0, loop=None, bars=5):
    """Drums (equal for equal `drums`) and a tune at 120 bpm; `loop` bars are repeated exactly."""
    rng, kit = np.random.default_rng(seed), np.random.default_rng(drums)
    bar = 2 * SR
    t = np.arange(bar) / SR
    kick = np.sin(30 * (1 - np.exp(-30 * t)) + 314 * t) * np.exp(-12 * t)
    snare = kit.standard_normal(bar) * np.exp(-20 * t) / 2
    y = np.zeros(bar * (loop or bars) + bar)
    for step in range(8 * (loop or bars)):
        sounds = [kick] if step % 2 == 0 else []
        sounds += [snare] if step % 4 == 2 else []
        hz = 110 * 2 ** ((rng.choice(SCALE) + 12 * rng.integers(3)) / 12)
        note = sum(np.sin(2 * np.pi * hz * h * t) / h for h in range(1, 6)) * np.exp(-6 * t)
        i = step * bar // 8
        y[i : i + bar] += sum(sounds, 0.5 * melody * note)
    y = y[: bar * (loop or bars)]
    y = np.tile(y, -(-bars // (loop or bars)))[: bar * bars]
    return 0.2 * y / np.abs(y).max()


def coded(y, sr, level, form="MP3"):
    """Compress and decode again; mp3 at level 0.85 is about 32 kbit/s."""
    how = {"format": form, "compression_level": level}
    how |= {"bitrate_mode": "CONSTANT"} if form == "MP3" else {"subtype": "VORBIS"}
    with io.BytesIO() as file:
        sf.write(file, y, sr, **how)
        file.seek(0)
        return sf.read(file, dtype="float32")[0]


def copies(y, sr, rng):
    """Name, sound and planted start of every kind of near copy."""
    yield "gain", np.clip(y * 10 ** (12 / 20), -1, 1), 0
    yield "gain", y * 10 ** (-12 / 20), 0
    yield "codec", coded(y, sr, 0.85), 0
    yield "codec", coded(y, sr, 0.6), 0
    yield "codec", coded(y, sr, 0.95, "OGG"), 0
    start = 512 * int(0.2 * sr / 512) + int(rng.integers(1, 512))
    yield "offset", y[start:], start / sr
    start = int(rng.uniform(0.3, 0.5) * len(y))
    yield "cut", y[start:], start / sr
    yield "cut, gain and codec", coded(0.4 * y[start:], sr, 0.85), start / sr


def plant(folder, sounds, sr, rng):
    """Write sounds and their copies; return paths and rows (source, copy, kind, start_s)."""
    paths = [audio.write(folder / f"{i}.wav", y, sr) for i, y in enumerate(sounds)]
    truth = []
    for i, y in enumerate(sounds):
        for k, (kind, z, start_s) in enumerate(copies(y, sr, rng)):
            truth.append((i, len(paths), kind, start_s))
            paths.append(audio.write(folder / f"{i}-{k}.wav", z, sr))
    return paths, truth


def judge(n, paths, truth):
    """Print the recall of every kind, and return missed and false pairs."""
    found = find_duplicates(paths)
    source = [*range(n), *(i for i, *_ in truth)]
    false = [(a, b) for a, b in zip(found.a, found.b, strict=True) if source[a] != source[b]]
    offsets = dict(zip(zip(found.a, found.b, strict=True), found.offset_s, strict=True))
    table = pd.DataFrame(truth, columns=["a", "b", "kind", "start_s"])
    got = [offsets.get((a, b), np.nan) for a, b in zip(table.a, table.b, strict=True)]
    near = (table["start_s"] - got).abs() < 0.15  # an mp3 starts up to 0.1 s late
    print(near.groupby(table["kind"]).mean().to_string(), f"\nfalse pairs: {len(false)}")
    return table[~near], false


def test_finds_every_planted_copy_and_nothing_else(tmp_path, rng):
    paths, truth = plant(tmp_path, [song(i, i, bars=4) for i in range(4)], SR, rng)
    missed, false = judge(4, paths, truth)
    assert missed.empty and not false


@pytest.mark.real
def test_finds_copies_of_real_clips(data_root, tmp_path, rng):
    clips = sorted((data_root / "gtzan/genres").glob("*/*.00001.wav"))[::2]
    sounds = [audio.read(path, duration_s=15)[0] for path in clips]
    paths, truth = plant(tmp_path, sounds, SR, rng)
    missed, false = judge(5, paths, truth)
    assert missed.empty and not false


@pytest.mark.real
def test_finds_the_known_repetitions_that_are_here(data_root):
    # of repetitions.csv only one clip of one pair has its audio here: no pair may be found
    clips = sorted((data_root / "gtzan/genres").glob("*/*"))
    assert len(clips) == 46 and find_duplicates(clips).empty


@pytest.mark.real
def test_the_two_names_of_one_dance_track_are_found(data_root):
    names = ["alone.mp3", "alone-2-full.mp3", "alone-full.mp3"]
    pairs = find_duplicates([data_root / "edm" / name for name in names])
    assert pairs[["a", "b", "score"]].to_numpy().tolist() == [[0, 1, 1.0]]


def test_the_same_loop_of_drums_under_other_tunes_is_no_repetition(tmp_path):
    sounds = [song(seed, melody=0.5, loop=4, bars=10) for seed in range(4)]
    paths = [audio.write(tmp_path / f"{i}.wav", y, SR) for i, y in enumerate(sounds)]
    assert find_duplicates(paths).empty


def test_music_made_of_exact_loops_is_found_at_any_offset(tmp_path):
    y = song(0, loop=1, bars=10)
    sounds = [y, 0.3 * y, y[int(3.3 * SR) :]]
    paths = [audio.write(tmp_path / f"{i}.wav", y, SR) for i, y in enumerate(sounds)]
    pairs = find_duplicates(paths)
    assert list(zip(pairs.a, pairs.b, strict=True)) == [(0, 1), (0, 2), (1, 2)]
    assert pairs["score"].min() > 0.95


def test_equal_bytes_are_a_pair_whatever_their_length_and_sound(tmp_path):
    first = audio.write(tmp_path / "a.wav", np.zeros(100), SR)
    second = audio.write(tmp_path / "b.wav", np.zeros(100), SR)
    audio.write(tmp_path / "c.wav", np.zeros(10 * SR), SR)
    pairs = find_duplicates([first, tmp_path / "c.wav", second])
    assert pairs.to_numpy().tolist() == [[0, 2, 1.0, 0.0]]


def test_silence_noise_and_steady_tones_are_no_repetitions(tmp_path, rng):
    t = np.arange(8 * SR) / SR
    sounds = [0 * t, 0 * t + 0.1, *(0.1 * rng.standard_normal((2, len(t))))]
    sounds += [0.3 * np.sin(2 * np.pi * hz * t) for hz in (440, 550, 660)]
    paths = [audio.write(tmp_path / f"{i}.wav", y, SR) for i, y in enumerate(sounds)]
    assert find_duplicates(paths).empty


def test_bad_files_are_in_no_pair_and_stop_nothing(tmp_path):
    (tmp_path / "picture.wav").write_bytes(b"\xff\xd8\xff\xe0 no sound")
    (tmp_path / "empty.wav").write_bytes(b"")
    good = audio.write(tmp_path / "good.wav", song(0, bars=3), SR)
    same = audio.write(tmp_path / "same\n'ü.flac", song(0, bars=3), SR)
    paths = [tmp_path / "picture.wav", good, tmp_path / "absent.wav", tmp_path / "empty.wav", same]
    pairs = find_duplicates(paths, n_jobs=2)
    assert list(zip(pairs.a, pairs.b, strict=True)) == [(1, 4)]
    assert find_duplicates([]).columns.tolist() == ["a", "b", "score", "offset_s"]


def test_the_store_spares_the_second_run(tmp_path, monkeypatch):
    paths = [audio.write(tmp_path / f"{i}.wav", song(i // 2, bars=3), SR) for i in range(4)]
    audio.write(paths[3], 0.5 * song(1, bars=3), SR)
    store = tmp_path / "work" / "store.parquet"
    first = find_duplicates(paths, store=store)
    assert len(first) == 2 and [p.name for p in store.parent.iterdir()] == ["store.parquet"]
    moved = paths[0].rename(tmp_path / "moved.wav")
    monkeypatch.setattr(fingerprint, "fingerprint", lambda path: pytest.fail("computed again"))
    again = find_duplicates([moved, *paths[1:]], store=store)
    pd.testing.assert_frame_equal(first, again)


def test_a_set_that_has_not_changed_is_not_read_again(tmp_path, monkeypatch):
    paths = [audio.write(tmp_path / f"{n}.wav", song(n, bars=2), SR) for n in range(2)]
    paths.append(Path(shutil.copy(paths[0], tmp_path / "copy.wav")))
    options = {"store": tmp_path / "work" / "store.parquet", "remember": True}
    first = find_duplicates(paths, **options)
    with monkeypatch.context() as patched:
        patched.setattr(fingerprint, "_find", lambda *args: pytest.fail("searched again"))
        pd.testing.assert_frame_equal(find_duplicates(paths, **options), first)
    audio.write(paths[2], song(5, bars=3), SR)
    assert len(first) == 1 and find_duplicates(paths, **options).empty


def test_of_too_many_words_the_same_ones_of_each_file_vote():
    words = np.random.default_rng(0).integers(0, 1 << 25, 4000).astype(np.uint32)
    frames = fingerprint._voters(words, 4)
    assert 800 < len(frames) < 1200
    np.testing.assert_array_equal(fingerprint._voters(words[100:], 4) + 100, frames[frames >= 100])
    assert len(fingerprint._voters(words, 1)) == 4000


@pytest.mark.parametrize("damage", ["text", "cut", "version"])
def test_a_broken_or_old_store_is_made_anew(tmp_path, damage, monkeypatch):
    path, store = audio.write(tmp_path / "a.wav", song(0, bars=2), SR), tmp_path / "s.parquet"
    find_duplicates([path], store=store)
    whole = store.read_bytes()
    if damage == "version":
        monkeypatch.setattr(fingerprint, "CACHE_VERSION", fingerprint.CACHE_VERSION + 1)
    else:
        store.write_bytes(b"hello" if damage == "text" else whole[: len(whole) // 2])
    find_duplicates([path], store=store)
    table = pd.read_parquet(store)
    assert len(table) == 1 and (table["version"] == fingerprint.CACHE_VERSION).all()


def test_blocks_give_the_fingerprint_of_the_whole(tmp_path, monkeypatch):
    path = audio.write(tmp_path / "a.wav", song(3, bars=5), SR)
    whole, _ = audio.read(path, fingerprint.SR)
    cuts = np.split(whole, [7, 1_000, 20_000, 20_100])
    monkeypatch.setattr(audio, "blocks", lambda path, sr: iter([whole]))
    words = fingerprint.fingerprint(path)
    monkeypatch.setattr(audio, "blocks", lambda path, sr: iter(cuts))
    again = fingerprint.fingerprint(path)
    # A bit is a comparison of energies: of two that are nearly equal it may turn with the rounding.
    assert np.bitwise_count(words ^ again).mean() <= 1e-3 * fingerprint.BITS and (words > 0).all()


def test_groups_are_connected_components():
    pairs = pd.DataFrame({"a": [0, 1, 5], "b": [1, 3, 6]})
    assert connected_groups(7, pairs).tolist() == [0, 0, 1, 0, 2, 3, 3]
    assert connected_groups(3, pairs.iloc[:0]).tolist() == [0, 1, 2]
    assert connected_groups(0, pairs.iloc[:0]).tolist() == []
