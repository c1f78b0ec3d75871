"""The dashboard as a page: who may open it, what it gives away, and how it ends."""

import base64
import hashlib
import json
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest
import requests
import websocket
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from musiclatent.apps import voila

pytest.importorskip("voila")
HIDDEN = (
    "/voila/files/dashboard.ipynb",
    "/voila/files/voila.json",
    "/voila/files/picture.png",
    "/voila/files/../voila.json",
    "/voila/files/%2e%2e/%2e%2e/etc/passwd",
    "/dashboard.ipynb",
    "/voila/tree",
    "/voila/render/dashboard.ipynb",
    "/api/kernels",
    "/api/contents",
    "/api/sessions",
    "/api/terminals",
    "/voila/api/contents",
    "/files/voila.json",
    "/static/../voila.json",
    "/voila/static/../../app.py",
    "/voila/static/%2e%2e/%2e%2e/app.py",
    "/../../../../etc/passwd",
    "/..%2f..%2f..%2fetc%2fpasswd",
)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _notebook(path: Path) -> Path:
    """A notebook that leaves the number of its kernel's process behind, and says a word."""
    left = f"import os; open({str(path.with_name('pid'))!r}, 'w').write(str(os.getpid()))"
    cells = [
        new_markdown_cell("# For readers alone"),
        new_code_cell(f"secret_source = 1; {left}"),
        new_code_cell("print('shown', 6 * 7)"),
        new_code_cell("print('static', 6 * 9)", metadata={"tags": ["static"]}),
        new_code_cell("raise ValueError('what went wrong')"),
    ]
    about = {"display_name": "Python 3", "language": "python", "name": "python3"}
    nbformat.write(new_notebook(cells=cells, metadata={"kernelspec": about}), path)
    return path


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """Address, token, process and the file of the kernel's number; ended by Ctrl-C."""
    folder = tmp_path_factory.mktemp("served")
    code = (  # a shell's background jobs ignore Ctrl-C, and so would this
        "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "from musiclatent.apps import voila; "
        "voila.serve(sys.argv[1], port=int(sys.argv[2]))"
    )
    command = [sys.executable, "-c", code, str(_notebook(folder / "book.ipynb")), str(_free_port())]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, start_new_session=True,
        env=os.environ | {"TMPDIR": str(folder)},
    )  # fmt: skip
    try:
        line = process.stdout.readline()
        address, token = re.search(r"(http://127\.0\.0\.1:\d+)/\?token=(\S+)", line).groups()
        yield address, token, process, folder
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(20)


def _place(folder: Path) -> Path:
    """Find the private folder of the server: its kernel was given a file in it."""
    kernel = Path(f"/proc/{(folder / 'pid').read_text()}")
    return Path((kernel / "cmdline").read_text().split("\0")[-2]).parents[1]


def _raw(address: str, path: str, query: str = "") -> requests.Response:
    """Ask for a path as it stands: requests would tidy the dots away."""
    session = requests.Session()
    request = session.prepare_request(requests.Request("GET", address))
    request.url = address + path + query
    return session.send(request, allow_redirects=False, timeout=30)


def _tells(answer: requests.Response) -> bool:
    """Tell whether an answer holds anything of the notebook, the settings or the machine."""
    words = (
        b"shown 42",
        b"secret_source",
        b"static 54",
        b"root:",
        b'"token"',
        b"import ",
        b"execution",
    )
    return any(word in answer.content for word in words)


def test_without_the_token_nothing_is_told(served):
    address, token, _, folder = served
    for path in ("/", "/?token=wrong", f"/?token={token[:-1]}", *HIDDEN):
        answer = _raw(address, path)
        assert answer.status_code in (302, 403, 404, 405), (path, answer.status_code)
        assert not _tells(answer), path
    assert requests.get(address, timeout=30).url.startswith(f"{address}/login")
    assert not (folder / "pid").exists()  # no kernel was started for them


def test_with_the_token_there_is_the_page_and_no_file(served):
    address, token, _, folder = served
    session = requests.Session()
    answer = session.get(address, params={"token": token}, timeout=120)
    assert answer.status_code == 200 and "shown 42" in answer.text
    for word in ("static 54", "secret_source", "For readers alone", "what went wrong", str(folder)):
        assert word not in answer.text, word
    for path in HIDDEN:
        answer = _raw(address, path, f"?token={token}")
        assert answer.status_code in (302, 403, 404, 405), (path, answer.status_code)
        assert not _tells(answer), path


def test_a_kernel_cannot_be_reached_without_the_token(served):
    address, _, _, folder = served
    kernel = next(_place(folder).rglob("kernel-*.json")).stem.removeprefix("kernel-")
    for path in (f"/api/kernels/{kernel}", f"/api/kernels/{kernel}/channels"):
        assert _raw(address, path).status_code in (302, 403)
    for path in (f"/voila/api/shutdown/{kernel}", f"/api/kernels/{kernel}/interrupt"):
        assert requests.post(address + path, timeout=30).status_code in (403, 404, 405)
    assert Path(f"/proc/{(folder / 'pid').read_text()}").exists()


def test_only_the_owner_can_read_the_token(served):
    _, token, _, folder = served
    settings = _place(folder) / "voila.json"
    assert token in settings.read_text()
    assert stat.S_IMODE(settings.stat().st_mode) == 0o600
    assert stat.S_IMODE(settings.parent.stat().st_mode) == 0o700
    listed = subprocess.run(["ps", "ax", "-o", "args"], capture_output=True, text=True, check=True)
    assert "voila" in listed.stdout and token not in listed.stdout
    assert len(token) >= 40


def test_it_listens_on_this_machine_alone(served):
    port = int(served[0].rsplit(":", 1)[1])
    for table in ("tcp", "tcp6"):
        rows = [line.split() for line in Path(f"/proc/net/{table}").read_text().split("\n")[1:-1]]
        bound = {row[1] for row in rows if row[3] == "0A"}
        assert bound & {f"0100007F:{port:04X}"} or table == "tcp6"
        assert not any(name.endswith(f":{port:04X}") for name in bound - {f"0100007F:{port:04X}"})


def test_ctrl_c_ends_it_with_its_kernels_and_leaves_nothing(served):
    _, _, process, folder = served
    kernel = Path(f"/proc/{(folder / 'pid').read_text()}")
    place = _place(folder)
    assert place.name.startswith("musiclatent-") and (place / "voila.json").exists()
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    assert process.wait(30) in (0, 1, -signal.SIGINT)
    until = time.monotonic() + 5
    while kernel.exists() and time.monotonic() < until:
        time.sleep(0.1)
    assert not kernel.exists() and not place.exists()
    assert sorted(path.name for path in folder.iterdir()) == ["book.ipynb", "pid"]


# What is refused before anything starts


def test_what_cannot_be_served_is_one_sentence(tmp_path, monkeypatch):
    book = _notebook(tmp_path / "book.ipynb")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        for more, words in (
            ({"port": port}, f"127.0.0.1, port {port}: address already in use; choose another"),
            ({"port": 0}, "there is no port 0; choose one from 1 to 65535"),
            ({"host": "0.0.0.0"}, "0.0.0.0 lets other machines in; choose a token of 16"),
            ({"host": "::"}, ":: lets other machines in"),
            ({"host": ""}, "'' is no address"),
            ({"prefix": "/a b/"}, "'/a b/' is no path of an address; give one such as /dance/"),
            ({"prefix": "/../"}, "is no path of an address"),
            ({"token": "short"}, "the token is not 16 plain characters or more"),
            ({"token": "é" * 20}, "the token is not 16 plain characters or more"),
            ({"host": "no such host", "token": "x" * 16}, "no such host, port 8866: .*; choose"),
        ):
            with pytest.raises(ValueError, match=words) as caught:
                voila.serve(book, **more)
            assert "\n" not in str(caught.value)
    with pytest.raises(ValueError, match="is not there; `make reproduce STUDY=edm` makes it"):
        voila.serve(tmp_path / "none.ipynb")


def test_the_dashboard_of_a_profile_that_has_not_run_names_the_command(tmp_path):
    results = str(tmp_path)
    with pytest.raises(ValueError, match="`make reproduce STUDY=edm PROFILE=real` makes it"):
        voila.dashboard("real", results)
    with pytest.raises(ValueError, match=r"PROFILE=demo CORPUS=.*/music` makes it"):
        voila.dashboard("demo", results, str(tmp_path / "music"))
    with pytest.raises(ValueError, match="profile"):
        voila.dashboard("nonsense", results)
    assert not list(tmp_path.iterdir())


# Behind a login, as docs/deploy.md says

WHO, TOKEN = ("listener", "a good password"), "only-the-proxy-knows-this-token"
NGINX = shutil.which("nginx", path=os.pathsep.join([os.environ["PATH"], "/usr/sbin"]))
behind_a_login = pytest.mark.skipif(NGINX is None, reason="needs nginx: apt-get install nginx")


def _configured(folder: Path, ports: tuple[int, int]) -> Path:
    """Write the documented settings with this machine's values in the place of the capitals."""
    digest = base64.b64encode(hashlib.sha1(WHO[1].encode()).digest()).decode()
    (folder / "passwords").write_text(f"{WHO[0]}:{{SHA}}{digest}\n")
    text = Path(voila.__file__).parents[2].joinpath("docs", "nginx.conf").read_text()
    values = {"LOGS": folder, "PASSWORDS": folder / "passwords", "TOKEN": TOKEN}
    for name, value in (values | dict(zip(("LISTEN", "BEHIND"), ports, strict=True))).items():
        text, count = re.subn(rf"\b{name}\b", str(value), text.replace("CAPITALS", ""))
        assert count, f"docs/nginx.conf names no {name}"
    path = folder / "nginx.conf"
    path.write_text(text)
    return path


@pytest.fixture(scope="module")
def login(tmp_path_factory):
    """Address of the page behind nginx, and the folder of the number of its kernel."""
    folder = tmp_path_factory.mktemp("login")
    outside, inside = _free_port(), _free_port()
    book = _notebook(folder / "book.ipynb")
    place = {"port": inside, "token": TOKEN, "prefix": "/dance"}
    here = "daemon off;" + (" user root;" if os.getuid() == 0 else "")  # who may read the folder
    command = [NGINX, "-c", _configured(folder, (outside, inside)), "-g", here]
    command += ["-e", folder / "error.log"]
    with voila.started(book, **place), subprocess.Popen(command) as nginx:
        try:
            until = time.monotonic() + 10
            while not (folder / "nginx.pid").exists() and time.monotonic() < until:
                time.sleep(0.05)
            yield f"http://127.0.0.1:{outside}/dance/", folder
        finally:
            nginx.terminate()


@behind_a_login
def test_without_the_password_nothing_is_told_and_no_kernel_starts(login):
    address, folder = login
    for who in (None, (WHO[0], "wrong"), ("nobody", WHO[1])):
        for path in ("", "voila/static/voila.js", "api/kernels", f"?token={TOKEN}"):
            answer = requests.get(address + path, auth=who, timeout=30)
            assert answer.status_code == 401 and not _tells(answer), (who, path)
    assert not (folder / "pid").exists()


@behind_a_login
def test_with_the_password_there_is_the_page_and_its_files_and_no_token(login):
    address, _ = login
    answer = requests.get(address, auth=WHO, timeout=120)
    assert answer.status_code == 200 and "shown 42" in answer.text
    assert TOKEN not in answer.text and answer.url == address
    files = set(re.findall(r'(?:src|href)="(/[^"]+\.(?:js|css))', answer.text))
    assert files and all(path.startswith("/dance/") for path in files)
    for path in files:
        full = address.removesuffix("/dance/") + path
        assert requests.get(full, auth=WHO, timeout=30).status_code == 200, path
        assert requests.get(full, timeout=30).status_code == 401, path
    assert requests.get(address.replace("/dance/", "/"), auth=WHO, timeout=30).status_code == 404


@behind_a_login
def test_a_kernel_speaks_through_the_proxy_with_who_has_the_password_alone(login):
    address, _ = login
    page = requests.get(address, auth=WHO, timeout=120).text
    kernel = re.search(r'"kernelId": "([0-9a-f-]{36})"', page)[1]
    channels = f"{address.replace('http', 'ws', 1)}api/kernels/{kernel}/channels"
    knows = "Authorization: Basic " + base64.b64encode(":".join(WHO).encode()).decode()
    for header, origin, status in (([], None, 401), ([knows], "http://other.example", 403)):
        with pytest.raises(websocket.WebSocketBadStatusException) as refused:
            websocket.create_connection(channels, header=header, origin=origin, timeout=30)
        assert refused.value.status_code == status
    speaking = websocket.create_connection(channels, header=[knows], timeout=30)
    about = {"msg_id": "one", "msg_type": "kernel_info_request", "username": "", "session": "s"}
    asked = {"header": about | {"version": "5.3"}, "parent_header": {}, "metadata": {}}
    speaking.send(json.dumps(asked | {"content": {}, "channel": "shell"}))
    answers = (json.loads(speaking.recv()) for _ in range(20))
    said = next(one for one in answers if one["header"]["msg_type"] == "kernel_info_reply")
    assert said["content"]["language_info"]["name"] == "python"
    speaking.close()
