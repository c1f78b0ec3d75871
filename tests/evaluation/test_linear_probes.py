import numpy as np
import pandas as pd
import pytest

from musiclatent.config import PROFILES
from musiclatent.data import splits, synthetic
from musiclatent.evaluation import linear_probes


@pytest.fixture
def songs(rng) -> pd.DataFrame:
    return pd.DataFrame({
        "split": np.repeat(["train", "validation", "test"], [120, 20, 20]),
        "group": [f"song{i // 2}" for i in range(160)],
        "tempo": rng.uniform(60, 180, 160),
        "brightness": rng.random(160),
        "key": rng.choice(["C", "F#", "A#"], 160),
        "mode": rng.choice(["major", "minor"], 160),
        "style": rng.choice(["tango", "waltz", "march"], 160),
    })  # fmt: skip


def _holding(items: pd.DataFrame, names: list[str], width: int, rng) -> np.ndarray:
    """Latents that hold some factors linearly, turned into `width` numbers."""
    known = pd.get_dummies(items[names]).to_numpy(float)
    known = (known - known.mean(axis=0)) / known.std(axis=0)
    return known @ np.linalg.qr(rng.standard_normal((width, width)))[0][: known.shape[1]]


@pytest.mark.parametrize("width", [12, 400])
def test_what_latents_hold_is_read_and_what_they_do_not_is_not(songs, rng, width):
    z = _holding(songs, ["tempo", "mode", "style"], width, rng)
    table = linear_probes.probe(z + 0.01 * rng.standard_normal(z.shape), songs)
    assert list(table.columns) == ["factor", "kind", "score", "chance", "n_test"]
    rows = table.set_index("factor")
    assert list(rows.index) == list(linear_probes.FACTORS) and (rows["n_test"] == 40).all()
    assert rows["score"]["tempo"] > 0.97
    assert rows["score"]["mode"] == 1 and rows["score"]["style"] > 0.97
    assert rows["score"]["brightness"] < 0.2 and rows["score"]["key"] < 0.6
    assert rows["chance"]["tempo"] <= 0 and 0.3 < rows["chance"]["mode"] < 0.7


def test_the_same_latents_give_the_same_table_in_any_unit(songs, rng):
    z = _holding(songs, ["tempo", "mode"], 12, rng)
    factors = {"tempo": "number", "mode": "class"}
    table = linear_probes.probe(z, songs, factors)
    other = linear_probes.probe(z * 1000 + 5, songs, factors)
    pd.testing.assert_frame_equal(other, table, atol=1e-6)


def test_rows_with_an_unknown_factor_are_left_out(songs, rng):
    songs.loc[:9, "tempo"] = np.nan
    songs.loc[150:, "tempo"] = np.nan
    songs.loc[155:, "key"] = ""
    z = _holding(songs.fillna(100.0), ["tempo"], 12, rng)
    rows = linear_probes.probe(z, songs, {"tempo": "number", "key": "class"}).set_index("factor")
    assert rows["n_test"].to_dict() == {"tempo": 30, "key": 35} and rows["score"]["tempo"] > 0.97


def test_a_factor_that_cannot_be_learned_has_no_score(songs, rng):
    songs["mode"] = "major"
    rows = linear_probes.probe(rng.standard_normal((160, 3)), songs, {"mode": "class"})
    assert rows[["score", "chance"]].isna().all(axis=None) and rows["n_test"][0] == 40


def test_what_cannot_be_probed_is_refused(songs, rng):
    z = rng.standard_normal((160, 3))
    with pytest.raises(ValueError, match="159 latents but 160 items"):
        linear_probes.probe(z[1:], songs)
    with pytest.raises(ValueError, match="no column 'loudness'"):
        linear_probes.probe(z, songs, {"loudness": "number"})
    with pytest.raises(ValueError, match="no kind of factor named 'colour'; choose one of"):
        linear_probes.probe(z, songs, {"tempo": "colour"})
    with pytest.raises(ValueError, match="group 'song0' is in two parts; split the corpus"):
        linear_probes.probe(z, songs.assign(group="song0"))
    with pytest.raises(ValueError, match="160 rows to learn from and 0 to score on"):
        linear_probes.probe(z, songs.assign(split="train"))
    with pytest.raises(ValueError, match="NaN or infinity"):
        linear_probes.probe(z * np.nan, songs)


def test_the_factors_of_the_demo_corpus(tmp_path, rng):
    items = synthetic.render("music", PROFILES["tiny"].demo, tmp_path, seed=0, n_jobs=1)
    items["split"] = splits.by_group(items)
    z = _holding(items, list(linear_probes.FACTORS), 64, rng)
    rows = linear_probes.probe(z, items).set_index("factor")
    assert rows["score"].notna().all() and (rows["n_test"] >= 2).all()
    assert rows["score"]["mode"] > rows["chance"]["mode"]
