"""Sounds that test files share."""

from pathlib import Path

import numpy as np

from musiclatent import audio


def rising(hz: float, seconds: float, sr: int) -> np.ndarray:
    """A sine (N,) whose frequency rises, so that no two windows are alike."""
    t = np.arange(round(seconds * sr)) / sr
    return 0.3 * np.sin(2 * np.pi * hz * t * (1 + t))


def tone(hz: float, seconds: float = 3.3, sr: int = 8000, seed: int = 0) -> np.ndarray:
    """A sine (N,) with a little noise, so that nothing is exactly periodic."""
    n = round(seconds * sr)
    y = 0.3 * np.sin(2 * np.pi * hz * np.arange(n) / sr)
    return y + 0.01 * np.random.default_rng(seed).standard_normal(n)


def rising_files(folder: Path, sr: int, n: int = 5, step_hz: float = 150) -> Path:
    """Files of 1.25 s in two folders, and half a second of silence."""
    for i in range(n):
        (folder / f"style{i % 2}").mkdir(exist_ok=True)
        audio.write(folder / f"style{i % 2}" / f"{i}.wav", rising(step_hz * (i + 1), 1.25, sr), sr)
    audio.write(folder / "silence.wav", np.zeros(sr // 2), sr)
    return folder
