"""One trained model for whoever has sound: arrays and files in, latents out, and back.

An encoder is read from the two files of a model's folder alone, so that it works from any working
directory, and needs neither a study nor its corpora.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from musiclatent import audio, models
from musiclatent.analysis import pooling
from musiclatent.audio.windows import Grid, Transform
from musiclatent.errors import CheckpointError, LatentsError
from musiclatent.latents import decode, encode, generation, shipped
from musiclatent.models.base import LitModule
from musiclatent.training import run_folder


class WindowLatents(np.ndarray):
    """Latents (B, K, T) that know how many samples they were encoded from.

    Arithmetic keeps the number as long as the number of windows stays; what is cut, stacked or
    read from disk is a plain array again, whose windows are all whole.
    """

    samples: int | None = None

    def __array_finalize__(self, other: object) -> None:
        """Take over the number of samples of an array with as many windows."""
        if isinstance(other, WindowLatents) and other.shape == self.shape:
            self.samples = other.samples


@dataclass(frozen=True)
class Encoder:
    """A trained model that takes sound of any length.

    Parameters
    ----------
    model
        An autoencoder.
    transform
        What makes its inputs, with the rate and the length of a window.
    experiment
        Its name.

    Examples
    --------
    >>> import numpy as np
    >>> from musiclatent.audio.windows import Waveform
    >>> from musiclatent.models.waveform import WaveformAutoencoder
    >>> encoder = Encoder(WaveformAutoencoder(maps=4).eval(), Waveform(8000, 0.5), "small")
    >>> y = np.sin(np.arange(6000) / 20)
    >>> z = encoder.encode(y)
    >>> z.shape == (2, *encoder.latent_shape)
    True
    >>> encoder.decode(z).shape
    (6000,)
    """

    model: LitModule
    transform: Transform
    experiment: str

    @property
    def sr(self) -> int:
        """Sampling rate in Hz of what it takes and gives."""
        return self.transform.sr

    @property
    def window_s(self) -> float:
        """Length of a window in seconds."""
        return self.transform.window_s

    @property
    def hop_length(self) -> int:
        """Samples from one latent frame to the next."""
        return self.model.stride * self.transform.hop_length

    @property
    def latent_shape(self) -> tuple[int, int]:
        """Latent dimensions and frames of a window, (K, T)."""
        return tuple(self._spec["latent_shape"])

    @cached_property
    def _spec(self) -> dict:
        """What the latent of a window is, as in the provenance of `store.Latents`."""
        return encode.latent_spec(self.model, self.transform)

    @property
    def _n(self) -> int:
        """Samples of a window."""
        return Grid(self.sr, self.window_s).n

    def encode(self, y: np.ndarray | str | Path, sr: int | None = None) -> WindowLatents:
        """Encode sound of any length, one window behind the other.

        Windows know nothing of each other: pieces that were cut at multiples of a window give the
        rows of the whole. A piece that is cut elsewhere differs in all its windows, and one that
        had to be resampled also in the first and last milliseconds.

        Parameters
        ----------
        y
            Samples ``(N,)`` or by channel ``(C, N)``, floats in [-1, 1]; or an audio file of any
            format and rate.
        sr
            Sampling rate of an array in Hz; None is that of the encoder.

        Returns
        -------
        array (B, K, T), float32
            One row per window; the last window is padded with zeros.

        Raises
        ------
        ValueError
            If an array is empty, integer, not finite or has its channels last, or if a file is
            given a rate.
        AudioError
            If the file cannot be read.
        """
        cuts = decode.cut_windows(self._blocks(y, sr), self._n, self._n)
        parts, samples = [], 0
        while batch := list(islice(cuts, encode.BATCH)):
            ys, lengths = zip(*batch, strict=True)
            parts.append(encode.encode_windows(self.model, self.transform, ys))
            samples += sum(lengths)
        z = np.concatenate(parts).reshape(-1, *self.latent_shape).view(WindowLatents)
        z.samples = samples
        return z

    def _blocks(self, y: np.ndarray | str | Path, sr: int | None) -> Iterable[np.ndarray]:
        """Return samples at the encoder's rate, block after block."""
        if not isinstance(y, str | Path):
            return [audio.convert(y, self.sr if sr is None else sr, self.sr)]
        if sr is not None:
            raise ValueError(f"{y} is a file, which knows its own rate; leave out sr")
        return audio.blocks(y, self.sr)

    @torch.no_grad()
    def decode(self, z: np.ndarray, samples: int | None = None) -> np.ndarray:
        """Decode latents to sound, one window behind the other.

        Models of spectrograms do not keep how loud a window was: all come at the typical level.

        Parameters
        ----------
        z
            Latents (B, K, T).
        samples
            Length of the sound; None takes that of the sound that `encode` made `z` of, as long as
            `z` knows it (see `WindowLatents`), else whole windows.

        Returns
        -------
        array (N,), float32
            Samples in [-1, 1] at the encoder's rate.

        Raises
        ------
        LatentsError
            If `z` has another shape or is not finite.
        ValueError
            If there are not so many samples.
        """
        x, n = self._checked(z), self._n
        if samples is None:
            samples = getattr(z, "samples", None) or len(x) * n
        if not 0 < samples <= len(x) * n:
            raise ValueError(f"samples is {samples}; {len(x)} windows hold 1 to {len(x) * n}")
        parts = []
        for batch in torch.from_numpy(x).split(encode.BATCH):
            x_hat = self.model.decode(batch.to(self.model.device))[:, 0].cpu().numpy()
            y = self.transform.to_audio(x_hat[..., : self.transform.shape[-1]])
            parts.append(np.pad(y, ((0, 0), (0, n - y.shape[1]))))  # spectrograms end on a frame
        return np.concatenate(parts).ravel()[:samples]

    def embed(self, z: np.ndarray) -> np.ndarray:
        """Return the vectors by which windows are compared, see `pooling.window_vectors`.

        Parameters
        ----------
        z
            Latents (B, K, T).

        Returns
        -------
        array (B, D)
            One row per window; their mean stands for a recording.
        """
        z = self._checked(z)
        return pooling.comparison_vectors(z.reshape(len(z), -1), self._spec)

    def _checked(self, z: np.ndarray) -> np.ndarray:
        """Return latents (B, K, T) as a plain array float32, or say what is wrong with them."""
        z = np.array(z, np.float32)
        if z.ndim != 3 or z.shape[1:] != self.latent_shape or not len(z):
            shape = ", ".join(map(str, self.latent_shape))
            raise LatentsError(f"latents have shape {z.shape}; give (B, {shape}), one row or more")
        if not np.isfinite(z).all():
            raise LatentsError("latents hold NaN or infinity; repair them first")
        return z


def load_encoder(where: str | Path, results: str | Path = "results") -> Encoder:
    """Load a trained model as an encoder, onto a GPU where there is one.

    Parameters
    ----------
    where
        The folder of a trained model; its name, such as ``waveform-64``, which is looked up among
        those trained here on real music, those that come with the package and those trained on
        rendered music, in this order; or ``hub:OWNER/NAME``.
    results
        Folder above all results; one that is relative lies in the checkout.

    Raises
    ------
    CheckpointError
        If there is no such model, or its folder cannot be used; the message says why.

    Examples
    --------
    >>> import tempfile
    >>> from musiclatent.audio.windows import Waveform
    >>> from musiclatent.models.waveform import WaveformAutoencoder
    >>> from musiclatent.training.run_folder import write_model
    >>> model = WaveformAutoencoder(maps=4)
    >>> folder = write_model(tempfile.mkdtemp(), model, transform=Waveform(8000, 0.5))
    >>> encoder = load_encoder(folder)
    >>> encoder.sr, encoder.window_s
    (8000, 0.5)
    """
    folder = shipped.find(where, results)
    about, model = run_folder.read_config(folder), run_folder.load_model(folder)
    if not hasattr(model, "decode"):
        raise CheckpointError(f"{folder} holds {about['model']}, which encodes nothing")
    transform = run_folder.read_transform(folder)
    name = about.get("experiment", folder.name)
    return Encoder(model.to(encode.device()).eval(), transform, name)


def list_encoders(results: str | Path = "results") -> pd.DataFrame:
    """List the trained models that `load_encoder` finds by name.

    Parameters
    ----------
    results
        As in `load_encoder`.

    Returns
    -------
    DataFrame
        One row per model: study, experiment, profile (``shipped`` and ``fetched`` for those that
        came trained), folder, and its figures on test recordings, such as test_mse; in the order
        in which a name is looked up.

    Examples
    --------
    >>> set(list_encoders("no/such/folder")["profile"]) <= {"shipped", "fetched"}
    True
    """
    columns = ["study", "experiment", "profile", "folder"]
    rows = []
    for place in shipped.places(results):
        about = run_folder.read_config(place.folder)
        if not hasattr(models.MODELS[about["model"]], "decode"):
            continue
        row = {name: about.get(name, "") for name in columns[:2]}
        row |= {"profile": place.origin, "folder": place.folder}
        figures = about.get("figures", {})
        rows.append(row | {k: v for k, v in figures.items() if k.startswith("test_")})
    return pd.DataFrame(rows, columns=None if rows else columns)


def interpolate(encoder: Encoder, z_a: np.ndarray, z_b: np.ndarray, steps: int) -> np.ndarray:
    """Go from one latent to another in equal steps: on the model's own path where it has one.

    Parameters
    ----------
    encoder
        Whose latents they are.
    z_a, z_b
        Latents (K, T) of one window each.
    steps
        How many latents, both ends among them; 2 or more.

    Returns
    -------
    array (steps, K, T)
        The first is A, the last B.

    Raises
    ------
    ValueError
        As `generation.interpolate`.

    Examples
    --------
    >>> import numpy as np
    >>> from musiclatent.audio.windows import Waveform
    >>> from musiclatent.models.waveform import WaveformAutoencoder
    >>> encoder = Encoder(WaveformAutoencoder(maps=4).eval(), Waveform(8000, 0.5), "small")
    >>> z_a, z_b = encoder.encode(np.random.default_rng(0).uniform(-0.5, 0.5, 8000))
    >>> path = interpolate(encoder, z_a, z_b, steps=5)
    >>> len(path), np.array_equal(path[0], z_a), np.array_equal(path[-1], z_b)
    (5, True, True)
    """
    straight = generation.interpolate(np.asarray(z_a), np.asarray(z_b), steps)
    path = decode.interpolate(encoder.model, z_a, z_b, np.linspace(0, 1, steps))
    return straight if path is None else path
