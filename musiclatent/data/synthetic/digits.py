"""Spoken-digit-like utterances from a formant synthesiser.

Source and filter as in Klatt (1980): harmonics of a gliding pitch run through a cascade of formant
resonators that move between the phonemes' targets (vowels after Peterson and Barney 1952); noise in
bands of its own makes the fricatives and bursts.
"""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import uniform_filter1d
from scipy.signal import butter, sosfilt

from musiclatent.config import DemoSize
from musiclatent.data.synthetic import tables

RATE = 8000  # Hz
FRAME = 32  # samples between two settings of the resonators
BANDWIDTHS_HZ = (70.0, 100.0, 180.0, 350.0)
HIGHEST_HZ = np.array([3000.0, 3000.0, 3300.0, 3500.0])  # near 4 kHz a pole meets its mirror


@dataclass(frozen=True, kw_only=True)
class Phone:
    """Target of a phoneme: formants in Hz, level of voice, length, level and band of noise."""

    formants_hz: tuple[float, float, float]
    voice: float
    seconds: float
    noise: float = 0.0
    band_hz: tuple[float, float] = (1000.0, 3900.0)


_TABLE = tables.read("phones")
PHONES = {name: Phone(**row) for name, row in _TABLE["phones"].items()}
WORDS = _TABLE["words"]  # phonemes of each digit


@dataclass(frozen=True, kw_only=True)
class Utterance:
    """One digit said once by one speaker.

    Parameters
    ----------
    digit, speaker, index
        What is said, by whom, which take.
    f0_hz, formant_scale, speed
        The speaker's pitch, formants relative to an adult male's, and rate of speech.
    lengths_s
        Length of each phoneme in this take.
    rng_key
        What the take's random numbers are drawn from.
    """

    digit: int
    speaker: int
    index: int
    f0_hz: float
    formant_scale: float
    speed: float
    lengths_s: tuple[float, ...]
    rng_key: tuple[int, ...]

    @property
    def item_id(self) -> str:
        """Name in FSDD's manner: digit, speaker, take."""
        return f"{self.digit}_s{self.speaker}_{self.index}"

    @property
    def file(self) -> str:
        """File name."""
        return f"{self.item_id}.wav"

    @property
    def samples(self) -> int:
        """Length in samples, with 20 ms of room before and after."""
        return round((min(sum(self.lengths_s), 0.95) + 0.04) * RATE)

    def row(self) -> dict:
        """Return a row of the index."""
        return {
            "item_id": self.item_id,
            "label": str(self.digit),
            "group": self.item_id,
            "seconds": self.samples / RATE,
            "speaker": f"s{self.speaker}",
            "index": self.index,
            "f0_hz": self.f0_hz,
            "formant_scale": self.formant_scale,
            "speed": self.speed,
        }

    def synthesise(self) -> tuple[np.ndarray, int]:
        """Render the utterance: float32 (N,) and its rate."""
        rng = np.random.default_rng(self.rng_key)
        phones = [PHONES[name] for name in WORDS[self.digit].split()]
        edges_s = 0.02 + np.concatenate([[0], np.cumsum(self.lengths_s)])
        y = _voiced(self, phones, edges_s, rng) + _noise(phones, edges_s, self.samples, rng)
        y *= 10 ** (rng.uniform(-12, -3) / 20) / np.abs(y).max()
        return (y + 5e-4 * rng.standard_normal(len(y))).astype(np.float32), RATE


def plan(size: DemoSize, seed: int) -> list[Utterance]:
    """Draw every utterance; one's own factors do not depend on how many there are."""
    return [
        _draw(digit, speaker, index, seed)
        for digit in range(10)
        for speaker in range(size.speakers)
        for index in range(size.takes)
    ]


def _draw(digit: int, speaker: int, index: int, seed: int) -> Utterance:
    """Draw a speaker's voice, the same for all takes, and the lengths of one take."""
    voice = np.random.default_rng((seed, 1, speaker, 0, 0))
    place = (0.618 * speaker + voice.uniform(0, 0.25)) % 1  # few speakers, yet far apart
    f0_hz = 90 + 130 * place
    spread = voice.normal(0, 0.03)
    speed = voice.uniform(0.85, 1.2)
    rng_key = (seed, 1, speaker, digit, index)
    rng = np.random.default_rng((*rng_key, 0))
    lengths_s = tuple(
        PHONES[name].seconds / speed * np.exp(rng.normal(0, 0.1)) for name in WORDS[digit].split()
    )
    scale = round(1 + 0.15 * (f0_hz - 120) / 100 + spread, 3)  # a higher voice, a shorter tract
    return Utterance(
        digit=digit,
        speaker=speaker,
        index=index,
        f0_hz=round(f0_hz, 1),
        formant_scale=scale,
        speed=round(speed, 3),
        lengths_s=lengths_s,
        rng_key=(*rng_key, 1),
    )


def _curve(values: np.ndarray, edges_s: np.ndarray, times_s: np.ndarray, glide: float):
    """Hold each phoneme's value in its middle and glide over a share of its length at each end."""
    lengths_s = np.diff(edges_s)
    knots = np.stack([edges_s[:-1] + glide * lengths_s, edges_s[1:] - glide * lengths_s], axis=1)
    return np.interp(times_s, knots.ravel(), np.repeat(values, 2))


def _gain(values: np.ndarray, edges_s: np.ndarray, n: int) -> np.ndarray:
    """Return the level of a source over the utterance, from and to silence, smoothed over 12 ms."""
    place = np.searchsorted(edges_s, np.arange(n) / RATE, side="right")
    return uniform_filter1d(np.concatenate([[0], values, [0]])[place].astype(float), 96)


def _voiced(
    utterance: Utterance, phones: list[Phone], edges_s: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Filter a gliding pitch's harmonics, falling by 6 dB per octave, by moving formants."""
    n = utterance.samples
    f0_hz = utterance.f0_hz * np.exp(rng.normal(0, 0.04))
    wobble = uniform_filter1d(rng.standard_normal(n), 400) * 0.2
    pitch_hz = f0_hz * (np.linspace(1.1, 0.85, n) + wobble)
    cycles = np.cumsum(pitch_hz) / RATE
    y = sum(np.sin(2 * np.pi * k * cycles) / k for k in range(1, int(3800 / pitch_hz.max()) + 1))
    y = (y + 0.05 * rng.standard_normal(n)) * _gain([p.voice for p in phones], edges_s, n)
    targets_hz = np.array([p.formants_hz for p in phones]) * utterance.formant_scale
    targets_hz *= np.exp(rng.normal(0, 0.025, targets_hz.shape))
    frames_s = np.arange(0, n, FRAME) / RATE
    tracks_hz = [_curve(f_hz, edges_s, frames_s, 0.3) for f_hz in targets_hz.T]
    tracks_hz.append(np.full(len(frames_s), HIGHEST_HZ[3]))
    return _resonate(y, np.minimum(np.stack(tracks_hz, axis=1), HIGHEST_HZ))


def _resonate(y: np.ndarray, formants_hz: np.ndarray) -> np.ndarray:
    """Filter by a cascade of resonators of unit gain at 0 Hz, set anew for each frame (T, 4)."""
    radius = np.exp(-np.pi * np.array(BANDWIDTHS_HZ) / RATE)
    a1, a2 = -2 * radius * np.cos(2 * np.pi * formants_hz / RATE), radius**2 + 0 * formants_hz
    zero, one = np.zeros_like(a1), np.ones_like(a1)
    sos = np.stack([1 + a1 + a2, zero, zero, one, a1, a2], axis=-1)  # (T, 4, 6)
    state = np.zeros((4, 2))
    out = np.empty_like(y)
    for frame, start in enumerate(range(0, len(y), FRAME)):
        part = slice(start, start + FRAME)
        out[part], state = sosfilt(sos[frame], y[part], zi=state)
    return out


def _noise(
    phones: list[Phone], edges_s: np.ndarray, n: int, rng: np.random.Generator
) -> np.ndarray:
    """Return the noise of the fricatives and bursts, each in its own band."""
    y = np.zeros(n)
    for place, phone in enumerate(phones):
        if phone.noise:
            band = butter(1, phone.band_hz, "band", fs=RATE, output="sos")
            level = phone.noise * (np.arange(len(phones)) == place)
            y += _gain(level, edges_s, n) * sosfilt(band, rng.standard_normal(n))
    return y
