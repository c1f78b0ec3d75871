"""The dashboard as a web page by Voila: always with a token, and on this machine by default.

Voila serves a copy of the executed notebook from a private folder, and no other file. The token
stands in a settings file that only its owner can read: other users see the command line.
"""

import importlib.util
import ipaddress
import json
import os
import re
import secrets
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nbformat

from musiclatent import config
from musiclatent.apps import voila_server
from musiclatent.config import Workspace
from musiclatent.display import map_html
from musiclatent.studies import study

TOKEN = "MUSICLATENT_TOKEN"  # environment variable with a token of one's own
LEAST = 16  # characters of a token
STATIC = "static"  # tag of cells that are for reading only
IDLE_S = 120  # a kernel whose page is closed ends after so long
LOOK_S = 30  # how often Voila checks that
PATIENCE_S = 60.0  # until the server answers
TEMPLATE = "musiclatent"


def dashboard(
    profile: str = "demo",
    results: str = "results",
    corpus: str = "",
    host: str = "127.0.0.1",
    port: int = 8866,
    prefix: str = "/",
) -> None:
    """Serve the dashboard of the study ``edm`` until it is stopped.

    Parameters
    ----------
    profile, results, corpus
        Whose results; a folder of one's own music takes the place of the study's corpora.
    host, port, prefix
        As in `serve`; the token is that of the environment variable ``MUSICLATENT_TOKEN`` if set.

    Raises
    ------
    ValueError
        As `serve`, or if there is no such profile.
    """
    if corpus:
        corpus = str((config.home() / Path(corpus).expanduser()).resolve())
    plan = study("edm", profile)
    folder = Workspace(profile=profile, study=plan.name, corpus=corpus, results=results).path(
        "notebooks"
    )
    notebook = folder / f"{plan.dashboard}.ipynb"
    if not notebook.exists():
        options = f"PROFILE={profile}" + (f" CORPUS={corpus}" if corpus else "")
        raise ValueError(f"{notebook} is not there; `make reproduce STUDY=edm {options}` makes it")
    token = os.environ.get(TOKEN) or None
    serve(notebook, host=host, port=port, token=token, prefix=prefix)


def serve(
    notebook: Path,
    *,
    host: str = "127.0.0.1",
    port: int = 8866,
    token: str | None = None,
    prefix: str = "/",
) -> None:
    """Serve a notebook as a page until Ctrl-C, or until the process is ended.

    Parameters
    ----------
    notebook
        An executed notebook; cells that are tagged ``static`` and all markdown are left out.
    host
        Address to bind. Any but this machine's own needs a token that was chosen on purpose.
    port
        TCP port, 1 to 65535.
    token
        What opens the page; None takes a random one, which is printed with the address.
    prefix
        Path of the page and of all that it asks for, such as ``/dance/``, where a reverse proxy
        serves other things beside it (docs/deploy.md).

    Raises
    ------
    ValueError
        If the notebook is missing, the token too short or not given where it must be, the address
        cannot be bound, the prefix is no path, or Voila is not installed.
    RuntimeError
        If the server does not start.
    """
    place = {"host": host, "port": port, "token": token, "prefix": prefix}
    with started(notebook, **place) as (address, server):
        print(f"the dashboard is at {address}\nCtrl-C ends it", flush=True)
        server.wait()


@contextmanager
def started(
    notebook: Path,
    *,
    host: str = "127.0.0.1",
    port: int = 8866,
    token: str | None = None,
    prefix: str = "/",
) -> Iterator[tuple[str, subprocess.Popen]]:
    """Start the server of `serve`, which lists what is raised; end it with its kernels on leaving.

    Yields
    ------
    str
        The address, with the token.
    Popen
        The server.
    """
    notebook = Path(notebook)
    _check(notebook, host, port, token)
    prefix = _path(prefix)
    token = token or secrets.token_urlsafe(32)
    short = "/tmp" if Path("/tmp").is_dir() else None  # a socket's path has 104 letters at most
    with tempfile.TemporaryDirectory(prefix="musiclatent-", dir=short) as folder:  # mode 0700
        page = _page(notebook, Path(folder) / "dashboard.ipynb")
        settings = _settings(host, port, token)
        settings["Voila"] |= {"connection_dir_root": folder, "base_url": prefix}
        _private(Path(folder) / "voila.json", json.dumps(settings))
        _template(Path(folder) / "voila" / "templates" / TEMPLATE)
        command = [sys.executable, "-m", voila_server.__name__, page.name, "--no-browser"]
        environment = os.environ | {
            "JUPYTER_CONFIG_DIR": folder,
            "JUPYTER_PATH": os.pathsep.join(filter(None, [folder, os.environ.get("JUPYTER_PATH")])),
            "MUSICLATENT_DATA": str(config.data_root()),
            "MUSICLATENT_HOME": str(config.home()),
            "TQDM_DISABLE": "1",
        }
        server = subprocess.Popen(command, cwd=folder, env=environment)
        try:
            _wait(server, host, port)
            shown = f"[{host}]" if ":" in host else host
            yield f"http://{shown}:{port}{prefix}?token={token}", server
        finally:
            _end(server)


def _settings(host: str, port: int, token: str) -> dict:
    """Return the settings of Voila; the names of its own options are what it obeys."""
    settings = {
        "Voila": {"token": token, "ip": host, "port": port, "port_retries": 0, "log_level": 40},
        "VoilaConfiguration": {
            "file_allowlist": [],
            # it comes with mkdocs-jupyter, and looks for a notebook that is not there
            "extension_denylist": ["jupyterlab-jupytext"],
            "strip_sources": True,
            "show_tracebacks": False,
            "allow_template_override": "NO",
            "template": TEMPLATE,
        },
        "MappingKernelManager": {"cull_idle_timeout": IDLE_S, "cull_interval": LOOK_S},
    }
    if os.name == "posix":  # a kernel on TCP can be reached by every user of the machine
        settings["KernelManager"] = {"transport": "ipc"}
    return settings


def _page(notebook: Path, target: Path) -> Path:
    """Copy what makes the page: code, but no outputs and no cells that are for reading only."""
    book = nbformat.read(notebook, as_version=4)
    cells = [cell for cell in book.cells if cell.cell_type == "code"]
    book.cells = [c for c in cells if STATIC not in c.metadata.get("tags", [])]
    for cell in book.cells:
        cell.outputs, cell.execution_count = [], None
    book.metadata.pop("widgets", None)
    _private(target, nbformat.writes(book))
    return target


def _template(folder: Path) -> None:
    """Write the page's template where Voila looks for it."""
    folder.mkdir(parents=True)
    (folder / "conf.json").write_text('{"base_template": "lab"}')
    (folder / "index.html.j2").write_text(map_html.static_text("voila.html.j2"))


def _private(path: Path, text: str) -> None:
    """Write a file that only its owner can read."""
    path.touch(mode=0o600, exist_ok=False)
    path.write_text(text, encoding="utf-8")


def _check(notebook: Path, host: str, port: int, token: str | None) -> None:
    """Validate what is to be served, and where."""
    if importlib.util.find_spec("voila") is None:
        raise ValueError("voila is not installed; `pip install 'musiclatent[lab]'` brings it")
    if not notebook.is_file():
        raise ValueError(f"{notebook} is not there; `make reproduce STUDY=edm` makes it")
    if not host:
        raise ValueError("'' is no address to bind; keep to 127.0.0.1")
    if not _local(host) and token is None:
        raise ValueError(
            f"{host} lets other machines in; choose a token of {LEAST} characters or more and set "
            f"{TOKEN} to it, or keep to 127.0.0.1"
        )
    if token is not None and (len(token) < LEAST or not token.isascii() or not token.isprintable()):
        raise ValueError(f"the token is not {LEAST} plain characters or more; choose another")
    _check_port(host, port)


def _path(prefix: str) -> str:
    """Return a prefix with a slash at both ends, or refuse it."""
    inner = prefix.strip("/")
    plain = re.fullmatch(r"([\w.-]+(/[\w.-]+)*)?", inner, re.ASCII)
    if not plain or ".." in inner:
        raise ValueError(f"{prefix!r} is no path of an address; give one such as /dance/")
    return f"/{inner}/" if inner else "/"


def _local(host: str) -> bool:
    """Return whether only this machine can reach an address."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _check_port(host: str, port: int) -> None:
    """Refuse an address that cannot be bound."""
    if not 1 <= port <= 65535:
        raise ValueError(f"there is no port {port}; choose one from 1 to 65535")
    try:
        family, _, _, _, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(place)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise ValueError(f"{host}, port {port}: {reason}; choose another port or host") from error


def _wait(server: subprocess.Popen, host: str, port: int) -> None:
    """Wait until the server listens."""
    wildcard = {"0.0.0.0": "127.0.0.1", "::": "::1"}
    until = time.monotonic() + PATIENCE_S
    while server.poll() is None and time.monotonic() < until:
        try:
            socket.create_connection((wildcard.get(host, host), port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError(f"Voila did not start on {host}, port {port}; what it says stands above")


def _end(server: subprocess.Popen) -> None:
    """End the server, which ends its kernels; Ctrl-C has reached it already."""
    if server.poll() is None:
        server.terminate()
    try:
        server.wait(15)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()
