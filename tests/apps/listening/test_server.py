"""The server of listening pages: what it gives, what it takes, and what it refuses."""

import http.client
import json
import threading

import numpy as np
import pandas as pd
import pytest
from helpers import browser

from musiclatent import audio
from musiclatent.apps import listening_test
from musiclatent.apps.listening import answers, server

SR = 8000


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """Results with a page of two questions."""
    base = tmp_path_factory.mktemp("results") / "demo"
    folder = base / "waveform"
    y = 0.5 * np.sin(2 * np.pi * 300 * np.arange(SR // 4) / SR)
    path = str(audio.write(base / "hidden.wav", y, SR))
    sounds = pd.DataFrame({"item_id": ["a", "b"], "path": path, "start_s": 0.0, "end_s": 0.25})
    rows = [("whole", 0, True, -1, -1, 0), ("whole", 1, False, -1, -1, 1)]
    key = listening_test.named(rows, sounds)
    listening_test.page(folder / answers.PAGE, key, sections=sounds, sr=SR, title="Codings")
    (folder / "tables").mkdir()
    key.to_csv(folder / answers.KEY, index=False)
    return base


@pytest.fixture
def served(base):
    with server.Server(base, 0) as one:
        thread = threading.Thread(target=one.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        yield one
        one.shutdown()
        thread.join()
    for path in base.glob("*/listening/*.json"):
        path.unlink()


def _ask(served, method: str, path: str, body=None, **headers) -> tuple[int, str]:
    connection = http.client.HTTPConnection(server.HOST, served.server_port, timeout=10)
    connection.request(method, path, body, {k.replace("_", "-"): v for k, v in headers.items()})
    reply = connection.getresponse()
    text = reply.read().decode()
    connection.close()
    return reply.status, text


def _sent(base, rater: str = "Ann") -> bytes:
    names = pd.read_csv(base / "waveform" / answers.KEY)["question"]
    content = {"rater": rater, "saved": "2026-01-01T00:00:00Z", "answers": {names[0]: True}}
    return json.dumps(content).encode()


JSON = {"Content_Type": "application/json"}


def test_pages_are_given_and_answers_kept(served, base):
    status, index = _ask(served, "GET", "/")
    assert status == 200 and '<a href="waveform/">Waveform autoencoder</a>' in index
    assert _ask(served, "GET", "/waveform/")[1] == (base / "waveform" / answers.PAGE).read_text()
    status, said = _ask(served, "POST", "/waveform/answers", _sent(base), **JSON)
    assert (status, said) == (200, server.SENT)
    (path,) = base.glob("waveform/listening/*.json")
    assert json.loads(path.read_text())["rater"] == "Ann"


def test_nothing_else_is_given(served):
    for path in (
        "/waveform", "/edm/", "/waveform/listen.html", "/waveform/../hidden.wav", "/../hidden.wav",
        "/waveform/tables/listening_key.csv", "//etc/passwd", "/%2e%2e/hidden.wav", "/waveform/x/",
    ):  # fmt: skip
        assert _ask(served, "GET", path) == (404, server.MISSING), path
    assert _ask(served, "POST", "/waveform/other", b"{}", **JSON)[0] == 404
    assert _ask(served, "DELETE", "/waveform/")[0] == 501


def test_other_sites_other_types_and_other_sizes_are_refused(served, base):
    sent = _sent(base)
    asked = ("POST", "/waveform/answers", sent)
    assert _ask(served, *asked, Content_Type="text/plain")[0] == 415
    assert _ask(served, *asked, **JSON, Origin="http://evil.example")[0] == 403
    assert _ask(served, *asked, **JSON, Origin="null")[0] == 403
    assert _ask(served, *asked, **JSON, Host="evil.example")[0] == 403
    assert _ask(served, "GET", "/", Host="evil.example:80")[0] == 403
    assert _ask(served, *asked, **JSON, Content_Length="-1")[0] == 411
    assert _ask(served, *asked, **JSON, Content_Length="9" * 30)[0] == 413
    assert _ask(served, *asked, **JSON, Content_Length=str(answers.LARGEST + 1))[0] == 413
    status, why = _ask(served, "POST", "/waveform/answers", b"{", **JSON)
    assert status == 400 and why == "it is no file of answers; save them again in the page"
    assert not list(base.glob("waveform/listening/*.json"))
    own = f"http://127.0.0.1:{served.server_port}"
    assert _ask(served, *asked, **JSON, Origin=own)[0] == 200


def test_a_full_disk_is_said(served, base, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(answers.files, "write_json", full)
    status, why = _ask(served, "POST", "/waveform/answers", _sent(base), **JSON)
    assert (status, why) == (507, "No space left on device")


def test_a_listener_who_goes_away_is_no_error_and_a_fault_is(served, capsys):
    for error, said in ((BrokenPipeError(), False), (KeyError("a fault"), True)):
        try:
            raise error
        except (OSError, KeyError):
            served.handle_error(None, (server.HOST, 1))
        assert ("a fault" in capsys.readouterr().err) == said


def test_without_pages_or_with_a_port_in_use_it_says_what_to_do(served, base, tmp_path):
    with pytest.raises(ValueError, match="holds no listening page; .* PROFILE=tiny STUDY=waveform"):
        server.Server(tmp_path / "tiny", 0)
    for port, reason in ((served.server_port, "in use"), (99_999, "0-65535")):
        with pytest.raises(ValueError, match=rf"port {port} cannot be taken \(.*{reason}.*\)"):
            server.Server(base, port)


def test_a_listener_answers_in_a_browser_and_sends(served, base, driver):
    page = browser.Page(driver)
    driver.get(f"{served.address}waveform/")
    page.wait("document.activeElement.id === 'rater'")
    driver.execute_cdp_cmd("Input.insertText", {"text": "Zoë"})
    page.ask("document.querySelector('form button').click()")
    for _ in range(2):
        page.ask("document.querySelector('.sounds button').click()")
        page.wait("!document.querySelector('.answers button').disabled")
        page.ask("document.querySelector('.answers button').click()")
    assert page.text(".card button") == "Send answers"
    page.ask("document.querySelector('.card button').click()")
    page.wait(f"document.querySelector('[role=status]').textContent === '{server.SENT}'")
    (path,) = base.glob("waveform/listening/*.json")
    kept = json.loads(path.read_text())
    assert kept["rater"] == "Zoë" and list(kept["answers"].values()) == [True, True]
    assert page.complaints() == []
    page.ask("localStorage.clear()")
