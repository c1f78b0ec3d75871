import json

import pytest
from matplotlib.figure import Figure

from musiclatent import config
from musiclatent.apps.session import open_study


@pytest.fixture
def session(tmp_path):
    return open_study("02_train_autoencoders", "waveform", "all", "tiny", "", str(tmp_path))


def test_a_session_has_the_study_with_the_sizes_of_the_profile(session):
    assert session.plan.name == "waveform" and session.profile == config.profile("tiny")
    assert session.data.names == session.plan.demo and session.data is session.data
    assert session.space.base.name == "tiny"


def test_all_that_a_notebook_leaves_is_named_after_it(session):
    session.save_figure(Figure(), "curves")
    assert (session.space.path("figures") / "02_curves.png").stat().st_size > 100
    path = session.save_metrics({"b": 1.0, "a": "x"})
    assert path == session.space.path("metrics") / "02_train_autoencoders.json"
    assert json.loads(path.read_text()) == {"a": "x", "b": 1.0}
    assert session.label("voice") == "02_voice"


def test_the_run_is_that_of_the_row_that_was_asked_for(tmp_path, monkeypatch):
    monkeypatch.setattr(
        "musiclatent.training.fit.ensure",
        lambda row, data, space: (row.name, data.names, space.study),
    )
    results = str(tmp_path)
    session = open_study("05_x", "waveform", "waveform-32", "tiny", results=results)
    assert session.run == ("waveform-32", ("demo-music",), "waveform")
    chosen = open_study("05_x", "waveform", "all", "tiny", results=results)
    assert chosen.run[0] == "waveform-64"
    assert chosen.train(chosen.plan.experiment("waveform-128"))[0] == "waveform-128"


@pytest.mark.parametrize(
    ("names", "reason"),
    [
        (("wave", "all", "tiny"), "no study named 'wave'"),
        (("waveform", "waveform-3", "tiny"), "no experiment of the study waveform named"),
        (("waveform", "all", "small"), "no profile named 'small'"),
    ],
)
def test_names_that_do_not_exist_are_refused_before_anything_is_made(tmp_path, names, reason):
    with pytest.raises(ValueError, match=reason):
        open_study("02_train_autoencoders", *names, results=str(tmp_path))
    assert not list(tmp_path.iterdir())


def test_a_demo_trains_the_rows_that_are_compared_and_those_beside_them(tmp_path):
    def rows(profile, study="waveform", experiment="all"):
        session = open_study("02_x", study, experiment, profile, results=str(tmp_path))
        return [row.name for row in session.rows]

    sizes = ["waveform-32", "waveform-64", "waveform-128"]
    assert rows("demo") == rows("tiny") == [*sizes, "waveform-linear-64"]
    assert rows("demo", "mel") == ["mel-cae-1", "mel-triplet-1", "mel-crnn-6"]
    assert rows("demo", experiment="waveform-pooling") == ["waveform-pooling"]
    assert set(rows("demo")) < set(rows("real"))
