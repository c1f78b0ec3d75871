import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from musiclatent import audio
from musiclatent.audio.windows import Waveform
from musiclatent.config import Workspace
from musiclatent.data import cache, datamodules
from musiclatent.data.datamodules import (
    BalancedSampler,
    CorpusDataModule,
    DigitsDataModule,
    EDMDataModule,
    EpochSampler,
    GTZANDataModule,
)
from musiclatent.features.mel import LogMel
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
        names=(str(music),),
        folder=folder,
        root=folder,
        transform=Waveform(8000, 0.25),
        n_jobs=1,
        **options,
    )


def test_batches_have_the_shapes_of_the_design(music, tmp_path):
    data = _data(music, tmp_path, batch_size=4)
    data.prepare_data()
    data.setup()
    x, row, label = next(iter(data.train_dataloader()))
    assert x.shape == (4, 1, 2000) and str(x.dtype) == "torch.float32" and row.shape == (4,)
    assert np.array_equal(x[0, 0].numpy(), data.cached.x[row[0]])
    assert label.tolist() == [-1] * 4  # a folder of music has no labels


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
    audible = sum(len(data.rows(split, audible=True)) for split in ("train", "validation", "test"))
    assert (every, audible) == (40, 36)


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
    rows = np.concatenate([row for _, row, _ in data.loader("train", at_most=3)])
    every = data.rows("train")
    assert rows.tolist() == [every[0], every[(len(every) - 1) // 2], every[-1]]


def test_steps_count_the_batches(music, tmp_path):
    data = _data(music, tmp_path, batch_size=7)
    data.setup()
    assert data.steps(3) == 3 * len(data.train_dataloader())


@pytest.mark.real
def test_real_data_modules(data_root, tmp_path):
    digits = DigitsDataModule(folder=tmp_path / "digits", root=data_root)
    corpus = digits.index()
    assert len(corpus.items) == 3000 and set(corpus.items["split"]) == {
        "train",
        "validation",
        "test",
    }
    assert digits.transform.shape == (256, 64) and digits.transform.first_only
    edm = EDMDataModule(folder=tmp_path / "edm", root=data_root)
    assert edm.transform.window_s == 15 and edm.names == ("edm",)
    gtzan = GTZANDataModule(folder=tmp_path / "gtzan", root=data_root)
    gtzan.setup()
    assert gtzan.cached.x.shape[1:] == (110_250,)
    assert gtzan.cached.items.groupby("group")["split"].nunique().max() == 1


def test_a_study_names_its_corpora(tmp_path):
    demo = CorpusDataModule.of_study(
        study("jazz"), Workspace(profile="demo", study="jazz", results=str(tmp_path))
    )
    assert demo.names == ("demo-music",)
    space = Workspace(profile="real", study="jazz", results=str(tmp_path))
    real = CorpusDataModule.of_study(study("jazz"), space)
    assert real.names == ("gtzan", "music_speech/music") and real.keep["gtzan"] == ("jazz",)
    space_of_folder = Workspace(
        profile="real", study="jazz", corpus="/my/music", results=str(tmp_path)
    )
    assert CorpusDataModule.of_study(study("jazz"), space_of_folder).names == ("/my/music",)
    assert not list(tmp_path.iterdir())  # to name windows makes no folder


def test_a_study_takes_the_module_of_its_corpus(tmp_path):
    kinds = {"waveform": GTZANDataModule, "mel": GTZANDataModule, "digits": DigitsDataModule}
    kinds |= {"jazz": GTZANDataModule, "edm": EDMDataModule, "genre": GTZANDataModule}
    for name, kind in kinds.items():
        for profile in ("real", "paper"):
            plan, space = (
                study(name, profile),
                Workspace(profile=profile, study=name, results=str(tmp_path)),
            )
            data = CorpusDataModule.of_study(plan, space)
            assert type(data) is kind and data.transform == datamodules.transform(plan)
        demo = Workspace(profile="demo", study=name, results=str(tmp_path))
        assert type(CorpusDataModule.of_study(study(name), demo)) is CorpusDataModule


def test_the_mel_study_takes_ready_spectrograms_and_hears_the_clips(tmp_path):
    mel, space = study("mel"), Workspace(profile="real", study="mel", results=str(tmp_path))
    ready = CorpusDataModule.of_study(mel, space)
    assert (ready.names, ready.split) == (("gtzan_excerpts",), "fold-0")
    assert ready.transform == LogMel() and ready.transform.shape == (128, 130)
    audible = CorpusDataModule.of_study(mel, space, sound=True)
    assert (audible.names, audible.split) == (("gtzan",), "excerpts-0")
    assert CorpusDataModule.of_study(mel, space, split="outer-2").split == "outer-2"
    demo = CorpusDataModule.of_study(
        mel, Workspace(profile="demo", study="mel", results=str(tmp_path))
    )
    assert (demo.names, demo.split) == (("demo-music",), "group")
    paper = Workspace(profile="paper", study="mel", results=str(tmp_path))
    long = CorpusDataModule.of_study(study("mel", "paper"), paper)
    assert (long.names, long.split) == (("gtzan",), "filtered")
    assert long.transform.shape == (128, 1292)


def test_spectrograms_are_scaled_to_0_and_1(music, tmp_path):
    transform = LogMel(sr=8000, window_s=0.25, n_fft=256, hop_length=64, n_mels=16)
    data = CorpusDataModule(
        names=(str(music),), folder=tmp_path, root=tmp_path, transform=transform, n_jobs=1
    )
    data.setup()
    x, row, _ = next(iter(data.loader("train")))
    assert x.shape[1:] == (1, 16, 32) and str(x.dtype) == "torch.float32"
    for one, kept in zip(x[:, 0].numpy(), data.cached.x[row], strict=True):
        span = kept.max() - kept.min()
        silent = span < 1e-3
        np.testing.assert_allclose(one, 0 if silent else (kept - kept.min()) / span, atol=1e-6)


def _labelled(folder, labels="abc", recordings=20, windows=3, **options) -> CorpusDataModule:
    """Windows of labelled recordings and of one without a label; every fifth is for the test."""
    rows = [
        {"label": label, "group": f"{label}{i:02d}", "split": "train" if i % 5 else "test"}
        for label in labels
        for i in range(recordings)
        for _ in range(windows)
    ]
    rows.append({"label": "", "group": "unknown", "split": "train"})
    items = pd.DataFrame(rows).assign(silent=False)
    items = items.assign(row=range(len(items)), key=items["group"], start_s=0.0)
    data = CorpusDataModule(names=("none",), folder=folder, root=folder, **options)
    data.cached = cache.Cached(np.zeros((len(items), 4), np.float32), items, pd.DataFrame())
    return data


def test_every_label_has_a_code(tmp_path):
    data = _labelled(tmp_path)
    expected = data.cached.items["label"].map({"a": 0, "b": 1, "c": 2, "": -1})
    assert data.targets().tolist() == expected.tolist()


@pytest.mark.parametrize("share", [0.1, 0.25, 0.5])
def test_so_many_recordings_of_each_label_are_known_as_a_whole(tmp_path, share):
    data = _labelled(tmp_path, labelled=share)
    codes, items = data.targets(), data.cached.items
    train = items["split"].eq("train") & items["label"].ne("")
    labelled = pd.Series(codes >= 0).groupby([items["label"], items["group"]]).agg(["min", "max"])
    assert (labelled["min"] == labelled["max"]).all()
    shares = pd.Series(codes >= 0)[train].groupby(items["label"][train]).mean()
    assert shares.to_dict() == dict.fromkeys("abc", max(2, round(16 * share)) / 16)
    whole = _labelled(tmp_path).targets()
    assert (codes[~train] == whole[~train]).all()  # the test part keeps its labels
    assert (codes[codes >= 0] == whole[codes >= 0]).all()


def test_more_labels_hold_all_of_fewer_and_the_same_seed_the_same(tmp_path):
    few, half, most = (_labelled(tmp_path, labelled=s).targets() >= 0 for s in (0.1, 0.5, 0.9))
    assert few.sum() < half.sum() < most.sum()
    assert not (few & ~half).any() and not (half & ~most).any()
    assert np.array_equal(few, _labelled(tmp_path, labelled=0.1).targets() >= 0)
    assert not np.array_equal(few, _labelled(tmp_path, labelled=0.1, seed=1).targets() >= 0)


def test_two_recordings_of_a_label_are_known_whatever_the_share(tmp_path):
    data = _labelled(tmp_path, recordings=6, labelled=1e-6)
    labelled = data.cached.items[(data.targets() >= 0) & data.cached.items["split"].eq("train")]
    assert labelled.groupby("label")["group"].nunique().to_dict() == dict.fromkeys("abc", 2)


def _batches(codes, size, epoch=0, seed=0) -> list[np.ndarray]:
    """Codes of the whole batches of an epoch, without the last one if it is short."""
    sampler = BalancedSampler(codes, seed)
    sampler.set_epoch(epoch)
    drawn = np.array(list(sampler))
    assert len(drawn) == len(sampler) == len(codes)
    return [codes[drawn[i : i + size]] for i in range(0, len(drawn) - size + 1, size)]


@settings(max_examples=20, deadline=None)
@given(
    counts=st.lists(st.integers(1, 20), min_size=1, max_size=5),
    unknown=st.integers(0, 30),
    each=st.integers(1, 4),
    epoch=st.integers(0, 5),
)
def test_batches_hold_each_label_equally_often(counts, unknown, each, epoch):
    codes = np.repeat(np.arange(-1, len(counts)), [unknown, *counts])
    labelled = each * len(counts)
    for batch in _batches(codes, 2 * labelled if unknown else labelled, epoch):
        assert np.bincount(batch[batch >= 0]).tolist() == [each] * len(counts)
        assert (batch < 0).sum() == (labelled if unknown else 0)


def test_windows_of_one_label_come_in_turn(tmp_path):
    codes = np.repeat([0, 1], [5, 35])
    drawn = list(BalancedSampler(codes, 0))
    counts = np.bincount(drawn, minlength=40)
    assert set(counts[:5]) == {4} and counts[5:].max() == 1  # none again before all had their turn


def test_a_balanced_order_depends_on_seed_and_epoch_only():
    codes = np.repeat([-1, 0, 1], [10, 5, 15])
    orders = {}
    for seed, epoch in [(0, 0), (0, 1), (1, 0), (0, 0)]:
        sampler = BalancedSampler(codes, seed)
        list(sampler)  # what was drawn before does not matter
        sampler.set_epoch(epoch)
        orders.setdefault((seed, epoch), []).append(list(sampler))
    assert orders[0, 0][0] == orders[0, 0][1]
    assert orders[0, 0][0] != orders[0, 1][0] and orders[0, 0][0] != orders[1, 0][0]


def test_training_batches_are_balanced_only_when_told_and_where_labels_are(tmp_path, music):
    data = _labelled(tmp_path, batch_size=12, balanced=True, labelled=0.25)
    assert isinstance(data.train_dataloader().sampler, BalancedSampler)
    first = next(iter(data.train_dataloader()))[2]
    assert np.bincount(first[first >= 0]).tolist() == [2, 2, 2]
    for split in ("train", "test"):  # measured in the order of the cache
        rows = np.concatenate([row for _, row, _ in data.loader(split)])
        assert rows.tolist() == data.rows(split).tolist()
    data.balanced = False
    assert type(data.train_dataloader().sampler) is EpochSampler
    unlabelled = _data(music, tmp_path / "own", balanced=True)
    unlabelled.setup()
    assert type(unlabelled.train_dataloader().sampler) is EpochSampler
    assert data.steps(1) == len(data.train_dataloader())
