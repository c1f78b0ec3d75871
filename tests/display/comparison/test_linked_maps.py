"""Two maps side by side in Chromium: select in one, see it in the other; the widget too."""

import json

import numpy as np
import pytest
from helpers.browser import SR, N, Page, sine_files, twenty_sines

from musiclatent.display import map_html, map_page
from musiclatent.display.comparison import linked_maps
from musiclatent.display.comparison.linked_maps import LinkedMaps, Side


def _sides(points: np.ndarray) -> tuple[Side, Side]:
    """One map as it is, and one turned upside down, whose neighbours are others."""
    turned = points[::-1].copy()
    return Side(name="a", points=points, z=points), Side(name="b", points=turned, z=turned)


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    points, table, sounds = twenty_sines()
    target = tmp_path_factory.mktemp("pair") / "maps.html"
    return linked_maps.write_page(
        target,
        *_sides(points),
        items=table.assign(item_id=table["title"]),
        sounds=sounds,
        title="T",
    )


class Pair(Page):
    """A page with two maps."""

    def spot(self, side: int, i: int) -> tuple[float, float]:
        box = f"document.querySelectorAll('.points')[{side}].getBoundingClientRect()"
        x, y = self.ask(f"document.body.explorer.maps[{side}].place({i})")
        left, top = self.ask(f"(box => [box.left, box.top])({box})")
        return left + x, top + y

    def indices(self) -> list[int]:
        return self.ask(
            "[...document.querySelectorAll('audio')].map(a => +(a.dataset.index ?? -1))"
        )

    def headings(self) -> list[str]:
        return self.ask("[...document.querySelectorAll('h1')].map(h => h.textContent)")

    def selected(self) -> list[str]:
        found = (
            "[...document.querySelectorAll('.ml-map')].map(map => [...map.querySelectorAll('h2')]"
        )
        return self.ask(
            f"{found}.map(h => h.textContent).find(text => /selected/.test(text)) ?? '')"
        )


@pytest.fixture
def opened(driver, path):
    page = Pair(driver)
    page.open(path)
    yield page
    assert page.complaints() == []


def test_a_click_in_either_map_is_seen_in_the_other(opened):
    assert opened.headings() == ["T: a", "T: b"]
    opened.click(*opened.spot(0, 7))
    opened.wait("[...document.querySelectorAll('audio')].every(a => a.dataset.index === '7')")
    assert opened.playing()[0] == 7
    opened.click(*opened.spot(1, 2))
    opened.wait("[...document.querySelectorAll('audio')].every(a => a.dataset.index === '2')")
    assert opened.indices() == [2, 2]


def test_what_is_selected_in_one_is_selected_in_the_other(opened):
    opened.ask("document.querySelectorAll('.points')[1].scrollIntoView({block: 'nearest'})")
    opened.ask("[...document.querySelectorAll('.tools button')].filter("
               "b => b.textContent === 'Box')[1].click()")  # fmt: skip
    x, y = opened.spot(1, 0)
    opened.drag([(x - 12, y - 12), (x + 12, y + 12)])
    opened.wait("[...document.querySelectorAll('h2')].filter(h => /selected/.test(h.textContent))"
                ".length === 2")  # fmt: skip
    assert opened.selected() == ["1 selected", "1 selected"]


def test_the_page_says_how_many_neighbours_are_shared(path):
    text = path.read_text()
    assert "% of the 10 nearest are shared (by chance 53 %)" in text
    assert text.isascii()


def test_equal_sides_share_all_neighbours_and_others_must_have_the_rows():
    points = twenty_sines()[0]
    same = Side(name="a", points=points, z=points)
    assert linked_maps.agreement_text(same, same).startswith("100 % of the 10 nearest")
    few = Side(name="b", points=points[:5], z=points[:5])
    with pytest.raises(ValueError, match="a has 20 rows and b 5; give the same"):
        linked_maps.agreement_text(same, few)


def test_the_widget_holds_both_maps(tmp_path):
    points, items = sine_files(tmp_path)
    maps = LinkedMaps(*_sides(points), items, SR, "T", folder=tmp_path)
    assert maps.kind == "pair" and maps._esm
    assert np.allclose(np.frombuffer(maps.points_beside, "<f4").reshape(-1, 2), points[::-1])
    assert [maps.table["title"], maps.table_beside["title"]] == ["T: a", "T: b"]
    assert "are shared" in maps.table["about"] == maps.table_beside["about"]
    assert len(np.frombuffer(maps.near_beside, "<i4")) == N * map_page.NEAR
    maps.selected = [3, 4]
    assert list(maps.selection().index) == [3, 4]


HOST = """
const traits = { kind: "pair", points, near, table, points_beside: points, near_beside: near,
  table_beside: { ...table, title: "second" }, offsets: new Uint8Array(4), sound: new Uint8Array(0),
  selected: [1], trail: [], height: 500, playlists: false };
const view = (array) => new DataView(array.buffer ?? array);
for (const name of ["points", "near", "points_beside", "near_beside", "offsets", "sound"])
  traits[name] = view(traits[name]);
const heard = {};
window.model = { get: (name) => traits[name], set: (name, value) => { traits[name] = value; },
  save_changes: () => {}, send: () => {}, on: (event, act) => { heard[event] = act; },
  off: (event) => { delete heard[event]; } };
window.traits = traits;
window.heard = heard;
render({ model, el: document.body });
"""


def test_the_host_of_notebooks_shows_both_and_hears_both(driver, tmp_path):
    points, table, sounds = twenty_sines()
    shown = map_page.describe_table(table, "first")
    parts = {"points": map_html.as_base64(points.astype("<f4")), "near": ""}
    parts |= map_html.joined(sounds, N, room=1e9, limit_mb=1e3)
    lines = "const near = new Int32Array(0);\nconst points = new Float32Array("
    lines += "bytes(text('points')).buffer);\n"
    script = map_page.SCRIPT.read_text("utf-8")
    target = tmp_path / "host.html"
    target.write_text(map_html.html(script, shown, parts=parts, mount=lines + HOST), "ascii")
    page = Pair(driver)
    page.open(target)
    assert page.headings() == ["first", "second"]
    assert page.selected() == ["1 selected", "1 selected"]
    page.ask("traits.selected = [2, 3]; heard['change:selected']()")
    assert page.selected() == ["2 selected", "2 selected"]
    page.ask(f"traits.table = {json.dumps(shown | {'title': 'renamed'})}; heard['change:table']()")
    page.wait("document.querySelector('h1').textContent === 'renamed'")
    assert page.complaints() == []
