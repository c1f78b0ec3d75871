"""The map in JupyterLab and in Voila: real servers, real kernels, headless Chromium."""

import json
import time
from http.client import HTTPConnection
from importlib.util import find_spec
from urllib.parse import urlsplit

import numpy as np
import pytest
from helpers import browser
from helpers.browser import EVIL, N

from musiclatent.apps.voila import started
from musiclatent.display import map_page

TITLE = EVIL.replace("\ud800", "\ufffd")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Hold the sound: outside what the servers serve."""
    folder = tmp_path_factory.mktemp("sound")
    browser.sine_files(folder)
    return folder


@pytest.fixture(scope="module")
def sounds(folder):
    """Encode the twenty segments here, to compare with what plays there."""
    _, items = browser.sine_files(folder)
    return map_page.segments(items, browser.SR)


@pytest.fixture(scope="module")
def lab(driver, folder, tmp_path_factory):
    """Open a notebook in JupyterLab and run its cell, which shows the map."""
    if not find_spec("jupyterlab"):
        pytest.skip("needs JupyterLab: pip install musiclatent[lab]")
    place = tmp_path_factory.mktemp("lab")
    with browser.lab(place) as url:
        browser.notebook(place / "books" / "map.ipynb", browser.map_cell(folder), "")
        page = browser.Lab(driver)
        page.open(url.format("map.ipynb"))
        page.run_all()
        yield page


@pytest.fixture(scope="module")
def voila(driver, folder, tmp_path_factory):
    """Serve the same notebook by Voila; give the page and its address with the token."""
    if not find_spec("voila"):
        pytest.skip("needs Voila: pip install musiclatent[lab]")
    target = tmp_path_factory.mktemp("voila") / "map.ipynb"
    book = browser.notebook(target, browser.map_cell(folder))
    with started(book, port=browser.free_port()) as (address, _):
        page = browser.Hosted(driver)
        page.open(address)
        yield page, address
        driver.get("about:blank")  # while there is a server for its goodbye


def _plays(page, i: int, sounds: list[bytes]) -> None:
    """Click a point, and check that its own segment plays, by its bytes and by its pitch."""
    page.click(*page.place(i))
    page.wait(f"document.querySelector('audio').dataset.index === '{i}'")
    index, sound = page.playing()
    assert index == i
    assert sound == sounds[i]
    assert browser.pitch_hz(sound) == pytest.approx(55 * (i + 1), abs=2)


def _value(lab, expression: str):
    return json.loads(lab.run(f"import json; print(json.dumps({expression}))"))


def _in_python(lab, expression: str, expected) -> None:
    """Wait until Python has a value: what the page sends is on its way."""
    until = time.monotonic() + 5
    while (
        value := json.loads(lab.run(f"import json; print(json.dumps({expression}))"))
    ) != expected:
        assert time.monotonic() < until, f"{expression} is {value}"


def _title_shows_as_text(page) -> None:
    assert page.text(".ml-map h1") == f"Sines {TITLE}"
    page.mouse("mouseMoved", *page.place(2))
    page.wait("!document.querySelector('.tip').hidden")
    assert page.text(".tip .title") == TITLE
    assert page.ask("window.bad") is None
    assert page.ask("document.querySelectorAll('.ml-map img, .ml-map i').length") == 0


# JupyterLab


def test_each_point_plays_its_own_segment_in_jupyterlab(lab, sounds):
    for i in range(N):
        _plays(lab, i, sounds)
    _in_python(lab, "map.clicked", {"index": N - 1, "count": N})
    _plays(lab, N - 1, sounds)
    _in_python(lab, "map.clicked", {"index": N - 1, "count": N + 1})


def test_a_title_with_markup_shows_as_text_in_jupyterlab(lab):
    _title_shows_as_text(lab)


def test_a_box_and_a_lasso_reach_python(lab):
    spots = np.array([lab.place(i) for i in (0, 1, 5, 6)])
    (left, top), (right, bottom) = spots.min(0) - 12, spots.max(0) + 12
    lab.press(".ml-map button", "Box")
    lab.drag([(left, top), (right, bottom)])
    _in_python(lab, "sorted(map.selected)", [0, 1, 5, 6])
    x, y = np.transpose([lab.place(i) for i in (8, 9, 14)])
    lab.press(".ml-map button", "Lasso")
    lab.drag([(x[0] - 12, y[0] + 6), (x[0] + 2, y[0] + 14), (x[2] + 12, y[2] - 12),
              (x[1] + 14, y[1] + 12), (x[0] - 12, y[0] + 6)])  # fmt: skip
    _in_python(lab, "sorted(map.selected) != [0, 1, 5, 6]", True)
    inside = _value(lab, "sorted(map.selected)")
    _in_python(lab, "sorted(map.selection()['start_s'].index)", inside)
    assert 2 <= len(inside) <= 4
    assert {8, 9} & set(inside)
    lab.press(".ml-map button", "Move")


def test_a_selection_from_python_shows_in_the_page(lab):
    lab.run("map.selected = [3, 4, 11]")
    lab.wait("document.querySelector('.picked h2').textContent === '3 selected'")
    rows = "[...document.querySelectorAll('.picked [data-row]')].map(row => +row.dataset.row)"
    assert sorted(lab.ask(rows)) == [3, 4, 11]


def test_a_name_and_a_playlist_go_to_python(lab, folder):
    lab.run("map.selected = [3, 4, 11]")
    lab.wait("document.querySelector('.picked h2').textContent === '3 selected'")
    lab.ask("document.querySelector('.picked .label').focus()")
    lab.driver.execute_cdp_cmd("Input.insertText", {"text": "<b>mine"})
    lab.press(".picked .name", "Name")
    _in_python(lab, "list(map.items.get('named', [])[[3, 4, 5]])", ["<b>mine", "<b>mine", ""])
    lab.press(".picked .list", "Playlist")
    _in_python(lab, "(folder / 'selection.xspf').exists()", True)
    assert "<location>" in (folder / "selection.xspf").read_text("utf-8")


def test_sound_plays_while_the_kernel_is_busy(lab, sounds):
    lab.start("import time\nprint('asleep', flush=True)\ntime.sleep(3)")
    lab.wait(f"JSON.stringify({lab.book}.content.activeCell.model.outputs).includes('asleep')")
    spot = lab.place(7)
    start = time.monotonic()
    lab.click(*spot)
    lab.wait("document.querySelector('audio').dataset.index === '7'", 1)
    assert lab.playing() == (7, sounds[7])
    assert time.monotonic() - start < 1
    assert not lab.ask("over")
    lab.ask("ran")


def test_above_the_limit_a_click_asks_and_what_is_no_row_is_refused(lab, sounds):
    lab.ask("jupyterapp.commands.execute('notebook:clear-all-cell-outputs').then(() => 1)")
    lab.wait("!document.querySelector('.points')")
    lab.start("asked = map_widget.Map(points, items, browser.SR, 'Asked', limit_mb=0)\nasked")
    lab.painted()
    for i in (4, 17):
        _plays(lab, i, sounds)
    comm = _value(lab, "asked.comm.comm_id")
    for i in (N, -1, 1.5, "../1.wav", None):
        answer = lab.send(comm, {"ask": i, "number": 99})
        assert (answer["number"], answer["index"]) == (99, i)
        assert "there is no row" in answer["refused"]


def test_jupyterlab_has_nothing_to_complain_of(lab):
    assert lab.complaints() == []


# Voila


def test_each_point_plays_its_own_segment_in_voila(voila, sounds):
    page, _ = voila
    for i in range(N):
        _plays(page, i, sounds)


def test_a_title_with_markup_shows_as_text_in_voila(voila):
    page, _ = voila
    _title_shows_as_text(page)


def test_voila_has_nothing_to_complain_of_and_asks_no_other_server(voila):
    page, address = voila
    assert [line for line in page.complaints() if line["level"] == "SEVERE"] == []
    asked = page.ask("performance.getEntriesByType('resource').map(entry => entry.name)")
    hosts = {urlsplit(url).netloc for url in asked if url.startswith("http")}
    assert hosts == {urlsplit(address).netloc}


def _status(address: str, path: str) -> int:
    """Ask for a path as it is written: a client that tidies it would hide the attack."""
    connection = HTTPConnection(urlsplit(address).netloc, timeout=10)
    connection.request("GET", path)
    try:
        return connection.getresponse().status
    finally:
        connection.close()


FILES = (
    "/voila/files/", "/voila/files/dashboard.ipynb", "/voila/files/voila.json",
    "/static/voila.json", "/voila/static/voila.json", "/voila/static/../voila.json",
    "/static/..%2fvoila.json", "/voila/files/../voila.json", "/voila/files/%2e%2e/voila.json",
    "/voila/files//etc/passwd", "/voila/files/%2fetc%2fpasswd", "/api/contents/voila.json",
    "/files/voila.json", "/nbextensions/voila.json",
)  # fmt: skip


def test_without_the_token_voila_gives_nothing(voila):
    _, address = voila
    pages = ("/", "/?token=", "/?token=0", "/voila/render/dashboard.ipynb", "/api/kernels")
    for path in (*pages, "/api/contents", *FILES):
        assert _status(address, path) in (302, 400, 401, 403, 404, 405), path


def test_with_the_token_voila_gives_the_page_and_no_file(voila):
    page, address = voila
    assert page.ask("performance.getEntriesByType('navigation')[0].responseStatus") == 200
    for path in FILES:
        status = _status(address, f"{path}?{urlsplit(address).query}")
        assert status in (302, 400, 403, 404), path
