import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import mse_loss, normalize

from musiclatent.analysis import neighbours, pooling
from musiclatent.models import MODELS, mel
from musiclatent.models.augment import augment
from musiclatent.models.mel import CRNNAutoencoder, MelAutoencoder
from musiclatent.studies import STUDIES

SIZES = {"latent": 6, "channels": [4, 5], "band_strides": [4, 2], "time_strides": [2, 3]}
FAMILIES = (MelAutoencoder, CRNNAutoencoder)
ROWS = STUDIES["mel"].experiments
seeds = st.integers(0, 2**31 - 1)


def _small(kind=MelAutoencoder, **options) -> MelAutoencoder:
    torch.manual_seed(0)
    more = {"recurrent": 5} if kind is CRNNAutoencoder else {}
    return kind(**SIZES | {"n_mels": 16} | more | options)


def _noise(seed: int, *shape: int) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def _points(*degrees: float) -> torch.Tensor:
    """Latents (B, 2, 1) in these directions, of many lengths: the summary is scaled to 1."""
    angles = torch.tensor(degrees).deg2rad()
    lengths = 1.0 + torch.arange(len(degrees))
    return (lengths[:, None] * torch.stack([angles.cos(), angles.sin()], 1))[:, :, None]


@pytest.fixture(scope="module")
def built() -> dict[str, MelAutoencoder]:
    torch.manual_seed(0)
    return {name: MODELS[row.model](**row.options).eval() for name, row in ROWS.items()}


@pytest.mark.parametrize("name", ROWS)
@settings(max_examples=4, deadline=None)
@given(frames=st.integers(1, 70))
@torch.no_grad()
def test_every_configuration_takes_any_length(built, name, frames):
    model, stride = built[name], built[name].stride
    numbers = ROWS[name].options.get("latent", 128)
    out = model(_noise(frames, 1, 1, 128, frames))
    assert out.z.shape == (1, numbers, -(-frames // stride))
    assert out.x_hat.shape == (1, 1, 128, frames)
    whole = model.decode(out.z)
    assert whole.shape == (1, 1, 128, out.z.shape[2] * stride)
    assert torch.equal(whole[..., :frames], out.x_hat)
    assert out.z.dtype == out.x_hat.dtype == torch.float32


@pytest.mark.parametrize("kind", FAMILIES)
@settings(max_examples=20, deadline=None)
@given(frames=st.integers(1, 200), n=st.integers(1, 3), gain=st.sampled_from([0.0, 1.0, 1e4]))
@torch.no_grad()
def test_any_length_comes_back_between_0_and_1(kind, frames, n, gain):
    model = _small(kind).eval()
    x = _noise(frames, n, 1, 16, frames)
    z = model.encode(x)
    assert z.shape == (n, 6, -(-frames // 6)) and torch.equal(z, model(x).z)
    x_hat = model.decode(gain * z)[..., :frames]
    assert x_hat.shape == x.shape and x_hat.min() >= 0 and x_hat.max() <= 1


@pytest.mark.parametrize(
    ("name", "count"),
    [("mel-cae-1", 492_449), ("mel-triplet-1", 492_449), ("mel-crnn-6", 873_409)],
)
def test_parameters_of_the_compared_rows(built, name, count):
    assert sum(p.numel() for p in built[name].parameters()) == count


def test_the_recurrent_layer_hears_the_future_and_the_past():
    model = _small(CRNNAutoencoder).eval()
    x = _noise(0, 1, 1, 16, 60)
    other = x.clone()
    other[..., 30] = 1 - other[..., 30]
    with torch.no_grad():
        changed = (model.encode(x) != model.encode(other)).any(1)[0]
    assert changed.all()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"channels": [4]}, "1 channels, 2 band_strides and 2 time_strides; give one of each"),
        ({"time_strides": [2]}, "2 channels, 2 band_strides and 1 time_strides"),
        ({"kernel_size": 4}, "kernel_size is 4; give an odd number"),
        ({"n_mels": 20}, "band_strides multiply to 8, which does not divide n_mels 20"),
        ({"miner": "easy"}, "miner is 'easy'; choose one of: all, semihard, hard"),
    ],
)
@pytest.mark.parametrize("kind", FAMILIES)
def test_sizes_that_do_not_fit_are_refused(kind, options, words):
    with pytest.raises(ValueError, match=words):
        _small(kind, **options)


def test_an_odd_latent_cannot_be_halved():
    with pytest.raises(ValueError, match="latent is 7; give an even number"):
        _small(CRNNAutoencoder, latent=7)


@pytest.mark.parametrize("name", ROWS)
def test_hyper_parameters_are_plain_and_make_the_same_model(built, name):
    options = dict(built[name].hparams)
    assert all(isinstance(value, str | int | float | bool | list) for value in options.values())
    assert ROWS[name].options.items() <= options.items()
    shapes = {key: value.shape for key, value in built[name].state_dict().items()}
    again = MODELS[ROWS[name].model](**options).state_dict()
    assert {key: value.shape for key, value in again.items()} == shapes


@settings(max_examples=25, deadline=None)
@given(seed=seeds, frames=st.integers(1, 12), gain=st.floats(1e-3, 1e3))
def test_loss_and_evaluation_compare_the_same_vectors(seed, frames, gain):
    z = gain * (_noise(seed, 5, 3, frames) - 0.5)
    ours = pooling.embedding(z.numpy())
    np.testing.assert_allclose(ours, normalize(mel.summarise(z)).numpy(), atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(ours, axis=1), 1, atol=1e-5)


def test_a_summary_is_mean_deviation_and_mean_step_over_time():
    z = torch.tensor([[[1.0, 3.0, 1.0, 3.0], [3.0, 3.0, 1.0, 1.0]]])
    expected = torch.tensor([[2.0, 2.0, 1.0, 1.0, 2.0, 2 / 3]])
    assert torch.allclose(mel.summarise(z), expected)
    length = expected.square().sum().sqrt()
    np.testing.assert_allclose(pooling.embedding(z.numpy()), expected / length, atol=1e-6)


def test_the_summary_of_silence_stays_zero():
    z = torch.zeros(2, 3, 4)
    assert not normalize(mel.summarise(z)).any() and not pooling.embedding(z.numpy()).any()


@pytest.mark.parametrize(
    ("margin", "miner", "value"),
    [
        # a at 0 degrees, p at 60, n at 90: d(a, p) = 1, d(a, n) = 1.41421, d(p, n) = 0.51764.
        (0.2, "all", 0.68236),  # of p alone; a is far enough from n
        (0.6, "all", (0.18579 + 1.08236) / 2),
        (0.6, "semihard", 0.18579),
        (0.6, "hard", 1.08236),
    ],
)
def test_triplet_loss_by_hand(margin, miner, value):
    model = _small(margin=margin, miner=miner)
    loss = model.triplet_loss(_points(0, 60, 90), torch.tensor([0, 0, 1]))
    assert loss.item() == pytest.approx(value, abs=1e-4)


@settings(max_examples=20, deadline=None)
@given(seed=seeds, margin=st.sampled_from([0.05, 0.2, 1.0]))
def test_triplet_loss_is_the_mean_of_what_violates_the_margin(seed, margin):
    z, label = _noise(seed, 9, 3, 4) - 0.5, torch.arange(9) % 3
    e = pooling.embedding(z.numpy()).astype(float)
    d = np.linalg.norm(e[:, None] - e[None], axis=2)
    lost = [
        d[a, p] - d[a, n] + margin
        for a in range(9)
        for p in range(9)
        for n in range(9)
        if a != p and label[a] == label[p] != label[n]
    ]
    lost = np.array([value for value in lost if value > 0])
    ours = _small(margin=margin).triplet_loss(z, label).item()
    assert ours == pytest.approx(lost.mean() if len(lost) else 0.0, abs=1e-3)


@pytest.mark.parametrize("miner", mel.MINERS)
def test_perfectly_separated_labels_cost_nothing(miner):
    apart = _points(0, 1, 120, 121, 240, 241).requires_grad_()
    loss = _small(miner=miner).triplet_loss(apart, torch.tensor([0, 0, 1, 1, 2, 2]))
    loss.backward()
    assert loss.item() == 0 and not apart.grad.any()


def test_mixed_labels_cost_something_and_pull_together():
    mixed = _points(0, 90, 10, 100).requires_grad_()
    model, label = _small(), torch.tensor([0, 0, 1, 1])
    before = model.triplet_loss(mixed, label)
    before.backward()
    after = model.triplet_loss((mixed - 0.1 * mixed.grad).detach(), label)
    assert 0 < after.item() < before.item()


def test_unknown_labels_change_nothing():
    model, z = _small(), _noise(0, 8, 3, 4).requires_grad_()
    label = torch.tensor([0, -1, 1, 0, -1, 1, 0, -1])
    known = label >= 0
    loss = model.triplet_loss(z, label)
    loss.backward()
    wanted = model.triplet_loss(z[known], label[known]).item()
    assert loss.item() == pytest.approx(wanted, rel=1e-5) and wanted > 0  # a mean of fewer rows
    assert z.grad[known].any() and not z.grad[~known].any()


@pytest.mark.parametrize("label", [[-1, -1, -1], [-1, 0, -1], [2, 2, 2], [0, 1, -1]])
def test_too_few_labels_give_0_and_a_gradient(label):
    z = _noise(0, 3, 3, 4).requires_grad_()
    loss = _small().triplet_loss(z, torch.tensor(label))
    loss.backward()
    assert loss.item() == 0 and z.grad is not None and not z.grad.any()


@pytest.mark.parametrize("n", [6, 60])  # torch measures many rows in another way
def test_gradients_of_equal_still_and_short_latents_are_finite(n):
    label = torch.arange(n) % 2
    for z in (torch.zeros(n, 3, 4), torch.ones(n, 3, 4), _noise(0, n, 3, 1)):
        z.requires_grad_()
        loss = _small().triplet_loss(z, label)
        loss.backward()
        assert loss.isfinite() and z.grad.isfinite().all()


def _logged(model: MelAutoencoder) -> dict[str, float]:
    """What a step logs; no trainer is needed."""
    values = {}
    model.log = lambda name, value, **_: values.update({name: value.item()})
    return values


@torch.no_grad()
def test_validation_sees_the_windows_as_they_are():
    model = _small(triplet_weight=2.0).eval()
    values = _logged(model)
    x, label = _noise(0, 6, 1, 16, 30), torch.arange(6) % 2
    model.validation_step((x, None, label), 0)
    out = model(x)
    mse, triplet = mse_loss(out.x_hat, x), model.triplet_loss(out.z, label)
    wanted = {"validation_mse": mse.item(), "validation_triplet": triplet.item()}
    assert values == pytest.approx(wanted)
    loss = model._step((x, None, label), "test", 0)
    assert loss.item() == pytest.approx((mse + 2 * triplet).item()) and "test_mse" in values
    assert model.measure(x, out.x_hat)["mse"].mean().item() == pytest.approx(mse.item())


def test_a_loss_of_no_weight_does_not_teach():
    torch.manual_seed(0)
    x, labels = torch.rand(8, 1, 16, 12), torch.arange(8) % 2
    batch = (x, torch.zeros(8), labels)
    alone = _small(mse_weight=0.0, triplet_weight=1.0)
    _logged(alone)
    alone.training_step(batch, 0).backward()
    assert all(p.grad is None or not p.grad.any() for p in alone.up.parameters())
    assert any(p.grad.any() for p in alone.down.parameters())
    for weights in ((0.0, 0.0), (-1.0, 2.0)):
        with pytest.raises(ValueError, match="give 0 or more, not both 0"):
            _small(mse_weight=weights[0], triplet_weight=weights[1])


def test_training_sees_masks_that_the_target_does_not_have():
    model = _small(triplet_weight=0.5)
    values = _logged(model)
    x, label = _noise(0, 6, 1, 16, 30), torch.arange(6) % 2
    torch.manual_seed(5)
    loss = model.training_step((x, None, label), 3)
    again, other = (model.training_step((x, None, label), index) for index in (3, 4))
    assert torch.equal(loss, again) and loss != other
    masked, target = augment(x, seed=[5, 0, 3])
    out = model(masked)
    wanted = mse_loss(out.x_hat, target) + 0.5 * model.triplet_loss(out.z, label)
    assert loss.item() == pytest.approx(wanted.item()) and set(values) == {
        "train_mse",
        "train_triplet",
    }


def test_without_a_weight_labels_do_not_count():
    model = _small()
    values = _logged(model)
    x = _noise(0, 4, 1, 16, 30)
    first = model.training_step((x, None, torch.tensor([0, 0, 1, 1])), 0)
    second = model.training_step((x, None, torch.tensor([0, 1, 0, 1])), 0)
    assert torch.equal(first, second) and set(values) == {"train_mse"}


@pytest.mark.parametrize("kind", FAMILIES)
def test_one_batch_can_be_learned_by_heart(kind):
    options = {"triplet_weight": 0.1, "shift": False, "masks": 0, "learning_rate": 1e-2}
    model = _small(kind, latent=24, channels=[16, 24], **options)
    _logged(model)
    x = (_noise(0, 8, 1, 4, 3) > 0.5).float()  # blocks of 4 bands and 4 frames
    x = x.repeat_interleave(4, 2).repeat_interleave(4, 3)
    label = torch.tensor([0, 1, 2, 3, 0, 1, 2, 3])  # nothing that is heard
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    for step in range(150):
        loss = model.training_step((x, None, label), step)
        optimizer.zero_grad(), loss.backward(), optimizer.step()
    out = model(x)
    assert mse_loss(out.x_hat, x) < 0.2 * x.var() and model.triplet_loss(out.z, label) < 0.05
    z, names = pooling.embedding(out.z.detach().numpy()), label.numpy().astype(str)
    assert (
        neighbours.knn(z[:4], names[:4], z_test=z[4:], labels_test=names[4:], k=1)["accuracy"] == 1
    )
