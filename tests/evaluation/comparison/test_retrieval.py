"""Perfect vectors give perfect scores, random ones chance, small rankings what a hand counts."""

import numpy as np
import pandas as pd
import pytest

from musiclatent.evaluation.comparison import retrieval
from musiclatent.evaluation.comparison.vectors import Vectors

N = 200
LABELS = np.array(list("abcde") * (N // 5))


def test_the_label_itself_is_found_perfectly_and_noise_at_chance(rng):
    perfect = pd.get_dummies(pd.Series(LABELS)).to_numpy(float)
    options = {"labels": LABELS, "recordings": np.arange(N)}
    ranked = retrieval.retrieved(perfect, **options)
    assert ranked["top1"].mean() == 1 and ranked["map"].mean() == pytest.approx(1)
    noise = retrieval.retrieved(rng.normal(size=(N, 6)), **options)
    assert noise["top1"].mean() == pytest.approx(0.2, abs=0.1)
    assert noise["map"].mean() == pytest.approx(0.2, abs=0.05)


def test_a_ranking_by_hand():
    z = np.array([[0.0], [1], [2], [4]])
    ranked = retrieval.retrieved(z, labels=["a", "b", "a", "a"], recordings=range(4))
    assert ranked["top1"].tolist()[0] == 0 and np.isnan(ranked["top1"][1])
    assert ranked["map"][0] == pytest.approx((1 / 2 + 2 / 3) / 2)
    same = retrieval.retrieved(z, labels=["a", "b", "a", "a"], recordings=[0, 1, 0, 2])
    assert same["map"][0] == pytest.approx(1 / 2)  # the cut at 2 is of its own recording
    inside = retrieval.retrieved(z, labels=list("abaa"), recordings=range(4), within=list("xxyx"))
    assert inside["inside"][0] == 0 and np.isnan(inside["inside"][2])


def test_an_unknown_label_is_of_no_other_and_lengths_must_agree():
    z = np.arange(3.0)[:, None]
    ranked = retrieval.retrieved(z, labels=["", "", "a"], recordings=range(3))
    assert ranked.isna().all(axis=None)
    with pytest.raises(ValueError, match="3 vectors"):
        retrieval.retrieved(z, labels=["a"], recordings=range(3))


def test_classes_are_answered_from_other_groups_only(rng):
    perfect = Vectors(z=pd.get_dummies(pd.Series(LABELS)).to_numpy(np.float32), widths=(5,))
    groups = np.arange(N) // 5
    right = retrieval.classified(perfect, LABELS, groups)
    assert right.to_numpy().all() and list(right) == ["neighbours", "probe"]
    noise = Vectors(z=rng.normal(size=(N, 6)).astype(np.float32), widths=(6,))
    assert retrieval.classified(noise, LABELS, groups).mean().between(0.08, 0.32).all()
    # numbers that name the group tell nothing of a group that nobody learned from
    own = np.repeat(rng.normal(size=(N // 10, 30)), 10, axis=0).astype(np.float32)
    labels = np.repeat(rng.permutation(np.repeat(list("abcd"), 5)), 10)
    told = retrieval.classified(Vectors(z=own, widths=(30,)), labels, np.arange(N) // 10)
    assert told["probe"].mean() < 0.5
