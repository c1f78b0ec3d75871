"""Labels, groups and segments of a folder of one's own."""

import numpy as np
import pandas as pd
import pytest
import soundfile as sf

from musiclatent.data import corpus
from musiclatent.data.own import library, tags
from musiclatent.errors import CorpusError

SR = 8000


def _music(folder, *names, **tagged):
    """Write half a second of another tone for each name."""
    for i, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        sf.write(path, 0.3 * np.sin(np.arange(SR // 2) * (0.1 + i / 50)), SR)
    return folder


def _tag(path, **values):
    file = tags.mutagen.File(path)
    for name, value in values.items():
        file[name] = value
    file.save()


def test_without_tags_and_table_there_are_no_labels(tmp_path):
    items = library.index(_music(tmp_path, "a.wav", "sub/b.wav"), None)
    assert items["label"].tolist() == ["", ""] and items["folder"].tolist() == ["", "sub"]
    assert items["group"].tolist() == items["item_id"].tolist()
    assert not set(tags.FIELDS) & set(items)


def test_folders_of_four_or_more_are_labels(tmp_path):
    names = [f"{kind}/{i}.wav" for kind in ("jazz", "rock") for i in range(4)]
    items = library.index(_music(tmp_path, *names, "odd/x.wav"), None)
    assert items["label"].tolist() == ["jazz"] * 4 + [""] + ["rock"] * 4


def test_genre_comes_before_the_folder_and_artists_are_groups(tmp_path):
    folder = _music(tmp_path, *(f"f/{i:02}.flac" for i in range(18)))
    for i in range(18):
        artist = "Various Artists" if i == 17 else f"Artist {i // 2}"
        _tag(
            folder / f"f/{i:02}.flac", genre="Dub" if i % 2 else "Folk", artist=artist, bpm="120.5"
        )
    items = library.index(folder, tmp_path / "work")
    assert items["label"].tolist() == ["Folk", "Dub"] * 9 and (items["bpm"] == 120.5).all()
    assert items["group"].tolist()[:3] == ["artist: artist 0"] * 2 + ["artist: artist 1"]
    assert items["group"].iloc[17] == "f/17.flac"
    assert (tmp_path / "work" / "tags.parquet").exists()


def test_a_table_comes_before_tags(tmp_path):
    folder = _music(tmp_path, "a.flac", "b.flac", "c.flac")
    _tag(folder / "a.flac", genre="Dub", bpm="99")
    (folder / "labels.csv").write_text(
        "file,bpm,mood,energy\na.flac,140,calm,1\n./b.flac,,wild,2\n"
    )
    items = library.index(folder, None)
    assert items["label"].tolist() == ["calm", "wild", ""] == items["mood"].tolist()
    assert items["bpm"].iloc[0] == 140 and items["bpm"].isna().tolist() == [False, True, True]
    assert items["genre"].tolist() == ["Dub", "", ""]


def test_segments_label_the_windows_that_they_hold(tmp_path):
    folder = _music(tmp_path, "a.wav", "b.wav")
    rows = "a.wav,0,0.2,verse\na.wav,0.2,0.5,chorus\n"
    (folder / "labels.csv").write_text("file,start,end,part\n" + rows)
    items = library.index(folder, None)
    assert items["label"].tolist() == ["chorus", ""]  # what holds longest
    starts = np.arange(5) / 10
    windows = pd.DataFrame({"item_id": "a.wav", "start_s": starts, "end_s": starts + 0.1})
    windows = pd.concat([windows, windows.assign(item_id="b.wav")], ignore_index=True)
    found = library.with_segments(windows.assign(label="chorus", part=""), items)
    assert found["label"].tolist() == ["verse"] * 2 + ["chorus"] * 3 + ["chorus"] * 5
    assert found["part"].tolist()[:5] == ["verse"] * 2 + ["chorus"] * 3


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("name,mood\na.wav,calm\n", "its columns are name, mood; give file"),
        ("file,mood\nb.wav,calm\n", "'b.wav' and 0 more are no files of this folder"),
        ("file,mood\na.wav,calm\na.wav,wild\n", "'a.wav' comes twice"),
        ("file,start,end,mood\na.wav,3,2,calm\n", "rise"),
        ("file,start,end,mood\na.wav,x,2,calm\n", "rise"),
        ("file,start,mood\na.wav,1,calm\n", "start and end"),
        ('file,mood\n"a.wav\n', "save it as csv"),
    ],
)
def test_a_table_that_cannot_be_right_is_refused(tmp_path, text, words):
    folder = _music(tmp_path, "a.wav")
    (folder / "labels.csv").write_text(text)
    with pytest.raises(CorpusError, match=words):
        library.index(folder, None)


def test_a_corpus_of_ones_own_is_split_with_its_labels(tmp_path):
    names = [f"{kind}/{i}.wav" for kind in ("jazz", "rock") for i in range(16)]
    found = corpus.load(str(_music(tmp_path / "f", *names)), root=tmp_path, work=tmp_path / "w")
    assert found.items.groupby("split")["label"].nunique().eq(2).all()
    assert {"folder", "seconds"} <= set(found.items)
