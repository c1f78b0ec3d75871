"""Encoders with packages of their own: stand-ins with their calls, and VGGish at random."""

import sys
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from musiclatent.errors import CheckpointError
from musiclatent.latents import pretrained
from musiclatent.latents.encoders import checker, contract
from musiclatent.latents.encoders.adapters import own_packages
from musiclatent.models.vggish import VGGish


class MuQ:
    @classmethod
    def from_pretrained(cls, where):
        if where == "nowhere":
            raise OSError("no such place")
        return cls()

    def eval(self):
        return self

    def __call__(self, wavs, output_hidden_states):
        frames = wavs.unfold(1, 960, 960).abs()  # 25 a second
        layers = [frames[..., :8] * (k + 1) + frames.mean(2, keepdim=True) for k in range(3)]
        return SimpleNamespace(hidden_states=layers)


class Music2Latent:
    def __init__(self, load_path_inference=None):
        self.where = load_path_inference

    def encode(self, y):
        frames = torch.from_numpy(y[: len(y) // 4096 * 4096]).reshape(-1, 64, 64)
        return frames.abs().mean(2).T[None]  # 1 x 64 x T

    def decode(self, z):
        return torch.zeros(1, z.shape[2] * 4096)


class CoDiCodec(Music2Latent):
    def encode(self, y):
        return super().encode(y)[0].T.repeat(1, 2).reshape(-1, 2, 64)  # T x L x D

    def decode(self, z):
        assert z.shape[1:] == (2, 64)
        return torch.zeros(2, len(z) * 4096)


@pytest.fixture
def theirs(monkeypatch):
    monkeypatch.setitem(sys.modules, "muq", SimpleNamespace(MuQ=MuQ))
    for name, codec in (("music2latent", Music2Latent), ("codicodec", CoDiCodec)):
        monkeypatch.setitem(sys.modules, name, SimpleNamespace(EncoderDecoder=codec))


@pytest.mark.parametrize(("name", "width"), [("muq", 8), ("music2latent", 64), ("codicodec", 128)])
def test_their_calls_keep_the_contract(theirs, name, width):
    encoder = own_packages.LOADERS[name]()
    lines = list(checker.check(encoder))
    assert all(line.passed for line in lines), "\n".join(map(str, lines))
    assert encoder.dimensions == width and encoder.licence


def test_muq_has_layers(theirs):
    encoder = own_packages.load_muq("somewhere")
    assert encoder.name == "muq:somewhere" and encoder.layers == ("0", "1", "2")
    assert "GTZAN" in encoder.note


@pytest.mark.parametrize("name", ["muq", "music2latent", "codicodec"])
def test_a_package_that_is_missing_is_one_sentence(name, monkeypatch):
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(CheckpointError, match=f"{name} cannot be imported.*run: pip install"):
        own_packages.LOADERS[name]()


def test_weights_that_are_missing_are_one_sentence(theirs):
    with pytest.raises(CheckpointError, match="weights of muq cannot be loaded .no such place"):
        own_packages.load_muq("nowhere")


def test_vggish_has_a_row_every_096_s(monkeypatch, tmp_path):
    torch.manual_seed(0)
    network = VGGish()
    network.to_empty(device="cpu")
    for p in network.parameters():
        torch.nn.init.normal_(p, std=0.02)
    monkeypatch.setattr(pretrained, "vggish", lambda root: (network.eval(), None))
    encoder = own_packages.load_vggish(str(tmp_path))
    y = np.random.default_rng(0).uniform(-0.5, 0.5, 3 * 16_000).astype(np.float32)
    assert contract.encode_sound(encoder, y).shape == (3, 128)
    whole = contract.encode_sound(encoder, y)
    second = contract.encode_sound(encoder, y[int(0.96 * 16_000) :])
    np.testing.assert_allclose(whole[1], second[0], rtol=1e-4, atol=1e-6)


def test_vggish_without_weights_names_the_command(tmp_path):
    with pytest.raises(CheckpointError, match="run: musiclatent data fetch vggish"):
        own_packages.load_vggish(str(tmp_path))
