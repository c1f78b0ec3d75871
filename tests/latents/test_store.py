"""Folders of latents: made, reused, checked, selected, joined and decoded."""

import csv

import numpy as np
import pandas as pd
import pytest
from helpers.models import untrained
from hypothesis import given, settings
from hypothesis import strategies as st

from musiclatent.config import Study
from musiclatent.errors import LatentsError
from musiclatent.latents.encode import encode_corpus, encode_files
from musiclatent.latents.store import (
    Latents,
    audible,
    export_projector,
    join,
    nearest,
    read_latents,
    select,
)

SR, WINDOW_S = 8000, 0.5
NEIGHBOUR = ["query", "row", "distance"]
STUDY = Study(
    name="waveform", title="", question="", source="", demo=(), real=(), window_s=WINDOW_S, sr=SR
)


def test_the_message_names_both_checkpoints_and_the_command(run, data, tmp_path):
    encode_corpus(run, data, tmp_path / "latents")
    other, digest = untrained(tmp_path, seed=1), data.data_hash()
    words = "of the checkpoint .{12} of waveform-small, not of .{12} of waveform-small; make them "
    words += "anew with: make reproduce STUDY=waveform EXPERIMENT=waveform-small"
    with pytest.raises(LatentsError, match=words):
        read_latents(tmp_path / "latents", run=other, data_hash=digest)
    with pytest.raises(LatentsError, match=f"of the data {digest[:12]}, not of the data abc; make"):
        read_latents(tmp_path / "latents", run=run, data_hash="abc")


def test_latents_of_loose_files_are_no_corpus(run, music, tmp_path):
    files = sorted(music.rglob("*.wav"))
    encode_files(run, STUDY, files=files, folder=tmp_path / "latents")
    assert len(read_latents(tmp_path / "latents", run=run).z)
    with pytest.raises(LatentsError, match="latents of loose files, not of the data abc"):
        read_latents(tmp_path / "latents", run=run, data_hash="abc")
    words = "not of .{12} of waveform-small; make them anew with: musiclatent encode FILES --model"
    with pytest.raises(LatentsError, match=words):
        read_latents(tmp_path / "latents", run=untrained(tmp_path, seed=1))


def test_select_keeps_latents_and_items_together(run, data, tmp_path):
    found = encode_corpus(run, data, tmp_path / "latents")
    heard = ~found.items["silent"].to_numpy()
    part = select(found, heard)
    np.testing.assert_array_equal(part.z, found.z[heard])
    assert not part.items["silent"].any() and list(part.items.index) == list(range(len(part.z)))
    turned = select(found, np.array([2, 0]))
    np.testing.assert_array_equal(turned.z, found.z[[2, 0]])
    assert turned.items["start_s"].tolist() == found.items["start_s"][[2, 0]].tolist()
    assert turned.shaped().shape == (2, 8, 125)
    assert len(select(found, np.zeros(len(found.z), bool)).z) == 0


def test_join_adds_columns_and_keeps_rows(run, data, tmp_path):
    found = encode_corpus(run, data, tmp_path / "latents")
    names = found.items["item_id"].unique()[:-1]
    table = pd.DataFrame({"item_id": names, "mood": np.arange(len(names)), "label": "wrong"})
    joined = join(found, table)
    assert joined.items["item_id"].tolist() == found.items["item_id"].tolist()
    assert joined.items["label"].tolist() == found.items["label"].tolist()
    mood = joined.items.drop_duplicates("item_id").set_index("item_id")["mood"]
    assert mood[names].tolist() == table["mood"].tolist() and mood.isna().sum() == 1
    with pytest.raises(LatentsError, match="twice; give one row for each item_id"):
        join(found, pd.concat([table, table]))
    with pytest.raises(LatentsError, match="the table lack the column 'mood'"):
        join(joined, table[["item_id"]], on="mood")


ITEMS = pd.DataFrame(
    {"item_id": ["a.mp3", "tab\tand\nline.mp3", ' "quoted" é '], "start_s": [0.0, 15.5, 1e-7]}
)


def read(path) -> list[list[str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


def test_what_is_written_is_read_back(rng, tmp_path):
    z = rng.standard_normal((3, 5)).astype(np.float32)
    folder = export_projector(
        tmp_path / "deep" / "projector", z, items=ITEMS, title="VGGish of edm"
    )
    assert folder == tmp_path / "deep" / "projector"
    np.testing.assert_allclose(np.loadtxt(folder / "vectors.tsv", delimiter="\t"), z, rtol=1e-5)
    assert read(folder / "metadata.tsv") == [
        ["item_id", "start_s"],
        ["a.mp3", "0"],
        ["tab and line.mp3", "15.5"],
        ['"quoted" é', "1e-07"],
    ]
    config = (folder / "projector_config.pbtxt").read_text()
    assert config == (
        'embeddings {\n  tensor_name: "VGGishofedm"\n  tensor_path: "vectors.tsv"\n'
        '  metadata_path: "metadata.tsv"\n}\n'
    )
    names = ["metadata.tsv", "projector_config.pbtxt", "vectors.tsv"]
    assert sorted(path.name for path in folder.iterdir()) == names


def test_the_configuration_is_one_that_tensorboard_reads(tmp_path):
    from google.protobuf import text_format
    from tensorboard.plugins.projector.projector_config_pb2 import ProjectorConfig

    export_projector(tmp_path, np.eye(3), items=ITEMS, title='a "quoted" title')
    text = (tmp_path / "projector_config.pbtxt").read_text()
    found = text_format.Parse(text, ProjectorConfig()).embeddings[0]
    assert found.tensor_name == "aquotedtitle"
    assert (tmp_path / found.tensor_path).is_file() and (tmp_path / found.metadata_path).is_file()


def test_a_single_column_has_no_name(tmp_path):
    export_projector(tmp_path, np.eye(3), items=ITEMS[["start_s"]], title="one")
    assert read(tmp_path / "metadata.tsv") == [["0"], ["15.5"], ["1e-07"]]


@given(st.lists(st.text(), min_size=1, max_size=6))
@settings(max_examples=60, deadline=None)
def test_any_name_keeps_to_its_cell(tmp_path_factory, names):
    folder = tmp_path_factory.getbasetemp() / "names"
    items = pd.DataFrame({"name": names, "row": range(len(names))})
    export_projector(folder, np.zeros((len(names), 2)), items=items, title="names")
    lines = (folder / "metadata.tsv").read_bytes().decode().split("\n")
    assert lines.pop() == "" and lines.pop(0) == "name\trow"
    assert [line.split("\t") for line in lines] == [
        [" ".join(name.split()), str(row)] for row, name in enumerate(names)
    ]


@pytest.mark.parametrize(
    ("rows", "items"), [(2, ITEMS), (4, ITEMS), (0, ITEMS[:0]), (3, ITEMS[[]])]
)
def test_vectors_and_rows_that_do_not_match_are_refused(tmp_path, rows, items):
    with pytest.raises(ValueError, match=f"{rows} vectors and {len(items)} rows; give as many"):
        export_projector(tmp_path / "new", np.zeros((rows, 2)), items=items, title="x")
    assert not (tmp_path / "new").exists()


def test_neighbours_are_the_nearest_of_each_vector(rng):
    z = rng.standard_normal((7, 3))
    table = nearest(z[:2], z, k=3)
    assert table["query"].tolist() == [0, 0, 0, 1, 1, 1] and list(table) == NEIGHBOUR
    assert table["row"][[0, 3]].tolist() == [0, 1]
    wanted = np.sort(np.linalg.norm(z - z[1], axis=1))[:3]
    np.testing.assert_allclose(table["distance"][3:], wanted)
    assert len(nearest(z[0], z, k=50)) == 7  # all there are


def test_neighbours_among_latents_have_their_items(run, data, tmp_path):
    latents = encode_corpus(run, data, tmp_path / "latents")
    table = nearest(latents.z[[3]], latents, k=2)
    assert {*NEIGHBOUR, "item_id", "start_s", "label"} <= set(table)
    assert table["item_id"][0] == latents.items["item_id"][3] and table["distance"][0] == 0
    with pytest.raises(ValueError, match="k is 0"):
        nearest(latents.z[[3]], latents, k=0)


def test_of_a_large_corpus_whole_recordings_are_looked_at():
    names = np.repeat([f"song {i}" for i in range(40)], 5)
    items = pd.DataFrame({"item_id": names, "silent": np.arange(200) % 5 == 4})
    found = Latents(np.zeros((200, 30), np.float32), items, {})
    every = np.flatnonzero(~items["silent"])
    assert np.array_equal(audible(found), every)
    assert np.array_equal(audible(found, most=160 * 30), every)
    some = audible(found, most=40 * 30)
    counts = items.iloc[some].value_counts("item_id")
    assert len(counts) == 10 and counts.eq(4).all() and set(some) < set(every)
    assert {"song 0", "song 39"} < set(counts.index)
    assert len(audible(found, most=1)) == 4  # one recording at least
