"""Voices: draws of a class and their ranges, and how varied they are."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from IPython.display import HTML

from musiclatent import audio
from musiclatent.audio.windows import Waveform
from musiclatent.config import Experiment, Training
from musiclatent.data.datamodules import CorpusDataModule
from musiclatent.display import player
from musiclatent.errors import CheckpointError
from musiclatent.evaluation import reconstruction
from musiclatent.features.stft import LogSTFT
from musiclatent.latents import class_sampler, generation, hub
from musiclatent.latents.class_sampler import ClassSampler
from musiclatent.latents.decode import decode
from musiclatent.latents.store import select
from musiclatent.training.fit import train_experiment
from musiclatent.training.run_folder import Run

SR = 8000
WAY = LogSTFT(sr=SR, window_s=0.0625, n_fft=32, hop_length=16)  # 500 samples: 16 x 32
SMALL = Experiment(
    name="digits-small",
    study="digits",
    key="small",
    model="VAE",
    options={
        "latent": 4,
        "channels": [4],
        "band_strides": [2],
        "time_strides": [2],
        "bins": 16,
        "frames": 32,
    },
    about="a small one for tests",
    training=Training(learning_rate=1e-3, batch_size=8, select="last"),
)


SHARES = np.array([0.3, 0.2, 0.1, 0.1, *[0.05] * 6])


class Spoken(CorpusDataModule):
    """Recordings named by label, speaker and take; the fifth and sixth takes are for the test."""

    def index(self):
        items = super().index().items
        names = items["item_id"].str
        items["label"], items["speaker"] = names[0], names[1].map({"t": "theo", "l": "lucas"})
        items["split"] = names[2].map(lambda take: "train" if take in "0123" else "test")
        return self.corpus


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> CorpusDataModule:
    """Each label and each speaker has a loudness of its own, and each take another one."""
    folder = tmp_path_factory.mktemp("spoken")
    t, rng = np.arange(500) / SR, np.random.default_rng(0)
    for label, hz, level in (("7", 500, 0.5), ("8", 1500, 0.05)):
        for speaker in "tl":
            for i in range(6):
                factor = (1 - 0.05 * i) * (1 if speaker == "t" else 0.5)
                y = np.sin(2 * np.pi * rng.uniform(0.8, 1.2) * hz * t)
                y = level * factor * (y + 0.01 * rng.standard_normal(500))
                audio.write(folder / f"{label}{speaker}{i}.wav", y, SR)
    audio.write(folder / "9t0.wav", 0.01 * rng.standard_normal(500), SR)  # once, by one
    audio.write(folder / "7t1-silent.wav", np.zeros(500), SR)
    cache = tmp_path_factory.mktemp("cache")
    return Spoken(names=(str(folder),), folder=cache, root=folder, transform=WAY, n_jobs=1)


@pytest.fixture(scope="module")
def run(data, tmp_path_factory) -> Run:
    folder = tmp_path_factory.mktemp("run")
    return train_experiment(SMALL, data, folder=folder, epochs=2, precision="32-true")


@pytest.fixture(scope="module")
def voice(run, data, tmp_path_factory) -> ClassSampler:
    return class_sampler.class_sampler(run, data, tmp_path_factory.mktemp("latents"))


def test_a_voice_knows_the_audible_training_recordings_and_no_others(voice, data):
    items = voice.train.items
    assert set(items["split"]) == {"train"} and not items["silent"].any()
    assert len(items) == len(voice.train.z) == len(voice.spectra.x) == 17
    assert items["item_id"].tolist() == voice.spectra.items["item_id"].tolist()
    assert voice.labels == ["7", "8", "9"] and voice.speakers == ["", "lucas", "theo"]
    x, _, _ = next(iter(data.loader("train", audible=True)))
    np.testing.assert_allclose(voice.spectra.x[:8], x[:, 0], atol=1e-6)


def test_what_lies_beside_a_model_draws_the_same_without_any_recording(voice, run, tmp_path):
    folder = hub.export(run.folder, tmp_path / "model")
    with pytest.raises(CheckpointError, match="is missing; samples are drawn by a model with"):
        class_sampler.read_sampler(replace(run, folder=folder))
    path = class_sampler.write_sampler(voice, folder)
    moved = hub.export(folder, tmp_path / "moved")  # it goes along
    found = class_sampler.read_sampler(replace(run, folder=moved))
    assert found.labels == voice.labels and found.speakers == voice.speakers
    for asked in (("7", "theo"), ("8", "")):
        (z, drawn), (z_before, before) = (one.sample(5, *asked) for one in (found, voice))
        np.testing.assert_allclose(z, z_before, atol=0.02)  # kept in 16 bits
        np.testing.assert_array_equal(drawn.low, before.low)
        np.testing.assert_allclose(drawn.sounds(), before.sounds(), atol=0.05)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(CheckpointError, match="is not the file that config.json describes"):
        class_sampler.read_sampler(replace(run, folder=folder))


def test_other_models_have_no_voice(run, data, tmp_path):
    other = CorpusDataModule(
        names=data.names, folder=tmp_path, root=data.root, transform=Waveform(SR, 0.0625)
    )
    with pytest.raises(ValueError, match="digits-small samples no spectrograms; take one"):
        class_sampler.class_sampler(run, other, tmp_path)


def test_samples_have_the_shape_of_spectrograms_and_say_what_was_asked(voice, run):
    z, made = voice.sample(5, "7", "theo")
    assert z.shape == (5, 4, 1) and z.dtype == np.float32
    assert made.x.shape == (5, 16, 32) and made.x.min() >= 0 and made.x.max() <= 1
    assert (made.items["label"] == "7").all() and (made.items["speaker"] == "theo").all()
    assert made.transform == WAY and len(made.items) == 5
    np.testing.assert_array_equal(made.x, decode(run.load(), z, (4, 1)))  # the same call
    y = made.sounds()
    assert y.shape == (5, 500) and np.isfinite(y).all() and np.abs(y).max() <= 1


@pytest.mark.parametrize("kind", ["normal", "gaussian", "mixture", "classes"])
def test_the_same_seed_draws_the_same(voice, kind):
    first, again, other = (voice.sample(3, "8", kind=kind, seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(first[0], again[0]) and np.array_equal(first[1].low, again[1].low)
    assert not np.array_equal(first[0], other[0])
    assert len(np.unique(first[0].reshape(3, -1), axis=0)) == 3


@pytest.mark.parametrize(
    ("label", "speaker", "n"),
    [("7", "", 8), ("8", "", 8), ("", "lucas", 8), ("8", "theo", 4), ("", "", 17)],
)
def test_ranges_are_pairs_of_training_recordings_of_the_class(voice, label, speaker, n):
    items = voice.spectra.items
    mine = items["label"].eq(label) | (label == "")
    mine &= items["speaker"].eq(speaker) | (speaker == "")
    assert mine.sum() == n
    known = {*zip(voice.spectra.low[mine], voice.spectra.high[mine], strict=True)}
    _, made = voice.sample(200, label, speaker)
    assert {*zip(made.low, made.high, strict=True)} == known  # all of them, and no other


def test_latents_are_drawn_from_those_of_the_class(voice):
    for label in ("7", "8"):
        mine = voice.train.items["label"].eq(label).to_numpy()
        known = voice.train.z[mine]
        z = voice.sample(4000, label, spread=1.0)[0].reshape(4000, -1)
        np.testing.assert_allclose(z.mean(0), known.mean(0), atol=0.1 * known.std(0).max())
        np.testing.assert_allclose(z.std(0), known.std(0), rtol=0.1, atol=0.01)
        wanted = generation.random(voice.train.shaped()[mine], 3, kind="gaussian", seed=5)
        assert np.array_equal(voice.sample(3, label, kind="gaussian", seed=5)[0], wanted)


@pytest.mark.parametrize("spread", [1.0, 0.5])
def test_a_speaker_keeps_the_mean_and_borrows_how_all_vary(voice, spread):
    items, z = voice.train.items, voice.train.z
    mine = items["label"].eq("7")
    own = [z[mine & items["speaker"].eq(name)] for name in ("theo", "lucas")]
    drawn = voice.sample(4000, "7", "theo", spread=spread)[0].reshape(4000, -1)
    within = np.concatenate([part - part.mean(0) for part in own])
    size = np.sqrt(np.trace(np.cov(within.T)))
    np.testing.assert_allclose(drawn.mean(0), own[0].mean(0), atol=0.1 * size)
    wanted = spread**2 * within.T @ within / len(within)
    np.testing.assert_allclose(np.cov(drawn.T), wanted, atol=0.1 * size**2)


def test_without_spread_a_class_is_its_mean(voice):
    items, z = voice.train.items, voice.train.z
    mine = items["label"].eq("8") & items["speaker"].eq("lucas")
    drawn = voice.sample(3, "8", "lucas", spread=0.0)[0].reshape(3, -1)
    np.testing.assert_allclose(drawn, np.tile(z[mine].mean(0), (3, 1)), atol=1e-5)


def test_what_was_said_once_cannot_be_varied(voice):
    for speaker in ("", "theo"):
        with pytest.raises(ValueError, match="'9' was recorded 1 times; two are needed"):
            voice.sample(2, "9", speaker)


@pytest.mark.parametrize(
    ("label", "speaker", "words"),
    [
        ("5", "", "there is no label named '5'; choose one of: 7, 8, 9"),
        ("7", "nicolas", "there is no speaker named 'nicolas'; choose one of: lucas, theo"),
        ("9", "lucas", "lucas never recorded 9; choose another speaker or label"),
    ],
)
def test_what_nobody_said_cannot_be_drawn(voice, label, speaker, words):
    for ask in (
        lambda: voice.sample(2, label, speaker),
        lambda: player.say(voice, label, speaker=speaker),
    ):
        with pytest.raises(ValueError, match=words):
            ask()


def test_draws_that_cannot_be_meant(voice):
    with pytest.raises(ValueError, match="n is 0 and spread 0.8; draw at least 1"):
        voice.sample(0, "7")
    with pytest.raises(ValueError, match="spread -1; draw"):
        voice.sample(1, "7", spread=-1)
    with pytest.raises(ValueError, match="'even'.*normal"):
        voice.sample(1, "7", kind="even")


def _without_speakers(voice: ClassSampler) -> ClassSampler:
    items = voice.train.items.drop(columns="speaker")
    return replace(voice, train=replace(voice.train, items=items))


def test_a_corpus_without_speakers_is_sampled_by_label(voice):
    z = _without_speakers(voice).sample(4000, "7", spread=1.0)[0].reshape(4000, -1)
    known = voice.train.z[voice.train.items["label"].eq("7")]
    np.testing.assert_allclose(z.mean(0), known.mean(0), atol=0.1 * known.std())
    np.testing.assert_allclose(z.std(0), known.std(0), rtol=0.1)


def test_each_pair_of_label_and_speaker_is_said(voice):
    known = replace(voice.train, items=voice.train.items.replace({"label": {"9": "7"}}))
    asked, sounds = replace(voice, train=known).as_speakers(2)
    pairs = [("7", "lucas"), ("7", "theo"), ("8", "lucas"), ("8", "theo")]
    assert [tuple(pair) for pair in asked] == [pair for pair in pairs for _ in range(2)]
    assert sounds.shape == (8, 500) and not np.array_equal(sounds[0], sounds[1])


def test_a_corpus_without_speakers_says_so(voice):
    nobody = _without_speakers(voice)
    assert nobody.speakers == [""]
    with pytest.raises(ValueError, match="speaker"):
        nobody.sample(2, "7", "theo")


def test_equally_many_of_each_label(voice):
    rows = voice.train.items["label"].ne("9").to_numpy()
    two = ClassSampler(select(voice.train, rows), _rows(voice.spectra, rows), voice.decoder)
    z, made = two.each(3)
    assert z.shape == (6, 4, 1) and made.x.shape == (6, 16, 32)
    assert made.items["label"].tolist() == ["7"] * 3 + ["8"] * 3
    assert made.items.index.tolist() == list(range(6)) and len(made.low) == len(made.high) == 6
    assert made.high[:3].min() > made.high[3:].max()  # 7 is louder, whoever says it
    # Decoded three by three and all six at once: apart by 1.2e-7 on a processor with AVX-512.
    np.testing.assert_allclose(made.x, two.decoder(z), atol=1e-5)
    assert np.array_equal(two.each(3)[0], z) and not np.array_equal(two.each(3, seed=9)[0], z)
    assert two.each(3, spread=0.1)[0].std(axis=0).max() < z.std(axis=0).max()


def _rows(real, rows: np.ndarray):
    items = real.items[rows].reset_index(drop=True)
    return replace(real, x=real.x[rows], low=real.low[rows], high=real.high[rows], items=items)


def test_components_are_a_sampler_without_a_network(voice):
    spectra = voice.spectra
    linear = class_sampler.component_sampler(spectra, 4)
    z = linear.train.shaped()
    assert z.shape == (17, 4, 1) and linear.labels == voice.labels
    np.testing.assert_allclose(np.cov(z[..., 0].T), np.eye(4), atol=1e-4)
    wanted = reconstruction.reconstruct_by_pca(spectra.x, spectra.x, n=4)
    np.testing.assert_allclose(linear.decoder(z), wanted, atol=1e-4)
    drawn, made = linear.sample(5, "8", "lucas", spread=0.0)
    mine = spectra.items["label"].eq("8") & spectra.items["speaker"].eq("lucas")
    np.testing.assert_allclose(drawn, np.tile(z[mine].mean(0), (5, 1, 1)), atol=1e-5)
    assert made.x.dtype == np.float32 and made.x.min() >= 0 and made.x.max() <= 1
    assert made.sounds().shape == (5, 500)


def test_saying_is_a_player(voice):
    said = player.say(voice, "7", speaker="theo")
    assert isinstance(said, HTML)
    assert "<audio" in said.data and "7 as theo" in said.data
    assert "data:audio/mpeg;base64," in said.data
    assert " as " not in player.say(voice, "8").data.split("<audio")[0]
    assert (
        player.say(voice, "7").data
        == player.say(voice, "7").data
        != player.say(voice, "7", seed=1).data
    )


def test_entropy_by_hand():
    assert class_sampler.entropy(np.array(list("0123456789") * 3), 10) == 1
    assert class_sampler.entropy(np.array(["3"] * 7), 10) == 0
    two = class_sampler.entropy(np.array(["a", "a", "b", "b"]), 4)
    assert two == pytest.approx(0.5 + 1 / 8 / np.log(4))
    nats = -(0.75 * np.log(0.75) + 0.25 * np.log(0.25))
    uneven = class_sampler.entropy(np.array([1, 1, 1, 2]), 2)
    assert uneven == pytest.approx((nats + 1 / 8) / np.log(2))
    with pytest.raises(ValueError, match="there are 1 classes; entropy needs two or more"):
        class_sampler.entropy(np.array(["3"]), 1)


def test_few_labels_have_the_entropy_of_many(rng):
    """Uncorrected, they would have 0.04 less."""
    few = [class_sampler.entropy(rng.choice(10, 40, p=SHARES), 10) for _ in range(500)]
    wanted = -(SHARES * np.log(SHARES)).sum() / np.log(10)
    assert np.mean(few) == pytest.approx(wanted, abs=0.01)


@settings(max_examples=30, deadline=None)
@given(labels=st.lists(st.integers(0, 9), min_size=1, max_size=50))
def test_entropy_lies_between_0_and_1(labels):
    found = class_sampler.entropy(np.array(labels), 10)
    assert -1e-12 <= found <= 1 + 1e-12
    assert found == pytest.approx(
        class_sampler.entropy(np.random.default_rng(0).permutation(labels), 10)
    )


def test_diversity_by_hand(rng):
    real, labels = rng.normal(0, 1, (60, 4, 5)), np.repeat(["a", "b", "c"], 20)
    assert class_sampler.diversity(real, labels, real=real, labels=labels) == pytest.approx(1)
    assert class_sampler.diversity(real / 4, labels, real=real, labels=labels) == pytest.approx(
        0.25
    )
    means = np.stack([real[labels == label].mean(0) for label in labels])
    assert class_sampler.diversity(means, labels, real=real, labels=labels) == pytest.approx(
        0, abs=1e-12
    )
    other = rng.normal(0, 1, (30, 4, 5))
    assert class_sampler.diversity(other, labels[::2], real=real, labels=labels) == pytest.approx(
        1, abs=0.1
    )
    half = np.where(
        (labels == "a")[:, None, None], means, real
    )  # one class of three says one thing
    assert class_sampler.diversity(half, labels, real=real, labels=labels) == pytest.approx(2 / 3)


def test_diversity_is_within_classes(rng):
    """Ten stored sounds far apart are no variety."""
    labels = np.repeat(["a", "b"], 10)
    real = rng.normal(0, 1, (20, 6))
    stored = np.where((labels == "a")[:, None], -100.0, 100.0) * np.ones((20, 6))
    assert class_sampler.diversity(stored, labels, real=real, labels=labels) == 0


def test_a_table_of_samples_is_one_row_each(voice):
    _, made = voice.sample(3, "7")
    pd.testing.assert_frame_equal(
        made.items, pd.DataFrame({"label": ["7"] * 3, "speaker": [""] * 3})
    )
