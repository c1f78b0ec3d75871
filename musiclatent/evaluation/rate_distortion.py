"""Compare trained models with reference codecs: the same excerpts, sizes, bits and times for all.

A row of the table is a `codecs.Coder`.
"""

import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from time import perf_counter

import numpy as np
import pandas as pd
import torch
from scipy import stats
from threadpoolctl import threadpool_limits

from musiclatent import files
from musiclatent.analysis import neighbours, sample_quality, statistics
from musiclatent.analysis.statistics import Interval
from musiclatent.audio.windows import Transform
from musiclatent.config import SEED
from musiclatent.data.datamodules import CorpusDataModule
from musiclatent.errors import MissingToolError
from musiclatent.evaluation import codecs, reconstruction
from musiclatent.evaluation.codecs import Coder
from musiclatent.evaluation.reconstruction import Analysis
from musiclatent.latents import encode
from musiclatent.models import base
from musiclatent.models.base import LitModule
from musiclatent.training import run_folder
from musiclatent.training.run_folder import Run

BATCH = 4  # windows encoded at once
BITS = range(4, 11)  # of a value, one quantiser each
DRAWS = 1000  # of recordings, for the difference of two Frechet distances
# What no model is trained on, and which way is better.
UNTRAINED = {
    "mel_distance": -1,
    "log_spectral_distance": -1,
    "frechet": -1,
    "key_agreement": 1,
    "tempo_agreement": 1,
}
COMPARED = ("mse", "mrstft", *UNTRAINED)  # columns that are shown side by side
KEPT = (
    10_368,
    6912,
    3456,
    1728,
)  # largest coefficients of the untrained transform, each with its position
KBIT_S = (6, 12, 24)  # of Opus


@dataclass(frozen=True)
class ModelCodec:
    """A trained waveform autoencoder as a coder of excerpts.

    Parameters
    ----------
    run
        The trained experiment.
    samples
        N, samples of an excerpt.
    without
        A part of the model to leave out, ``noise`` or ``networks`` of `models.adaptive`; empty for
        none.
    """

    run: Run
    samples: int
    without: str = ""

    @cached_property
    def model(self) -> LitModule:
        """Return the autoencoder with its best weights.

        Raises
        ------
        ValueError
            If it has no such part to leave out.
        """
        model = self.run.load()
        if self.without and not getattr(model, self.without, False):
            raise ValueError(f"{self.run.experiment.name} has no {self.without} to leave out")
        if self.without:
            setattr(model, self.without, False)
        return model

    @property
    def losses(self) -> tuple[str, ...]:
        """Return the columns that its training made small."""
        return () if self.without == "networks" else self.model.losses

    @property
    def stride(self) -> int:
        """Return the samples from one latent frame to the next."""
        return self.model.stride

    @property
    def form(self) -> str:
        """Return ``sparse`` where a latent holds values and positions, else ``dense``."""
        return self.model.code

    @property
    def given(self) -> int:
        """Return how many first rows of a latent `encode` takes to compute the others."""
        return self.model.given

    def spec(self, transform: Transform) -> dict:
        """Return what the latent of a window is, see `encode.latent_spec`."""
        return encode.latent_spec(self.model, transform)

    @torch.no_grad()
    def encode(self, x: np.ndarray, *given: np.ndarray) -> np.ndarray:
        """Return latents (B, K, T) of waveforms (B, N), and of their first rows where given."""
        arrays = [np.array(x, np.float32)[:, None], *given]
        parts = zip(*(torch.from_numpy(one).split(BATCH) for one in arrays), strict=True)
        return torch.cat([self.model.encode(*part) for part in parts]).numpy()

    @torch.no_grad()
    def scale(self, z: np.ndarray) -> np.ndarray:
        """Return by what the values of latents (B, K, T) are divided before they are rounded."""
        return self.model.scale(torch.from_numpy(np.array(z, np.float32))).numpy()

    @torch.no_grad()
    def decode(self, z: np.ndarray, **options: bool) -> np.ndarray:
        """Return waveforms (B, N) of latents (B, K, T), as they are listened to."""
        parts = torch.from_numpy(np.array(z, np.float32)).split(BATCH)
        y = torch.cat([self.model.decode(part, **options)[:, 0] for part in parts])
        return y[:, : self.samples].numpy()

    def nearest(self, z: np.ndarray) -> np.ndarray:
        """Return the waveforms (B, N) of least error that latents (B, K, T) give."""
        return self.decode(z, noise=False) if self.model.noise else self.decode(z)


def waveform_excerpts(
    data: CorpusDataModule, split: str, at_most: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return audible waveforms (B, N) of a split, evenly over it, and the recording of each."""
    data.setup()
    rows = data.rows(split, audible=True, at_most=at_most)
    items = data.cached.items.set_index("row").loc[rows]
    x = data.transform.model_input(np.array(data.cached.x[rows]))
    loud = np.abs(x).max(axis=1) > base.SILENCE_PEAK
    return x[loud], items["group"].to_numpy()[loud]


def ablations(coders: Mapping[str, ModelCodec]) -> dict[str, Coder]:
    """Return what tells the parts of the deep model from what any coder can have.

    Parameters
    ----------
    coders
        Name -> trained model; of ``a1``, ``linear`` and ``deep_13824`` those that are there.

    Returns
    -------
    dict
        ``a1_noise_fill`` and ``linear_noise_fill`` (the same envelope, noise where power lacks),
        ``deep_no_noise`` and ``deep_no_networks``.
    """
    filled = [name for name in ("a1", "linear") if name in coders]
    rows = {
        f"{name}_noise_fill": codecs.NoiseFilled(coders[name], coders[name].samples)
        for name in filled
    }
    if "deep_13824" in coders:
        deep = coders["deep_13824"]
        rows |= {f"deep_no_{part}": replace(deep, without=part) for part in ("noise", "networks")}
    return rows


def reference_codecs(samples: int, sr: int) -> dict[str, Coder]:
    """Return the reference codecs by name; without Opus, and a warning, where it is missing.

    Parameters
    ----------
    samples
        N, samples of an excerpt; of five seconds at 22,050 Hz 6,912 coefficients are kept and
        more, of others in proportion.
    sr
        Sampling rate in Hz.
    """
    share = samples / 110_250
    references = {f"mdct_{2 * k}": codecs.MDCT(max(1, round(share * k)), samples) for k in KEPT}
    references["resampled"] = codecs.Resampled(samples, sr)
    try:
        codecs.require_opus()
    except MissingToolError as error:
        warnings.warn(f"the rows of Opus are left out: {error}", stacklevel=2)
        return references
    return references | {f"opus_{k}": codecs.Opus(samples, sr, k) for k in KBIT_S}


def timed(work: Callable, parts: Iterable) -> tuple[list, float]:
    """Run some work on one core, part by part; return its results, and the median time in s."""
    results, times = [], []
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with threadpool_limits(1):
            for part in parts:
                began = perf_counter()
                results.extend(work(part))
                times.append(perf_counter() - began)
    finally:
        torch.set_num_threads(threads)
    return results, float(np.median(times))


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One coder, measured on the same excerpts as all others.

    Parameters
    ----------
    errors
        One row per excerpt, see `reconstruction.excerpt_errors`.
    descriptors
        Descriptors of the rebuilt excerpts (B, 96).
    rates
        One row per quantiser: ``bits`` of a value (NaN of Opus), ``bits_s``, and ``mse``.
    size
        ``numbers_s`` (latent dimensions per second, positions count; NaN of Opus), ``encode_speed``
        and ``decode_speed``: multiples of real time on one core by the median over the excerpts,
        one at a time. Opus starts a process for each, which takes most of its time.
    losses
        Columns of `errors` that its training made small.
    """

    errors: pd.DataFrame
    descriptors: np.ndarray
    rates: pd.DataFrame
    size: dict[str, float]
    losses: tuple[str, ...]


def measure_codec(coder: Coder, original: Analysis, *, training: np.ndarray, sr: int) -> Measured:
    """Measure one coder.

    Parameters
    ----------
    coder
        A trained model or a reference codec.
    original
        Held-out excerpts.
    training
        Training waveforms (B', N), whose codes decide the steps and what a symbol costs.
    sr
        Sampling rate in Hz.
    """
    x, seconds = original.y, original.y.shape[1] / sr
    z, encode_s = timed(coder.encode, np.split(x, len(x)))
    codes = [[one] if coder.form == "bytes" else one[None] for one in z]
    x_hat, decode_s = timed(coder.decode, codes)
    x_hat, dimensions = np.stack(x_hat), np.nan
    if coder.form == "bytes":  # it has rounded and counted by itself
        x_hat = codecs.align(x, x_hat, sr)
        bits = np.mean([coder.bits(file) for file in z])
        rates = [{"bits": np.nan, "bits_s": bits / seconds, "mse": np.square(x_hat - x).mean()}]
    else:
        z, dimensions = np.stack(z), z[0].size
        trained = coder.encode(training)
        rates = [_rate(coder, z, original, trained=trained, bits=n, sr=sr) for n in BITS]
    rebuilt = reconstruction.analyse(x_hat, sr)
    speed = {"encode_speed": seconds / encode_s, "decode_speed": seconds / decode_s}
    errors = reconstruction.excerpt_errors(original, rebuilt)
    if isinstance(coder, ModelCodec) and coder.model.noise:
        near = reconstruction.waveform_errors(x, coder.nearest(z))
        errors[list(near.columns)] = near
    return Measured(
        errors=errors,
        descriptors=rebuilt.descriptors,
        rates=pd.DataFrame(rates).astype(float),
        size={"numbers_s": dimensions / seconds} | speed,
        losses=getattr(coder, "losses", ()),
    )


def _rate(
    coder: Coder, z: np.ndarray, original: Analysis, *, trained: np.ndarray, bits: int, sr: int
) -> dict[str, float]:
    """Return bits per second and error of codes whose values are rounded to so many bits."""
    if not coder.given:
        quantiser = codecs.fit_quantiser(trained, coder.form, 2**bits)
        symbols = z = quantiser.rounded(z)
    else:  # what follows from a part of the code follows from its rounded values
        quantiser = codecs.fit_quantiser(trained / coder.scale(trained), coder.form, 2**bits)
        first = quantiser.rounded(z / coder.scale(z))[:, : coder.given]
        z = coder.encode(original.y, first)
        scale = coder.scale(z)
        symbols = quantiser.rounded(z / scale)
        z = symbols * scale
    bits_s = quantiser.bits(symbols).mean() * sr / original.y.shape[1]
    x_hat = coder.nearest(z) if isinstance(coder, ModelCodec) else coder.decode(z)
    return {"bits": bits, "bits_s": bits_s, "mse": np.square(x_hat - original.y).mean()}


def measure_codecs(
    coders: Mapping[str, Coder], original: Analysis, *, training: np.ndarray, sr: int
) -> dict[str, Measured]:
    """Measure coders on the same excerpts: name -> `measure_codec`."""
    bar = files.progress(coders.items(), "coders", "coder")
    return {name: measure_codec(one, original, training=training, sr=sr) for name, one in bar}


def rate_distortion_table(measured: Mapping[str, Measured], original: Analysis) -> pd.DataFrame:
    """Return one row per coder, the same columns for all.

    Returns
    -------
    DataFrame
        Means over the excerpts of `reconstruction.excerpt_errors`; ``sisdr_median``; ``frechet``
        (`frechet`); `Measured.size`; ``bits_s`` and ``mse_8_bits``, after rounding to 8 bits (Opus:
        as it is).
    """
    rows = {}
    for name, one in measured.items():
        rate = one.rates[one.rates["bits"].isin([8]) | one.rates["bits"].isna()].iloc[0]
        row = one.errors.mean().to_dict() | {"sisdr_median": one.errors["sisdr"].median()}
        row |= {"frechet": frechet(one, original), **one.size}
        rows[name] = row | {"bits_s": rate["bits_s"], "mse_8_bits": rate["mse"]}
    return pd.DataFrame.from_dict(rows, orient="index")


def rates_table(measured: Mapping[str, Measured]) -> pd.DataFrame:
    """Return the rates of all coders in one table, with their name as ``coder``."""
    return pd.concat([one.rates.assign(coder=name) for name, one in measured.items()])


def least_error(rates: pd.DataFrame, family: str, bits_s: float) -> float:
    """Return the least error that coders reach at some bits per second.

    Parameters
    ----------
    rates
        As from `rates_table`.
    family
        Beginning of the names of the coders.
    bits_s
        Bits per second.

    Returns
    -------
    float
        MSE, between two points on a straight line of logarithms; NaN where no point is as cheap or
        none as costly.
    """
    part = rates[rates["coder"].str.startswith(family)].sort_values("bits_s")
    points = np.log(part["bits_s"]), np.log(part["mse"].cummin())
    return float(np.exp(np.interp(np.log(bits_s), *points, left=np.nan, right=np.nan)))


def frechet(one: Measured, original: Analysis) -> float:
    """Compute the Frechet distance of rebuilt excerpts from the originals, by their descriptors.

    Each descriptor is scaled by its mean and deviation over the originals.
    """
    return sample_quality.frechet_distance(*_scaled(one, original))


def _scaled(one: Measured, original: Analysis) -> tuple[np.ndarray, ...]:
    """Return scaled descriptors (B, 96) of the originals and of a coder's excerpts."""
    return neighbours.standardise(original.descriptors, one.descriptors)


def ratio(one: Measured, other: Measured, units: np.ndarray, column: str = "mse") -> Interval:
    """Compute the ratio of an error of two coders, recording by recording.

    Parameters
    ----------
    one, other
        Two coders on the same excerpts.
    units
        Recording of each excerpt (B,).
    column
        Which error, above 0.

    Returns
    -------
    Interval
        Geometric mean over the recordings, its 95 % bounds from a bootstrap over them, and `p` of a
        permutation; 1 is the same.
    """
    return statistics.ratio(one.errors[column], other.errors[column], units)


def untrained_differences(
    one: Measured, other: Measured, original: Analysis, units: np.ndarray
) -> pd.DataFrame:
    """Compare two coders by the five columns that nothing was trained on.

    Parameters
    ----------
    one, other, original
        Two coders, and the excerpts.
    units
        Recording of each excerpt (B,).

    Returns
    -------
    DataFrame
        One row per column: ``difference``, ``low`` and ``high`` (a bootstrap over recordings; for
        the Frechet distance, which is of a set, over draws of recordings), and ``wins``, whether
        the first is better and the interval leaves 0 out.
    """
    rows = {}
    for column, better in UNTRAINED.items():
        if column == "frechet":
            found = _frechet_difference(one, other, original, units)
        else:
            found = statistics.paired(one.errors[column], other.errors[column], units)
        wins = found.leaves_zero_out and found.estimate * better > 0
        rows[column] = (found.estimate, found.low, found.high, wins)
    return pd.DataFrame(rows, index=["difference", "low", "high", "wins"]).T


def _frechet_difference(
    one: Measured, other: Measured, original: Analysis, units: np.ndarray
) -> Interval:
    """Return the difference of two Frechet distances, recordings drawn again."""
    parts = [np.flatnonzero(units == unit) for unit in np.unique(units)]
    x, x_hat = _scaled(one, original)
    _, x_other = _scaled(other, original)

    def difference(drawn: np.ndarray) -> float:
        rows = np.concatenate([parts[i] for i in drawn])
        ours = sample_quality.frechet_distance(x[rows], x_hat[rows])
        return ours - sample_quality.frechet_distance(x[rows], x_other[rows])

    places = np.arange(len(parts))
    if len(parts) < 2:
        return Interval(estimate=difference(places), low=np.nan, high=np.nan, units=1)
    drawn = stats.bootstrap(
        (places,), difference, vectorized=False, n_resamples=DRAWS, method="percentile", rng=SEED
    ).confidence_interval
    bounds = {"low": float(drawn.low), "high": float(drawn.high)}
    return Interval(estimate=difference(places), **bounds, units=len(parts))


def training_minutes(run: Run) -> float:
    """Return how many minutes a training took, from what its folder says."""
    return run_folder.read_config(run.folder)["train_seconds"] / 60
