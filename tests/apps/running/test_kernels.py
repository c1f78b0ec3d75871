"""Kernels forked from a warm process compute, and none outlives who started it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest

from musiclatent.apps.running import execution, kernels
from musiclatent.apps.running.kernels import Forked, Kernels
from musiclatent.config import Workspace

pytestmark = pytest.mark.skipif(not kernels.CAN_FORK, reason="kernels start anew here")
TRAINING = """
import torch
torch.manual_seed(0)
x = torch.randn(4096, 64)
net = torch.nn.Linear(64, 64)
optimizer = torch.optim.Adam(net.parameters(), 0.05)
first = last = None
for _ in range(50):
    optimizer.zero_grad()
    loss = ((net(x) - x) ** 2).mean()
    loss.backward(), optimizer.step()
    first, last = first or loss.item(), loss.item()
assert last < 0.5 * first, (first, last)
"""
THREADS = """
import threadpoolctl, os
pools = {pool["num_threads"] for pool in threadpoolctl.threadpool_info()}
assert torch.get_num_threads() == 2 and pools == {2} and os.environ["OMP_NUM_THREADS"] == "2"
"""
PLANE = """
import numpy as np
from musiclatent import numba_cache
numba_cache.read_umap()
from umap import UMAP
z = np.random.default_rng(0).normal(size=(30, 8))
assert np.isfinite(UMAP(n_neighbors=5, n_jobs=2).fit_transform(z)).all()
"""
WARM = """
import sys, os
assert {"torch", "umap", "matplotlib.pyplot"} <= set(sys.modules)
import matplotlib.pyplot as plt
plt.plot([1, 2]);
"""
LATE = """
import time, pathlib
for _ in range(1200):
    if pathlib.Path({go!r}).exists():
        break
    time.sleep(0.05)
"""
SLEEPER = """
import nbformat, pathlib, sys
from musiclatent.apps.running import execution, kernels
from musiclatent.config import Workspace
folder = pathlib.Path(sys.argv[1])
source = kernels.Kernels(["json"], 1)
space = Workspace(profile="tiny", study="waveform", results=str(folder / "results"))
execution.execute(folder / "sleep.ipynb", space, {}, kernels=source)
"""
CHECKOUT = Path(__file__).resolve().parents[3]


def _book(path, *cells):
    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    book.metadata["kernelspec"] = {"name": "python3", "display_name": "", "language": "python"}
    nbformat.write(book, path)
    return path


def test_training_and_umap_work_in_a_kernel_that_was_forked(tmp_path):
    book = _book(tmp_path / "a.ipynb", WARM, TRAINING, THREADS, PLANE)
    space = Workspace(profile="tiny", study="waveform", results=str(tmp_path / "results"))
    modules = ["torch._dynamo", "umap", "sklearn.cluster", "matplotlib.pyplot"]  # as Adam imports
    source = Kernels(modules, threads=2)
    try:
        assert execution.execute(book, space, {}, kernels=source) == ""
        again = _book(tmp_path / "b.ipynb", WARM, TRAINING)  # forked from the same process
        assert execution.execute(again, space, {}, kernels=source) == ""
    finally:
        source.close()
    done = nbformat.read(space.path("notebooks", "a.ipynb"), 4)
    assert any("image/png" in str(output) for output in done.cells[-4].outputs)


def test_a_kernel_that_is_asked_for_early_does_not_wait_for_what_others_need(tmp_path, monkeypatch):
    go = tmp_path / "go"
    (tmp_path / "early_part.py").touch()
    (tmp_path / "late_part.py").write_text(LATE.format(go=str(go)))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    space = Workspace(profile="tiny", study="waveform", results=str(tmp_path / "results"))
    first = "import sys, gc; assert 'early_part' in sys.modules and 'late_part' not in sys.modules"
    book = _book(tmp_path / "a.ipynb", first, "assert gc.isenabled()", f"open({str(go)!r}, 'w')")
    then = _book(tmp_path / "b.ipynb", "import sys; assert 'late_part' in sys.modules")
    source = Kernels(["late_part"], 1, first=["early_part"])
    try:
        assert execution.execute(book, space, {}, kernels=source) == ""
        assert execution.execute(then, space, {}, kernels=source) == ""
    finally:
        source.close()


@pytest.mark.parametrize("victim", ["runner", "warm"])
def test_no_kernel_outlives_who_started_it(tmp_path, victim):
    pids = tmp_path / "pids"
    told = f"import os, time; open({str(pids)!r}, 'w').write(f'{{os.getpid()}} {{os.getppid()}}')"
    _book(tmp_path / "sleep.ipynb", told, "while True: pass")
    runner = subprocess.Popen(
        [sys.executable, "-c", SLEEPER, str(tmp_path)], cwd=CHECKOUT, stderr=subprocess.DEVNULL
    )
    _until(lambda: pids.exists() and len(pids.read_text().split()) == 2, 60)
    kernel, warm = map(int, pids.read_text().split())
    os.kill({"runner": runner.pid, "warm": warm}[victim], signal.SIGKILL)
    runner.wait(60)
    _until(lambda: not _lives(kernel) and not _lives(warm), 20)


def _until(condition, seconds):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not come about in time"
        time.sleep(0.05)


def _lives(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def test_where_a_process_cannot_fork_kernels_start_anew(tmp_path, monkeypatch):
    monkeypatch.setattr(kernels, "CAN_FORK", False)
    told = "import os, sys; assert 'torch' not in sys.modules; print(os.environ['OMP_NUM_THREADS'])"
    book = _book(tmp_path / "a.ipynb", told)
    space = Workspace(profile="tiny", study="waveform", results=str(tmp_path / "results"))
    source = Kernels(["torch"], threads=3)
    try:
        assert execution.execute(book, space, {}, kernels=source) == ""
    finally:
        source.close()
    done = nbformat.read(space.path("notebooks", "a.ipynb"), 4)
    assert done.cells[-1].outputs[0].text.strip() == "3"


def test_a_process_of_others_is_watched_to_its_end():
    child = subprocess.Popen(["sleep", "100"])
    seen = Forked(child.pid)
    assert seen.poll() is None
    seen.terminate()
    assert seen.wait() == 0 and seen.poll() == 0
    child.wait()
    assert Forked(child.pid).poll() == 0


def test_a_kernel_with_one_core_starts_no_processes():
    code = (
        "import joblib; from musiclatent.apps.running import warm; warm.share(2); "
        "print(joblib.effective_n_jobs(2)); warm.share(1); print(joblib.effective_n_jobs(2))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.split() == ["2", "1"], done.stderr
