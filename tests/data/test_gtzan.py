import numpy as np
import pandas as pd
import pytest

from musiclatent import audio
from musiclatent.data import gtzan as data_gtzan
from musiclatent.data.datasets import DATASETS
from musiclatent.data.gtzan import LAYOUTS, _extract
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


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_of_gtzan_is_found(tmp_path, layout):
    for genre in ("blues", "jazz"):
        write(tmp_path / layout / genre / f"{genre}.00003.wav")
        (tmp_path / layout / genre / f"._{genre}.00003.wav").write_bytes(b"finder")
    items = gtzan(tmp_path)
    assert items["item_id"].tolist() == ["blues.00003", "jazz.00003"]
    assert items["label"].tolist() == ["blues", "jazz"]


def test_where_the_root_is_read_only_the_clips_go_to_the_work_folder(tmp_path, monkeypatch):
    shard(tmp_path / "root/gtzan/x.parquet", ["pop.00002.wav"])
    whole = _extract

    def read_only(shards, target):
        if "root" in target.parts:
            raise OSError(30, "Read-only file system")
        whole(shards, target)

    monkeypatch.setattr(data_gtzan, "_extract", read_only)
    for _ in range(2):
        path = gtzan(tmp_path / "root", tmp_path / "work")["path"].item()
        assert path == str(tmp_path / "work/gtzan/genres/pop/pop.00002.wav")
    with pytest.raises(CorpusError, match="cannot be unpacked .Read-only file system.; free"):
        gtzan(tmp_path / "root", tmp_path / "root")
