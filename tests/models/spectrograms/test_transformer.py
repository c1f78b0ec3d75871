import pytest
import torch

from musiclatent.models import MODELS
from musiclatent.models.spectrograms.transformer import SpectrogramTransformer
from musiclatent.studies import STUDIES

SIZES = {"channels": [4, 5], "band_strides": [4, 2], "time_strides": [4, 4], "n_mels": 16}


def _small(**options) -> SpectrogramTransformer:
    torch.manual_seed(0)
    return SpectrogramTransformer(
        6, **SIZES | {"width": 8, "depth": 2, "heads": 2} | options
    ).eval()


def _noise(*shape: int) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(0))


@torch.no_grad()
def test_a_patch_is_16_frames_and_any_length_comes_back():
    model = _small()
    for frames in (1, 16, 17, 130):
        out = model(_noise(2, 1, 16, frames))
        assert out.z.shape == (2, 6, -(-frames // 16)) and out.x_hat.shape == (2, 1, 16, frames)
        assert out.x_hat.min() >= 0 and out.x_hat.max() <= 1


@torch.no_grad()
def test_attention_hears_all_patches_and_where_they_stand():
    model, x = _small(), _noise(1, 1, 16, 64)
    changed = x.clone()
    changed[..., 50] = 1 - changed[..., 50]
    assert (model.encode(x) != model.encode(changed)).any(1).all()
    swapped = torch.cat([x[..., 32:], x[..., :32]], dim=3)
    moved = torch.cat([model.encode(swapped)[..., 2:], model.encode(swapped)[..., :2]], dim=2)
    assert not torch.allclose(moved, model.encode(x), atol=1e-4)


def test_it_learns_what_the_others_learn():
    model = _small(triplet_weight=1.0).train()
    model.log_means = lambda *_: None
    optimiser = torch.optim.Adam(model.parameters(), 1e-2)
    x, label = _noise(12, 1, 16, 64), torch.arange(12) % 3
    losses = []
    for _ in range(30):
        loss = model._step((x, None, label), "validation", 0)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0]
    assert model.grad_cam_layer.weight.grad is not None


def test_the_row_is_small_and_has_patches_of_16_frames():
    row = STUDIES["mel"].experiment("mel-transformer")
    model = MODELS[row.model](**row.options)
    assert sum(p.numel() for p in model.parameters()) < 2_000_000 and model.stride == 16


@pytest.mark.parametrize("options", [{"width": 9}, {"heads": 3}, {"depth": 0}, {"heads": 0}])
def test_sizes_that_do_not_fit_are_refused(options):
    with pytest.raises(ValueError, match="give a layer and a head or more"):
        _small(**options)
