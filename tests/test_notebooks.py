"""The notebook contract, on the json; and three notebooks run on the tiny profile."""

import ast
import inspect
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from musiclatent.apps.running import execution, notebooks
from musiclatent.apps.running.kernels import Kernels
from musiclatent.config import Workspace
from musiclatent.studies import SHARED, STUDIES

FOLDER = Path(__file__).resolve().parents[1] / "notebooks"
BOOKS = sorted(FOLDER.glob("*.ipynb"))


def _cells(path: Path) -> list[dict]:
    return json.loads(path.read_text())["cells"]


def _code(path: Path) -> list[str]:
    return ["".join(c["source"]) for c in _cells(path) if c["cell_type"] == "code"]


def _lines(source: str) -> int:
    return sum(bool(line.strip()) for line in source.split("\n"))


def _parameters(path: Path) -> dict:
    return {
        node.targets[0].id: ast.literal_eval(node.value) for node in ast.parse(_code(path)[0]).body
    }


def test_every_notebook_that_reproduce_runs_is_there():
    run = {name for study in STUDIES.values() for name in study.notebooks()}
    assert {path.stem for path in BOOKS} == run and run >= set(SHARED)


@pytest.mark.parametrize("path", BOOKS, ids=lambda p: p.stem)
def test_contract(path):
    book, cells = json.loads(path.read_text()), _cells(path)
    assert book["metadata"]["kernelspec"]["name"] == "python3"
    assert [c["cell_type"] for c in cells[:3]] == ["markdown", "code", "code"]
    for word in ("Question", "Inputs", "Outputs", "Minutes"):
        assert f"**{word}.**" in "".join(cells[0]["source"])
    assert cells[1]["metadata"]["tags"] == ["parameters"]
    assert _parameters(path)  # literals only, or literal_eval raises
    assert any(isinstance(n, ast.Import | ast.ImportFrom) for n in ast.parse(_code(path)[1]).body)
    last = "".join(cells[-1]["source"])
    assert "metrics" in last and "assert " in last


@pytest.mark.parametrize("path", BOOKS, ids=lambda p: p.stem)
def test_thin_and_stripped(path):
    code = _code(path)
    assert max(map(_lines, code)) <= 12
    assert sum(map(_lines, code)) <= 80
    for cell in _cells(path):
        assert not cell.get("outputs") and not cell.get("execution_count")
    for source in code:
        assert not re.search(r"^\s*(def |class |%|!)", source, re.MULTILINE)
        assert not re.search(r"""["']/(home|work|tmp|root|Users|content)""", source)


@pytest.mark.parametrize("path", BOOKS, ids=lambda p: p.stem)
def test_a_notebook_names_itself_once_and_its_files_after_that(path):
    call = f'open_study("{path.stem}", study, experiment, profile, corpus, results)'
    code = _code(path)
    assert call in code[1] and "session.save_metrics(" in "".join(code)
    number = path.stem.partition("_")[0]
    assert not re.search(rf"""["']{number}_""", "".join(code).replace(call, ""))
    title, outputs = "".join(_cells(path)[0]["source"]).split("**Outputs.**")
    assert title.startswith(f"# {number} ") and f"`metrics/{path.stem}.json`" in outputs


@pytest.mark.parametrize("path", BOOKS, ids=lambda p: p.stem)
def test_the_tens_digit_names_the_study(path):
    studies = list(STUDIES)
    running = [name for name in studies if path.stem in STUDIES[name].notebooks()]
    tens = {"0": running, "1": ["waveform"], "2": ["mel"], "3": ["digits"], "4": ["jazz"]}
    assert running == (tens | {"5": ["genre"], "6": ["edm"]})[path.stem[0]]


@pytest.mark.parametrize("path", BOOKS, ids=lambda p: p.stem)
def test_each_parameter_that_reproduce_hands_over_exists(path):
    # papermill only warns about a name that the notebook does not have
    source = inspect.getsource(notebooks._parameters)
    names = set(re.findall(r'"(\w+)":', source))
    assert names <= set(_parameters(path))
    if path.stem == "01_preprocess":
        assert "scheduler" in _parameters(path)


# Decoders, torch and catboost; the other two notebooks would take a minute more.
RUN = ["01_preprocess", "52_genre_classifiers", "53_genre_networks"]
SHORT = f"""
import sys
from dataclasses import replace
from musiclatent import cli, studies
studies.STUDIES["genre"] = replace(studies.STUDIES["genre"], study_notebooks={RUN[1:]})
sys.exit(cli.main())
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> tuple[subprocess.CompletedProcess, Path]:
    """What a user sees of a run, and where it left its results."""
    folder = tmp_path_factory.mktemp("results")
    command = [sys.executable, "-c", SHORT, "reproduce", "--profile", "tiny", "--study", "genre"]
    command += ["--experiment", "genre-joint", "--results", str(folder)]
    environment = {k: v for k, v in os.environ.items() if k != "MUSICLATENT_DATA"}
    options = {"cwd": FOLDER.parent, "env": environment, "capture_output": True, "text": True}
    return subprocess.run(command, check=False, **options), folder / "tiny"


def test_every_line_of_what_runs_is_ours(run):
    done, base = run
    assert done.returncode == 0 and done.stderr == ""
    *lines, report, folder = done.stdout.splitlines()
    assert len(lines) == len(RUN)
    for i, (line, book) in enumerate(zip(lines, RUN, strict=True), 1):
        assert re.fullmatch(rf"\[{i}/{len(RUN)}\] genre: {book} \d+ s", line)
    assert report == f"report: {(base / 'index.html').as_uri()}"
    assert folder == f"notebooks: {(base / 'genre' / 'notebooks').as_uri()}"


def test_01_runs_on_the_tiny_profile(run):
    base = run[1] / "genre"
    metrics = json.loads((base / "metrics/01_preprocess.json").read_text())
    assert metrics["windows"] > 0 and metrics["straddling_groups"] == 0
    assert (base / "figures/01_gallery.png").stat().st_size > 10_000
    executed = json.loads((base / "notebooks/01_preprocess.ipynb").read_text())
    assert any("audio/mpeg" in json.dumps(cell.get("outputs", "")) for cell in executed["cells"])
    outputs = [output for cell in executed["cells"] for output in cell.get("outputs", [])]
    assert not [output for output in outputs if output.get("name") == "stderr"]
    assert "10 labels: " in json.dumps(outputs)  # the caption of a picture


def test_a_notebook_that_fails_runs_to_one_sentence_and_is_kept(tmp_path):
    space = Workspace(profile="tiny", study="waveform", results=str(tmp_path))
    parameters = {"study": "nonsense", "profile": "tiny", "results": str(tmp_path)}
    kernels = Kernels([], threads=1)
    try:
        source = FOLDER / "01_preprocess.ipynb"
        problem = execution.execute(source, space, parameters, kernels=kernels)
    finally:
        kernels.close()
    assert "there is no study named 'nonsense'" in problem and "\n" not in problem
    assert (space.path("notebooks") / "failed-01_preprocess.ipynb").exists()
