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
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import nbformat

from musiclatent import config
from musiclatent.data import folders
from musiclatent.display import map_html
from musiclatent.files import pick, whole_file, write_file
from musiclatent.studies import STUDIES

# What Colab has loaded already, or its own server runs on: pip must leave these as they are.
_KEPT = """numpy torch pandas scipy ipywidgets ipykernel ipython jupyter_client notebook pyzmq
tornado traitlets"""
_DRIVE = Path("/content/drive")
# What runs with nothing trained carries those weights that keep it small enough to upload.
_STARTS_AT_ONCE = "00_quickstart"
_SMALL = ("waveform-64", "mel-crnn-6", "genre-joint")


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
        raise ValueError(f"{notebooks} has no notebooks: name the folder with the .ipynb files")
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        plain = _wheel(project, Path(scratch) / "plain")
        whole = plain
        if any(path.stem == _STARTS_AT_ONCE for path in paths):
            whole = _wheel(project, Path(scratch) / "whole", weights=_SMALL)
        return [
            _copy(path, whole if path.stem == _STARTS_AT_ONCE else plain, target / path.name)
            for path in paths
        ]


def _wheel(project: Path, scratch: Path, weights: Sequence[str] = ()) -> Path:
    """Build the wheel from a copy of the sources, with some of the weights.

    Nothing is left in the checkout.
    """
    if not (project / "pyproject.toml").exists():
        raise ValueError(f"{project} has no pyproject.toml: run this in a checkout of musiclatent")
    source = scratch / "source"
    ignored = shutil.ignore_patterns("__pycache__", "*.pyc", "weights")
    shutil.copytree(project / "musiclatent", source / "musiclatent", ignore=ignored)
    for name in weights:
        if (kept := project / "musiclatent" / "weights" / name).is_dir():
            shutil.copytree(kept, source / "musiclatent" / "weights" / name)
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
    fields = {"version": wheel.name.split("-")[1], "kilobytes": round(len(content) / 1000)}
    encoded = textwrap.fill(base64.b64encode(content).decode(), 1000)
    labels = any(path.stem in study.study_notebooks for study in STUDIES.values())
    note = map_html.render("colab_note.md.j2", labels=labels, **fields)
    install = {"name": wheel.name, "kept": " ".join(_KEPT.split()), "wheel": encoded}
    install = map_html.render("colab_install.py.j2", **fields, **install)
    book = nbformat.read(path, as_version=4)
    if not labels:
        _add_form(book)
    at = 1 if book.cells and book.cells[0].cell_type == "markdown" else 0
    book.cells[at:at] = [
        nbformat.v4.new_markdown_cell(note, id="colab-note"),  # nbformat draws an id by chance
        _form(install, "colab-install"),
    ]
    with whole_file(target) as part:
        nbformat.write(book, part)
    return target


def _form(code: str, name: str) -> nbformat.NotebookNode:
    """Return a cell that Colab shows as a form, its code folded."""
    return nbformat.v4.new_code_cell(code, id=name, metadata={"cellView": "form"})


def _add_form(book: nbformat.NotebookNode) -> None:
    """Add a form for the data after the parameters, where they name files or a corpus."""
    for at, cell in enumerate(book.cells):
        if "parameters" in cell.metadata.get("tags", ()):
            # A notebook of new music encodes what is given; the others take it for their corpus.
            for name, function in (("files", "own_files"), ("corpus", "own_music")):
                if re.search(rf"^{name} = ", cell.source, re.MULTILINE):
                    code = map_html.render("colab_data.py.j2", name=name, function=function)
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
    pick(dict.fromkeys(("demo", "upload", "drive")), data, "source of data")
    if data == "demo":
        return ""
    if not (find_spec("google") and find_spec("google.colab")):
        raise ValueError(
            f'my_music = "{data}" needs Google Colab, and this is not: leave it at "demo" and set '
            "corpus to a folder"
        )
    return str(_upload() if data == "upload" else _mount(drive_folder))


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
    return (
        [Path(folder) / name for name in folders.index(Path(folder))["item_id"]] if folder else []
    )


def _upload() -> Path:
    """Request files and add them to the folder of uploads, under the last part of their names."""
    from google.colab import files

    folder = config.home() / "uploads"
    with tempfile.TemporaryDirectory() as scratch, contextlib.chdir(scratch):
        uploads = files.upload()  # writes a copy of its own where it stands
    for path, content in uploads.items():
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
