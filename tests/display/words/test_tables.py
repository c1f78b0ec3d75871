import re
from pathlib import Path

import numpy as np
import pandas as pd
from IPython.core.interactiveshell import InteractiveShell

from musiclatent.display.words import tables


def _rows(table):
    """Texts of the cells of a table as displayed, by row, the head first."""
    rows = tables.styled(table).to_html().split("<tr>")[1:]
    return [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row) for row in rows]


def _column(table, name):
    head, *rows = _rows(table)
    return [row[head.index(name)] for row in rows]


def test_a_column_has_as_many_digits_in_all_rows():
    table = pd.DataFrame({"mse": [0.001234, 0.00456], "n": [13_824, 7]}, ["a", "b"])
    assert _column(table, "mse") == ["0.00123", "0.00456"]
    assert _column(table, "n") == ["13,824", "7"] and _rows(table)[1][0] == "a"
    table = pd.DataFrame({"level": [-12.345, 0.0, np.nan], "whole": [1.0, 2.0, 30.0]})
    assert _column(table, "level") == ["-12.3", "0.0", "–"]
    assert _rows(table)[1:] == [["-12.3", "1"], ["0.0", "2"], ["–", "30"]]  # no names of rows


def test_values_over_decades_have_digits_of_their_own():
    assert _column(pd.DataFrame({"x": [1e-5, 0.5, 2000.0]}), "x") == ["1.00e-05", "0.500", "2000"]


def test_the_best_value_is_bold_by_column_or_by_row():
    by_column = pd.DataFrame({"mse": [3.0, 1.0], "accuracy": [0.5, 0.25]}, ["a", "b"])
    for table in (by_column, by_column.T):
        html = tables.styled(table).to_html()
        bold = html.partition("</style>")[0]
        ids = [part.split()[0].strip(" {,") for part in bold.split("#")[1:]]
        texts = {
            html.partition(f'id="{name}"')[2].partition(">")[2].partition("<")[0] for name in ids
        }
        assert texts == ({"1", "0.500"} if table is by_column else {"1.000", "0.50"})
    one = pd.DataFrame({"mse": [1.0, 1.0], "name": ["x", "y"]})
    assert "bold" not in tables.styled(one).to_html()  # none is better
    bounds = pd.DataFrame({"difference": [-2.0], "low": [-4.0], "high": [0.1]}, ["mel_distance"])
    assert "bold" not in tables.styled(bounds).to_html()


def test_rows_named_by_numbers_have_few_digits_and_small_probabilities_are_not_none():
    page = tables.styled(pd.DataFrame({"p": [0.0002, 1.0]}, [0.1, 0.5])).to_html()
    assert ">0.1<" in page and ">0.5<" in page and "0.00020" in page and ">0<" not in page


def test_series_and_mappings_are_rows_and_paths_are_names():
    rows = _rows({"mse": 0.25, "split": "group", "fine": True, "file": Path("/a/b.wav")})[1:]
    assert rows == [["mse", "0.250"], ["split", "group"], ["fine", "yes"], ["file", "b.wav"]]
    assert _column(pd.Series([1, 2], ["x", "x"], name="n"), "n") == ["1", "2"]


def test_a_long_table_is_cut_and_says_so():
    html = tables.styled(pd.DataFrame({"n": range(1000)})).to_html()
    assert html.count("<tr>") == tables.LONGEST + 1 and "60 of 1,000 rows" in html
    assert "no rows" in tables.styled(pd.DataFrame({"n": []})).to_html()


def test_rows_that_are_counted_twice_have_no_names():
    twice = pd.concat([pd.DataFrame({"n": [1, 2]})] * 2)
    assert _rows(twice) == [["n"], ["1"], ["2"], ["1"], ["2"]]
    named = _rows(pd.DataFrame({"n": [1, 2]}, ["a", "a"]))
    assert named[1:] == [["a", "1"], ["a", "2"]]


def test_texts_are_texts():
    table = pd.DataFrame({"a<b>": ["<b>x</b>", Path("/<b>")]}, ["<b>1", "<b>2"])
    assert "<b>" not in tables.styled(table).to_html()


def test_ipython_shows_tables_so_and_nothing_happens_without_it(monkeypatch):
    tables.install()
    shell = InteractiveShell()
    monkeypatch.setattr("IPython.get_ipython", lambda: shell)
    tables.install()
    for table in (pd.DataFrame({"x": [0.123456]}), pd.Series([0.123456]), {"x": 0.123456}):
        data, _ = shell.display_formatter.format(table)
        assert ">0.123<" in data["text/html"]
