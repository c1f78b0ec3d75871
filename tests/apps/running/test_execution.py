"""A notebook comes to its end, with many sliders, without memory, and with an error."""

import asyncio
from queue import Empty

import nbformat
import papermill
import pytest
import zmq.asyncio
from jupyter_client.session import Session

from musiclatent.apps.running import execution
from musiclatent.apps.running.kernels import Kernels
from musiclatent.config import Workspace

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
        source, done, cwd=tmp_path, progress_bar=False, config=execution.options(),
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
            await execution.AskingChannel(ends[1], Session()).get_msg(timeout)
        finally:
            context.destroy(linger=0)

    with pytest.raises(Empty):
        asyncio.run(asyncio.wait_for(wait(), 5))


@pytest.fixture
def run(tmp_path):
    """Run cells in a kernel; give what went wrong, and the notebook that is left."""
    space = Workspace(profile="tiny", study="waveform", results=str(tmp_path / "results"))
    kernels = Kernels([], threads=1)

    def execute(*cells):
        book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in cells])
        book.metadata["kernelspec"] = {"name": "python3", "display_name": "", "language": "python"}
        nbformat.write(book, tmp_path / "one.ipynb")
        problem = execution.execute(tmp_path / "one.ipynb", space, {}, kernels=kernels)
        name = "failed-one.ipynb" if problem else "one.ipynb"
        return problem, nbformat.read(space.path("notebooks", name), 4)

    yield execute
    kernels.close()


def test_a_notebook_works_in_its_folder_and_leaves_what_it_said(run, tmp_path):
    problem, book = run("import os", "print(os.getcwd())")
    assert problem == ""
    assert book.cells[-1].outputs[0].text.strip().endswith("tiny/waveform/notebooks")
    assert not list((tmp_path / "results").rglob(".running*"))


def test_what_fails_is_one_sentence_with_the_cell_and_the_file(run):
    problem, _ = run("1", "raise ValueError('a\\nb.')")
    assert problem.startswith("failed in cell 2: ValueError: a b; see /")
    assert problem.endswith("failed-one.ipynb")


def test_a_kernel_that_dies_is_told_of_in_one_sentence(run):
    problem, _ = run("1", "import os; os._exit(1)")
    assert problem.startswith("failed: its process ended") and "\n" not in problem
