"""A whole comparison of tiny encoders: what it finds, keeps, skips and refuses."""

from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers.encoders import Deaf, Level

from musiclatent import audio
from musiclatent.data.synthetic import counterfactuals
from musiclatent.errors import LatentsError
from musiclatent.evaluation.comparison import compare, cost, factors, robustness, tasks, vectors

SR = 8000


@pytest.fixture
def folder(tmp_path, rng):
    """Eight sounds of growing level, one broken file."""
    music = tmp_path / "music"
    music.mkdir()
    for i in range(8):
        audio.write(music / f"{i}.wav", 0.1 * (i + 1) * rng.uniform(-1, 1, 2 * SR), SR)
    (music / "broken.wav").write_bytes(b"RIFF no")
    return music


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Two kinds of damage, few trees, and no processes."""
    monkeypatch.setattr(factors, "TREES", 10)
    kinds = ("gain 6", "noise 20")
    monkeypatch.setattr(robustness, "KINDS", kinds)
    monkeypatch.setattr(robustness, "EXCERPT_S", 1.0)
    monkeypatch.setattr(cost, "measure", lambda *_, **more: dict.fromkeys(cost.FIGURES, 1.0))


def _run(material, store, **brought):
    encoders = {"level": Level, "deaf": Deaf}
    about = {name: compare.about_encoder(make()) for name, make in encoders.items()}
    about |= {name: {"name": name, "revision": "outside"} for name in brought}
    return compare.run(encoders, material, store, about=about, brought=brought, n_jobs=1)


def test_a_folder_without_labels_gets_what_needs_none(folder, tmp_path):
    found = _run(tasks.of_folder(folder, tmp_path / "s"), tmp_path / "s")
    assert set(found.about) == {"level", "deaf"} and found.baseline == "level"
    keys = {one.key for one in found.judged}
    assert keys == {"kept_gain 6", "kept_noise 20", "found_copies"}
    assert "has no tracks.csv that names artists" in found.skipped[0] and len(found.skipped) == 1
    assert len(found.music) == 8 and found.damage.empty
    [set_aside] = found.quarantine.to_dict("records")
    assert Path(set_aside["path"]).name == "broken.wav"
    assert set_aside["encoders"] == "level, deaf"
    table = found.table()
    assert list(table.index) == ["level", "deaf"] and table["speed"].eq(1).all()
    assert found.cka.shape == found.shared.shape == (2, 2)


def test_a_table_of_tracks_adds_a_question_and_colours(folder, tmp_path):
    rows = [{"file": f"{i}.wav", "artist": "ab"[i % 2], "album": "x"} for i in range(6)]
    pd.DataFrame(rows).to_csv(folder / "tracks.csv", index=False)
    material = tasks.of_folder(folder, tmp_path / "s")
    assert [task.name for task in material.tasks] == ["artist"] and not material.skipped
    artists = material.music.set_index("title")["artist"]
    assert artists["1.wav"] == "b" and pd.isna(artists["7.wav"])


def test_a_second_run_encodes_nothing(folder, tmp_path, monkeypatch):
    material = tasks.of_folder(folder, tmp_path / "s")
    first = _run(material, tmp_path / "s").table()
    monkeypatch.setattr(Level, "encode", lambda *_: pytest.fail("encoded again"))
    monkeypatch.setattr(robustness, "damaged", lambda *_: pytest.fail("damaged again"))
    pd.testing.assert_frame_equal(_run(material, tmp_path / "s").table(), first)


def test_labels_and_counterfactuals_are_judged_where_they_are(folder, tmp_path, monkeypatch):
    sounds = sorted(folder.glob("?.wav"))
    items = pd.DataFrame({"path": [str(path) for path in sounds], "item_id": range(8)})
    items = items.assign(label=["soft"] * 4 + ["loud"] * 4, group=[str(i) for i in range(8)])
    store = tmp_path / "s"
    short = partial(counterfactuals.render, seconds=0.5, n_jobs=1)
    monkeypatch.setattr(counterfactuals, "render", short)
    material = tasks.of_items(items, store, dataset="own", most=8, scores=12, tracks=4)
    found = _run(material, store)
    table = found.table()
    assert table.loc["level", "label_probe"] == 1 and not found.skipped
    assert table.loc["level", "moved_level"] > 5 * table.loc["level", "moved_key"]
    assert table.loc["level", "alike_level"] > 0.99 > abs(table.loc["deaf", "alike_level"])
    assert found.damage.loc["level", "clean"] > 0.5


def test_vectors_from_outside_are_one_more_row(folder, tmp_path):
    material = tasks.of_folder(folder, tmp_path / "s")
    rows = [(f"{i}.wav", 0.0, 2.0, [float(i), 1.0]) for i in range(8)]
    table = pd.DataFrame(rows, columns=["path", "start_s", "end_s", "vector"])
    table.to_parquet(tmp_path / "theirs.parquet")
    specs = [str(tmp_path / "theirs.parquet")]
    find, about = compare.find_encoders(specs, "results")
    brought = compare.bring(specs, material.music, folder, about)
    assert not find and list(brought) == ["theirs"] and about["theirs"]["revision"] == "outside"
    found = _run(material, tmp_path / "s", **brought)
    assert list(found.shared) == ["level", "deaf", "theirs"]
    assert found.cka.loc["level", "theirs"] > 0.5 > found.cka.loc["deaf", "theirs"]
    assert np.isnan(found.table().loc["theirs", "kept_gain 6"])


def test_what_cannot_be_compared_is_one_sentence(folder, tmp_path):
    music = tasks.of_folder(folder, tmp_path / "s").music
    with pytest.raises(LatentsError, match="holds vectors of files; name their folder with --in"):
        compare.bring(["x.parquet"], music, None, {})
    with pytest.raises(ValueError, match="two of the encoders are called mfcc"):
        compare.find_encoders(["mfcc", "mfcc"], "results")
    for path in folder.glob("?.wav"):
        path.write_bytes(b"no")
    with pytest.raises(ValueError, match="vectors of 0 files; compare two files or more"):
        _run(tasks.of_folder(folder, tmp_path / "s"), tmp_path / "s")


def test_pooling_is_said(folder):
    assert compare.about_encoder(Level(), "mean+deviation")["pooling"] == "mean+deviation"
    assert compare.about_encoder(Level())["pooling"] == vectors.HOW
