"""Weights of others: verified, plain, of the right shapes, or refused in one sentence."""

import hashlib
import os
import socket
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from musiclatent import audio
from musiclatent.data.datasets import SOURCES
from musiclatent.errors import AudioError, CheckpointError, FetchError
from musiclatent.latents import pretrained
from musiclatent.models import vggish

WEIGHTS, COMPONENTS = "vggish-10086976.pth", "vggish_pca_params-970ea276.pth"


@pytest.fixture
def no_network(monkeypatch):
    def refuse(*args):
        raise AssertionError("asked the network")

    monkeypatch.setattr(socket.socket, "connect", refuse)


@pytest.fixture
def state():
    """All keys and shapes of VGGish; one number each, repeated, so that files are small."""
    shapes = {name: p.shape for name, p in vggish.VGGish().state_dict().items()}
    return {name: torch.full((1,), 1e-3).expand(shape) for name, shape in shapes.items()}


@pytest.fixture
def components(rng):
    eigen_vectors = rng.standard_normal((128, 128)).astype(np.float32).astype(np.float64)
    return {"pca_eigen_vectors": eigen_vectors, "pca_means": rng.standard_normal(128)}


@pytest.fixture
def place(tmp_path, monkeypatch):
    """Put files where the data folder has them, and let their hashes be the published ones."""

    def put(**contents) -> None:
        source, remotes = SOURCES["vggish"], []
        for remote, content in zip(source.remotes, contents.values(), strict=False):
            path = tmp_path / "vggish" / remote.to
            path.parent.mkdir(exist_ok=True)
            if isinstance(content, bytes):
                path.write_bytes(content)
            else:
                torch.save(content, path, _use_new_zipfile_serialization=False)  # as of 2019
            found = hashlib.sha256(path.read_bytes()).hexdigest()
            remotes.append(replace(remote, sha256=found[: len(remote.sha256)]))
        remotes += source.remotes[len(remotes) :]
        monkeypatch.setitem(SOURCES, "vggish", replace(source, remotes=tuple(remotes)))

    return put


def refuses(root, match):
    with pytest.raises(CheckpointError, match=match) as caught:
        pretrained.vggish(root)
    assert "\n" not in str(caught.value)


def test_the_files_are_those_published():
    remotes = SOURCES["vggish"].remotes
    assert [remote.to for remote in remotes] == [WEIGHTS, COMPONENTS]
    for remote in remotes:
        base = "https://github.com/harritaylor/torchvggish/releases/download/v0.1/"
        assert remote.url == base + remote.to
        assert remote.sha256[:8] == remote.to.removesuffix(".pth")[-8:]


def test_missing_weights_are_said_with_the_command_that_brings_them(tmp_path, no_network):
    assert not pretrained.available(tmp_path)
    refuses(tmp_path, rf"{WEIGHTS} is not there; run: musiclatent data fetch vggish")
    (tmp_path / "vggish" / WEIGHTS).mkdir(parents=True)
    assert not pretrained.available(tmp_path)


def test_another_file_under_the_name_is_refused_unread(tmp_path, state, no_network):
    (tmp_path / "vggish").mkdir()
    torch.save(state, tmp_path / "vggish" / WEIGHTS)
    assert pretrained.available(tmp_path)
    refuses(
        tmp_path,
        r"is not the published file \(its sha256 begins with \w{8}, not 10086976\); "
        rf"delete {WEIGHTS} and run: musiclatent data fetch vggish",
    )


def test_only_the_start_of_the_hash_of_the_components_is_known(tmp_path, place, state, components):
    place(weights=state, components=components)
    assert len(SOURCES["vggish"].remotes[1].sha256) == 8
    with (tmp_path / "vggish" / COMPONENTS).open("ab") as file:
        file.write(b"\0")
    refuses(tmp_path, rf"{COMPONENTS} is not the published file")


def test_weights_are_loaded_as_they_are(tmp_path, place, state, no_network):
    place(weights=state)
    model, postprocess = pretrained.vggish(tmp_path)
    assert postprocess is None
    assert not model.training and not any(p.requires_grad for p in model.parameters())
    for name, p in model.state_dict().items():
        assert p.shape == state[name].shape and p.flatten()[0] == state[name].flatten()[0]
    assert model(torch.ones(1, 1, 96, 64)).shape == (1, 128)


@pytest.mark.parametrize("core", [b"numpy.core", b"numpy._core"])
@pytest.mark.parametrize("column", [False, True])
def test_components_pickled_as_arrays(tmp_path, place, state, components, rng, core, column):
    if column:
        components["pca_means"] = components["pca_means"][:, None]
    path = tmp_path / "components.pth"
    torch.save(components, path, _use_new_zipfile_serialization=False)
    place(weights=state, components=path.read_bytes().replace(b"numpy._core", core))
    _, postprocess = pretrained.vggish(tmp_path)
    z = rng.standard_normal((4, 128)).astype(np.float32)
    wanted = vggish.postprocess(z, components["pca_eigen_vectors"], components["pca_means"])
    np.testing.assert_array_equal(postprocess(z), wanted)


def test_components_as_tensors(tmp_path, place, state, components, rng):
    tensors = {name: torch.from_numpy(a).float() for name, a in components.items()}
    place(weights=state, components=tensors | {"note": "more than is needed"})
    _, postprocess = pretrained.vggish(tmp_path)
    assert postprocess(rng.standard_normal((4, 128))).dtype == np.uint8


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda s: s.pop("embeddings.4.bias"), "holds no 'embeddings.4.bias'; delete vggish-1"),
        (lambda s: s.update(extra=torch.zeros(1)), "VGGish has no 'extra'; delete vggish-1"),
        (
            lambda s: s.update({"features.0.weight": torch.zeros(64, 3, 3, 3)}),
            r"holds 'features.0.weight' of shape \(64, 3, 3, 3\), not \(64, 1, 3, 3\); delete",
        ),
        (lambda s: s.update({"features.0.bias": 0.5}), r"of shape \(\), not \(64,\)"),
    ],
)
def test_weights_of_another_network_are_refused(tmp_path, place, state, spoil, said):
    spoil(state)
    place(weights=state)
    refuses(tmp_path, said)


def test_components_of_another_size_are_refused(tmp_path, place, state, components):
    place(weights=state, components=components | {"pca_means": np.zeros(64)})
    refuses(tmp_path, r"holds 'pca_means' of shape \(64,\), not \(128, 1\); delete vggish_pca")


class Code:
    def __reduce__(self):
        return os.system, ("touch it-ran",)


@pytest.mark.parametrize("content", [b"", b"cut short", Code(), {"a": Code()}, [1, 2], None])
def test_what_is_no_plain_weights_is_refused_and_nothing_runs(
    tmp_path, place, content, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    place(weights=content)
    refuses(tmp_path, r"cannot be read as plain weights|holds no 'features.0.weight'")
    assert not (tmp_path / "it-ran").exists()


def test_a_file_that_cannot_be_read(tmp_path, place, state, monkeypatch):
    place(weights=state)

    def refuse(path):
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(pretrained, "sha256_of", refuse)
    with pytest.raises(FetchError, match=rf"{WEIGHTS}: Permission denied: check"):
        pretrained.vggish(tmp_path)


class Small(nn.Module):
    """Stands for VGGish where only the way of the sound is looked at."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(96 * 64, 128)
        self.seen = []

    def forward(self, x):
        self.seen.append(tuple(x.shape))
        return self.layer(x.flatten(1))


@pytest.fixture(scope="module")
def small():
    torch.manual_seed(0)
    return Small()


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    """70.3 s at another rate: more than one block of the reader, and no whole number of patches."""
    y = 0.3 * np.random.default_rng(0).standard_normal(round(70.3 * 22050))
    return audio.write(tmp_path_factory.mktemp("sound") / "a.wav", y, 22050)


@pytest.mark.parametrize("batch", [1, 7, 32, 100])
def test_blocks_joined_are_the_whole_file(small, file, batch):
    parts = list(pretrained.embed(small, file, batch))
    x = torch.from_numpy(vggish.log_mel(audio.read(file, vggish.SR)[0]))[:, None]
    with torch.inference_mode():
        wanted = [small(part).numpy() for part in x.split(batch)]
    assert [len(z) for _, z in parts] == [len(z) for z in wanted]
    for (_, z), whole in zip(parts, wanted, strict=True):
        # Its spectra come in blocks: products of matrices of another size round otherwise.
        np.testing.assert_allclose(z, whole, rtol=1e-4, atol=1e-5)
    starts = [s for some, _ in parts for s in some]
    np.testing.assert_allclose(starts, 0.96 * np.arange(73), atol=1e-9)  # (70.3 - 0.975) / 0.96


def test_memory_does_not_grow_with_the_file(small, file, monkeypatch):
    lengths = []
    compute = vggish.log_mel
    monkeypatch.setattr(pretrained, "log_mel", lambda y: lengths.append(len(y)) or compute(y))
    small.seen.clear()
    list(pretrained.embed(small, file, 8))
    assert max(lengths) == 7 * vggish.PATCH_HOP + vggish.PATCH
    assert small.seen == [(8, 1, 96, 64)] * 9 + [(1, 1, 96, 64)]


@pytest.mark.parametrize(("n", "patches"), [(15_600, 1), (30_959, 1), (30_960, 2)])
def test_a_file_of_few_patches(small, tmp_path, n, patches):
    path = audio.write(tmp_path / "a.wav", np.full(n, 0.1), vggish.SR)
    [(starts, z)] = pretrained.embed(small, path)
    assert starts == [0.0, 0.96][:patches] and z.shape == (patches, 128)


def test_a_file_too_short_is_refused(small, tmp_path):
    path = audio.write(tmp_path / "a.wav", np.full(8_000, 0.1), vggish.SR)
    with pytest.raises(AudioError, match=r"lasts 0\.500 s, and VGGish needs 0\.975 s"):
        list(pretrained.embed(small, path))


def test_embedding_without_weights_or_with_no_batch_is_refused(small, file):
    with pytest.raises(RuntimeError, match="no weights"):
        next(pretrained.embed(vggish.VGGish(), file))
    with pytest.raises(ValueError, match="batch is 0"):
        next(pretrained.embed(small, file, 0))


@pytest.mark.real
def test_the_real_network_says_what_its_publishers_measured(data_root, tmp_path):
    if not pretrained.available(data_root):
        pytest.skip("run: musiclatent data fetch vggish")
    model, postprocess = pretrained.vggish(data_root)
    y = np.sin(2 * np.pi * 1000 * np.arange(3 * vggish.SR) / vggish.SR)
    [(_, z)] = pretrained.embed(
        model, audio.write(tmp_path / "a.wav", y, vggish.SR, subtype="FLOAT")
    )
    # vggish_smoke_test.py of 2017, while a ReLU came last there too; within 10 %
    assert [z.mean(), z.std()] == pytest.approx([0.131, 0.238], rel=0.1)
    assert postprocess is None or postprocess(z).mean() == pytest.approx(123, rel=0.1)
