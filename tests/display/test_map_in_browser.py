"""What the explorer's component does beside playing: colour, selection, lists, pictures, rows."""

import base64
import json

import numpy as np
import pandas as pd
import pytest
from helpers.browser import EVIL, N, Page, pitch_hz, twenty_sines
from matplotlib.path import Path as Outline

from musiclatent.display import map_html, map_page, style

SHOWN = EVIL.replace("\ud800", "\ufffd")
NEAR = np.stack([(np.arange(N) + step) % N for step in (7, 3, 11)], 1)


def _copy(selector: str) -> str:
    """Copy a canvas: to read it itself makes it slow, of which the browser complains."""
    return (
        "(c => { const pen = new OffscreenCanvas(c.width, c.height)"
        ".getContext('2d', { willReadFrequently: true });"
        f"pen.drawImage(c, 0, 0); return pen; }})(document.querySelector('{selector}'))"
    )


class Map(Page):
    """A page with real keys for its fields and drags for its tools."""

    def middle(self, selector: str) -> tuple[float, float]:
        self.ask(f"document.querySelector('{selector}').scrollIntoView({{block: 'nearest'}})")
        box = f"document.querySelector('{selector}').getBoundingClientRect()"
        return self.ask(f"(b => [b.x + b.width / 2, b.y + b.height / 2])({box})")

    def press(self, selector: str):
        self.click(*self.middle(selector))

    def type(self, selector: str, text: str):
        self.press(selector)
        for letter in text:
            key = {"key": letter, "text": letter}
            self.driver.execute_cdp_cmd("Input.dispatchKeyEvent", {"type": "keyDown"} | key)
            self.driver.execute_cdp_cmd("Input.dispatchKeyEvent", {"type": "keyUp"} | key)

    def letter(self, letter: str, code: int = 0):
        key = {"key": letter, "text": "\r" if letter == "Enter" else letter}
        key |= {"windowsVirtualKeyCode": code}
        self.driver.execute_cdp_cmd("Input.dispatchKeyEvent", {"type": "keyDown"} | key)
        self.driver.execute_cdp_cmd("Input.dispatchKeyEvent", {"type": "keyUp"} | key)

    def drag(self, path, **more):
        more |= {"button": "left"}
        self.mouse("mousePressed", *path[0], buttons=1, clickCount=1, **more)
        for spot in path[1:]:
            self.mouse("mouseMoved", *spot, buttons=1, **more)
        self.mouse("mouseReleased", *path[-1], clickCount=1, **more)

    def colour(self, name: str):
        self.ask(
            "(s => { s.value = " + json.dumps(name) + "; s.dispatchEvent(new Event('change')); })"
            "(document.querySelector('.ml-map select')); "
            "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(() => done(1))))"
        )

    def pixels(self, *rows: int) -> list[list[int]]:
        self.ask("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
        at = "document.body.explorer.place(i).map(Math.round)"
        image = f"const pen = {_copy('.points')}"
        part = "pen.getImageData(x, y, 1, 1).data"
        return self.ask(
            f"{{ {image}; {json.dumps(rows)}.map(i => (([x, y]) => [...{part}])({at})) }}"
        )

    def listed(self, part: str) -> list[int]:
        found = f"document.querySelectorAll('.{part} [data-row]')"
        return self.ask(f"[...{found}].map(row => +row.dataset.row)")


def _table() -> pd.DataFrame:
    table = twenty_sines()[1].assign(loudness=np.linspace(-30.5, -11.5, N))
    table.loc[4, "loudness"] = np.nan
    table.loc[6:9, "title"] = ["Dvořák", '=1+1, "quoted"', "@home", "-dash"]
    return table


@pytest.fixture(scope="module")
def sounds() -> list[bytes]:
    return twenty_sines()[2]


@pytest.fixture(scope="module")
def path(sounds, tmp_path_factory):
    target = tmp_path_factory.mktemp("page") / "map.html"
    columns = ["label", "loudness"]
    points = twenty_sines()[0]
    return map_page.write_page(
        target, points, _table(), sounds, "Sines", columns=columns, near=NEAR
    )


@pytest.fixture
def opened(driver, path):
    page = Map(driver)
    page.open(path)
    yield page
    assert page.complaints() == []
    assert page.ask("window.bad") is None


def _mounted(target, sounds, table: dict, mount: str):
    """Write a page that mounts something else than the map with its sound inside."""
    parts = map_html.joined(sounds, len(sounds), room=1e9, limit_mb=1e3)
    script = map_page.SCRIPT.read_text("utf-8")
    target.write_text(map_html.html(script, table, parts=parts, mount=mount), encoding="ascii")
    return target


# Colour


def test_numbers_take_the_ramp_with_a_scale_and_missing_ones_grey(opened):
    assert opened.ask("[...document.querySelectorAll('option')].map(o => o.textContent)") == [
        "label",
        "loudness",
    ]
    opened.colour("loudness")
    first, last = ([round(255 * c) for c in style.RAMP[i]] for i in (0, -1))
    assert opened.pixels(0, N - 1, 4) == [[*first, 255], [*last, 255], [154, 160, 168, 255]]
    assert opened.text(".legend") == "-30.5-11.5no value"
    x, y = opened.place(19)
    opened.mouse("mouseMoved", x + 2, y)
    opened.wait("!document.querySelector('.tip').hidden")
    assert opened.text(".tip .about") == "1:35\u20131:37 \u00b7 loudness -11.5"
    opened.mouse("mouseMoved", *opened.place(4))
    opened.wait("document.querySelector('.tip .about').textContent === '0:20\u20130:22'")


# Selection


def test_lasso_and_box_select_exactly_what_they_enclose(opened):
    spots = np.array([opened.place(i) for i in range(N)])
    left, right = spots.min(0), spots.max(0)
    heart = np.array([(0.05, 0.2), (0.5, 0.75), (0.9, -0.05), (0.8, 1.04), (0.4, 0.9), (-0.03, 1)])
    outline = left + heart * (right - left)
    inside = Outline([*outline, outline[0]]).contains_points(spots)
    assert 4 < inside.sum() < 16
    opened.press("[data-key=l]")
    assert opened.ask("document.querySelector('[data-key=l]').ariaPressed") == "true"
    opened.drag([*outline, outline[0]])
    expected = np.flatnonzero(inside).tolist()
    assert opened.listed("picked") == expected
    assert opened.text(".picked h2") == f"{len(expected)} selected"
    assert opened.chosen() == -1
    alphas = [pixel[3] for pixel in opened.pixels(*range(N))]
    assert [alpha == 255 for alpha in alphas] == inside.tolist()  # the others are dimmed
    opened.letter("m")
    low, high = (spots[0] + spots[6]) / 2, (spots[13] + spots[19]) / 2
    opened.drag([low, (low + high) / 2, high], modifiers=8)  # shift
    within = ((spots > np.minimum(low, high)) & (spots < np.maximum(low, high))).all(1)
    assert opened.listed("picked") == np.flatnonzero(within).tolist()
    np.testing.assert_allclose([opened.place(i) for i in range(N)], spots)
    opened.press(".clear")
    assert opened.ask("document.querySelector('.picked').hidden")
    assert {pixel[3] for pixel in opened.pixels(*range(N))} == {255}
    opened.press("[data-key=b]")
    opened.click(*opened.place(3))  # a click is no box
    assert opened.playing()[0] == 3


def test_a_selected_row_plays_and_shows_markup_as_text(opened, sounds):
    opened.ask("document.body.explorer.select([5, 2, 2, 99, -1, 7])")
    assert opened.listed("picked") == [2, 5, 7]
    assert opened.text('.picked [data-row="2"] .name') == SHOWN
    opened.press('.picked [data-row="2"]')
    assert opened.playing() == (2, sounds[2])
    assert opened.text(".said .title") == SHOWN
    current = "document.querySelector('.picked [aria-current]').dataset.row"
    opened.wait(f"{current} === '2'")
    assert opened.ask("document.querySelectorAll('img, i').length") == 0


def test_a_name_colours_at_once_and_the_saved_table_holds_no_formula(opened, tmp_path):
    opened.ask("document.body.explorer.select([7, 8])")
    opened.type(".label", " bright ")
    opened.press("button.name")
    assert opened.text(".legend") == "brightno label"
    blue = [round(255 * c) for c in style.PALETTE[0]]
    assert opened.pixels(7, 8) == [[*blue, 255]] * 2
    assert opened.text(".note") == "2 segments named bright"
    opened.ask("document.body.explorer.select([6, 7, 8, 9, 10])")
    folder = {"behavior": "allow", "downloadPath": str(tmp_path)}
    opened.driver.execute_cdp_cmd("Browser.setDownloadBehavior", folder)
    opened.press(".save")
    opened.wait("new Promise(done => setTimeout(() => done(true), 50))")
    target = tmp_path / "selection.csv"
    for _ in range(100):
        if target.exists():
            break
        opened.ask("new Promise(done => setTimeout(done, 20))")
    saved = target.read_bytes().decode().split("\r\n")
    assert saved == [
        "title,start_s,end_s,label,loudness,named",
        "Dvořák,30,31.96,low,-24.5,",
        '"\'=1+1, ""quoted""",35,36.96,middle,-23.5,bright',
        "'@home,40,41.96,middle,-22.5,bright",
        "'-dash,45,46.96,middle,-21.5,",
        "sine of 605 Hz,50,51.96,middle,-20.5,",
        "",
    ]


# Lists


def test_search_lifts_lists_and_plays(opened, sounds):
    opened.type(".find", "sine of 6")
    assert opened.listed("search") == [10, 11]  # 605, 660
    assert opened.text(".search small") == "2 segments"
    assert [pixel[3] == 255 for pixel in opened.pixels(9, 10, 11, 12)] == [False, True, True, False]
    opened.letter("Enter", 13)
    assert opened.playing() == (10, sounds[10])
    opened.press('.search [data-row="11"]')
    assert opened.playing() == (11, sounds[11])
    opened.ask("document.querySelector('.find').value = ''; 1")
    opened.type(".find", "DVORAK")
    assert opened.listed("search") == [6]


def test_what_is_found_can_be_selected(opened):
    assert opened.ask("document.querySelector('.all').disabled")
    opened.type(".find", "sine of 6")
    opened.press("button.all")
    assert opened.ask("document.querySelector('.picked h2').textContent") == "2 selected"
    assert opened.listed("picked") == [10, 11]


def test_keys_in_a_field_are_letters_there_and_tools_elsewhere(opened):
    opened.type(".find", "l b m")
    assert opened.ask("document.querySelector('.find').value") == "l b m"
    assert opened.ask("document.querySelector('[aria-pressed=true]').textContent") == "Move"
    assert opened.chosen() == -1
    opened.ask("document.querySelector('.find').blur()")
    for letter, name in (("l", "Lasso"), ("b", "Box"), ("m", "Move")):
        opened.letter(letter)
        assert opened.ask("document.querySelector('[aria-pressed=true]').textContent") == name


def test_neighbours_come_from_the_host_and_play(opened, sounds):
    opened.click(*opened.place(5))
    opened.wait("!document.querySelector('.near').hidden")
    assert opened.listed("near") == [12, 8, 16]
    assert opened.text(".near h2") == "Neighbours in the latent space"
    opened.press('.near [data-row="8"]')
    assert opened.playing() == (8, sounds[8])
    opened.wait("document.querySelector('.near [data-row]').dataset.row === '15'")
    assert opened.listed("near") == [15, 11, 19]


def test_without_a_latent_space_neighbours_are_the_nearest_on_the_map(driver, sounds, tmp_path):
    points = twenty_sines()[0]
    page = Map(driver)
    page.open(map_page.write_page(tmp_path / "map.html", points, _table(), sounds, "t"))
    page.click(*page.place(7))
    page.wait("!document.querySelector('.near').hidden")
    far = np.linalg.norm(points.astype("f4") - points[7].astype("f4"), axis=1)
    assert page.listed("near") == np.argsort(far)[1:9].tolist()
    assert page.text(".near h2") == "Neighbours on the map"
    assert page.complaints() == []


# The spectrogram


def _brightest_hz(page) -> float:
    page.wait("document.querySelector('.picture canvas').height === 96")
    row = page.ask(
        "(c => { const { data } = c.getContext('2d').getImageData(c.width >> 1, 0, 1, 96);"
        "let best = 0; for (let r = 1; r < 96; r++) {"
        "if (data[4 * r] + data[4 * r + 1] + data[4 * r + 2] >"
        "data[4 * best] + data[4 * best + 1] + data[4 * best + 2]) best = r; } return best; })"
        "(document.querySelector('.picture canvas'))"
    )
    return 40 * (22050 / 2 / 40) ** (1 - (row + 0.5) / 96)


@pytest.mark.parametrize("row", [1, 7, 19])
def test_the_spectrogram_is_brightest_at_the_pitch(opened, row):
    opened.click(*opened.place(row))
    opened.playing()
    assert _brightest_hz(opened) == pytest.approx(55 * (row + 1), rel=0.07)


def test_the_cursor_moves_and_a_click_in_the_spectrogram_seeks(opened):
    opened.click(*opened.place(9))
    opened.playing()
    cursor = "parseFloat(document.querySelector('.cursor').style.left)"
    first = opened.wait(cursor)
    opened.wait(f"{cursor} > {first + 5}")
    x, y = opened.middle(".picture")
    opened.key(" ", " ")
    opened.click(x, y)
    opened.wait("!document.querySelector('audio').seeking")
    middle = opened.ask("(a => a.currentTime / a.duration)(document.querySelector('audio'))")
    assert middle == pytest.approx(0.5, abs=0.02)
    opened.wait(f"Math.abs({cursor} - 50) < 2")


# The rest of the handle


def test_update_keeps_camera_selection_and_sound_and_a_trail_is_drawn(opened):
    opened.click(*opened.place(9))
    opened.playing()
    opened.ask("document.body.explorer.select([1, 2])")
    before = opened.place(0)
    more = _table().assign(cluster=np.arange(N) % 3 + 1)
    table = json.dumps(map_page.describe_table(more, "Other", ["label", "cluster"]))
    opened.ask(f"document.body.explorer.update({{table: {table}, near: null}})")
    assert opened.text("h1") == "Other"
    assert opened.place(0) == before
    assert opened.listed("picked") == [1, 2]
    assert opened.chosen() == 9
    assert opened.text(".near h2") == "Neighbours on the map"
    opened.colour("cluster")
    assert opened.text(".legend") == "123"
    ink = (
        "(pen => new Uint32Array(pen.getImageData(0, 0, pen.canvas.width, pen.canvas.height)"
        f".data.buffer).reduce((n, pixel) => n + (pixel > 0), 0))({_copy('.marks')})"
    )
    plain = opened.ask(ink)
    opened.ask("document.body.explorer.trail([3, 3, 5, 4, 7, 3])")
    assert opened.ask(ink) > plain + 1000
    opened.ask("document.body.explorer.trail([])")
    assert opened.ask(ink) == plain


def test_fifty_thousand_points_are_selected_and_played(driver, sounds, tmp_path, rng):
    n = 50_000
    points = rng.normal(size=(n, 2))
    table = pd.DataFrame({"title": [f"piece {i}" for i in range(n)], "start_s": 0.0, "end_s": 1.0})
    mount = map_html.static_text("map_mount.js")
    mount = mount.replace("sound, picture", "sound: () => sound(4), picture")
    parts = {"points": map_html.as_base64(points.astype("<f4")), "near": ""}
    parts |= map_html.joined(sounds, N, room=1e9, limit_mb=1e3)
    shown = map_page.describe_table(table.assign(label=rng.integers(0, 9, n)), "Many")
    html = map_html.html(map_page.SCRIPT.read_text("utf-8"), shown, parts=parts, mount=mount)
    (tmp_path / "map.html").write_text(html, encoding="ascii")
    page = Map(driver)
    page.open(tmp_path / "map.html")
    page.letter("b")
    places = page.ask("[0, 1].map(i => document.body.explorer.place(i))")
    scale = (places[1][0] - places[0][0]) / (points[1, 0] - points[0, 0])
    x, y = page.middle(".points")
    page.drag([(x, y), (x + 40, y + 10), (x + 80, y + 60)])
    left, top = page.ask(
        "(b => [b.x, b.y])(document.querySelector('.points').getBoundingClientRect())"
    )
    right = places[0][0] + (points[:, 0] - points[0, 0]) * scale + left
    down = places[0][1] - (points[:, 1] - points[0, 1]) * scale + top
    inside = (right > x) & (right < x + 80) & (down > y) & (down < y + 60)
    assert page.text(".picked h2").startswith(f"{inside.sum():,} selected")
    assert page.listed("picked") == np.flatnonzero(inside)[:200].tolist()
    page.click(*page.place(int(np.linalg.norm(points, axis=1).argmax())))
    assert pitch_hz(page.playing()[1]) == pytest.approx(275, abs=2)
    assert page.complaints() == []


def test_a_phone_has_room_for_fingers_and_nothing_at_the_side(opened):
    metrics = {"width": 375, "height": 720, "deviceScaleFactor": 2, "mobile": True}
    opened.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    try:
        opened.wait("innerWidth === 375 && !document.querySelector('.wide')")
        opened.ask("document.body.explorer.select([...Array(20).keys()])")
        opened.ask("document.body.explorer.choose(2)")
        opened.wait("!document.querySelector('.near').hidden")
        assert opened.ask("document.documentElement.scrollWidth") == 375
        shown = "[...document.querySelectorAll('.ml button, .ml input, .ml select, .ml audio')]"
        sizes = opened.ask(f"{shown}.map(n => n.offsetHeight)")
        assert min(size for size in sizes if size) >= 32
    finally:
        opened.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


# Rows


@pytest.fixture
def rows(driver, sounds, tmp_path):
    table = map_page.describe_table(_table(), "Rows", []) | {
        "columns": [{"name": "cluster", "cells": ["<b>1"] * N}]
    }
    mount = (
        "window.heard = []; document.body.explorer = mountRows(document.body, "
        "{ table, picture, sound: (i) => sound(window.flipped ? 19 - i : i), "
        "on: { chosen: (i) => heard.push(i) } }); "
        "Object.assign(window, { table, sound, mountRows });"
    )
    page = Map(driver)
    page.open(_mounted(tmp_path / "rows.html", sounds, table, mount))
    yield page
    assert page.complaints() == []
    assert page.ask("window.bad") is None


def test_rows_play_by_click_enter_and_space(rows, sounds):
    rows.press('[data-row="1"] td')
    assert rows.playing() == (1, sounds[1])
    assert _brightest_hz(rows) == pytest.approx(110, rel=0.1)
    rows.key("ArrowDown")
    rows.letter("Enter", 13)
    assert rows.playing() == (2, sounds[2])
    assert rows.text(".said .title") == SHOWN
    rows.key("ArrowDown")
    rows.key(" ", " ")
    assert rows.playing() == (3, sounds[3])
    marked = "[...document.querySelectorAll('[aria-current=true]')].map(row => +row.dataset.row)"
    assert rows.ask(marked) == [3]
    assert rows.ask("heard") == [1, 2, 3]
    assert rows.text('[data-row="2"]') == f"{SHOWN}0:10\u20130:12<b>1"
    rows.ask("document.body.explorer.choose(19, false)")
    assert rows.ask(marked) == [19]
    assert rows.ask("document.querySelector('audio').paused")
    box = "document.querySelector('th').getBoundingClientRect().top"
    assert rows.ask(f"{box} - document.querySelector('.sheet').getBoundingClientRect().top") < 2


def test_other_rows_take_the_place_of_what_played(rows, sounds):
    rows.press('[data-row="1"] td')
    assert rows.playing() == (1, sounds[1])
    other = "{...table, titles: [...table.titles].reverse()}"
    rows.ask(f"document.body.explorer.update({{table: {other}}})")
    assert rows.ask("document.querySelector('audio').paused")
    assert rows.text(".said .title") == "Click a row to hear it"
    rows.ask("window.flipped = true")
    rows.press('[data-row="1"] td')  # the same number, another row
    assert rows.playing() == (1, sounds[N - 2])
    assert rows.text(".said .title") == "sine of 1045 Hz"


def test_one_segment_plays_at_a_time(rows, sounds):
    rows.press('[data-row="1"] td')
    rows.playing()
    below = "Object.assign(document.body.appendChild(document.createElement('div')), {id: 'two'})"
    rows.ask(f"mountRows({below}, {{ table, sound, python: true, on: {{}} }}) && 1")
    rows.press('#two [data-row="4"] td')
    rows.wait("[...document.querySelectorAll('audio')].map(a => a.paused).join() === 'true,false'")


# The host of the notebooks

_FAKE = """
const traits_ = JSON.parse(text("traits"));
const held = (name) => new DataView(bytes(text(name)).buffer, 4); // a part of a larger buffer
const listeners = {};
const model = window.model = {
  values: { ...traits_, table, points: held("dots"), near: new DataView(new ArrayBuffer(0)),
    sound: new DataView(bytes(text("mp3")).buffer), offsets: held("ends") },
  sent: [], saved: [],
  get: (name) => model.values[name],
  set: (name, value) => { model.values[name] = value; model.tell(`change:${name}`); },
  save_changes: () => model.saved.push([model.values.clicked, model.values.selected]),
  send: (message, _, held) => model.sent.push(held ? [message, held[0].byteLength] : message),
  on: (name, heard) => (listeners[name] ??= new Set()).add(heard),
  off: (name, heard) => listeners[name].delete(heard),
  tell: (name, ...more) => { for (const heard of listeners[name] ?? []) heard(...more); },
  count: () => Object.values(listeners).reduce((n, set) => n + set.size, 0),
};
window.mp3 = (i) => [new DataView(bytes(text("one")).buffer)];
const box = document.createElement("div");
document.body.append(box);
window.end = render({ model, el: box });
document.body.explorer = box.explorer;
"""


def _widget(page: Map, folder, sounds, *, within: bool, **traits):
    """Open a page in which `render` meets a model of our own."""
    points, table, _ = twenty_sines()
    ends = np.cumsum([0, *map(len, sounds)]) if within else np.array([])
    four = np.zeros(1, "<u4")
    arrays = {"dots": points.astype("<f4"), "ends": ends.astype("<u4")}
    parts = {
        name: map_html.as_base64(np.concatenate([four.view(array.dtype), array.ravel()]))
        for name, array in arrays.items()
    }
    parts |= {"mp3": base64.b64encode(b"".join(sounds)).decode(), "offsets": "", "sound": ""}
    parts["one"] = base64.b64encode(sounds[6]).decode()
    plain = {"kind": "map", "height": 500, "clicked": {}, "selected": [], "trail": []}
    plain |= {"playlists": True}
    shown = map_page.describe_table(table, "Widget")
    html = map_html.html(map_page.SCRIPT.read_text("utf-8"), shown, parts=parts, mount=_FAKE)
    held = f'<script type="application/json" id="traits">{json.dumps(plain | traits)}</script>'
    target = folder / "widget.html"
    target.write_text(html.replace('<script type="module">', held + '<script type="module">'))
    page.open(target)


def test_the_widget_plays_its_own_bytes_and_counts_clicks(driver, sounds, tmp_path):
    page = Map(driver)
    _widget(page, tmp_path, sounds, within=True, selected=[3])
    assert page.listed("picked") == [3]
    assert page.ask("document.querySelector('.ml').offsetHeight") == 500
    for count in (1, 2):
        page.click(*page.place(7))
        assert page.playing() == (7, sounds[7])
        assert page.ask("model.values.clicked") == {"index": 7, "count": count}
    saved = page.ask("model.saved.length")
    page.ask("model.set('selected', [4, 5])")
    assert page.listed("picked") == [4, 5]
    assert page.ask("model.saved.length") == saved  # no echo
    page.press(".clear")
    assert page.ask("model.values.selected") == []
    page.ask("model.set('selected', [8])")
    page.type(".label", "mine")
    page.press("button.name")
    assert page.text(".list") == "Playlist"
    page.press(".list")
    assert page.ask("model.sent") == [{"name": "mine", "rows": [8]}, {"playlist": [8]}]
    page.ask("model.tell('msg:custom', {said: 'Written <b>here'}, [])")
    assert page.text(".note") == "Written <b>here"
    page.ask("document.body.dataset.jpThemeLight = 'false'")
    page.wait("!!document.querySelector('.ml.dark')")
    page.ask("end()")
    assert page.ask("[model.count(), document.querySelectorAll('.ml').length]") == [0, 0]
    assert page.complaints() == []


def test_a_widget_without_sound_asks_and_only_the_last_answer_plays(driver, sounds, tmp_path):
    page = Map(driver)
    _widget(page, tmp_path, sounds, within=False)
    page.click(*page.place(4))
    page.click(*page.place(6))
    assert page.text(".note") == "Waiting for this sound"
    first, second = page.ask("model.sent.map(({ ask, number }) => [ask, number])")
    assert second == [6, first[1] + 1] and first[0] == 4

    def answer(number, index, more=""):
        page.ask(f"model.tell('msg:custom', {{number: {number}, index: {index}{more}}}, mp3())")

    answer(first[1], 4)
    answer(second[1], 4)  # another view of the same widget asked for it
    assert page.chosen() == -1
    answer(second[1], 6)
    assert page.playing() == (6, sounds[6])
    assert page.text(".note") == ""
    page.click(*page.place(9))
    answer(second[1] + 1, 9, ", refused: 'there is no row 9'")
    page.wait("document.querySelector('.note').textContent === 'there is no row 9'")
    page.click(*page.place(9))  # what was refused can be asked for again
    answer(second[1] + 2, 9)
    assert page.playing() == (9, sounds[6])
    assert page.complaints() == []


@pytest.mark.parametrize("drops", [True, False])
def test_a_file_dropped_on_the_map_goes_to_the_kernel(driver, sounds, tmp_path, drops):
    page = Map(driver)
    _widget(page, tmp_path, sounds, within=True, drops=drops)
    page.ask(
        "window.held = new DataTransfer(); held.items.add(new File(['12345'], '<i>a.wav')); "
        "document.querySelector('.points').dispatchEvent(new DragEvent('drop', "
        "{ dataTransfer: held, bubbles: true, cancelable: true })); 1"
    )
    sent = [[{"file": "<i>a.wav"}, 5]] if drops else []
    page.wait(f"model.sent.length === {len(sent)}")
    assert page.ask("model.sent") == sent
    assert page.text(".note") == ("Sending <i>a.wav" if drops else "")
    assert page.complaints() == []
