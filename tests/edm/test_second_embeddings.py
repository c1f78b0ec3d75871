"""Embeddings of every second: of the right sound, kept, averaged, and looked at again."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from musiclatent import audio, config, studies
from musiclatent.config import Workspace
from musiclatent.data import splits
from musiclatent.data.cache import WINDOW
from musiclatent.data.datamodules import CorpusDataModule
from musiclatent.edm import second_embeddings
from musiclatent.edm.second_embeddings import SecondEmbeddings
from musiclatent.errors import CheckpointError
from musiclatent.latents import encode, pretrained
from musiclatent.latents.store import Latents
from musiclatent.models import vggish

SR = 16_000
STUDY = studies.study("edm", "tiny")


class Small(nn.Module):
    """Stands for VGGish: the mean of each of the first bands, over a patch."""

    def __init__(self):
        super().__init__()
        self.unused = nn.Linear(1, 1)
        self.seen = 0

    def forward(self, x):
        self.seen += len(x)
        return x[:, 0].mean(dim=1).repeat(1, 2)  # B x 128


@pytest.fixture
def fake(monkeypatch):
    model = Small()
    monkeypatch.setattr(pretrained, "vggish", lambda root: (model, None))
    return model


def noise(path, seconds: float, seed: int = 0):
    rng = np.random.default_rng(seed)
    level = np.repeat(rng.uniform(0.01, 0.9, 100), SR // 4)[: round(seconds * SR)]
    return audio.write(path, level * rng.uniform(-1, 1, len(level)), SR)


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A folder of music of one's own, and where its results go."""
    monkeypatch.setenv("MUSICLATENT_HOME", str(tmp_path / "home"))
    (tmp_path / "own").mkdir()
    for i, seconds in enumerate((12.3, 9.0)):
        noise(tmp_path / "own" / f"{i}.wav", seconds, i)
    return Workspace(profile="tiny", study="edm", corpus=str(tmp_path / "own"))


@pytest.fixture(scope="module")
def space(tmp_path_factory):
    """Where an encoder is trained for an epoch, on clips of 4 s, for tracks of 8 s."""
    tiny = config.PROFILES["tiny"]
    size = replace(tiny.demo, clips_per_style=1, clip_s=4.0, repeats=0, track_s=8.0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MUSICLATENT_HOME", str(tmp_path_factory.mktemp("home")))
        patch.setitem(config.PROFILES, "tiny", replace(tiny, demo=size))
        # no processes of their own for a few short files
        patch.setitem(CorpusDataModule.__init__.__kwdefaults__, "n_jobs", 1)
        yield Workspace(profile="tiny", study="edm")


@pytest.fixture(scope="module")
def embedded(space) -> SecondEmbeddings:
    return second_embeddings.embed_seconds("mel-crnn", STUDY, space)


def test_every_second_of_every_track_is_embedded(embedded, space):
    items = CorpusDataModule.of_study(STUDY, space).index().items.set_index("item_id")
    assert embedded.name == "mel-crnn" and embedded.quarantine.empty
    assert embedded.z.dtype == np.float32 and np.isfinite(embedded.z).all()
    assert len(embedded.z) == len(embedded.items)
    assert list(embedded.items.columns) == WINDOW
    for name, rows in embedded.items.groupby("item_id"):
        seconds = items.loc[name, "seconds"]
        assert rows["start_s"].tolist() == list(range(len(rows)))
        assert (rows["end_s"] <= rows["start_s"] + 1).all()
        assert seconds - 1.5 < rows["end_s"].max() <= seconds + 1e-6
        for column in ("path", "label", "group", "split"):
            assert set(rows[column]) == {items.loc[name, column]}


def test_no_tune_of_the_demo_stands_on_both_sides_of_a_split(embedded):
    assert splits.straddling(embedded.items["group"], embedded.items["split"]) == []
    assert set(embedded.items["split"]) == set(splits.SPLITS)
    assert embedded.items["group"].nunique() == 3 and embedded.items["item_id"].nunique() == 6


def test_a_second_call_trains_and_encodes_nothing(embedded, space, monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("worked again")

    monkeypatch.setattr(encode, "load_model", refuse)
    monkeypatch.setattr("musiclatent.training.trainer.fit_quietly", refuse)
    again = second_embeddings.embed_seconds("mel-crnn", STUDY, space)
    np.testing.assert_array_equal(again.z, embedded.z)
    pd.testing.assert_frame_equal(again.items, embedded.items)


def test_an_encoder_that_the_study_mel_trained_is_taken(embedded, space):
    here = second_embeddings.mel_encoder("mel-crnn", space)
    assert here.status == "reused" and here.experiment.name == "mel-crnn-6"
    assert (space.base / "edm" / "encoder") in here.folder.parents
    (space.base / "edm" / "encoder").rename(space.base / "mel")
    there = second_embeddings.mel_encoder("mel-crnn", space)
    own = second_embeddings.mel_encoder(
        "mel-crnn", replace(space, study="digits", corpus="/some/music")
    )
    (space.base / "mel").rename(space.base / "edm" / "encoder")
    assert there.status == own.status == "reused"
    assert there.folder == own.folder
    assert there.folder == space.base / "mel/checkpoints/mel-crnn-6"


def test_parts_read_again_are_what_the_encoder_took(embedded, space):
    items = embedded.items.iloc[[0, 1, 5, 9, 13]]
    x, second = second_embeddings.read_inputs("mel-crnn", items, "tiny")
    assert x.shape == (5, 128, 130) and 0 <= x.min() < x.max() <= 1
    assert second.tolist() == (items["start_s"] % 3).tolist()
    run = second_embeddings.mel_encoder("mel-crnn", space)
    with torch.no_grad():
        z = run.load().encode(torch.from_numpy(x)[:, None])
    seconds = [part.mean(dim=2) for part in z.tensor_split(3, dim=2)]
    found = np.stack([seconds[s][i].numpy() for i, s in enumerate(second)])
    np.testing.assert_allclose(found, embedded.z[items.index], atol=1e-4)


def made(n: int, frames: int, ends: list[float], window_s: float = 3.0) -> Latents:
    """Latents (n, 2, frames) of consecutive windows: the time in s, and 10 times the window."""
    time = np.arange(frames) * window_s / frames
    z = np.stack([np.stack([i * window_s + time, np.full(frames, 10.0 * i)]) for i in range(n)])
    items = pd.DataFrame({"start_s": window_s * np.arange(n), "end_s": ends, "silent": False})
    items = items.assign(item_id="a", path="/a", label="x", group="a", split="train", more=1)
    about = {"window_s": window_s, "latent_shape": [2, frames]}
    return Latents(z.reshape(n, -1).astype(np.float32), items.set_axis([5] * n), about)


def test_frames_are_averaged_second_by_second():
    z, items = second_embeddings.average_seconds(made(2, 30, [3.0, 6.0]))
    np.testing.assert_allclose(z[:, 0], np.arange(6) + 0.45, atol=1e-6)
    assert z[:, 1].tolist() == [0, 0, 0, 10, 10, 10] and z.dtype == np.float32
    assert items["start_s"].tolist() == [0, 1, 2, 3, 4, 5]
    assert items["end_s"].tolist() == [1, 2, 3, 4, 5, 6]
    assert items.index.tolist() == list(range(6)) and "more" not in items


def test_what_lies_beyond_the_end_is_no_part():
    z, items = second_embeddings.average_seconds(made(2, 33, [3.0, 4.6]))
    assert items["start_s"].tolist() == [0, 1, 2, 3, 4] and len(z) == 5
    assert items["end_s"].tolist() == [1, 2, 3, 4, 4.6]
    z, items = second_embeddings.average_seconds(made(1, 33, [2.0]))
    assert items["end_s"].tolist() == [1, 2] and len(z) == 2


def test_windows_below_a_second_are_one_part():
    z, items = second_embeddings.average_seconds(made(3, 8, [0.5, 1.0, 1.5], window_s=0.5))
    assert len(z) == 3 and items["start_s"].tolist() == [0, 0.5, 1.0]
    assert items["end_s"].tolist() == [0.5, 1.0, 1.5]


def parts(z, starts) -> SecondEmbeddings:
    items = pd.DataFrame({"item_id": "a", "start_s": starts})
    return SecondEmbeddings(
        "vggish", np.asarray(z), items.assign(end_s=items["start_s"] + 1), pd.DataFrame()
    )


def test_sections_are_the_mean_of_their_parts():
    found = parts(np.arange(8, dtype=np.float32).reshape(4, 2), [0.0, 1.0, 2.0, 3.0])
    sections = pd.DataFrame({"item_id": "a", "start_s": [2.0, 0.0], "end_s": [4.0, 2.0]})
    z = second_embeddings.section_embeddings(found, sections.set_axis([9, 9]))
    assert z.dtype == np.float32 and z.tolist() == [[5, 6], [1, 2]]
    uneven = second_embeddings.section_embeddings(
        found, sections.assign(start_s=[1.0, 0.0], end_s=[4.0, 1.0])
    )
    assert uneven.tolist() == [[4, 5], [0, 1]]


def test_a_section_that_was_not_embedded_is_named():
    sections = pd.DataFrame({"item_id": ["a", "b"], "start_s": [0.0, 15.0], "end_s": [15.0, 30.0]})
    with pytest.raises(ValueError, match="b, 15 s: no part of it was embedded; embed the same"):
        second_embeddings.section_embeddings(parts([[1.0]], [0.0]), sections)


def test_vggish_hears_every_file_in_its_own_hops(fake, own):
    found = second_embeddings.embed_seconds("vggish", STUDY, own)
    counts = [int((n * SR - vggish.PATCH) // vggish.PATCH_HOP) + 1 for n in (12.3, 9.0)]
    assert found.items.groupby("item_id").size().tolist() == counts
    assert found.z.shape == (sum(counts), 128) and found.quarantine.empty
    first = found.items[found.items["item_id"] == found.items["item_id"][0]]
    np.testing.assert_allclose(first["start_s"], 0.96 * np.arange(len(first)))
    np.testing.assert_allclose(first["end_s"] - first["start_s"], 0.975)
    assert set(found.items) == set(WINDOW)


def test_patches_read_again_are_what_vggish_took(fake, own):
    found = second_embeddings.embed_seconds("vggish", STUDY, own)
    x, second = second_embeddings.read_inputs("vggish", found.items, "tiny")
    assert x.shape == (len(found.z), 64, 96) and (second == 0).all()
    np.testing.assert_allclose(np.tile(x.mean(axis=2), (1, 2)), found.z, atol=1e-3)


def test_what_vggish_heard_is_kept_by_the_bytes_of_the_file(fake, own, tmp_path):
    first = second_embeddings.embed_seconds("vggish", STUDY, own)
    seen = fake.seen
    assert seen == len(first.z)
    (tmp_path / "own" / "0.wav").rename(tmp_path / "own" / "2.wav")
    again = second_embeddings.embed_seconds("vggish", STUDY, own)
    assert fake.seen == seen and set(again.items["item_id"]) == {"1.wav", "2.wav"}
    heard = first.items["item_id"].to_numpy() == "0.wav"
    np.testing.assert_array_equal(
        again.z[again.items["item_id"].to_numpy() == "2.wav"], first.z[heard]
    )
    noise(tmp_path / "own" / "1.wav", 3.0, 5)
    second_embeddings.embed_seconds("vggish", STUDY, own)
    assert fake.seen == seen + 3  # the new one alone
    assert not list((own.base / "edm").rglob("*.part"))


def test_a_broken_and_a_short_file_are_set_aside(fake, own, tmp_path):
    folder = tmp_path / "own"
    whole = noise(folder / "broken.flac", 8.0, 7).read_bytes()
    (folder / "broken.flac").write_bytes(whole[: len(whole) // 2])
    noise(folder / "short.wav", 0.5, 8)
    (folder / "text.mp3").write_text("no sound")
    found = second_embeddings.embed_seconds("vggish", STUDY, own)
    assert set(found.items["item_id"]) == {"0.wav", "1.wav"}
    reasons = {path.rsplit("/", 1)[-1]: reason for path, reason in found.quarantine.to_numpy()}
    assert {"broken.flac", "short.wav"} <= set(reasons)
    assert "lasts 0.500 s, and VGGish needs 0.975 s; leave it out" in reasons["short.wav"]
    for name in ("0.wav", "1.wav"):
        (folder / name).unlink()
    with pytest.raises(ValueError, match="none of the files can be embedded; .*: "):
        second_embeddings.embed_seconds("vggish", STUDY, own)


def test_there_is_no_other_embedding(own):
    with pytest.raises(ValueError, match="no embedding named 'word2vec'; choose one of: vggish, m"):
        second_embeddings.embed_seconds("word2vec", STUDY, own)
    with pytest.raises(ValueError, match="no encoder named 'vggish'; choose one of: mel-crnn"):
        second_embeddings.mel_encoder("vggish", own)


def test_without_its_weights_vggish_says_the_command_and_ours_is_usual(tmp_path, own, monkeypatch):
    monkeypatch.setenv("MUSICLATENT_DATA", str(tmp_path / "data"))
    assert second_embeddings.default_embedding() == "mel-crnn"
    with pytest.raises(CheckpointError, match="run: musiclatent data fetch vggish"):
        second_embeddings.embed_seconds("vggish", STUDY, own)
    weights = tmp_path / "data" / "vggish" / "vggish-10086976.pth"
    weights.parent.mkdir(parents=True)
    weights.write_bytes(b"")
    assert second_embeddings.default_embedding() == "vggish"


def test_seconds_of_a_plane_are_listed_and_written(tmp_path):
    rng = np.random.default_rng(0)
    names = ["item_id", "path"]
    items = pd.DataFrame({name: [f"{i % 3}.wav" for i in range(30)] for name in names})
    items = items.assign(label="dance", start_s=np.arange(30.0), end_s=np.arange(30.0) + 1)
    points, labels = rng.normal(size=(30, 2)), np.arange(30) % 2
    chosen = second_embeddings.list_plane(
        points, items.set_index(np.arange(30) + 7), labels=labels, folder=tmp_path, n=4
    )
    assert chosen["label"].tolist() == ["central"] * 4 + ["border"] * 4 + ["lost"] * 4
    assert (items["start_s"].loc[chosen["row"]].to_numpy() == chosen["start_s"]).all()
    assert len(list(tmp_path.iterdir())) == 6
    lost = chosen[chosen["label"] == "lost"]
    lines = (tmp_path / "seconds_lost.m3u8").read_text().split("\n")
    assert [line for line in lines if line.endswith(".wav")] == [
        str(Path(path).absolute()) for path in lost["path"]
    ]


def test_the_plane_of_the_same_seconds_is_laid_out_once(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    seconds, once = parts(rng.normal(size=(30, 4)), np.arange(30.0)), np.arange(30) > 4
    points = second_embeddings.lay_out(seconds, once, tmp_path)
    assert points.shape == (30, 2)
    monkeypatch.setattr(second_embeddings.projection, "tsne", lambda *_, **__: pytest.fail("again"))
    np.testing.assert_array_equal(second_embeddings.lay_out(seconds, once, tmp_path), points)
    with pytest.raises(pytest.fail.Exception):  # others decide
        second_embeddings.lay_out(seconds, ~once, tmp_path)
    with pytest.raises(pytest.fail.Exception):
        second_embeddings.lay_out(replace(seconds, z=seconds.z + 1), once, tmp_path)
