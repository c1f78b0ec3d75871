"""Sounds to see and hear: waveforms, spectrograms and players."""

import base64
import html
from collections.abc import Sequence
from pathlib import Path

import librosa
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from musiclatent import audio
from musiclatent.display import style
from musiclatent.display.words import captions
from musiclatent.display.words.captions import captioned


def player(y: np.ndarray, sr: int, title: str) -> str:
    """Return html with a title and an audio player that holds its sound.

    Parameters
    ----------
    y
        Samples (N,) in [-1, 1].
    sr
        Sample rate in Hz.
    title
        Plain text; it is escaped.
    """
    sound = base64.b64encode(audio.to_preview(y, sr)).decode()
    return (
        f"<figure><figcaption>{html.escape(title)}</figcaption>"
        f'<audio controls preload="none" src="data:audio/mpeg;base64,{sound}"></audio></figure>'
    )


def players(sounds: Sequence[tuple[str, np.ndarray]], sr: int) -> str:
    """Return the html of several players side by side; `sounds` holds (title, y (N,)) pairs."""
    inner = "".join(player(y, sr, title) for title, y in sounds)
    return f'<div style="display:flex;flex-wrap:wrap;gap:.5em">{inner}</div>'


def segment_players(segments: pd.DataFrame, sr: int, most_s: float = 10.0) -> str:
    """Return the html of players of segments of files, as `players`.

    Parameters
    ----------
    segments
        item_id (the title), path, start_s and end_s; without a file there is no player, only a
        title that says so.
    sr
        Rate in Hz to read at.
    most_s
        Only so many seconds of each.

    Raises
    ------
    AudioError
        If a file that is there cannot be read.
    """
    parts = []
    for row in segments.itertuples():
        title = f"{row.item_id}, from {row.start_s:g} s"
        if Path(row.path).is_file():
            seconds = min(row.end_s - row.start_s, most_s)
            y, _ = audio.read(row.path, sr, start_s=row.start_s, duration_s=seconds)
            parts.append(player(y, sr, title))
        else:
            parts.append(f"<p>{html.escape(title)}: no sound here</p>")
    return f'<div style="display:flex;flex-wrap:wrap;gap:.5em">{"".join(parts)}</div>'


def _spectrogram(axis: plt.Axes, y: np.ndarray, sr: int) -> None:
    """Draw a log-magnitude spectrogram, its range fixed so that pictures compare."""
    n_fft = min(1024, 2 ** int(np.log2(max(len(y), 2))))
    magnitude = np.abs(librosa.stft(y, n_fft=n_fft))
    decibels = librosa.amplitude_to_db(magnitude, ref=n_fft / 4, amin=1e-6, top_db=None)
    extent = (0, len(y) / sr, 0, sr / 2000)
    axis.imshow(decibels, origin="lower", aspect="auto", extent=extent, vmin=-100, vmax=0)
    axis.set(xlabel="time (s)", ylabel="frequency (kHz)")


@captioned(captions.gallery)
def gallery(sounds: Sequence[tuple[str, np.ndarray]], sr: int) -> Figure:
    """Draw waveform above spectrogram for each sound.

    Parameters
    ----------
    sounds
        (title, y (N,)) pairs, one per column; rows wrap after five.
    sr
        Sample rate in Hz.
    """
    columns = min(5, len(sounds))
    rows = -(-len(sounds) // columns)
    size = (3.2 * columns, 3.4 * rows)
    figure, axes = style.subplots(2 * rows, columns, figsize=size, squeeze=False, sharex="col")
    tops, lows = axes[::2].flat, axes[1::2].flat
    for (title, y), top, low in zip(sounds, tops, lows, strict=False):
        _waveform(top, y, sr, title)
        _spectrogram(low, y, sr)
    _label_first(axes)
    for axis in [*tops[len(sounds) :], *lows[len(sounds) :]]:
        axis.remove()
    return figure


def _label_first(axes: np.ndarray) -> None:
    """Leave names and numbers of the vertical axes to the first column: all have the same."""
    for axis in axes[:, 1:].flat:
        axis.set(ylabel="", yticklabels=[])


def _waveform(axis: plt.Axes, y: np.ndarray, sr: int, title: str = "") -> None:
    """Draw a waveform in full scale."""
    axis.plot(np.arange(len(y)) / sr, y, linewidth=0.4)
    axis.set(ylim=(-1, 1), yticks=[-1, 0, 1])
    axis.set_title(style.wrapped(title), fontsize="medium", parse_math=False)


@captioned(captions.reconstructions)
def reconstructions(x: np.ndarray, x_hats: dict[str, np.ndarray], sr: int) -> Figure:
    """Draw an original beside its reconstructions: waveform, 20 ms of it, spectrogram.

    Parameters
    ----------
    x
        Original samples (N,).
    x_hats
        Name of the experiment -> samples (N,).
    sr
        Sample rate in Hz.
    """
    sounds = {"original": x, **x_hats}
    figure, axes = style.subplots(3, len(sounds), figsize=(3.2 * len(sounds), 6.5), squeeze=False)
    loudest = int(np.abs(x).argmax())
    zoom = slice(max(0, loudest - sr // 100), loudest + sr // 100)
    for (name, y), (top, middle, low) in zip(sounds.items(), axes.T, strict=True):
        _waveform(top, y, sr, name)
        times = np.arange(len(x))[zoom] / sr
        middle.plot(times, x[zoom], color="0.6", linewidth=2.5, label="original")
        middle.plot(times, y[zoom], linewidth=1)
        middle.set(xlabel="time (s)")
        _spectrogram(low, y, sr)
    axes[1, 0].legend(fontsize="x-small")
    _label_first(axes[[0, 2]])
    return figure
