"""Models beside reference codecs on the same excerpts."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from helpers.models import A1, SPARSE, untrained, waveform_experiment

from musiclatent.display import results
from musiclatent.errors import MissingToolError
from musiclatent.evaluation import codecs, rate_distortion, reconstruction
from musiclatent.training.run_folder import Run, amend_config

SR, N = 16_000, 8192


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


LAPPED = {"maps": 8, "kernel_size": 1024, "stride": 512}
DEEP = {"width": 8, "depth": 1, "tile": 4, "crop": 1}


def measure(coders: dict, x: np.ndarray) -> tuple[dict, reconstruction.Analysis]:
    original = reconstruction.analyse(x, SR)
    return rate_distortion.measure_codecs(coders, original, training=x, sr=SR), original


def test_the_table_has_a_row_for_each_coder_and_its_pictures_are_drawn(trained, x):
    coders = {name: rate_distortion.ModelCodec(run, N) for name, run in trained.items()}
    coders |= {"mdct_600": codecs.MDCT(300, N, 64), "mdct_200": codecs.MDCT(100, N, 64)}
    coders["resampled"] = codecs.Resampled(N, SR, 4000)
    measured, original = measure(coders, x)
    table = rate_distortion.rate_distortion_table(measured, original)
    assert list(table.index) == list(coders) and table.notna().all(axis=None)
    assert {*rate_distortion.UNTRAINED, "mse", "mrstft", "sisdr_median"} < set(table)
    assert table.loc["a1", "numbers_s"] == 16 * 256 * SR / N
    assert table.loc["mdct_600", "numbers_s"] == 600 * SR / N
    assert table["mse"]["mdct_600"] < table["mse"]["mdct_200"]
    assert (table["mse_8_bits"] < 1.2 * table["mse"] + 1e-4).all()
    assert (table[["encode_speed", "decode_speed"]] > 0).all(axis=None)
    losses = {name: one.losses for name, one in measured.items()}
    assert losses["a1"] == ("mse",) and losses["mdct_200"] == ()
    rates = rate_distortion.rates_table(measured)
    figure = results.rate_distortion(table, rates)
    named = [text.get_text() for text in figure.legends[0].get_texts()]
    assert named == ["a1", "sparse_small", "mdct", "resampled"]
    columns = results.untrained_columns(table, losses, ["mse", *rate_distortion.UNTRAINED])
    assert len(columns.axes) == 6
    hollow = [line.get_markerfacecolor() == "none" for line in columns.axes[0].lines]
    assert hollow == [True, True, False, False, False]  # the error that a1 and sparse minimise


def test_more_bits_cost_more_and_leave_less_error(x):
    measured, _ = measure({"mdct_600": codecs.MDCT(300, N, 64)}, x)
    rates = measured["mdct_600"].rates
    assert rates["bits"].tolist() == [4, 5, 6, 7, 8, 9, 10]
    assert rates["bits_s"].is_monotonic_increasing and rates["mse"].is_monotonic_decreasing
    assert rates["mse"].iloc[-1] == pytest.approx(
        measured["mdct_600"].errors["mse"].mean(), rel=0.1
    )


def test_the_least_error_lies_on_the_line_between_two_points():
    rates = pd.DataFrame({"coder": "mdct_1", "bits_s": [100.0, 400.0, 200.0]})
    rates = rates.assign(mse=[0.04, 0.01, 0.05])  # the one between is worse than a cheaper one
    assert rate_distortion.least_error(rates, "mdct", 100.0) == pytest.approx(0.04)
    assert rate_distortion.least_error(rates, "mdct", 200.0) == pytest.approx(0.04)
    middle = rate_distortion.least_error(rates, "mdct", np.sqrt(200.0 * 400.0))
    assert middle == pytest.approx(0.02)
    assert np.isnan(rate_distortion.least_error(rates, "mdct", 401.0))


def test_a_perfect_coder_has_no_error_in_any_column(x):
    perfect = codecs.MDCT(N, N, 64)
    table = rate_distortion.rate_distortion_table(*measure({"all": perfect}, x)).loc["all"]
    assert table[["mse", "mrstft", "mel_distance", "log_spectral_distance"]].abs().max() < 1e-2
    assert table["frechet"] < 1e-3
    assert table[["key_agreement", "tempo_agreement"]].eq(1).all()


def test_the_same_coder_wins_no_column_and_a_better_one_wins(x, rng):
    x = np.concatenate([x * gain for gain in (1.0, 0.7, 0.5)])
    coarse, fine = codecs.MDCT(60, N, 64), codecs.MDCT(4000, N, 64)
    measured, original = measure({"coarse": coarse, "fine": fine}, x)
    units = np.repeat(["a", "b", "c"], 3)
    one, other = measured["fine"], measured["coarse"]
    same = rate_distortion.untrained_differences(one, one, original, units)
    assert not same["wins"].any() and (same["difference"] == 0).all()
    table = rate_distortion.untrained_differences(one, other, original, units)
    assert list(table.index) == list(rate_distortion.UNTRAINED)
    assert table.loc[["mel_distance", "log_spectral_distance", "frechet"], "wins"].all()
    reverse = rate_distortion.untrained_differences(other, one, original, units)
    assert not reverse["wins"].any()
    ratio = rate_distortion.ratio(one, other, units)
    assert ratio.low <= ratio.estimate <= ratio.high < 1 and ratio.units == 3
    assert rate_distortion.ratio(one, one, units).estimate == 1


def test_a_ratio_is_the_geometric_mean_over_recordings(x):
    measured, _ = measure({"mdct_200": codecs.MDCT(100, N, 64)}, x)
    one = measured["mdct_200"]
    errors = [one.errors.assign(mse=mse) for mse in ([1.0, 3.0, 8.0], [2.0, 2.0, 1.0])]
    parts = [replace(one, errors=table) for table in errors]
    # recording a: 2 of 2, recording b: 8 of 1
    found = rate_distortion.ratio(*parts, np.array(["a", "a", "b"]))
    assert found.estimate == pytest.approx(np.sqrt(8)) and found.units == 2


def test_ablations_leave_out_what_they_say(tmp_path, rng):
    runs = {
        "a1": waveform_experiment("WaveformAutoencoder", LAPPED, "a1"),
        "deep_13824": waveform_experiment("DeepAutoencoder", DEEP, "deep"),
    }
    coders = {
        name: rate_distortion.ModelCodec(untrained(tmp_path, row), 12_288)
        for name, row in runs.items()
    }
    rows = rate_distortion.ablations(coders)
    assert list(rows) == ["a1_noise_fill", "deep_no_noise", "deep_no_networks"]
    assert rows["a1_noise_fill"].losses == ("mse",) and rows["deep_no_networks"].losses == ()
    x = (0.1 * rng.normal(size=(2, 12_288))).astype(np.float32)
    filled, silent = rows["a1_noise_fill"], rows["deep_no_noise"]
    z = filled.encode(x)
    assert z.shape == (2, 8 + 14, 24)  # 112 bands every 8 frames
    own = coders["a1"].decode(z[:, :8])
    power = np.square(filled.decode(z)).mean() / np.square(x).mean()
    assert 0.8 < power < 1.1 > 1e-3 and np.square(own).mean() < 0.1 * np.square(x).mean()
    z = silent.encode(x)
    assert z.shape == coders["deep_13824"].encode(x).shape
    assert np.square(silent.decode(z)).mean() < np.square(x).mean()  # 100 of 1,024 bins
    deep = coders["deep_13824"]
    np.testing.assert_array_equal(deep.nearest(z), silent.decode(z))
    np.testing.assert_array_equal(silent.nearest(z), silent.decode(z))
    whole = rows["deep_no_networks"]
    assert np.square(whole.decode(whole.encode(x))).mean() == pytest.approx(0.01, rel=0.1)
    with pytest.raises(ValueError, match="waveform-a1 has no noise to leave out"):
        replace(coders["a1"], without="noise").encode(x)


def test_eight_bits_move_no_band_of_a_deep_latent(tmp_path, rng):
    run = untrained(tmp_path, waveform_experiment("DeepAutoencoder", DEEP))
    x = (0.1 * rng.normal(size=(4, 12_288))).astype(np.float32)  # all bands nearly as loud
    measured, original = measure({"deep": rate_distortion.ModelCodec(run, 12_288)}, x)
    table = rate_distortion.rate_distortion_table(measured, original).loc["deep"]
    assert table["mse_8_bits"] < 1.02 * table["mse"]
    coder = rate_distortion.ModelCodec(run, 12_288)
    near = np.square(coder.nearest(coder.encode(x)) - x).mean()
    assert table["mse"] == pytest.approx(near)
    assert near < np.square(coder.decode(coder.encode(x)) - x).mean()


def test_opus_has_a_row_without_numbers(x):
    try:
        codecs.require_opus()
    except MissingToolError as error:
        pytest.skip(str(error))
    measured, original = measure({"opus": codecs.Opus(N, SR, 12)}, x[:2])
    table = rate_distortion.rate_distortion_table(measured, original).loc["opus"]
    assert np.isnan(table["numbers_s"]) and table["mse"] == pytest.approx(table["mse_8_bits"])
    assert 4000 < table["bits_s"] < 30_000 and np.isfinite(table["mrstft"])


def test_without_opus_its_rows_are_left_out_with_a_sentence(monkeypatch):
    monkeypatch.setattr(codecs.shutil, "which", lambda name: None)
    with pytest.warns(UserWarning, match="rows of Opus are left out: Opus needs ffmpeg"):
        found = rate_distortion.reference_codecs(110_250, 22_050)
    assert list(found) == ["mdct_20736", "mdct_13824", "mdct_6912", "mdct_3456", "resampled"]
    assert found["mdct_13824"].k == 6912 and found["mdct_13824"].hop == 1024


def test_minutes_come_from_the_folder(trained):
    amend_config(trained["a1"].folder, train_seconds=90.0)
    assert rate_distortion.training_minutes(trained["a1"]) == 1.5
