"""Drums of the embedded corpora: falling sines and shaped noise, float32 (N,) at the rate `SR`."""

from functools import partial

import numpy as np

from musiclatent.config import SR
from musiclatent.data.synthetic import instruments


def kick(rng: np.random.Generator, f0_hz: float = 48.0, decay_s: float = 0.14) -> np.ndarray:
    """Beat a bass drum: a sine that falls to `f0_hz`, with a click."""
    t = instruments.times_s(round(6 * decay_s * SR))
    body = instruments.sine(f0_hz * t + 110 * 0.03 * (1 - np.exp(-t / 0.03)))
    click = 0.3 * rng.standard_normal(len(t)) * np.exp(-t / 0.002)
    return ((body + click) * np.exp(-t / decay_s)).astype(np.float32)


def snare(
    rng: np.random.Generator, f0_hz: float = 185.0, decay_s: float = 0.09, tone: float = 0.5
) -> np.ndarray:
    """Beat a snare drum: a short tone under band-limited noise."""
    t = instruments.times_s(round(6 * decay_s * SR))
    noise = instruments.filtered(rng.standard_normal(len(t)), 1, (900, 6000), "band")
    body = tone * instruments.sine(f0_hz * t + 0.5 * (1 - np.exp(-t / 0.02)))
    return (body * np.exp(-t / 0.05) + 0.8 * noise * np.exp(-t / decay_s)).astype(np.float32)


def hat(rng: np.random.Generator, cutoff_hz: float = 6000.0, decay_s: float = 0.03) -> np.ndarray:
    """Strike a cymbal: noise above a cutoff, short for a closed one."""
    t = instruments.times_s(round(5 * decay_s * SR))
    noise = instruments.filtered(rng.standard_normal(len(t)), 2, cutoff_hz, "high")
    return (noise * np.exp(-t / decay_s)).astype(np.float32)


def clap(rng: np.random.Generator, decay_s: float = 0.1) -> np.ndarray:
    """Clap: four bursts of noise around 1.3 kHz within 30 ms."""
    t = instruments.times_s(round(6 * decay_s * SR))
    noise = instruments.filtered(rng.standard_normal(len(t)), 2, (800, 2500), "band")
    bursts = sum(np.exp(-(t - s) / 0.007) * (t >= s) for s in (0, 0.011, 0.021))
    return (noise * (bursts + np.exp(-(t - 0.03) / decay_s) * (t >= 0.03))).astype(np.float32)


KITS = {
    "acoustic drums": {
        "kick": kick,
        "snare": snare,
        "hat": hat,
        "open": partial(hat, decay_s=0.18),
    },
    "brushes": {
        "kick": partial(kick, f0_hz=58, decay_s=0.1),
        "snare": partial(snare, decay_s=0.14, tone=0.1),
        "hat": partial(hat, cutoff_hz=4000, decay_s=0.05),
        "open": partial(hat, cutoff_hz=3500, decay_s=0.3),
    },
    "chip drums": {
        "kick": partial(kick, f0_hz=70, decay_s=0.06),
        "snare": partial(hat, cutoff_hz=1200, decay_s=0.05),
        "hat": partial(hat, cutoff_hz=5000, decay_s=0.012),
        "open": partial(hat, cutoff_hz=3000, decay_s=0.06),
    },
    "drum machine": {
        "kick": partial(kick, f0_hz=44, decay_s=0.2),
        "snare": clap,
        "hat": partial(hat, cutoff_hz=7500, decay_s=0.025),
        "open": partial(hat, cutoff_hz=7000, decay_s=0.14),
    },
    "field drums": {
        "kick": partial(kick, f0_hz=60, decay_s=0.25),
        "snare": partial(snare, f0_hz=240, decay_s=0.07, tone=0.3),
        "hat": partial(hat, cutoff_hz=3000, decay_s=0.5),
        "open": partial(hat, cutoff_hz=3000, decay_s=0.8),
    },
    "shaker": {
        "kick": partial(kick, f0_hz=40, decay_s=0.3),
        "snare": partial(hat, cutoff_hz=5000, decay_s=0.08),
        "hat": partial(hat, cutoff_hz=5000, decay_s=0.06),
        "open": partial(hat, cutoff_hz=4500, decay_s=0.4),
    },
}


def strike(kit: str, drum: str, rng: np.random.Generator) -> np.ndarray:
    """Strike one drum (kick, snare, hat, open) of a kit: float32 (N,), peak 1."""
    y = KITS[kit][drum](rng)
    return y / np.abs(y).max()
