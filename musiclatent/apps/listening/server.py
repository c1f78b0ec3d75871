"""Serve listening pages on this machine alone, and keep the answers that come back.

Only the pages and an index of them are read, and nothing but answers is written: a listener names
no file.
"""

import sys
import threading
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from musiclatent import config
from musiclatent.apps.listening import answers
from musiclatent.display import map_html
from musiclatent.errors import one_line, shown
from musiclatent.studies import STUDIES

HOST = "127.0.0.1"
PATIENCE_S = 30.0  # until a request is complete
HTML, TEXT = "text/html; charset=utf-8", "text/plain; charset=utf-8"
SENT = "Thank you, your answers have arrived."
MISSING = "there is no such page"


class Server(ThreadingHTTPServer):
    """A server of the pages that a profile's results hold.

    Parameters
    ----------
    base
        Folder of the results.
    port
        TCP port; 0 takes a free one.

    Raises
    ------
    ValueError
        If there is no page, or the port cannot be taken.
    """

    daemon_threads = True

    def __init__(self, base: Path, port: int) -> None:
        self.pages, self.writing = answers.pages(base), threading.Lock()
        if not self.pages:
            raise ValueError(
                f"{base} holds no listening page; make one with: make reproduce "
                f"PROFILE={Path(base).name} STUDY=waveform, or STUDY=edm for clusters and mixes"
            )
        try:
            super().__init__((HOST, port), _Handler)
        except (OSError, OverflowError) as error:
            reason = one_line(getattr(error, "strerror", None) or error)
            raise ValueError(f"port {port} cannot be taken ({reason}); choose another") from None

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of listeners who went away before they were answered."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)

    @property
    def address(self) -> str:
        """Where the pages are."""
        return f"http://{HOST}:{self.server_port}/"


class _Handler(BaseHTTPRequestHandler):
    """Answers one request."""

    server: Server
    timeout = PATIENCE_S
    server_version, sys_version = "musiclatent", ""

    def do_GET(self) -> None:
        """Return the index or a page."""
        name = self.path.strip("/")
        if not self._is_ours():
            return
        if not name:
            self._reply(HTTPStatus.OK, _index(self.server), HTML)
        elif name in self.server.pages and self.path.endswith("/"):
            page = (self.server.pages[name] / answers.PAGE).read_bytes()
            self._reply(HTTPStatus.OK, page, HTML)
        else:
            self._reply(HTTPStatus.NOT_FOUND, MISSING)

    def do_POST(self) -> None:
        """Keep answers."""
        study, _, rest = self.path.strip("/").partition("/")
        if not self._is_ours():
            return
        if study not in self.server.pages or rest != "answers":
            self._reply(HTTPStatus.NOT_FOUND, MISSING)
        elif self.headers.get_content_type() != "application/json":
            self._reply(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "answers are sent as json")
        elif (length := self._length()) is not None:
            self._keep(self.server.pages[study], self.rfile.read(length))

    def log_message(self, *_: object) -> None:
        """Say nothing of each request."""

    def _keep(self, folder: Path, sent: bytes) -> None:
        """Write answers and say so, or say why not."""
        try:
            with self.server.writing:
                path = answers.store(folder, sent)
        except ValueError as error:
            self._reply(HTTPStatus.BAD_REQUEST, one_line(error))
        except OSError as error:
            self._reply(HTTPStatus.INSUFFICIENT_STORAGE, one_line(error.strerror or error))
        else:
            print(f"answers: {shown(path)}", flush=True)
            self._reply(HTTPStatus.OK, SENT)

    def _is_ours(self) -> bool:
        """Return whether a request is for this server and from its own pages; else refuse it."""
        own = {f"{host}:{self.server.server_port}" for host in (HOST, "localhost")}
        origin = self.headers.get("Origin")
        if self.headers.get("Host") in own and (origin or "").removeprefix("http://") in own | {""}:
            return True
        self._reply(HTTPStatus.FORBIDDEN, f"open {self.server.address}")
        return False

    def _length(self) -> int | None:
        """Return how many bytes were sent; refuse what is too long, or of no length."""
        sent = self.headers.get("Content-Length", "")
        if not (sent.isascii() and sent.isdigit()):
            self._reply(HTTPStatus.LENGTH_REQUIRED, "the length of the answers is missing")
        elif len(sent) > 9 or int(sent) > answers.LARGEST:
            words = f"answers take {answers.LARGEST} bytes at most"
            self._reply(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, words)
        else:
            return int(sent)
        return None

    def _reply(self, status: HTTPStatus, content: str | bytes, kind: str = TEXT) -> None:
        """Send an answer, and close."""
        content = content.encode() if isinstance(content, str) else content
        self.send_response(status)
        headers = {"Content-Type": kind, "Content-Length": str(len(content)), "Connection": "close"}
        headers |= {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)


def _index(server: Server) -> str:
    """Return the page that leads to all others."""
    pages = [(f"{name}/", STUDIES[name].title) for name in server.pages if name in STUDIES]
    return map_html.render("listening.html.j2", pages=pages)


def listen(profile: str, results: str, port: int) -> Path:
    """Serve the listening pages of a profile until Ctrl-C; then say what listeners answered.

    Parameters
    ----------
    profile, results
        Whose results.
    port
        TCP port on this machine.

    Returns
    -------
    Path
        The folder of the results.

    Raises
    ------
    ValueError
        As `Server`, or if there is no such profile.
    """
    config.profile(profile)
    base = config.Workspace(profile=profile, study="waveform", results=results).base
    with Server(base, port) as server:
        print(f"the listening pages are at {server.address}\nCtrl-C ends it", flush=True)
        with suppress(KeyboardInterrupt):
            server.serve_forever()
    for name, folder in server.pages.items():
        print(f"{name}: {answers.sentence(folder)}", flush=True)
    return base
