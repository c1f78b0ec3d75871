import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from musiclatent.models.augment import WIDEST, augment

seeds = st.integers(0, 2**31 - 1)
sizes = st.tuples(st.integers(1, 5), st.integers(1, 24), st.integers(1, 40))


def _noise(n=4, bands=16, frames=30) -> torch.Tensor:
    """Spectrograms without a zero, so that masks can be told, and no two numbers alike."""
    generator = torch.Generator().manual_seed(0)
    values = torch.randperm(n * bands * frames, generator=generator) + 1.0
    return (values / (1 + len(values))).reshape(n, 1, bands, frames)


@settings(max_examples=20, deadline=None)
@given(seed=seeds, size=sizes, masks=st.integers(0, 3), mixing=st.sampled_from([0.0, 0.4]))
def test_the_same_seed_gives_the_same_bytes(seed, size, masks, mixing):
    x = _noise(*size)
    kept = x.clone()
    first = augment(x, seed=seed, masks=masks, mixing=mixing)
    again = augment(x, seed=seed, masks=masks, mixing=mixing)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert torch.equal(x, kept) and first[0].shape == first[1].shape == x.shape
    assert all(part.min() >= 0 and part.max() <= 1 for part in first)


def test_other_seeds_give_other_changes():
    x = _noise()
    parts = [augment(x, seed=[0, epoch, index])[0] for epoch in range(3) for index in range(3)]
    assert len({part.numpy().tobytes() for part in parts}) == 9


@settings(max_examples=20, deadline=None)
@given(seed=seeds, size=sizes)
def test_a_shift_is_a_roll_and_mixing_is_off_unless_asked_for(seed, size):
    x = _noise(*size)
    target = augment(x, seed=seed)[1]
    for before, after in zip(x, target, strict=True):
        turn = int((after[0, 0] == before[0, 0, 0]).nonzero())  # where the first frame went
        assert torch.equal(before.roll(turn, dims=2), after)


def test_each_spectrogram_is_turned_by_itself_and_by_any_number_of_frames():
    x = _noise(400, 1, 10)
    target = augment(x, seed=0, masks=0)[1]
    turns = (target == x[..., :1]).nonzero()[:, 3]
    assert set(turns.tolist()) == set(range(10))


@settings(max_examples=30, deadline=None)
@given(seed=seeds, size=sizes, masks=st.integers(0, 3))
def test_masks_are_few_and_narrow_and_the_target_has_none(seed, size, masks):
    x, target = augment(_noise(*size), seed=seed, masks=masks)
    hidden = (x == 0)[:, 0]
    assert (target > 0).all() and torch.equal(x[~hidden[:, None]], target[~hidden[:, None]])
    _, bands, frames = size
    rows, columns = hidden.all(2), hidden.all(1)
    assert torch.equal(hidden, rows[:, :, None] | columns[:, None, :])  # whole bands and frames
    if masks * int(WIDEST * bands) < bands and masks * int(WIDEST * frames) < frames:
        assert rows.sum(1).max() <= masks * int(WIDEST * bands)
        assert columns.sum(1).max() <= masks * int(WIDEST * frames)


def test_one_mask_is_one_range_of_at_most_a_sixth_or_so_and_reaches_both_ends():
    x = augment(torch.ones(500, 1, 100, 50), seed=0, shift=False, masks=1)[0][:, 0]
    for hidden, most in (((x == 0).all(2), 18), ((x == 0).all(1), 9)):
        edges = np.diff(np.pad(hidden.numpy().astype(int), ((0, 0), (1, 1))), axis=1)
        assert (edges == 1).sum(1).max() == 1  # one beginning
        assert set(hidden.sum(1).tolist()) == set(range(most + 1))
        assert hidden[:, 0].any() and hidden[:, -1].any()


def test_all_off_changes_nothing():
    x = _noise()
    seen, target = augment(x, seed=0, shift=False, masks=0)
    assert torch.equal(seen, x) and torch.equal(target, x)


@pytest.mark.parametrize("most", [0.1, 0.4])
def test_mixing_adds_at_most_so_much_of_another(most):
    x = torch.eye(6)[:, None, :, None].expand(6, 1, 6, 4)  # one band each
    target = augment(x, seed=0, shift=False, masks=0, mixing=most)[1][:, 0, :, 0]
    own = target.diagonal()
    assert torch.allclose(target.sum(1), torch.ones(6)) and (own >= 1 - most).all()
    assert (own < 1).any() and (target - own.diag()).max() <= most
