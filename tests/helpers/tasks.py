"""Tasks for processes; what takes them imports no more than this."""

import os
import signal
from pathlib import Path


def square(i: int, folder: str) -> int:
    """Square a number; the first to be asked for 3 is killed."""
    first = Path(folder) / "killed"
    if i == 3 and not first.exists():
        first.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return i * i


def killed(i: int) -> None:
    """End the process whatever is asked."""
    os.kill(os.getpid(), signal.SIGKILL)
