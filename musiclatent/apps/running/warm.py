"""The process that has the libraries loaded, and becomes a kernel by a fork.

Started by `kernels.Kernels` with a socket: the first line names what to import, each further one a
kernel; one that is asked for early is forked before all is imported. It never computes, so no pool
of threads is alive when it forks. Where the socket closes, since the runner ended or was killed, it
ends its kernels and itself; where it is killed itself, the system ends them.
"""

import atexit
import ctypes
import gc
import importlib
import json
import os
import select
import signal
import socket
import sys
import traceback
from collections.abc import Iterator
from contextlib import suppress
from io import RawIOBase
from pathlib import Path
from typing import BinaryIO

SIGNAL_OF_PARENT = 1  # PR_SET_PDEATHSIG


def main(socket_number: int) -> None:
    """Load libraries, then fork a kernel for each line that comes.

    Parameters
    ----------
    socket_number
        File descriptor of the socket to the runner.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C: the runner decides
    kernels: set[int] = set()
    with socket.socket(fileno=socket_number) as runner, runner.makefile("rb", 0) as lines:
        signal.signal(signal.SIGCHLD, lambda *_: _reap(kernels))
        for line in _asked(runner, lines):
            if not (pid := os.fork()):
                asked = json.loads(line)
                break
            kernels.add(pid)
            runner.sendall(b"%d\n" % pid)
        else:
            _end(kernels)
            return
        runner.detach()  # from here on we are a kernel
    _become_kernel(socket_number, **asked)


class _Stderr:
    """Standard error as it is when something is written.

    What is imported may keep the stream of its time, as a handler of a log does; that of a kernel
    goes to its notebook, ours to the terminal.
    """

    @property
    def buffer(self) -> BinaryIO:
        """The terminal's, by which a kernel knows handlers of its own log."""
        return sys.__stderr__.buffer

    def __getattr__(self, name: str) -> object:
        return getattr(sys.__stderr__ if sys.stderr is self else sys.stderr, name)


def _asked(runner: socket.socket, lines: RawIOBase) -> Iterator[bytes]:
    """Yield each line that asks for a kernel, and import meanwhile what is left to import.

    Lines are read without a buffer, in which one could lie that the socket no longer shows.
    """
    sys.stderr = _Stderr()
    gc.disable()
    asked = json.loads(lines.readline())
    for place, name in enumerate(asked["modules"], 1):
        with suppress(ImportError):  # what is not there is the notebook's to report
            importlib.import_module(name)
        while place >= asked["first"] and select.select([runner], [], [], 0)[0]:
            gc.freeze()
            if not (line := lines.readline()):
                return
            yield line
    gc.collect()
    gc.freeze()  # else the first collection of each kernel copies all of it
    yield from iter(lines.readline, b"")


def _reap(kernels: set[int]) -> None:
    """Take note of kernels that ended: their ids may soon be those of others."""
    with suppress(ChildProcessError):
        while pid := os.waitpid(-1, os.WNOHANG)[0]:
            kernels.discard(pid)


def _end(kernels: set[int]) -> None:
    """End the kernels that are still there, with what they started."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for pid in kernels:
        with suppress(OSError):
            os.killpg(pid, signal.SIGKILL)
    with suppress(ChildProcessError):
        while os.wait():
            pass


def _become_kernel(
    socket_number: int,
    *,
    connection_file: str,
    folder: str,
    variables: dict[str, str],
    threads: int,
    log: str,
) -> None:
    """Turn the forked process into a kernel of its own, until it is told to shut down."""
    os.close(socket_number)
    gc.enable()
    os.setsid()
    # What its notebook shows is echoed here, by a decoder that talks to standard error.
    with Path(log).open("ab") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    parent = os.getppid()
    end_with_parent(parent)
    os.environ.update(variables)
    os.chdir(folder)
    share(threads)
    from ipykernel.kernelapp import IPKernelApp

    # With a parent it does not tell a terminal how to connect. Matplotlib was loaded before there
    # was a notebook that its figures could go to.
    ways = [f"--IPKernelApp.parent_handle={parent}", "--InteractiveShellApp.matplotlib=inline"]
    ways += ["--HistoryManager.enabled=False"]  # nobody asks for it, and each cell waits for a disk
    sys.argv = ["ipykernel_launcher", "-f", connection_file, *ways]
    try:
        IPKernelApp.launch_instance(sys.argv[1:])
        atexit._run_exitfuncs()
        os._exit(0)  # taking down all that is loaded takes half a second
    except Exception:
        traceback.print_exc()
        os._exit(1)  # its threads would be waited for


def end_with_parent(parent: int) -> None:
    """Have the system kill this process once its parent is gone; Linux only.

    Parameters
    ----------
    parent
        Process id of the parent, which may be gone already.
    """
    ctypes.CDLL(None).prctl(SIGNAL_OF_PARENT, signal.SIGKILL)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)


def share(threads: int) -> None:
    """Set how many threads this process and its children compute on.

    Parameters
    ----------
    threads
        Of torch, OpenMP and the libraries of linear algebra.
    """
    os.environ["OMP_NUM_THREADS"] = str(threads)
    if "threadpoolctl" in sys.modules:
        sys.modules["threadpoolctl"].threadpool_limits(threads)
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(threads)
    if threads == 1 and "joblib" in sys.modules:
        # Others compute on the other cores: processes of its own would only load all anew.
        sys.modules["joblib"].parallel_config("sequential")


if __name__ == "__main__":
    main(int(sys.argv[1]))
