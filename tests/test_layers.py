"""Rooms import only rooms to their left, and inside a room there is no cycle."""

import ast
import importlib
import logging
import multiprocessing
import os
import signal
import subprocess
import sys
from collections import Counter
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[1]
PACKAGE = CHECKOUT / "musiclatent"
ROOMS = (
    "errors files config numba_cache experiments studies audio features analysis data models "
    "training latents evaluation edm display apps cli"
).split()
FOLDERS = [room for room in ROOMS if (PACKAGE / room).is_dir()]
SOURCES = sorted(PACKAGE.rglob("*.py"))
WITHOUT_TORCH = ("audio", "features", "analysis", "edm.selections", "display.results")
TORCH = {"torch", "pytorch_lightning", "captum", "auraloss", "pytorch_metric_learning"}
WIDGETS = {"ipywidgets", "anywidget"}


@cache
def _nodes(path: Path) -> list[ast.AST]:
    """Every node of a module."""
    return list(ast.walk(ast.parse(path.read_text())))


def _name(path: Path) -> str:
    """Name of a module below the package: ``data.cache``; a folder's own is the folder's."""
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts).removesuffix(".__init__")


NAMES = {_name(path): path for path in SOURCES}


def _imports(path: Path) -> set[str]:
    """Modules of the package that a module imports, also inside of functions."""
    names = set()
    for node in _nodes(path):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("musiclatent"):
            inner = node.module.removeprefix("musiclatent").removeprefix(".")
            for alias in node.names:
                full = f"{inner}.{alias.name}".removeprefix(".")
                names.add(full if full in NAMES else inner)
        if isinstance(node, ast.Import):
            names |= {
                alias.name.removeprefix("musiclatent.")
                for alias in node.names
                if alias.name.startswith("musiclatent.")
            }
    return names - {""}


def _external(path: Path) -> set[str]:
    """Libraries that a module imports."""
    names = set()
    for node in _nodes(path):
        if isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.split(".")[0])
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
    return names


def _room(name: str) -> str:
    return name.split(".")[0]


def test_a_room_imports_only_rooms_to_its_left():
    wrong = [
        f"{name} imports {other}, which stands right of it"
        for name, path in NAMES.items()
        if name not in ("__init__", "__main__")
        for other in _imports(path)
        if ROOMS.index(_room(other)) > ROOMS.index(_room(name))
    ]
    assert not wrong


@pytest.mark.parametrize("room", FOLDERS)
def test_no_cycle_inside_a_room(room):
    graph = {
        name: {other for other in _imports(path) if _room(other) == room and other != name}
        for name, path in NAMES.items()
        if _room(name) == room
    }
    TopologicalSorter(graph).prepare()  # raises CycleError with the circle in it


def test_a_room_has_at_most_twelve_modules():
    folders = Counter(path.parent for path in SOURCES if path.name != "__init__.py")
    del folders[PACKAGE]
    assert not {str(folder): count for folder, count in folders.items() if count > 12}


def test_the_doorstep_holds_at_most_nine_files():
    assert len(list(PACKAGE.glob("*.py"))) <= 9


def test_every_room_is_named_in_the_order():
    inside = {_room(name) for name in NAMES} - {"__init__", "__main__"}
    assert inside == set(ROOMS)


def test_modules_are_short():
    lines = {str(path): code_lines(path) for path in SOURCES}
    assert not {path: count for path, count in lines.items() if count > 250}


def code_lines(path: Path) -> int:
    """Count lines that are neither blank nor comment nor docstring."""
    docs, source = 0, path.read_text()
    for node in _nodes(path):
        if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Module):
            text = ast.get_docstring(node, clean=False) or ""
            docs += sum(bool(line.strip()) for line in text.split("\n"))
    return sum(bool(line.strip()) and line.strip()[0] != "#" for line in source.split("\n")) - docs


def test_models_never_see_paths():
    for path in (PACKAGE / "models").glob("*.py"):
        assert not _external(path) & {"pathlib", "os"}


def test_only_display_and_apps_see_widgets():
    others = [path for path in SOURCES if _room(_name(path)) not in ("display", "apps")]
    assert not [path for path in others if _external(path) & WIDGETS]


def _loaded(code: str) -> set[str]:
    """Libraries that a new interpreter has loaded after some code."""
    shown = f"{code}; import sys; print(*{{name.split('.')[0] for name in sys.modules}})"
    run = subprocess.run([sys.executable, "-c", shown], check=True, capture_output=True, text=True)
    return set(run.stdout.split())


def test_torch_stays_in_its_rooms():
    names = [
        name
        for name in NAMES
        if _room(name) in ("audio", "features", "analysis")
        or name in ("data.corpus", "display.results", "latents.store", "apps.dashboard")
    ]
    code = "import " + ", ".join(f"musiclatent.{name}" for name in names)
    # The dashboard's notebook begins with it, and each visitor has a kernel.
    code += "; from musiclatent.apps.session import open_study"
    code += "; open_study('66_edm_dashboard', 'edm', 'all', 'tiny')"
    assert not _loaded(code) & TORCH


def test_the_face_is_lazy():
    assert not _loaded("import musiclatent") & {"torch", "matplotlib", "librosa"}


def test_the_command_starts_without_torch():
    assert not _loaded("import musiclatent.cli") & {"torch", "matplotlib", "librosa"}


def test_importing_leaves_matplotlib_loggers_signals_and_environment_as_they_are():
    process = multiprocessing.get_context("fork").Process(target=_import_all_again)
    process.start()
    process.join()
    assert process.exitcode == 0


def _import_all_again() -> None:
    """Import our modules where libraries are loaded, which would take ten seconds."""
    import matplotlib
    import pytorch_lightning  # noqa: F401, it sets a level itself

    logger = logging.getLogger("pytorch_lightning.utilities.rank_zero")
    stops = (signal.SIGTERM, signal.SIGINT)

    def state() -> tuple:
        ours = {k: v for k, v in os.environ.items() if k.startswith(("MUSIC", "OMP", "MALLOC"))}
        handlers = [signal.getsignal(stop) for stop in stops]
        return dict(matplotlib.rcParams), logger.level, handlers, ours

    for name in [name for name in sys.modules if name.partition(".")[0] == "musiclatent"]:
        del sys.modules[name]
    matplotlib.rcdefaults()  # what an earlier test set would hide that we set the same
    matplotlib.use("agg")
    logger.setLevel(logging.NOTSET)
    for stop in stops:
        signal.signal(stop, signal.SIG_DFL)
    before = state()
    for name in set(NAMES) - {"__init__", "__main__"}:
        importlib.import_module(f"musiclatent.{name}")
    assert state() == before
    style = importlib.import_module("musiclatent.display.style")
    figure, _ = style.subplots()
    assert matplotlib.rcParams["figure.constrained_layout.use"] and figure.dpi == 90
