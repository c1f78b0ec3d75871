"""What librosa compiles on import is compiled before processes share it."""

import os
import signal
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import pytest

from musiclatent import numba_cache
from musiclatent.apps.running import notebooks
from musiclatent.data import cache
from musiclatent.features import rhythm

LIBROSA = Path(find_spec("librosa").origin).parent
ROOT = Path(__file__).resolve().parents[1]


def test_every_module_that_compiles_as_it_is_imported_is_named():
    compiling = {
        str(path.relative_to(LIBROSA).with_suffix("")).replace("/", ".")
        for path in LIBROSA.rglob("*.py")
        if "guvectorize(" in path.read_text()
    }
    assert set(numba_cache.MODULES) == compiling


def test_compiling_imports_them():
    code = (
        "import sys; from musiclatent import numba_cache; numba_cache.compile_librosa(); "
        "print(*(f'librosa.{m}' in sys.modules for m in numba_cache.MODULES))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.split() == ["True"] * len(numba_cache.MODULES), done.stderr


def test_the_setup_empties_the_cache_and_fills_it():
    setup = (ROOT / "Makefile").read_text().partition("$(READY): pyproject.toml")[2]
    setup = setup.partition("\n\n")[0]
    assert setup.index("-delete") < setup.index("-m musiclatent.numba_cache") < setup.index("touch")


class AskedError(Exception):
    """Raised in the place of compiling."""


START = {
    "cache": lambda folder: list(
        cache._Build(items=None, transform=None, folder=folder, n_jobs=2, scheduler=None).compute(
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
    with pytest.raises(AskedError):
        START[module](tmp_path)


LONG = """
import sys, time, joblib
from musiclatent import numba_cache
tasks = (numba_cache.delayed(time.sleep)(seconds) for seconds in (0.1, 0.1, 60, 60))
joblib.Parallel(2)(tasks)
"""


def _children(pid: int) -> list[int]:
    listed = subprocess.run(["ps", "-o", "pid=,args=", "--ppid", str(pid)], **OPTIONS)
    lines = [line for line in listed.stdout.splitlines() if "loky" in line]
    return [int(line.split()[0]) for line in lines]


OPTIONS = {"capture_output": True, "text": True, "check": False}


def _until(answer, seconds: float) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end and not answer():
        time.sleep(0.2)
    return bool(answer())


def _lives(pid: int) -> bool:
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], **OPTIONS).stdout.strip()
    return bool(state) and not state.startswith("Z")


@pytest.mark.skipif(os.name != "posix", reason="processes are listed by ps")
def test_workers_end_when_their_parent_is_killed():
    parent = subprocess.Popen([sys.executable, "-c", LONG])
    try:
        assert _until(lambda: len(_children(parent.pid)) >= 2, 60)
        children = _children(parent.pid)
        time.sleep(3)  # so that the first tasks have run in both
        parent.send_signal(signal.SIGKILL)
        parent.wait()
        assert _until(lambda: not any(map(_lives, children)), 20)
    finally:
        parent.kill()


def test_in_the_same_process_a_task_is_a_plain_call():
    function, arguments, options = numba_cache.delayed(divmod)(7, 2)
    assert function(*arguments, **options) == (3, 1)


@pytest.mark.skipif(os.name != "posix", reason="homes are chosen by HOME on posix")
def test_without_a_home_files_go_to_a_folder_of_ones_own(tmp_path):
    code = (
        "import os, musiclatent.config as c; "
        "print(*(os.environ.get(n, '') for n in ('IPYTHONDIR', 'MPLCONFIGDIR')), c.cache_home())"
    )
    free = {k: v for k, v in os.environ.items() if not k.startswith(("XDG", "MPL", "IPY", "JUP"))}
    environment = free | {"HOME": "/nonexistent", "TMPDIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, **OPTIONS)
    places = done.stdout.split()
    assert len(places) == 3 and all(place.startswith(str(tmp_path)) for place in places), done
    assert (tmp_path / f"musiclatent-{os.getuid()}").stat().st_mode & 0o077 == 0
