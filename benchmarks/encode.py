"""Measure how fast audio files become latents: one core, the paper's chosen model (A1, 64 maps).

Everything from opening the file to the latents in memory is timed: decoding, mixing to mono,
resampling where needed, cutting, encoding. The weights are random: they cost what trained ones do.

Run: MUSICLATENT_DATA=../shared/data python benchmarks/encode.py
"""

import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from musiclatent import audio, latents
from musiclatent.models.waveform import WaveformAutoencoder
from musiclatent.spectrograms import Transform, transform
from musiclatent.studies import study

PASSES = 31
SECONDS, SR = 30, 22_050


def main() -> None:
    """Print how many times faster than real time each format is; the slowest is the figure."""
    torch.set_num_threads(1)
    torch.manual_seed(0)
    plan = study("waveform")
    model = WaveformAutoencoder(**plan.experiment("waveform-64").options).eval()
    with tempfile.TemporaryDirectory(prefix="musiclatent-bench-") as scratch:
        files = real_clips() or made_clips(Path(scratch))
        speeds = {path.suffix[1:]: speed(model, path, transform(plan)) for path in files}
    result = {f"encode_realtime_{kind}": round(value) for kind, value in speeds.items()}
    result["encode_realtime"] = min(result.values())
    print(f"file to latents at {result['encode_realtime']} x real time, one core", file=sys.stderr)
    print(json.dumps(result))


def real_clips() -> list[Path]:
    """Return a wav file and an mp3 file of GTZAN, where it is there."""
    genres = Path(os.environ.get("MUSICLATENT_DATA", "data")) / "gtzan" / "genres"
    found = [next(iter(sorted(genres.glob(f"*/*.{kind}"))), None) for kind in ("wav", "mp3")]
    return found if all(found) else []


def made_clips(folder: Path) -> list[Path]:
    """Write a tone with noise as wav and mp3."""
    y = np.sin(2 * np.pi * 440 * np.arange(SECONDS * SR) / SR) / 4
    y += 0.1 * np.random.default_rng(0).standard_normal(len(y))
    return [audio.write(folder / f"tone.{kind}", y, SR) for kind in ("wav", "mp3")]


def speed(model: WaveformAutoencoder, path: Path, transform: Transform) -> float:
    """Return the median over passes of seconds of sound encoded in a second."""
    seconds = audio.info(path).seconds
    times = []
    for _ in range(PASSES + 1):
        start = time.perf_counter()
        for _ in latents.encode(model, path, transform):
            pass
        times.append(time.perf_counter() - start)
    return seconds / statistics.median(times[1:])  # the first pass fills the page cache


if __name__ == "__main__":
    main()
