"""Notebooks that carry the wheel; their install cell runs against a pip that only takes notes.

The real pip must never run here: the cell would put the wheel in place of the editable checkout.
"""

import ast
import base64
import io
import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
import types
import zipfile
from pathlib import Path

import nbformat
import numpy as np
import pytest
import soundfile
from packaging.requirements import Requirement

from musiclatent import __version__
from musiclatent.apps import colab
from musiclatent.apps.colab import build, own_files, own_music
from musiclatent.apps.running import imports
from musiclatent.studies import STUDIES

CHECKOUT = Path(__file__).resolve().parents[2]
NOTING_PYTHON = """import json, os, sys
from pathlib import Path
kept = [Path(a).read_text() for a in sys.argv if a.endswith("kept.txt")]
wheels = [a for a in sys.argv if a.endswith(".whl") and Path(a).exists()]
with open(os.environ["NOTED"], "a") as file:
    file.write(json.dumps([sys.argv[1:], wheels, kept]) + "\\n")
sys.exit(os.environ.get("PIP_FAILS") or 0)
"""
# googlecolab/backend-info, June 2026: the part that our dependencies touch
COLAB = dict(
    line.split("==")
    for line in "numpy==2.0.2 pandas==2.2.2 torch==2.11.0 scipy==1.16.3 ipywidgets==7.7.1 "
    "jupyter_client==7.4.9 traitlets==5.7.1 anywidget==0.9.21 librosa==0.11.0 pyarrow==18.1.0 "
    "scikit-learn==1.6.1 matplotlib==3.10.0 nbformat==5.10.4 tensorboard==2.20.0".split()
)
OTHERS = {
    "03_latent_clustering": 'corpus = ""',
    "04_encode_new_music": 'corpus = ""\nfiles = []',
    "51_genre_descriptors": 'corpus = ""\ngenres = []',
}


def notebook(path, *cells):
    book = nbformat.v4.new_notebook(cells=list(cells))
    book.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
    nbformat.write(book, path)


@pytest.fixture(scope="module")
def everything(tmp_path_factory):
    folder = tmp_path_factory.mktemp("colab")
    (folder / "notebooks").mkdir()
    markdown, code = nbformat.v4.new_markdown_cell, nbformat.v4.new_code_cell
    parameters = code("profile = 'demo'", metadata={"tags": ["parameters"]})
    notebook(folder / "notebooks" / "00_quickstart.ipynb", code("x = 0"))
    notebook(folder / "notebooks" / "01_a.ipynb", markdown("# Title"), parameters, code("x = 1"))
    notebook(folder / "notebooks" / "02_b.ipynb", code("x = 2"))
    for name, source in OTHERS.items():
        parameters = code(source, metadata={"tags": ["parameters"]})
        notebook(folder / "notebooks" / f"{name}.ipynb", markdown("# T"), parameters, code("x = 1"))
    traces = ("build", "musiclatent.egg-info")
    before = {name: _times(CHECKOUT / name) for name in traces}
    paths = build(folder / "notebooks", folder / "out", CHECKOUT)
    assert {name: _times(CHECKOUT / name) for name in traces} == before
    assert sorted(p.name for p in (folder / "out").iterdir()) == [p.name for p in paths]
    return paths


@pytest.fixture(scope="module")
def built(everything):
    """The notebooks that carry no weights."""
    return everything[1:]


def _times(folder):
    return {p: p.stat().st_mtime_ns for p in [folder, *folder.rglob("*")] if p.exists()}


def _install_cell(path):
    return next(c for c in nbformat.read(path, as_version=4).cells if "WHEEL" in c.source)


def _wheel(path):
    text = re.search(r'WHEEL = """(.*?)"""', _install_cell(path).source, re.DOTALL)[1]
    return base64.b64decode(text)


def test_the_cells_stand_after_the_title_and_the_rest_is_unchanged(built):
    assert [p.stem for p in built] == ["01_a", "02_b", *OTHERS]
    first, second = (nbformat.read(path, as_version=4) for path in built[:2])
    nbformat.validate(first)
    assert [c.source.split("\n")[0][:30] for c in first.cells] == [
        "# Title",
        "Run the next cell first: it in",
        "# @title Install musiclatent 0",
        "profile = 'demo'",
        "x = 1",
    ]
    assert first.cells[3].metadata.tags == ["parameters"]
    assert first.cells[2].metadata.cellView == "form"
    assert [c.source for c in second.cells[2:]] == ["x = 2"]
    assert first.metadata.kernelspec.name == "python3"


def test_the_wheel_is_small_whole_and_of_the_stated_size(built):
    wheel = _wheel(built[0])
    assert len(wheel) < 820_000  # four thirds of it in a notebook: the README says 1.1 MB
    for cell in nbformat.read(built[0], as_version=4).cells[1:3]:
        assert f"{round(len(wheel) / 1000)} kB" in cell.source
    with zipfile.ZipFile(io.BytesIO(wheel)) as bundle:
        assert bundle.testzip() is None
        names = bundle.namelist()
    assert "musiclatent/config.py" in names
    files = [
        p for p in CHECKOUT.glob("musiclatent/**/*") if p.suffix in (".py", *imports.RESOURCES)
    ]
    wanted = {p.relative_to(CHECKOUT).as_posix() for p in files}
    assert wanted <= set(names)
    assert not [n for n in names if "tests/" in n or n.endswith((".pyc", ".ipynb"))]


def test_what_starts_at_once_carries_the_small_weights_and_no_others_do(everything):
    path, *others = everything
    assert path.name == "00_quickstart.ipynb" and path.stat().st_size <= 8e6
    weights = {}
    for name, bundle in {"first": _wheel(path), "other": _wheel(others[0])}.items():
        with zipfile.ZipFile(io.BytesIO(bundle)) as content:
            weights[name] = {n.split("/")[2] for n in content.namelist() if "/weights/" in n}
    there = {folder.name for folder in (CHECKOUT / "musiclatent" / "weights").glob("*/")}
    assert weights == {"first": there & set(colab._SMALL), "other": set()}


def test_the_install_cell_is_short_and_plain_python(built):
    source = _install_cell(built[0]).source
    ast.parse(source)
    lines = re.sub(r'WHEEL = """.*?"""', "", source, flags=re.DOTALL).splitlines()
    assert len(lines) < 50
    assert max(map(len, lines)) <= 120


def _cells(path):
    return [cell.source for cell in nbformat.read(path, as_version=4).cells]


def test_a_form_for_the_data_stands_after_the_parameters(built):
    analyse, new_music, genre = (_cells(path) for path in built[2:])
    assert [len(cells) for cells in (analyse, new_music, genre)] == [6, 6, 5]
    for cells in (analyse, new_music):
        assert cells[3].startswith("corpus")
        ast.parse(cells[4])
        assert 'my_music = "demo"  # @param ["demo", "upload", "drive"]\n' in cells[4]
        assert 'drive_folder = "MyDrive/music"  # @param {type:"string"}\n' in cells[4]
        assert len(cells[4].splitlines()) < 8 and "labels" not in cells[1]
    assert analyse[4].endswith("corpus = colab.own_music(my_music, drive_folder) or corpus")
    assert new_music[4].endswith("files = colab.own_files(my_music, drive_folder) or files")
    assert "a folder of your own does not have" in genre[1]
    cell = nbformat.read(built[2], as_version=4).cells[4]
    assert (cell.id, cell.metadata.cellView) == ("colab-data", "form")


def test_every_notebook_of_ours_asks_for_data_or_says_that_it_needs_labels():
    needing = {name for study in STUDIES.values() for name in study.study_notebooks}
    paths = sorted((CHECKOUT / "notebooks").glob("*.ipynb"))
    for path in paths:
        book = nbformat.read(path, as_version=4)
        before = len(book.cells)
        colab._add_form(book)
        assert len(book.cells) == before + 1, f"{path.name} has no parameter corpus"
        assert "parameters" in book.cells[1].metadata.tags and book.cells[2].id == "colab-data"
    assert needing <= {path.stem for path in paths}


def test_demo_leaves_the_corpus_as_it_is(built):
    given = {"corpus": "somewhere"}
    exec(_cells(built[2])[4], given)  # noqa: S102 - a cell that we wrote
    assert given["corpus"] == "somewhere"
    given = {"files": ["a.wav"]}
    exec(_cells(built[3])[4], given)  # noqa: S102
    assert given["files"] == ["a.wav"]


@pytest.mark.parametrize("data", ["upload", "drive"])
def test_elsewhere_than_in_colab_one_sentence_says_so(data):
    with pytest.raises(
        ValueError, match=rf'my_music = "{data}" needs Google Colab, .* set corpus to'
    ):
        own_music(data, "MyDrive/music")


def test_an_unknown_source_is_named():
    with pytest.raises(ValueError, match=r"no source of data named 'disk'; .*: demo, upload, dr"):
        own_music("disk")


@pytest.fixture
def google(monkeypatch, tmp_path):
    """Stand in for the package google.colab; the form's chosen files are its `chosen`."""
    package = types.ModuleType("google.colab")
    package.__spec__ = types.SimpleNamespace()
    package.chosen, package.mounted = {}, []

    def upload():
        for name in package.chosen:
            Path(re.split(r"[/\\\\]", name)[-1]).touch()  # Colab writes them where it stands
        return package.chosen

    package.files = types.SimpleNamespace(upload=upload)
    package.drive = types.SimpleNamespace(mount=package.mounted.append)
    parent = types.ModuleType("google")
    parent.__spec__, parent.colab = types.SimpleNamespace(), package
    monkeypatch.setitem(sys.modules, "google", parent)
    monkeypatch.setitem(sys.modules, "google.colab", package)
    monkeypatch.setenv("MUSICLATENT_HOME", str(tmp_path / "content"))
    monkeypatch.setattr(colab, "_DRIVE", tmp_path / "drive")
    (tmp_path / "content").mkdir()
    monkeypatch.chdir(tmp_path / "content")
    return package


def _sound():
    file = io.BytesIO()
    soundfile.write(file, np.zeros(800), 8000, format="WAV")
    return file.getvalue()


def test_uploads_are_written_into_one_folder_by_the_last_part_of_their_names(google, tmp_path):
    google.chosen = {"b c.wav": _sound(), "../../up.wav": b"2", "C:\\d\\a.wav": b"3", "..": b"4"}
    folder = Path(own_music("upload"))
    assert folder == (tmp_path / "content" / "uploads").resolve() and folder.is_absolute()
    assert sorted(p.name for p in folder.iterdir()) == ["a.wav", "b c.wav", "up.wav"]
    assert (folder / "a.wav").read_bytes() == b"3"
    assert [p.name for p in (tmp_path / "content").iterdir()] == ["uploads"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["content"]
    assert own_files("upload") == [folder / name for name in ("a.wav", "b c.wav", "up.wav")]


def test_no_file_chosen_is_one_sentence_and_keeps_what_was_there(google):
    with pytest.raises(ValueError, match=r"no file was chosen: run this cell again and choose"):
        own_music("upload")
    google.chosen = {"a.wav": b"1"}
    folder = own_music("upload")
    google.chosen = {}
    assert own_music("upload") == folder and (Path(folder) / "a.wav").read_bytes() == b"1"


def test_a_folder_of_the_drive_is_mounted_and_must_be_there(google, tmp_path):
    (tmp_path / "drive" / "MyDrive" / "my music").mkdir(parents=True)
    found = own_music("drive", "MyDrive/my music")
    assert found == str(tmp_path / "drive" / "MyDrive" / "my music")
    assert google.mounted == [str(tmp_path / "drive")]
    for wrong in ("MyDrive/absent", ""):
        with pytest.raises(ValueError, match=rf"the Drive has no folder '{wrong}': name one as"):
            own_music("drive", wrong)


def run_cell(path, folder, before="", **environ):
    """Run the install cell in an empty folder with a stand-in for the interpreter it calls."""
    python, noting = folder / "python", folder / "noting.py"
    noting.write_text(NOTING_PYTHON)
    # through a shell: the first line of a script takes no interpreter whose path has a space
    python.write_text(
        f'#!/bin/sh\nexec {shlex.quote(sys.executable)} {shlex.quote(str(noting))} "$@"\n'
    )
    python.chmod(0o755)
    (folder / "empty").mkdir()
    script = (
        f"import sys\nsys.executable = {str(python)!r}\n{before}\n{_install_cell(path).source}\n"
        "print(os.environ['MUSICLATENT_HOME'])"
    )
    # should the stand-in ever be passed by, the real pip would change nothing either
    guards = {"PIP_DRY_RUN": "1", "PIP_NO_INDEX": "1", "NOTED": str(folder / "noted")}
    done = subprocess.run(
        [sys.executable, "-"],
        input=script,  # too long for an argument
        cwd=folder / "empty",
        env={**os.environ, **guards, **environ},
        capture_output=True,
        text=True,
    )
    noted = [json.loads(line) for line in (folder / "noted").read_text().splitlines()]
    assert all(command[:3] == ["-m", "pip", "install"] for command, _, _ in noted)
    return done, noted


def test_a_complete_environment_gets_the_wheel_alone(built, tmp_path):
    done, noted = run_cell(built[0], tmp_path)
    assert done.returncode == 0, done.stderr
    assert len(noted) == 1
    command, wheels, _ = noted[0]
    assert "--no-deps" in command
    assert [Path(w).name for w in wheels] == [f"musiclatent-{__version__}-py3-none-any.whl"]
    assert re.search(
        r"wheel of \d+ kB; installed beside it: nothing\nunchanged: numpy 2", done.stdout
    )
    assert done.stdout.splitlines()[-1] == str(tmp_path / "empty")


HIDE_POOCH = """
from importlib import metadata
honest = metadata.version
def version(name):
    if name == "pooch":
        raise metadata.PackageNotFoundError
    return honest(name)
metadata.version = version
"""


def test_missing_dependencies_come_without_touching_numpy_and_torch(built, tmp_path):
    done, noted = run_cell(built[0], tmp_path, HIDE_POOCH)
    assert done.returncode == 0, done.stderr
    command, _, kept = noted[1]
    assert [a for a in command if "pooch" in a] == ["pooch>=1.8"]
    assert len([a for a in command if ">=" in a]) == 1
    assert "--upgrade" not in command
    assert re.search(r"^numpy==2\.", kept[0], re.MULTILINE)
    assert re.search(r"^torch==2\.", kept[0], re.MULTILINE)
    for name in ("ipykernel", "jupyter_client", "traitlets", "tornado"):  # Colab's server
        assert re.search(rf"^{name}==\d", kept[0], re.MULTILINE)


def test_nothing_that_colab_runs_on_is_too_old_for_us():
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
    needed = [Requirement(line) for line in project["dependencies"]]
    old = [r for r in needed if r.name in COLAB and not r.specifier.contains(COLAB[r.name])]
    assert not old, "pip would have to replace what Colab's server or front end runs on"


def test_a_changed_numpy_is_told(built, tmp_path):
    changes = HIDE_POOCH + (
        "answers = {}\n"
        "def version(name):\n"
        "    answers[name] = answers.get(name, 0) + 1\n"
        "    return '9.9' if name == 'numpy' and answers[name] > 3 else honest(name)\n"
        "metadata.version = version\n"
    )
    done, _ = run_cell(built[0], tmp_path, changes)
    assert done.returncode != 0
    assert re.search(r"the installation changed \{'numpy': '2\.[\d.]+ -> 9\.9'\}", done.stderr)


def test_what_pip_says_is_shown_when_it_fails(built, tmp_path):
    done, _ = run_cell(built[0], tmp_path, PIP_FAILS="no such package")
    assert done.returncode != 0
    assert "AssertionError: no such package" in done.stderr


def test_wrong_folders_are_named(tmp_path):
    with pytest.raises(ValueError, match=r"has no notebooks: name the folder"):
        build(tmp_path, tmp_path / "out", CHECKOUT)
    notebook(tmp_path / "a.ipynb")
    with pytest.raises(ValueError, match=r"has no pyproject\.toml: run this in a checkout"):
        build(tmp_path, tmp_path / "out", tmp_path)


def test_a_wheel_that_cannot_be_built_is_one_sentence(tmp_path):
    notebook(tmp_path / "a.ipynb")
    (tmp_path / "musiclatent").mkdir()
    for name in ("README.md", "LICENSE"):
        (tmp_path / name).touch()
    (tmp_path / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "absent"\n[project]\nname = "x"\n'
    )
    with pytest.raises(RuntimeError, match=r"cannot build the wheel of .*: pip install setup"):
        build(tmp_path, tmp_path / "out", tmp_path)
