"""The encoder of scripts: arrays and files of any length, whole and in pieces."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from helpers.models import MEL, SMALL, SPARSE, untrained, waveform_experiment
from helpers.signals import tone

from musiclatent import audio, models
from musiclatent.analysis import pooling
from musiclatent.audio.windows import Waveform
from musiclatent.config import Study
from musiclatent.errors import AudioError, CheckpointError, LatentsError
from musiclatent.features.mel import LogMel
from musiclatent.latents import encoder as encoders
from musiclatent.latents import shipped
from musiclatent.latents.encode import encode_files
from musiclatent.latents.encoder import Encoder, interpolate, list_encoders, load_encoder

SR, N = 8000, 4000  # of the encoders below: windows of half a second
KINDS = {
    "waveform": (SMALL, Waveform(SR, 0.5)),
    "mel": (MEL, LogMel(sr=SR, window_s=0.5, n_fft=256, hop_length=128, n_mels=16)),
    "sparse": (
        waveform_experiment("SparseAutoencoder", SPARSE, "sparse"),
        Waveform(SR, 0.5),
    ),
}


@pytest.fixture(params=KINDS)
def encoder(request, tmp_path) -> Encoder:
    row, transform = KINDS[request.param]
    return load_encoder(untrained(tmp_path, row, transform=transform).folder)


@pytest.fixture
def small(tmp_path) -> Encoder:
    return load_encoder(untrained(tmp_path).folder)


def test_an_encoder_says_what_it_is(small):
    assert (small.sr, small.window_s, small.experiment) == (SR, 0.5, "waveform-small")
    assert small.hop_length == 32 and small.latent_shape == (8, 125)
    mel = Encoder(models.MODELS[MEL.model](**MEL.options).eval(), KINDS["mel"][1], "mel")
    assert mel.hop_length == 4 * 128 and mel.latent_shape[0] == 4


@pytest.mark.parametrize("n", [1, 5, N - 1, N, N + 1, 2 * N + 300, 9 * N])
def test_sound_of_any_length_comes_back_as_long(encoder, n, rng):
    y = rng.uniform(-0.5, 0.5, n).astype(np.float32)
    z = encoder.encode(y)
    assert z.shape == (-(-n // N), *encoder.latent_shape) and z.dtype == np.float32
    found = encoder.decode(z)
    assert found.shape == (n,) and found.dtype == np.float32 and np.abs(found).max() <= 1
    assert type(found) is np.ndarray


def test_what_is_cut_or_read_from_disk_decodes_to_whole_windows(small, tmp_path, rng):
    z = small.encode(rng.uniform(-0.5, 0.5, 2 * N + 300))
    assert len(small.decode(z * 0.9)) == len(small.decode(z + 0 * z)) == 2 * N + 300
    assert len(small.decode(z[:2])) == 2 * N and len(small.decode(z[[2]])) == N
    np.save(tmp_path / "z.npy", z)
    kept = np.load(tmp_path / "z.npy")
    assert len(small.decode(kept)) == 3 * N and len(small.decode(kept, samples=77)) == 77
    np.testing.assert_array_equal(small.decode(kept)[: 2 * N + 300], small.decode(z))


def test_a_file_and_its_samples_agree(encoder, tmp_path):
    for sr in (SR, 22_050):  # the second is resampled
        path = audio.write(tmp_path / f"{sr}.wav", tone(300, sr=sr), sr, subtype="FLOAT")
        y, own = audio.read(path)
        z = encoder.encode(path)
        for given in (encoder.encode(y, own), encoder.encode(str(path))):
            # A file is resampled by the minute, an array at once: they differ by rounding.
            assert z.shape == given.shape and z.samples == given.samples
            if encoder.model.code == "dense":
                np.testing.assert_allclose(z, given, atol=1e-4)


def test_channels_are_mixed_as_those_of_a_file(small, tmp_path, rng):
    y = rng.uniform(-0.5, 0.5, (2, 5000)).astype(np.float32)
    path = audio.write(tmp_path / "two.wav", y, SR, subtype="FLOAT")
    np.testing.assert_allclose(small.encode(y), small.encode(path), atol=1e-6)
    np.testing.assert_allclose(small.encode(y), small.encode(y.mean(axis=0)), atol=1e-6)


def test_pieces_that_are_cut_at_windows_are_the_whole(encoder, rng):
    y = rng.uniform(-0.5, 0.5, 11 * N + 50).astype(np.float32)
    parts = np.split(y, [2 * N, 3 * N, 10 * N])
    pieces = np.concatenate([encoder.encode(part) for part in parts])
    # Batches are cut otherwise: float32.
    np.testing.assert_allclose(pieces, encoder.encode(y), atol=1e-5)


def test_decoding_is_what_the_model_gives(small, rng):
    y = rng.uniform(-0.5, 0.5, 3 * N).astype(np.float32)
    with torch.no_grad():
        wanted = small.model(torch.from_numpy(y.reshape(3, 1, N))).x_hat.numpy().ravel()
    np.testing.assert_allclose(small.decode(small.encode(y)), wanted, atol=1e-5)


def test_embedding_is_what_latents_on_disk_are_compared_by(tmp_path, rng):
    row, transform = KINDS["mel"]
    run = untrained(tmp_path, row, transform=transform)
    path = audio.write(tmp_path / "a.wav", tone(440, sr=SR), SR)
    plan = Study(
        name="mel",
        title="",
        question="",
        source="",
        demo=(),
        real=(),
        window_s=0.5,
        sr=SR,
        input="logmel",
        frames={"n_fft": 256, "hop_length": 128, "n_mels": 16},
    )
    latents, _ = encode_files(run, plan, files=[path], folder=tmp_path / "latents")
    encoder = load_encoder(run.folder)
    z = encoder.encode(path)
    vectors = encoder.embed(z)
    assert vectors.shape == (len(z), 12)
    np.testing.assert_allclose(vectors, pooling.window_vectors(latents), atol=1e-5)
    np.testing.assert_allclose(encoder.embed(z[:1]), vectors[:1], atol=1e-6)


@pytest.mark.parametrize(
    ("y", "words"),
    [
        (np.zeros(0), r"samples have shape \(0,\); give \(N,\) or \(C, N\), not empty"),
        (np.zeros((2, 0)), "not empty"),
        (np.zeros((1, 2, 3)), r"samples have shape \(1, 2, 3\)"),
        (np.zeros((900, 2)), r"samples have shape \(900, 2\); give channels first, \(C, N\): y.T"),
        (np.zeros(90, np.int16), r"samples are int16; give floats in \[-1, 1\]"),
        (np.zeros(90, complex), "samples are complex128; give floats"),
        (np.array([0.0, np.nan]), "samples hold NaN or infinity; repair them first"),
        (np.array([0.0, -np.inf]), "samples hold NaN or infinity; repair them first"),
        (np.array([0.0, 20_000.0]), "samples reach 2e\\+04; divide them by the full scale"),
        (["a"], "samples are <U1; give floats"),
        (None, "samples have shape"),
    ],
)
def test_arrays_that_are_no_sound_are_refused(small, y, words):
    with pytest.raises(ValueError, match=words) as caught:
        small.encode(y)
    assert "\n" not in str(caught.value)


def test_rates_that_make_no_sense_are_refused(small, tmp_path):
    path = audio.write(tmp_path / "a.wav", np.zeros(900), SR)
    with pytest.raises(ValueError, match="a.wav is a file, which knows its own rate; leave out sr"):
        small.encode(path, sr=SR)
    with pytest.raises(ValueError, match="sr is 0; it must be above 0 Hz"):
        small.encode(np.zeros(90), sr=0)
    with pytest.raises(ValueError, match="too few to be resampled from 192000 to 8000 Hz"):
        small.encode(np.zeros(1), sr=192_000)
    with pytest.raises(AudioError, match="No such file"):
        small.encode(tmp_path / "none.wav")


def test_latents_of_another_shape_are_refused(small):
    for z in (np.zeros((8, 125)), np.zeros((0, 8, 125)), np.zeros((1, 125, 8))):
        for take in (small.decode, small.embed):
            with pytest.raises(LatentsError, match=r"give \(B, 8, 125\), one row or more"):
                take(z)
    with pytest.raises(LatentsError, match="latents hold NaN or infinity"):
        small.decode(np.full((1, 8, 125), np.nan))
    for samples in (0, -1, N + 1):
        with pytest.raises(ValueError, match=f"samples is {samples}; 1 windows hold 1 to {N}"):
            small.decode(np.zeros((1, 8, 125)), samples=samples)


def test_an_interpolation_goes_from_a_to_b_on_the_path_of_the_model(encoder, rng):
    z_a, z_b = encoder.encode(rng.uniform(-0.5, 0.5, 2 * N))
    path = interpolate(encoder, z_a, z_b, steps=3)
    assert path.shape == (3, *encoder.latent_shape)
    np.testing.assert_allclose(path[[0, 2]], [z_a, z_b], atol=1e-6)
    straight = np.allclose(path[1], (np.asarray(z_a) + np.asarray(z_b)) / 2, atol=1e-5)
    assert straight == (not encoder.model.own_path)
    with pytest.raises(ValueError, match="steps is 1"):
        interpolate(encoder, z_a, z_b, steps=1)


def test_a_name_is_looked_up_below_the_results_the_best_profile_first(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MUSICLATENT_HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(shipped, "WEIGHTS", tmp_path / "weights")
    for profile, seed in {"demo": 1, "real": 2}.items():
        place = tmp_path / "results" / profile / "waveform" / "checkpoints"
        run = untrained(place, seed=seed)
        run.folder.rename(place / SMALL.name)
    encoders.run_folder.amend_config(
        tmp_path / "results/demo/waveform/checkpoints/waveform-small",
        figures={"test_mse": 0.25, "train_mse": 0.1},
    )
    table = list_encoders()
    assert table["profile"].tolist() == ["real", "demo"] and "train_mse" not in table
    assert table["experiment"].tolist() == [SMALL.name] * 2 and table["test_mse"][1] == 0.25
    found, wanted = load_encoder(SMALL.name), load_encoder(table["folder"][0])
    z = np.ones((1, 8, 125), np.float32)
    np.testing.assert_array_equal(found.decode(z), wanted.decode(z))
    assert load_encoder("results/demo/waveform/checkpoints/waveform-small").sr == SR
    words = "'waveform-64' is neither a folder nor a model trained below .*; train one with"
    with pytest.raises(CheckpointError, match=f"{words}: make reproduce STUDY=waveform EXPERIMENT"):
        load_encoder("waveform-64")
    assert list_encoders("elsewhere").empty


def test_what_encodes_nothing_is_refused(tmp_path):
    run = untrained(tmp_path, replace(SMALL, model="Judge", options={"classes": 2}))
    with pytest.raises(CheckpointError, match="holds Judge, which encodes nothing"):
        load_encoder(run.folder)
