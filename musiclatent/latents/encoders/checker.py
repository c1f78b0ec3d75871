"""Check in a minute whether an encoder keeps the contract: one line for each thing promised."""

import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from musiclatent import audio
from musiclatent.errors import first_line, one_line
from musiclatent.latents.encoders import contract
from musiclatent.latents.encoders.contract import FrameEncoder, encode_sound

SHORTEST_S = 6.0  # of the sounds that are encoded
COST_S = 20.0  # of the sound whose cost is measured
CLOSE = 1e-3  # of the size of a row: how far rows that should agree may lie apart
SEED = 0
_TEXT = {"name", "licence", "revision"}


class _BrokenError(ValueError):
    """A promise that was not kept: how."""


@dataclass(frozen=True)
class Line:
    """The outcome of one check.

    Parameters
    ----------
    check
        What was checked.
    passed
        Whether the encoder does it.
    detail
        What was seen, in half a sentence.
    """

    check: str
    passed: bool
    detail: str

    def __str__(self) -> str:
        """Return the line as a table shows it."""
        return f"{'passed' if self.passed else 'FAILED'}  {self.check:8}  {self.detail}"


def check(encoder: FrameEncoder) -> Iterator[Line]:
    """Check an encoder, one promise after the other.

    Parameters
    ----------
    encoder
        Any encoder, such as one of `registry.find`.

    Yields
    ------
    Line
        As soon as it is known; whatever the encoder raises is a check that failed.
    """
    trial = _Trial(encoder)
    for name, run in CHECKS.items():
        try:
            yield Line(name, True, run(trial))
        except Exception as error:  # code of others raises anything
            told = isinstance(error, contract.LatentsError | _BrokenError)
            kind = "" if told else f"{type(error).__name__}: "
            yield Line(name, False, f"{kind}{one_line(first_line(error))}")


@dataclass(frozen=True)
class _Trial:
    """An encoder and a sound of three windows or more, which is encoded once."""

    encoder: FrameEncoder

    @property
    def edge(self) -> int:
        """Rows at each end of a piece that listen beyond it; 0 where all hear everything."""
        context_s = getattr(self.encoder, "context_s", 0.0)
        return int(np.ceil(context_s / self.encoder.hop_s - 1e-6)) if np.isfinite(context_s) else 0

    @property
    def reach_s(self) -> float:
        """How far from its window a row may answer; half a second where it hears everything."""
        context_s = getattr(self.encoder, "context_s", 0.0)
        return context_s if np.isfinite(context_s) else 0.5

    @cached_property
    def y(self) -> np.ndarray:
        """Noise (N,) whose level rises and falls."""
        least = self.encoder.window_s + (2 + 2 * self.edge) * self.encoder.hop_s
        n = round(max(SHORTEST_S, least) * self.encoder.sr)
        level = 0.1 + 0.08 * np.sin(2 * np.pi * 1.3 * np.arange(n) / self.encoder.sr)
        y = level * np.random.default_rng(SEED).standard_normal(n)
        return y.clip(-1, 1).astype(np.float32)

    @cached_property
    def z(self) -> np.ndarray:
        """Its rows (T, D)."""
        return encode_sound(self.encoder, self.y)


def _members(trial: _Trial) -> str:
    """Check that numbers are above 0 and texts say something."""
    encoder = trial.encoder
    for name in contract.MEMBERS[:-1]:
        value = getattr(encoder, name)
        kind = str if name in _TEXT else int | float | np.number
        if not isinstance(value, kind) or not (value if name in _TEXT else value > 0):
            raise _BrokenError(
                f"{name} is {value!r}; give {'a text' if name in _TEXT else 'above 0'}"
            )
    return (
        f"{encoder.dimensions} numbers every {encoder.hop_s:g} s of {encoder.window_s:g} s at "
        f"{encoder.sr} Hz; licence {encoder.licence}"
    )


def _answer(trial: _Trial) -> str:
    """Check the answer to noise."""
    before = trial.y.copy()
    z = trial.z
    if not np.array_equal(trial.y, before):
        raise _BrokenError("encode changes the samples that it is given; let it copy them")
    return f"{len(z)} rows of {len(before) / trial.encoder.sr:.1f} s, finite, float32"


def _twice(trial: _Trial) -> str:
    """Check that the same sound has the same answer."""
    again = encode_sound(trial.encoder, trial.y)
    return f"the same sound twice: {_close(trial.z, again)}"


def _when(trial: _Trial) -> str:
    """Check that an impulse that comes later moves the answer by as much."""
    hop_s, window_s = trial.encoder.hop_s, trial.encoder.window_s
    shift_s = max(1, round(1 / hop_s)) * hop_s
    first_s = max(trial.reach_s, window_s / 2 + max(0.0, window_s - hop_s))
    n = round(max(SHORTEST_S, first_s + shift_s + window_s) * trial.encoder.sr)
    silent = encode_sound(trial.encoder, np.zeros(n, np.float32))
    places = [_place(trial.encoder, at_s, silent, n) for at_s in (first_s, first_s + shift_s)]
    moved_s = places[1] - places[0]
    if abs(moved_s - shift_s) > hop_s / 2 + 0.02:
        raise _BrokenError(f"an impulse moves by {shift_s:.2f} s, the answer by {moved_s:.2f} s")
    around_s = hop_s + trial.reach_s
    if not -around_s <= first_s - places[0] <= window_s + around_s:
        raise _BrokenError(
            f"an impulse at {first_s:.2f} s is answered by a window at {places[0]:.2f} s"
        )
    return f"an impulse moves by {shift_s:.2f} s, the answer by {moved_s:.2f} s"


def _place(encoder: FrameEncoder, at_s: float, silent: np.ndarray, n: int) -> float:
    """Return the start in seconds of the windows, on average, that answer an impulse."""
    away = np.linalg.norm(encode_sound(encoder, _impulse(encoder, n, at_s)) - silent, axis=1)
    if not away.any():
        raise _BrokenError("an impulse is answered as silence is")
    return float(np.average(np.arange(len(away)), weights=away**2)) * encoder.hop_s


def _pieces(trial: _Trial) -> str:
    """Check that a sound without its beginning has the rows of the whole."""
    encoder = trial.encoder
    if np.isinf(getattr(encoder, "context_s", 0.0)):
        return "not asked: it says that each row hears the whole sound"
    start = round(encoder.hop_s * encoder.sr)
    piece = encode_sound(encoder, trial.y[start:])
    inner = slice(trial.edge, contract.expected_rows(encoder, len(trial.y) - start) - trial.edge)
    return f"in pieces and whole: {_close(trial.z[1:][inner], piece[inner])}"


def _lengths(trial: _Trial) -> str:
    """Check sounds of a sample and of windows that are not quite full."""
    n = round(trial.encoder.window_s * trial.encoder.sr)
    lengths = [1, trial.encoder.sr // 10, n - 1, n + 1, int(1.6 * n)]
    for length in lengths:
        try:
            encode_sound(trial.encoder, np.resize(trial.y, length))
        except Exception as error:
            reason = one_line(first_line(error))
            raise _BrokenError(f"{length} samples: {type(error).__name__}: {reason}") from None
    return f"{', '.join(map(str, lengths))} samples"


def _rates(trial: _Trial) -> str:
    """Check that a file of another rate is closer to itself than to another sound."""
    encoder = trial.encoder
    rate = 48_000 if encoder.sr == 44_100 else 44_100
    sounds = [_chord(hz, max(2.0, encoder.window_s), rate) for hz in (220.0, 330.0)]
    with tempfile.TemporaryDirectory() as folder:
        z = contract.encode_file(encoder, audio.write(Path(folder) / "a.wav", sounds[0], rate))
    own, other = (encode_sound(encoder, audio.convert(y, rate, encoder.sr)) for y in sounds)
    near, far = (np.linalg.norm(z.mean(0) - rows.mean(0)) for rows in (own, other))
    if near >= far:
        raise _BrokenError(
            f"a chord in a file of {rate} Hz is nearer to another chord than to itself"
        )
    return f"a file of {rate} Hz is itself ({near / far:.3f} of the way to another sound)"


def _silence(trial: _Trial) -> str:
    """Check that silence is answered."""
    z = encode_sound(trial.encoder, np.zeros(2 * trial.encoder.sr, np.float32))
    return f"{len(z)} rows of silence, finite"


def _more(trial: _Trial) -> str:
    """Check what an encoder may have beside: layers, words, sound out of rows."""
    encoder, seen = trial.encoder, []
    for layer in getattr(encoder, "layers", ()):
        encode_sound(encoder.at_layer(layer), trial.y[: round(encoder.window_s * encoder.sr)])
        seen.append(f"layer {layer}")
    if hasattr(encoder, "embed_text"):
        shape = np.shape(encoder.embed_text("a piano"))
        if shape != (encoder.dimensions,):
            raise _BrokenError(f"embed_text returned shape {shape}, not ({encoder.dimensions},)")
        seen.append("embed_text")
    if hasattr(encoder, "decode"):
        length = len(encoder.decode(trial.z))
        if abs(length - len(trial.y)) > max(encoder.hop_s, encoder.window_s) * encoder.sr:
            raise _BrokenError(f"decode returned {length} samples of {len(trial.y)}")
        seen.append("decode")
    return ", ".join(seen) or "neither layers nor words nor sound out of rows"


def _cost(trial: _Trial) -> str:
    """Report how fast it is and how far the peak of memory rises; nothing is asked."""
    seconds = max(COST_S, trial.encoder.window_s)
    y = np.resize(trial.y, round(seconds * trial.encoder.sr))
    before, start = _peak(), time.perf_counter()
    encode_sound(trial.encoder, y)
    pace = seconds / (time.perf_counter() - start)
    return f"{pace:.1f} s of sound per second, {_peak() - before:.0f} MB more for {seconds:.0f} s"


CHECKS: dict[str, Callable[[_Trial], str]] = {
    "members": _members,
    "answer": _answer,
    "twice": _twice,
    "time": _when,
    "pieces": _pieces,
    "lengths": _lengths,
    "rates": _rates,
    "silence": _silence,
    "more": _more,
    "cost": _cost,
}


def _impulse(encoder: FrameEncoder, n: int, at_s: float) -> np.ndarray:
    """Return silence (N,) with a burst of noise around a time."""
    length = max(2, round(min(0.2, encoder.hop_s / 2) * encoder.sr))
    y, start = np.zeros(n, np.float32), round(at_s * encoder.sr) - length // 2
    y[start : start + length] = np.random.default_rng(SEED).uniform(-0.8, 0.8, length)
    return y


def _chord(hz: float, seconds: float, sr: int) -> np.ndarray:
    """Return three harmonics (N,) in a little noise, so that no band is empty."""
    t = np.arange(round(seconds * sr)) / sr
    y = 0.01 * np.random.default_rng(SEED).standard_normal(len(t))
    return y + 0.2 * sum(np.sin(2 * np.pi * hz * k * t) / k for k in (1, 2, 3))


def _close(a: np.ndarray, b: np.ndarray) -> str:
    """Return how far rows that should agree lie apart, or refuse them."""
    if a.shape != b.shape:
        raise _BrokenError(f"answers {len(a)} rows, then {len(b)}")
    size = np.linalg.norm(a, axis=1).max() or 1.0
    apart = np.linalg.norm(a - b, axis=1).max() / size
    if apart > CLOSE:
        raise _BrokenError(f"rows that should agree lie {apart:.2g} of their size apart")
    return f"{apart:.1g} of a row's size apart"


def _peak() -> float:
    """Return the highest memory of this process so far, in MB."""
    unit = 1e6 if sys.platform == "darwin" else 1e3  # bytes there, kilobytes elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
