"""The taggers' networks, filled with random variables: shapes, and what a checkpoint lacks."""

import numpy as np
import pytest
import torch

from musiclatent.models.published.musicnn import FRONT, POOLED, WIDTH, Musicnn, MusicVGG

PARTS = ("gamma", "beta", "moving_mean", "moving_variance")


def _normalisations(widths, rng):
    named = {}
    for number, width in enumerate(widths):
        name = f"batch_normalization_{number}" if number else "batch_normalization"
        named |= {f"{name}/{part}": rng.uniform(0.5, 1, width).astype("f4") for part in PARTS}
    return named


def _layer(name, shape, rng):
    kernel = rng.normal(size=shape, scale=0.05).astype("f4")
    return {f"{name}/kernel": kernel, f"{name}/bias": np.zeros(shape[-1], "f4")}


def musicnn_variables(rng):
    shapes = [(frames, bands, 1, filters) for filters, frames, bands in FRONT]
    shapes += [(7, width, 1, 64) for width in (WIDTH, 64, 64)]
    named = {}
    for number, shape in enumerate(shapes):
        named |= _layer(f"conv2d_{number}" if number else "conv2d", shape, rng)
    named |= _layer("dense", (2 * POOLED, 200), rng) | _layer("dense_1", (200, 50), rng)
    widths = [1, *(filters for filters, *_ in FRONT), 64, 64, 64, 2 * POOLED, 200]
    return named | _normalisations(widths, rng)


def vgg_variables(rng):
    named = _layer("dense", (256, 50), rng)
    for number in range(1, 6):
        shape = (3, 3, 128 if number > 1 else 1, 128)
        named |= _layer(f"{number}CNN", shape, rng)
    return named | _normalisations([1] + 5 * [128], rng)


@pytest.fixture
def x(rng):
    return torch.from_numpy(rng.uniform(0, 5, (2, 187, 96)).astype("f4"))


def test_musicnn_answers_with_all_layers(x, rng):
    answers = Musicnn(musicnn_variables(rng))(x)
    shapes = {name: tuple(answer.shape) for name, answer in answers.items()}
    assert shapes == {
        **{"timbral": (2, 187, 408), "temporal": (2, 187, 153)},
        **dict.fromkeys(("cnn1", "cnn2", "cnn3"), (2, 187, 64)),
        **{"mean_pool": (2, 753), "max_pool": (2, 753), "penultimate": (2, 200), "tags": (2, 50)},
    }
    assert answers["tags"].min() >= 0 and answers["tags"].max() <= 1
    every = torch.cat([answers[n] for n in ("timbral", "temporal", "cnn1", "cnn2", "cnn3")], 2)
    torch.testing.assert_close(every.mean(1), answers["mean_pool"])
    torch.testing.assert_close(every.amax(1), answers["max_pool"])


def test_the_vgg_answers_with_all_layers(x, rng):
    answers = MusicVGG(vgg_variables(rng))(x)
    assert [answers[f"pool{i}"].shape[1] for i in range(1, 6)] == [128] * 4 + [256]
    assert answers["tags"].shape == (2, 50)


@pytest.mark.parametrize(
    ("network", "make", "name"),
    [
        (Musicnn, musicnn_variables, "conv2d_4/kernel"),
        (Musicnn, musicnn_variables, "batch_normalization_10/moving_mean"),
        (MusicVGG, vgg_variables, "3CNN/bias"),
        (MusicVGG, vgg_variables, "dense/kernel"),
    ],
)
def test_a_variable_that_is_missing_or_of_another_shape_is_named(network, make, name, rng):
    variables = make(rng)
    array = variables.pop(name)
    with pytest.raises(ValueError, match=f"lacks the variable '{name}'"):
        network(variables)
    with pytest.raises(ValueError, match=f"holds '{name}' of shape"):
        network(variables | {name: array[:-1]})
