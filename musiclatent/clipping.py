"""How much of a section is clipped."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

FULL_SCALE = 0.999  # from which a sample counts as clipped


@dataclass(frozen=True)
class Clipping:
    """Measure the share of clipped samples of a section, for the cache.

    Channels are mixed before: what is clipped in one of them only is not seen.

    Parameters
    ----------
    sr
        Sampling rate in Hz; that of most tracks, for another rate blurs the peaks.
    window_s
        Length of a section in seconds.
    """

    kind: ClassVar[str] = "clipping"
    version: ClassVar[int] = 1
    first_only: ClassVar[bool] = False

    sr: int = 44_100
    window_s: float = 15.0

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one output: ``(1,)``."""
        return (1,)

    def __call__(self, y: np.ndarray) -> np.ndarray:
        """Return the share (1,) of samples (N,) at full scale."""
        return np.array([np.mean(np.abs(y) >= FULL_SCALE)], np.float32)
