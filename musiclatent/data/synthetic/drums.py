"""Drums of the embedded corpora: falling sines and shaped noise, float32 (N,) at the rate `SR`."""

import numpy as np

from musiclatent.config import SR
from musiclatent.data.synthetic import instruments, tables


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
    kit: {drum: tables.sound(row, [kick, snare, hat, clap]) for drum, row in drums.items()}
    for kit, drums in tables.read("kits").items()
}


def strike(kit: str, drum: str, rng: np.random.Generator) -> np.ndarray:
    """Strike one drum (kick, snare, hat, open) of a kit: float32 (N,), peak 1."""
    y = KITS[kit][drum](rng)
    return y / np.abs(y).max()
