"""What a run says: one line per notebook, and one live line where somebody watches."""

import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from musiclatent.files import progress, read_toml

SHIPPED: dict[str, dict[str, float]] = read_toml(Path(__file__).with_name("seconds.toml"))


class Console:
    """Lines about a run, and what is left of it.

    Parameters
    ----------
    seconds
        How long each notebook takes, as far as is known, by ``study/notebook``.
    longest
        As `schedule.chains` gives it.
    at_once
        How many run at a time.
    """

    def __init__(self, seconds: Mapping[str, float], *, longest: Mapping[str, float], at_once: int):
        self._seconds, self._longest, self._at_once = seconds, longest, at_once
        self._left = dict.fromkeys(longest)
        self._began: dict[str, float] = {}
        self._bar = progress(
            None,
            "",
            "notebook",
            total=len(longest),
            disable=not sys.stderr.isatty(),
            bar_format="{n_fmt} of {total_fmt} notebooks{desc}",
        )

    def began(self, name: str) -> None:
        """Note that a notebook runs."""
        self._began[name] = time.monotonic()

    def ended(self, name: str, what: str) -> None:
        """Print the line of a notebook: how it ended."""
        self._left.pop(name, None)
        count = f"[{len(self._longest) - len(self._left)}/{len(self._longest)}]"
        self._bar.write(f"{count} {name.replace('/', ': ', 1)} {what}", file=sys.stdout)
        sys.stdout.flush()
        self._bar.update()

    def tick(self, running: Iterable[str]) -> None:
        """Draw the live line anew."""
        names = ", ".join(name.replace("/", " ", 1) for name in running)
        self._bar.set_description_str(f"; {names}; {self._rest()}", refresh=False)
        self._bar.refresh()

    def _rest(self) -> str:
        """Say how long it will still take, where that is known."""
        known = any(self._seconds.values())
        return said(self.left_s()) if known else "not timed before"

    def left_s(self) -> float:
        """Return how many seconds are left, as far as is known."""
        now = time.monotonic()
        rest = {name: self._seconds.get(name, 0.0) for name in self._left}
        chains = [self._longest[name] for name in self._left if name not in self._began]
        for name in rest.keys() & self._began.keys():
            gone = min(now - self._began[name], rest[name])
            rest[name] -= gone
            chains.append(self._longest[name] - gone)
        return max([sum(rest.values()) / self._at_once, *chains], default=0.0)

    def close(self) -> None:
        """Take the live line away."""
        self._bar.leave = False
        self._bar.close()


def said(seconds: float) -> str:
    """Say in words how long it will still take."""
    return "less than a minute left" if seconds < 60 else f"about {seconds / 60:.0f} min left"


def shipped(profile: str) -> dict[str, float]:
    """Return how long notebooks took where the package was made, by ``study/notebook``."""
    studies = SHIPPED.get(profile, {})
    return {f"{study}/{name}": s for study, names in studies.items() for name, s in names.items()}
