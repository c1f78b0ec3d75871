"""Models put into the package: in 16 bits, measured again, with cards."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from helpers.models import SMALL, untrained

from musiclatent import config, studies
from musiclatent.analysis.statistics import Interval
from musiclatent.apps import shipping
from musiclatent.errors import CheckpointError
from musiclatent.latents import shipped
from musiclatent.models.vae import VAE
from musiclatent.training import run_folder

WEIGHTS = sorted(path.parent for path in shipped.WEIGHTS.glob("*/config.json"))


def _ended(base: Path, name: str = "waveform-64") -> Path:
    """A model without training where a real training would leave it."""
    place = base / "results/real/waveform/checkpoints" / name
    place.parent.mkdir(parents=True, exist_ok=True)
    folder = untrained(base, SMALL).folder.rename(place)
    (folder / "metrics.json").write_text("{}")
    (folder / "last.ckpt").write_bytes(b"pickled")
    return folder


@pytest.fixture
def figure(monkeypatch) -> list[float]:
    """In place of measuring, which takes data: the figures that come out, one after another."""
    values = [0.5, 0.5001]

    def measure(folder: Path, space: config.Workspace) -> Interval:
        value = values.pop(0)
        return Interval(estimate=value, low=value - 0.1, high=value + 0.1, units=9)

    monkeypatch.setattr(shipping, "measure", measure)
    return values


def test_a_model_goes_into_the_package_in_16_bits_with_its_card(tmp_path, figure):
    folder, target = _ended(tmp_path), tmp_path / "weights"
    results = tmp_path / "results"
    written, missing = shipping.ship(["waveform-64"], results=results, target=target)
    assert written == [target / "waveform-64"] and not missing
    names = {path.name for path in written[0].iterdir()}
    assert names == {"config.json", "model.safetensors", "README.md"}
    sizes = [(f / "model.safetensors").stat().st_size for f in (folder, written[0])]
    assert sizes[1] < 0.6 * sizes[0]
    about = run_folder.read_config(written[0])
    assert about["figures"] == {"test_mse": 0.5001, "test_mse_low": 0.4001, "test_mse_high": 0.6001}
    assert about["card"]["bits"] == 16 and about["experiment"] == SMALL.name
    run_folder.load_model(written[0])


def test_a_card_is_yaml_and_says_what_it_stands_on(tmp_path, figure):
    _ended(tmp_path)
    [folder], _ = shipping.ship(
        ["waveform-64"], results=tmp_path / "results", target=tmp_path / "weights"
    )
    _, header, body = (folder / "README.md").read_text().split("---\n", 2)
    top = yaml.safe_load(header)
    assert top["license"] == "other" and top["library_name"] == "musiclatent"
    [metric] = top["model-index"][0]["results"][0]["metrics"]
    assert metric == {"type": "test_mse", "value": 0.5001}
    for words in (
        "0.4001 to 0.6001", "9 held-out recordings", "as it was trained, in 32, the figure is 0.5.",
        "make reproduce STUDY=waveform EXPERIMENT=waveform-64 PROFILE=real", "none stated",
        "Not for",
    ):  # fmt: skip
        assert words in body


def test_a_figure_that_moves_keeps_its_32_bits(tmp_path, figure):
    figure[1:] = [0.502, 0.5]
    folder = _ended(tmp_path)
    [written], _ = shipping.ship(
        ["waveform-64"], results=tmp_path / "results", target=tmp_path / "weights"
    )
    sizes = [(f / "model.safetensors").stat().st_size for f in (folder, written)]
    assert sizes[0] == sizes[1] and run_folder.read_config(written)["card"]["bits"] == 32


@pytest.mark.parametrize(
    ("study", "before", "after", "worse"),
    [("genre", 0.5, 0.4, 0.1), ("mel", 0.4, 0.5, -0.1), ("waveform", 0.5, 0.6, 0.2)],
)
def test_an_accuracy_gets_worse_downwards_and_an_error_upwards(study, before, after, worse):
    one, other = (Interval(estimate=x, low=0, high=1, units=2) for x in (before, after))
    assert shipping._worse(one, other, study) == pytest.approx(worse)


def test_what_is_not_trained_is_named_with_its_command_and_the_rest_is_shipped(tmp_path, figure):
    _ended(tmp_path)
    names = ["mel-crnn-6", "waveform-64", "genre-joint"]
    written, missing = shipping.ship(
        names, results=tmp_path / "results", target=tmp_path / "weights"
    )
    assert [path.name for path in written] == ["waveform-64"]
    command = "make reproduce STUDY=mel EXPERIMENT=mel-crnn-6 PROFILE=real"
    assert missing["mel-crnn-6"] == command and "STUDY=genre" in missing["genre-joint"]
    with pytest.raises(ValueError, match="there is no model named 'tea'"):
        shipping.ship(["tea"], results=tmp_path, target=tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_too_much_is_refused(tmp_path, figure, monkeypatch):
    _ended(tmp_path)
    monkeypatch.setattr(shipping, "MOST_MB", 0.001)
    with pytest.raises(CheckpointError, match="more than 0.001; ship fewer"):
        shipping.ship(["waveform-64"], results=tmp_path / "results", target=tmp_path / "weights")


def test_fewer_components_are_the_first_ones():
    torch.manual_seed(0)
    options = {"latent": 2, "channels": [4], "band_strides": [2], "time_strides": [2]}
    model = VAE(**options, bins=8, frames=4, components=6, hidden=5).eval()
    with torch.no_grad():  # the last two move nothing
        model.components.down.weight[4:] = 0
        model.components.down.bias[4:] = 0
        model.components.up.weight[:, 4:] = 0
    x = torch.rand(3, 1, 8, 4)
    smaller = shipping.fewer_components(model, 4)
    assert smaller.components.down.weight.shape == (4, 32)
    with torch.no_grad():
        np.testing.assert_allclose(smaller(x).x_hat, model(x).x_hat, atol=1e-6)


@pytest.mark.real
@pytest.mark.parametrize("folder", WEIGHTS, ids=lambda folder: folder.name)
def test_the_figure_of_a_card_comes_out_again(folder, data_root, tmp_path, monkeypatch):
    monkeypatch.setenv("MUSICLATENT_DATA", str(data_root))
    card = shipped.CARDS[folder.name]
    space = config.Workspace(profile="real", study=card["study"], results=str(tmp_path))
    stated = run_folder.read_config(folder)["figures"]
    found = shipping.measure(folder, space).named(card["figure"])
    assert set(found) == set(stated)
    for key, value in stated.items():
        assert found[key] == pytest.approx(value, abs=0.002)
    assert studies.STUDIES[card["study"]].experiments[folder.name]
    shutil.rmtree(tmp_path)
