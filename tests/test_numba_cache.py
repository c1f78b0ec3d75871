"""What librosa compiles on import is compiled before processes share it."""

import os
import subprocess
import sys
import time
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import psutil
import pytest

from musiclatent import numba_cache
from musiclatent.analysis import projection
from musiclatent.apps.running import kernels, notebooks
from musiclatent.data.cache import _Build
from musiclatent.features import rhythm

LIBROSA = Path(find_spec("librosa").origin).parent
ROOT = Path(__file__).resolve().parents[1]


def test_every_module_of_ours_that_compiles_as_it_is_imported_is_named():
    compiling = {
        str(path.relative_to(LIBROSA).with_suffix("")).replace("/", ".")
        for path in LIBROSA.rglob("*.py")
        if "guvectorize(" in path.read_text()
    }
    # It compiles for 2.5 s in every process, for numba keeps nothing of it.
    assert set(numba_cache.MODULES) == compiling - {"beat"}
    ours = [*(ROOT / "musiclatent").rglob("*.py"), *(ROOT / "notebooks").glob("*.ipynb")]
    assert not [path.name for path in ours if "librosa.beat" in path.read_text()]


def test_compiling_imports_them():
    assert other_process()[0] == ["True"] * len(numba_cache.MODULES)


def test_the_setup_empties_the_cache_and_fills_it():
    setup = (ROOT / "Makefile").read_text().partition("$(READY): pyproject.toml")[2]
    setup = setup.partition("\n\n")[0]
    assert setup.index("-delete") < setup.index("-m musiclatent.numba_cache") < setup.index("touch")


class AskedError(Exception):
    """Raised in the place of compiling."""


START = {
    "cache": lambda folder: list(
        _Build(items=None, transform=None, folder=folder, n_jobs=2, scheduler=None).compute(
            [None], set()
        )
    ),
    "rhythm": lambda folder: rhythm.analyse_tracks(["a.wav"], folder),
    "reproduce": lambda folder: notebooks.reproduce("edm", profile="tiny", results=str(folder)),
}


@pytest.mark.parametrize("module", START)
def test_processes_start_after_compiling(module, tmp_path, monkeypatch):
    def asked():
        raise AskedError

    monkeypatch.setattr(numba_cache, "compile_librosa", asked)
    monkeypatch.setattr(kernels, "CAN_FORK", False)  # a fork inherits what one process compiled
    with pytest.raises(AskedError):
        START[module](tmp_path)


LONG = """
import sys, time, joblib
from pathlib import Path
from musiclatent import numba_cache

def named(folder, name):
    Path(folder, name).touch()
    time.sleep(90)

joblib.Parallel(2)(numba_cache.delayed(named)(sys.argv[1], name) for name in "ab")
"""


def _workers(pid: int) -> list[psutil.Process]:
    return [c for c in psutil.Process(pid).children() if "popen_loky" in " ".join(c.cmdline())]


def _until(answer, seconds: float) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end and not answer():
        time.sleep(0.2)
    return bool(answer())


def _lives(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.mark.skipif(os.name != "posix", reason="an orphan gets a new parent on POSIX only")
def test_workers_end_when_their_parent_is_killed(tmp_path):
    parent = subprocess.Popen([sys.executable, "-c", LONG, str(tmp_path)])
    try:
        assert _until(lambda: len(list(tmp_path.iterdir())) == 2, 80)
        workers = _workers(parent.pid)
        assert len(workers) == 2
        parent.kill()
        parent.wait()
        assert _until(lambda: not any(map(_lives, workers)), 30)
    finally:
        parent.kill()


def test_in_the_same_process_a_task_is_a_plain_call():
    function, arguments, options = numba_cache.delayed(divmod)(7, 2)
    assert function(*arguments, **options) == (3, 1)


USES = """
import sys
import numpy as np
from musiclatent import numba_cache

numba_cache.compile_librosa()
print(*(f"librosa.{m}" in sys.modules for m in numba_cache.MODULES))

from umap import layouts, umap_
from musiclatent.analysis import projection

z = np.random.default_rng(0).normal(size=(60, 5))
points = projection.umap(z, fit_on=np.arange(60) < 50).points
for module, names in numba_cache.UMAP.items():
    for name in names:
        stats = getattr({"layouts": layouts, "umap_": umap_}[module], name).stats
        assert sum(stats.cache_hits.values()) and not stats.cache_misses, (name, stats)
print(points.sum())
"""


@cache
def other_process() -> tuple[list[str], list[str]]:
    """What another process has imported to compile, and the sum of a plane that it made."""
    numba_cache.read_umap()
    done = subprocess.run([sys.executable, "-c", USES], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    imported, points = done.stdout.splitlines()
    return imported.split(), points.split()


def test_umap_is_compiled_once_for_all_processes():
    z = np.random.default_rng(0).normal(size=(60, 5))
    points = projection.umap(z, fit_on=np.arange(60) < 50).points
    assert other_process()[1] == [str(points.sum())]


def test_umap_works_where_no_cache_can_be_written(rng, monkeypatch):
    def refused(self):
        raise RuntimeError("cannot cache function: no locator available")

    monkeypatch.setattr("numba.core.dispatcher.Dispatcher.enable_caching", refused)
    numba_cache.read_umap.cache_clear()
    assert np.isfinite(projection.umap(rng.normal(size=(30, 4))).points).all()


def _halve(x, n):
    for i in range(n):
        x[i] /= 2


def test_a_function_of_ours_becomes_machine_code_also_where_none_can_be_kept(monkeypatch, tmp_path):
    for _ in range(2):
        x = np.arange(4.0)
        numba_cache.compiled.cache_clear()
        numba_cache.compiled(_halve, "void(f8[::1], i8)")(x, 3)
        assert x.tolist() == [0, 0.5, 1, 3]
        monkeypatch.setattr("numba.core.caching.FunctionCache.save_overload", _full)


def _full(*_: object) -> None:
    raise OSError("no space left")
