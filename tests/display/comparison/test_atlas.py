"""The parquet file of a map: its columns and types, neighbours by hand, and what is refused."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from musiclatent.display.comparison import atlas

Z = np.array([[0.0, 0], [1, 0], [3, 0], [3, 4]], np.float32)


def _items() -> pd.DataFrame:
    return pd.DataFrame(
        {
            "path": ["a.wav", "a.wav", "b.wav", "c.wav"],
            "start_s": [0, 5, 0, 0],
            "end_s": [5, 10, 5, 5],
            "group": ["a", "a", "b", "c"],
            "label": ["jazz", "jazz", "", None],
            "title": "not wanted",
        }
    )


def test_columns_and_types_are_those_that_embedding_atlas_opens(tmp_path):
    file = atlas.write_parquet(tmp_path / "new" / "map.parquet", Z, _items(), Z, k=2)
    table = pq.read_table(file)
    assert table.column_names == [
        *("path", "start", "end", "x", "y", "vector", "neighbours", "label")
    ]
    kinds = {field.name: field.type for field in table.schema}
    assert kinds["vector"] == pa.list_(pa.float32()) and kinds["x"] == pa.float32()
    neighbours = kinds["neighbours"]
    assert [neighbours.field(i).name for i in range(2)] == ["ids", "distances"]
    assert table["vector"].to_pylist()[3] == [3, 4]
    assert table["label"].to_pylist() == ["jazz", "jazz", "", None]


def test_neighbours_are_rows_of_other_recordings_with_their_distances(tmp_path):
    file = atlas.write_parquet(tmp_path / "map.parquet", Z, _items(), Z, k=2)
    near = pq.read_table(file)["neighbours"].to_pylist()
    assert near[0] == {"ids": [2, 3], "distances": [3, 5]}
    assert near[2]["ids"] == [1, 0] and near[2]["distances"] == [2, 3]


def test_the_command_names_columns_that_are_there(tmp_path):
    file = atlas.write_parquet(tmp_path / "map.parquet", Z, _items(), Z)
    words = atlas.OPEN.format(path=file).split()
    options = dict(zip(words[2::2], words[3::2], strict=True))
    assert set(options.values()) <= set(pq.read_table(file).column_names)


def test_what_does_not_fit_is_refused(tmp_path):
    with pytest.raises(ValueError, match="4 points, 4 items and 3 vectors; give as many of each"):
        atlas.write_parquet(tmp_path / "m", Z, _items(), Z[:3])
    with pytest.raises(ValueError, match="the items have no column end_s; add it"):
        atlas.write_parquet(tmp_path / "m", Z, _items().drop(columns="end_s"), Z)
    with pytest.raises(ValueError, match="NaN"):
        atlas.write_parquet(tmp_path / "m", Z, _items(), np.full_like(Z, np.nan))
    assert not list(tmp_path.iterdir())
