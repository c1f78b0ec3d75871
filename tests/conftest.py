"""Fixtures that several test files share."""

import gc
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # before torch is imported
# nbformat's jsonschema would compile grammars of web addresses for 2 s; no notebook has one.
sys.modules.setdefault("rfc3987_syntax", None)
gc.disable()  # until all is imported: nothing of that ever becomes garbage

CHECKOUT = Path(__file__).resolve().parents[1]
DATA = os.environ.get("MUSICLATENT_DATA")  # running a notebook sets it for the kernel

# Files that take longest begin first, so that no process is left alone with one of them.
LONG = """
    map_in_hosts notebooks encode fit cache kernels synthetic collection cli downstream
    corpus vae colab map_in_browser cross_validation voila run_folder linear_probes mixdown
    face numba_cache layers benchmarks supervised saliency musicnn onnx leakage compare
""".split()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    rank = {f"test_{name}": place for place, name in enumerate(LONG)}
    items.sort(key=lambda item: rank.get(item.path.stem, len(rank)))


# Files whose pages Chromium shows go to one process, since each starts a Chromium of its own.
SHOWN = "map_in_hosts map_in_browser map_page linked_maps listening_test server".split()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> object | None:
    if config.getvalue("dist") != "loadfile":
        return None
    from xdist.scheduler import LoadFileScheduling

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = super()._split_scope(nodeid)
            return "shown" if Path(file).stem.removeprefix("test_") in SHOWN else file

    return Scheduling(config, log)


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.set_threshold(10_000, 10, 20)  # to look at this many objects takes a second in all, not ten
    gc.enable()


@pytest.fixture(scope="session")
def data_root() -> Path:
    if not DATA:
        pytest.skip("set MUSICLATENT_DATA to the folder of the real datasets to run this test")
    return (CHECKOUT / DATA).resolve()


@pytest.fixture(autouse=True)
def one_thread():
    """Let torch work on one thread: on tensors this small, threads wait for each other."""
    import torch  # not where tests are only handed out

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def one_process():
    """Do here what processes would do that import for seconds first."""
    import joblib

    with joblib.parallel_config("sequential"):
        yield


@pytest.fixture(scope="session")
def rendered(tmp_path_factory) -> Callable[[str, Path], Path]:
    """Put an embedded corpus of the profile tiny into a folder; it is rendered once for all."""
    base = tmp_path_factory.getbasetemp()
    shared = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "rendered"

    def put(kind: str, folder: Path) -> Path:
        from musiclatent.config import PROFILES
        from musiclatent.data import synthetic

        synthetic.render(kind, PROFILES["tiny"].demo, shared / kind, n_jobs=1)
        return shutil.copytree(shared / kind, folder, dirs_exist_ok=True)

    return put


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture(scope="module")
def driver(chromium):
    """Headless Chromium; each test opens its own page, and none goes on in the background."""
    yield chromium
    chromium.get("about:blank")


@pytest.fixture(scope="session")
def chromium(tmp_path_factory):
    """One Chromium for all tests of a process."""
    from helpers import browser

    if reason := browser.lacking():
        pytest.skip(reason)
    with browser.chromium(tmp_path_factory.mktemp("chromium")) as driver:
        yield driver
