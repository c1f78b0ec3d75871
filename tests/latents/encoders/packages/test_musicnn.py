"""Musicnn as an encoder, beside TensorFlow's answers to the same five clips."""

import json
from pathlib import Path

import librosa
import numpy as np
import pytest
from helpers.weights import need

from musiclatent import audio
from musiclatent.errors import CheckpointError
from musiclatent.latents.encoders import checker, contract, registry
from musiclatent.latents.encoders.packages import fetch, musicnn

# Of musicnn 0.1.0, its models.py and checkpoints, under TensorFlow 2.21.0: means of nine windows
TENSORFLOW = json.loads(Path(__file__).with_name("musicnn_tags.json").read_text())
CLIPS = [
    "classical/classical.00000.wav",
    "metal/metal.00001.wav",
    "jazz/jazz.00000.wav",
    "hiphop/hiphop.00001.wav",
    "country/country.00000.wav",
]


@pytest.fixture
def encoder():
    need("musicnn")
    return musicnn.load("musicnn-mtt")


def test_the_input_is_the_spectrogram_of_the_whole_file(rng):
    y = rng.normal(0, 0.2, 3 * musicnn.FRAMES * musicnn.HOP).astype(np.float32)
    power = librosa.feature.melspectrogram(y=y, sr=16000, hop_length=256, n_fft=512, n_mels=96)
    whole = np.log10(10_000 * power + 1).T[musicnn.FRAMES : 2 * musicnn.FRAMES]
    n = musicnn.FRAMES * musicnn.HOP
    second = musicnn.log_mel(y[None, n - musicnn.HOP : 2 * n])[0]
    np.testing.assert_allclose(second, whole, atol=1e-5)


def test_there_are_fifty_tags_each():
    assert [len(tags) for tags in musicnn.TAGS.values()] == [50, 50]


def test_without_weights_it_names_the_command(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    with pytest.raises(CheckpointError, match="run: musiclatent models fetch musicnn"):
        registry.find("musicnn-msd")


def test_a_checkpoint_that_lacks_a_variable_is_named(encoder, monkeypatch):
    whole = musicnn.read_checkpoint

    def without(index, data):
        return {name: a for name, a in whole(index, data).items() if name != "conv2d_3/kernel"}

    monkeypatch.setattr(musicnn, "read_checkpoint", without)
    with pytest.raises(CheckpointError, match="lacks the variable 'conv2d_3/kernel'; run: "):
        musicnn.load("musicnn-mtt")


def test_it_keeps_the_contract(encoder):
    lines = list(checker.check(encoder))
    assert all(line.passed for line in lines), "\n".join(map(str, lines))


def test_a_layer_is_another_encoder(encoder):
    tags = encoder.at_layer("tags")
    assert (tags.name, tags.dimensions) == ("musicnn-mtt#tags", 50)
    assert tags.revision != encoder.revision and encoder.dimensions == 753
    assert tags.at_layer("cnn1").name == "musicnn-mtt#cnn1"


def test_networks_of_the_million_song_dataset_say_so():
    need("musicnn")
    assert "GTZAN" in musicnn.load("musicnn-msd").note
    assert "GTZAN" not in musicnn.load("musicnn-mtt").note
    assert fetch.PACKAGES["musicnn"].licence == "ISC"


@pytest.mark.real
@pytest.mark.parametrize("name", musicnn.NETWORKS)
def test_five_clips_have_the_tags_that_tensorflow_gives_them(name, data_root):
    need("musicnn")
    encoder = musicnn.load(name).at_layer("tags")
    for clip in CLIPS:
        y, _ = audio.read(data_root / "gtzan" / "genres" / clip, musicnn.SR)
        z = encoder.encode(y[: 9 * musicnn.FRAMES * musicnn.HOP + musicnn.HOP])[:9]
        tensorflow = TENSORFLOW[musicnn.NETWORKS[name][0]][clip]
        np.testing.assert_allclose(z.mean(axis=0), tensorflow, atol=1e-4)


@pytest.mark.real
@pytest.mark.parametrize(
    ("name", "clip", "tags"),
    [
        ("musicnn-mtt", CLIPS[0], {"classical", "strings", "violin"}),
        ("musicnn-mtt", CLIPS[1], {"rock", "drums", "guitar"}),
        ("musicnn-msd", CLIPS[2], {"jazz", "instrumental"}),
        ("musicnn-msd", CLIPS[3], {"Hip-Hop"}),
        ("musicnn-msd", CLIPS[4], {"country", "female vocalists"}),
    ],
)
def test_tags_are_plausible(name, clip, tags, data_root):
    need("musicnn")
    encoder = musicnn.load(name).at_layer("tags")
    v = contract.file_vector(encoder, data_root / "gtzan" / "genres" / clip)
    assert tags <= {encoder.tags[i] for i in np.argsort(-v)[:4]}
