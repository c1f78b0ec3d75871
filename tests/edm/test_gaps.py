"""Silences inside the seconds of a collection of tracks."""

import numpy as np
import pandas as pd
import pytest

from musiclatent import audio, studies
from musiclatent.config import Workspace
from musiclatent.data import cache
from musiclatent.edm import collection, gaps

SR = 44_100


@pytest.fixture
def tracks(tmp_path, monkeypatch):
    """Noise of 17.5 s, 200 ms of its fourth second silent; and a short track without silence."""
    monkeypatch.setenv("MUSICLATENT_HOME", str(tmp_path))
    build = cache.build
    alone = lambda *args, **options: build(*args, **options | {"n_jobs": 1})  # noqa: E731
    monkeypatch.setattr(cache, "build", alone)
    folder, rng = tmp_path / "own", np.random.default_rng(0)
    folder.mkdir()
    for name, seconds in (("a", 17.5), ("b", 4.0)):
        y = 0.3 * rng.uniform(-1, 1, round(seconds * SR))
        if name == "a":
            y[3 * SR + SR // 10 : 3 * SR + 3 * SR // 10] = 0
        audio.write(folder / f"{name}.wav", y, SR)
    space = Workspace(profile="tiny", study="edm", corpus=str(folder))
    return collection.collect(studies.study("edm", "tiny"), space)


def test_each_whole_second_has_its_gaps(tracks):
    seconds = gaps.measure(tracks)
    assert seconds.groupby("item_id").size().to_dict() == {"a.wav": 15, "b.wav": 4}
    found = seconds.set_index(["item_id", "start_s"])
    assert found["gaps"].sum() == 1 and found.loc[("a.wav", 3.0), "gaps"] == 1
    assert found.loc[("a.wav", 3.0), "silent_share"] == pytest.approx(0.2, abs=0.003)
    assert (seconds["end_s"] - seconds["start_s"] == 1).all()


def test_sections_average_their_seconds_and_others_look_theirs_up(tracks):
    seconds = gaps.measure(tracks)
    means = gaps.by_section(seconds, len(tracks.sections))
    row = tracks.sections.index[tracks.sections["item_id"] == "a.wav"][0]
    assert means["gaps_per_s"][row] == pytest.approx(1 / 15)
    items = pd.DataFrame({"item_id": ["a.wav", "a.wav", "no.wav"], "start_s": [2.88, 3.9, 0.0]})
    share = gaps.share_at(seconds, items)
    assert share[0] == pytest.approx(0.2, abs=0.003) and share[1] == 0 and np.isnan(share[2])
    with pytest.raises(ValueError, match="seconds lack"):
        gaps.by_section(seconds.drop(columns="gaps"), 1)
