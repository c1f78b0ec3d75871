"""Notes read off likelihoods, and played."""

import numpy as np
import pytest

from musiclatent.data.synthetic.score import Note
from musiclatent.latents.notes import transcription
from musiclatent.latents.notes.transcription import FRAME_S, LEAST, PAUSE


def _likelihoods(notes, n=200):
    """Likelihoods of (first frame, frames, key, likelihood)."""
    sounding, beginning = np.zeros((2, n, 88))
    for start, frames, key, likely in notes:
        sounding[start : start + frames, key] = likely
        beginning[start, key] = 0.9
    return sounding, beginning


def test_notes_come_back():
    given = [(0, 40, 48, 0.8), (50, 30, 48, 0.6), (50, 100, 60, 0.9)]
    found = transcription.events(*_likelihoods(given))
    assert [(n.start_s, n.seconds, n.pitch) for n in found] == [
        pytest.approx((start * FRAME_S, frames * FRAME_S, 21 + key))
        for start, frames, key, _ in given
    ]
    assert [note.velocity for note in found] == pytest.approx([0.8, 0.6, 0.9])


def test_a_short_pause_does_not_end_a_note_and_a_long_one_does():
    for pause, frames in ((PAUSE - 1, 60), (PAUSE, 30)):
        sounding, beginning = _likelihoods([(10, 60, 40, 0.8)])
        sounding[40 : 40 + pause, 40] = 0.1
        (note,) = transcription.events(sounding, beginning)
        assert note.seconds == pytest.approx(frames * FRAME_S)


def test_what_is_short_or_unlikely_is_no_note():
    sounding, beginning = _likelihoods([(10, LEAST - 1, 40, 0.8), (50, 50, 41, 0.8)])
    beginning[50, 41] = 0.4
    assert transcription.events(sounding, beginning) == []


def test_other_shapes_are_refused():
    with pytest.raises(ValueError, match=r"give \(T, 88\) twice"):
        transcription.events(np.zeros((5, 88)), np.zeros((5, 12)))


def test_a_sound_is_played_as_loud_as_asked():
    a = Note(start_s=0.0, seconds=0.5, pitch=69.0, velocity=1.0)
    y = transcription.play([a], 22_050, level=0.1)
    assert np.sqrt(np.mean(np.square(y))) == pytest.approx(0.1, rel=1e-3)
    assert np.argmax(np.abs(np.fft.rfft(y))) == pytest.approx(440, abs=2)
    assert not transcription.play([], 100, level=0.1).any()


def test_numbers_are_counted():
    class OneNote:
        def frames(self, y, layer):
            sounding, beginning = _likelihoods([(5, 30, 48, 0.8)], 87)
            return sounding if layer == "notes" else beginning

    y = np.random.default_rng(0).normal(0, 0.1, (3, 22_050)).astype(np.float32)
    y_hat, numbers = transcription.through_notes(OneNote(), y)
    assert y_hat.shape == y.shape and numbers == 5
    assert np.square(y_hat).mean(axis=1) == pytest.approx(np.square(y).mean(axis=1), rel=1e-3)
