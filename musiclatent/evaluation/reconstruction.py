"""Reconstruct held-out spectrograms, and measure the result as picture and as sound.

A spectrogram has no phase: the original goes through the same inversion, and is the bound that no
model can pass.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import librosa
import numpy as np
import pandas as pd
import torch
from pystoi import stoi
from sklearn.metrics import pairwise_distances

from musiclatent import audio
from musiclatent.analysis import neighbours, pooling, projection
from musiclatent.audio import windows
from musiclatent.audio.windows import Transform
from musiclatent.config import SEED, SR
from musiclatent.features import descriptors, mel, phase, stft, tonal
from musiclatent.features.stft import SpectrogramBatch
from musiclatent.latents import decode, encode
from musiclatent.models import base
from musiclatent.models.base import LitModule
from musiclatent.training.run_folder import Run


@torch.no_grad()
def reconstruct(run: Run, x: np.ndarray, transform: Transform) -> np.ndarray:
    """Send cached windows through a trained autoencoder, and back to sound.

    Parameters
    ----------
    run
        What was trained.
    x
        Cached windows: waveforms (B, N) in [-1, 1], or spectrograms (B, M, T) in dB.
    transform
        What made them.

    Returns
    -------
    ndarray
        Sounds (B, N) in [-1, 1].
    """
    model = run.load()
    x_hat = model(torch.from_numpy(transform.model_input(x))[:, None]).x_hat[:, 0].numpy()
    return transform.to_audio(x_hat, *transform.value_range(x))


FLOOR = 1e-10  # mean squared error that 16 bits leave
UNTRAINED_FRAMES = (3072, 768)  # window and hop that no training loss has
MELS = 80
LEAST_VARIANCE = 1e-8
TEMPO_TOLERANCE = 0.04


def seam_error_db(model: LitModule, transform: Transform) -> float:
    """Compare the error where windows fade into each other with the error elsewhere.

    The sound is a sine of 440 Hz over ten windows; both ends of the sound are left out.

    Parameters
    ----------
    model, transform
        As in `decode.rebuild`.

    Returns
    -------
    float
        Mean squared error at the nine seams against that elsewhere, in dB; 0 where there is no
        error that 16 bits could hold.
    """
    n, hop = decode.window_starts(model, transform, decode.OVERLAP_S)
    fade = decode.crossfade(n - hop)
    angle = 2 * np.pi * 440 * np.arange(9 * hop + n) / transform.sr
    y = (0.5 * np.sin(angle)).astype(np.float32)
    error = np.square(np.concatenate(list(decode.rebuild(model, [y], transform=transform))) - y)
    inner = error[hop : 10 * hop].reshape(9, hop)  # each row begins with what two windows share
    seams = np.zeros(hop, bool)
    seams[: len(fade)] = (fade > 0) & (fade < 1)
    at_seams, elsewhere = inner[:, seams].mean(), inner[:, ~seams].mean()
    return float(10 * np.log10((at_seams + FLOOR) / (elsewhere + FLOOR)))


@torch.no_grad()
def measure(
    original: str | Path, rebuilt: str | Path, sr: int, *, window_s: float
) -> dict[str, float]:
    """Measure a rebuilt file against its original, window by window.

    Parameters
    ----------
    original, rebuilt
        Audio files of the same length.
    sr
        Sample rate of the comparison in Hz.
    window_s
        Length of a window in seconds; less than half a window at the end is left out.

    Returns
    -------
    dict
        ``mse`` of the samples; ``sisdr`` in dB and ``mrstft``, means over the audible windows, NaN
        where there is none.
    """
    error, sisdrs, mrstfts = 0.0, [], []
    pair = (windows.windows(file, sr, window_s) for file in (original, rebuilt))
    for (_, y), (_, y_hat) in zip(*pair, strict=True):
        x, x_hat = torch.from_numpy(y)[None, None], torch.from_numpy(y_hat)[None, None]
        error += float((x_hat - x).square().sum())
        sisdrs.append(base.sisdr(x, x_hat))
        mrstfts.append(base.mrstft(x, x_hat))
    span_s = windows.Grid(sr, window_s).span_s(len(sisdrs))
    seconds = min(span_s, audio.info(original).seconds)  # without the padding
    means = {"sisdr": float(torch.cat(sisdrs).mean()), "mrstft": float(torch.cat(mrstfts).mean())}
    return {"mse": error / (seconds * sr)} | means


@torch.no_grad()
def reconstruct_by_model(run: Run, x: np.ndarray) -> np.ndarray:
    """Return reconstructions of spectrograms `x` ``(B, F, T)`` in [0, 1] from their mean latent."""
    model = encode.load_model(run)
    parts = torch.from_numpy(x)[:, None].split(encode.BATCH)  # B x 1 x F x T
    x_hats = [model(part.to(model.device)).x_hat.cpu() for part in parts]
    return torch.cat(x_hats)[:, 0].numpy()


def reconstruct_by_pca(
    train: np.ndarray, x: np.ndarray, *, n: int, blocks: int = 1, seed: int = SEED
) -> np.ndarray:
    """Return reconstructions by principal components: the best linear map to `n` dimensions.

    Parameters
    ----------
    train
        Spectrograms ``(B', F, T)`` in [0, 1] that the components are fitted to.
    x
        Spectrograms ``(B, F, T)`` in [0, 1].
    n
        Latent dimensions; as many as there are training spectrograms at most.
    blocks
        Parts of equal length that each spectrogram is cut into along time; all share one map to
        n / blocks dimensions.
    seed
        Of the randomised decomposition.
    """
    rows, others = (_cut(part, blocks) for part in (train, x))
    pca = projection.components(rows, n // blocks, seed=seed)
    x_hat = pca.inverse_transform(pca.transform(others))
    x_hat = x_hat.reshape(len(x), blocks, x.shape[1], -1).transpose(0, 2, 1, 3)  # B x F x b x T/b
    return x_hat.reshape(x.shape).clip(0, 1).astype(np.float32)


def _cut(x: np.ndarray, blocks: int) -> np.ndarray:
    """Return spectrograms (B, F, T) cut along time, one block per row (B blocks, F T / blocks)."""
    parts = x.reshape(*x.shape[:2], blocks, -1).transpose(0, 2, 1, 3)
    return parts.reshape(len(x) * blocks, -1)


def spectrogram_errors(
    original: SpectrogramBatch, x_hat: np.ndarray, inside: np.ndarray | None = None
) -> dict[str, float]:
    """Measure spectrograms against their originals.

    Parameters
    ----------
    original
        The originals.
    x_hat
        Their reconstructions ``(B, F, T)`` in [0, 1].
    inside
        Cells that can hold sound ``(B, F, T)``, see `LogSTFT.inside`; None leaves that apart.

    Returns
    -------
    dict
        ``mse``, ``log_spectral_distance`` in dB; with `inside` also ``mse_inside``,
        ``mse_outside``, ``log_spectral_distance_inside``, ``inside_share`` of all cells and
        ``outside_share_of_error``.
    """
    error = np.square(x_hat - original.x)
    pair = original.db(), original.db(x_hat)
    distance = stft.log_spectral_distance(*pair)
    mse = float(error.mean())
    metrics = {"mse": mse, "log_spectral_distance": float(distance.mean())}
    if inside is None:
        return metrics
    share, outside = float(inside.mean()), float((error * ~inside).mean())
    return metrics | {
        "mse_inside": (mse - outside) / max(share, 1e-9),
        "log_spectral_distance_inside": _distance_inside(*pair, inside),
        "inside_share": share,
        "mse_outside": outside / max(1 - share, 1e-9),
        "outside_share_of_error": outside / max(mse, 1e-12),
    }


def _distance_inside(x_db: np.ndarray, x_hat_db: np.ndarray, inside: np.ndarray) -> float:
    """Return the mean log-spectral distance over the cells and frames (B, F, T) inside."""
    square = np.ma.masked_array(np.square(x_db - x_hat_db), ~inside)
    return float(np.sqrt(square.mean(axis=1)).mean(axis=1).mean())


def phase_convergence(original: SpectrogramBatch, start: str) -> float:
    """Measure phase reconstruction: mean spectral convergence, 0 is perfect.

    Parameters
    ----------
    original
        Spectrograms of recordings.
    start
        First phases of Griffin-Lim, ``random`` or ``gradient``.
    """
    transform, errors = original.transform, []
    frames = transform.n_fft, transform.hop_length
    for magnitude in map(stft.magnitudes, original.db()):
        y = phase.griffin_lim(
            magnitude, *frames, n_iter=stft.ITERATIONS, start=start, length=transform.length
        )
        errors.append(phase.spectral_convergence(magnitude, y, *frames))
    return float(np.mean(errors))


def write_sounds(sounds: np.ndarray, sr: int, names: Sequence[str], folder: Path) -> list[Path]:
    """Write each sound (N,) of `sounds` as a wav file of that name; return the files."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{name}.wav" for name in names]
    for path, y in zip(paths, sounds, strict=True):
        audio.write(path, y, sr)
    return paths


def read_recordings(original: SpectrogramBatch) -> np.ndarray:
    """Read the sound (B, N) that spectrograms were made of, padded at the end."""
    grid = windows.Grid(original.transform.sr, original.transform.window_s)
    starts = original.items[["path", "start_s"]].itertuples(index=False)
    return np.stack([grid.read(path, start_s) for path, start_s in starts])


@torch.no_grad()
def audio_errors(y: np.ndarray, y_hat: np.ndarray) -> dict[str, float]:
    """Measure sounds against their originals.

    Parameters
    ----------
    y, y_hat
        Originals and reconstructions (B, N) in [-1, 1].

    Returns
    -------
    dict
        ``sisdr`` in dB and ``mrstft``, means over the audible ones, and ``sisdr_median``: the
        ratio has a long tail.
    """
    x, x_hat = (torch.from_numpy(np.array(part, np.float32))[:, None] for part in (y, y_hat))
    sisdr = base.sisdr(x, x_hat).numpy()
    means = {"sisdr": sisdr.mean(), "mrstft": base.mrstft(x, x_hat).mean()}
    means["sisdr_median"] = np.median(sisdr) if len(sisdr) else np.nan
    return {name: float(value) for name, value in means.items()}


@dataclass(frozen=True, kw_only=True)
class Analysis:
    """What excerpts are compared by, beside their samples.

    Parameters
    ----------
    y
        Samples (B, N) in [-1, 1].
    mel_db, stft_db
        Log-mel spectrograms (B, M, T) and log-magnitude spectrograms (B, F, T) in dB, of frames
        that are in no training loss.
    keys
        Key of each excerpt, such as ``A minor``.
    descriptors
        (B, 96): all of `descriptors.COLUMNS` but the two that are about 0 for any music; variances
        as logarithms.
    tempo
        Beats per minute (B,).
    """

    y: np.ndarray
    mel_db: np.ndarray
    stft_db: np.ndarray
    keys: np.ndarray
    descriptors: np.ndarray
    tempo: np.ndarray


def analyse(y: np.ndarray, sr: int) -> Analysis:
    """Measure excerpts (B, N) in [-1, 1] of a rate `sr` in Hz, see `Analysis`."""
    y = np.asarray(y, np.float32)
    table = describe(y, sr)
    numbers = table.drop(columns=list(descriptors.EMPTY))
    spread = numbers.filter(regex="_var$").clip(lower=LEAST_VARIANCE)  # of many sizes: their logs
    return Analysis(
        y=y,
        mel_db=np.stack([mel.log_mel(one, sr, *UNTRAINED_FRAMES, MELS) for one in y]),
        stft_db=np.stack([_log_stft(one) for one in y]),
        keys=np.array([_key(one, sr) for one in y]),
        descriptors=numbers.assign(**np.log(spread)).to_numpy(),
        tempo=table["tempo"].to_numpy(),
    )


def describe(y: np.ndarray, sr: int) -> pd.DataFrame:
    """Return `descriptors.COLUMNS` of sounds (B, N), resampled where their rate is too low."""
    if sr <= descriptors.ABOVE_HZ:
        y, sr = librosa.resample(np.asarray(y, np.float32), orig_sr=sr, target_sr=SR), SR
    return pd.DataFrame([descriptors.extract(one, sr) for one in y])


def _log_stft(y: np.ndarray) -> np.ndarray:
    """Return the log-magnitude spectrogram (F, T) of one excerpt (N,)."""
    n_fft, hop_length = UNTRAINED_FRAMES
    return stft.log_stft(y, n_fft, hop_length=hop_length)


def _key(y: np.ndarray, sr: int) -> str:
    """Return the name of the key of one excerpt (N,)."""
    y = librosa.util.fix_length(y, size=max(len(y), tonal.N_FFT))
    frames = librosa.util.frame(y, frame_length=tonal.N_FFT, hop_length=tonal.N_FFT // 4).T
    return tonal.estimate_key(tonal.tuned(tonal.peak_chroma(frames, sr))).name


@torch.no_grad()
def excerpt_errors(original: Analysis, rebuilt: Analysis) -> pd.DataFrame:
    """Measure excerpts against their originals, by what is a training loss of some and by more.

    Parameters
    ----------
    original, rebuilt
        The same excerpts, none of the originals silent.

    Returns
    -------
    DataFrame
        One row per excerpt: ``mse``, ``sisdr`` in dB, ``mrstft``; and what nothing was trained on:
        ``mel_distance`` (mean absolute difference in dB), ``log_spectral_distance`` in dB,
        ``key_agreement`` and ``tempo_agreement`` (1 where key and mode are the same, and where the
        tempo differs by less than 4 %; else 0).

    Raises
    ------
    ValueError
        If an original is silent, or they are not equally many and long.

    Notes
    -----
    Gouyon et al. (2006), An experimental comparison of audio tempo induction algorithms (4 %).
    """
    x, x_hat = (torch.from_numpy(one.y)[:, None] for one in (original, rebuilt))
    if x.shape != x_hat.shape or not base.audible(x).all():
        raise ValueError("the excerpts differ in shape, or one is silent; choose audible ones")
    values = {
        **waveform_errors(original.y, rebuilt.y),
        "mrstft": base.mrstft(x, x_hat).numpy(),
        "mel_distance": np.abs(rebuilt.mel_db - original.mel_db).mean((1, 2)),
        "log_spectral_distance": stft.log_spectral_distance(original.stft_db, rebuilt.stft_db),
        "key_agreement": original.keys == rebuilt.keys,
        "tempo_agreement": np.abs(rebuilt.tempo / original.tempo - 1) < TEMPO_TOLERANCE,
    }
    return pd.DataFrame(values).astype(float)


@torch.no_grad()
def waveform_errors(x: np.ndarray, x_hat: np.ndarray) -> pd.DataFrame:
    """Return ``mse`` and ``sisdr`` in dB of audible waveforms (B, N) against originals (B, N)."""
    y, y_hat = (torch.from_numpy(np.asarray(one, np.float32))[:, None] for one in (x, x_hat))
    errors = {"mse": (y_hat - y).square().mean((1, 2)), "sisdr": base.sisdr(y, y_hat)}
    return pd.DataFrame({name: value.numpy() for name, value in errors.items()}).astype(float)


def sound_features(y: np.ndarray, sr: int) -> dict[str, np.ndarray]:
    """Measure sounds (B, N) in two feature spaces.

    Returns
    -------
    dict
        ``descriptors`` (B, 96), as in `Analysis`; ``mel``: mean and deviation of the
        mel bands over time (B, 2M).
    """
    analysis = analyse(y, sr)
    return {
        "descriptors": analysis.descriptors,
        "mel": pooling.mean_and_deviation(analysis.mel_db),
    }


def remoteness(middle: np.ndarray, ends: np.ndarray, others: np.ndarray) -> float:
    """Compare how far the middle of a path lies from real sounds with how far its ends lie.

    Parameters
    ----------
    middle, ends
        Features (D,) and (2, D).
    others
        Features (B, D) of real sounds of other recordings than the ends; they set the scale of
        each feature.

    Returns
    -------
    float
        Distance of the middle to the nearest of them over the mean distance of the ends to theirs:
        1 is as near to music as the ends, more is farther.
    """
    reals, points = neighbours.standardise(others, np.vstack([middle, ends]))
    nearest = pairwise_distances(points, reals).min(axis=1)
    return float(nearest[0] / max(nearest[1:].mean(), FLOOR))


def middle_scores(
    middle: np.ndarray, ends: np.ndarray, others: Mapping[str, np.ndarray], sr: int
) -> dict[str, float]:
    """Measure the middle of a path between two sounds.

    Parameters
    ----------
    middle, ends
        Sounds (N,) and (2, N) of a path, decoded alike.
    others
        `sound_features` of other recordings.
    sr
        Sampling rate in Hz.

    Returns
    -------
    dict
        ``descriptors`` and ``mel``: `remoteness` in either space; ``crossfade_sisdr``: SI-SDR in dB
        against the mean of both ends, high where the path is nothing but a cross-fade.
    """
    features = sound_features(np.stack([middle, *ends]), sr)
    scores = {name: remoteness(v[0], v[1:], others[name]) for name, v in features.items()}
    pair = (torch.from_numpy(y.astype(np.float32))[None, None] for y in (ends.mean(axis=0), middle))
    sisdr = base.sisdr(*pair)
    return scores | {"crossfade_sisdr": float(sisdr[0]) if len(sisdr) else np.nan}


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
        One row per model: ``mse``, ``sisdr`` (dB) and ``mrstft``, see `measure`; and
        ``estoi``, at most 1 for the same sound; how much of it a listener understands depends on
        the speech.
    list
        (name, samples (N,)) of the original and each model.

    Notes
    -----
    Jensen and Taal (2016), An algorithm for predicting the intelligibility of speech masked by
    modulated noise maskers.
    """
    sr, window_s = transform.sr, transform.window_s
    target.parent.mkdir(parents=True, exist_ok=True)
    original = target.with_name(f"{target.name}_original.wav")
    audio.write_blocks(original, audio.blocks(file, sr, duration_s=most_s), sr)
    x = audio.read(original)[0]
    sounds, rows = [("original", x)], {}
    for name, run in trained.items():
        model = run.load()
        blocks = decode.rebuild(model, original, transform=transform)
        path = audio.write_blocks(target.with_name(f"{target.name}_{name}.wav"), blocks, sr)
        sounds.append((name, audio.read(path)[0]))
        rows[name] = measure(original, path, sr, window_s=window_s)
        rows[name]["estoi"] = float(stoi(x, sounds[-1][1], sr, extended=True))
    return pd.DataFrame.from_dict(rows, orient="index"), sounds
