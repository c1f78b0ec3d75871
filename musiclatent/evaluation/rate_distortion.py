"""Compare trained models with reference codecs: the same excerpts, sizes, bits and times for all.

A row of the table is a `codecs.Coder`.
"""

import json
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from time import perf_counter

import numpy as np
import pandas as pd
import torch
from pystoi import stoi
from threadpoolctl import threadpool_limits

from musiclatent import audio, files
from musiclatent.audio.windows import Transform
from musiclatent.data.datamodules import CorpusDataModule
from musiclatent.errors import MissingToolError
from musiclatent.evaluation import codecs, reconstruction
from musiclatent.evaluation.codecs import Coder
from musiclatent.latents import decode
from musiclatent.models.base import LitModule
from musiclatent.training import checkpoints
from musiclatent.training.run_folder import Run

BATCH = 4  # windows encoded at once
KEPT = (6912, 3456, 1728)  # largest coefficients of the untrained transform, each with its position
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
    """

    run: Run
    samples: int

    @cached_property
    def model(self) -> LitModule:
        """Return the autoencoder with its best weights."""
        return checkpoints.load_checkpoint(self.run.checkpoint, self.run.experiment)

    @property
    def form(self) -> str:
        """Return ``sparse`` where a latent holds values and positions, else ``dense``."""
        return self.model.code

    @property
    def given(self) -> int:
        """Return how many first rows of a latent `encode` takes to compute the others."""
        return self.model.given

    @torch.no_grad()
    def encode(self, x: np.ndarray, *given: np.ndarray) -> np.ndarray:
        """Return latents (B, K, T) of waveforms (B, N), and of their first rows where given."""
        arrays = [np.array(x, np.float32)[:, None], *given]
        parts = zip(*(torch.from_numpy(one).split(BATCH) for one in arrays), strict=True)
        return torch.cat([self.model.encode(*part) for part in parts]).numpy()

    @torch.no_grad()
    def decode(self, z: np.ndarray) -> np.ndarray:
        """Return waveforms (B, N) of latents (B, K, T)."""
        parts = torch.from_numpy(np.array(z, np.float32)).split(BATCH)
        y = torch.cat([self.model.decode(part)[:, 0] for part in parts])
        return y[:, : self.samples].numpy()


def waveform_excerpts(data: CorpusDataModule, split: str, at_most: int) -> np.ndarray:
    """Return waveforms (B, N) of a split, at most so many, evenly over it."""
    data.setup()
    rows = data.rows(split)
    rows = rows[np.linspace(0, len(rows) - 1, min(len(rows), at_most)).astype(int)]
    return data.transform.model_input(np.array(data.cached.x[rows]))


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


def measure_codec(
    coder: Coder, x: np.ndarray, *, training: np.ndarray, sr: int
) -> dict[str, float]:
    """Measure one coder.

    Parameters
    ----------
    coder
        A trained model or a reference codec.
    x
        Held-out waveforms (B, N).
    training
        Training waveforms (B', N), whose codes decide the 256 steps and what a symbol costs.
    sr
        Sampling rate in Hz.

    Returns
    -------
    dict
        ``mse`` and `reconstruction.audio_errors`; ``numbers_s`` (latent dimensions per second,
        positions count; NaN of Opus), ``bits_s``, ``mse_8_bits`` (the error after rounding to 8
        bits); ``encode_speed`` and
        ``decode_speed``, multiples of real time on one core by the median over the excerpts, one
        at a time. Opus starts a process for each, which takes most of its time.
    """
    seconds = x.shape[1] / sr
    z, encode_s = timed(coder.encode, np.split(x, len(x)))
    codes = [[one] if coder.form == "bytes" else one[None] for one in z]
    x_hat, decode_s = timed(coder.decode, codes)
    x_hat = np.stack(x_hat)
    if coder.form == "bytes":  # it has rounded and counted by itself
        x_hat = codecs.align(x, x_hat, sr)
        x_hat_8_bits = x_hat
        bits, dimensions = np.mean([codecs.opus_bits(file) for file in z]), np.nan
    else:
        z, dimensions = np.stack(z), z[0].size
        quantiser = codecs.fit_quantiser(coder.encode(training), coder.form)
        z = quantiser.rounded(z)
        if coder.given:  # what follows from a part of the code follows from its rounded values
            z = quantiser.rounded(coder.encode(x, z[:, : coder.given]))
        x_hat_8_bits, bits = coder.decode(z), quantiser.bits(z).mean()
    return {
        "mse": float(np.square(x_hat - x).mean()),
        **reconstruction.audio_errors(x, x_hat),
        "numbers_s": dimensions / seconds,
        "bits_s": float(bits / seconds),
        "mse_8_bits": float(np.square(x_hat_8_bits - x).mean()),
        "encode_speed": seconds / encode_s,
        "decode_speed": seconds / decode_s,
    }


def rate_distortion_table(
    coders: Mapping[str, Coder], x: np.ndarray, *, training: np.ndarray, sr: int
) -> pd.DataFrame:
    """Measure coders on the same excerpts.

    Parameters
    ----------
    coders
        Name -> coder.
    x, training, sr
        As in `measure_codec`.

    Returns
    -------
    DataFrame
        One row per coder, see `measure_codec`.
    """
    bar = files.progress(coders.items(), "coders", "coder")
    rows = {name: measure_codec(coder, x, training=training, sr=sr) for name, coder in bar}
    return pd.DataFrame.from_dict(rows, orient="index")


def speech_intelligibility(
    trained: Mapping[str, Run],
    file: Path,
    *,
    transform: Transform,
    target: Path,
    most_s: float | None = None,
) -> tuple[pd.DataFrame, list[tuple[str, np.ndarray]]]:
    """Send one recording through models, and measure how well it is understood.

    Parameters
    ----------
    trained
        Name -> trained experiment.
    file
        A recording of speech, of any format.
    transform
        What the models take.
    target
        Where the sounds go: ``target_NAME.wav`` of each model, and ``target_original.wav``.
    most_s
        Only so many seconds of the beginning; None takes all.

    Returns
    -------
    DataFrame
        One row per model: ``mse``, ``sisdr`` (dB) and ``mrstft``, see `reconstruction.measure`; and
        ``stoi``, from 0 to 1: above about 0.75 nearly every sentence is understood.
    list
        (name, samples (N,)) of the original and each model.

    Notes
    -----
    Taal, Hendriks, Heusdens and Jensen (2011), An algorithm for intelligibility prediction of
    time-frequency weighted noisy speech.
    """
    sr, window_s = transform.sr, transform.window_s
    target.parent.mkdir(parents=True, exist_ok=True)
    original = target.with_name(f"{target.name}_original.wav")
    audio.write_blocks(original, audio.blocks(file, sr, duration_s=most_s), sr)
    x = audio.read(original)[0]
    sounds, rows = [("original", x)], {}
    for name, run in trained.items():
        model = checkpoints.load_checkpoint(run.checkpoint, run.experiment)
        blocks = decode.rebuild(model, original, transform=transform)
        path = audio.write_blocks(target.with_name(f"{target.name}_{name}.wav"), blocks, sr)
        sounds.append((name, audio.read(path)[0]))
        rows[name] = reconstruction.measure(original, path, sr, window_s=window_s)
        rows[name]["stoi"] = float(stoi(x, sounds[-1][1], sr))
    return pd.DataFrame.from_dict(rows, orient="index"), sounds


def training_minutes(run: Run) -> float:
    """Return how many minutes a training took, from the card beside its weights."""
    card = json.loads((Path(run.checkpoint).parent / "card.json").read_text())
    return card["train_seconds"] / 60
