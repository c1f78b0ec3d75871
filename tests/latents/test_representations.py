"""Representations of recordings: what counts and what does not, and what is kept."""

from dataclasses import replace

import numpy as np
import pytest
from helpers.models import MEL, SMALL, untrained
from helpers.signals import tone

from musiclatent import audio, studies
from musiclatent.analysis import pooling
from musiclatent.config import SR, Experiment
from musiclatent.data import datamodules
from musiclatent.errors import AudioError
from musiclatent.latents import encode, representations
from musiclatent.latents.representations import PARTS, Representation

each_part = pytest.mark.parametrize("name", PARTS)
USUAL = representations.measured(representations.DEFAULT)


@pytest.fixture
def noise(rng) -> np.ndarray:
    """Nine seconds of noise that swells and fades, so that windows differ."""
    y = rng.normal(size=9 * SR) * (1.1 + np.sin(np.arange(9 * SR) / SR))
    return (0.3 * y / np.abs(y).max()).astype(np.float32)


def vector(name: str, y: np.ndarray, folder) -> np.ndarray:
    return representations.measured(name).vector(audio.write(folder / "y.wav", y, SR))


@each_part
def test_a_vector_has_the_width_of_its_parts_for_any_sound(name, noise, tmp_path):
    for y in (noise, noise[: SR // 2], np.zeros(SR), tone(440, 4.0)):
        row = vector(name, y, tmp_path)
        assert row.shape == (PARTS[name].width,) and row.dtype == np.float32
        assert np.isfinite(row).all()


@each_part
def test_a_recording_that_is_repeated_is_the_same(name, noise, tmp_path):
    y = np.tile(noise, 4)[: 30 * SR]  # one window
    longer = np.concatenate([y, np.zeros(30 * SR, np.float32), y])
    once, again = (vector(name, sound, tmp_path) for sound in (y, longer))
    np.testing.assert_allclose(again, once, rtol=1e-3, atol=1e-3)


def test_parts_are_joined_in_their_order(noise, tmp_path):
    first, second = list(PARTS)[:2]
    row = vector(f"{second}+{first}", noise, tmp_path)
    parts = [vector(name, noise, tmp_path) for name in (second, first)]
    np.testing.assert_array_equal(row, np.concatenate(parts))


def test_what_does_not_exist_is_named():
    with pytest.raises(ValueError, match="no representation named 'tea'; choose one of: mfcc"):
        representations.measured("mfcc+tea")
    assert all(representations.measured(name).widths for name in representations.NAMES)


def test_every_part_counts_the_same_whatever_its_scale_and_width():
    one = Representation(name="", key="", vector=len, standardised=True, widths=(1, 4))
    rows = np.array([[0.0, 5, 50, 5, 5], [2.0, 5, 50, 5, 7]])
    z = one.compared(rows)
    np.testing.assert_allclose(z, [[-1, 0, 0, 0, -0.5], [1, 0, 0, 0, 0.5]])
    np.testing.assert_array_equal(replace(one, standardised=False).compared(rows), rows)
    there = rows.copy()
    one.compare(there)
    np.testing.assert_allclose(there, z)
    replace(one, standardised=False).compare(rows_before := rows.copy())
    np.testing.assert_array_equal(rows_before, rows)


def test_gain_does_not_count(noise, tmp_path):
    loud, quiet = (vector(representations.DEFAULT, gain * noise, tmp_path) for gain in (1, 0.2))
    others = [vector(representations.DEFAULT, tone(hz, 9.0), tmp_path) for hz in (200, 900)]
    z = USUAL.compared(np.stack([loud, quiet, *others]))
    away = np.linalg.norm(z - z[0], axis=1)
    assert away[1] < 0.1 * away[2:].min()


def test_a_section_is_represented_as_a_file_of_its_samples(noise, tmp_path):
    take = representations.Sound(window_s=15.0)
    padded = np.pad(noise, (0, 6 * SR))  # as the cache fills the last section of a file
    expected = vector(take.name, noise, tmp_path)
    np.testing.assert_allclose(take(padded), expected, rtol=1e-2, atol=0.02)
    assert take.shape == take(padded).shape and np.isfinite(take(np.zeros(15 * SR))).all()
    assert take.name == representations.DEFAULT


def test_a_vector_is_kept_by_the_bytes_of_the_file(tmp_path, noise):
    calls = []
    counted = replace(USUAL, vector=lambda path: calls.append(path) or USUAL.vector(path))
    path = audio.write(tmp_path / "a.wav", noise, SR)
    first = representations.stored(counted, path, tmp_path / "kept")
    copy = tmp_path / "copy.wav"
    copy.write_bytes(path.read_bytes())
    np.testing.assert_array_equal(representations.stored(counted, copy, tmp_path / "kept"), first)
    assert calls == [path]
    [kept] = (tmp_path / "kept").rglob("*.npy")
    kept.write_bytes(kept.read_bytes()[:50])  # torn: measured again
    np.testing.assert_array_equal(representations.stored(counted, path, tmp_path / "kept"), first)
    representations.stored(replace(counted, key="other"), path, tmp_path / "kept")
    assert calls == [path] * 3
    with pytest.raises(AudioError, match="No such file"):
        representations.stored(counted, tmp_path / "none.wav", tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_latents_of_a_model_are_pooled_or_their_mean(tmp_path, noise):
    path = audio.write(tmp_path / "a.wav", noise, SR)
    for experiment, plan in ((SMALL, studies.study("waveform")), (MEL, studies.study("mel"))):
        plan = replace(plan, window_s=3.0, frames={"n_mels": 16} if experiment is MEL else {})
        run = untrained(tmp_path, experiment)
        pooled, raw = (representations.trained(run, plan, pooled=p) for p in (True, False))
        assert pooled.key != raw.key and not pooled.standardised
        model, transform = encode.load_model(run), datamodules.transform(plan)
        z = np.concatenate([z for _, z in encode.encode(model, path, transform)])
        np.testing.assert_allclose(raw.vector(path), z.mean(axis=0), rtol=1e-5, atol=1e-6)
        maps = pooling.as_channels(z, encode.latent_spec(model, transform))
        expected = pooling.recording_vector([maps], plan.input)
        np.testing.assert_allclose(pooled.vector(path), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("attributes", [0, 536])
def test_a_network_that_classifies_is_compared_by_its_features(attributes, tmp_path, noise):
    path = audio.write(tmp_path / "a.wav", noise, SR)
    options = {"classes": 3, "channels": [4, 4], "attributes": attributes, "hidden": 8}
    experiment = Experiment(
        name="genre-small",
        study="genre",
        key="small",
        model="GenreNetwork",
        options=options,
        about="",
    )
    one = representations.trained(untrained(tmp_path, experiment), studies.study("genre"))
    assert one.standardised
    row = one.vector(path)
    assert row.shape == (2 * 4 * 32 + 8 * bool(attributes),) and np.isfinite(row).all()
