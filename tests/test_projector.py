"""Files of the TensorBoard Projector: read back as they were, whatever the names hold."""

import csv

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from musiclatent import projector

ITEMS = pd.DataFrame(
    {"item_id": ["a.mp3", "tab\tand\nline.mp3", ' "quoted" é '], "start_s": [0.0, 15.5, 1e-7]}
)


def read(path) -> list[list[str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


def test_what_is_written_is_read_back(rng, tmp_path):
    z = rng.standard_normal((3, 5)).astype(np.float32)
    folder = projector.write(tmp_path / "deep" / "projector", z, ITEMS, "VGGish of edm")
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

    projector.write(tmp_path, np.eye(3), ITEMS, 'a "quoted" title')
    text = (tmp_path / "projector_config.pbtxt").read_text()
    found = text_format.Parse(text, ProjectorConfig()).embeddings[0]
    assert found.tensor_name == "aquotedtitle"
    assert (tmp_path / found.tensor_path).is_file() and (tmp_path / found.metadata_path).is_file()


def test_a_single_column_has_no_name(tmp_path):
    projector.write(tmp_path, np.eye(3), ITEMS[["start_s"]], "one")
    assert read(tmp_path / "metadata.tsv") == [["0"], ["15.5"], ["1e-07"]]


@given(st.lists(st.text(), min_size=1, max_size=6))
@settings(max_examples=60, deadline=None)
def test_any_name_keeps_to_its_cell(tmp_path_factory, names):
    folder = tmp_path_factory.getbasetemp() / "names"
    items = pd.DataFrame({"name": names, "row": range(len(names))})
    projector.write(folder, np.zeros((len(names), 2)), items, "names")
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
        projector.write(tmp_path / "new", np.zeros((rows, 2)), items, "x")
    assert not (tmp_path / "new").exists()
