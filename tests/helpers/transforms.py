"""Transforms for the tests; processes that take tasks import no more than this."""

import time
from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class Slow:
    """A transform that takes long enough to be killed; rows of two dimensions."""

    sr: int = 8000
    window_s: float = 0.25
    pause_s: float = 0.004
    kind: ClassVar[str] = "slow"
    version: ClassVar[int] = 1
    first_only: ClassVar[bool] = False
    shape: ClassVar[tuple[int, ...]] = (4, 500)

    def __call__(self, y):
        time.sleep(self.pause_s)
        return y.reshape(4, 500)
