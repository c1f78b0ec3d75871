"""The judge's network: sizes, its disturbances, and what it learns."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import cross_entropy

from musiclatent.models import recogniser
from musiclatent.models.recogniser import Judge


def _small(**options) -> Judge:
    torch.manual_seed(0)
    return Judge(**{"classes": 3, "channels": [4, 5]} | options)


def _noise(seed: int, *shape: int) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def _logged(model: Judge) -> dict[str, float]:
    """What a step logs; no trainer is needed."""
    values = {}
    model.log = lambda name, value, **_: values.update({name: value.item()})
    return values


@settings(max_examples=20, deadline=None)
@given(
    n=st.integers(1, 3),
    bands=st.integers(1, 40),
    frames=st.integers(1, 40),
    classes=st.integers(2, 12),
    layers=st.integers(1, 5),
)
@torch.no_grad()
def test_any_size_gives_a_score_for_each_class(n, bands, frames, classes, layers):
    model = _small(classes=classes, channels=[3] * layers).eval()
    x = _noise(n, n, 1, bands, frames)
    scores = model(x)
    assert scores.shape == (n, classes) and scores.isfinite().all()
    torch.testing.assert_close(model(x[:1]), scores[:1])  # each by itself


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"classes": 1}, "1 classes, dropout 0.3; give two classes"),
        ({"dropout": 1.0}, "dropout 1.0; give two classes, 0 to below 1"),
        ({"dropout": -0.1}, "dropout -0.1"),
    ],
)
def test_options_that_cannot_be_meant(options, words):
    with pytest.raises(ValueError, match=words):
        _small(**options)


def test_hyper_parameters_are_plain_and_make_the_same_model():
    options = dict(_small().hparams)
    assert all(isinstance(value, str | int | float | bool | list) for value in options.values())
    shapes = {key: value.shape for key, value in _small().state_dict().items()}
    assert {key: value.shape for key, value in Judge(**options).state_dict().items()} == shapes


def test_disturbances_are_the_same_from_the_same_seed_and_leave_the_original():
    x = _noise(0, 6, 1, 12, 30)
    before = x.clone()
    first, again, other = (recogniser._disturbed(x, seed) for seed in ([1, 2], [1, 2], [1, 3]))
    assert torch.equal(x, before)
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert first.shape == x.shape and first.dtype == x.dtype


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**31 - 1), frames=st.integers(2, 50))
def test_disturbances_are_small(seed, frames):
    """A mark moves by few bands and frames, or is hidden; all else is faint noise."""
    x = torch.zeros(4, 1, 20, frames)
    x[:, :, 10, frames // 2] = 1
    found = recogniser._disturbed(x, [seed])[:, 0]
    most = max(1, int(recogniser.SLIDE * frames))
    for one in found:
        marks = (one > 0.5).nonzero()
        assert len(marks) <= 1
        for band, frame in marks.tolist():
            assert abs(band - 10) <= recogniser.BANDS
            assert min((frame - frames // 2) % frames, (frames // 2 - frame) % frames) <= most
        faint = one[one <= 0.5]
        assert faint.std() <= 2 * recogniser.NOISE and faint.abs().max() < 6 * recogniser.NOISE


def test_training_is_disturbed_and_the_same_in_the_same_step():
    model = _small(dropout=0.0)
    values = _logged(model)
    x, label = _noise(0, 6, 1, 12, 30), torch.arange(6) % 3
    torch.manual_seed(5)
    first, again, other = (model.training_step((x, label), index) for index in (3, 3, 4))
    assert torch.equal(first, again) and first != other
    scores = model(recogniser._disturbed(x, [5, 0, 4]))
    assert values["train_loss"] == pytest.approx(
        cross_entropy(scores, label, label_smoothing=0.05).item()
    )
    assert values["train_accuracy"] == (scores.argmax(1) == label).float().mean().item()


@torch.no_grad()
def test_elsewhere_spectrograms_are_seen_as_they_are():
    model = _small().eval()
    values = _logged(model)
    x, label = _noise(0, 6, 1, 12, 30), torch.arange(6) % 3
    model.validation_step((x, label), 0)
    scores = model(x)
    loss = cross_entropy(scores, label, label_smoothing=0.05).item()
    accuracy = (scores.argmax(1) == label).float().mean().item()
    wanted = {"validation_loss": loss, "validation_accuracy": accuracy}
    assert values == pytest.approx(wanted)


def test_marks_in_three_places_can_be_told_apart():
    """Far apart in bands; the frame does not matter."""
    model = _small(channels=[8, 12, 16], dropout=0.1)
    _logged(model)
    label = torch.arange(30) % 3
    x = 0.1 * _noise(0, 30, 1, 36, 16)
    for i in range(30):
        first = 4 + 12 * int(label[i])
        x[i, 0, first : first + 4, i % 8 : i % 8 + 5] = 1
    optimizer = torch.optim.Adam(model.parameters(), 1e-2)
    for step in range(60):
        loss = model.training_step((x[:18], label[:18]), step)
        optimizer.zero_grad(), loss.backward(), optimizer.step()
    with torch.no_grad():
        assert (model.eval()(x[18:]).argmax(1) == label[18:]).all()
