"""Kernels for notebooks: forked from one process that is warm, or started anew.

Where a process cannot fork safely (macOS, Windows) each kernel starts anew and loads for itself.
"""

import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock

from jupyter_client.localinterfaces import localhost
from jupyter_client.manager import AsyncKernelManager
from jupyter_client.provisioning import LocalProvisioner
from traitlets import default

from musiclatent.apps.running import warm

CAN_FORK = sys.platform == "linux"
# What makes a kernel, and what `warm.share` tells how many threads there are.
KERNEL = ("ipykernel.kernelapp", "matplotlib_inline.backend_inline", "joblib", "threadpoolctl")
# Of the process that is warm: matplotlib as a kernel has it, and one thread as long as none works.
ONE_THREAD = {"OMP_NUM_THREADS": "1", "MPLBACKEND": "module://matplotlib_inline.backend_inline"}


class Forked:
    """A process that is no child of ours, with the methods of Popen that jupyter_client needs.

    Parameters
    ----------
    pid
        Its process id.
    """

    stdin = stdout = stderr = None

    def __init__(self, pid: int):
        self.pid = pid
        self._handle: int | None = None
        with suppress(ProcessLookupError):
            self._handle = os.pidfd_open(pid)

    def poll(self) -> int | None:
        """Return None while it runs, then 0: only its parent learns the true code."""
        if self._handle is None:
            return 0
        if not select.select([self._handle], [], [], 0)[0]:
            return None
        os.close(self._handle)
        self._handle = None
        return 0

    def wait(self) -> int:
        """Wait for its end."""
        while self.poll() is None:
            time.sleep(0.05)
        return 0

    def send_signal(self, number: int) -> None:
        """Send it a signal, if it still runs."""
        if self.poll() is None:
            signal.pidfd_send_signal(self._handle, number)

    def kill(self) -> None:
        """Kill it."""
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)


class Kernels:
    """Where the kernels of a run come from.

    Parameters
    ----------
    modules
        What the process that is warm imports.
    threads
        On which each kernel computes.
    first
        What it imports before it becomes the first kernels; the rest then comes beside them.
    """

    def __init__(self, modules: Sequence[str], threads: int, first: Sequence[str] = ()):
        self.threads = threads
        self._modules, self._first = list(modules), list(first)
        self._lock = Lock()
        self._process: subprocess.Popen | None = None
        self._ends: list = []
        self._anew: list[int] = []
        self._folder = TemporaryDirectory(prefix="musiclatent-", ignore_cleanup_errors=True)
        self._numbers = count()

    def new_address(self) -> str:
        """Return a path that nothing else listens on."""
        return f"{self._folder.name}/{next(self._numbers)}"

    def start(self) -> None:
        """Start the process that is warm, if there is none; it loads beside us."""
        if not CAN_FORK or self._process:
            return
        ours, theirs = socket.socketpair()
        with theirs:
            number = theirs.fileno()
            command = [sys.executable, "-m", warm.__name__, str(number)]
            environment = os.environ | ONE_THREAD
            self._process = subprocess.Popen(
                command, env=environment, pass_fds=[number], stdin=subprocess.DEVNULL
            )
        self._ends = [ours, ours.makefile("rw")]
        first = [*KERNEL, *self._first]
        rest = [name for name in self._modules if name not in first]
        self._say({"modules": first + rest, "first": len(first if self._first else first + rest)})

    def _say(self, value: object) -> None:
        """Send a line to the process that is warm."""
        print(json.dumps(value), file=self._ends[1], flush=True)

    def fork(self, connection_file: str, folder: str, variables: dict[str, str]) -> Forked:
        """Fork a kernel.

        Parameters
        ----------
        connection_file
            Which says where it listens.
        folder
            Where it works.
        variables
            Of its environment.

        Raises
        ------
        RuntimeError
            If the process that is warm is gone.
        """
        asked = {"connection_file": connection_file, "folder": folder, "variables": variables}
        asked["log"] = str(Path(self._folder.name, f"{next(self._numbers)}.log"))
        with self._lock:
            self.start()
            with suppress(OSError):
                self._say(asked | {"threads": self.threads})
            answer = self._ends[1].readline()
        if not answer:
            raise RuntimeError("the process that has the libraries loaded ended; run it again")
        return Forked(int(answer))

    def remember(self, pid: int) -> None:
        """Note a kernel that was started anew, to be ended with the others."""
        self._anew.append(pid)

    def close(self) -> None:
        """End all kernels, and the process that is warm."""
        for pid in self._anew:
            with suppress(OSError):
                os.killpg(pid, signal.SIGKILL) if hasattr(os, "killpg") else os.kill(pid, 9)
        self._anew.clear()
        for end in reversed(self._ends):
            with suppress(OSError):
                end.close()
        self._ends = []
        if self._process:
            self._process.wait()
            self._process = None
        self._folder.cleanup()

    def manager(self) -> type[AsyncKernelManager]:
        """Return the class of managers whose kernels come from here."""
        kernels = self

        class Manager(AsyncKernelManager):
            """A manager of kernels of this run."""

            @default("ip")
            def _address(self) -> str:
                # Else local sockets lie where the kernel works, which is not where we are.
                return kernels.new_address() if self.transport == "ipc" else localhost()

            async def start_kernel(self, **options) -> None:
                """Start the kernel in a process from here."""
                named = {"kernel_id": self.kernel_id or "", "kernel_spec": self.kernel_spec}
                self.provisioner = Provisioner(parent=self, **named)
                self.provisioner.kernels = kernels
                await super().start_kernel(**options)

        return Manager


class Provisioner(LocalProvisioner):
    """Gives a kernel its process."""

    kernels: Kernels

    async def launch_kernel(self, cmd: list[str], **options) -> dict:
        """Fork the kernel, or start it anew where that is not possible."""
        if not CAN_FORK:
            variables = options.get("env") or dict(os.environ)
            options["env"] = variables | {"OMP_NUM_THREADS": str(self.kernels.threads)}
            found = await super().launch_kernel(cmd, **options)
            self.kernels.remember(self.process.pid)
            return found
        folder = str(options.get("cwd") or Path.cwd())
        variables = {
            k: v for k, v in (options.get("env") or os.environ).items() if k not in ONE_THREAD
        }
        self.process = self.kernels.fork(self.parent.connection_file, folder, variables)
        self.pid = self.pgid = self.process.pid
        self.cwd = folder
        return self.connection_info

    async def send_signal(self, signum: int) -> None:
        """Send a signal to the kernel and what it started.

        jupyter_client interrupts a kernel before it asks it to end. One that is idle does not
        expect that and reports an error, so it is only asked.
        """
        if signum == signal.SIGINT and self.parent.shutting_down:
            return
        await super().send_signal(signum)
