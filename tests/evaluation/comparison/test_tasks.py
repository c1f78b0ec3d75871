"""Questions that labels answer: what is asked of which corpus, and what is skipped where."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from musiclatent import audio
from musiclatent.errors import CorpusError
from musiclatent.evaluation.comparison import tasks
from musiclatent.evaluation.comparison.tasks import Task
from musiclatent.evaluation.comparison.vectors import Vectors

SR = 8000


@pytest.fixture
def music(tmp_path, rng):
    """Twelve tracks: three of each of two artists, two of a third, four of nobody known."""
    folder = tmp_path / "game_music"
    folder.mkdir()
    rows = []
    for i, artist in enumerate(["a"] * 3 + ["b"] * 3 + ["c"] * 2 + [""] * 4):
        audio.write(folder / f"{i}.wav", 0.2 * rng.standard_normal(4 * SR), SR)
        rows.append({"file": f"{i}.wav", "artist": artist, "album": f"d{i % 2}"})
    pd.DataFrame(rows).to_csv(folder / "tracks.csv", index=False)
    return folder


def test_artists_with_three_tracks_or_more_are_looked_for(music, tmp_path):
    task = tasks.artists(music, tmp_path / "s")
    assert task.items["label"].tolist() == list("aaabbb") and task.ranked
    assert task.items["group"].nunique() == 6 and set(task.items["unit"]) == {"a", "b"}


def test_cuts_of_one_recording_share_a_group(music, tmp_path):
    (music / "1.wav").write_bytes((music / "0.wav").read_bytes())
    assert tasks.artists(music, tmp_path / "s").items["group"].nunique() == 5


def test_a_table_that_is_missing_or_lacks_a_column_is_one_sentence(music, tmp_path):
    with pytest.raises(CorpusError, match=r"tracks.csv is not there; set MUSICLATENT_DATA"):
        tasks.artists(tmp_path, tmp_path / "s")
    (music / "tracks.csv").write_text("file,title\n0.wav,x\n")
    with pytest.raises(CorpusError, match=r"tracks.csv has no column artist, album; add it"):
        tasks.artists(music, tmp_path / "s")


def test_what_is_not_there_is_skipped_with_a_sentence_each(music, tmp_path):
    there, skipped = tasks.those_there(music.parent, tmp_path / "s")
    assert [task.name for task in there] == ["artist"]
    assert len(skipped) == len(tasks.TASKS) - 1
    assert all(" is skipped: " in line and "\n" not in line for line in skipped)


def _task(ranked: bool) -> Task:
    labels = np.repeat(list("abcd"), 10)
    items = pd.DataFrame({"path": [f"{i}.wav" for i in range(40)], "label": labels})
    items = items.assign(group=np.arange(40).astype(str), unit=np.arange(40))
    about = {"question": "q", "dataset": "d", "split": "s"}
    return Task(name="x", items=items, ranked=ranked, **about)


@pytest.mark.parametrize("ranked", [True, False])
def test_a_perfect_encoder_is_perfect_and_a_random_one_at_chance(ranked, rng):
    task = _task(ranked)
    perfect = pd.get_dummies(task.items["label"]).to_numpy(np.float32)
    noise = rng.normal(size=(40, 5)).astype(np.float32)
    measured = {"perfect": Vectors(z=perfect, widths=(4,)), "noise": Vectors(z=noise, widths=(5,))}
    first, second = tasks.judge(task, measured)
    names = ["x_top1", "x_map"] if ranked else ["x_neighbours", "x_probe"]
    assert [first.key, second.key] == names
    for one in (first, second):
        assert one.mean("perfect").estimate == pytest.approx(1)
        assert one.mean("noise").estimate < 0.5
        assert one.over("perfect", "noise").leaves_zero_out


def test_all_are_judged_on_the_files_that_all_could_take(rng):
    task = replace(_task(ranked=False), folds=3)
    z = rng.normal(size=(40, 3)).astype(np.float32)
    holed = z.copy()
    holed[[0, 5]] = np.nan
    measured = {"a": Vectors(z=z, widths=(3,)), "b": Vectors(z=holed, widths=(3,))}
    one, _ = tasks.judge(task, measured)
    assert len(one.values) == 38 and one.values["a"].equals(one.values["b"])


@pytest.mark.real
def test_the_real_corpora_ask_six_questions(data_root, tmp_path):
    there, skipped = tasks.those_there(data_root, tmp_path)
    assert [task.name for task in there] == list(tasks.TASKS) and not skipped
    sizes = {task.name: len(task.items) for task in there}
    assert sizes["genre"] == 46 and sizes["speech"] == 61 and sizes["digit"] == 600
    version = next(task for task in there if task.name == "version").items
    copies = version[version["group"].duplicated(keep=False)]["path"]
    assert {path.rpartition("/")[2] for path in copies} == {"alone.mp3", "alone-2-full.mp3"}
