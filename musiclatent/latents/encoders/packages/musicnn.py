"""Musicnn, the tagger of music, with the weights of the package musicnn 0.1.0."""

from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path

import librosa
import numpy as np
import torch
from torch import nn

from musiclatent import files
from musiclatent.errors import CheckpointError
from musiclatent.latents.encoders import contract
from musiclatent.latents.encoders.packages import fetch
from musiclatent.latents.encoders.packages.tf_checkpoint import read_checkpoint
from musiclatent.models.published.musicnn import FRAMES, N_MELS, Musicnn, MusicVGG

SR, N_FFT, HOP = 16_000, 512, 256
BATCH = 8  # windows at once
NETWORKS = {  # name -> checkpoint, network, the layer that is taken unless one is named
    "musicnn-mtt": ("MTT_musicnn", Musicnn, "mean_pool"),
    "musicnn-mtt-vgg": ("MTT_vgg", MusicVGG, "pool5"),
    "musicnn-msd": ("MSD_musicnn", Musicnn, "mean_pool"),
    "musicnn-msd-vgg": ("MSD_vgg", MusicVGG, "pool5"),
}
TAGS = files.read_toml(Path(__file__).with_name("tags.toml"))  # of each of two corpora
_NOTES = {
    "MTT": "trained on MagnaTagATune",
    "MSD": "trained on the Million Song Dataset, and may have heard recordings of GTZAN",
}


@dataclass(frozen=True, kw_only=True)
class TagEncoder:
    """Represent three seconds of music by one layer of a tagger.

    Parameters
    ----------
    name
        One of `NETWORKS`, with ``#`` and the layer where one was named.
    network
        What answers with all layers.
    layer
        Which of them is a row; those with an axis of time are averaged over it.
    layers
        All that there are; the last are the probabilities of `tags`.
    tags
        Names of the 50 tags.
    revision
        Start of the hash of the weights, and the layer.
    note
        What the network was trained on.
    """

    name: str
    network: nn.Module
    layer: str
    layers: tuple[str, ...]
    tags: tuple[str, ...]
    revision: str
    note: str

    sr = SR
    window_s = hop_s = FRAMES * HOP / SR
    context_s = HOP / SR  # frames are centred, so the first one listens before the window
    licence = fetch.PACKAGES["musicnn"].licence

    @cached_property  # asked once per file, and an answer takes 0.2 s
    def dimensions(self) -> int:
        """Numbers in a row."""
        return self.encode(np.zeros(1, np.float32)).shape[1]

    def at_layer(self, layer: str) -> "TagEncoder":
        """Return the encoder whose rows are another layer, one of `layers`."""
        name, revision = self.name.partition("#")[0], self.revision.partition("-")[0]
        return replace(self, name=f"{name}#{layer}", layer=layer, revision=f"{revision}-{layer}")

    def encode(self, y: np.ndarray) -> np.ndarray:
        """Return rows (T, D) of samples (N,), see `contract.FrameEncoder`.

        A sound that is shorter than a window is repeated, as in the training of the networks.
        """
        n = FRAMES * HOP
        y = np.resize(y, n) if len(y) < n else y
        cut = contract.cut(self, y)
        before = np.concatenate([np.zeros((1, HOP), np.float32), cut[:-1, -HOP:]])
        parts = np.concatenate([before, cut], axis=1)
        return np.concatenate(
            [self._rows(parts[first : first + BATCH]) for first in range(0, len(parts), BATCH)]
        )

    @torch.inference_mode()
    def _rows(self, parts: np.ndarray) -> np.ndarray:
        """Return rows (T, D) of windows with the half frame before them (T, N)."""
        answer = self.network(torch.from_numpy(log_mel(parts)))[self.layer]
        return (answer.mean(dim=1) if answer.ndim == 3 else answer).numpy()


def log_mel(y: np.ndarray) -> np.ndarray:
    """Compute what the networks take in: ``log10(1 + 10000 mel)``, in 32 bits.

    Parameters
    ----------
    y
        Samples (T, N) at 16 kHz.

    Returns
    -------
    array (T, frames, 96), float32
        Frames of 512 samples, 256 apart.

    Notes
    -----
    The package rounds the spectrogram to 16 bits before the logarithm, where loud music overflows
    to infinity; this is left out.
    """
    power = librosa.feature.melspectrogram(
        y=y, sr=SR, n_fft=N_FFT, hop_length=HOP, n_mels=N_MELS, center=False
    )
    return np.log10(1 + 10_000 * power).transpose(0, 2, 1).astype(np.float32)


def load(name: str) -> TagEncoder:
    """Load one of `NETWORKS`.

    Raises
    ------
    CheckpointError
        If its weights are missing, are not the published ones, or lack a variable.
    """
    checkpoint, kind, layer = NETWORKS[name]
    paths = fetch.weights("musicnn")
    data = paths[f"{checkpoint}.data"]
    try:
        network = kind(read_checkpoint(paths[f"{checkpoint}.index"], data))
    except ValueError as error:
        raise CheckpointError(f"{data} {error}; run: musiclatent models fetch musicnn") from None
    with torch.inference_mode():
        layers = tuple(network(torch.zeros(1, FRAMES, N_MELS)))
    sha256 = next(h for to, _, h in fetch.PACKAGES["musicnn"].files if to == data.name)
    return TagEncoder(
        name=name,
        network=network,
        layer=layer,
        layers=layers,
        tags=TAGS[checkpoint[:3]],
        revision=f"{sha256[:16]}-{layer}",
        note=_NOTES[checkpoint[:3]],
    )


LOADERS = {name: partial(load, name) for name in NETWORKS}
