"""Encoders that nobody trained: numbers measured from windows of the sound."""

from dataclasses import dataclass

import numpy as np

from musiclatent.config import SR
from musiclatent.latents import representations
from musiclatent.latents.encoders import contract

NAMES = ("mfcc", "log-mel", "descriptors", representations.DEFAULT)


@dataclass(frozen=True)
class Statistics:
    """Represent windows by numbers of `representations.PARTS`.

    Parameters
    ----------
    name
        Any of the parts, joined by ``+``.
    window_s
        Length of a window in seconds; the parts are made for 6 s or more.
    """

    name: str
    window_s: float = representations.WINDOW_S

    sr = SR
    licence = "MIT"  # the code's: there are no weights
    revision = f"musiclatent-{representations.CACHE_VERSION}"

    def __post_init__(self) -> None:
        """Refuse a part that there is not."""
        representations.measured(self.name)

    @property
    def hop_s(self) -> float:
        """Seconds from row to row: windows stand one behind the other."""
        return self.window_s

    @property
    def parts(self) -> tuple[int, ...]:
        """Widths of the parts, which count the same when rows are compared."""
        return representations.measured(self.name).widths

    @property
    def dimensions(self) -> int:
        """Numbers in a row."""
        return sum(self.parts)

    def encode(self, y: np.ndarray) -> np.ndarray:
        """Return rows (T, D) of samples (N,), see `contract.FrameEncoder`."""
        measure = representations.Sound(self.window_s, self.name)
        return np.stack([measure(part) for part in contract.cut(self, y)])
