"""Questions about rebuilt sound."""

import numpy as np
import pandas as pd
import pytest
from helpers.models import untrained, waveform_experiment

from musiclatent import audio
from musiclatent.apps import listening_test
from musiclatent.apps.listening import codings
from musiclatent.audio.windows import Waveform

SR = 8000


@pytest.fixture
def sounds(tmp_path):
    """Three excerpts of music and one of speech; a model that keeps all, and one that does not."""
    options = {"all": {"maps": 16, "stride": 16}, "half": {"maps": 8, "stride": 16}}
    runs = {
        name: untrained(tmp_path, waveform_experiment("LinearBlocks", sizes, name))
        for name, sizes in options.items()
    }
    t = np.arange(SR // 2) / SR
    tones = [(0.5 * np.sin(2 * np.pi * hz * t)).astype(np.float32) for hz in (200, 300, 400, 500)]
    how = {"transform": Waveform(SR, 1.0), "folder": tmp_path / "secret"}
    return codings.render(runs, tones[:3], tones[3:], **how)


def test_every_excerpt_is_written_in_every_coding(sounds):
    assert codings.names(sounds) == ["original", "all", "half"]
    assert sounds["kind"].tolist() == ["music"] * 9 + ["speech"] * 3
    assert sounds["end_s"].eq(0.5).all() and sounds["start_s"].eq(0).all()
    original, kept, half = (audio.read(path)[0] for path in sounds["path"][:3])
    np.testing.assert_allclose(kept, original, atol=2e-4)
    assert np.abs(half - original).max() > 0.1
    assert len(set(sounds["item_id"])) == 12 - 4  # what is the same sound has the same name


def test_each_sound_is_asked_about_once_and_each_coding_in_one_pair(sounds):
    key = codings.questions(sounds)
    assert list(key.columns) == listening_test.KEY
    assert key.groupby("kind").size().to_dict() == {"same": 3, "whole": 9, "words": 3}
    assert sorted(key.loc[key["kind"] == "whole", "candidate"]) == list(range(9))
    names = codings.names(sounds)
    for row in key.itertuples():
        played = sounds.iloc[row.candidate]
        assert names[row.cluster] == played["coding"]
        assert row.truth == (played["coding"] == "original") and row.second == -1
        assert (played["kind"] == "speech") == (row.kind == "words")
        if row.kind == "same":
            first = sounds.iloc[row.first]
            assert first["coding"] == "original" and first["excerpt"] == played["excerpt"]
    orders = {tuple(codings.questions(sounds, seed=s)["candidate"]) for s in range(5)}
    assert len(orders) == 5 and codings.questions(sounds).equals(key)
    other = sounds.assign(item_id="another sound")
    assert codings.questions(other)["question"][0] != key["question"][0]


def test_the_page_plays_them_and_names_no_coding(sounds, tmp_path):
    key = codings.questions(sounds)
    target = tmp_path / "listen.html"
    listening_test.page(target, key, sections=sounds, sr=SR, title=codings.TITLE)
    html = target.read_text("utf-8")
    for word in ("secret", "half", "original", "coding", "truth", ".wav"):
        assert word not in html.replace("original.y", ""), word


def test_what_listeners_say_of_each_coding_has_its_interval(sounds):
    key = codings.questions(sounds)
    rows = [
        (name, row.question, bool(row.cluster < 2))  # all hear what was lost
        for name in ("Ann", "Bob")
        for row in key.itertuples()
    ]
    answers = pd.DataFrame(rows, columns=["rater", "question", "answer"])
    table = listening_test.agreement(answers, key)
    assert table.loc[table["cluster"] == -1, "kind"].tolist() == ["same", "whole", "words"]
    assert table["kappa"].dropna().eq(1).all() and table["cohens_kappa"].dropna().eq(1).all()
    said = codings.opinions(table, codings.names(sounds)).set_index(["kind", "coding"])
    assert said["n"].loc["whole"].tolist() == [6, 6, 6]
    assert said["yes"].loc["whole"].tolist() == [1, 1, 0]
    assert said["low"].loc[("whole", "original")] == pytest.approx(0.6097, abs=1e-4)  # Wilson, 6/6
    assert said["high"].loc[("whole", "half")] == pytest.approx(0.3903, abs=1e-4)


def test_without_music_nothing_is_asked(tmp_path):
    with pytest.raises(ValueError, match="there is no music to listen to; give one excerpt"):
        codings.render({}, [], [], transform=Waveform(SR, 1.0), folder=tmp_path)
