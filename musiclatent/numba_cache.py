"""What processes that compute need: numba's code compiled once, an end with who started them."""

import os
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from functools import cache, partial
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

import joblib

LOOK_S = 1.0
MODULES = ("util.utils", "core.audio", "core.pitch")  # not `beat`: none of ours uses it
UMAP = {  # what it compiles anew in every process: 12 s, of which 0.4 s are left
    "layouts": ("_nb_optimize_layout_euclidean_single_epoch",),
    "umap_": ("compute_membership_strengths", "fast_knn_indices", "smooth_knn_dist", "submatrix"),
}


def compile_librosa() -> None:
    """Compile what librosa compiles as it is imported, or read it from numba's cache.

    Two processes that fill this cache at the same time leave machine code of both, and whoever
    reads it then crashes (https://github.com/numba/numba/issues/10128). So a process calls this
    before it starts others; `make setup` does too. It takes half a minute once, then a second.
    """
    for name in MODULES:
        import_module(f"librosa.{name}")


@cache
def read_umap() -> None:
    """Let UMAP take its machine code from numba's cache, which one process fills.

    The first one compiles for 17 s while others wait, as two writers would leave a cache that
    crashes its readers (`compile_librosa`). Where no folder can be written, each compiles its own.
    """
    from numba.core.caching import FunctionCache

    class ReadOnly(FunctionCache):
        """What was compiled for another signature is not kept: others may write then too."""

        def save_overload(self, *_: object) -> None:
            """Keep nothing."""

    functions = [getattr(import_module(f"umap.{m}"), name) for m in UMAP for name in UMAP[m]]
    with suppress(RuntimeError, OSError):  # numba finds no folder, or it is full
        for function in functions:
            function.enable_caching()
        try:
            _fill(Path(functions[0].stats.cache_path))
        finally:
            for function in functions:
                function._cache = ReadOnly(function.py_func)


@cache
def compiled(function: Callable, signature: str) -> Callable:
    """Return a function of ours as machine code, which one process compiles for all.

    Parameters
    ----------
    function
        What numba can compile.
    signature
        Types of its arguments, as numba writes them.
    """
    from filelock import FileLock
    from numba import njit

    with suppress(RuntimeError, OSError):  # numba finds no folder, or it is full
        kept = njit(cache=True)(function)
        folder = Path(kept.stats.cache_path)
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / "musiclatent.lock"):
            kept.compile(signature)
        return kept
    return njit(signature)(function)


def _fill(folder: Path) -> None:
    """Compile what UMAP needs to make a plane and to place rows on it, unless it is in a folder."""
    import numpy as np
    from filelock import FileLock
    from llvmlite.binding import get_host_cpu_name
    from umap import UMAP, layouts

    folder.mkdir(parents=True, exist_ok=True)
    made = int(Path(layouts.__file__).stat().st_mtime)
    done = folder / f"musiclatent-{version('numba')}-{made}-{get_host_cpu_name()}.done"
    with FileLock(folder / "musiclatent.lock"):
        if not done.exists():
            z = np.random.default_rng(0).normal(size=(40, 4))
            UMAP(n_neighbors=5, random_state=0, n_jobs=1).fit(z).transform(z[:3])
            done.touch()


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
    read_umap()
