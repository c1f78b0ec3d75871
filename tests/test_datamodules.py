import numpy as np
import pytest

from musiclatent import audio
from musiclatent.config import Workspace
from musiclatent.datamodules import (
    CorpusDataModule,
    DigitsDataModule,
    EDMDataModule,
    EpochSampler,
    GTZANDataModule,
)
from musiclatent.excerpts import Waveform
from musiclatent.studies import study


@pytest.fixture(scope="module")
def music(tmp_path_factory):
    folder = tmp_path_factory.mktemp("music")
    rng = np.random.default_rng(0)
    for i in range(9):
        audio.write(folder / f"song {i}.wav", 0.1 * rng.standard_normal(8000), 8000)
    audio.write(folder / "silence.wav", np.zeros(8000), 8000)
    (folder / "broken.wav").write_bytes(b"RIFF and nothing else")
    return folder


def _data(music, folder, **options) -> CorpusDataModule:
    return CorpusDataModule(
        (str(music),), folder, folder, transform=Waveform(8000, 0.25), n_jobs=1, **options
    )


def test_batches_have_the_shapes_of_the_design(music, tmp_path):
    data = _data(music, tmp_path, batch_size=4)
    data.prepare_data()
    data.setup()
    x, row = next(iter(data.train_dataloader()))
    assert x.shape == (4, 1, 2000) and str(x.dtype) == "torch.float32" and row.shape == (4,)
    assert np.array_equal(x[0, 0].numpy(), data.cached.x[row[0]])


def test_setup_is_idempotent_and_bad_files_are_set_aside(music, tmp_path):
    data = _data(music, tmp_path)
    data.setup()
    first = data.cached
    data.setup("fit")
    assert data.cached is first
    aside = [*data.corpus.quarantine["path"], *data.cached.quarantine["path"]]
    assert [path.split("/")[-1] for path in aside] == ["broken.wav"]


def test_splits_share_no_group_and_cover_everything(music, tmp_path):
    data = _data(music, tmp_path)
    data.setup()
    parts = [set(data.rows(split)) for split in ("train", "validation", "test")]
    assert all(parts) and sum(map(len, parts)) == len(data.cached.items) == 40
    assert data.cached.items.groupby("group")["split"].nunique().max() == 1


def test_silent_windows_can_be_left_out(music, tmp_path):
    data = _data(music, tmp_path)
    data.setup()
    every = sum(len(data.rows(split)) for split in ("train", "validation", "test"))
    heard = sum(len(data.rows(split, audible=True)) for split in ("train", "validation", "test"))
    assert (every, heard) == (40, 36)


def test_the_order_depends_on_seed_and_epoch_only():
    sampler = EpochSampler(50, seed=3)
    first = list(sampler)
    assert list(sampler) == first and sorted(first) == list(range(50))
    sampler.set_epoch(1)
    second = list(sampler)
    assert second != first
    other = EpochSampler(50, seed=3)
    other.set_epoch(1)
    assert list(other) == second and list(EpochSampler(50, seed=4)) != first


def test_the_data_hash_follows_the_split(music, tmp_path):
    first, again = _data(music, tmp_path / "a"), _data(music, tmp_path / "b")
    other = _data(music, tmp_path / "c", seed=5)
    for data in (first, again, other):
        data.setup()
    assert first.data_hash() == again.data_hash() != other.data_hash()


def test_a_loader_can_take_evenly_chosen_windows(music, tmp_path):
    data = _data(music, tmp_path, batch_size=2)
    data.setup()
    rows = np.concatenate([row for _, row in data.loader("train", at_most=3)])
    every = data.rows("train")
    assert rows.tolist() == [every[0], every[(len(every) - 1) // 2], every[-1]]


def test_steps_count_the_batches(music, tmp_path):
    data = _data(music, tmp_path, batch_size=7)
    data.setup()
    assert data.steps(3) == 3 * len(data.train_dataloader())


@pytest.mark.real
def test_real_data_modules(data_root, tmp_path):
    digits = DigitsDataModule(tmp_path / "digits", data_root)
    corpus = digits.index()
    assert len(corpus.items) == 3000 and set(corpus.items["split"]) == {
        "train",
        "validation",
        "test",
    }
    edm = EDMDataModule(tmp_path / "edm", data_root)
    assert edm.transform.window_s == 15 and edm.names == ("edm",)
    gtzan = GTZANDataModule(tmp_path / "gtzan", data_root)
    gtzan.setup()
    assert gtzan.cached.x.shape[1:] == (110_250,)
    assert gtzan.cached.items.groupby("group")["split"].nunique().max() == 1


def test_a_study_names_its_corpora(tmp_path):
    demo = CorpusDataModule.of_study(
        study("jazz"), Workspace("demo", "jazz", results=str(tmp_path))
    )
    assert demo.names == ("demo-music",)
    space = Workspace("real", "jazz", results=str(tmp_path))
    real = CorpusDataModule.of_study(study("jazz"), space)
    assert real.names == ("gtzan", "music_speech/music") and real.keep == {"gtzan": ("jazz",)}
    own = Workspace("real", "jazz", "/my/music", str(tmp_path))
    assert CorpusDataModule.of_study(study("jazz"), own).names == ("/my/music",)
