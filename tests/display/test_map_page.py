"""The page that plays: its text, and what it does in headless Chromium."""

import base64
import io
import json
import re
from itertools import pairwise
from pathlib import Path
from unittest.mock import Mock
from urllib.parse import urlsplit
from urllib.request import url2pathname

import numpy as np
import pandas as pd
import pytest
import soundfile as sf
from helpers import browser
from helpers.browser import EVIL, SR, N

from musiclatent import audio
from musiclatent.display import map_page, style


@pytest.fixture(scope="module")
def corpus():
    return browser.twenty_sines()


# The text


def test_page_is_one_file_that_asks_for_nothing(corpus):
    html = map_page.render_page(*corpus, "Twenty sines")
    assert html.isascii()
    assert "://" not in html
    assert re.findall(r"<(?:link|script|img|iframe)[^>]*(?:src|href)=\S*", html) == [
        '<link rel="icon" href="data:,">'
    ]
    assert html.count("<script") == html.count("</script>") == 6
    assert "default-src 'none'" in html


def test_page_holds_exactly_the_sounds(corpus):
    html = map_page.render_page(*corpus, "Twenty sines")
    held = {
        name: base64.b64decode(text)
        for name, text in re.findall(r'base64" id="(points|offsets)">([^<]*)<', html)
    }
    letters = re.search(r'id="sound">([^<]*)<', html)[1]
    offsets = np.frombuffer(held["offsets"], "<u4")
    sounds = [base64.b64decode(letters[a:b]) for a, b in pairwise(offsets)]
    assert sounds == corpus[2]
    points = np.frombuffer(held["points"], "<f4").reshape(-1, 2)
    np.testing.assert_array_equal(points, corpus[0].astype("f4"))


def test_sounds_may_be_made_one_by_one(corpus):
    points, table, sounds = corpus
    assert map_page.render_page(points, table, sounds.__getitem__, "t") == map_page.render_page(
        *corpus, "t"
    )


def test_columns_are_numbers_or_labels(corpus):
    points, table, sounds = corpus
    table = table.assign(hz=np.where(np.arange(N) == 2, np.nan, 55.123456 * np.arange(N)))
    table = table.assign(cluster=np.arange(N) % 3, quiet=np.arange(N) > 4, late=np.float32(0.5))
    columns = ("hz", "cluster", "quiet", "late", "absent")
    html = map_page.render_page(points, table, sounds, "t", columns=columns)
    found = json.loads(re.search(r'id="table">([^<]*)<', html)[1])["columns"]
    assert [column["name"] for column in found] == ["hz", "cluster", "quiet", "late"]
    assert found[0]["values"][:4] == [0, 55.123, None, 165.37]
    assert found[1]["labels"] == ["0", "1", "2"]
    assert found[1]["codes"][:4] == [0, 1, 2, 0]
    assert found[2]["labels"] == ["False", "True"]
    assert found[3]["values"] == [0.5] * N


def test_neighbours_are_of_other_recordings():
    z = np.array([[0.0], [1.0], [3.0], [10.0], [12.0]])
    items = pd.DataFrame({"item_id": [*"aabcd"]})
    near = map_page.neighbours_of_rows(z, items, 2)
    assert near.tolist() == [[2, 3], [2, 3], [1, 0], [4, 2], [3, 2]]
    assert near.dtype == "<i4"
    cuts = items.assign(group=[*"aabaa"])  # of one recording in several files
    near = map_page.neighbours_of_rows(z, cuts, 2)
    assert near.tolist() == [[2, -1], [2, -1], [1, 0], [2, -1], [2, -1]]
    page = map_page.render_page(z.repeat(2, 1), _rows(5), [b"0"] * 5, "t", near=near)
    assert base64.b64encode(near.tobytes()).decode() in page
    with pytest.raises(ValueError, match="row 0 has a neighbour that is no row"):
        map_page.render_page(z.repeat(2, 1), _rows(5), [b"0"] * 5, "t", near=np.full((5, 1), 5))
    with pytest.raises(ValueError, match=r"neighbours have shape \(3, 2\); give one row a point"):
        map_page.render_page(z.repeat(2, 1), _rows(5), [b"0"] * 5, "t", near=near[:3])


def _rows(n: int) -> pd.DataFrame:
    return pd.DataFrame({"title": ["a"] * n, "start_s": 0.0, "end_s": 1.0})


def test_what_does_not_fit_together_is_refused(corpus):
    points, table, sounds = corpus
    for bad, words in (
        ((points[:3], table, sounds), "3 points, 20 rows of the table, 20 sounds: each point"),
        ((points, table, sounds[:-1]), "20 points, 20 rows of the table, 19 sounds"),
        ((points[:, 0], table, sounds), r"points have shape \(20,\); give \(B, 2\)"),
        ((points[:0], table[:0], []), r"shape \(0, 2\); .* at least one row"),
        ((points, table.drop(columns="title"), sounds), "no column title"),
        ((np.where(points == points[4], np.nan, points), table, sounds), "row 4 has coordinates"),
        ((points, table.assign(start_s=np.inf), sounds), r"row 0 has a time .* \(20 rows in all"),
        ((points, table.assign(end_s=-1.0), sounds), "row 0 ends before it starts"),
        ((points, table, [*sounds[:-1], b""]), "row 19 has no sound"),
    ):
        with pytest.raises(ValueError, match=words):
            map_page.render_page(*bad, "t")


def test_a_page_above_the_limit_names_size_and_remedy(corpus):
    points, table, sounds = corpus
    whole = len(map_page.render_page(*corpus, "t")) / 1e6
    map_page.render_page(*corpus, "t", limit_mb=whole + 0.02)
    asked = []
    with pytest.raises(ValueError, match=r"20 segments takes .* the limit .* \d+ fit; take fewer"):
        map_page.render_page(
            points, table, lambda i: asked.append(i) or sounds[i], "t", limit_mb=whole / 2
        )
    assert len(asked) < 15


def test_write_leaves_the_whole_page_or_nothing(corpus, tmp_path):
    target = tmp_path / "deep" / "map.html"
    assert map_page.write_page(target, *corpus, "t").read_text("ascii") == map_page.render_page(
        *corpus, "t"
    )
    with pytest.raises(ValueError, match="each point"):
        map_page.write_page(target, corpus[0][:3], *corpus[1:], "other")
    assert [path.name for path in target.parent.iterdir()] == ["map.html"]
    assert target.read_text("ascii") == map_page.render_page(*corpus, "t")


def test_segments_are_cut_where_the_items_say(tmp_path):
    for name, hz in (("a.wav", 220), ("b.flac", 440)):
        y = np.concatenate([browser.sine(hz), browser.sine(3 * hz), np.zeros(SR)])
        audio.write(tmp_path / name, y, SR)
    items = pd.DataFrame(
        {
            "item_id": ["a", "a", "b", "b"],
            "path": [str(tmp_path / name) for name in ("a.wav", "a.wav", "b.flac", "b.flac")],
            "start_s": [0.0, 0.6, 0.6, 1.2],
            "end_s": [0.6, 1.2, 1.2, 1.8],
            "label": [1, 2, 10, None],
        }
    )
    sounds = map_page.segments(items, SR)
    np.testing.assert_allclose(
        [browser.pitch_hz(sound) for sound in sounds[:3]], [220, 660, 1320], atol=2
    )
    silence, sr = sf.read(io.BytesIO(sounds[3]))
    assert np.abs(silence).max() < 1e-3
    assert len(silence) / sr == pytest.approx(0.6, abs=0.06)
    points = np.arange(8.0).reshape(4, 2)
    html = map_page.write_page_of_items(
        tmp_path / "map.html", points, items=items, sr=SR, title="Mine"
    ).read_text()
    assert '"about":"4 segments"' in html
    assert '{"name":"label","labels":["1","2","10"],"codes":[0,1,2,-1]}' in html


def test_sound_that_does_not_fit_in_stands_beside_the_page(tmp_path):
    audio.write(tmp_path / "a.wav", browser.sine(220, 3.0), SR)
    items = pd.DataFrame({"start_s": np.arange(30) / 10, "label": ""}).assign(item_id="</script>")
    items = items.assign(path=str(tmp_path / "a.wav"), end_s=items["start_s"] + 0.1)
    points, target = np.arange(60.0).reshape(30, 2), tmp_path / "my map.html"
    small = map_page.write_page_of_items(
        target, points, items=items, sr=SR, title="Mine", limit_mb=0.07
    ).read_text()
    folder = tmp_path / "my map_sound"
    files = json.loads(re.search(r'"files":(\[[^]]*\])', small)[1])
    assert len(files) == 30
    assert {path.name for path in folder.iterdir()} == {
        f"{name}.{kind}" for name in files for kind in ("mp3", "png")
    }
    assert '"folder":"my%20map_sound"' in small
    assert 'id="sound"></script>' in small
    assert browser.pitch_hz((folder / f"{files[3]}.mp3").read_bytes()) == pytest.approx(220, abs=4)
    made = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    (folder / f"{'0' * 20}.mp3").touch()  # of an earlier map
    (folder / "my song.mp3").touch()
    sorted(made)[0].unlink()
    sorted(made)[-1].unlink()
    map_page.write_page_of_items(target, points, items=items, sr=SR, title="Mine", limit_mb=0.07)
    again = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert sum(again[path] == time_ns for path, time_ns in made.items()) == 56
    assert again.keys() - made.keys() == {folder / "my song.mp3"}
    (folder / "my song.mp3").unlink()
    whole = map_page.write_page_of_items(
        target, points, items=items, sr=SR, title="Mine"
    ).read_text()
    assert "folder" not in re.search(r'id="table">([^<]*)<', whole)[1]


@pytest.mark.parametrize("linked", [True, False])
def test_sound_that_a_map_keeps_is_not_cut_again_for_a_page(tmp_path, monkeypatch, linked):
    audio.write(tmp_path / "a.wav", browser.sine(220, 3.0), SR)
    items = pd.DataFrame({"start_s": np.arange(30) / 10, "label": ""}).assign(item_id="a")
    items = items.assign(path=str(tmp_path / "a.wav"), end_s=items["start_s"] + 0.1)
    if not linked:
        monkeypatch.setattr(Path, "hardlink_to", Mock(side_effect=OSError))
    options = {
        "items": items,
        "sr": SR,
        "title": "",
        "folder": tmp_path / "study",
        "limit_mb": 0.07,
    }
    points = np.arange(60.0).reshape(30, 2)
    map_page.write_page_of_items(tmp_path / "one.html", points, **options)
    kept = sorted((tmp_path / "study" / "sounds").iterdir())
    monkeypatch.setattr(map_page, "_cut", Mock(side_effect=[np.zeros(SR)]))  # to estimate the size
    map_page.write_page_of_items(tmp_path / "two.html", points, **options)
    for page in ("one", "two"):
        beside = sorted((tmp_path / f"{page}_sound").iterdir())
        assert [one.read_bytes() for one in beside] == [one.read_bytes() for one in kept]
        assert all(one.samefile(two) is linked for one, two in zip(beside, kept, strict=True))


# The browser


@pytest.fixture(scope="module")
def path(corpus, tmp_path_factory):
    return map_page.write_page(
        tmp_path_factory.mktemp("page") / "map.html", *corpus, f"Sines {EVIL}"
    )


@pytest.fixture
def opened(driver, path):
    page = browser.Page(driver)
    page.open(path)
    yield page
    assert page.complaints() == []
    assert page.ask("window.bad") is None


def test_the_first_click_plays_without_a_gesture_before_it(opened):
    assert not opened.ask("navigator.userActivation.hasBeenActive")
    refused = "new Audio(URL.createObjectURL(new Blob(['0']))).play().catch(error => error.name)"
    assert opened.ask(refused) == "NotAllowedError"
    assert not opened.ask("navigator.userActivation.hasBeenActive")
    opened.click(*opened.place(4))
    index, sound = opened.playing()
    assert index == 4
    assert browser.pitch_hz(sound) == pytest.approx(275, abs=2)


def test_each_point_plays_its_own_segment(opened, corpus):
    for k in range(1, N + 1):
        opened.click(*opened.place(k - 1))
        index, sound = opened.playing()
        assert index == k - 1
        assert sound == corpus[2][k - 1]
        assert browser.pitch_hz(sound) == pytest.approx(55 * k, abs=2)
        assert opened.text(".said .title") == corpus[1]["title"][k - 1].replace("\ud800", "\ufffd")
    assert opened.text(".said .about") == "1:35\u20131:37"


def test_markup_in_titles_and_labels_shows_as_text(opened, corpus):
    shown = EVIL.replace("\ud800", "\ufffd")
    assert opened.text("h1") == f"Sines {shown}"
    assert opened.text(".ml-map ul") == "<i>highlowmiddleno label"
    opened.mouse("mouseMoved", *opened.place(2))
    opened.wait("!document.querySelector('.tip').hidden")
    assert opened.text(".tip .title") == shown
    opened.click(*opened.place(2))
    assert opened.text(".said .title") == shown
    opened.playing()
    assert opened.ask("document.querySelectorAll('img, i').length") == 0


def test_hover_shows_title_time_and_label_and_leaves_with_the_pointer(opened):
    for i, words in (
        (0, "sine of 55 Hz0:00\u20130:02 \u00b7 low"),
        (19, "sine of 1100 Hz1:35\u20131:37"),
    ):
        x, y = opened.place(i)
        opened.mouse("mouseMoved", x + 4, y - 3)
        opened.wait("!document.querySelector('.tip').hidden")
        assert opened.text(".tip") == words
        inside = "(t => t.right <= innerWidth && t.left >= 0)"
        assert opened.ask(f"{inside}(document.querySelector('.tip').getBoundingClientRect())")
        opened.mouse("mouseMoved", x + 40, y + 40)
        opened.wait("document.querySelector('.tip').hidden")
    assert opened.chosen() == -1


def test_points_are_painted_where_they_are_hit_in_the_colour_of_their_label(opened):
    image = (
        "(c => c.getContext('2d').getImageData(0, 0, c.width, c.height))"
        "(document.querySelector('.points'))"
    )
    at = "document.body.explorer.place(i).map(Math.round)"
    pixel = f"(([x, y]) => [...image.data.slice(4 * (y * image.width + x)).slice(0, 4)])({at})"
    seen = opened.ask(f"(image => [0, 8, 15, 19].map(i => {pixel}))({image})")
    blue, orange, green = ([round(255 * c) for c in style.PALETTE[i]] for i in range(3))
    assert seen == [[*color, 255] for color in (orange, green, blue, [154, 160, 168])]


def test_clicking_again_starts_again_and_an_empty_place_does_nothing(opened):
    opened.ask(
        "window.at = []; document.querySelector('audio').onseeked = "
        "event => at.push(event.target.currentTime); 1"
    )
    spot = opened.place(7)
    opened.click(*spot)
    opened.wait("document.querySelector('audio').currentTime > 0.3")
    opened.click(*spot)
    assert opened.wait("at.length && at") == [pytest.approx(0, abs=0.1)]
    opened.playing()
    opened.click(spot[0] + 50, spot[1] + 40)
    assert opened.chosen() == 7


def test_fast_clicks_end_on_the_last_point(opened, corpus):
    spots = [opened.place(i) for i in range(N)]
    for spot in spots + spots[:6]:
        opened.click(*spot)
    index, sound = opened.playing()
    assert index == 5
    assert sound == corpus[2][5]


def test_space_plays_and_pauses_and_arrows_step(opened):
    opened.key("ArrowRight")
    first = opened.chosen()
    assert first in (6, 7, 12)  # the nearest to the middle
    assert opened.ask("document.querySelector('audio').paused")
    opened.key(" ", " ")
    assert opened.playing()[0] == first
    opened.key(" ", " ")
    assert opened.ask("document.querySelector('audio').paused")
    opened.click(*opened.place(6))
    opened.playing()
    for key, expected in (
        ("ArrowRight", 7), ("ArrowUp", 12), ("ArrowLeft", 11), ("ArrowDown", 6),
        ("ArrowDown", 1), ("ArrowDown", 1),
    ):  # fmt: skip
        opened.key(key)
        assert opened.chosen() == expected
    opened.playing()  # what was playing plays on at the next point


def test_drag_pans_wheel_zooms_about_the_pointer_and_the_button_undoes_it(opened):
    before = opened.place(12)
    opened.mouse("mousePressed", *before, button="left", buttons=1, clickCount=1)
    for step in range(1, 6):
        opened.mouse(
            "mouseMoved", before[0] + 20 * step, before[1] + 8 * step, button="left", buttons=1
        )
    opened.mouse("mouseReleased", before[0] + 100, before[1] + 40, button="left", clickCount=1)
    after = opened.place(12)
    np.testing.assert_allclose(np.subtract(after, before), [100, 40], atol=1)
    assert opened.chosen() == -1
    other = opened.place(13)
    opened.mouse("mouseWheel", *after, deltaX=0, deltaY=-400)
    opened.wait(f"document.body.explorer.place(13)[0] > {other[0] + 20}")
    np.testing.assert_allclose(opened.place(12), after, atol=1)
    opened.click(*opened.place(12))
    assert opened.playing()[0] == 12
    whole = opened.ask(
        "(b => [b.x + b.width / 2, b.y + b.height / 2])"
        "(document.querySelector('.whole').getBoundingClientRect())"
    )
    opened.click(*whole)
    np.testing.assert_allclose(opened.place(12), before, atol=1)


def test_on_a_phone_a_tap_plays_and_two_fingers_zoom(opened):
    metrics = {"width": 375, "height": 720, "deviceScaleFactor": 2, "mobile": True}
    opened.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    opened.driver.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": True})

    def touch(kind, *fingers):
        points = [{"x": x, "y": y, "id": i} for i, (x, y) in enumerate(fingers)]
        event = {"type": kind, "touchPoints": points}
        opened.driver.execute_cdp_cmd("Input.dispatchTouchEvent", event)

    try:
        opened.wait("innerWidth === 375 && document.body.explorer.place(4)[0] < 375")
        assert opened.ask("document.documentElement.scrollWidth") == 375
        x, y = opened.place(9)
        touch("touchStart", (x + 8, y))
        touch("touchEnd")
        assert opened.playing()[0] == 9
        wide = "document.body.explorer.place(4)[0] - document.body.explorer.place(0)[0]"
        before = opened.ask(wide)
        touch("touchStart", (150, 400), (200, 400))
        for step in range(1, 6):
            touch("touchMove", (150 - 10 * step, 400), (200 + 10 * step, 400))
        touch("touchEnd")
        assert opened.ask(wide) == pytest.approx(3 * before, rel=0.05)
        assert opened.chosen() == 9
    finally:
        opened.driver.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": False})
        opened.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_copies_at_the_same_place_are_reached_by_the_arrows(driver, corpus, tmp_path):
    points = np.array([[0, 0], [1, 0], [1, 0], [1, 0], [2, 0]], float)
    page = browser.Page(driver)
    page.open(map_page.write_page(tmp_path / "map.html", points, corpus[1][:5], corpus[2][:5], "t"))
    page.click(*page.place(1))
    page.wait("document.querySelector('audio').dataset.index")
    seen = [page.chosen()]
    for key in ("ArrowLeft", "ArrowLeft", "ArrowRight", "ArrowLeft", "ArrowLeft", "ArrowLeft"):
        page.key(key)
        seen.append(page.chosen())
    assert seen == [3, 2, 1, 2, 1, 0, 0]


@pytest.mark.parametrize("points", [np.zeros((1, 2)), np.zeros((2, 2)), [[0, 0], [0, 9]]])
def test_a_map_of_few_points_plays(driver, corpus, tmp_path, points):
    n = len(points)
    table = corpus[1][:n].drop(columns="label")
    page = browser.Page(driver)
    page.open(map_page.write_page(tmp_path / "m.html", points, table, corpus[2][:n], "t"))
    page.click(*page.place(n - 1))
    assert page.playing()[0] == n - 1


def test_sound_beside_the_page_plays_from_disk_with_its_picture(driver, tmp_path):
    points, items = browser.sine_files(tmp_path)
    target = tmp_path / "my map.html"
    map_page.write_page_of_items(target, points, items=items, sr=SR, title="Beside", limit_mb=0.15)
    page = browser.Page(driver)
    page.open(target)
    for i in (6, 0):
        page.click(*page.place(i))
        page.wait("document.querySelector('audio').played.length")
        source = page.ask("document.querySelector('audio').src")
        heard = Path(url2pathname(urlsplit(source).path))
        assert heard.parent == tmp_path / "my map_sound"
        assert browser.pitch_hz(heard.read_bytes()) == pytest.approx(55 * (i + 1), abs=2)
        page.wait("document.querySelector('.picture').classList.contains('ready')")
        page.wait("document.querySelector('.picture canvas').width === 87")  # frames of 2 s
    assert page.complaints() == []
