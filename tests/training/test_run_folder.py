"""The two files of a model: what they say, and what is refused in one sentence."""

import hashlib
import json
import pickle
import shutil
from dataclasses import replace

import pytest
import torch
from helpers.models import MEL, SMALL, stored_mel, untrained
from safetensors.torch import load_file, save_file

from musiclatent import models, studies
from musiclatent.audio.windows import Waveform
from musiclatent.data import datamodules
from musiclatent.errors import CheckpointError
from musiclatent.features.mel import LogMel
from musiclatent.files import write_json
from musiclatent.training import run_folder
from musiclatent.training.run_folder import (
    amend_config,
    load_model,
    read_config,
    read_run,
    read_transform,
    write_model,
)


@pytest.fixture
def folder(tmp_path):
    return stored_mel(tmp_path).folder


def _ended(folder):
    write_json(folder / "curves.json", [{"epoch": 0, "train_mse": 1.0}])
    write_json(folder / "metrics.json", {"test_mse": 0.5})
    return folder


def test_a_run_that_ended_is_read_and_one_that_did_not_names_the_command(folder):
    command = "make reproduce STUDY=mel EXPERIMENT=mel-small-3"
    with pytest.raises(CheckpointError, match=f"has not been trained in .*{command}"):
        read_run(MEL, folder)
    run = read_run(MEL, _ended(folder))
    assert run.status == "reused" and run.metrics == {"test_mse": 0.5}
    assert run.curves["train_mse"].tolist() == [1.0] and run.folder == folder
    assert run.sha256 == hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()


@pytest.mark.parametrize("change", [{"latent": 8}, {"batch_norm": False}])
def test_a_run_of_other_options_is_not_taken_for_the_experiment(folder, change):
    other = replace(MEL, name="mel-other", options=MEL.options | change)
    with pytest.raises(CheckpointError, match="was not made by mel-other; delete it and make it"):
        read_run(other, _ended(folder))


def test_a_folder_describes_its_model(tmp_path):
    transform = LogMel(sr=8000, window_s=0.25, n_fft=256, hop_length=64, n_mels=16)
    model = models.MODELS[MEL.model](**MEL.options, learning_rate=0.5, total_steps=9)
    write_model(tmp_path / "a", model, transform=transform, labels=["x", "y"], data="d")
    config = json.loads((tmp_path / "a" / "config.json").read_text())
    assert config["options"].items() >= MEL.options.items()
    assert not {"learning_rate", "total_steps"} & set(config["options"])
    assert (config["sr"], config["window_s"], config["labels"]) == (8000, 0.25, ["x", "y"])
    kind = {"kind": "logmel", "n_fft": 256, "hop_length": 64, "n_mels": 16, "top_db": 80.0}
    assert config["transform"] == kind and config["musiclatent"] and config["torch"]
    assert read_transform(tmp_path / "a") == transform
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == [
        "config.json",
        "model.safetensors",
    ]


@pytest.mark.parametrize("study", studies.STUDIES)
def test_every_transform_of_a_study_comes_back(tmp_path, study):
    transform = datamodules.transform(studies.study(study))
    run = untrained(tmp_path, transform=transform)
    assert read_transform(run.folder) == transform


@pytest.mark.parametrize("name", models.MODELS)
def test_every_model_comes_back_from_its_two_files(tmp_path, name):
    row = replace(SMALL, model=name, options={})
    run = untrained(tmp_path, row)
    assert type(run.load()).__name__ == name
    assert read_run(row, _ended(run.folder)).sha256 == run.sha256


def test_what_is_loaded_is_what_was_stored(tmp_path):
    torch.manual_seed(3)
    model = models.MODELS[MEL.model](**MEL.options)
    write_model(tmp_path / "a", model, transform=LogMel(n_mels=16))
    found = load_model(tmp_path / "a")
    assert not found.training and type(found) is type(model)
    for key, value in model.state_dict().items():
        assert torch.equal(found.state_dict()[key], value)


def test_weights_in_16_bits_are_loaded_in_32(folder):
    weights = {name: value.half() for name, value in load_file(_weights(folder)).items()}
    _replace(folder, lambda path: save_file(weights, path))
    state = load_model(folder).state_dict()
    for name, value in weights.items():
        assert state[name].dtype != torch.float16 or not value.is_floating_point()
        torch.testing.assert_close(state[name].float(), value.float())


def _weights(folder):
    return folder / "model.safetensors"


def _replace(folder, write) -> None:
    """Put other weights in a folder, with their hash."""
    write(_weights(folder))
    config = json.loads((folder / "config.json").read_text())
    config["sha256"] = hashlib.sha256(_weights(folder).read_bytes()).hexdigest()
    write_json(folder / "config.json", config)


class Hostile:
    def __reduce__(self):
        return (open, ("pwned", "w"))


def _refused(folder, words: str) -> None:
    with pytest.raises(CheckpointError, match=words) as caught:
        load_model(folder)
    assert "\n" not in str(caught.value) and str(folder) in str(caught.value)


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_folder_with_one_of_the_two_files_is_refused(folder, name):
    (folder / name).unlink()
    _refused(folder, f"holds no whole model \\({name} missing\\); make it anew with: make repr")


def test_an_empty_folder_and_none_are_refused(tmp_path):
    _refused(tmp_path, r"config.json and model.safetensors missing")
    _refused(tmp_path / "nothing", "copy both files of a model there")


def test_a_folder_of_an_older_version_names_the_command(tmp_path):
    write_json(tmp_path / "metrics.json", {})
    write_json(tmp_path / "run.json", {"experiment": {"name": "mel-crnn-6"}})
    words = "an older version; make it anew with: make reproduce STUDY=mel EXPERIMENT=mel-crnn-6"
    _refused(tmp_path, words)


@pytest.mark.parametrize("size", [0, 10, -1])
def test_weights_of_another_hash_are_refused(folder, size):
    content = _weights(folder).read_bytes()
    _weights(folder).write_bytes(content[:size])
    _refused(folder, r"is not the file that config.json describes \(its sha256 begins with")


@pytest.mark.parametrize("content", [b"", b"{", b"3", b"\xff\xfe", b"null", b'{"format": 1}'])
def test_a_broken_config_is_refused(folder, content):
    (folder / "config.json").write_bytes(content)
    _refused(folder, r"config.json (cannot be read|lacks .*window_s)")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"model": "Unknown"}, "names the model 'Unknown', which this version does not have; it"),
        ({"model": ["VAE"]}, "names the model"),
        ({"format": 2}, "has the format 2 of a later version and this one reads 1; install a newe"),
        ({"format": "2"}, "config.json cannot be read"),
        ({"transform": {"kind": "cqt"}}, "names the transform 'cqt', which this version does not"),
        ({"transform": None}, "names the transform None"),
        ({"options": {"latent": "wide"}}, "MelAutoencoder does not take its options"),
        ({"options": {"unknown": 1}}, "MelAutoencoder does not take its options"),
        ({"options": None}, "MelAutoencoder does not take its options"),
        ({"options": MEL.options | {"latent": 8}}, "of shape .* and MelAutoencoder takes"),
        ({"options": MEL.options | {"batch_norm": False}}, "of shape .* and MelAutoencoder takes"),
        ({"model": "WaveformAutoencoder", "options": {}}, "of shape .* and WaveformAutoencoder t"),
    ],
)
def test_a_config_that_does_not_fit_is_refused(folder, change, words):
    config = json.loads((folder / "config.json").read_text())
    write_json(folder / "config.json", config | change)
    _refused(folder, words)


@pytest.mark.parametrize(
    "change",
    [{"sr": "fast"}, {"sr": 0}, {"window_s": None}, {"transform": {"kind": "logmel", "bands": 3}}],
)
def test_a_transform_that_cannot_be_made_is_refused(folder, change):
    amend_config(folder, **change)
    with pytest.raises(CheckpointError, match="its transform cannot be made"):
        read_transform(folder)


@pytest.mark.parametrize("kind", ["pickle", "torch", "text", "empty"])
def test_what_is_no_safetensors_is_refused_even_with_its_hash(folder, tmp_path, monkeypatch, kind):
    monkeypatch.chdir(tmp_path)
    contents = {"pickle": pickle.dumps(Hostile()), "text": b"weights", "empty": b""}
    if kind == "torch":
        _replace(folder, lambda path: torch.save(Hostile(), path))
    else:
        _replace(folder, lambda path: path.write_bytes(contents[kind]))
    _refused(folder, r"model.safetensors is no safetensors file \(.*\), and nothing else is loaded")
    assert not (tmp_path / "pwned").exists()


def test_weights_that_are_missing_or_too_many_are_refused(folder, tmp_path):
    weights = load_file(_weights(folder))
    name, other = sorted(weights)[0], shutil.copytree(folder, tmp_path / "other")
    fewer = {key: value for key, value in weights.items() if key != name}
    _replace(folder, lambda path: save_file(fewer, path))
    _refused(folder, f"holds '{name}' of shape None and MelAutoencoder takes")
    _replace(other, lambda path: save_file(weights | {"zzz": torch.zeros(1)}, path))
    _refused(other, "holds 'zzz' of shape \\(1,\\) and MelAutoencoder takes None")


def test_values_are_added_to_what_a_folder_says(folder):
    amend_config(folder, temperature=1.5)
    config = read_config(folder)
    assert config["temperature"] == 1.5 and config["experiment"] == "mel-small-3"


def test_a_command_is_named_for_what_a_study_trains():
    assert run_folder.command("waveform-64") == (
        "make reproduce STUDY=waveform EXPERIMENT=waveform-64"
    )
    assert run_folder.command("judge-ear") == "make reproduce"


def test_a_model_without_a_name_is_kept_too(tmp_path):
    model = models.MODELS["WaveformAutoencoder"](maps=2)
    write_model(tmp_path / "mine", model, transform=Waveform(8000, 0.5))
    assert load_model(tmp_path / "mine").hparams["maps"] == 2
