"""Values per row become figures with intervals, and differences only where both were judged."""

import numpy as np
import pandas as pd
import pytest

from musiclatent.evaluation.comparison import judged

ABOUT = {"name": "task", "question": "q", "dataset": "d", "split": "s"}


def _parts() -> dict[str, pd.DataFrame]:
    a = pd.DataFrame({"top1": [1.0, 1, 1, np.nan], "map": [1.0, 1, 1, 1]})
    return {"a": a, "b": pd.DataFrame({"top1": [0.0, 1, 0, np.nan], "map": [0.5, 1, 0.5, 1]})}


def test_rows_that_are_not_judged_are_left_out_with_their_units():
    top1, mean = judged.gather(_parts(), np.array(["u", "v", "w", "x"]), **ABOUT)
    assert [top1.key, mean.key] == ["task_top1", "task_map"]
    assert list(top1.units) == ["u", "v", "w"] and len(mean.values) == 4
    assert top1.mean("b").estimate == pytest.approx(1 / 3)


def test_the_table_has_a_row_per_encoder_with_bounds():
    table = judged.table(judged.gather(_parts(), np.arange(4), **ABOUT))
    assert list(table.index) == ["a", "b"]
    assert table.loc["a", ["task_top1", "task_top1_low", "task_top1_high"]].tolist() == [1, 1, 1]
    assert table.loc["b", "task_map_low"] < 0.75 < table.loc["b", "task_map_high"]


def test_higher_is_said_only_where_the_interval_leaves_zero_out():
    rng = np.random.default_rng(0)
    base = rng.random(40)
    columns = {"base": base, "up": base + 0.1, "same": base + rng.normal(size=40)}
    parts = {name: pd.DataFrame({"x": x}) for name, x in columns.items()}
    steps = judged.differences(judged.gather(parts, np.arange(40), **ABOUT), "base")
    assert steps.set_index("encoder")["higher"].to_dict() == {"up": 1, "same": 0}
    assert steps.set_index("encoder").loc["up", "difference"] == pytest.approx(0.1)


def test_questions_that_the_baseline_was_not_asked_have_no_difference():
    [one] = judged.gather({"b": pd.DataFrame({"x": [1.0, 0]})}, np.arange(2), **ABOUT)
    steps = judged.differences([one], "base")
    assert steps.empty and "higher" in steps
