"""Represent recordings of any length by one vector each, by which they are compared.

Without any training: numbers measured from windows of the sound, their mean over the recording; of
a long one over a few that are spread over it, so that a folder is compared in seconds.
The parts of a representation count the same: every number is standardised over the recordings that
are compared, and every part divided by the root of its width. With training: latents of a model.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import scipy.fft
from numpy.lib.stride_tricks import sliding_window_view

from musiclatent import audio
from musiclatent.analysis import neighbours, pooling
from musiclatent.audio import windows
from musiclatent.audio.windows import Measurement, Transform
from musiclatent.config import SR, Study
from musiclatent.errors import AudioError
from musiclatent.features import descriptors, mel, mel_descriptors, stft
from musiclatent.files import pick, sha256_of, whole_file

if TYPE_CHECKING:
    from musiclatent.models.base import LitModule
    from musiclatent.models.genre import GenreNetwork
    from musiclatent.training.run_folder import Run

CACHE_VERSION = 2  # raise by hand when vectors change
WINDOW_S = 30.0  # of which numbers are measured: as long as the clips of GTZAN and its table
MOST = 4  # windows of a recording
LEAST = 6 * SR  # samples: a shorter sound is repeated
SILENT = 10 ** (-90 / 20)  # peak below which a window says nothing
BANDS = 32  # groups of mel bands
FRAMES, HOP = 256, 128  # of the spectrogram, in which changes are divided into rates: six seconds
RATES = (1, 3, 5, 9, 17, 33, 65)  # bounds of the ranges of rates, in changes per `FRAMES`


@dataclass(frozen=True)
class Part:
    """Numbers measured from sound.

    Parameters
    ----------
    measure
        From samples (N,) at `SR`, of `LEAST` or more, and their log-mel spectrogram (M, T) in dB
        to numbers (D,).
    width
        D.
    """

    measure: Callable[[np.ndarray, np.ndarray], np.ndarray]
    width: int


def _mfcc(y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Return mean and deviation of 20 MFCCs."""
    mfcc = scipy.fft.dct(x, axis=0, norm="ortho")[: descriptors.N_MFCC]
    return pooling.mean_and_deviation(mfcc[None])[0]


def _log_mel(y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Return mean and deviation of each mel band in dB."""
    return pooling.mean_and_deviation(x[None])[0]


def _grouped(x: np.ndarray) -> np.ndarray:
    """Return the means (BANDS, T) of groups of mel bands, in dB above the mean of all."""
    return x.reshape(BANDS, -1, x.shape[1]).mean(axis=1) - x.mean()


def _rates(y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Return how strongly each group of bands changes at each range of rates, 0.17 to 11 Hz.

    Pampalk, Rauber and Merkl (2002), Content-based organization and visualization of music
    archives: fluctuation patterns; the median of blocks as in Seyerlehner, Widmer and Pohle (2010),
    Fusing block-level features for music similarity estimation.
    """
    blocks = sliding_window_view(_grouped(x), FRAMES, axis=1)[:, ::HOP]  # BANDS x blocks x FRAMES
    moving = (blocks - blocks.mean(axis=2, keepdims=True)) * np.hanning(FRAMES)
    size = np.abs(np.fft.rfft(moving, axis=2))
    ranges = [size[..., first:stop].mean(axis=2) for first, stop in pairwise(RATES)]
    return np.median(np.log(np.stack(ranges, axis=2) + 1e-3), axis=1).ravel()


def _mel_descriptors(y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Return the mean of `mel_descriptors.extract` over blocks of three seconds."""
    blocks = sliding_window_view(x, 129, axis=1)[:, ::129].transpose(1, 0, 2)  # blocks x M x 129
    scaled = np.stack([stft.scale(block)[0] for block in blocks])
    return mel_descriptors.extract(scaled).mean(axis=0)


def _descriptors(y: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Return the 98 descriptors of a section."""
    return descriptors.extract(y, SR).to_numpy()


PARTS = {
    "mfcc": Part(_mfcc, 2 * descriptors.N_MFCC),
    "log-mel": Part(_log_mel, 256),
    "rates": Part(_rates, BANDS * (len(RATES) - 1)),
    "mel-descriptors": Part(_mel_descriptors, 536),
    "descriptors": Part(_descriptors, len(descriptors.COLUMNS)),
}
DEFAULT = "rates+mel-descriptors"  # what measured best of `NAMES`: benchmarks/retrieval.py
NAMES = (  # those that measure an hour of music in seconds
    "mfcc",
    "log-mel",
    "rates",
    "mel-descriptors",
    "mfcc+rates",
    "mfcc+mel-descriptors",
    DEFAULT,
)


@dataclass(frozen=True, kw_only=True)
class Representation:
    """How a recording becomes a vector, and how vectors are compared.

    Parameters
    ----------
    name
        What a user calls it.
    key
        What the kept vectors are of: another key is another folder.
    vector
        From the path of an audio file to its vector (D,).
    standardised
        Whether each number is standardised over the recordings that are compared.
    widths
        Numbers in each part of a vector, which then count the same; none for one part.
    """

    name: str
    key: str
    vector: Callable[[Path], np.ndarray]
    standardised: bool = False
    widths: tuple[int, ...] = ()

    def compared(self, vectors: np.ndarray) -> np.ndarray:
        """Return the rows whose Euclidean distances compare recordings.

        Parameters
        ----------
        vectors
            Vectors (B, D) of all recordings that are compared.
        """
        if not self.standardised:
            return vectors
        widths = self.widths or (vectors.shape[1],)
        return neighbours.standardise(vectors)[0] / np.sqrt(np.repeat(widths, widths))

    def compare(self, vectors: np.ndarray) -> None:
        """Make rows comparable where they stand, as `compared` does of a copy.

        Parameters
        ----------
        vectors
            Vectors (B, D) of all recordings that are compared; they are written over.
        """
        if self.standardised:
            widths = self.widths or (vectors.shape[1],)
            neighbours.standardise_in_place(vectors)
            vectors /= np.sqrt(np.repeat(widths, widths)).astype(vectors.dtype)


def measured(name: str) -> Representation:
    """Return a representation that needs no training.

    Parameters
    ----------
    name
        One of `NAMES`, or any of `PARTS` joined by ``+``.

    Raises
    ------
    ValueError
        If there is no such part.
    """
    parts = _parts(name)
    return Representation(
        name=name,
        key=f"{name}-{CACHE_VERSION}",
        vector=lambda path: _mean(parts, _windows(path)),
        standardised=True,
        widths=tuple(part.width for part in parts),
    )


def _parts(name: str) -> list[Part]:
    """Return the parts of a representation."""
    return [pick(PARTS, part, "representation") for part in name.split("+")]


def _windows(path: Path) -> Iterator[tuple[float, np.ndarray]]:
    """Yield the windows of a file, of a long one `MOST` that are spread over it."""
    grid, seconds = windows.Grid(SR, WINDOW_S), audio.info(path).seconds
    if seconds > grid.span_s(MOST):
        with suppress(AudioError):  # a header that promises too much is no guide
            starts = np.linspace(0, seconds - WINDOW_S, MOST)
            yield from [(start_s, grid.read(path, start_s)) for start_s in starts]
            return
    yield from windows.windows(path, SR, WINDOW_S)


def _mean(parts: list[Part], cut: Iterable[tuple[float, np.ndarray]]) -> np.ndarray:
    """Return the mean (D,) of the numbers of windows (N,), without silent ones if others are."""
    rows = {True: [], False: []}
    for _, y in cut:
        rows[bool(np.abs(y).max() > SILENT)].append(_measure(parts, y))
    return np.mean(rows[True] or rows[False], axis=0).astype(np.float32)


def _measure(parts: list[Part], y: np.ndarray) -> np.ndarray:
    """Return the numbers (D,) of samples (N,), without the zeros that fill a window."""
    sound = np.trim_zeros(y, "b")
    sound = sound if len(sound) else y
    sound = np.resize(sound, max(LEAST, len(sound)))
    x = mel.log_mel(sound, SR)
    return np.concatenate([part.measure(sound, x) for part in parts])


@dataclass(frozen=True)
class Sound(Measurement):
    """Represent a section by numbers that need no training, for the cache.

    Parameters
    ----------
    window_s
        Length of a section in seconds.
    name
        As in `measured`.
    """

    kind: ClassVar[str] = "sound"
    sr: ClassVar[int] = SR

    window_s: float = 15.0
    name: str = DEFAULT

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one output: ``(D,)``."""
        return (sum(part.width for part in _parts(self.name)),)

    def __call__(self, y: np.ndarray) -> np.ndarray:
        """Return the vector (D,) of samples (N,)."""
        return _mean(_parts(self.name), [(0.0, y)])


def trained(run: "Run", study: Study, *, pooled: bool = True) -> Representation:
    """Return the representation by a trained model.

    Parameters
    ----------
    run
        A trained experiment: of an autoencoder, or a network that classifies genre.
    study
        Its study, which knows the rate and the length of a window.
    pooled
        Whether latents are pooled over time, see `pooling.recording_vector`; else their mean over
        windows is taken as it is. A network that classifies is compared by its standardised
        features.
    """
    from musiclatent.data import datamodules  # torch takes seconds
    from musiclatent.latents import encode

    model, transform = encode.load_model(run), datamodules.transform(study)
    classifies = not hasattr(model, "encode")
    vector = _features if classifies else partial(_latents, pooled=pooled)
    return Representation(
        name=run.experiment.name,
        key=f"{run.sha256[:16]}{'' if pooled else '-raw'}-{CACHE_VERSION}",
        vector=partial(vector, model, transform),
        standardised=classifies,
    )


def _latents(model: "LitModule", transform: Transform, path: Path, *, pooled: bool) -> np.ndarray:
    """Return pooled latents of a file, or the mean (D,) of its windows' latents."""
    from musiclatent.latents import encode

    batches = (z for _, z in encode.encode(model, path, transform))
    if not pooled:
        return np.concatenate(list(batches)).mean(axis=0)
    spec = encode.latent_spec(model, transform)
    return pooling.recording_vector((pooling.as_channels(z, spec) for z in batches), transform.kind)


def _features(model: "GenreNetwork", transform: Transform, path: Path) -> np.ndarray:
    """Return the mean features (D,) of a file that a network classifies by."""
    import torch

    rows = []
    for _, y in windows.windows(path, transform.sr, transform.window_s):
        y = windows.centred(y, transform.sr)
        x = transform.model_input(transform(y))[None]  # 1 x M x T
        inputs = [x[:, None]] + [mel_descriptors.extract(x)] * bool(model.hparams.attributes)
        with torch.no_grad():
            features = model.embed(*(torch.from_numpy(part).to(model.device) for part in inputs))
        rows.append(torch.cat(features, dim=1)[0].cpu().numpy())
    return np.mean(rows, axis=0)


def stored(
    representation: Representation, path: Path, folder: Path, *, sha256: str = ""
) -> np.ndarray:
    """Return the vector (D,) of a file, from the folder if the same bytes were measured before.

    Parameters
    ----------
    representation
        What measures.
    path
        An audio file.
    folder
        Where vectors are kept, by representation and the hash of the file.
    sha256
        That hash where it is known; else it is taken.

    Raises
    ------
    AudioError
        If the file cannot be read.
    """
    if not sha256:
        audio.info(path)  # names what is wrong with a path that cannot be opened
    kept = folder / representation.key / f"{sha256 or sha256_of(path)}.npy"
    with suppress(OSError, ValueError, EOFError):
        return np.load(kept, allow_pickle=False)
    audio.info(path)  # a file that is no sound is refused before a model is loaded for it
    vector = representation.vector(path)
    kept.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(kept) as part, part.open("wb") as file:
        np.save(file, vector)
    return vector
