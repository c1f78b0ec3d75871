"""Notebooks that carry the wheel; their install cell runs against a pip that only takes notes.

The real pip must never run here: the cell would put the wheel in place of the editable checkout.
"""

import ast
import base64
import io
import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import nbformat
import pytest

from musiclatent import __version__
from musiclatent.colab import build

CHECKOUT = Path(__file__).resolve().parents[1]
NOTING_PYTHON = """#!%s
import json, os, sys
from pathlib import Path
kept = [Path(a).read_text() for a in sys.argv if a.endswith("kept.txt")]
wheels = [a for a in sys.argv if a.endswith(".whl") and Path(a).exists()]
with open(os.environ["NOTED"], "a") as file:
    file.write(json.dumps([sys.argv[1:], wheels, kept]) + "\\n")
sys.exit(os.environ.get("PIP_FAILS") or 0)
"""


def notebook(path, *cells):
    book = nbformat.v4.new_notebook(cells=list(cells))
    book.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
    nbformat.write(book, path)


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    folder = tmp_path_factory.mktemp("colab")
    (folder / "notebooks").mkdir()
    markdown, code = nbformat.v4.new_markdown_cell, nbformat.v4.new_code_cell
    parameters = code("profile = 'demo'", metadata={"tags": ["parameters"]})
    notebook(folder / "notebooks" / "01_a.ipynb", markdown("# Title"), parameters, code("x = 1"))
    notebook(folder / "notebooks" / "02_b.ipynb", code("x = 2"))
    traces = ("build", "musiclatent.egg-info")
    before = {name: _times(CHECKOUT / name) for name in traces}
    paths = build(folder / "notebooks", folder / "out", CHECKOUT)
    assert {name: _times(CHECKOUT / name) for name in traces} == before
    assert sorted(p.name for p in (folder / "out").iterdir()) == [p.name for p in paths]
    return paths


def _times(folder):
    return {p: p.stat().st_mtime_ns for p in [folder, *folder.rglob("*")] if p.exists()}


def _install_cell(path):
    return next(c for c in nbformat.read(path, as_version=4).cells if "WHEEL" in c.source)


def _wheel(path):
    text = re.search(r'WHEEL = """(.*?)"""', _install_cell(path).source, re.DOTALL)[1]
    return base64.b64decode(text)


def test_the_cells_stand_after_the_title_and_the_rest_is_unchanged(built):
    assert [p.name for p in built] == ["01_a.ipynb", "02_b.ipynb"]
    first, second = (nbformat.read(path, as_version=4) for path in built)
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
    assert len(wheel) < 450_000
    for cell in nbformat.read(built[0], as_version=4).cells[1:3]:
        assert f"{round(len(wheel) / 1000)} kB" in cell.source
    with zipfile.ZipFile(io.BytesIO(wheel)) as bundle:
        assert bundle.testzip() is None
        names = bundle.namelist()
    assert "musiclatent/config.py" in names
    wanted = {p.relative_to(CHECKOUT).as_posix() for p in CHECKOUT.glob("musiclatent/*.py")}
    assert wanted <= set(names)
    assert not [n for n in names if "tests/" in n or n.endswith((".pyc", ".ipynb"))]


def test_the_install_cell_is_short_and_plain_python(built):
    source = _install_cell(built[0]).source
    ast.parse(source)
    lines = re.sub(r'WHEEL = """.*?"""', "", source, flags=re.DOTALL).splitlines()
    assert len(lines) < 50
    assert max(map(len, lines)) <= 120


def run_cell(path, folder, before="", **environ):
    """Run the install cell in an empty folder with a stand-in for the interpreter it calls."""
    python = folder / "python"
    python.write_text(NOTING_PYTHON % sys.executable)
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
