"""Vectors that are the factors themselves, and vectors that are noise, at what they must give."""

import numpy as np
import pandas as pd
import pytest

from musiclatent.data.synthetic.counterfactuals import AS_IT_IS, FACTORS
from musiclatent.evaluation.comparison import factors
from musiclatent.evaluation.comparison.vectors import Vectors

N = 60  # scores of ten styles


@pytest.fixture(scope="module")
def clips() -> pd.DataFrame:
    rng = np.random.default_rng(0)
    rows = []
    for number in range(N):
        values = {
            "tempo": rng.uniform(70, 140),
            "key": rng.integers(12),
            "mode": rng.integers(2),
            "brightness": rng.uniform(0.1, 0.9),
            "lead": rng.integers(5),
            "level_db": rng.uniform(-24, -14),
        }
        steps = {
            "key": {"key": (values["key"] + 4) % 12},
            "tempo": {"tempo": 1.3 * values["tempo"]},
            "brightness": {"brightness": values["brightness"] + 0.4},
            "instrument": {"lead": (values["lead"] + 1) % 5},
            "mode": {"mode": 1 - values["mode"]},
            "level": {"level_db": values["level_db"] - 12},
        }
        for factor in (AS_IT_IS, *FACTORS):
            changed = steps.get(factor, {})
            about = {"number": number, "factor": factor, "direction": 1, "style": f"s{number % 10}"}
            rows.append(about | {"group": str(number)} | values | changed)
    table = pd.DataFrame(rows).sample(frac=1, random_state=0, ignore_index=True)
    return table.astype({"key": str, "mode": str, "lead": str})


@pytest.fixture(autouse=True)
def few_trees(monkeypatch):
    monkeypatch.setattr(factors, "TREES", 20)


def _vectors(z: np.ndarray) -> Vectors:
    return Vectors(z=z.astype(np.float32), widths=(z.shape[1],))


def _of_one(clips: pd.DataFrame, column: str) -> Vectors:
    """An encoder that hears one factor alone."""
    return _vectors(clips[[column]].to_numpy(float))


def _ideal(clips: pd.DataFrame) -> Vectors:
    """An encoder with an axis, or one per value, for each factor."""
    numbers = clips[["tempo", "brightness", "level_db"]].to_numpy(float)
    classes = [pd.get_dummies(clips[name]).to_numpy(float) for name in ("key", "lead", "mode")]
    return _vectors(np.hstack([numbers, *classes]))


def test_a_factor_that_is_not_heard_moves_nothing_and_one_that_is_does(clips):
    moved = factors.moved(_of_one(clips, "brightness"), clips)
    assert list(moved) == list(FACTORS) and len(moved) == N
    assert (moved.drop(columns="brightness") == 0).all(axis=None)
    spread = clips[clips["factor"] == AS_IT_IS]["brightness"].to_numpy()
    usual = np.sqrt(np.square(spread[:, None] - spread[None])[np.triu_indices(N, 1)].mean())
    np.testing.assert_allclose(moved["brightness"], 0.4 / usual, rtol=1e-4)


def test_an_equal_step_is_alike_everywhere_and_a_step_of_noise_is_not(clips):
    alike = factors.alike(_of_one(clips, "level_db"), clips)
    np.testing.assert_allclose(alike["level"], 1, atol=1e-5)
    assert (alike.drop(columns="level") == 0).all(axis=None)
    noise = np.random.default_rng(1).normal(size=(len(clips), 40))
    assert abs(factors.alike(_vectors(noise), clips).mean()).max() < 0.2
    turned = clips.assign(direction=np.where(clips["number"] % 2, -1, 1))
    assert abs(factors.alike(_of_one(clips, "level_db"), turned)["level"].mean()) < 0.5


def test_one_axis_per_factor_is_disentangled_and_a_rotation_is_less(clips):
    numbers = clips[["tempo", "brightness", "level_db"]].to_numpy(float)
    codes = [pd.factorize(clips[name])[0].astype(float) for name in ("key", "lead", "mode")]
    z = np.column_stack([numbers, *codes])
    z = (z - z.mean(axis=0)) / z.std(axis=0)
    straight = factors.disentangled(_vectors(z), clips)
    turn = np.linalg.qr(np.random.default_rng(0).normal(size=(6, 6)))[0]
    turned = factors.disentangled(_vectors(z @ turn), clips)
    assert straight["disentanglement"] > 0.7 > 0.5 > turned["disentanglement"]
    assert straight["completeness"] > 0.7 > 0.5 > turned["completeness"]
    assert np.isnan(
        factors.disentangled(_vectors(np.zeros((len(clips), 3))), clips)["completeness"]
    )


def test_an_ideal_encoder_is_read_perfectly_and_its_control_at_chance(clips):
    judged, figures = factors.judge({"ideal": _ideal(clips)}, clips)
    assert [one.key for one in judged][:2] == ["moved_key", "moved_tempo"]
    assert figures["ideal"]["probe_tempo"] > 0.99 and figures["ideal"]["probe_mode"] == 1
    assert figures["ideal"]["probe_tempo_control"] < 0.2
    assert figures["ideal"]["probe_mode_control"] == pytest.approx(0.5, abs=0.2)


def test_a_score_that_lacks_a_version_is_left_out_for_all(clips):
    z = _ideal(clips).z.copy()
    z[int(np.flatnonzero(clips["number"] == 3)[0])] = np.nan
    whole, holed = _ideal(clips), Vectors(z=z, widths=(z.shape[1],))
    judged, _ = factors.judge({"whole": whole, "holed": holed}, clips)
    assert len(judged[0].values) == N - 1 and "3" not in judged[0].units
