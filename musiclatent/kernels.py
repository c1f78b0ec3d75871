"""Kernels that notebooks run on: local sockets, and a client that misses no answer.

While nbclient waits for the answer of a cell it sends the state of an Output widget on the same
socket, past the event loop, and the loop may never hear that the answer is there: a notebook with
sliders then waits for ever (jupyter_client 8.10, nbclient 0.11; often where processors are busy).
Asking again every second finds what is there.
"""

import os
from queue import Empty

from jupyter_client import channels
from jupyter_client.asynchronous import AsyncKernelClient
from traitlets import Type
from traitlets.config import Config

ASK_S = 1.0
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
