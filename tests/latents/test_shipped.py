"""Models by their names: trained here, come with the package, fetched."""

from pathlib import Path

import pytest
from helpers.models import MEL, SMALL, untrained

from musiclatent import studies
from musiclatent.data import datamodules
from musiclatent.errors import CheckpointError
from musiclatent.features.mel import LogMel
from musiclatent.latents import hub, shipped
from musiclatent.latents.encoder import list_encoders, load_encoder
from musiclatent.training import run_folder


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    """An empty checkout, whose package brings nothing and whose user fetched nothing."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MUSICLATENT_HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(shipped, "WEIGHTS", tmp_path / "weights")
    return tmp_path


def _put(folder: Path, seed: int = 0, experiment=SMALL) -> Path:
    """Put a model without training at a place."""
    made = untrained(folder.parent, experiment, seed=seed).folder
    return made.rename(folder)


def test_what_was_trained_on_real_music_comes_first_then_what_is_shipped_then_the_demo(home):
    name = SMALL.name
    demo = _put(home / "results/demo/waveform/checkpoints" / name, seed=1)
    assert shipped.find(name) == demo
    fetched = _put(hub.fetched_home() / "me" / name, seed=2)
    assert shipped.find(name) == demo  # what was fetched has its owner in its name
    package = _put(home / "weights" / name, seed=3)
    assert shipped.find(name) == package
    real = _put(home / "results/real/waveform/checkpoints" / name, seed=4)
    assert shipped.find(name) == real
    names = [(place.name, place.origin) for place in shipped.places()]
    others = [(name, "shipped"), (f"hub:me/{name}", "fetched"), (name, "demo")]
    assert names == [(name, "real"), *others]
    assert shipped.find(f"hub:me/{name}") == fetched
    assert list_encoders()["profile"].tolist() == ["real", "shipped", "fetched", "demo"]
    assert load_encoder(name).sr == 8000


def test_a_folder_is_taken_before_a_name(home):
    place = _put(home / "model")
    assert shipped.find("model") == Path("model") and shipped.find(place) == place


def test_a_name_that_is_none_names_the_places_and_the_command(home):
    words = "'waveform-64' is neither a folder nor a model trained below .*results, and none that "
    words += "comes with the package; train one with: make reproduce STUDY=waveform EXPERIMENT"
    with pytest.raises(CheckpointError, match=words):
        shipped.find("waveform-64")


@pytest.mark.parametrize("study", ["waveform", "mel", "digits", "jazz", "genre"])
def test_a_folder_alone_gives_the_study_as_it_was(home, study):
    plan = studies.study(study, "real")
    transform = datamodules.transform(plan)
    run = untrained(home, SMALL, transform=transform)
    run_folder.amend_config(run.folder, study=study, figures={"test_mse": 0.5})
    found, opened = shipped.open_run(run.folder)
    assert found.name == study and datamodules.transform(found) == transform
    assert opened.metrics == {"test_mse": 0.5} and opened.sha256 == run.sha256
    assert (opened.experiment.model, opened.experiment.name) == (SMALL.model, SMALL.name)


def test_a_model_of_no_study_opens_too(home):
    run = untrained(home, MEL, transform=LogMel(sr=8000, window_s=0.5, n_mels=16))
    run_folder.amend_config(run.folder, study="mine")
    plan, _ = shipped.open_run(run.folder)
    assert plan.name == "mine" and datamodules.transform(plan).n_mels == 16


def test_the_results_that_a_model_was_trained_in_are_known_by_its_place(home):
    inside = _put(home / "results/demo/waveform/checkpoints" / SMALL.name)
    space = shipped.workspace(inside)
    assert space.path("checkpoints", SMALL.name) == inside and space.profile == "demo"
    for place in ("weights", "results/own/waveform/checkpoints", "results/demo/tea/checkpoints"):
        assert shipped.workspace(home / place / "a") is None


def test_the_table_states_what_one_chooses_by(home):
    _put(home / "results/demo/waveform/checkpoints/plain")
    card = {"short_data": "some songs", "data_licence": "none stated"}
    figures = {"test_mse": 0.25, "test_mse_low": 0.2, "test_mse_high": 0.3}
    run_folder.amend_config(_put(home / "weights/small"), card=card, figures=figures)
    _put(home / "weights/broken").joinpath("model.safetensors").unlink()
    table = shipped.table().set_index("name")
    assert table.loc["small", "figure"] == "test_mse 0.25 [0.2, 0.3]"
    assert table.loc["small", ["data", "licence"]].tolist() == ["some songs", "none stated"]
    size = (home / "weights/small/model.safetensors").stat().st_size
    assert table.loc["small", "mb"] == round(size / 1e6, 2)
    assert table.loc["plain", ["data", "figure"]].tolist() == ["demo-music", ""]
    assert "holds no whole model" in table.loc["broken", "figure"]
    assert shipped.shown({"train_mse": 1.0}) == ""


def test_every_model_that_comes_with_the_package_is_one_that_a_study_trains():
    for name, card in shipped.CARDS.items():
        assert name in studies.STUDIES[card["study"]].experiments
        assert all(card[key] for key in ("figure", "data", "data_licence", "use", "limits"))


def test_what_lies_in_the_package_fits_and_is_whole():
    folders = [path.parent for path in shipped.WEIGHTS.glob("*/config.json")]
    files = [path for folder in folders for path in folder.iterdir()]
    assert sum(path.stat().st_size for path in files) <= 25e6
    for folder in folders:
        run_folder.load_model(folder)
        about = run_folder.read_config(folder)
        card = (folder / "README.md").read_text()
        assert folder.name in shipped.CARDS and card.startswith("---\nlicense: ")
        assert about["card"]["command"] in card and about["card"]["data_licence"] in card
