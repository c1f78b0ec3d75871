"""What librosa compiles on import is compiled before processes share it."""

import subprocess
import sys
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
