"""Write copies of the notebooks that run in Google Colab with nothing beside them."""

import base64
import os
import shutil
import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path
from string import Template

import nbformat

# What Colab has loaded already or ties to its front end: pip must leave these as they are.
_KEPT = ("numpy", "torch", "pandas", "scipy", "ipywidgets")
_NOTE = Template(
    "Run the next cell first: it installs musiclatent $version from the $kilobytes kB wheel inside "
    "it, and those of its dependencies that are missing here. $kept stay as they are."
)
_CELL = Template('''# @title Install musiclatent $version ($kilobytes kB, inside this cell)
import base64, importlib, os, pathlib, subprocess, sys, tempfile
from importlib import metadata
from packaging.requirements import Requirement

WHEEL = """
$wheel
"""

def version(name):
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None

def install(*args):
    command = [sys.executable, "-m", "pip", "install", "--quiet", *args]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr

os.environ["MUSICLATENT_HOME"] = os.getcwd()
folder = pathlib.Path(tempfile.mkdtemp())
(folder / "$name").write_bytes(base64.b64decode(WHEEL))
kept = {name: version(name) for name in $kept if version(name)}
(folder / "kept.txt").write_text("".join(f"{n}=={v}\\n" for n, v in kept.items()))
install("--no-deps", "--force-reinstall", str(folder / "$name"))
needed = [Requirement(r) for r in metadata.requires("musiclatent") if "extra ==" not in r]
missing = [f"{r.name}{r.specifier}" for r in needed
           if not version(r.name) or not r.specifier.contains(version(r.name), prereleases=True)]
if missing:
    install("--constraint", str(folder / "kept.txt"), *missing)
importlib.invalidate_caches()
changed = {n: f"{v} -> {version(n)}" for n, v in kept.items() if version(n) != v}
assert not changed, f"the installation changed {changed}: restart the runtime and tell us"
print("musiclatent $version, wheel of $kilobytes kB; installed beside it:", *missing or ["nothing"])
print("unchanged:", *(f"{n} {v}" for n, v in kept.items()))''')


def build(notebooks: Path, target: Path, project: Path) -> list[Path]:
    """Write copies of notebooks that carry the package's wheel in their first code cell.

    Parameters
    ----------
    notebooks
        Folder of the notebooks to copy.
    target
        Folder for the copies; made if it is missing.
    project
        The checkout, with ``pyproject.toml``; nothing is written there.

    Returns
    -------
    list of Path
        The copies, in the order of their names.

    Raises
    ------
    ValueError
        If there are no notebooks, or `project` is no checkout.
    RuntimeError
        If the wheel cannot be built.
    """
    paths = sorted(notebooks.glob("*.ipynb"))
    if not paths:
        raise ValueError(
            f"{notebooks} has no notebooks: name the folder that holds the .ipynb files"
        )
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        wheel = _wheel(project, Path(scratch))
        return [_copy(path, wheel, target / path.name) for path in paths]


def _wheel(project: Path, scratch: Path) -> Path:
    """Build the wheel from a copy of the sources, so that nothing is left in the checkout."""
    if not (project / "pyproject.toml").exists():
        raise ValueError(f"{project} has no pyproject.toml: run this in a checkout of musiclatent")
    source = scratch / "source"
    ignored = shutil.ignore_patterns("__pycache__", "*.pyc")
    shutil.copytree(project / "musiclatent", source / "musiclatent", ignore=ignored)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(project / name, source)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "-w", str(scratch)]
    same_bytes = {**os.environ, "SOURCE_DATE_EPOCH": "946684800"}
    for isolation in (["--no-build-isolation"], []):  # without network, or without setuptools
        done = subprocess.run(
            [*command, *isolation, str(source)], env=same_bytes, capture_output=True, text=True
        )
        if done.returncode == 0:
            return next(scratch.glob("*.whl"))
    reason = " ".join(done.stderr.strip().splitlines()[-1:])
    raise RuntimeError(f"cannot build the wheel of {project} ({reason}): pip install setuptools")


def _copy(path: Path, wheel: Path, target: Path) -> Path:
    """Write one notebook with the wheel put in after its title."""
    content = wheel.read_bytes()
    fields = {
        "version": wheel.name.split("-")[1],
        "kilobytes": str(round(len(content) / 1000)),
        "name": wheel.name,
    }
    encoded = textwrap.fill(base64.b64encode(content).decode(), 1000)
    code = _CELL.substitute(fields, kept=_KEPT, wheel=encoded)
    cells = [
        nbformat.v4.new_markdown_cell(_NOTE.substitute(fields, kept=", ".join(_KEPT))),
        nbformat.v4.new_code_cell(code, metadata={"cellView": "form"}),
    ]
    for cell, name in zip(cells, ("colab-note", "colab-install"), strict=True):
        cell["id"] = name  # nbformat draws it by chance
    book = nbformat.read(path, as_version=4)
    at = 1 if book.cells and book.cells[0].cell_type == "markdown" else 0
    book.cells[at:at] = cells
    part = target.with_suffix(".part")
    nbformat.write(book, part)
    return part.replace(target)
