"""Fixtures that several test files share."""

import gc
import os
import sys
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
LONG = ("test_console", "test_kernels", "test_tasks", "test_map_in_hosts", "test_torch_files")
LONG += ("test_notebooks", "test_encode", "test_cli", "test_cache", "test_shipping")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.path.stem not in LONG)


def pytest_collection_finish() -> None:
    gc.freeze()
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


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture(scope="session")
def driver(tmp_path_factory):
    """Headless Chromium, one for all tests; each test opens its own page."""
    from helpers import browser

    if reason := browser.lacking():
        pytest.skip(reason)
    with browser.chromium(tmp_path_factory.mktemp("chromium")) as driver:
        yield driver
