import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from musiclatent import audio, models
from musiclatent.audio.windows import Waveform
from musiclatent.config import Experiment, Training
from musiclatent.data.datamodules import CorpusDataModule
from musiclatent.models.mdct import Lapped
from musiclatent.models.sparse import WINDOW, SparseAutoencoder
from musiclatent.studies import STUDIES, study
from musiclatent.training.fit import train_experiment

SIZES = (13_824, 6_912, 3_456)
# k is 64 for each stride of 512 samples
SMALL = {"hops": [32, 128, 512], "numbers": 2 * 64 * 216, "iterations": 6, "crop": 3}


def _small(**options) -> SparseAutoencoder:
    return SparseAutoencoder(**SMALL | options)


def _noise(*shape: int) -> torch.Tensor:
    return 0.1 * torch.randn(*shape, generator=torch.Generator().manual_seed(0))


def _music(n: int) -> torch.Tensor:
    """Tones that last and clicks that do not."""
    t = torch.arange(n) / 22_050
    x = sum(0.1 * torch.sin(2 * torch.pi * hz * t) for hz in (311.1, 466.2, 987.8, 1864.7))
    x[::2_003] += 0.8
    x[1::2_003] -= 0.5
    return (x + 0.003 * _noise(n))[None, None]


@pytest.mark.parametrize("numbers", SIZES)
def test_five_seconds_are_exactly_so_many_numbers(numbers):
    z = SparseAutoencoder(numbers=numbers, iterations=1, refits=0).encode(_noise(1, 1, WINDOW))
    assert z.shape == (1, 2, numbers // 2) and z.numel() == numbers
    places = z[0, 1]
    assert (places.diff() > 0).all()  # in order, none twice
    assert torch.equal(places, places.round()) and (z[0, 0] != 0).all()


@settings(max_examples=20, deadline=None)
@given(n=st.integers(1, 3_000))
def test_any_length_comes_back_with_its_length(n):
    model, strides = _small(iterations=2), -(-n // 512)
    out = model(_noise(2, 1, n))
    assert out.z.shape == (2, 2, 64 * strides) and out.x_hat.shape == (2, 1, n)
    assert model.decode(out.z).shape == (2, 1, 512 * strides)
    assert torch.equal(model.decode(out.z, samples=n), out.x_hat)


def test_a_share_of_a_value_is_rounded_and_every_length_is_told_from_its_latent():
    model = _small(numbers=2 * 216 + 100)
    for strides in range(1, 30):
        z = model.encode(torch.zeros(1, 1, 512 * strides))
        assert model.decode(z).shape[-1] == 512 * strides


def test_sounds_are_encoded_each_by_itself_and_always_the_same():
    model, x = _small(), _noise(3, 1, 2_000)
    z = model.encode(x)
    assert torch.equal(z, model.encode(x))
    alone = torch.cat([model.encode(one) for one in x.split(1)])
    assert torch.allclose(model.decode(z), model.decode(alone), atol=1e-5)


def test_silence_stays_silent_and_its_slopes_are_finite():
    model, x = _small(), torch.zeros(2, 1, 1_024)
    x_hat = model(x).x_hat
    assert not x_hat.any()
    x_hat.square().mean().backward()
    assert all(p.grad.isfinite().all() for p in model.parameters())


def test_filters_have_slopes():
    model, x = _small(), _music(2_048)
    (model(x).x_hat - x).square().mean().backward()
    assert all(p.grad.isfinite().all() and p.grad.abs().sum() > 0 for p in model.parameters())


def test_the_slope_is_that_of_the_error_with_the_search_done_anew():
    torch.manual_seed(0)
    model, x = _small(refits=150).double(), _music(1_024).double()
    way = [torch.randn_like(p) for p in model.parameters()]

    def error() -> torch.Tensor:
        return (model(x).x_hat - x).square().mean()

    def move(by: float) -> None:
        for p, d in zip(model.parameters(), way, strict=True):
            p.data += by * d

    error().backward()
    slope = sum((p.grad * d).sum() for p, d in zip(model.parameters(), way, strict=True)).item()
    move(1e-6)
    above = error().item()
    move(-2e-6)
    assert slope == pytest.approx((above - error().item()) / 2e-6, rel=1e-2)


@pytest.mark.parametrize("numbers", SIZES[1:])
def test_fewer_errors_than_the_largest_coefficients_of_one_transform(numbers):
    x = _music(8 * 4_096)
    model = SparseAutoencoder(hops=[64, 256, 1024, 4096], numbers=numbers, iterations=20)
    out = model(x)
    z = Lapped(1024)(x[:, 0])
    k = out.z.shape[-1]
    assert k == numbers // 2 // 27 * 8  # as many as are kept of the one transform
    least = z.abs().flatten().topk(k).values[-1]
    left = z[z.abs() < least].square().sum() / x.numel()
    assert (out.x_hat - x).square().mean() < 0.5 * left


def test_least_squares_and_more_steps_pay():
    x = _music(4_096)
    error = [
        (_small(numbers=2 * 8 * 216, **more)(x).x_hat - x).square().mean().item()
        for more in ({"iterations": 1, "refits": 0}, {"refits": 0}, {}, {"iterations": 30})
    ]
    assert error == sorted(error, reverse=True)


def test_one_lapped_transform_keeps_its_largest_coefficients():
    model = SparseAutoencoder([64], 2 * 5 * 1723, iterations=1, refits=1, crop=20)
    x = _noise(1, 1, 640)
    z = model.frames[0](x[:, 0]).flatten()
    kept = z.abs().topk(50).indices.sort().values
    found = model.encode(x)[0]
    assert torch.equal(found[1].long(), kept) and torch.allclose(found[0], z[kept], atol=1e-5)


def test_positions_are_rounded_moved_to_the_nearest_and_added_up():
    model = _small()
    z = torch.zeros(1, 2, 64)
    z[0, :, 0] = torch.tensor([1.0, 7.4])
    exact = z.clone()
    exact[0, 1, 0] = 7
    assert torch.equal(model.decode(z), model.decode(exact))
    z[0, 1] = torch.linspace(-50, 1e9, 64)
    assert model.decode(z).isfinite().all()
    twice = exact.clone()
    twice[0, :, 1] = torch.tensor([2.0, 7.0])
    assert torch.allclose(model.decode(twice), 3 * model.decode(exact), atol=1e-6)


def test_a_mixture_keeps_the_size_and_the_largest_and_mixes_what_both_have():
    model = SparseAutoencoder([1024], numbers=6 * 108, iterations=1, refits=0, crop=2)
    a = torch.tensor([[[1.0, -4.0, 2.0], [3, 5, 9]]])
    b = torch.tensor([[[1.0, 8.0, 0.1], [3, 7, 8]]])
    torch.testing.assert_close(model.between(a, b, 0.0), a)
    torch.testing.assert_close(model.between(a, b, 1.0), b)
    half = torch.tensor([[[1.0, -2.0, 4.0], [3, 5, 7]]])
    torch.testing.assert_close(model.between(a, b, 0.5), half)


def test_what_does_not_fit_is_refused():
    for hops in ([], [3], [96, 128], [0, 8]):
        with pytest.raises(ValueError, match="give even numbers that divide the longest"):
            SparseAutoencoder(hops)
    for numbers in (0, 100, 10**6):
        with pytest.raises(ValueError, match=f"numbers is {numbers}; give two or more, and at"):
            _small(numbers=numbers)
    with pytest.raises(ValueError, match="crop is 2; give more than 1,024 samples in 512s"):
        _small(crop=2)
    for shape in ((1, 3, 64), (2, 64), (1, 2, 10)):
        with pytest.raises(ValueError, match="give .B, 2, 64 or more."):
            _small().decode(torch.zeros(shape))


def test_hyper_parameters_are_plain_and_make_the_same_model():
    model = _small()
    assert all(isinstance(v, str | int | float | bool | list) for v in model.hparams.values())
    again = SparseAutoencoder(**model.hparams)
    assert torch.equal(again.encode(_music(600)), model.encode(_music(600)))


@pytest.mark.parametrize("profile", ["demo", "real"])
def test_the_experiments_have_the_sizes_that_their_names_say(profile):
    plan = study("waveform", profile)
    for numbers in SIZES:
        end = "" if numbers == SIZES[0] else f"-{numbers}"
        row = plan.experiment(f"waveform-sparse{end}")
        assert row.key == f"sparse_{numbers}" and row.options["numbers"] == numbers
        assert STUDIES["waveform"].experiment(row.name).options == {"numbers": numbers}
        assert sum(p.numel() for p in models.MODELS[row.model](**row.options).parameters()) > 0


ROW = Experiment(
    name="sparse-small",
    study="sparse",
    key="s",
    model="SparseAutoencoder",
    options=SMALL,
    about="",
    training=Training(learning_rate=1e-2, batch_size=4),
)


@pytest.fixture
def data(tmp_path):
    folder = tmp_path / "music"
    folder.mkdir()
    for i in range(9):
        y = 0.1 * torch.randn(8_000 + i, generator=torch.Generator().manual_seed(i))
        audio.write(folder / f"{i}.wav", y.numpy(), 8_000)
    transform = Waveform(8_000, 0.25)
    return CorpusDataModule(
        names=(str(folder),), folder=tmp_path / "c", root=folder, transform=transform, n_jobs=1
    )


def test_two_epochs_are_one_and_one_to_the_bit(data, tmp_path):
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    whole = train_experiment(ROW, data, folder=tmp_path / "whole", epochs=2)
    assert train_experiment(ROW, data, folder=tmp_path / "halves", epochs=2, stop_after=1) is None
    halves = train_experiment(ROW, data, folder=tmp_path / "halves", epochs=2)
    torch.set_num_threads(threads)
    assert halves.status == "resumed" and halves.curves.equals(whole.curves)
    a, b = (run.load().state_dict() for run in (whole, halves))
    assert all(torch.equal(a[key], b[key]) for key in a)
    assert whole.metrics["latent_numbers"] == 2 * 64 * 4
    start = SparseAutoencoder(**SMALL).state_dict()
    assert not torch.equal(a["frames.2.angle"], start["frames.2.angle"])  # it learned
