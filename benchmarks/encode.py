"""Measure how fast audio files become latents: one core, the paper's chosen model (A1, 64 maps).

Everything from opening the file to the latents in memory is timed: decoding, mixing to mono,
resampling where needed, cutting, encoding. The weights are random: they cost what trained ones do.

Run: MUSICLATENT_DATA=../shared/data python benchmarks/encode.py [--quick]
"""

import statistics
import sys
import tempfile
from functools import partial
from pathlib import Path

import common
import numpy as np
import torch
from common import SR, timed

from musiclatent import audio
from musiclatent.audio.windows import Transform
from musiclatent.data import datamodules
from musiclatent.latents.encode import encode
from musiclatent.models.waveform import WaveformAutoencoder
from musiclatent.studies import study

KEYS = ("encode_realtime_wav", "encode_realtime_mp3", "encode_realtime")


def measure(passes: int) -> common.Figures:
    """Return how many times faster than real time each format is; the slower is the figure."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    plan = study("waveform")
    model = WaveformAutoencoder(**plan.experiment("waveform-64").options).eval()
    with tempfile.TemporaryDirectory(prefix="musiclatent-bench-") as scratch:
        files = clip_per_kind() or made_clips(Path(scratch))
        speeds = {
            path.suffix[1:]: speed(model, path, datamodules.transform(plan), passes)
            for path in files
        }
    figures = {f"encode_realtime_{kind}": round(value) for kind, value in speeds.items()}
    slowest = min(figures.values())
    print(f"file to latents at {slowest} x real time, one core", file=sys.stderr)
    return figures | {"encode_realtime": slowest}


def clip_per_kind() -> list[Path]:
    """Return a wav file and an mp3 file of GTZAN, where both are there."""
    clips = [common.gtzan(kind) for kind in ("wav", "mp3")]
    return [paths[0] for paths in clips] if all(clips) else []


def made_clips(folder: Path) -> list[Path]:
    """Write noise as wav and mp3."""
    y = common.noise(np.random.default_rng(0))
    return [audio.write(folder / f"noise.{kind}", y, SR) for kind in ("wav", "mp3")]


def speed(model: WaveformAutoencoder, path: Path, transform: Transform, passes: int) -> float:
    """Return the median over passes of seconds of sound encoded in a second."""
    encoded = (encode(model, path, transform) for _ in range(passes + 1))
    _, *times_ms = [timed(list, windows)[1] for windows in encoded]  # one fills the page cache
    return 1000 * audio.info(path).seconds / statistics.median(times_ms)


if __name__ == "__main__":
    common.run(KEYS, full=partial(measure, passes=31), quick=partial(measure, passes=3))
