"""The genre network: sizes, what it learns, and numbers that do not fit."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import cross_entropy

from musiclatent.models.augment import augment
from musiclatent.models.genre import GenreNetwork

KINDS = {"cnn": {}, "recurrent": {"recurrent": 6}, "joint": {"recurrent": 6, "attributes": 5}}


def _small(**options) -> GenreNetwork:
    torch.manual_seed(0)
    return GenreNetwork(
        **{"classes": 3, "channels": [4, 8], "hidden": 7, "n_mels": 16, "dropout": 0.2} | options
    )


def _noise(seed: int, *shape: int) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def _batch(model: GenreNetwork, n: int = 6, frames: int = 20) -> tuple[torch.Tensor, ...]:
    numbers = [_noise(1, n, 5)] if model.numbers is not None else []
    return _noise(0, n, 1, 16, frames), *numbers, torch.arange(n) % 3


def _logged(model: GenreNetwork) -> dict[str, float]:
    """What a step logs; no trainer is needed."""
    values = {}
    model.log = lambda name, value, **_: values.update({name: value.item()})
    return values


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=10, deadline=None)
@given(n=st.integers(1, 3), frames=st.integers(1, 50), layers=st.integers(1, 4))
@torch.no_grad()
def test_any_length_gives_a_score_for_each_genre(kind, n, frames, layers):
    model = _small(channels=[3] * layers, **KINDS[kind]).eval()
    *inputs, _ = _batch(model, n, frames)
    scores = model(*inputs)
    assert scores.shape == (n, 3) and scores.isfinite().all()
    torch.testing.assert_close(model(*(part[:1] for part in inputs)), scores[:1])  # by itself


@pytest.mark.parametrize("frames", [1, 20])
@pytest.mark.parametrize("kind", KINDS)
def test_gradients_reach_every_parameter(kind, frames):
    model = _small(**KINDS[kind])
    _logged(model)
    model.training_step(_batch(model, frames=frames), 0).backward()
    grads = {name: value.grad for name, value in model.named_parameters()}
    assert all(grad is not None and grad.isfinite().all() for grad in grads.values())
    if frames > 1:  # one frame has no step before it for a recurrent layer to remember
        assert all(grad.any() for grad in grads.values())


@pytest.mark.parametrize("kind", KINDS)
def test_one_batch_is_learned_by_heart(kind):
    model = _small(dropout=0.0, masks=0, **KINDS[kind])
    values, batch = _logged(model), _batch(model)
    optimizer = torch.optim.Adam(model.parameters(), 2e-2)
    for step in range(60):
        loss = model.training_step(batch, step)
        optimizer.zero_grad(), loss.backward(), optimizer.step()
    assert values["train_accuracy"] == 1
    with torch.no_grad():
        assert (model.eval()(*batch[:-1]).argmax(1) == batch[-1]).all()


def test_attributes_alone_can_tell_genres_apart():
    model = _small(attributes=5, dropout=0.0, masks=0)
    values = _logged(model)
    label = torch.arange(12) % 3
    numbers = 1e4 * torch.nn.functional.one_hot(label, 5) + _noise(2, 12, 5)  # of any size
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    for step in range(40):
        loss = model.training_step((torch.zeros(12, 1, 16, 20), numbers, label), step)
        optimizer.zero_grad(), loss.backward(), optimizer.step()
    assert values["train_accuracy"] == 1


@pytest.mark.parametrize("kind", KINDS)
def test_a_step_is_the_same_from_the_same_seed(kind):
    model = _small(**KINDS[kind])
    values, batch = _logged(model), _batch(model)
    before = batch[0].clone()
    torch.manual_seed(5)
    first, again, other = (model.training_step(batch, index) for index in (3, 3, 4))
    torch.manual_seed(6)
    assert torch.equal(first, again) and first != other
    assert model.training_step(batch, 3) != first
    assert torch.equal(batch[0], before)
    assert set(values) == {"train_loss", "train_accuracy"}


def test_the_same_seed_gives_the_same_weights():
    for kind in KINDS.values():
        left, right = _small(**kind).state_dict(), _small(**kind).state_dict()
        assert all(torch.equal(left[key], right[key]) for key in left)


def test_training_is_masked_and_thinned_out_and_nothing_else_is():
    model = _small(dropout=0.5)
    values, (x, label) = _logged(model), _batch(model)
    torch.manual_seed(5)
    model.training_step((x, label), 4)
    hidden, _ = augment(x, seed=model.step_seed(4), masks=2)
    scores = model(hidden, generator=model.step_generator(4))
    wanted = cross_entropy(scores, label, label_smoothing=0.1).item()
    assert values["train_loss"] == pytest.approx(wanted)
    with torch.no_grad():
        model.eval().validation_step((x, label), 4)
        scores = model(x)
    wanted = cross_entropy(scores, label, label_smoothing=0.1).item()
    accuracy = (scores.argmax(1) == label).float().mean().item()
    assert values["validation_loss"] == pytest.approx(wanted)
    assert values["validation_accuracy"] == pytest.approx(accuracy)


@torch.no_grad()
def test_mean_and_deviation_over_time_are_looked_at():
    model = _small().eval()
    x, _ = _batch(model)
    h = model.features(x).flatten(1, 2)
    seen = torch.cat([h.mean(2), h.var(2, correction=0).sqrt()], dim=1)
    torch.testing.assert_close(model(x), model.out(seen))


@torch.no_grad()
def test_leaving_features_out_changes_no_mean():
    model = _small(dropout=0.5).eval()
    x, _ = _batch(model)
    draws = [model(x, generator=torch.Generator().manual_seed(i)) for i in range(400)]
    draws, whole = torch.stack(draws), model(x)
    assert (draws.std(0) > 0).all()
    error = draws.std(0) / 20  # of the mean of 400
    assert ((draws.mean(0) - whole).abs() < 4 * error).all()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"classes": 1}, "1 classes, dropout 0.2; give two classes"),
        ({"dropout": 1.0}, "dropout 1.0; give two classes, 0 to below 1"),
        ({"dropout": -0.1}, "dropout -0.1"),
        ({"n_mels": 18}, "18 bands cannot be halved 2 times; give a multiple of 4"),
        ({"channels": []}, "halved 0 times; .* one layer or more"),
        ({"recurrent": 5}, "recurrent is 5; give an even number"),
    ],
)
def test_numbers_that_do_not_fit(options, words):
    with pytest.raises(ValueError, match=words):
        _small(**options)


@pytest.mark.parametrize("kind", KINDS)
def test_hyper_parameters_are_plain_and_make_the_same_network(kind):
    model = _small(**KINDS[kind])
    options = dict(model.hparams)
    assert all(isinstance(value, str | int | float | bool | list) for value in options.values())
    shapes = {key: value.shape for key, value in model.state_dict().items()}
    again = GenreNetwork(**options).state_dict()
    assert {key: value.shape for key, value in again.items()} == shapes
