from pathlib import Path

import pytest

from musiclatent import config
from musiclatent.config import PROFILES, Training, Workspace


def test_profiles_and_what_an_unknown_one_says():
    assert set(PROFILES) == {"tiny", "demo", "real", "paper"}
    assert config.profile("demo").demo is not None and config.profile("real").demo is None
    assert config.profile("demo").rendered is None and config.profile("real").rendered.repeats == 4
    with pytest.raises(ValueError, match="no profile named 'huge'; choose one of: tiny, demo"):
        config.profile("huge")


def test_home_is_the_checkout_from_any_folder_inside(monkeypatch):
    checkout = Path(__file__).resolve().parents[1]
    monkeypatch.delenv("MUSICLATENT_HOME", raising=False)
    monkeypatch.chdir(checkout / "tests")
    assert config.home() == checkout


def test_data_root_is_absolute_and_relative_to_the_checkout(monkeypatch, tmp_path):
    monkeypatch.setenv("MUSICLATENT_HOME", str(tmp_path))
    monkeypatch.setenv("MUSICLATENT_DATA", "sets/music")
    assert config.data_root() == tmp_path / "sets" / "music"
    monkeypatch.setenv("MUSICLATENT_DATA", "/elsewhere")
    assert config.data_root() == Path("/elsewhere")
    monkeypatch.delenv("MUSICLATENT_DATA")
    assert config.data_root() == tmp_path / "data"


def test_a_folder_of_ones_own_gets_results_of_its_own(tmp_path):
    plain = Workspace(profile="demo", study="waveform", results=str(tmp_path))
    own = Workspace(
        profile="demo", study="waveform", corpus="/music/My Songs'", results=str(tmp_path)
    )
    assert plain.base == tmp_path / "demo" and own.base.name.startswith("demo-My-Songs-")
    assert own.make("metrics").is_dir() and own.path("metrics").parts[-2] == "waveform"


def test_a_folder_that_is_only_named_is_not_made(tmp_path):
    space = Workspace(profile="demo", study="waveform", results=str(tmp_path))
    assert space.path("latents", "x") == tmp_path / "demo" / "waveform" / "latents" / "x"
    assert not list(tmp_path.iterdir())
    assert space.make("latents", "x") == space.path("latents", "x") and space.path().is_dir()


def test_two_folders_of_the_same_name_do_not_share_results(tmp_path):
    first = Workspace(profile="demo", study="waveform", corpus="/a/songs", results=str(tmp_path))
    second = Workspace(profile="demo", study="waveform", corpus="/b/songs", results=str(tmp_path))
    assert first.base != second.base


@pytest.mark.parametrize(("factor", "epochs"), [(1.0, 6), (0.5, 3), (0.0, 1)])
def test_epochs_are_a_share_of_the_profile(factor, epochs):
    training = Training(epoch_factor=factor)
    assert (
        training.epochs(config.Profile(name="x", demo=None, epochs={"waveform": 6}), "waveform")
        == epochs
    )
