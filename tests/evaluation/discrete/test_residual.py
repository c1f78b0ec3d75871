"""Residual vector quantisation, by hand and of a small linear coder."""

from itertools import pairwise

import numpy as np
import pytest

from musiclatent.evaluation.discrete import residual
from musiclatent.evaluation.discrete.residual import Codebooks

RNG = np.random.default_rng(0)
TWO = Codebooks(np.array([[[0, 0], [4, 4]], [[0, 0], [1, -1]]], np.float32))


class Blocks:
    """Blocks of four samples as latents; with `given`, the first row scales the others."""

    losses = ("mse",)

    def __init__(self, given=0):
        self.given = given

    def encode(self, x, first=None):
        z = x.reshape(len(x), -1, 4).transpose(0, 2, 1).astype(np.float32)
        if not self.given:
            return z
        size = np.abs(z).max(axis=1, keepdims=True) if first is None else first
        return np.concatenate([size, z], axis=1)

    def scale(self, z):
        size = np.maximum(z[:, :1], 0.1)
        return np.concatenate([np.ones_like(size), np.repeat(size, 4, axis=1)], axis=1)

    def decode(self, z):
        return z[:, self.given :].transpose(0, 2, 1).reshape(len(z), -1)


def test_indices_by_hand():
    frames = np.array([[0.1, 0], [5, 3], [4, 4.1]])
    assert TWO.indices(frames).tolist() == [[0, 0], [1, 1], [1, 0]]
    assert TWO.frames(np.array([[1, 1], [0, 0]])).tolist() == [[5, 3], [0, 0]]
    assert TWO.bits == 1 and len(TWO.first(1).vectors) == 1


def test_each_codebook_brings_frames_nearer():
    frames = RNG.standard_normal((4000, 3))
    books = residual.fit_codebooks(frames[:3000], 4)
    assert books.vectors.shape == (4, 256, 3)
    errors = [
        np.square(part.frames(part.indices(frames[3000:])) - frames[3000:]).mean()
        for part in map(books.first, range(5))
    ]
    assert errors[0] == pytest.approx(1, abs=0.1)
    assert errors[1] < 0.15 and all(after < before for before, after in pairwise(errors))


@pytest.mark.parametrize("given", [0, 1])
def test_a_codec_sends_bits_and_gets_nearer(given):
    x = RNG.standard_normal((40, 400)) * RNG.uniform(0.1, 1, (40, 1))
    x = x.astype(np.float32)
    codec = residual.fit_codec(Blocks(given), x, kbit_s=32, seconds=0.1)  # 32 bits for a frame
    coarse = codec.at(16, 0.1)
    errors = []
    for one in (coarse, codec):
        code = one.encode(x[:5])
        books = len(one.outline.vectors) + len(one.rest.vectors)
        assert one.bits(code[0]) == pytest.approx(100 * books * one.rest.bits, abs=8)
        errors.append(np.square(one.decode(code) - x[:5]).mean())
    assert errors[1] < errors[0] < np.square(x[:5]).mean()
    assert codec.losses == ("mse",)


def test_rows_are_named_by_model_and_rate():
    x = RNG.standard_normal((20, 400)).astype(np.float32)
    rows = residual.rate_rows({"a1": Blocks()}, x, rates=(12, 16), seconds=0.1)
    assert list(rows) == ["rvq_a1_12", "rvq_a1_16"]


def test_packing():
    indices = np.array([0, 5, 7, 2, 1])
    assert len(residual._packed(indices, 3)) == 2
    assert residual._unpacked(residual._packed(indices, 3), 3, 5).tolist() == indices.tolist()


def test_too_few_frames_are_refused():
    with pytest.raises(ValueError, match="16 finite frames"):
        residual.fit_codebooks(np.zeros((3, 2)), 1)


def test_a_rate_below_one_index_is_refused():
    with pytest.raises(ValueError, match="1 kbit/s is less than an index"):
        residual.fit_codec(Blocks(), np.ones((20, 400), np.float32), kbit_s=1, seconds=0.1)
