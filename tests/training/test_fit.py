import hashlib
import json
import multiprocessing
import os
import pickle
import signal
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from musiclatent import audio, config, models, studies
from musiclatent.audio.windows import Waveform
from musiclatent.config import Experiment, Training, Workspace
from musiclatent.data.datamodules import CorpusDataModule
from musiclatent.errors import CheckpointError
from musiclatent.evaluation import reconstruction
from musiclatent.features.mel import LogMel
from musiclatent.training import fit as fitting
from musiclatent.training import metrics, supervised, trainer
from musiclatent.training import trainer as training_trainer
from musiclatent.training.checkpoints import load_checkpoint
from musiclatent.training.fit import ensure, train_experiment
from musiclatent.training.run_folder import read_run, read_transform
from musiclatent.training.trainer import make_trainer

SMALL = Experiment(
    name="waveform-small",
    study="waveform",
    key="small",
    model="WaveformAutoencoder",
    options={"maps": 8, "kernel_size": 64, "stride": 32, "extra": "none"},
    about="a small one for tests",
    training=Training(learning_rate=1e-2, batch_size=4),
)
LINEAR = Experiment(
    name="waveform-linear-8",
    study="waveform",
    key="linear",
    model="LinearBlocks",
    options={"maps": 8, "stride": 32},
    about="",
    training=Training(),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("music")
    rng = np.random.default_rng(0)
    t = np.arange(8000) / 8000
    for i in range(9):
        y = 0.3 * np.sin(2 * np.pi * rng.uniform(100, 700) * t) + 0.02 * rng.standard_normal(8000)
        audio.write(folder / f"{i}.wav", y, 8000)
    return folder


@pytest.fixture
def data(folder, tmp_path):
    return _data(folder, tmp_path / "cache")


def _data(folder: Path, cache: Path) -> CorpusDataModule:
    transform = Waveform(8000, 0.25)
    return CorpusDataModule(
        names=(str(folder),), folder=cache, root=folder, transform=transform, n_jobs=1
    )


@pytest.fixture(scope="module")
def best(folder, tmp_path_factory) -> Path:
    """A checkpoint of one epoch."""
    place = tmp_path_factory.mktemp("best")
    run = train_experiment(SMALL, _data(folder, place / "cache"), folder=place / "run", epochs=1)
    return run.folder / "best.ckpt"


def test_a_run_leaves_weights_card_curves_and_metrics(data, tmp_path):
    run = train_experiment(SMALL, data, folder=tmp_path / "run", epochs=3)
    assert run.status == "trained" and len(run.curves) == 3
    assert {"train_mse", "validation_mse", "train_sisdr", "validation_mrstft"} <= set(run.curves)
    for split in ("train", "validation", "test"):
        assert all(np.isfinite(run.metrics[f"{split}_{k}"]) for k in ("mse", "sisdr", "mrstft"))
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["options"] == SMALL.options and config["figures"] == run.metrics
    assert (config["study"], config["experiment"]) == ("waveform", "waveform-small")
    assert config["data"] == data.data_hash() and config["train_seconds"] >= 0
    assert read_transform(run.folder) == data.transform
    weights = load_file(tmp_path / "run" / "model.safetensors")
    model = run.load()
    assert all(torch.equal(weights[k], v) for k, v in model.state_dict().items())
    assert list((tmp_path / "run" / "tensorboard").glob("events*"))
    assert not list((tmp_path / "run").rglob("*.part"))


def test_ensure_trains_at_the_place_of_the_study_and_then_reuses(data, tmp_path):
    space = Workspace(profile="tiny", study="waveform", results=str(tmp_path / "results"))
    first = ensure(SMALL, data, space)
    assert first.folder == space.path("checkpoints", "waveform-small")
    assert len(first.curves) == 2 and ensure(SMALL, data, space).status == "reused"


def test_seeds_have_folders_of_their_own_and_a_closed_form_one(data, tmp_path, monkeypatch):
    monkeypatch.setitem(config.PROFILES, "tiny", replace(config.profile("tiny"), seeds=(0, 1)))
    space = Workspace(profile="tiny", study="waveform", results=str(tmp_path))
    closed = replace(SMALL, name="closed", training=replace(SMALL.training, epoch_factor=0.0))
    runs = fitting.ensure_seeds([SMALL, closed], data, space)
    folders = [run.folder.name for run in runs[SMALL.name]]
    assert folders == [SMALL.name, f"{SMALL.name}-seed-1"] and len(runs["closed"]) == 1
    assert runs[SMALL.name][0].metrics["test_mse"] != runs[SMALL.name][1].metrics["test_mse"]


def test_training_learns(data, tmp_path):
    run = train_experiment(SMALL, data, folder=tmp_path / "run", epochs=15)
    power = float(np.square(data.cached.x[data.rows("test")]).mean())
    assert run.metrics["test_mse"] < 0.5 * power


def test_a_second_call_reuses_and_another_seed_trains_anew(data, tmp_path):
    first = train_experiment(SMALL, data, folder=tmp_path / "run", epochs=2)
    again = train_experiment(SMALL, data, folder=tmp_path / "run", epochs=2)
    assert again.status == "reused" and again.metrics == first.metrics
    other = train_experiment(SMALL, data, folder=tmp_path / "run", epochs=2, seed=1)
    assert other.status == "trained" and other.metrics != first.metrics
    words = replace(SMALL, about="other words", paper={"test_mse": 1.0})
    assert (
        train_experiment(words, data, folder=tmp_path / "run", epochs=2, seed=1).status == "reused"
    )


def test_weights_that_were_deleted_are_trained_anew(data, tmp_path):
    first = train_experiment(SMALL, data, folder=tmp_path / "run", epochs=2)
    (first.folder / "model.safetensors").unlink()
    again = train_experiment(SMALL, data, folder=tmp_path / "run", epochs=2)
    assert again.status == "trained" and again.metrics == first.metrics
    assert again.load().hparams["maps"] == 8


def test_the_same_seed_gives_the_same_figures(data, tmp_path):
    first = train_experiment(SMALL, data, folder=tmp_path / "a", epochs=2)
    again = train_experiment(SMALL, data, folder=tmp_path / "b", epochs=2)
    assert first.metrics == again.metrics


def test_four_epochs_are_two_and_two_to_the_bit(data, tmp_path):
    whole = train_experiment(SMALL, data, folder=tmp_path / "whole", epochs=4)
    assert train_experiment(SMALL, data, folder=tmp_path / "halves", epochs=4, stop_after=2) is None
    halves = train_experiment(SMALL, data, folder=tmp_path / "halves", epochs=4)
    assert halves.status == "resumed"
    a, b = (load_file(tmp_path / name / "model.safetensors") for name in ("whole", "halves"))
    assert all(torch.equal(a[key], b[key]) for key in a)
    assert halves.metrics == whole.metrics and halves.curves.equals(whole.curves)


def test_a_last_checkpoint_that_is_cut_short_is_said_not_thrown(data, tmp_path):
    train_experiment(SMALL, data, folder=tmp_path / "run", epochs=3, stop_after=1)
    last = tmp_path / "run" / "last.ckpt"
    last.write_bytes(last.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match=r"last\.ckpt.*cut short.*delete"):
        train_experiment(SMALL, data, folder=tmp_path / "run", epochs=3)


def test_early_stopping(data, tmp_path):
    still = replace(SMALL, training=Training(learning_rate=1e-12, batch_size=4, patience=2))
    run = train_experiment(still, data, folder=tmp_path / "run", epochs=30)
    assert len(run.curves) < 30


def test_the_linear_reference_needs_one_pass(data, tmp_path):
    run = train_experiment(LINEAR, data, folder=tmp_path / "linear", epochs=1)
    x = data.cached.x[data.rows("train")].reshape(-1, 2000)
    blocks = np.pad(x, ((0, 0), (0, 16))).reshape(-1, 32).astype(float)
    _, _, basis = np.linalg.svd(blocks, full_matrices=False)
    kept = (blocks @ basis[:8].T @ basis[:8]).reshape(-1, 2016)[:, :2000]
    error = np.square(kept - x).mean()
    assert run.metrics["train_mse"] == pytest.approx(error, rel=1e-3)
    assert train_experiment(LINEAR, data, folder=tmp_path / "linear", epochs=1).status == "reused"


def test_reconstruct_table_and_flatten(data, tmp_path):
    run = train_experiment(SMALL, data, folder=tmp_path / "run", epochs=1)
    x = np.array(data.cached.x[:3])
    assert reconstruction.reconstruct(run, x, data.transform).shape == x.shape
    row = metrics.metrics_table([run]).iloc[0]
    assert row["family"] == "waveform-small" and row["latent_numbers"] == 8 * 63
    assert metrics.flatten([run])["test_mse_small"] == run.metrics["test_mse"]


def test_a_corpus_too_small_to_split_is_refused_at_the_door(tmp_path):
    audio.write(
        _mkdir(tmp_path) / "one.wav",
        0.1 * np.random.default_rng(0).standard_normal(8000),
        8000,
    )
    with pytest.warns(UserWarning):
        data = CorpusDataModule(
            names=(str(tmp_path / "music"),),
            folder=tmp_path / "c",
            root=tmp_path,
            transform=Waveform(8000, 0.25),
            n_jobs=1,
        )
        data.setup()
    with pytest.raises(ValueError, match="no sound in its split validation and test; add"):
        train_experiment(SMALL, data, folder=tmp_path / "run", epochs=1)


def _mkdir(tmp_path: Path) -> Path:
    (tmp_path / "music").mkdir()
    return tmp_path / "music"


class Hostile:
    def __reduce__(self):
        return (Path.touch, (Path("pwned"),))


@pytest.mark.parametrize(
    "kind", ["missing", "empty", "truncated", "hostile", "not a dict", "other"]
)
def test_checkpoints_that_must_not_load(kind, best, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path, wanted = tmp_path / "bad.ckpt", SMALL
    if kind == "empty":
        path.touch()
    if kind == "truncated":
        path.write_bytes(best.read_bytes()[:-500])
    if kind == "hostile":
        torch.save({"state_dict": {}, "hyper_parameters": Hostile()}, path)
    if kind == "not a dict":
        torch.save([1, 2, 3], path)
    if kind == "other":
        path, wanted = best, LINEAR
    with pytest.raises(CheckpointError, match="waveform-") as caught:
        load_checkpoint(path, wanted)
    assert "\n" not in str(caught.value) and not (tmp_path / "pwned").exists()


def test_a_bare_hostile_pickle_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.ckpt").write_bytes(pickle.dumps(Hostile()))
    with pytest.raises(CheckpointError, match="holds code"):
        load_checkpoint(tmp_path / "bad.ckpt", SMALL)
    assert not (tmp_path / "pwned").exists()


def test_an_experiment_that_was_not_trained_names_the_command(tmp_path):
    with pytest.raises(
        CheckpointError, match="make reproduce STUDY=waveform EXPERIMENT=waveform-s"
    ):
        read_run(SMALL, tmp_path)


def _train_and_be_killed(data: CorpusDataModule, folder: Path) -> None:
    """Train until the process is killed in the third epoch."""
    import pytorch_lightning as pl

    class Kill(pl.Callback):
        def on_train_batch_end(self, trainer, *_):
            if trainer.global_step == 17:
                os.kill(os.getpid(), signal.SIGKILL)

    def killing(*args, **options):
        made = make_trainer(*args, **options)
        made.callbacks.append(Kill())
        return made

    training_trainer.make_trainer = killing
    train_experiment(SMALL, data, folder=folder, epochs=4)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_training_that_is_killed_goes_on_to_the_same_figures(folder, tmp_path, data):
    context = multiprocessing.get_context("fork")  # another process may round otherwise (1e-7)
    killed = context.Process(target=_train_and_be_killed, args=(data, tmp_path / "run"))
    killed.start()
    killed.join()
    assert killed.exitcode == -signal.SIGKILL
    resumed = train_experiment(SMALL, data, folder=tmp_path / "run", epochs=4)
    whole = train_experiment(SMALL, data, folder=tmp_path / "whole", epochs=4)
    assert resumed.status == "resumed" and resumed.metrics == whole.metrics


MEL = Experiment(
    name="mel-small",
    study="mel",
    key="mel_small",
    model="CRNNAutoencoder",
    options={
        "latent": 8,
        "recurrent": 8,
        "channels": [4, 8],
        "band_strides": [4, 2],
        "time_strides": [2, 2],
        "n_mels": 16,
        "triplet_weight": 1.0,
        "mixing": 0.2,
    },
    about="a small one for tests",
    training=Training(learning_rate=1e-2, batch_size=6, select="last", balanced=True),
)


class Labelled(CorpusDataModule):
    """Recordings whose label is the beginning of their name, and whose split its end."""

    parts = ("train", "train", "validation", "test")

    def index(self):
        items = super().index().items
        items["label"] = items["item_id"].str[0]
        items["split"] = [self.parts[int(name[1])] for name in items["item_id"]]
        return self.corpus


@pytest.fixture(scope="module")
def tones(tmp_path_factory):
    """Three kinds of tones, four recordings of each."""
    folder = tmp_path_factory.mktemp("tones")
    rng, t = np.random.default_rng(0), np.arange(8000) / 8000
    for kind, hz in (("a", 300), ("b", 1000), ("c", 2500)):
        for i in range(4):
            y = 0.3 * np.sin(2 * np.pi * rng.uniform(0.9, 1.1) * hz * t)
            audio.write(folder / f"{kind}{i}.wav", y + 0.01 * rng.standard_normal(8000), 8000)
    return folder


@pytest.fixture
def spectrograms(tones, tmp_path):
    return _spectrograms(tones, tmp_path)


def _spectrograms(tones, tmp_path, kind=Labelled, **options) -> CorpusDataModule:
    transform = LogMel(sr=8000, window_s=0.25, n_fft=256, hop_length=64, n_mels=16)
    folder = tmp_path / "cache"
    return kind(
        names=(str(tones),), folder=folder, root=tones, transform=transform, n_jobs=1, **options
    )


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed"])
def test_four_epochs_of_triplets_are_two_and_two_to_the_bit(spectrograms, tmp_path, precision):
    def fit(name, **more):
        options = {"epochs": 4, "precision": precision} | more
        return train_experiment(MEL, spectrograms, folder=tmp_path / name, **options)

    whole = fit("whole")
    assert fit("halves", stop_after=2) is None
    halves = fit("halves")
    assert halves.status == "resumed"
    a, b = (load_file(tmp_path / name / "model.safetensors") for name in ("whole", "halves"))
    assert all(torch.equal(a[key], b[key]) for key in a)
    assert halves.metrics == whole.metrics and halves.curves.equals(whole.curves)
    assert {"train_mse", "train_triplet", "validation_triplet"} <= set(whole.curves)


def test_triplets_teach_the_labels_and_neighbours_tell_them(spectrograms, tmp_path):
    run = train_experiment(MEL, spectrograms, folder=tmp_path / "run", epochs=12)
    metrics = run.metrics
    assert metrics["test_knn"] == 1 and metrics["test_knn_windows"] == 12
    assert metrics["test_knn_low"] < metrics["test_knn_high"] == 1
    assert run.curves["train_triplet"].iloc[-1] < 0.5 * run.curves["train_triplet"].iloc[0]
    errors = run.curves["validation_mse"]
    assert metrics["latent_numbers"] == 8 * 8 and errors.iloc[-1] < 0.95 * errors.iloc[0]
    assert "test_sisdr" not in metrics  # spectrograms have none


def test_another_seed_augments_and_orders_otherwise(spectrograms, tmp_path):
    runs = [
        train_experiment(
            MEL, spectrograms, folder=tmp_path / str(i), epochs=1, seed=seed, precision="32-true"
        )
        for i, seed in enumerate((3, 3, 4))
    ]
    assert runs[0].metrics == runs[1].metrics != runs[2].metrics


@pytest.fixture
def worsening(monkeypatch):
    """Windows of the validation part are told ever worse, whatever is learned."""
    step = lambda self, batch, index: self.log("validation_mse", float(self.current_epoch))  # noqa: E731
    monkeypatch.setattr(models.MODELS[MEL.model], "validation_step", step)


def _epoch(path: Path) -> int:
    return torch.load(path, weights_only=True)["epoch"]


@pytest.mark.parametrize(("select", "kept", "epochs"), [("last", 4, 5), ("best", 0, 3)])
def test_the_weights_that_the_experiment_asks_for_are_kept(
    spectrograms, tmp_path, worsening, select, kept, epochs
):
    plan = replace(MEL, training=replace(MEL.training, select=select, patience=2))
    run = train_experiment(plan, spectrograms, folder=tmp_path / "run", epochs=5)
    assert _epoch(run.folder / "best.ckpt") == kept and len(run.curves) == epochs


def test_a_run_goes_on_after_its_last_epoch_and_not_after_its_best(
    spectrograms, tmp_path, worsening
):
    plan = replace(MEL, training=replace(MEL.training, select="best"))
    train_experiment(plan, spectrograms, folder=tmp_path / "run", epochs=5, stop_after=3)
    assert _epoch(tmp_path / "run" / "last.ckpt") == 2


def test_the_last_weights_need_no_validation_part(spectrograms, tmp_path, monkeypatch):
    monkeypatch.setattr(Labelled, "parts", ("train", "train", "train", "test"))
    run = train_experiment(MEL, spectrograms, folder=tmp_path / "run", epochs=2)
    names = {*run.metrics, *run.curves}
    assert {"train_mse", "test_mse", "test_knn"} <= names
    assert not [name for name in names if name.startswith("validation")]
    best = replace(MEL, training=replace(MEL.training, select="best"))
    with pytest.raises(ValueError, match="no sound in its split validation; add"):
        train_experiment(best, spectrograms, folder=tmp_path / "best", epochs=2)


def test_precision_is_measured_once_and_kept(spectrograms, tmp_path, monkeypatch):
    used, seconds, trainer = [], iter([0.5, 0.1, 0.1, 0.1]), make_trainer

    def spy(*args, **options):
        used.append(options["precision"])
        return trainer(*args, **options)

    monkeypatch.setattr(training_trainer, "make_trainer", spy)
    monkeypatch.setattr(training_trainer, "_step_s", lambda *_: next(seconds))
    monkeypatch.setattr(training_trainer, "LEAST_STEPS", 1)
    folder = tmp_path / "run"
    train_experiment(MEL, spectrograms, folder=folder, epochs=2, stop_after=1)
    assert json.loads((folder / "precision.json").read_text()) == "bf16-mixed"
    train_experiment(MEL, spectrograms, folder=folder, epochs=2)  # goes on without measuring again
    train_experiment(
        MEL, spectrograms, folder=tmp_path / "other", epochs=1
    )  # no faster, so 32 bits
    monkeypatch.setattr(training_trainer, "LEAST_STEPS", 1000)
    train_experiment(
        MEL, spectrograms, folder=tmp_path / "short", epochs=1
    )  # over before it would pay
    assert used == ["bf16-mixed", "bf16-mixed", "32-true", "32-true"]
    assert not (tmp_path / "short" / "precision.json").exists()


def test_waveforms_are_never_trained_in_16_bits(data, tmp_path, monkeypatch):
    monkeypatch.setattr(training_trainer, "_step_s", lambda *_: pytest.fail("nothing to measure"))
    train_experiment(SMALL, data, folder=tmp_path / "run", epochs=1)
    assert not (tmp_path / "run" / "precision.json").exists()


def test_measuring_the_speed_leaves_the_model_as_it_is():
    model = models.MODELS[MEL.model](**MEL.options).train()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    x = [torch.rand(6, 1, 16, 32)]
    assert trainer._step_s(model, x, False) > 0 and trainer._step_s(model, x, True) > 0
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters())


def test_a_checkpoint_of_another_configuration_is_refused(spectrograms, tmp_path):
    run = train_experiment(MEL, spectrograms, folder=tmp_path / "run", epochs=1)
    for change in ({"triplet_weight": 0.5}, {"margin": 0.3}, {"latent": 16}):
        other = replace(MEL, name="mel-other", options=MEL.options | change)
        with pytest.raises(CheckpointError, match="run was not made by mel-other; delete"):
            read_run(other, run.folder)
    assert type(read_run(MEL, run.folder).load()).__name__ == "CRNNAutoencoder"


def test_a_folder_without_labels_trains_with_triplets_in_vain(tones, tmp_path):
    data = _spectrograms(tones, tmp_path, CorpusDataModule)
    run = train_experiment(MEL, data, folder=tmp_path / "run", epochs=2)
    assert (run.curves[["train_triplet", "validation_triplet"]] == 0).all().all()
    assert np.isfinite(run.metrics["test_mse"])
    assert not [name for name in run.metrics if "knn" in name]


def test_fewer_labels_are_another_run_whose_hidden_labels_do_not_matter(
    spectrograms, tones, tmp_path, monkeypatch
):
    monkeypatch.setattr(Labelled, "parts", ("train", "train", "train", "test"))
    few = replace(MEL, training=replace(MEL.training, labelled=0.1))

    def fit(experiment, data, name):
        return train_experiment(
            experiment, data, folder=tmp_path / name, epochs=2, precision="32-true"
        )

    first = fit(few, spectrograms, "run")
    hidden = (spectrograms.targets() < 0) & spectrograms.cached.items["split"].eq("train")
    assert hidden.sum() == 12  # one of three recordings of each label
    again = _spectrograms(tones, tmp_path)
    again.setup()
    again.cached.items.loc[hidden, "label"] = "a"
    codes = np.where(hidden, -1, spectrograms.targets())
    monkeypatch.setattr(again, "targets", lambda: codes)
    second = fit(few, again, "wrong")
    assert second.metrics == first.metrics and second.curves.equals(first.curves)
    assert fit(MEL, spectrograms, "run").status == "trained"


def test_what_was_trained_by_older_code_is_still_the_same_run():
    """The digest is of 2026-11-30: change it only where rows are meant to train anew."""
    later = {"mel-transformer"}  # rows that came after it
    data = SimpleNamespace(
        transform=None, seed=0, data_hash=lambda: "d", targets=lambda: np.arange(3)
    )
    hashes = {}
    for profile in ("tiny", "demo", "real", "paper"):
        for plan in (studies.study(name, profile) for name in studies.STUDIES):
            data.transform = SimpleNamespace(kind=plan.input)
            for row in plan.experiments.values():
                if row.name in later:
                    continue
                name = f"{profile}/{row.name}"
                hashes[name] = fitting._identity(row, data, 3, 0)["hash"]
                arrays = [np.zeros((2, 3))], np.arange(2)
                hashes[f"{name}/s"] = supervised._identity(row, *arrays, 3, 0)["hash"]
    digest = hashlib.sha256(json.dumps(hashes, sort_keys=True).encode()).hexdigest()
    assert digest == "751386dbfeee6cbafe7abe37ce422620f0f0566d84d9b1df660e82c7d1e27cb3"
