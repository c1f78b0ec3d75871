"""A notebook with many sliders comes to its end."""

import asyncio
from queue import Empty

import nbformat
import papermill
import pytest
import zmq.asyncio
from jupyter_client.session import Session

from musiclatent import kernels

SLIDERS = 25  # without asking again, nbclient waited for ever at one of the first 30 or so


def test_a_notebook_with_sliders_does_not_wait_for_an_answer_that_is_there(tmp_path):
    cells = [
        "from ipywidgets import interact",
        *["interact(lambda a: print(a), a=(0, 3));"] * SLIDERS,
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in cells])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "", "language": "python"}
    source, done = tmp_path / "sliders.ipynb", tmp_path / "done.ipynb"
    nbformat.write(notebook, source)
    papermill.execute_notebook(
        source, done, cwd=tmp_path, progress_bar=False, config=kernels.options(),
        execution_timeout=60,
    )  # fmt: skip
    found = [cell.metadata.papermill for cell in nbformat.read(done, 4).cells]
    assert [cell.status for cell in found] == ["completed"] * (SLIDERS + 1)
    assert max(cell.duration for cell in found) < 30  # an answer that is missed takes 60


@pytest.mark.parametrize("timeout", [0.01, 1.2])
def test_a_channel_without_a_message_says_so_in_time(timeout):
    async def wait():
        context = zmq.asyncio.Context()
        ends = [context.socket(zmq.PAIR) for _ in range(2)]
        ends[0].bind("inproc://quiet"), ends[1].connect("inproc://quiet")
        try:
            await kernels.AskingChannel(ends[1], Session()).get_msg(timeout)
        finally:
            context.destroy(linger=0)

    with pytest.raises(Empty):
        asyncio.run(asyncio.wait_for(wait(), 5))
