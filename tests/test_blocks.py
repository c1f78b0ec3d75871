import math

import pytest
import torch

from musiclatent.models import blocks


def _noise(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)) * 0.1


def test_sisdr_of_a_perfect_copy_at_any_gain_is_high():
    x = _noise(0, 3, 1, 4000)
    assert (blocks.sisdr(x, 0.3 * x) > 60).all()


@pytest.mark.parametrize("level_db", [0.0, 10.0, 20.0])
def test_sisdr_is_the_ratio_of_signal_to_orthogonal_noise(level_db):
    t = torch.arange(8000) / 8000
    x = torch.sin(2 * math.pi * 100 * t)[None, None]
    noise = torch.cos(2 * math.pi * 100 * t)[None, None] * 10 ** (-level_db / 20)
    assert blocks.sisdr(x, x + noise).item() == pytest.approx(level_db, abs=1e-3)


def test_silence_is_left_out_of_the_ratios():
    x = torch.cat([_noise(0, 1, 1, 4000), torch.zeros(1, 1, 4000)])
    assert blocks.audible(x).tolist() == [True, False]
    assert len(blocks.sisdr(x, x)) == len(blocks.mrstft(x, x)) == 1
    assert len(blocks.mrstft(x[1:], x[1:])) == 0


def test_mrstft_is_zero_for_a_copy_and_each_window_stands_alone():
    x, other = _noise(0, 3, 1, 8000), _noise(1, 3, 1, 8000)
    assert blocks.mrstft(x, x).abs().max() == 0
    together = blocks.mrstft(x, other)
    alone = torch.cat(
        [blocks.mrstft(a, b) for a, b in zip(x.split(1), other.split(1), strict=True)]
    )
    assert torch.equal(together, alone) and (together > 0.5).all()
