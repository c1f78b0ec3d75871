"""Code music as notes, and play them: the compact coding that Couri and Oliveira name.

The network of basic-pitch says how likely each key of a piano sounds and begins; notes are read off
that, and a plain synthesiser plays them. Drums, timbre and words are not in the code.
"""

from typing import Protocol

import numpy as np
from scipy.signal import argrelmax

from musiclatent.config import SEED
from musiclatent.data.synthetic import score
from musiclatent.data.synthetic.score import Layer, Note

FRAME_S = 256 / 22_050
LOWEST = 21  # MIDI number of the first key
ONSET, SOUNDING = 0.5, 0.3  # least likelihoods, as in the package
PAUSE = 11  # frames for which a note may be unlikely before it ends
LEAST = 11  # frames of a note: 128 ms
PER_NOTE = 4  # numbers: start, length, pitch, strength
VOICE = "piano"


class NoteNetwork(Protocol):
    """Says how likely notes are."""

    def frames(self, y: np.ndarray, layer: str) -> np.ndarray:
        """Return the likelihoods (T, 88) of samples (N,): ``notes`` or ``onsets``."""


def transcribe(network: NoteNetwork, y: np.ndarray) -> list[Note]:
    """Write down the notes of a sound.

    Parameters
    ----------
    network
        That of basic-pitch, see `latents.encoders.packages.onnx.load_notes`.
    y
        Samples (N,) at 22,050 Hz.

    Returns
    -------
    list
        Notes in the order of their start.
    """
    return events(network.frames(y, "notes"), network.frames(y, "onsets"))


def events(sounding: np.ndarray, beginning: np.ndarray) -> list[Note]:
    """Read notes off likelihoods.

    Parameters
    ----------
    sounding, beginning
        How likely each key sounds, and begins to (T, 88), every `FRAME_S`.

    Returns
    -------
    list
        Notes in the order of their start; their velocity is the mean likelihood.

    Raises
    ------
    ValueError
        If the shapes differ or are not (T, 88).

    Notes
    -----
    Bittner et al. (2022), A lightweight instrument-agnostic model for polyphonic note
    transcription, section 2.2: an onset is a peak above 0.5, and its note lasts until the key was
    below 0.3 for 11 frames; the latest first, and what a note took is gone for others. Notes
    without an onset, which the package looks for after that, are left out.
    """
    if sounding.shape != beginning.shape or sounding.ndim != 2 or sounding.shape[1] != 88:
        raise ValueError(
            f"likelihoods have shapes {sounding.shape} and {beginning.shape}; give (T, 88) twice"
        )
    left, notes = np.array(sounding, np.float32), []
    padded = np.pad(beginning, ((1, 1), (0, 0)))  # a peak may be the first or the last frame
    peaks = zip(*(axis.tolist() for axis in argrelmax(padded, axis=0)), strict=True)
    for start, key in sorted(((t - 1, key) for t, key in peaks), reverse=True):
        if beginning[start, key] < ONSET:
            continue
        end = _end(left[:, key], start)
        if end - start >= LEAST:
            notes.append(_note(sounding, start, end, key=key))
            left[start:end, max(0, key - 1) : key + 2] = 0
    return sorted(notes, key=lambda note: (note.start_s, note.pitch))


def _end(likely: np.ndarray, start: int) -> int:
    """Return the frame after the last one of a note, of the likelihoods (T,) of its key."""
    quiet = likely[start + 1 :] < SOUNDING
    runs = np.convolve(quiet, np.ones(PAUSE))[: len(quiet)] >= PAUSE
    ending = int(np.argmax(runs)) + 1 - PAUSE if runs.any() else len(quiet)
    heard = np.flatnonzero(~quiet[: max(0, ending)])
    return start + 1 + (int(heard[-1]) + 1 if len(heard) else 0)


def _note(sounding: np.ndarray, start: int, end: int, *, key: int) -> Note:
    """Return the note of a key over some frames."""
    return Note(
        start_s=start * FRAME_S,
        seconds=(end - start) * FRAME_S,
        pitch=float(LOWEST + key),
        velocity=float(sounding[start:end, key].mean()),
    )


def play(notes: list[Note], n: int, *, level: float, voice: str = VOICE) -> np.ndarray:
    """Play notes by a plain synthesiser.

    Parameters
    ----------
    notes
        As from `transcribe`.
    n
        Samples wanted at 22,050 Hz.
    level
        RMS of the sound; silence where there are no notes.
    voice
        One of `instruments.VOICES`.

    Returns
    -------
    ndarray
        Samples (N,) float32.
    """
    rng = np.random.default_rng(SEED)
    y = score.sound(Layer(instrument=voice, notes=notes, gain=1.0), n, rng)
    rms = float(np.sqrt(np.mean(np.square(y)))) if n else 0.0
    return (y * (level / rms if rms else 0.0)).astype(np.float32)


def through_notes(network: NoteNetwork, y: np.ndarray) -> tuple[np.ndarray, float]:
    """Send sounds through notes and back.

    Parameters
    ----------
    network
        As in `transcribe`.
    y
        Samples (B, N) at 22,050 Hz.

    Returns
    -------
    y_hat
        What the synthesiser plays, as loud as the original (B, N).
    numbers
        Numbers of the code of one sound on average: four of each note, and one for the level.
    """
    written = [transcribe(network, one) for one in y]
    levels = np.sqrt(np.square(y).mean(axis=1))
    pairs = zip(written, levels, strict=True)
    played = np.stack([play(notes, y.shape[1], level=float(level)) for notes, level in pairs])
    return played, PER_NOTE * float(np.mean([len(notes) for notes in written])) + 1
