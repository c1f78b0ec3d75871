"""Headless Chromium for the tests: a page driven by real input, and the corpus that they click."""

import base64
import io
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path

import numpy as np
import pandas as pd
import soundfile as sf

from musiclatent import audio

SR = 22050
N = 20
LAB_FOLDERS = ("SETTINGS", "WORKSPACES")
PATIENCE_S = 90.0  # a server or a kernel that starts on a busy machine
EVIL = "</script><script>window.bad = 1</script><img src=x onerror='window.bad = 2'> \ud800 é"


def sine(hz: float, seconds: float = 0.6) -> np.ndarray:
    return 0.5 * np.sin(2 * np.pi * hz * np.arange(round(SR * seconds)) / SR)


def twenty_sines() -> tuple[np.ndarray, pd.DataFrame, list[bytes]]:
    """Point k - 1 is a sine of k x 55 Hz; the points stand on a jittered grid of 5 x 4."""
    k = np.arange(1, N + 1)
    points = np.stack([(k - 1) % 5, (k - 1) // 5], 1) * [1.0, 0.6] + 3
    points += np.random.default_rng(0).uniform(-0.1, 0.1, points.shape)
    titles = [EVIL if i == 3 else f"sine of {55 * i} Hz" for i in k]
    table = pd.DataFrame({"title": pd.Series(titles, dtype=object), "start_s": 5.0 * k - 5})
    table["end_s"] = table["start_s"] + 1.96
    table["label"] = np.where(k == 20, "", np.array(["low", "middle", "<i>high"])[(k - 1) // 7])
    return points, table, [audio.to_mp3(sine(55 * i, 2.0), SR) for i in k]


def sine_files(folder: Path) -> tuple[np.ndarray, pd.DataFrame]:
    """Write the twenty sines as wav files; return the points and the items of a map."""
    points, table, _ = twenty_sines()
    paths = [audio.write(folder / f"{i}.wav", sine(55 * i, 2.0), SR) for i in range(1, N + 1)]
    items = pd.DataFrame({"item_id": table["title"], "path": [str(path) for path in paths]})
    return points, items.assign(start_s=0.0, end_s=2.0, label=table["label"])


def crowd(path: Path, count: int) -> tuple[np.ndarray, pd.DataFrame]:
    """Make points in ten clusters, the first in the middle; all play the same file."""
    rng = np.random.default_rng(0)
    label = rng.integers(0, 10, count)
    points = rng.normal(0, 3, (10, 2))[label] + rng.normal(size=(len(label), 2))
    points[0] = (points.min(0) + points.max(0)) / 2
    titles = [f"track {i // 6}" for i in range(len(label))]
    items = pd.DataFrame({"item_id": titles, "path": str(path), "start_s": 0.0, "end_s": 2.0})
    return points, items.assign(label=label)


def pitch_hz(sound: bytes) -> float:
    y, sr = sf.read(io.BytesIO(sound))
    magnitude = np.abs(np.fft.rfft(y * np.hanning(len(y)), 8 * len(y)))
    return magnitude.argmax() * sr / (8 * len(y))


def lacking() -> str:
    """Say what must be installed before `chromium` can start, or nothing."""
    if not (shutil.which("chromium") and shutil.which("chromedriver")):
        return "needs Chromium: apt-get install chromium chromium-driver"
    return "" if find_spec("selenium") else "needs pip install selenium"


@contextmanager
def chromium(folder: Path) -> Iterator:
    """Run headless Chromium with its profile in a folder; give selenium's driver."""
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    for argument in (
        "headless=new no-sandbox disable-gpu disable-quic no-first-run disable-sync "
        "disable-background-networking disable-component-update disable-dev-shm-usage "
        "window-size=1280,900"
    ).split():
        options.add_argument(f"--{argument}")
    options.add_argument(f"--user-data-dir={folder}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = webdriver.Chrome(options, webdriver.ChromeService(shutil.which("chromedriver")))
    try:
        yield driver
    finally:
        driver.quit()


class Page:
    """Chromium with the page open, driven by real input events alone.

    Everything is asked by CDP with userGesture false, so that no question of the test's own
    grants the page the right to play. `map` is the element that bears the explorer's handle.
    """

    map = "document.body"

    def __init__(self, driver):
        self.driver = driver
        driver.get("about:blank")  # so that the page before says all that it has to say
        driver.get_log("browser")  # what it complained of is not this page's

    def open(self, path):
        self.driver.get(path.as_uri())
        self.wait(f"!!{self.map}.explorer")
        self.ask("new Promise(done => requestAnimationFrame(() => setTimeout(done, 30)))")

    def ask(self, expression: str):
        arguments = {"expression": expression, "returnByValue": True, "awaitPromise": True}
        answer = self.driver.execute_cdp_cmd("Runtime.evaluate", arguments | {"userGesture": False})
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def wait(self, expression: str, seconds: float = 5):
        until = time.monotonic() + seconds
        while not (value := self.ask(expression)):
            assert time.monotonic() < until, f"not within {seconds} s: {expression}"
            time.sleep(0.01)
        return value

    def place(self, i: int) -> tuple[float, float]:
        """Where point i stands in the window."""
        box = "document.querySelector('.points').getBoundingClientRect()"
        x, y = self.ask(f"{self.map}.explorer.place({i})")
        left, top = self.ask(f"(box => [box.left, box.top])({box})")
        return left + x, top + y

    def mouse(self, kind: str, x: float, y: float, **more):
        event = {"type": kind, "x": x, "y": y, **more}
        self.driver.execute_cdp_cmd("Input.dispatchMouseEvent", event)

    def click(self, x: float, y: float):
        self.mouse("mousePressed", x, y, button="left", buttons=1, clickCount=1)
        self.mouse("mouseReleased", x, y, button="left", clickCount=1)

    def key(self, key: str, text: str = ""):
        code = {" ": 32, "ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40}[key]
        event = {"key": key, "windowsVirtualKeyCode": code}
        down = {"type": "keyDown", "text": text} if text else {"type": "rawKeyDown"}
        self.driver.execute_cdp_cmd("Input.dispatchKeyEvent", event | down)
        self.driver.execute_cdp_cmd("Input.dispatchKeyEvent", event | {"type": "keyUp"})

    def drag(self, path: list[tuple[float, float]]):
        """Press at the first spot, move in steps over the others, and let go."""
        self.mouse("mousePressed", *path[0], button="left", buttons=1, clickCount=1)
        for from_, to in pairwise(path):
            for spot in np.linspace(from_, to, 6)[1:]:
                self.mouse("mouseMoved", *map(float, spot), button="left", buttons=1)
        self.mouse("mouseReleased", *path[-1], button="left", clickCount=1)

    def press(self, selector: str, text: str):
        """Click the button with that text."""
        middle = "(box => [box.x + box.width / 2, box.y + box.height / 2])"
        button = (
            f"[...document.querySelectorAll('{selector}')].find(b => b.textContent === '{text}')"
        )
        self.ask(f"{button}.scrollIntoView({{block: 'nearest'}})")
        self.click(*self.ask(f"{middle}({button}.getBoundingClientRect())"))

    def chosen(self) -> int:
        return int(self.ask("document.querySelector('audio').dataset.index ?? -1"))

    def complaints(self) -> list[dict]:
        return [
            line
            for line in self.driver.get_log("browser")
            if line["level"] not in ("DEBUG", "INFO")
        ]

    def text(self, selector: str) -> str:
        return self.ask(f"document.querySelector('{selector}').textContent")

    def playing(self) -> tuple[int, bytes]:
        """Wait until the sound advances; return its index and the bytes that the player holds."""
        advanced = "(a => a.played.length && a.played.end(0) > 0.02)"
        self.wait(f"{advanced}(document.querySelector('audio'))")
        letters = self.ask(
            "fetch(document.querySelector('audio').src).then(answer => answer.arrayBuffer())"
            ".then(sound => btoa(String.fromCharCode(...new Uint8Array(sound))))"
        )
        return self.chosen(), base64.b64decode(letters)


class Hosted(Page):
    """A page of JupyterLab or Voila with one map in it."""

    map = (
        "(node => { while (node && !node.explorer) node = node.parentElement; return node; })"
        "(document.querySelector('.points'))"
    )

    def open(self, url: str):
        self.driver.get(url)
        self.painted()

    def painted(self):
        self.wait(f"!!{self.map}?.explorer", PATIENCE_S)
        self.ask("new Promise(done => requestAnimationFrame(() => setTimeout(done, 100)))")

    def place(self, i: int) -> tuple[float, float]:
        """Where point i stands in the window, once it can be seen."""
        self.ask("document.querySelector('.points').scrollIntoView({block: 'center'})")
        return super().place(i)


class Lab(Hosted):
    """JupyterLab with a notebook open; its last cell is free for `run`."""

    book = "jupyterapp.shell.currentWidget"

    def open(self, url: str):
        self.driver.get(url)
        status = f"window.jupyterapp && {self.book}?.sessionContext?.session?.kernel?.status"
        self.wait(f"({status}) === 'idle'", PATIENCE_S)

    def run_all(self):
        self.ask("jupyterapp.commands.execute('notebook:run-all-cells').then(() => 1)")
        for i in range(self.ask(f"{self.book}.content.widgets.length")):
            self.outputs(i)
        self.painted()

    def outputs(self, i: int) -> list[dict]:
        cell = f"{self.book}.content.widgets[{i}]"
        outputs = self.ask(f"{cell}.model.outputs.toJSON()")
        errors = [output["evalue"] for output in outputs if output["output_type"] == "error"]
        assert not errors, errors[0]
        return outputs

    def start(self, source: str):
        """Run Python in the last cell, and do not wait for it."""
        self.ask(
            f"(book => {{ book.activeCellIndex = book.widgets.length - 1;"
            f"book.activeCell.model.sharedModel.setSource({json.dumps(source)});"
            "window.over = false; const run = jupyterapp.commands.execute('notebook:run-cell');"
            "window.ran = run.then(() => over = true); })"
            f"({self.book}.content)"
        )

    def run(self, source: str) -> str:
        """Run Python in the last cell; return what it prints."""
        self.start(source)
        self.ask("ran")
        outputs = self.outputs(self.ask(f"{self.book}.content.activeCellIndex"))
        return "".join(output["text"] for output in outputs if output.get("name") == "stdout")

    def send(self, comm: str, content: dict) -> dict:
        """Send a custom message as a widget does; return the answer."""
        message = json.dumps({"method": "custom", "content": content})
        return self.ask(
            f"(comm => new Promise(done => {{ const before = comm.onMsg; comm.onMsg = message => {{"
            "  const { method, content } = message.content.data;"
            "  if (method === 'custom') { comm.onMsg = before; done(content); }"
            f"  return before(message); }}; comm.send({message}); }}))"
            f"({self.book}.sessionContext.session.kernel._comms.get({json.dumps(comm)}))"
        )


# Servers


def free_port() -> int:
    with socket.socket() as door:
        door.bind(("127.0.0.1", 0))
        return door.getsockname()[1]


@contextmanager
def served(command: list[str], url: str, folder: Path) -> Iterator[None]:
    """Run a Jupyter server until the block ends; all its files stay in the folder."""
    own = {f"JUPYTER_{name}_DIR": str(folder / name.lower()) for name in ("CONFIG", "RUNTIME")}
    own |= {f"JUPYTERLAB_{name}_DIR": str(folder / name.lower()) for name in LAB_FOLDERS}
    own |= {"IPYTHONDIR": str(folder / "ipython"), "JUPYTER_DATA_DIR": str(folder / "data")}
    with (folder / "log.txt").open("wb") as log:
        server = subprocess.Popen(
            command, cwd=folder, env=os.environ | own, stdout=log, stderr=log,
            stdin=subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
    try:
        answers(server, url, folder / "log.txt")
        yield
    finally:
        end(server)


def answers(server: subprocess.Popen, url: str, log: Path) -> None:
    """Wait until the server answers, be it by a refusal."""
    import requests

    until = time.monotonic() + PATIENCE_S
    while True:
        try:
            requests.get(url, timeout=5, allow_redirects=False)
        except requests.ConnectionError:
            assert server.poll() is None and time.monotonic() < until, log.read_text()[-3000:]
            time.sleep(0.1)
        else:
            return


def end(server: subprocess.Popen) -> None:
    """Ask the server to end, which ends its kernels; a kernel ends also when its server is gone."""
    server.terminate()
    try:
        server.wait(10)
    except subprocess.TimeoutExpired:
        os.killpg(server.pid, signal.SIGKILL)
        server.wait()


def configure(folder: Path, name: str, settings: dict) -> None:
    """Write a configuration file that no other user can read: a token does not show in `ps`."""
    target = folder / "config" / name
    target.parent.mkdir(exist_ok=True)
    target.touch(0o600)
    target.write_text(json.dumps(settings))


@contextmanager
def lab(folder: Path) -> Iterator[str]:
    """Run JupyterLab on `folder`/books; give the address of a notebook up to its name."""
    port, token = free_port(), secrets.token_hex(16)
    (folder / "books").mkdir(exist_ok=True)
    server = {"ip": "127.0.0.1", "port": port, "port_retries": 0, "root_dir": str(folder / "books")}
    settings = {
        "ServerApp": server | {"open_browser": False, "allow_root": True},
        "IdentityProvider": {"token": token},
        "LabApp": {"expose_app_in_browser": True},
    }
    configure(folder, "jupyter_server_config.json", settings)
    quiet = folder / "settings" / "@jupyterlab" / "apputils-extension"
    quiet.mkdir(parents=True, exist_ok=True)
    news = {"fetchNews": "false", "checkForUpdates": False}
    (quiet / "notification.jupyterlab-settings").write_text(json.dumps(news))
    url = f"http://127.0.0.1:{port}"
    with served([sys.executable, "-m", "jupyterlab"], f"{url}/api", folder):
        yield f"{url}/lab/tree/{{}}?token={token}"


def map_cell(folder: Path) -> str:
    """Write the Python that shows the twenty sines as a map, for a notebook."""
    return f"""
import sys
sys.path.insert(0, {str(Path(__file__).parents[1])!r})
from helpers import browser
from pathlib import Path
from musiclatent.display import map_widget
folder = Path({str(folder)!r})
points, items = browser.sine_files(folder)
map = map_widget.Map(points, items, browser.SR, "Sines " + browser.EVIL, folder=folder)
map
"""


def notebook(target: Path, *cells: str) -> Path:
    import nbformat  # 2 s, which a kernel that shows a map is spared

    book = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    book.metadata["kernelspec"] = kernel
    nbformat.write(book, target)
    return target
