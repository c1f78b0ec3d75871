"""The files around the package agree with each other."""

import re
import subprocess
import tomllib
from itertools import chain
from pathlib import Path

import pytest
import yaml

import musiclatent

CHECKOUT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]


def _name(requirement: str) -> str:
    return re.split(r"[<>=!~;\[ ]", requirement)[0].lower().replace("_", "-")


def test_environment_yml_lists_what_pyproject_lists():
    listed = yaml.safe_load((CHECKOUT / "environment.yml").read_text())["dependencies"]
    extras = PROJECT["optional-dependencies"]
    assert listed[-1]["pip"] == [
        *PROJECT["dependencies"],
        *extras["lab"],
        *extras["dev"],
        *extras["docs"],
    ]
    assert f"python {PROJECT['requires-python']}" in listed


def test_constraints_pin_every_direct_dependency_and_pins_stand_nowhere_else():
    pins = (CHECKOUT / "constraints.txt").read_text().splitlines()
    pinned = {_name(line) for line in pins if "==" in line}
    direct = [*PROJECT["dependencies"], *chain(*PROJECT["optional-dependencies"].values())]
    assert {_name(line) for line in direct} <= pinned
    assert "torch==2.13.0" in pins
    assert not [line for line in direct if "==" in line]


def test_versions_agree():
    assert PROJECT["version"] == musiclatent.__version__
    assert f"version: {musiclatent.__version__}" in (CHECKOUT / "CITATION.cff").read_text()
    assert f"## {musiclatent.__version__}" in (CHECKOUT / "CHANGELOG.md").read_text()


def test_make_help_lists_every_target():
    text = (CHECKOUT / "Makefile").read_text()
    targets = re.search(r"\.PHONY: (.*)", text)[1].split()
    shown = subprocess.run(
        ["make", "help"], cwd=CHECKOUT, capture_output=True, text=True, check=True
    )
    lines = shown.stdout.splitlines()
    for target in targets:
        assert any(re.match(rf"{target}\s+\S", line) for line in lines), target
        assert re.search(rf"^{target}:", text, re.MULTILINE)


def test_make_names_the_python_it_needs(tmp_path):
    for name in ("make", "bash", "sh", "test", "echo", "touch"):
        (tmp_path / name).symlink_to(Path("/usr/bin") / name)
    done = subprocess.run(
        ["make", "setup", "VENV=nowhere", f"SHELL={tmp_path}/bash"],
        cwd=CHECKOUT, capture_output=True, text=True, env={"PATH": str(tmp_path)}, check=False,
    )  # fmt: skip
    assert done.returncode and "needs Python 3.11, 3.12 or 3.13" in done.stdout


def test_an_unknown_room_is_answered_with_the_rooms(tmp_path):
    (tmp_path / ".ready").touch()
    done = subprocess.run(
        ["make", "--no-print-directory", "test", "ROOM=cellar", f"VENV={tmp_path}"],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=False,
    )
    rooms = {path.parent.name for path in (CHECKOUT / "musiclatent").glob("*/__init__.py")}
    assert done.returncode and done.stdout.startswith("there is no room 'cellar'")
    assert set(done.stdout.partition("one of: ")[2].split()) == rooms


@pytest.mark.parametrize("folder", ["/my music/sets", "my music", "../sets"])
def test_the_folder_of_data_becomes_absolute_and_may_hold_spaces(folder, tmp_path):
    (tmp_path / "show.mk").write_text('include Makefile\nshow:\n\t@echo "$$MUSICLATENT_DATA"\n')
    done = subprocess.run(
        ["make", "-s", "-f", str(tmp_path / "show.mk"), "show", f"MUSICLATENT_DATA={folder}"],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert Path(done.stdout.strip()) == CHECKOUT / folder


def test_ci_runs_the_readmes_commands():
    readme = (CHECKOUT / "README.md").read_text()
    commands = re.findall(r"^make \w+", (CHECKOUT / ".ci/run").read_text(), re.MULTILINE)
    assert commands == [
        "make lint",
        "make test",
        "make bench",
        "make notebook",
        "make docs",
        "make reproduce",
    ]
    assert all(command in readme for command in commands)


@pytest.mark.parametrize(
    "name", ["README.md", "CONTRIBUTING.md", "docs/results.md", "data/README.md"]
)
def test_links_inside_the_documents_lead_somewhere(name):
    path = CHECKOUT / name
    for target in re.findall(r"\]\(([^)#]+)\)", path.read_text()):
        assert target.startswith("http") or (path.parent / target).exists(), target
