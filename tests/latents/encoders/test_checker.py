"""The checker: an encoder that keeps the contract, and one for each promise that can be broken."""

from dataclasses import dataclass

import numpy as np
import pytest

from musiclatent.latents.encoders import checker, contract


@dataclass
class Levels:
    """Mean level and loudest place of half a second, twice a second."""

    name = "levels"
    sr = 1000
    window_s = 0.5
    hop_s = 0.5
    dimensions = 2
    licence = "MIT"
    revision = "1"

    def encode(self, y):
        cut = np.abs(contract.cut(self, y))
        return np.stack([cut.mean(axis=1), cut.std(axis=1)], axis=1)


class Overlapping(Levels):
    hop_s = 0.1


class Nameless(Levels):
    licence = ""


class Careless(Levels):
    def encode(self, y):
        y *= 2
        return super().encode(y)


class Moody(Levels):
    calls = 0

    def encode(self, y):
        self.calls += 1
        return super().encode(y) * np.float32(self.calls)


class Late(Levels):
    """Each row is that of the window two seconds before."""

    def encode(self, y):
        z = super().encode(y)
        return np.concatenate([np.zeros_like(z[:4]), z])[: len(z)]


class Slow(Levels):
    """Time passes half as fast: row t stands for what begins at t / 2 hops."""

    def encode(self, y):
        z = super().encode(y)
        return np.repeat(z, 2, axis=0)[: len(z)]


class Deaf(Levels):
    def encode(self, y):
        return np.ones((len(contract.cut(self, y)), 2), np.float32)


class Normalising(Levels):
    """Rows depend on the loudest place of the whole sound."""

    def encode(self, y):
        return super().encode(y / max(1e-9, np.abs(y).max()) * np.float32(len(y)))


class Whole(Normalising):
    context_s = np.inf


class Long(Levels):
    def encode(self, y):
        if len(y) < 500:
            raise RuntimeError("too short\nfor me")
        return super().encode(y)


class Brittle(Levels):
    def encode(self, y):
        z = super().encode(y)
        return z / z if not y.any() else z


class Wordy(Levels):
    layers = ("a",)

    def at_layer(self, name):
        return self

    def embed_text(self, words):
        return np.zeros(3)


class Sounding(Levels):
    def decode(self, z):
        return np.zeros(len(z) * 500, np.float32)


class Mute(Levels):
    def decode(self, z):
        return np.zeros(3, np.float32)


def _lines(kind):
    return {line.check: line for line in checker.check(kind())}


@pytest.mark.parametrize("kind", [Levels, Overlapping, Whole, Sounding])
def test_who_keeps_the_contract_passes(kind):
    lines = _lines(kind)
    assert set(lines) == set(checker.CHECKS)
    assert all(line.passed for line in lines.values()), "\n".join(map(str, lines.values()))


@pytest.mark.parametrize(
    ("kind", "check", "reason"),
    [
        (Nameless, "members", "licence is ''; give a text"),
        (Careless, "answer", "changes the samples"),
        (Moody, "twice", "rows that should agree lie 1 of their size apart"),
        (Slow, "time", "an impulse moves by 1.00 s, the answer by 2.00 s"),
        (Late, "time", "answered by a window at"),
        (Deaf, "time", "answered as silence is"),
        (Normalising, "pieces", "of their size apart"),
        (Long, "lengths", "1 samples: RuntimeError: too short"),
        (Deaf, "rates", "nearer to another chord"),
        (Brittle, "silence", "returned NaN or infinity"),
        (Wordy, "more", r"embed_text returned shape (3,), not (2,)"),
        (Mute, "more", "decode returned 3 samples of 6000"),
    ],
)
def test_who_breaks_a_promise_is_named(kind, check, reason):
    with np.errstate(invalid="ignore"):
        line = _lines(kind)[check]
    assert not line.passed and reason in line.detail and "\n" not in line.detail


def test_a_line_is_shown_in_columns():
    assert str(checker.Line("time", True, "by 1 s")) == "passed  time      by 1 s"
    assert str(checker.Line("pieces", False, "apart")) == "FAILED  pieces    apart"
