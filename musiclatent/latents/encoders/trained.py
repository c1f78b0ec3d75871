"""Our own models as encoders: a row is the vector by which a window is compared."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from musiclatent.analysis import pooling
from musiclatent.audio.windows import Transform
from musiclatent.features import mel_descriptors
from musiclatent.latents import encode, shipped
from musiclatent.latents.encoders import contract
from musiclatent.models.base import LitModule
from musiclatent.training import run_folder


@dataclass(frozen=True, kw_only=True)
class TrainedEncoder:
    """Represent windows by the pooled latents of a model, or by the features of a classifier.

    Parameters
    ----------
    model
        An autoencoder, or a network that classifies genre.
    transform
        What makes its inputs, with the rate and the length of a window.
    name
        Of the experiment that was trained.
    revision
        Hash of its weights.
    """

    model: LitModule
    transform: Transform
    name: str
    revision: str

    licence = "MIT"

    @property
    def sr(self) -> int:
        """Sampling rate in Hz."""
        return self.transform.sr

    @property
    def window_s(self) -> float:
        """Length of a window in seconds."""
        return self.transform.window_s

    @property
    def hop_s(self) -> float:
        """Seconds from row to row: windows stand one behind the other."""
        return self.transform.window_s

    @cached_property
    def dimensions(self) -> int:
        """Numbers in a row."""
        return self.encode(np.full(100, 0.1, np.float32)).shape[1]

    @cached_property
    def _spec(self) -> dict:
        """What the latent of a window is."""
        return encode.latent_spec(self.model, self.transform)

    @torch.no_grad()
    def encode(self, y: np.ndarray) -> np.ndarray:
        """Return rows (T, D) of samples (N,), see `contract.FrameEncoder`."""
        rows = self._pooled if hasattr(self.model, "encode") else self._features
        cut = contract.cut(self, y)
        batches = np.split(cut, range(encode.BATCH, len(cut), encode.BATCH))
        return np.concatenate([rows(batch) for batch in batches]).astype(np.float32)

    @torch.no_grad()
    def encode_spectrograms(self, x: np.ndarray) -> np.ndarray:
        """Return rows (B, D) of what the transform makes of windows, such as log-mel (B, M, T)."""
        x = self.transform.model_input(x)
        if not hasattr(self.model, "encode"):
            return self._features_of(x).astype(np.float32)
        z = self.model.encode(torch.from_numpy(x)[:, None].to(self.model.device))
        return self._channels(z.flatten(1).cpu().numpy()).astype(np.float32)

    def _pooled(self, cut: np.ndarray) -> np.ndarray:
        """Return pooled latents (T, D) of windows (T, N)."""
        return self._channels(encode.encode_windows(self.model, self.transform, cut))

    def _channels(self, z: np.ndarray) -> np.ndarray:
        """Return latents (T, ...) pooled, each window by itself (T, D)."""
        channels = pooling.as_channels(z, self._spec)
        kind = self.transform.kind
        return np.stack([pooling.recording_vector([one], kind) for one in channels[:, None]])

    def _features(self, cut: np.ndarray) -> np.ndarray:
        """Return the features (T, D) of windows (T, N) that a network classifies by."""
        return self._features_of(
            self.transform.model_input(np.stack(list(map(self.transform, cut))))
        )

    def _features_of(self, x: np.ndarray) -> np.ndarray:
        """Return the features (T, D) of model inputs (T, M, T')."""
        inputs = [x[:, None]] + [mel_descriptors.extract(x)] * bool(self.model.hparams.attributes)
        features = self.model.embed(*(torch.from_numpy(a).to(self.model.device) for a in inputs))
        return torch.cat(features, dim=1).cpu().numpy()


def load_trained(where: str | Path, results: str | Path = "results") -> TrainedEncoder:
    """Load one of our models by its folder or its name.

    Parameters
    ----------
    where, results
        As in `encoder.load_encoder`.

    Raises
    ------
    CheckpointError
        If there is no such model, its folder cannot be used, or it represents nothing.
    """
    folder = shipped.find(where, results)
    about, model = run_folder.read_config(folder), run_folder.load_model(folder)
    return TrainedEncoder(
        model=model.to(encode.device()).eval(),
        transform=run_folder.read_transform(folder),
        name=about.get("experiment", folder.name),
        revision=about["sha256"][:16],
    )
