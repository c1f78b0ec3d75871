"""The two shapes of adapters, around functions whose answers are known."""

import numpy as np

from musiclatent.latents.encoders import checker
from musiclatent.latents.encoders.adapters.shapes import CodecEncoder, TextEncoder, WindowEncoder

ABOUT = {"licence": "MIT", "revision": "abc-last"}


def _answers(windows):
    frames = np.abs(windows).reshape(len(windows), -1, 100)
    return [frames.mean(axis=2, keepdims=True), frames]


def _windows(kind=WindowEncoder, **more):
    return kind(
        **ABOUT | {"name": "windows", "sr": 1000, "window_s": 1.0, "answers": _answers},
        **{"layers": ("mean", "last"), "layer": "last"} | more,
    )


def _codec(sr=1000):
    return CodecEncoder(
        **ABOUT,
        name="codec",
        sr=sr,
        dimensions=50,
        hop=50,
        to_rows=lambda y: y.reshape(-1, 50),
        to_sound=lambda z: z.reshape(-1),
    )


def test_windows_keep_the_contract_at_every_layer():
    for encoder in (_windows(), _windows().at_layer("mean"), _windows(step_s=0.5)):
        lines = list(checker.check(encoder))
        assert all(line.passed for line in lines), "\n".join(map(str, lines))


def test_a_layer_is_another_name_and_revision():
    mean = _windows().at_layer("mean")
    assert (mean.name, mean.revision, mean.dimensions) == ("windows#mean", "abc-mean", 1)
    assert mean.at_layer("last").revision == "abc-last" and _windows().dimensions == 100


def test_a_row_is_the_mean_over_time():
    y = np.repeat([0.2, 0.4], 1000).astype(np.float32)
    np.testing.assert_allclose(_windows().at_layer("mean").encode(y), [[0.2], [0.4]], rtol=1e-6)


def test_words_come_beside_rows():
    encoder = _windows(TextEncoder, words=lambda text: np.full(100, len(text), np.float32))
    assert encoder.embed_text("harp")[0] == 4 and encoder.hop_s == 1.0
    assert not hasattr(_windows(), "embed_text")


def test_a_codec_comes_back_in_pieces_of_half_a_minute():
    encoder = _codec()
    lines = list(checker.check(encoder))
    assert all(line.passed for line in lines), "\n".join(map(str, lines))
    y = np.random.default_rng(0).uniform(-1, 1, 70_003).astype(np.float32)
    z = encoder.encode(y)
    assert z.shape == (1401, 50)
    np.testing.assert_array_equal(encoder.decode(z)[: len(y)], y)
