"""Run one notebook by papermill, on a kernel of the run.

Kernels listen on local sockets, by a client that misses no answer. While nbclient waits for the
answer of a cell it sends the state of an Output widget on the same socket, past the event loop, and
the loop may never hear that the answer is there: a notebook with sliders then waits for ever
(jupyter_client 8.10, nbclient 0.11; often where processors are busy). Asking again every second
finds what is there.
"""

import logging
import os
from pathlib import Path
from queue import Empty

import papermill
from jupyter_client import channels
from jupyter_client.asynchronous import AsyncKernelClient
from nbclient.exceptions import DeadKernelError
from papermill.exceptions import PapermillExecutionError
from traitlets import Type
from traitlets.config import Config

from musiclatent.apps.running.kernels import Kernels
from musiclatent.config import Workspace
from musiclatent.errors import one_line

ASK_S = 1.0
START_S = 600  # a kernel that starts anew where processors are busy takes its time
# jupyter_client 7, which Colab's server runs on, has one asynchronous class under the other name.
_Channel = getattr(channels, "AsyncZMQSocketChannel", channels.ZMQSocketChannel)


class AskingChannel(_Channel):
    """A channel that looks at its socket every second while it waits."""

    async def get_msg(self, timeout: float | None = None) -> dict:
        """Wait for a message, `timeout` seconds at most; None waits for as long as it takes.

        Raises
        ------
        Empty
            If none came in time.
        """
        left = float("inf") if timeout is None else timeout
        while left > ASK_S:
            try:
                return await super().get_msg(ASK_S)
            except Empty:
                left -= ASK_S
        return await super().get_msg(left)


class AskingClient(AsyncKernelClient):
    """A client whose answers come over an `AskingChannel`."""

    shell_channel_class = Type(AskingChannel)


def options() -> Config:
    """Return what papermill passes on to the manager of the kernel."""
    manager = {"client_class": f"{__name__}.{AskingClient.__name__}"}
    # Local sockets: a kernel on TCP warns that its traffic is in plain text.
    manager |= {"transport": "ipc"} if os.name == "posix" else {}
    return Config({"KernelManager": manager})


def execute(source: Path, space: Workspace, parameters: dict[str, str], *, kernels: Kernels) -> str:
    """Run one notebook into the study's results.

    Parameters
    ----------
    source
        The notebook.
    space
        Where its results go.
    parameters
        Values for its parameters cell.
    kernels
        Where its kernel comes from.

    Returns
    -------
    str
        What went wrong in one sentence, or nothing.
    """
    folder = space.make("notebooks")
    running, failed = folder / f".running-{source.name}", folder / f"failed-{source.name}"
    logging.getLogger("papermill").setLevel(logging.CRITICAL)  # what fails is told below
    run = {"kernel_name": "python3", "progress_bar": False, "start_timeout": START_S}
    # Not `cwd`, which papermill makes the folder of the whole process.
    run |= {"resources": {"metadata": {"path": str(folder)}}}
    run |= {"kernel_manager_class": kernels.manager(), "config": options()}
    try:
        papermill.execute_notebook(source, running, parameters, **run)
    except PapermillExecutionError as error:
        os.replace(running, failed)
        what = one_line(f"{error.ename}: {error.evalue}")
        return f"failed in cell {error.exec_count}: {what}; see {failed}"
    except DeadKernelError:
        os.replace(running, failed)
        return f"failed: its process ended, perhaps for want of memory; see {failed}"
    os.replace(running, folder / source.name)
    failed.unlink(missing_ok=True)
    return ""
