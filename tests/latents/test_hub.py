"""Sharing models over a hub, which is a small server here that answers what the client asks."""

import base64
import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from helpers.models import untrained

from musiclatent.errors import CheckpointError
from musiclatent.latents import hub
from musiclatent.training import run_folder

pytest.importorskip("huggingface_hub")
COMMIT = "0" * 40


class _Hub(BaseHTTPRequestHandler):
    """The few routes that are asked for; `files` is the one model that it has."""

    files: dict[str, bytes]
    owner = "me/small"

    def log_message(self, *_: object) -> None:
        """Keep quiet."""

    def _send(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _address(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"

    def _json(self, value: object) -> None:
        self._send(200, json.dumps(value).encode(), Content_Type="application/json")

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path.startswith(f"/api/models/{self.owner}/tree/"):
            rows = [
                {"type": "file", "path": name, "size": len(body), "oid": "1" * 40}
                for name, body in self.files.items()
            ]
            self._json(rows)
        elif path.startswith(f"/api/models/{self.owner}"):
            names = [{"rfilename": name} for name in self.files]
            self._json({"id": self.owner, "sha": COMMIT, "siblings": names})
        elif path.startswith(f"/{self.owner}/resolve/") and Path(path).name in self.files:
            body = self.files[Path(path).name]
            etag = f'"{hashlib.sha256(body).hexdigest()}"'
            self._send(200, body, ETag=etag, X_Repo_Commit=COMMIT)
        else:
            self._send(404, b"{}", X_Error_Code="RepoNotFound")

    do_HEAD = do_GET  # noqa: N815, as the server calls it

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path == "/api/repos/create":
            self._json({"url": f"{self._address()}/{self.owner}", "name": self.owner})
        elif self.path == "/api/validate-yaml":
            self._json({"errors": [], "warnings": []})
        elif "/preupload/" in self.path:
            names = [row["path"] for row in json.loads(body)["files"]]
            rows = [{"path": n, "uploadMode": "regular", "shouldIgnore": False} for n in names]
            self._json({"files": rows})
        elif "/commit/" in self.path:
            for line in filter(None, body.splitlines()):
                row = json.loads(line)
                if row["key"] == "file":
                    content = base64.b64decode(row["value"]["content"])
                    self.files[row["value"]["path"]] = content
            url = f"{self._address()}/{self.owner}/commit/{COMMIT}"
            self._json({"success": True, "commitOid": COMMIT, "commitUrl": url})
        else:
            self._send(404, b"{}")


@pytest.fixture
def files(tmp_path, monkeypatch):
    """What the hub has; it listens while the test runs."""
    handler = type("Hub", (_Hub,), {"files": {}})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_TOKEN", "hf_test")
    yield handler.files
    server.shutdown()
    server.server_close()


def _left() -> list[Path]:
    """All files below the folder of what was fetched."""
    return [path for path in hub.fetched_home().rglob("*") if path.is_file()]


def test_a_model_goes_to_the_hub_and_comes_back(files, tmp_path):
    folder = untrained(tmp_path).folder
    (folder / "best.ckpt").write_bytes(b"pickled")
    (folder / hub.CARD).write_text("# small\n")
    assert hub.push(folder, "hub:me/small").endswith("/me/small")
    assert set(files) == {"config.json", "model.safetensors", "README.md"}
    fetched = hub.pull("hub:me/small")
    assert fetched == hub.fetched_home() / "me" / "small"
    assert {path.name for path in fetched.iterdir()} == set(files)
    sent, came = run_folder.load_model(folder), run_folder.load_model(fetched)
    for name, value in sent.state_dict().items():
        np.testing.assert_array_equal(came.state_dict()[name], value)
    files.clear()  # what is there is not asked for again
    assert hub.pull("hub:me/small") == fetched


def test_what_is_pickled_or_broken_is_not_taken(files, tmp_path):
    folder = untrained(tmp_path).folder
    files["config.json"] = (folder / "config.json").read_bytes()
    files["model.safetensors"] = b"\x80\x04pickled"
    files["pytorch_model.bin"] = b"\x80\x04pickled"
    with pytest.raises(CheckpointError, match="is not the file that config.json describes"):
        hub.pull("hub:me/small")
    del files["model.safetensors"]
    with pytest.raises(CheckpointError, match="holds no whole model"):
        hub.pull("hub:me/small")
    assert not _left()


def test_a_name_that_the_hub_has_not_is_one_sentence(files):
    with pytest.raises(CheckpointError, match="hub:me/none: there is no such model") as caught:
        hub.pull("hub:me/none")
    assert "\n" not in str(caught.value) and not _left()


def test_no_network_is_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with pytest.raises(CheckpointError, match="the hub cannot be reached or refuses") as caught:
        hub.pull("hub:me/small")
    assert "\n" not in str(caught.value) and not _left()


@pytest.mark.parametrize(
    "spec", ["hub:small", "hub:", "hub:../x", "hub:a/..", "hub:a/b/c", "a b/c"]
)
def test_what_is_no_name_of_a_hub_is_refused(spec):
    with pytest.raises(CheckpointError, match="write hub:OWNER/NAME"):
        hub.pull(spec)


def test_an_export_is_two_files_and_a_card_and_replaces_nothing(tmp_path):
    folder = untrained(tmp_path).folder
    (folder / "last.ckpt").write_bytes(b"pickled")
    target = hub.export(folder, tmp_path / "out" / "model")
    assert {path.name for path in target.iterdir()} == {"config.json", "model.safetensors"}
    with pytest.raises(CheckpointError, match="is there already; name another folder"):
        hub.export(folder, target)
    with pytest.raises(CheckpointError, match="holds no whole model"):
        hub.export(tmp_path / "none", tmp_path / "new")
    assert not (tmp_path / "new").exists() and len(list((tmp_path / "out").iterdir())) == 1
