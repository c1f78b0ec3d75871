"""Read streams that stand one behind the other in one file as one."""

from contextlib import ExitStack, suppress
from pathlib import Path

import numpy as np

from musiclatent.audio.containers import links as joined
from musiclatent.audio.containers.parts import Part
from musiclatent.audio.libav import open_libav
from musiclatent.audio.sndfile import open_sound, stream_of
from musiclatent.audio.stream import Stream
from musiclatent.errors import AudioError


class Chain:
    """Streams that stand one behind the other in one file, read as one."""

    def __init__(self, path: Path, links: list[tuple[int, int]], stack: ExitStack) -> None:
        self.path = path
        self.parts = [self._measured(*link) for link in links]
        self.sr, self.channels = self.parts[0][2:]
        alike = [part[2:] == (self.sr, self.channels) for part in self.parts]
        self.left_out = len(alike) - (alike.index(False) if not all(alike) else len(alike))
        self.parts = self.parts[: len(alike) - self.left_out]
        self.open: Stream | None = None
        self.inner = stack.enter_context(ExitStack())

    def _opened(self, start: int, stop: int, start_s: float, stack: ExitStack) -> Stream:
        """Open one link of the chain."""
        part = stack.enter_context(Part(self.path, start, stop))
        if not joined.is_opus(self.path):
            with suppress(AudioError):
                file = stack.enter_context(open_sound(self.path, part))
                known = {"frames": file.frames, "promised": False, "notes": []}
                return stream_of(file, self.path, start_s, **known)
        part.seek(0)
        return stack.enter_context(open_libav(self.path, start_s, part))

    def _measured(self, start: int, stop: int) -> tuple[tuple[int, int], int, int, int]:
        """Return a link, its frames, rate and channels."""
        with ExitStack() as stack:
            stream = self._opened(start, stop, 0.0, stack)
            return (start, stop), stream.frames, stream.sr, stream.channels

    def stream(self, start_s: float) -> Stream:
        """Return all links that are alike as frames from a start on."""
        left = start = round(start_s * self.sr)
        self.rest = list(self.parts)
        while len(self.rest) > 1 and left >= self.rest[0][1]:
            left -= self.rest.pop(0)[1]
        self._next(left / self.sr)
        reason = f"of its {self.left_out + len(self.parts)} joined streams the last {self.left_out}"
        reason += " have another rate or other channels and are not read; split it"
        return Stream(
            path=self.path,
            sr=self.sr,
            channels=self.channels,
            start=start,
            frames=sum(part[1] for part in self.parts),
            promised=True,
            pull=self._pull,
            notes=[reason] if self.left_out else [],
        )

    def _next(self, start_s: float) -> None:
        """Go on to the next link."""
        self.inner.close()
        link = self.rest.pop(0)[0]
        self.open = self._opened(*link, start_s, self.inner)

    def _pull(self, n: int) -> np.ndarray:
        """Return the next n frames of all links."""
        y = self.open.pull(n)
        while len(y) < n and self.rest:
            self._next(0.0)
            y = np.concatenate([y, self.open.pull(n - len(y))])
        return y
