"""Benchmarks declare what they print, call the package as it is, and are run by the checks."""

import ast
import functools
import importlib.util
import inspect
import json
import math
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[1]
FOLDER = CHECKOUT / "benchmarks"
SCRIPTS = sorted(set(FOLDER.glob("*.py")) - {FOLDER / "common.py"})
each_script = pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)


def load(script, monkeypatch):
    """Import a script under a name of its own, since `explorer` is also a module of the package."""
    monkeypatch.syspath_prepend(FOLDER)
    spec = importlib.util.spec_from_file_location(f"benchmark_{script.stem}", script)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def common(monkeypatch):
    return load(FOLDER / "common.py", monkeypatch)


def resolved(node, names):
    """Return what a dotted name stands for in a module, or None for what a run alone shows."""
    if isinstance(node, ast.Name):
        return names.get(node.id)
    if isinstance(node, ast.Attribute):
        return getattr(resolved(node.value, names), node.attr, None)
    return None


def calls(module, script):
    """Yield the calls of our own functions and classes: what is called, and the call."""
    ours = ("musiclatent", "browser", "common", module.__name__)
    for node in ast.walk(ast.parse(script.read_text())):
        if isinstance(node, ast.Call):
            is_partial = resolved(node.func, vars(module)) is functools.partial
            target = resolved(node.args[0] if is_partial else node.func, vars(module))
            if (getattr(target, "__module__", None) or "").startswith(ours):
                yield target, node


def bind(target, call):
    """Bind arguments to the signature; of those that are unpacked only the rest is checked."""
    is_partial = getattr(call.func, "id", "") == "partial"
    positional = [argument for argument in call.args[is_partial:] if not starred(argument)]
    keywords = {keyword.arg: keyword for keyword in call.keywords if keyword.arg}
    unpacked = any(map(starred, call.args)) or len(keywords) < len(call.keywords)
    signature = inspect.signature(target)
    binding = signature.bind_partial if is_partial or unpacked else signature.bind
    binding(*positional, **keywords)


def starred(argument):
    return isinstance(argument, ast.Starred)


@each_script
def test_a_benchmark_calls_the_package_as_it_is(script, monkeypatch):
    checked = 0
    for target, call in calls(load(script, monkeypatch), script):
        try:
            bind(target, call)
        except TypeError as error:
            pytest.fail(f"{script.name}:{call.lineno} {target.__qualname__}: {error}")
        checked += 1
    assert checked > 1  # common.run, and what is measured


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("f(model, path, sr, window_s)", "too many positional arguments"),
        ("partial(f, model, path, sr, window_s)", "too many positional arguments"),
        ("f(model, path)", "missing a required argument: 'transform'"),
        ("f(model, path, transforms=sr)", "missing a required argument: 'transform'"),
        ("f(*files, speed=2)", "unexpected keyword argument 'speed'"),
    ],
)
def test_a_call_that_does_not_fit_is_seen(source, reason):
    with pytest.raises(TypeError, match=reason):
        bind(lambda model, path, transform: None, ast.parse(source).body[0].value)


@each_script
def test_a_benchmark_takes_quick_and_declares_figures_that_its_readme_lists(script, monkeypatch):
    readme = (FOLDER / "README.md").read_text()
    module = load(script, monkeypatch)
    runs = [call for target, call in calls(module, script) if target is module.common.run]
    assert [resolved(call.args[0], vars(module)) for call in runs] == [module.KEYS]
    assert {"full", "quick"} <= {keyword.arg for keyword in runs[0].keywords}
    assert f"| `{script.name}` |" in readme
    assert [key for key in module.KEYS if f"`{key}`" not in readme] == []


def test_the_checks_run_every_benchmark():
    assert "\nmake bench QUICK=1\n" in (CHECKOUT / ".ci" / "run").read_text()
    command = ["make", "--dry-run", "bench", "QUICK=1"]
    lines = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True).stdout
    assert [script.name for script in SCRIPTS if f"benchmarks/{script.name}" not in lines] == []
    assert "--quick" in lines
    assert "benchmarks/common.py" not in lines


def test_the_quick_form_prints_one_line_of_figures(tmp_path, monkeypatch, capsys):
    script = FOLDER / "spectrograms.py"
    monkeypatch.syspath_prepend(FOLDER)
    monkeypatch.setenv("MUSICLATENT_DATA", str(tmp_path))
    monkeypatch.setattr(sys, "argv", [str(script), "--quick"])
    runpy.run_path(str(script), run_name="__main__")
    figures = json.loads(capsys.readouterr().out)
    assert figures["clips"] == 2
    assert all(math.isfinite(value) for value in figures.values())


# common.py


def printed(common, monkeypatch, capsys, *arguments, **options):
    monkeypatch.setattr(sys, "argv", ["benchmark", *arguments])
    sizes = {"full": lambda: {"a": 1, "b": 2.5}, "quick": lambda: {"b": 0.5, "a": 3}}
    common.run(("a", "b"), **(sizes | options))
    return capsys.readouterr().out


def test_figures_are_printed_in_the_order_of_their_keys(common, monkeypatch, capsys):
    assert printed(common, monkeypatch, capsys) == '{"a": 1, "b": 2.5}\n'
    assert printed(common, monkeypatch, capsys, "--quick") == '{"a": 3, "b": 0.5}\n'


def test_the_quick_form_may_promise_fewer_figures(common, monkeypatch, capsys):
    options = {"quick": lambda: {"a": 3}, "quick_keys": ("a",)}
    assert printed(common, monkeypatch, capsys, "--quick", **options) == '{"a": 3}\n'
    assert printed(common, monkeypatch, capsys, **options) == '{"a": 1, "b": 2.5}\n'


@pytest.mark.parametrize("figures", [{"a": 1}, {"a": 1, "b": math.nan}, {"a": 1, "b": -math.inf}])
def test_a_figure_that_is_missing_or_not_finite_is_an_error(figures, common, monkeypatch, capsys):
    with pytest.raises(SystemExit, match="^no finite figure for b; mend the measurement$"):
        printed(common, monkeypatch, capsys, full=lambda: figures)
    assert capsys.readouterr().out == ""


def test_a_figure_that_is_not_declared_is_an_error(common):
    with pytest.raises(SystemExit, match=r"^c not declared; add to KEYS and to .*README\.md$"):
        common.checked({"a": 1, "c": 2}, ("a",))


def test_where_a_program_lacks_the_quick_form_says_so_and_the_full_one_fails(
    common, monkeypatch, capsys
):
    reason = "needs Chromium"
    quick = printed(common, monkeypatch, capsys, "--quick", lacks=reason)
    assert json.loads(quick) == {"skipped": reason}
    with pytest.raises(SystemExit, match="^needs Chromium$"):
        printed(common, monkeypatch, capsys, lacks=reason)
    assert capsys.readouterr().out == ""


def test_clips_are_made_where_there_are_none(common, monkeypatch, tmp_path):
    monkeypatch.setenv("MUSICLATENT_DATA", str(tmp_path))
    first, second = common.clips(2)
    assert first.shape == second.shape == (common.SECONDS * common.SR,)
    assert 0.09 < first.std() < 0.11
    assert (first != second).any()
