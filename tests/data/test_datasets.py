import hashlib

import numpy as np
import pandas as pd
import pytest

from musiclatent import audio
from musiclatent.data import download
from musiclatent.data.datasets import DATASETS, SOURCES
from musiclatent.errors import CorpusError

CLIP = {"sr": 8_000, "y": 0.1 * np.random.default_rng(0).standard_normal(2_000)}


def write(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    return audio.write(path, CLIP["y"], CLIP["sr"])


def shard(path, names, **columns):
    """Write a parquet shard as the Hugging Face copy has them."""
    path.parent.mkdir(parents=True, exist_ok=True)
    clips = [{"bytes": f"sound of {name}".encode(), "path": name} for name in names]
    pd.DataFrame({"audio": clips, "label": 0, **columns}).to_parquet(path)


def gtzan(root, work=None):
    return DATASETS["gtzan"].index(root, work)


def test_of_two_files_of_one_clip_the_wav_counts(tmp_path):
    write(tmp_path / "gtzan/genres/rock/rock.00001.wav")
    write(tmp_path / "gtzan/genres/rock/rock.00001.mp3")
    items = gtzan(tmp_path).set_index("path")["reason"]
    assert [(path[-3:], reason[:13]) for path, reason in items.items()] == [
        ("wav", ""),
        ("mp3", "a second file"),
    ]


def test_the_parquet_copy_is_unpacked_once(tmp_path):
    shard(tmp_path / "gtzan/parquet/train-0.parquet", ["blues.00001.wav", "rock.00016.wav"])
    shard(tmp_path / "gtzan/parquet/test-0.parquet", ["a/b/jazz.00054.au"])
    assert gtzan(tmp_path).empty and not (tmp_path / "gtzan/genres").exists()
    items = gtzan(tmp_path, tmp_path / "work")
    assert items["item_id"].tolist() == ["blues.00001", "jazz.00054", "rock.00016"]
    blues = tmp_path / "gtzan/genres/blues/blues.00001.wav"
    assert blues.read_bytes() == b"sound of blues.00001.wav"
    for path in (tmp_path / "gtzan/parquet").iterdir():
        path.unlink()
    assert gtzan(tmp_path)["item_id"].tolist() == items["item_id"].tolist()
    assert not (tmp_path / "gtzan/.genres.part").exists()


@pytest.mark.parametrize("name", ["../../evil.wav", "evil/../x.sh", "..", "", "/etc/passwd", None])
def test_hostile_names_in_a_parquet_copy_write_nothing(tmp_path, name):
    shard(tmp_path / "root/gtzan/x.parquet", ["pop.00002.wav", name])
    with pytest.raises(CorpusError, match="no name of a GTZAN clip"):
        gtzan(tmp_path / "root", tmp_path / "work")
    assert [p.name for p in tmp_path.rglob("*") if p.is_file()] == ["x.parquet"]


def test_folders_in_a_parquet_name_cannot_lead_outside(tmp_path):
    shard(tmp_path / "root/gtzan/x.parquet", ["../../../pop.00002.wav"])
    gtzan(tmp_path / "root", tmp_path / "work")
    files = [p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*.wav")]
    assert files == ["root/gtzan/genres/pop/pop.00002.wav"]


@pytest.mark.parametrize("damage", ["cut", "text", "columns", "bytes"])
def test_a_broken_parquet_copy_is_one_sentence_and_leaves_nothing(tmp_path, damage):
    path = tmp_path / "gtzan/x.parquet"
    shard(path, ["pop.00002.wav"])
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:500])
    elif damage == "text":
        path.write_text("not here")
    else:
        name = {"columns": "sound", "bytes": "audio"}[damage]
        pd.DataFrame({name: [{"bytes": None, "path": "pop.00002.wav"}]}).to_parquet(path)
    with pytest.raises(CorpusError, match=r"no whole parquet copy .* data fetch gtzan"):
        gtzan(tmp_path, tmp_path)
    assert [p.name for p in (tmp_path / "gtzan").iterdir()] == ["x.parquet"]


def test_clips_of_one_source_share_a_group(tmp_path):
    for name in ("music/glass", "music/glass1", "speech/glass", "music_wav/u2"):
        write(tmp_path / f"music_speech/{name}.wav")
    items = DATASETS["music_speech"].index(tmp_path, None).set_index("item_id")
    assert items["label"].tolist() == ["music", "music", "music", "speech"]
    assert items["group"].tolist() == ["music/glass", "music/glass", "music/u", "speech/glass"]
    music = DATASETS["music_speech/music"].index(tmp_path, None)
    assert len(music) == 3 and (music["label"] == "music").all()


def test_names_of_digits_say_who_speaks(tmp_path):
    write(tmp_path / "fsdd/recordings/7_theo_12.wav")
    write(tmp_path / "fsdd/recordings/notes.wav")
    seven, notes = DATASETS["fsdd"].index(tmp_path, None).to_dict("records")
    assert (seven["label"], seven["digit"], seven["speaker"], seven["index"]) == (
        "7",
        7,
        "theo",
        12,
    )
    assert "digit_speaker_index.wav" in notes["reason"]


@pytest.mark.parametrize("name", DATASETS)
def test_a_missing_dataset_names_the_command_that_gets_it(tmp_path, name):
    command = f"musiclatent data fetch {name.split('/')[0]}"
    with pytest.raises(CorpusError, match=command):
        DATASETS[name].index(tmp_path, tmp_path)
    (tmp_path / "fsdd/recordings").mkdir(parents=True)
    (tmp_path / DATASETS[name].source.folder).mkdir(exist_ok=True)
    with pytest.raises(CorpusError, match=command):
        DATASETS[name].index(tmp_path, tmp_path)


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def test_every_published_source_is_pinned():
    for source in SOURCES.values():
        for remote in source.remotes:
            assert remote.url.startswith("https://")
            assert remote.sha256 or source.sums
            assert "/main/" not in remote.url


@pytest.mark.real
def test_known_sums_are_those_of_the_real_files(data_root):
    text = download._sums(data_root / "fsdd", ["recordings"])
    assert sha256(text.encode()) == SOURCES["fsdd"].sums
    for remote in SOURCES["gtzan"].remotes:
        assert sha256((data_root / "gtzan" / remote.to).read_bytes()) == remote.sha256
