import numpy as np
import pandas as pd
import pytest

from musiclatent import audio, datasets
from musiclatent.datasets import DATASETS, plain, tune
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


@pytest.mark.parametrize("layout", datasets.LAYOUTS)
def test_every_layout_of_gtzan_is_found(tmp_path, layout):
    for genre in ("blues", "jazz"):
        write(tmp_path / layout / genre / f"{genre}.00003.wav")
        (tmp_path / layout / genre / f"._{genre}.00003.wav").write_bytes(b"finder")
    items = gtzan(tmp_path)
    assert items["item_id"].tolist() == ["blues.00003", "jazz.00003"]
    assert items["label"].tolist() == ["blues", "jazz"]


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


def test_where_the_root_is_read_only_the_clips_go_to_the_work_folder(tmp_path, monkeypatch):
    shard(tmp_path / "root/gtzan/x.parquet", ["pop.00002.wav"])
    whole = datasets._extract

    def read_only(shards, target):
        if "root" in target.parts:
            raise OSError(30, "Read-only file system")
        whole(shards, target)

    monkeypatch.setattr(datasets, "_extract", read_only)
    for _ in range(2):
        path = gtzan(tmp_path / "root", tmp_path / "work")["path"].item()
        assert path == str(tmp_path / "work/gtzan/genres/pop/pop.00002.wav")
    with pytest.raises(CorpusError, match="cannot be unpacked .Read-only file system.; free"):
        gtzan(tmp_path / "root", tmp_path / "root")


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


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("alone-2-full", "alone"),
        ("alone", "alone"),
        ("sad-js-full", "sad-js"),
        ("super-hacker-fights-ice-variation", "super-hacker-fights-ice"),
        ("80s_vibe", "80s-vibe"),
        ("Full", "full"),
        ("2", "2"),
    ],
)
def test_versions_of_a_tune_have_its_name(name, expected):
    assert tune(name) == expected


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
    (tmp_path / DATASETS[name].folder).mkdir(exist_ok=True)
    with pytest.raises(CorpusError, match=command):
        DATASETS[name].index(tmp_path, tmp_path)


def test_a_plain_folder_is_walked_in_order_without_hidden_files(tmp_path):
    names = ["b.wav", 'a/x y\'s "ü"\n.flac', ".hidden/x.wav", ".x.wav", "a/notes.txt"]
    for name in names:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"")
    items = plain(tmp_path)
    assert items["item_id"].tolist() == [names[1], "b.wav"]
    assert items["path"].tolist() == [str(tmp_path / names[1]), str(tmp_path / "b.wav")]
    assert set(items["label"]) == {""}
