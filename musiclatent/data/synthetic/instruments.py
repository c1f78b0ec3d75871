"""Pitched sounds of the embedded corpora (oscillators, FM, plucked string), a room, and mastering.

Every voice takes a fundamental in Hz and a number of samples and returns float32 (N,); the rate is
`SR` throughout. Notes are normalised to a peak of 1, so that a score's velocities set the balance.
"""

import numpy as np
from scipy.signal import butter, lfilter, oaconvolve, sosfilt

from musiclatent.config import SR
from musiclatent.data.synthetic import tables

TOP_HZ = 0.45 * SR  # partials above this would alias
CREST_DB = 14.0  # how far a peak may rise above the RMS level


def times_s(n: int) -> np.ndarray:
    """Return the time of each of n samples in seconds."""
    return np.arange(n, dtype=np.float64) / SR


def filtered(
    y: np.ndarray, order: int, cutoff_hz: float | tuple[float, float], band: str = "low"
) -> np.ndarray:
    """Filter by a Butterworth filter of a band: low, high, or band between two frequencies."""
    return sosfilt(butter(order, cutoff_hz, band, fs=SR, output="sos"), y)


def _cycles(f0_hz: float, n: int, vibrato: float) -> np.ndarray:
    """Return the phase in cycles; the vibrato of 5.5 Hz comes in after the attack."""
    t = times_s(n)
    if not vibrato:
        return f0_hz * t
    return f0_hz * (t + vibrato * np.minimum(t / 0.3, 1) * np.sin(2 * np.pi * 5.5 * t) / 34.6)


def sine(cycles: np.ndarray) -> np.ndarray:
    """Return the sine of a phase in cycles, in single precision without the whole cycles."""
    return np.sin((2 * np.pi * (cycles - np.floor(cycles))).astype(np.float32))


def _envelope(n: int, attack_s: float, decay_s: float, sustain: float = 0.0) -> np.ndarray:
    """Return a linear attack, then an exponential decay towards the sustain level."""
    t = times_s(n)
    decay = sustain + (1 - sustain) * np.exp(-np.maximum(t - attack_s, 0) / decay_s)
    return (np.minimum(t / attack_s, 1) * decay).astype(np.float32)


def additive(
    f0_hz: float,
    n: int,
    rng: np.random.Generator,
    *,
    partials: tuple[float, ...],
    attack_s: float = 0.01,
    decay_s: float = 1.0,
    sustain: float = 0.0,
    vibrato: float = 0.0,
    breath: float = 0.0,
) -> np.ndarray:
    """Add harmonic partials, the higher ones dying away sooner, and a little breath noise."""
    cycles = _cycles(f0_hz, n, vibrato) + rng.random()
    y = np.zeros(n, np.float32)
    for k, amplitude in enumerate(partials, 1):
        if k * f0_hz < TOP_HZ and amplitude:
            y += amplitude * sine(k * cycles) * _envelope(n, attack_s, decay_s / k**0.5, sustain)
    if breath:
        noise = lfilter([0.2], [1, -0.8], rng.standard_normal(n, dtype=np.float32))
        y += breath * noise * _envelope(n, attack_s, 0.1, 0.4)
    return y


def _corner(phase: np.ndarray, step: float) -> np.ndarray:
    """Round off a saw's jump (PolyBLEP, Välimäki and Huovilainen 2007) against aliasing."""
    t, u = phase / step, (phase - 1) / step
    return np.where(t < 1, 2 * t - t * t - 1, np.where(u > -1, u * u + 2 * u + 1, 0))


def saw(f0_hz: float, n: int, start: float = 0.0, vibrato: float = 0.0) -> np.ndarray:
    """Return a saw wave from -1 to 1, starting at a phase in cycles."""
    phase = (_cycles(f0_hz, n, vibrato) + start) % 1.0
    return 2 * phase - 1 - _corner(phase, f0_hz / SR)


def subtractive(
    f0_hz: float,
    n: int,
    rng: np.random.Generator,
    *,
    width: float = 0.0,
    detune: float = 0.004,
    dark_hz: float = 500.0,
    bright_hz: float = 3000.0,
    sweep_s: float = 0.25,
    attack_s: float = 0.01,
    decay_s: float = 1.0,
    sustain: float = 0.7,
    vibrato: float = 0.0,
) -> np.ndarray:
    """Filter two detuned saws (or pulses of a `width`), the filter closing within `sweep_s`."""
    y = np.zeros(n)
    for f_hz in (f0_hz * (1 - detune), f0_hz * (1 + detune)) if detune else (f0_hz,):
        start = rng.random()
        y += saw(f_hz, n, start, vibrato)
        if width:
            y -= saw(f_hz, n, start + width, vibrato)
    dark = filtered(y, 2, min(max(dark_hz, f0_hz), TOP_HZ))
    bright = filtered(y, 2, min(max(bright_hz, 2 * f0_hz), TOP_HZ))
    opening = np.exp(-times_s(n) / sweep_s)  # a mix of two fixed filters is a cheap moving one
    y = dark + opening * (bright - dark)
    return y.astype(np.float32) * _envelope(n, attack_s, decay_s, sustain)


def fm(
    f0_hz: float,
    n: int,
    rng: np.random.Generator,
    *,
    ratio: float = 1.0,
    index: float = 2.0,
    index_s: float = 0.4,
    attack_s: float = 0.004,
    decay_s: float = 0.8,
    sustain: float = 0.0,
) -> np.ndarray:
    """Modulate a sine's phase by another (Chowning 1973), the index falling within `index_s`."""
    t = times_s(n)
    depth = index * (0.1 + 0.9 * np.exp(-t / index_s)) / (2 * np.pi)
    y = sine(f0_hz * t + depth * sine(ratio * f0_hz * t + rng.random()))
    return y * _envelope(n, attack_s, decay_s, sustain)


def pluck(
    f0_hz: float, n: int, rng: np.random.Generator, *, decay_s: float = 0.8, soft: float = 0.5
) -> np.ndarray:
    """Pluck a string: a noise burst in a damped delay line (Karplus and Strong 1983).

    The two-point average of the loop delays by half a sample; linear interpolation adds the rest of
    the period, so that high notes stay in tune.
    """
    period = SR / f0_hz - 0.5
    whole, rest = int(period), period - int(period)
    burst = lfilter([1 - soft], [1, -soft], rng.uniform(-1, 1, whole))
    loss = 10 ** (-3 * (whole + 0.5) / (decay_s * 3 * SR))  # -60 dB after three decay times
    taps = np.convolve([0.5, 0.5], [1 - rest, rest]) * loss
    x = np.zeros(n)
    x[: min(whole, n)] = (burst - burst.mean())[:n]
    return lfilter([1.0], np.concatenate([[1.0], np.zeros(whole - 1), -taps]), x).astype(np.float32)


VOICES_TABLE = tables.read("voices")
RELEASE_S = {name: row.pop("release_s", 0.04) for name, row in VOICES_TABLE.items()}
VOICES = {
    name: tables.sound(row, [additive, subtractive, fm, pluck])
    for name, row in VOICES_TABLE.items()
}


def play(name: str, pitch: float, seconds: float, rng: np.random.Generator) -> np.ndarray:
    """Play one note of a voice.

    Parameters
    ----------
    name
        One of `VOICES`.
    pitch
        MIDI note number.
    seconds
        Time until the key is released.
    rng
        Source of phases and noise.

    Returns
    -------
    np.ndarray
        float32 (N,), peak 1, release included.
    """
    release = round(RELEASE_S[name] * SR)
    n = round(seconds * SR) + release
    y = VOICES[name](440.0 * 2 ** ((pitch - 69) / 12), n, rng)
    y[-release:] *= np.linspace(1, 0, release, dtype=np.float32) ** 2
    return y / max(float(np.abs(y).max()), 1e-6)


def room(y: np.ndarray, reverb_s: float, rng: np.random.Generator) -> np.ndarray:
    """Convolve with a room: noise that falls by 60 dB within `reverb_s`, its treble sooner.

    Parameters
    ----------
    y
        Dry signal (N,).
    reverb_s
        Reverberation time in seconds.
    rng
        Source of the room's reflections.

    Returns
    -------
    np.ndarray
        The reverberation alone, float32 (N,), about as loud as `y`.
    """
    t = times_s(round(reverb_s * SR))
    noise = rng.standard_normal(len(t))
    dark = lfilter([0.25], [1, -0.75], noise)
    ir = (dark + 0.2 * noise * np.exp(-t / (0.1 * reverb_s))) * np.exp(-6.9 * t / reverb_s)
    ir /= np.sqrt(np.sum(ir**2))
    return oaconvolve(y, ir.astype(np.float32))[: len(y)]


def tone(y: np.ndarray, brightness: float) -> np.ndarray:
    """Shelve the treble above 1 kHz by a setting in [0, 1]: from -20 dB at 0 to +12 dB at 1."""
    low = filtered(y, 1, 1000)
    return (low + 10 ** ((32 * brightness - 20) / 20) * (y - low)).astype(np.float32)


def master(y: np.ndarray, level_db: float) -> np.ndarray:
    """Bring to an RMS level in dBFS and round off the peaks, which stay `CREST_DB` above it."""
    rms = 10 ** (level_db / 20)
    limit = 10 ** (CREST_DB / 20) * rms
    x = y * (rms / np.sqrt(np.mean(np.square(y, dtype=np.float64))) / limit)
    bend = np.sqrt(np.sqrt(1 + np.square(np.square(x))))  # a straight line up to about 0.6
    return (limit * x / bend).astype(np.float32)
