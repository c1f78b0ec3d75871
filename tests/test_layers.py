"""Modules import only what stands left of them in the design."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "musiclatent"
ORDER = (
    "errors files "
    "config compiled experiments studies decoders audio excerpts fingerprint demo archives fetch "
    "splits tables datasets shards cache corpora yardsticks coding phases stfts spectrograms "
    "attributes mel_attributes harmony clipping sections keys rhythm structure atoms neighbours "
    "versions datamodules models runs pretrained trainers supervised training latents resynthesis "
    "rebuilt judges clustering soft music_types views cleaning calibration classifiers "
    "attribute_protocols projection protocols probes heldout networks saliency repetitions "
    "embeddings explain generation playlists mixing mixdown projector dance style plots "
    "genre_plots dance_plots newmusic classify listening fair uses voices pages explorer raters session "
    "report stamps kernels reproduce serving colab cli"
).split()
SOURCES = sorted(PACKAGE.rglob("*.py"))


def _layer(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def _imports(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if (
            isinstance(node, ast.ImportFrom)
            and node.module
            and node.module.startswith("musiclatent")
        ):
            inner = node.module.split(".")[1:]
            names |= {inner[0]} if inner else {alias.name for alias in node.names}
        if isinstance(node, ast.Import):
            names |= {a.name.split(".")[1] for a in node.names if a.name.startswith("musiclatent.")}
    return names - {"__version__"}


def _external(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.split(".")[0])
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
    return names


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_imports_point_left(path):
    layer = _layer(path)
    if layer in ("__init__", "__main__"):
        return
    right = {name for name in _imports(path) if ORDER.index(name) > ORDER.index(layer)}
    assert not right, f"{path.name} imports {right}, which stand right of it"


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_only_the_models_side_knows_torch_and_only_the_explorer_widgets(path):
    torch_side = {
        *("datamodules", "models", "runs", "training", "judges", "latents", "resynthesis"),
        *("rebuilt", "trainers", "supervised", "networks", "saliency", "pretrained", "fair"),
        "listening",
    }
    if _layer(path) not in torch_side:
        assert not _external(path) & {"torch", "pytorch_lightning", "captum"}
    if _layer(path) != "explorer":
        assert not _external(path) & {"ipywidgets", "anywidget"}


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: str(p.relative_to(PACKAGE)))
def test_modules_are_short(path):
    source = path.read_text()
    docs = 0
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.Module) and ast.get_docstring(
            node
        ):
            text = ast.get_docstring(node, clean=False)
            docs += sum(bool(line.strip()) for line in text.split("\n"))
    code = [line for line in source.split("\n") if line.strip() and line.strip()[0] != "#"]
    assert len(code) - docs <= 250


def test_models_never_see_paths():
    for path in (PACKAGE / "models").glob("*.py"):
        assert not _external(path) & {"pathlib", "os"}
        assert "corpora" not in _imports(path)


def test_importing_the_package_and_its_left_half_imports_no_torch():
    code = (
        "import sys, musiclatent, musiclatent.corpora, musiclatent.cache, musiclatent.cli; "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_importing_leaves_matplotlib_loggers_signals_and_environment_as_they_are():
    code = """
import logging, os, signal
import matplotlib, pytorch_lightning
def state():
    name = "pytorch_lightning.utilities.rank_zero"
    handlers = [signal.getsignal(s) for s in (signal.SIGTERM, signal.SIGINT)]
    ours = {k: v for k, v in os.environ.items() if k.startswith(("MUSIC", "OMP", "MALLOC"))}
    return dict(matplotlib.rcParams), logging.getLogger(name).level, handlers, ours
before = state()
from musiclatent import cli, dance_plots, genre_plots, plots, reproduce, serving, style, trainers
assert state() == before
figure, _ = style.subplots()
assert matplotlib.rcParams["figure.constrained_layout.use"] and figure.dpi == 90
"""
    environment = os.environ | {"MPLBACKEND": "agg"}
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)
