"""What processes that compute need: room for their files, librosa compiled once, a timely end."""

import os
import tempfile
import threading
import time
from collections.abc import Callable
from functools import cache, partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import joblib

LOOK_S = 1.0
MODULES = ("util.utils", "core.audio", "core.pitch", "beat")
# Folders of a user, which those who use them make below the home, or fail.
OF_HOME = ("IPYTHONDIR", "JUPYTER_RUNTIME_DIR", "MPLCONFIGDIR", "XDG_CACHE_HOME")


def find_room() -> None:
    """Name a folder of one's own under the temporary one where there is no home to write to.

    Without this numba refuses to load librosa where neither the package nor the home may be
    written to, and a kernel does not start.
    """
    if _is_writable(Path(os.path.expanduser("~"))):  # noqa: PTH111 (no error without a home)
        return
    room = _room()
    for name in OF_HOME:
        os.environ.setdefault(name, str(room / name.lower()))
    spec = find_spec("librosa")
    packages = list(spec.submodule_search_locations or []) if spec else []
    if not all(_is_writable(Path(package)) for package in packages):
        os.environ.setdefault("NUMBA_CACHE_DIR", str(room / "numba"))


def _is_writable(folder: Path) -> bool:
    """Return whether files can be made in a folder that is there."""
    return folder.is_dir() and os.access(folder, os.W_OK | os.X_OK)


def _room() -> Path:
    """Return a folder that is this user's alone."""
    user = os.getuid() if hasattr(os, "getuid") else 0
    room = Path(tempfile.gettempdir()) / f"musiclatent-{user}"
    room.mkdir(mode=0o700, exist_ok=True)
    if hasattr(os, "getuid") and room.lstat().st_uid != user:  # somebody else has made it
        return Path(tempfile.mkdtemp(prefix="musiclatent-"))
    return room


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
    if os.getpid() != parent:
        _watch(parent)
    return function(*arguments, **options)


@cache
def _watch(parent: int) -> None:
    """Begin to look, once, whether the parent of this process is still there."""
    if os.getppid() == parent:  # else it is a cluster's, or the parent's parent asked
        threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    """End this process when another one has taken the place of its parent."""
    while os.getppid() == parent:
        time.sleep(LOOK_S)
    os._exit(1)


if __name__ == "__main__":
    compile_librosa()
