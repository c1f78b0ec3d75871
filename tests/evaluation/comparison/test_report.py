"""Sentences say no more than their intervals, and result files have the form of MTEB's."""

import json
import math

import numpy as np
import pandas as pd
import pytest

from musiclatent.evaluation.comparison import report
from musiclatent.evaluation.comparison.judged import Judged


def _judged(key: str, **values: np.ndarray) -> Judged:
    table = pd.DataFrame(values)
    about = {"question": "q", "dataset": "d", "split": "5 folds by recording"}
    return Judged(key=key, values=table, units=np.arange(len(table)), **about)


@pytest.fixture
def base(rng):
    return rng.uniform(0.2, 0.4, 50)


def test_a_lead_is_named_only_where_zero_is_left_out(base, rng):
    clear = _judged("artist_map", mfcc=base, best=base + 0.3, low=base - 0.1)
    similar, labels, _ = report.sentences([clear], "mfcc")
    assert similar.startswith("To find similar music, take best (artist_map 0.6")
    assert "it leads mfcc by 0.30 (0.30 to 0.30)" in similar and similar.endswith(".")
    assert labels == "To read labels off: not measured here."
    tie = _judged("artist_map", mfcc=base - 0.1, a=base, b=base + 0.01 * rng.normal(size=50))
    text = report.sentences([tie], "mfcc")[0]
    assert "may be chance" in text and "take" not in text and "it leads mfcc by" in text
    none = _judged("artist_map", mfcc=base, a=base + 0.3 * rng.normal(size=50))
    assert "leads mfcc by" not in report.sentences([none], "mfcc")[0]


def test_the_baseline_itself_may_be_first(base):
    text = report.sentences([_judged("genre_probe", mfcc=base, a=base - 0.1)], "mfcc")[1]
    assert text.startswith("To read labels off, take mfcc (") and "leads" not in text


def test_result_files_name_task_score_bounds_and_folds(tmp_path, base):
    one = _judged("genre_probe", **{"my/net": base})
    about = {"my/net": {"name": "my/net", "revision": "abc", "licence": "MIT"}}
    files = report.write_results(tmp_path, [one], about, {"my/net": 3.0})
    place = tmp_path / "my-net" / "abc"
    assert files == [place / "model_meta.json", place / "genre_probe.json"]
    result = json.loads(files[1].read_text())
    assert set(result) == {"task_name", "dataset_revision", "mteb_version", "scores",
                           "evaluation_time", "kg_co2_emissions"}  # fmt: skip
    [score] = result["scores"]["test"]
    assert score["main_score"] == pytest.approx(base.mean()) == score["genre_probe"]
    assert score["low"] < score["main_score"] < score["high"]
    assert score["folds"] == "5 folds by recording" and score["hf_subset"] == "default"


def test_one_unit_has_no_bounds_in_json():
    one = _judged("x", a=np.array([0.5]))
    [score] = report.task_result(one, "a")["scores"]["test"]
    assert score["low"] is None and score["main_score"] == 0.5
    assert not math.isfinite(one.mean("a").low)


def test_the_short_table_has_no_bounds():
    table = pd.DataFrame({"x": [0.12345], "x_low": [0], "x_high": [1], "p_control": [0]})
    assert list(report.short_table(table)) == ["x"] and report.short_table(table)["x"][0] == 0.123
