"""Notebooks that run in Google Colab with nothing beside them, on one's own music too."""

import base64
import contextlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import textwrap
from importlib.util import find_spec
from pathlib import Path
from string import Template

import nbformat

from musiclatent.config import home
from musiclatent.data.folders import index
from musiclatent.files import pick, whole_file, write_file
from musiclatent.studies import STUDIES

# What Colab has loaded already, or its own server runs on: pip must leave these as they are.
_KEPT = (
    "numpy torch pandas scipy ipywidgets ipykernel ipython jupyter_client notebook pyzmq tornado "
    "traitlets"
)
_DRIVE = Path("/content/drive")
_NOTE = Template(
    "Run the next cell first: it installs musiclatent $version from the $kilobytes kB wheel inside "
    "it, and those of its dependencies that are missing here. What Colab itself runs on, numpy and "
    "torch among it, stays as it is."
)
_LABELS = (
    "\n\nThis notebook compares with labels, which a folder of your own does not have: it runs on "
    "the embedded corpus."
)
_CELL = Template('''# @title Install musiclatent $version ($kilobytes kB, inside this cell)
import base64, importlib, os, pathlib, subprocess, sys, tempfile
from importlib import metadata
from packaging.requirements import Requirement

WHEEL = """
$wheel
"""

KEPT = "$kept".split()

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
kept = {name: version(name) for name in KEPT if version(name)}
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
_DATA = Template("""# @title Your own music: upload files, or name a folder of your Drive
my_music = "demo"  # @param ["demo", "upload", "drive"]
drive_folder = "MyDrive/music"  # @param {type:"string"}
from musiclatent.apps import colab

$name = colab.$function(my_music, drive_folder) or $name""")


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
    """Write one notebook with the wheel put in after its title, and a form for the data."""
    content = wheel.read_bytes()
    fields = {
        "version": wheel.name.split("-")[1],
        "kilobytes": str(round(len(content) / 1000)),
        "name": wheel.name,
    }
    encoded = textwrap.fill(base64.b64encode(content).decode(), 1000)
    labels = any(path.stem in study.study_notebooks for study in STUDIES.values())
    note = _NOTE.substitute(fields) + _LABELS * labels
    book = nbformat.read(path, as_version=4)
    if not labels:
        _add_form(book)
    at = 1 if book.cells and book.cells[0].cell_type == "markdown" else 0
    book.cells[at:at] = [
        nbformat.v4.new_markdown_cell(note, id="colab-note"),  # nbformat draws an id by chance
        _form(_CELL.substitute(fields, kept=_KEPT, wheel=encoded), "colab-install"),
    ]
    with whole_file(target) as part:
        nbformat.write(book, part)
    return target


def _form(code: str, name: str) -> nbformat.NotebookNode:
    """Make a cell that Colab shows as a form, its code folded."""
    return nbformat.v4.new_code_cell(code, id=name, metadata={"cellView": "form"})


def _add_form(book: nbformat.NotebookNode) -> None:
    """Ask for the data after the parameters, where they name files or a corpus."""
    for at, cell in enumerate(book.cells):
        if "parameters" in cell.metadata.get("tags", ()):
            # A notebook of new music encodes what is given; the others take it for their corpus.
            for name, function in (("files", "own_files"), ("corpus", "own_music")):
                if re.search(rf"^{name} = ", cell.source, re.MULTILINE):
                    code = _DATA.substitute(name=name, function=function)
                    book.cells.insert(at + 1, _form(code, "colab-data"))
                    return


def own_music(data: str, drive_folder: str = "") -> str:
    """Fetch one's own music into Colab.

    Parameters
    ----------
    data
        ``demo``: none is wanted; ``upload``: Colab asks for files, which are added to the folder
        ``uploads``; ``drive``: Google Drive is mounted.
    drive_folder
        Folder of the Drive, such as ``MyDrive/music``.

    Returns
    -------
    str
        The folder, absolute; empty for ``demo``.

    Raises
    ------
    ValueError
        If `data` is none of the three, this is not Colab, no file was chosen, or the Drive has no
        such folder.
    """
    sources = {"demo": str, "upload": _upload, "drive": lambda: _mount(drive_folder)}
    fetch = pick(sources, data, "source of data")
    if data != "demo" and not (find_spec("google") and find_spec("google.colab")):
        raise ValueError(
            f'my_music = "{data}" needs Google Colab, and this is not: leave it at "demo" and set '
            "corpus to a folder"
        )
    return str(fetch())


def own_files(data: str, drive_folder: str = "") -> list[Path]:
    """Fetch one's own music into Colab, as a list of files.

    Parameters
    ----------
    data, drive_folder
        As in `own_music`.

    Returns
    -------
    list of Path
        The files, absolute; none for ``demo``.

    Raises
    ------
    ValueError
        As in `own_music`.
    CorpusError
        If the folder holds no music.
    """
    folder = own_music(data, drive_folder)
    return [Path(folder) / name for name in index(Path(folder))["item_id"]] if folder else []


def _upload() -> Path:
    """Ask for files and add them to the folder of uploads, under the last part of their names."""
    from google.colab import files

    folder = home() / "uploads"
    with tempfile.TemporaryDirectory() as scratch, contextlib.chdir(scratch):
        found = files.upload()  # writes a copy of its own where it stands
    for path, content in found.items():
        if name := re.split(r"[/\\]", path)[-1].lstrip("."):
            write_file(folder / name, content)
    if not folder.is_dir():
        raise ValueError("no file was chosen: run this cell again and choose audio files")
    return folder


def _mount(drive_folder: str) -> Path:
    """Mount Google Drive and find the folder."""
    from google.colab import drive

    drive.mount(str(_DRIVE))
    folder = _DRIVE / drive_folder
    if folder == _DRIVE or not folder.is_dir():
        raise ValueError(
            f"the Drive has no folder {drive_folder!r}: name one as it stands under {_DRIVE}, such "
            "as MyDrive/music"
        )
    return folder
