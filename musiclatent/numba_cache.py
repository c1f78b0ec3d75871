"""What processes that compute need: librosa compiled once, and an end with who started them."""

import os
import sys
import threading
import time
from collections.abc import Callable
from functools import cache, partial
from importlib import import_module

import joblib

LOOK_S = 1.0
MODULES = ("util.utils", "core.audio", "core.pitch", "beat")


def compile_librosa() -> None:
    """Compile what librosa compiles as it is imported, or read it from numba's cache.

    Two processes that fill this cache at the same time leave machine code of both, and whoever
    reads it then crashes (https://github.com/numba/numba/issues/10128). So a process calls this
    before it starts others; `make setup` does too. It takes half a minute once, then a second.
    """
    for name in MODULES:
        import_module(f"librosa.{name}")


def delayed(function: Callable) -> Callable:
    """Return what makes a task of a function, as `joblib.delayed` does.

    A worker that takes the task ends when the process that made it has ended: joblib's own live on
    for minutes after a kill, and hold memory and files.

    Parameters
    ----------
    function
        What a task calls; other processes can import it by its name.
    """
    return joblib.delayed(partial(_run, os.getpid(), function))


def _run(parent: int, function: Callable, *arguments: object, **options: object) -> object:
    """Call a function; in another process look after the one that asked for it meanwhile."""
    if os.getpid() != parent and any("loky" in word for word in sys.orig_argv):
        _watch(parent)  # a worker of joblib's own; those of a cluster have other parents
    return function(*arguments, **options)


@cache
def _watch(parent: int) -> None:
    """Begin to look, once, whether the parent of this process is still there."""
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    """End this process when another one has taken the place of its parent."""
    while os.getppid() == parent:
        time.sleep(LOOK_S)
    os._exit(1)


if __name__ == "__main__":
    compile_librosa()
