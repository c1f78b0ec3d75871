"""Models beside yardsticks on the same excerpts, and speech through models."""

import json

import numpy as np
import pytest
import torch
from helpers.models import A1, SPARSE, untrained, waveform_experiment

from musiclatent import audio
from musiclatent.audio.windows import Waveform
from musiclatent.display import results
from musiclatent.errors import MissingToolError
from musiclatent.evaluation import codecs, rate_distortion, reconstruction
from musiclatent.training.run_folder import Run

SR, N = 8000, 8192


@pytest.fixture
def trained(tmp_path) -> dict[str, Run]:
    return {
        "a1": untrained(tmp_path, waveform_experiment("WaveformAutoencoder", A1)),
        "sparse_small": untrained(
            tmp_path, waveform_experiment("SparseAutoencoder", SPARSE, "sparse")
        ),
    }


@pytest.fixture
def x(rng) -> np.ndarray:
    t = np.arange(N) / SR
    return np.stack(
        [0.5 * np.sin(2 * np.pi * hz * t) + 0.05 * rng.normal(size=N) for hz in (150, 300, 700)]
    ).astype(np.float32)


def test_the_same_sound_has_no_error_and_noise_as_much_as_it_holds(x, rng):
    assert reconstruction.audio_errors(x, x)["mrstft"] < 1e-6
    noise = 0.01 * rng.normal(size=x.shape)
    found = reconstruction.audio_errors(x, x + noise)
    assert found["sisdr"] == pytest.approx(31, abs=1.5)


def test_a_model_codes_as_its_network_does(trained, x):
    coder = rate_distortion.ModelCodec(trained["a1"], N)
    z = coder.encode(x)
    assert coder.form == "dense" and z.shape == (3, 16, 256)
    with torch.no_grad():
        x_hat = coder.model(torch.from_numpy(x)[:, None]).x_hat[:, 0].numpy()
    np.testing.assert_allclose(coder.decode(z), x_hat, atol=1e-5)
    sparse = rate_distortion.ModelCodec(trained["sparse_small"], N)
    z = sparse.encode(x)
    assert sparse.form == "sparse" and z.shape[1] == 2 and (np.diff(z[:, 1]) > 0).all()
    assert sparse.decode(z).shape == x.shape


def test_the_table_has_a_row_for_each_coder_and_its_picture_is_drawn(trained, x):
    coders = {name: rate_distortion.ModelCodec(run, N) for name, run in trained.items()}
    coders |= {"mdct_600": codecs.MDCT(300, N, 64), "mdct_200": codecs.MDCT(100, N, 64)}
    coders["resampled"] = codecs.Resampled(N, SR, 2000)
    found = rate_distortion.rate_distortion_table(coders, x, training=x, sr=SR)
    assert list(found.index) == list(coders)
    assert found.loc["a1", "numbers_s"] == 16 * 256 * SR / N
    assert found.loc["mdct_600", "numbers_s"] == 600 * SR / N
    assert found["mse"]["mdct_600"] < found["mse"]["mdct_200"]
    assert found["bits_s"]["mdct_600"] > found["bits_s"]["mdct_200"]
    assert (found["bits_s"] < 32 * found["numbers_s"]).all()
    assert (found["mse_8_bits"] < 1.2 * found["mse"] + 1e-4).all()
    assert (found[["encode_speed", "decode_speed"]] > 0).all(axis=None)
    figure = results.rate_distortion(found)
    named = [text.get_text() for text in figure.legends[0].get_texts()]
    assert named == ["a1", "sparse_small", "mdct", "resampled"]


def test_eight_bits_move_no_band_of_a_deep_latent(tmp_path, rng):
    options = {"width": 8, "depth": 1, "tile": 4, "crop": 1}
    run = untrained(tmp_path, waveform_experiment("DeepAutoencoder", options))
    x = (0.1 * rng.normal(size=(4, 12_288))).astype(np.float32)  # all bands nearly as loud
    found = rate_distortion.measure_codec(
        rate_distortion.ModelCodec(run, 12_288), x, training=x, sr=SR
    )
    assert found["mse_8_bits"] < 1.02 * found["mse"]


def test_opus_has_a_row_without_numbers(x):
    try:
        codecs.require_opus()
    except MissingToolError as error:
        pytest.skip(str(error))
    found = rate_distortion.measure_codec(codecs.Opus(N, SR, 12), x[:1], training=x, sr=SR)
    assert np.isnan(found["numbers_s"]) and found["mse"] == found["mse_8_bits"]
    assert 4000 < found["bits_s"] < 20_000


def test_without_opus_its_rows_are_left_out_with_a_sentence(monkeypatch):
    monkeypatch.setattr(codecs.shutil, "which", lambda name: None)
    with pytest.warns(UserWarning, match="rows of Opus are left out: Opus needs ffmpeg"):
        found = rate_distortion.reference_codecs(110_250, 22_050)
    assert list(found) == ["mdct_13824", "mdct_6912", "mdct_3456", "resampled"]
    assert found["mdct_13824"].k == 6912 and found["mdct_13824"].hop == 1024


def test_speech_goes_through_models_and_is_judged(trained, x, tmp_path):
    audio.write(tmp_path / "voice.wav", np.concatenate(x), SR)
    target = tmp_path / "out" / "11_voice"
    found, sounds = rate_distortion.speech_intelligibility(
        trained, tmp_path / "voice.wav", transform=Waveform(SR, 1.024), target=target, most_s=2.5
    )
    assert list(found.index) == list(trained) and sounds[0][0] == "original"
    assert all(len(y) == 20_000 for _, y in sounds)
    assert {path.stem for path in target.parent.glob("*.wav")} == {
        f"11_voice_{name}" for name in ("original", *trained)
    }
    assert found["stoi"].between(-0.2, 1).all()
    assert found["sisdr"]["sparse_small"] > found["sisdr"]["a1"]  # which is not trained


def test_minutes_come_from_the_card(tmp_path, trained):
    (tmp_path / "card.json").write_text(json.dumps({"train_seconds": 90.0}))
    assert rate_distortion.training_minutes(trained["a1"]) == 1.5
