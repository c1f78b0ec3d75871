"""What a model makes of held-out spectrograms: which are taken, how they are measured and heard."""

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from musiclatent import audio, rebuilt, runs
from musiclatent.config import Experiment
from musiclatent.datamodules import CorpusDataModule
from musiclatent.models.vae import VAE
from musiclatent.phases import spectral_convergence
from musiclatent.rebuilt import Spectrograms
from musiclatent.runs import Run
from musiclatent.stfts import LogSTFT

SR = 8000
WAY = LogSTFT(SR, 0.0625, 32, 16)  # 500 samples: 16 x 32
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
    return Named((str(folder),), tmp_path / "cache", folder, transform=WAY, n_jobs=1)


@pytest.mark.parametrize("split", ["train", "test"])
def test_the_audible_rows_of_a_split_are_taken_with_their_items(data, split):
    found = rebuilt.take(data, split)
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
    whole, few = rebuilt.take(data, "train"), rebuilt.take(data, "train", at_most=3)
    names = whole.items["item_id"].tolist()
    assert few.items["item_id"].tolist() == [names[0], names[(len(names) - 1) // 2], names[-1]]
    np.testing.assert_allclose(few.x[-1], whole.x[-1], atol=1e-6)  # in a batch of another size
    assert len(few.x) == len(few.low) == 3
    assert len(rebuilt.take(data, "train", at_most=999).x) == len(whole.x)


def test_recordings_belong_to_their_spectrograms(data):
    found = rebuilt.take(data, "test")
    y = rebuilt.recordings(found)
    assert y.shape == (len(found.x), WAY.length)
    assert (found.items["start_s"] > 0).any()  # second windows too
    for one, x in zip(y, found.db(), strict=True):
        np.testing.assert_allclose(WAY(one.astype(np.float32)), x, atol=0.05)


def test_sounds_have_the_range_of_their_originals(data):
    found = rebuilt.take(data, "test")
    y = found.sounds()
    assert y.shape == (len(found.x), WAY.length)
    wanted = WAY.sound(found.x, found.low, found.high)
    assert np.array_equal(y, wanted) and np.array_equal(found.sounds(found.x), wanted)
    other = np.zeros_like(found.x)
    assert (found.db(other) == found.low[:, None, None]).all()


def test_convergence_is_the_mean_of_that_of_each_sound(data):
    found = rebuilt.take(data, "test")
    near, far = (rebuilt.convergence(found, start) for start in ("gradient", "random"))
    each = []
    for x_db, y in zip(found.db(), found.sounds(), strict=True):
        S = np.pad(10 ** (x_db / 20), ((0, 1), (0, 0)))
        each.append(spectral_convergence(S, y, 32, 16))
    assert near == pytest.approx(np.mean(each), rel=1e-4)
    assert near < 0.3 and near < far


def _untrained(folder) -> Run:
    torch.manual_seed(0)
    model = VAE(**SMALL.options)
    content = {"state_dict": model.state_dict(), "hyper_parameters": dict(model.hparams)}
    torch.save(content, folder / "some.ckpt")
    return Run(SMALL, folder / "some.ckpt", {}, pd.DataFrame(), "trained")


def test_blocks_share_one_map(rng):
    rows = rng.uniform(0, 0.5, (120, 2)) @ rng.uniform(0, 1, (2, 12))  # two numbers make a block
    x = rows.reshape(30, 4, 6, 2).transpose(0, 2, 1, 3).reshape(30, 6, 8).astype(np.float32)
    np.testing.assert_allclose(rebuilt.by_pca(x, x[:5], 8, blocks=4), x[:5], atol=1e-4)
    assert np.abs(rebuilt.by_pca(x, x[:5], 4, blocks=4) - x[:5]).max() > 0.01  # one is too few


def test_a_model_gives_what_its_mean_latents_decode_to(tmp_path, rng):
    run, x = _untrained(tmp_path), rng.uniform(0, 1, (19, 16, 32)).astype(np.float32)
    found = rebuilt.by_model(run, x)
    model = runs.load(run.checkpoint, SMALL)
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
    found = rebuilt.by_pca(train, x, n)
    assert found.shape == x.shape and found.dtype == np.float32
    assert found.min() >= 0 and found.max() <= 1
    if n >= rank:
        np.testing.assert_allclose(found, x, atol=1e-4)


def test_more_components_come_closer_and_no_more_than_the_windows_are_kept(rng):
    train = rng.uniform(0, 1, (12, 6, 7)).astype(np.float32)
    errors = [np.square(rebuilt.by_pca(train, train, n) - train).mean() for n in (1, 4, 8)]
    assert errors[0] > errors[1] > errors[2] > 0
    np.testing.assert_allclose(rebuilt.by_pca(train, train, 64), train, atol=1e-4)
    a, b = (rebuilt.by_pca(train, train, 4) for _ in range(2))
    assert np.array_equal(a, b)


def _originals(x: np.ndarray, low=-60.0, high=20.0) -> Spectrograms:
    n = len(x)
    return Spectrograms(x, np.full(n, low), np.full(n, high), pd.DataFrame(index=range(n)), WAY)


def test_perfect_spectrograms_have_no_error(rng):
    x = rng.uniform(0, 1, (3, 4, 5)).astype(np.float32)
    assert rebuilt.errors(_originals(x), x) == {"mse": 0, "log_spectral_distance": 0}
    inside = np.zeros(x.shape, bool)
    inside[:, :2] = True
    found = rebuilt.errors(_originals(x), x, inside)
    assert found["mse_inside"] == found["mse_outside"] == 0 and found["inside_share"] == 0.5
    assert found["outside_share_of_error"] == 0


def test_errors_by_hand():
    x = np.zeros((2, 4, 5), np.float32)
    x_hat = x.copy()
    x_hat[:, :1] = 0.5  # inside: 10 of 40 cells
    x_hat[:, 3:] = 0.25  # outside: 10 of 30
    inside = np.zeros(x.shape, bool)
    inside[:, :1] = True
    found = rebuilt.errors(_originals(x), x_hat, inside)
    each_db = np.sqrt(80**2 * (0.25 + 0.0625) / 4)
    assert found == pytest.approx(
        {
            "mse": (10 * 0.25 + 10 * 0.0625) / 40,
            "log_spectral_distance": each_db,
            "mse_inside": 0.25,
            "mse_outside": 10 * 0.0625 / 30,
            "inside_share": 0.25,
            "outside_share_of_error": 0.0625 / (0.25 + 0.0625),
        }
    )


def test_errors_in_decibels_follow_the_range_of_each():
    x = np.full((2, 4, 5), 0.5, np.float32)
    original = Spectrograms(x, np.array([-60, -20]), np.array([20, 0]), pd.DataFrame(), WAY)
    found = rebuilt.errors(original, x + 0.1)
    assert found["log_spectral_distance"] == pytest.approx((8 + 2) / 2, rel=1e-4)
    with pytest.raises(ValueError):
        rebuilt.errors(original, x[:, :, :3])


def test_all_inside_leaves_nothing_outside():
    x = np.zeros((1, 4, 5), np.float32)
    found = rebuilt.errors(_originals(x), x + 0.5, np.ones(x.shape, bool))
    assert found["mse_inside"] == found["mse"] == 0.25 and found["inside_share"] == 1
    assert found["outside_share_of_error"] == 0


def _sounds(n: int = 3) -> np.ndarray:
    t = np.arange(8000) / SR
    hz = 300 * np.arange(1, n + 1)[:, None]
    return (0.3 * np.sin(2 * np.pi * hz * t)).astype(np.float32)


def test_files_hold_the_sounds(tmp_path):
    y = _sounds()
    paths = rebuilt.write(y, SR, ["0_theo_1", "b", "c"], tmp_path / "new" / "folder")
    assert [path.name for path in paths] == ["0_theo_1.wav", "b.wav", "c.wav"]
    back = np.stack([audio.read(path)[0] for path in paths])
    np.testing.assert_allclose(back, y, atol=1e-4)
    assert rebuilt.sound_errors(y, back)["sisdr"] > 60
    with pytest.raises(ValueError):
        rebuilt.write(y, SR, ["a", "b"], tmp_path)


def test_perfect_sounds_are_heard_as_such_and_noise_is_not(rng):
    y = _sounds()
    perfect = rebuilt.sound_errors(y, y)
    assert perfect["sisdr"] > 60 and perfect["mrstft"] < 1e-3
    assert rebuilt.sound_errors(y, y / 2)["sisdr"] > 60  # does not depend on scale
    noisy = y + np.sqrt(0.3**2 / 2 / 100) * rng.standard_normal(y.shape).astype(np.float32)
    assert rebuilt.sound_errors(y, noisy)["sisdr"] == pytest.approx(20, abs=0.5)
    assert rebuilt.sound_errors(y, noisy)["mrstft"] > 10 * perfect["mrstft"]


def test_silent_originals_are_left_out():
    y = _sounds()
    y[0] = 0
    other = y.copy()
    other[0] = 0.1
    assert rebuilt.sound_errors(y, other) == rebuilt.sound_errors(y[1:], other[1:])
