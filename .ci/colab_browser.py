"""Prove the map with Colab's versions in a real browser: click twenty sines and hear each.

    .venv/bin/python .ci/colab_browser.py FOLDER    (PYTHON names another Python than 3.13)

FOLDER, which no other check uses, keeps the environment between runs: Colab's versions as in
colab_check.sh without torch and what needs it (1.2 GB), and the package from this checkout. The
page is the classic notebook 6 with the widgets of Colab: ipywidgets 7.7.1, anywidget 0.9.21. What
differs from the real thing: Colab shows each output in a frame of its own, from another host.
"""

import ast
import json
import os
import re
import secrets
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np

from musiclatent.apps.colab import _wheel

PROJECT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(PROJECT / "tests"), str(PROJECT / "benchmarks")]
import browser  # noqa: E402
import explorer as measured  # noqa: E402 - the benchmark, whose clicks these are

HEAVY = ("torch", "tensorboard", "umap-learn", "shap")
TITLE = browser.EVIL.replace("\ud800", "\ufffd")


class Classic(browser.Hosted):
    """The classic notebook with one notebook open."""

    def open(self, url: str):
        """Wait until the widgets of the page have asked the kernel what it holds.

        What a cell shows before that is lost, in any notebook of ipywidgets 7.
        """
        self.driver.get(url)
        kernel = "window.Jupyter?.notebook?.kernel"
        ready = f"{kernel}?.info_reply.protocol_version && {kernel}.widget_manager"
        self.wait(f"!!({ready})", browser.PATIENCE_S)
        for _ in range(3):  # they ask twice, and the kernel answers in turn
            self.value("0")

    def run_all(self):
        """Run the cells; the last shows the map."""
        self.ask("Jupyter.notebook.execute_all_cells()")
        try:
            self.painted()
        except AssertionError:
            cells = "Jupyter.notebook.get_cells().map(cell => cell.output_area?.toJSON())"
            sys.exit(f"no map: {self.ask(cells)} {self.complaints()}")

    def value(self, expression: str):
        """Evaluate Python in the kernel."""
        code = json.dumps({"value": expression})
        reply = self.ask(
            "new Promise(done => Jupyter.notebook.kernel.execute('', {shell: {reply: message =>"
            f"done(message.content.user_expressions.value)}}}}, {{user_expressions: {code}}}))"
        )
        assert reply["status"] == "ok", reply
        return ast.literal_eval(reply["data"]["text/plain"])

    def reaches(self, expression: str, expected: object):
        """Wait until Python has a value: what the page sends is on its way."""
        until = time.monotonic() + 5
        while (value := self.value(expression)) != expected:
            assert time.monotonic() < until, f"{expression} is {value}, not {expected}"


def environment(folder: Path) -> Path:
    """Install Colab's versions once, and the package as it is now; return the Python."""
    python, made = folder / "venv/bin/python", folder / "venv/light"
    install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    if not made.exists():
        names = filter(shutil.which, (os.environ.get("PYTHON", ""), "python3.13", "python3"))
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        found = (n for n in names if not subprocess.run([n, "-c", ""], **quiet).returncode)
        subprocess.run([next(found), "-m", "venv", "--clear", folder / "venv"], check=True)
        script = (PROJECT / ".ci/colab_check.sh").read_text()
        listed = shlex.split(re.search(r"preinstalled=\((.*?)\n\)", script, re.DOTALL)[1])
        light = [package for package in listed if not package.startswith(HEAVY)]
        subprocess.run([*install, *light], check=True)
        made.touch()
    with tempfile.TemporaryDirectory() as scratch:
        wheel = _wheel(PROJECT, Path(scratch))
        subprocess.run([*install, "--no-deps", "--force-reinstall", wheel], check=True)
    return python


@contextmanager
def classic(python: Path, place: Path) -> Iterator[str]:
    """Run the classic notebook on `place`/books; give the address of the notebook with the map."""
    port, token = browser.free_port(), secrets.token_hex(16)
    for name in ("books", "sound"):
        (place / name).mkdir()
    browser.notebook(place / "books/map.ipynb", browser.map_cell(place / "sound"))
    server = {"ip": "127.0.0.1", "port": port, "port_retries": 0, "token": token}
    server |= {"notebook_dir": str(place / "books"), "open_browser": False, "allow_root": True}
    browser.configure(place, "jupyter_notebook_config.json", {"NotebookApp": server})
    url = f"http://127.0.0.1:{port}"
    with browser.served([str(python), "-m", "notebook"], f"{url}/api", place):
        yield f"{url}/notebooks/map.ipynb?token={token}"


def check(page: Classic, sound: Path) -> dict:
    """Click all points, draw a box, look at titles; return the figures of the clicks."""
    result = measured.clicks(page, sound, "classic", browser.N)
    assert result["agree_classic"] == browser.N, result
    page.reaches("map.clicked", {"index": browser.N - 1, "count": browser.N})
    spots = np.array([page.place(i) for i in (0, 1, 5, 6)])
    page.press(".ml-map button", "Box")
    page.drag([tuple(spots.min(0) - 12), tuple(spots.max(0) + 12)])
    page.reaches("sorted(map.selected)", [0, 1, 5, 6])
    page.reaches("sorted(map.selection().index)", [0, 1, 5, 6])
    page.press(".ml-map button", "Move")
    page.mouse("mouseMoved", *page.place(2))
    page.wait("!document.querySelector('.tip').hidden")
    assert page.text(".tip .title") == TITLE, page.text(".tip .title")
    assert page.text(".ml-map h1") == f"Sines {TITLE}", page.text(".ml-map h1")
    assert page.ask("window.bad") is None, "a title ran"
    assert page.ask("document.querySelectorAll('.ml-map img, .ml-map i').length") == 0
    return result


def main(folder: Path) -> None:
    """Print the versions and the figures in one line."""
    if reason := browser.lacking():
        sys.exit(reason)
    for name in ("PYTHONPATH", "JUPYTER_PATH", "MUSICLATENT_HOME", "MUSICLATENT_DATA"):
        os.environ.pop(name, None)
    os.environ["PYTHONDONTWRITEBYTECODE"] = "1"  # the kernel reads tests/browser.py
    python = environment(folder.absolute())
    with ExitStack() as stack:
        place = Path(stack.enter_context(tempfile.TemporaryDirectory(dir=folder.absolute())))
        url = stack.enter_context(classic(python, place))
        page = Classic(stack.enter_context(browser.chromium(place / "chromium")))
        page.open(url)
        host = page.complaints()  # before the map is there, they are the notebook's own
        page.run_all()
        home = page.value("explorer.__file__")
        assert home.startswith(str(folder.absolute())), f"not the package under test: {home}"
        result = check(page, place / "sound")
        assert (ours := page.complaints()) == [], ours
        versions = "{name: __import__(name).__version__ for name in "
        versions += "('notebook', 'ipywidgets', 'anywidget', 'numpy', 'pandas')}"
        result["python"] = page.value("sys.version.split()[0]")
        print(json.dumps(result | page.value(versions) | {"complaints_of_the_host": len(host)}))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
