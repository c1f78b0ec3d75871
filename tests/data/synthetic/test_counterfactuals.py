"""One factor differs within a pair and nothing else, and a run that stopped goes on."""

from pathlib import Path

import numpy as np
import pytest

from musiclatent import audio
from musiclatent.config import SR
from musiclatent.data.synthetic import counterfactuals
from musiclatent.data.synthetic.counterfactuals import AS_IT_IS, FACTORS

COLUMNS = {"instrument": "lead", "level": "level_db"}
VALUES = ["tempo", "key", "mode", "brightness", "lead", "level_db"]


@pytest.fixture(scope="module")
def clips(tmp_path_factory):
    return counterfactuals.render(
        tmp_path_factory.mktemp("a") / "c", count=10, seconds=0.5, n_jobs=1
    )


def test_each_score_is_rendered_as_it_is_and_once_per_factor(clips):
    assert len(clips) == 10 * (1 + len(FACTORS)) and clips["item_id"].is_unique
    assert clips.groupby("number")["factor"].agg(set).map(len).eq(7).all()
    assert clips["style"].nunique() == 10
    assert all(audio.info(path).seconds == 0.5 for path in clips["path"])


@pytest.mark.parametrize("factor", FACTORS)
def test_exactly_one_factor_differs(clips, factor):
    before = clips[clips["factor"] == AS_IT_IS].set_index("number")[VALUES]
    after = clips[clips["factor"] == factor].set_index("number")[VALUES]
    differs = before.ne(after)
    column = COLUMNS.get(factor, factor)
    assert differs[column].all() and not differs.drop(columns=column).any(axis=None)


def test_the_direction_says_which_way_a_number_went(clips):
    before = clips[clips["factor"] == AS_IT_IS].set_index("number")
    after = clips[clips["factor"] == "brightness"].set_index("number")
    step = after["brightness"] - before["brightness"]
    np.testing.assert_allclose(step, counterfactuals.BRIGHTER * after["direction"], atol=1e-3)
    assert set(clips["direction"]) == {-1, 0, 1}


def test_another_level_is_the_same_sound_softer(clips):
    of = clips.set_index(["number", "factor"])["path"]
    loud, soft = (audio.read(of[0, factor], SR)[0] for factor in (AS_IT_IS, "level"))
    gain = 10 ** (-counterfactuals.SOFTER_DB / 20)
    np.testing.assert_allclose(soft, gain * loud, atol=1e-4)


def test_a_stopped_run_goes_on_and_more_scores_are_added(tmp_path):
    folder = tmp_path / "c"
    first = counterfactuals.render(folder, count=1, seconds=0.5, n_jobs=1)
    kept, gone = Path(first["path"][0]), Path(first["path"][1])
    stamp, content = kept.stat().st_mtime_ns, gone.read_bytes()
    gone.unlink()
    more = counterfactuals.render(folder, count=2, seconds=0.5, n_jobs=1)
    assert kept.stat().st_mtime_ns == stamp and gone.read_bytes() == content
    assert len(more) == 14
    counterfactuals.render(folder, count=1, seconds=0.6, n_jobs=1)
    assert audio.info(kept).seconds == pytest.approx(0.6)
    assert len(list((folder / "audio").iterdir())) == 7


def test_what_cannot_be_rendered_is_refused(tmp_path):
    with pytest.raises(ValueError, match="0 scores cannot be rendered"):
        counterfactuals.render(tmp_path / "c", count=0)
    (tmp_path / "d" / "audio").mkdir(parents=True)
    with pytest.raises(ValueError, match="holds audio that was not rendered here"):
        counterfactuals.render(tmp_path / "d", count=1)
