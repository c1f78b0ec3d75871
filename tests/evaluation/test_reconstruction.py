"""What a model makes of held-out spectrograms: which are taken, how they are measured and heard."""

import numpy as np
import pandas as pd
import pytest
import torch
from helpers.models import stored_mel, untrained, waveform_experiment
from hypothesis import given, settings
from hypothesis import strategies as st

from musiclatent import audio
from musiclatent.audio.windows import Waveform
from musiclatent.config import Experiment
from musiclatent.data.datamodules import CorpusDataModule
from musiclatent.evaluation import reconstruction
from musiclatent.evaluation.reconstruction import measure, seam_error_db
from musiclatent.features.mel import LogMel
from musiclatent.features.phase import spectral_convergence
from musiclatent.features.stft import LogSTFT, SpectrogramBatch
from musiclatent.models.base import Autoencoder
from musiclatent.models.waveform import LinearBlocks, PoolingAutoencoder, WaveformAutoencoder
from musiclatent.studies import study
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
)


class Named(CorpusDataModule):
    """Recordings whose label is the beginning of their name, and whose split its end."""

    def index(self):
        items = super().index().items
        items["label"] = items["item_id"].str[0]
        items["split"] = ["train" if name[1] in "0123" else "test" for name in items["item_id"]]
        items["take"] = items["item_id"].str[1].astype(int)
        return self.corpus


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tones")
    rng = np.random.default_rng(0)
    for kind, hz in (("a", 500), ("b", 1500)):
        for i in range(6):  # from half a window to one and a half: one window or two
            t = np.arange(300 + 100 * i) / SR
            y = (0.1 + 0.05 * i) * np.sin(2 * np.pi * rng.uniform(0.9, 1.1) * hz * t)
            audio.write(folder / f"{kind}{i}.wav", y, SR)
    for name in ("c1.wav", "c5.wav"):
        audio.write(folder / name, np.zeros(500), SR)
    return folder


@pytest.fixture
def data(folder, tmp_path):
    return Named(
        names=(str(folder),), folder=tmp_path / "cache", root=folder, transform=WAY, n_jobs=1
    )


@pytest.mark.parametrize("split", ["train", "test"])
def test_the_audible_rows_of_a_split_are_taken_with_their_items(data, split):
    found = data.spectrograms(split)
    items = found.items
    assert len(found.x) == len(found.low) == len(found.high) == len(items)
    assert found.x.shape[1:] == WAY.shape and found.transform == WAY
    assert set(items["label"]) == {"a", "b"} and (items["split"] == split).all()
    assert (
        not items["silent"].any() and (items["take"] == items["item_id"].str[1].astype(int)).all()
    )
    wanted = data.cached.items
    wanted = wanted[wanted["split"].eq(split) & ~wanted["silent"]]
    assert items["item_id"].tolist() == wanted["item_id"].tolist()
    for i, (path, start_s) in enumerate(items[["path", "start_s"]].itertuples(index=False)):
        y, _ = audio.read(path, start_s=start_s, duration_s=WAY.window_s)
        x = WAY(np.pad(y, (0, WAY.length - len(y))))
        np.testing.assert_allclose(found.db()[i], x, atol=0.05)
        assert (found.low[i], found.high[i]) == pytest.approx((x.min(), x.max()), abs=0.05)
    assert found.x.min() == 0 and found.x.max() == 1


def test_fewer_are_spread_over_the_split(data):
    whole, few = data.spectrograms("train"), data.spectrograms("train", at_most=3)
    names = whole.items["item_id"].tolist()
    assert few.items["item_id"].tolist() == [names[0], names[(len(names) - 1) // 2], names[-1]]
    np.testing.assert_allclose(few.x[-1], whole.x[-1], atol=1e-6)  # in a batch of another size
    assert len(few.x) == len(few.low) == 3
    assert len(data.spectrograms("train", at_most=999).x) == len(whole.x)


def test_recordings_belong_to_their_spectrograms(data):
    found = data.spectrograms("test")
    y = reconstruction.read_recordings(found)
    assert y.shape == (len(found.x), WAY.length)
    assert (found.items["start_s"] > 0).any()  # second windows too
    for one, x in zip(y, found.db(), strict=True):
        np.testing.assert_allclose(WAY(one.astype(np.float32)), x, atol=0.05)


def test_sounds_have_the_range_of_their_originals(data):
    found = data.spectrograms("test")
    y = found.sounds()
    assert y.shape == (len(found.x), WAY.length)
    wanted = WAY.to_audio(found.x, found.low, found.high)
    assert np.array_equal(y, wanted) and np.array_equal(found.sounds(found.x), wanted)
    other = np.zeros_like(found.x)
    assert (found.db(other) == found.low[:, None, None]).all()


def test_convergence_is_the_mean_of_that_of_each_sound(data):
    found = data.spectrograms("test")
    near, far = (reconstruction.phase_convergence(found, start) for start in ("gradient", "random"))
    each = []
    for x_db, y in zip(found.db(), found.sounds(), strict=True):
        S = np.pad(10 ** (x_db / 20), ((0, 1), (0, 0)))
        each.append(spectral_convergence(S, y, 32, 16))
    assert near == pytest.approx(np.mean(each), rel=1e-4)
    assert near < 0.3 and near < far


def _untrained(folder) -> Run:
    return untrained(folder, SMALL, transform=LogSTFT(sr=8000, n_fft=32, hop_length=16))


def test_blocks_share_one_map(rng):
    rows = rng.uniform(0, 0.5, (120, 2)) @ rng.uniform(0, 1, (2, 12))  # two numbers make a block
    x = rows.reshape(30, 4, 6, 2).transpose(0, 2, 1, 3).reshape(30, 6, 8).astype(np.float32)
    np.testing.assert_allclose(
        reconstruction.reconstruct_by_pca(x, x[:5], n=8, blocks=4), x[:5], atol=1e-4
    )
    assert (
        np.abs(reconstruction.reconstruct_by_pca(x, x[:5], n=4, blocks=4) - x[:5]).max() > 0.01
    )  # one is too few


def test_a_model_gives_what_its_mean_latents_decode_to(tmp_path, rng):
    run, x = _untrained(tmp_path), rng.uniform(0, 1, (19, 16, 32)).astype(np.float32)
    found = reconstruction.reconstruct_by_model(run, x)
    model = run.load()
    with torch.no_grad():
        wanted = model.decode(model.encode(torch.from_numpy(x)[:, None]))[:, 0]
    assert found.shape == x.shape and found.dtype == np.float32
    np.testing.assert_allclose(found, wanted, atol=1e-5)


@settings(max_examples=15, deadline=None)
@given(rank=st.integers(1, 5), n=st.integers(1, 8), seed=st.integers(0, 999))
def test_as_many_components_as_the_rank_give_the_input_back(rank, n, seed):
    rng = np.random.default_rng(seed)
    maps = rng.uniform(0, 1, (rank, 6 * 7))

    def some(count: int) -> np.ndarray:
        share = rng.dirichlet(np.ones(rank + 1), count)[:, 1:]
        return (share @ maps).reshape(count, 6, 7).astype(np.float32)

    train, x = some(20), some(4)
    found = reconstruction.reconstruct_by_pca(train, x, n=n)
    assert found.shape == x.shape and found.dtype == np.float32
    assert found.min() >= 0 and found.max() <= 1
    if n >= rank:
        np.testing.assert_allclose(found, x, atol=1e-4)


def test_more_components_come_closer_and_no_more_than_the_windows_are_kept(rng):
    train = rng.uniform(0, 1, (12, 6, 7)).astype(np.float32)
    errors = [
        np.square(reconstruction.reconstruct_by_pca(train, train, n=n) - train).mean()
        for n in (1, 4, 8)
    ]
    assert errors[0] > errors[1] > errors[2] > 0
    np.testing.assert_allclose(
        reconstruction.reconstruct_by_pca(train, train, n=64), train, atol=1e-4
    )
    a, b = (reconstruction.reconstruct_by_pca(train, train, n=4) for _ in range(2))
    assert np.array_equal(a, b)


def _originals(x: np.ndarray, low=-60.0, high=20.0) -> SpectrogramBatch:
    n = len(x)
    return SpectrogramBatch(x, np.full(n, low), np.full(n, high), pd.DataFrame(index=range(n)), WAY)


def test_perfect_spectrograms_have_no_error(rng):
    x = rng.uniform(0, 1, (3, 4, 5)).astype(np.float32)
    assert reconstruction.spectrogram_errors(_originals(x), x) == {
        "mse": 0,
        "log_spectral_distance": 0,
    }
    inside = np.zeros(x.shape, bool)
    inside[:, :2] = True
    found = reconstruction.spectrogram_errors(_originals(x), x, inside)
    assert found["mse_inside"] == found["mse_outside"] == 0 and found["inside_share"] == 0.5
    assert found["outside_share_of_error"] == found["log_spectral_distance_inside"] == 0


def test_the_distance_inside_leaves_padding_out():
    x, inside = np.full((1, 4, 5), 0.5, np.float32), np.zeros((1, 4, 5), bool)
    inside[0, :2, :3] = True
    x_hat = x.copy()
    x_hat[0, 0, :3] += 0.1  # 8 of 80 dB in one of two bins that can hold sound
    found = reconstruction.spectrogram_errors(_originals(x), x_hat, inside)
    assert found["log_spectral_distance_inside"] == pytest.approx(8 / np.sqrt(2), rel=1e-4)
    assert found["log_spectral_distance"] == pytest.approx(8 / np.sqrt(4) * 3 / 5, rel=1e-4)
    x_hat[0, 3] = x_hat[0, :, 4] = 0.0  # outside
    again = reconstruction.spectrogram_errors(_originals(x), x_hat, inside)
    assert again["log_spectral_distance_inside"] == found["log_spectral_distance_inside"]


def test_errors_in_decibels_follow_the_range_of_each():
    x = np.full((2, 4, 5), 0.5, np.float32)
    original = SpectrogramBatch(x, np.array([-60, -20]), np.array([20, 0]), pd.DataFrame(), WAY)
    found = reconstruction.spectrogram_errors(original, x + 0.1)
    assert found["log_spectral_distance"] == pytest.approx((8 + 2) / 2, rel=1e-4)
    with pytest.raises(ValueError):
        reconstruction.spectrogram_errors(original, x[:, :, :3])


def _sounds(n: int = 3) -> np.ndarray:
    t = np.arange(8000) / SR
    hz = 300 * np.arange(1, n + 1)[:, None]
    return (0.3 * np.sin(2 * np.pi * hz * t)).astype(np.float32)


def test_files_hold_the_sounds(tmp_path):
    y = _sounds()
    paths = reconstruction.write_sounds(
        y, SR, names=["0_theo_1", "b", "c"], folder=tmp_path / "new" / "folder"
    )
    assert [path.name for path in paths] == ["0_theo_1.wav", "b.wav", "c.wav"]
    back = np.stack([audio.read(path)[0] for path in paths])
    np.testing.assert_allclose(back, y, atol=1e-4)
    assert reconstruction.audio_errors(y, back)["sisdr"] > 60
    with pytest.raises(ValueError):
        reconstruction.write_sounds(y, SR, names=["a", "b"], folder=tmp_path)


def test_perfect_sounds_are_heard_as_such_and_noise_is_not(rng):
    y = _sounds()
    perfect = reconstruction.audio_errors(y, y)
    assert perfect["sisdr"] > 60 and perfect["mrstft"] < 1e-3
    assert reconstruction.audio_errors(y, y / 2)["sisdr"] > 60  # does not depend on scale
    noisy = y + np.sqrt(0.3**2 / 2 / 100) * rng.standard_normal(y.shape).astype(np.float32)
    assert reconstruction.audio_errors(y, noisy)["sisdr"] == pytest.approx(20, abs=0.5)
    assert reconstruction.audio_errors(y, noisy)["mrstft"] > 10 * perfect["mrstft"]


def test_one_lost_sound_moves_the_mean_ratio_and_not_the_median(rng):
    y = _sounds(5)
    noise = rng.standard_normal(y.shape).astype(np.float32)
    noisy = y + 0.03 * noise
    before = reconstruction.audio_errors(y, noisy)
    noisy[0] = noise[0]
    after = reconstruction.audio_errors(y, noisy)
    assert after["sisdr"] < before["sisdr"] - 5
    assert after["sisdr_median"] == pytest.approx(before["sisdr_median"], abs=0.5)


def test_silent_originals_are_left_out():
    y = _sounds()
    y[0] = 0
    other = y.copy()
    other[0] = 0.1
    assert reconstruction.audio_errors(y, other) == reconstruction.audio_errors(y[1:], other[1:])


SR_of_resynthesis, WINDOW_S = 22_050, 5.0
A1 = study("waveform").experiment("waveform-64").options


def model(kind: type[Autoencoder] = WaveformAutoencoder, **options) -> Autoencoder:
    torch.manual_seed(0)
    return kind(**options).eval()


@pytest.fixture(scope="module")
def good() -> Autoencoder:
    """A1 as a lapped cosine transform (MDCT) kept below 1.4 kHz: random weights tell no sine."""
    net = model(**A1)
    k, n = np.arange(64)[:, None] + 0.5, np.arange(1024) + 0.5
    basis = np.sin(np.pi * n / 1024) * np.cos(np.pi / 512 * (n + 256) * k) / 16
    with torch.no_grad():
        for layer in (net.analysis, net.synthesis):
            layer.weight[:] = torch.from_numpy(basis)[:, None]
            layer.bias.zero_()
    return net


class Edgy(Autoencoder):
    """Keep the sound, but for a second wrong number near both edges of the window."""

    def __init__(self, edge: int):
        super().__init__(0.0, 1)
        self.stride, self.wrong = 10, edge

    def encode(self, x):
        return x

    def decode(self, z):
        z = z.clone()
        z[..., : self.wrong] = 1
        z[..., z.shape[-1] - self.wrong :] = -1
        return z


def test_seams_are_no_worse_than_the_rest(good):
    assert abs(seam_error_db(good, Waveform(SR_of_resynthesis, WINDOW_S))) < 0.5
    for net in (model(**A1), model(PoolingAutoencoder), model(LinearBlocks)):
        assert abs(seam_error_db(net, Waveform(SR_of_resynthesis, WINDOW_S))) < 1


def test_the_figure_sees_edges_that_are_not_dropped():
    assert seam_error_db(Edgy(0), Waveform(1000, 2.0)) == 0  # nothing wrong anywhere
    assert (
        seam_error_db(Edgy(80), Waveform(1000, 2.0)) < 0.1
    )  # a third of the overlap of 250 is dropped
    assert seam_error_db(Edgy(120), Waveform(1000, 2.0)) > 20
    known = Edgy(120)
    known.edge = 120  # then more is shared, and dropped
    assert seam_error_db(known, Waveform(1000, 2.0)) < 0.1


# ---------------------------------------------------------------------------- figures


def test_figures_of_a_perfect_and_of_a_silent_copy(tmp_path):
    rng = np.random.default_rng(0)
    y = 0.3 * rng.standard_normal(int(2.7 * SR_of_resynthesis)).astype(np.float32)
    a = audio.write(tmp_path / "a.wav", y, SR_of_resynthesis)
    perfect = measure(a, a, SR_of_resynthesis, window_s=1.0)
    assert perfect["mse"] == 0 and perfect["mrstft"] == 0 and perfect["sisdr"] > 60
    silent = audio.write(tmp_path / "b.wav", np.zeros_like(y), SR_of_resynthesis)
    read, _ = audio.read(a)
    assert measure(a, silent, SR_of_resynthesis, window_s=1.0)["mse"] == pytest.approx(
        np.mean(read**2), rel=1e-4
    )
    short = audio.write(
        tmp_path / "c.wav", y[:1000], SR_of_resynthesis
    )  # padded to a window, which must not help
    empty = audio.write(tmp_path / "d.wav", np.zeros(1000), SR_of_resynthesis)
    read, _ = audio.read(short)
    assert measure(short, empty, SR_of_resynthesis, window_s=1.0)["mse"] == pytest.approx(
        np.mean(read**2), rel=1e-4
    )
    nothing = measure(empty, empty, SR_of_resynthesis, window_s=1.0)
    assert nothing["mse"] == 0 and np.isnan([nothing["sisdr"], nothing["mrstft"]]).all()


def test_noise_costs_what_it_should(tmp_path):
    rng = np.random.default_rng(0)
    y, noise = 0.2 * rng.standard_normal((2, 2 * SR_of_resynthesis)).astype(np.float32)
    a = audio.write(tmp_path / "a.wav", y, SR_of_resynthesis, subtype="FLOAT")
    b = audio.write(tmp_path / "b.wav", y + 0.1 * noise, SR_of_resynthesis, subtype="FLOAT")
    found = measure(a, b, SR_of_resynthesis, window_s=1.0)
    assert found["sisdr"] == pytest.approx(20, abs=0.3)
    assert found["mse"] == pytest.approx(0.0004, rel=0.05)


TRANSFORM = LogMel(sr=8000, window_s=0.25, n_fft=256, hop_length=64, n_mels=16)


@pytest.fixture
def stored(tmp_path):
    return stored_mel(tmp_path)


def test_spectrograms_are_heard_at_their_own_level(stored, rng):
    t = np.arange(2000) / 8000
    y = [0.3 * np.sin(2 * np.pi * hz * t) + 0.01 * rng.standard_normal(2000) for hz in (300, 900)]
    x = np.stack([TRANSFORM(one) for one in y])
    heard = reconstruction.reconstruct(stored, x, TRANSFORM)
    assert heard.shape == (2, 31 * 64) and np.isfinite(heard).all() and np.abs(heard).max() <= 1
    quiet = reconstruction.reconstruct(stored, x - 20, TRANSFORM)  # the model sees the same
    np.testing.assert_allclose(quiet, 0.1 * heard, atol=1e-3)


def chords(n: int, sr: int = 16_000, beat_s: float = 0.5) -> np.ndarray:
    """Chords of C major, A minor and others, struck again and again."""
    t = np.arange(n * 2) / sr
    pulse = np.exp(-8 * (t % beat_s))
    keys = ([261.6, 329.6, 392.0], [220.0, 261.6, 329.6], [293.7, 370.0, 440.0])
    sounds = [pulse * sum(np.sin(2 * np.pi * hz * t) for hz in chord) / 4 for chord in keys]
    return np.stack(sounds).astype(np.float32)


def test_the_same_excerpts_have_no_error_and_agree():
    original = reconstruction.analyse(chords(16_000), 16_000)
    errors = reconstruction.excerpt_errors(original, original)
    assert len(errors) == 3 and len(set(original.keys)) == 3
    assert original.descriptors.shape == (3, 96)
    assert (errors[["mse", "mel_distance", "log_spectral_distance"]] == 0).all(axis=None)
    assert errors[["key_agreement", "tempo_agreement"]].eq(1).all(axis=None)


def test_gain_costs_its_decibels_and_keeps_key_and_tempo():
    x = chords(16_000)
    pair = (reconstruction.analyse(y, 16_000) for y in (x, x / 2))
    errors = reconstruction.excerpt_errors(*pair)
    assert errors["mel_distance"].to_numpy() == pytest.approx(6.02, abs=0.5)
    assert errors["log_spectral_distance"].to_numpy() == pytest.approx(6.02, abs=0.1)
    assert errors[["key_agreement", "tempo_agreement"]].eq(1).all(axis=None)


def test_another_key_or_tempo_is_seen():
    x = chords(16_000)
    moved = reconstruction.analyse(np.roll(x, 1, axis=0), 16_000)
    errors = reconstruction.excerpt_errors(reconstruction.analyse(x, 16_000), moved)
    assert errors["key_agreement"].eq(0).all()
    pair = (reconstruction.analyse(chords(32_000, beat_s=s), 16_000) for s in (0.5, 0.35))
    assert reconstruction.excerpt_errors(*pair)["tempo_agreement"].eq(0).all()


def test_silent_or_other_excerpts_are_refused():
    x = reconstruction.analyse(chords(16_000), 16_000)
    silent = reconstruction.analyse(0 * x.y, 16_000)
    with pytest.raises(ValueError, match="or one is silent; choose audible ones"):
        reconstruction.excerpt_errors(silent, x)
    assert reconstruction.excerpt_errors(x, silent).notna().all(axis=None)
    shorter = reconstruction.analyse(chords(16_000)[:2], 16_000)
    with pytest.raises(ValueError, match="differ in shape"):
        reconstruction.excerpt_errors(x, shorter)


def test_low_rates_are_raised_for_descriptors():
    assert reconstruction.describe(chords(8000, 8000), 8000).shape == (3, 98)


def test_speech_goes_through_models_and_what_loses_nothing_is_understood(tmp_path, rng):
    sr = 16_000
    t = np.arange(3 * sr) / sr
    voice = rng.normal(size=len(t)) * (1 + np.sin(2 * np.pi * 4 * t)) * (1 + np.sin(7 * t)) / 20
    audio.write(tmp_path / "voice.wav", voice, sr)
    rows = {"whole": {"maps": 32, "stride": 32}, "half": {"maps": 4, "stride": 32}}
    runs = {
        name: untrained(tmp_path, waveform_experiment("LinearBlocks", options, name))
        for name, options in rows.items()
    }
    target = tmp_path / "out" / "11_voice"
    table, sounds = reconstruction.speech_intelligibility(
        runs, tmp_path / "voice.wav", transform=Waveform(sr, 1.024), target=target, most_s=2.5
    )
    assert list(table.index) == list(runs) and sounds[0][0] == "original"
    assert all(len(y) == 40_000 for _, y in sounds)
    stems = {path.stem for path in target.parent.glob("*.wav")}
    assert stems == {f"11_voice_{name}" for name in ("original", *runs)}
    assert table["estoi"]["whole"] == pytest.approx(1, abs=1e-3)
    assert -0.2 < table["estoi"]["half"] < 0.9


def test_a_middle_is_as_near_to_music_as_its_ends_or_farther(rng):
    others = rng.normal(size=(60, 5))
    ends = others[:2] + 0.1 * rng.normal(size=(2, 5))
    assert reconstruction.remoteness(others[2], ends, others) == pytest.approx(0, abs=1e-6)
    assert reconstruction.remoteness(ends[0], ends[[0, 0]], others) == pytest.approx(1)
    assert reconstruction.remoteness(ends[0] + 50, ends, others) > 20


def test_a_cross_fade_is_known_as_one():
    x = chords(16_000)
    others = reconstruction.sound_features(x[[2, 2, 2]] * [[1.0], [0.7], [0.5]], 16_000)
    faded = reconstruction.middle_scores(x[:2].mean(axis=0), x[:2], others, 16_000)
    assert set(faded) == {"descriptors", "mel", "crossfade_sisdr"} and faded["crossfade_sisdr"] > 60
    assert reconstruction.middle_scores(x[2], x[:2], others, 16_000)["crossfade_sisdr"] < 5
    silent = reconstruction.middle_scores(x[2], 0 * x[:2], others, 16_000)
    assert np.isnan(silent["crossfade_sisdr"])
