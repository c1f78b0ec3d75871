"""Damage is what it says, and neighbours are kept by whoever does not hear it."""

import numpy as np
import pandas as pd
import pytest

from musiclatent import audio
from musiclatent.evaluation.comparison import robustness
from musiclatent.evaluation.comparison.robustness import CLEAN, KINDS, SR
from musiclatent.evaluation.comparison.vectors import Vectors

FAST = {name: robustness.DAMAGE[name] for name in ("gain", "lead-in", "noise", "low-pass")}


@pytest.fixture(scope="module")
def tone() -> np.ndarray:
    t = np.arange(SR) / SR
    return (0.3 * np.sin(2 * np.pi * 440 * t) + 0.1 * np.sin(2 * np.pi * 6000 * t)).astype(
        np.float32
    )


@pytest.mark.parametrize("kind", KINDS)
def test_damage_keeps_samples_finite_and_within_full_scale(tone, kind):
    y = robustness.damaged(tone, kind)
    assert y.dtype == np.float32 and np.isfinite(y).all() and np.abs(y).max() <= 1
    assert len(y) == (
        len(tone) if "time" not in kind else pytest.approx(len(tone) / float(kind[5:]), abs=2)
    )


def _db(y: np.ndarray) -> float:
    return 10 * np.log10(np.square(y, dtype=float).mean())


def _at(y: np.ndarray, hz: float) -> float:
    """Magnitude at a frequency."""
    return np.abs(np.exp(-2j * np.pi * hz * np.arange(len(y)) / SR) @ y) / len(y)


def test_damage_does_what_its_name_says(tone):
    assert _db(tone) - _db(robustness.damaged(tone, "gain 6")) == pytest.approx(6, abs=0.01)
    late = robustness.damaged(tone, "lead-in 0.1")
    assert not late[: SR // 10].any() and np.array_equal(late[SR // 10 :], tone[: -SR // 10])
    noise = robustness.damaged(tone, "noise 20") - tone
    assert _db(tone) - _db(noise) == pytest.approx(20, abs=0.2)
    muffled = robustness.damaged(tone, "low-pass 2000")
    assert _at(muffled, 440) == pytest.approx(_at(tone, 440), rel=0.05)
    assert _at(muffled, 6000) < 0.01 * _at(tone, 6000)
    higher = robustness.damaged(tone, "pitch 1")
    assert _at(higher, 440 * 2 ** (1 / 12)) > 5 * _at(higher, 440)
    assert np.array_equal(robustness.damaged(tone, CLEAN), tone)


def test_a_codec_of_less_rate_is_farther_from_the_sound(tone, rng):
    y = 0.1 * rng.standard_normal(SR).astype(np.float32)
    errors = [np.square(robustness.damaged(y, f"mp3 {rate}") - y).mean() for rate in (128, 64, 32)]
    assert errors[0] < errors[1] < errors[2]
    t = np.arange(SR) / SR
    tone = 0.3 * np.sin(2 * np.pi * 440 * t)
    back = robustness.damaged(tone, "mp3 32")
    assert np.square(back - tone).mean() < 0.05 * np.square(tone).mean()  # it begins where it did


def test_excerpts_are_written_once_and_broken_tracks_left_out(tmp_path, monkeypatch, rng):
    monkeypatch.setattr(robustness, "DAMAGE", FAST)
    monkeypatch.setattr(robustness, "KINDS", ("gain 6", "noise 20"))
    monkeypatch.setattr(robustness, "EXCERPT_S", 0.5)
    paths = [
        audio.write(tmp_path / f"{i}.wav", 0.1 * rng.standard_normal(SR), SR) for i in range(3)
    ]
    (tmp_path / "bad.wav").write_bytes(b"no")
    paths = [str(path) for path in [*paths, tmp_path / "bad.wav"]]
    table = robustness.excerpts(paths, tmp_path / "damage", n_jobs=1)
    assert table["row"].tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    assert audio.info(table["path"][0]).seconds == pytest.approx(0.5)
    monkeypatch.setattr(robustness, "damaged", lambda *_: pytest.fail("written again"))
    assert robustness.excerpts(paths, tmp_path / "damage", n_jobs=1).equals(table)
    assert robustness.excerpts(paths, tmp_path / "damage", most=1, n_jobs=1)["row"].nunique() == 1


def _table(tracks: int) -> pd.DataFrame:
    return pd.DataFrame([(row, kind) for row in range(tracks) for kind in (CLEAN, *KINDS)],
                        columns=["row", "kind"])  # fmt: skip


def _heard(z: np.ndarray) -> dict[str, Vectors]:
    return {"one": Vectors(z=z.astype(np.float32), widths=(z.shape[1],))}


def test_an_encoder_that_hears_no_damage_keeps_all_and_a_deaf_one_chance(rng):
    table, tracks = _table(30), rng.normal(size=(30, 4))
    units = np.arange(30)
    steady = robustness.judge(_heard(tracks[table["row"]]), table, units)
    assert {one.key for one in steady} == {f"kept_{kind}" for kind in KINDS} | {"found_copies"}
    assert all(one.mean("one").estimate == 1 for one in steady)
    deaf = robustness.judge(_heard(rng.normal(size=(len(table), 4))), table, units)
    kept = [one.mean("one").estimate for one in deaf if one.key.startswith("kept")]
    assert 0.1 < np.mean(kept) < 0.35  # 5 / 29, and more as some lie near all


def test_a_probe_of_clean_sound_is_right_about_damage_that_is_not_heard(rng):
    labels = np.array(list("ab") * 15)
    table = _table(30)
    z = (labels[table["row"]] == "a")[:, None] + 0.01 * rng.normal(size=(len(table), 2))
    z[table["kind"] == "gain 20"] = rng.normal(size=(30, 2))
    curve = robustness.probe_accuracy(_heard(z), table, labels, np.arange(30)).loc["one"]
    assert curve.drop("gain 20").eq(1).all() and curve["gain 20"] < 0.8
