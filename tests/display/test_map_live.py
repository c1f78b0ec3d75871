"""Live encoding around the map: files brought, ways between points, points that are moved."""

import re

import numpy as np
import pandas as pd
import pytest
import torch
from helpers.models import SMALL, untrained

from musiclatent import audio
from musiclatent.analysis import neighbours
from musiclatent.audio import windows
from musiclatent.audio.windows import Waveform
from musiclatent.config import Study
from musiclatent.data.datamodules import CorpusDataModule
from musiclatent.display import map_live
from musiclatent.display.map_live import Live, directions, uploaded
from musiclatent.latents.encode import encode_corpus

SR, WINDOW_S = 8000, 0.5
STUDY = Study(
    name="waveform",
    title="Waves",
    question="",
    source="",
    demo=(),
    real=(),
    window_s=WINDOW_S,
    sr=SR,
)


def tone(hz: float, seconds: float = 1.25) -> np.ndarray:
    t = np.arange(round(seconds * SR)) / SR
    return 0.3 * np.sin(2 * np.pi * hz * t * (1 + t))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A run of random weights, and the latents of ten tones and a silence by it."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("live")
    run = untrained(folder, SMALL)
    music = folder / "music"
    for i in range(10):
        (music / f"style{i % 2}").mkdir(parents=True, exist_ok=True)
        audio.write(music / f"style{i % 2}" / f"{i}.wav", tone(100 * (i + 1)), SR)
    audio.write(music / "silence.wav", np.zeros(4000), SR)
    what = Waveform(SR, WINDOW_S)
    data = CorpusDataModule(
        names=(str(music),), folder=folder / "cache", root=music, transform=what, n_jobs=1
    )
    yield run, encode_corpus(run, data, folder / "latents"), folder
    torch.set_num_threads(threads)


@pytest.fixture
def live(made):
    run, known, folder = made
    return Live(run, STUDY, known, folder)


def wav(y: np.ndarray, folder) -> bytes:
    return audio.write(folder / "brought.wav", y, SR).read_bytes()


def click(live: Live, i: int) -> None:
    live.map.clicked = {"index": i, "count": live.map.clicked.get("count", 0) + 1}


def test_the_map_shows_what_sounds(live, made):
    _, known, _ = made
    sounding = known.items[~known.items["silent"]].reset_index(drop=True)
    assert live.map.items["item_id"].tolist() == sounding["item_id"].tolist()
    assert "silence" not in " ".join(live.map.items["item_id"])
    names = [column["name"] for column in live.map.table["columns"]]
    assert set(names) >= {"cluster", "membership", "split", "item_id"}
    np.testing.assert_allclose(live.map.place(), live.plane.points, atol=1e-5)
    assert isinstance(live._z.base, np.memmap) or isinstance(live._z, np.memmap)
    row = np.flatnonzero(~known.items["silent"])[4]
    np.testing.assert_array_equal(live.latent(4), known.shaped()[row])


def test_the_plane_is_fitted_on_training_windows(live):
    train = live.map.items["split"].eq("train").to_numpy()
    assert train.any() and not train.all()
    np.testing.assert_allclose(live.plane.points[train].mean(axis=0), 0, atol=1e-4)
    assert abs(live.plane.points.mean(axis=0)).max() > 1e-3


@pytest.mark.parametrize("kind", ["nonsense", ""])
def test_an_unknown_kind_of_map_is_refused(made, kind):
    run, known, _ = made
    with pytest.raises(ValueError, match="no kind of map named .*pca, umap, tsne"):
        Live(run, STUDY, known, kind=kind)


def test_a_known_recording_finds_itself(live, made):
    n, points = len(live.map.items), live.map.place().copy()
    listed = live.upload("again.wav", wav(tone(300), made[2]))
    assert listed["item_id"].iloc[0].endswith("2.wav") and listed["distance"].iloc[0] < 1e-3
    assert listed["distance"].is_monotonic_increasing and listed["item_id"].is_unique
    brought = live.map.selection()
    assert brought.index.tolist() == [n, n + 1, n + 2]
    assert brought["title"].tolist() == ["again.wav"] * 3
    assert brought["start_s"].tolist() == [0.0, 0.5, 1.0]
    assert brought["label"].eq("your file").all() and brought["path"].eq("").all()
    np.testing.assert_array_equal(live.map.place()[:n], points)
    for i in brought.index:  # the same sound stands at the same place
        twin = live.map.items.query("item_id == @listed.item_id.iloc[0]").index[i - n]
        np.testing.assert_allclose(live.map.place()[i], points[twin], atol=1e-3)
        np.testing.assert_allclose(live.latent(i), live.latent(twin), atol=1e-5)
    near = np.frombuffer(live.map.near, "<i4").reshape(n + 3, -1)
    vector = live._compared(live.latent(n)[None])
    away = np.linalg.norm(live.vectors[near[n]] - vector, axis=1)
    # Distances, not rows: the file was encoded in another batch, and tones lie close together.
    np.testing.assert_allclose(away, neighbours.nearest(vector, live.vectors, 8)[0][0], atol=1e-5)
    assert "3 segments on the map" in live.said and live._near.table["titles"][0].endswith("2.wav")
    assert bytes(live.map.of_row(n)[:2]) == b"\xff\xf3"  # mp3, though the file is gone


@pytest.mark.parametrize("name", ["../../x.wav", "/etc/passwd", "a\0b.wav", "x.sh; rm -rf .flac"])
def test_a_name_decides_nothing_but_the_suffix(live, made, name, monkeypatch):
    seen = []
    read = windows.windows
    monkeypatch.setattr(windows, "windows", lambda p, *a: seen.append(p) or read(p, *a))
    live.upload(name, wav(tone(300), made[2]))
    assert re.fullmatch(r"brought(\.wav|\.flac)?", seen[0].name) and not seen[0].exists()
    assert live.map.items["title"].iloc[-1] == name


def test_a_title_is_text(live, made):
    live._brought({"new": ({"name": "<img src=x>.wav", "content": wav(tone(200), made[2])},)})
    assert "<img src=x>.wav" in live.said
    assert "<img" not in live._status.value and "&lt;img" in live._status.value


def test_files_come_as_in_ipywidgets_7_and_8(live, made):
    content = wav(tone(300), made[2])
    new = ({"name": "a.wav", "type": "", "size": 1, "content": memoryview(content)},)
    old = {"a.wav": {"metadata": {"name": "a.wav"}, "content": content}}
    assert uploaded(new) == uploaded(old) == [("a.wav", content)]
    assert uploaded(()) == uploaded({}) == []
    n = len(live.map.items)
    live._brought({"new": old})
    assert len(live.map.items) == n + 3


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("song.wav", b"RIFF, or not", "'song.wav': "),
        ("song.mp3", b"", "it is empty"),
        ("notes.txt", b"hello", "'notes.txt': "),
    ],
)
def test_a_file_that_cannot_be_read_is_one_sentence(live, name, content, why):
    n = len(live.map.items)
    file = {"name": name, "type": "", "size": len(content), "content": content}
    file["last_modified"] = pd.Timestamp(0, tz="UTC").to_pydatetime()
    live.files.value = (file,)
    assert re.match(f".*{why}", live.said) and "\n" not in live.said
    assert "Traceback" not in live.said and "/tmp" not in live.said
    assert len(live.map.items) == n


def test_a_large_file_is_refused_before_it_is_written(live, monkeypatch):
    monkeypatch.setattr(map_live, "UPLOAD_MB", 0.001)
    monkeypatch.setattr(map_live, "TemporaryDirectory", None)
    with pytest.raises(ValueError, match="'a.wav' has 2 MB and the limit is 0.001; cut it"):
        live.upload("a.wav", bytes(2_000_000))


def test_a_long_file_is_cut(live, made, monkeypatch):
    monkeypatch.setattr(map_live, "WINDOWS", 8)
    live.upload("long.wav", wav(tone(100, 6), made[2]))
    assert "the first 8 segments" in live.said
    assert (live.map.items["title"] == "long.wav").sum() == 8


def test_two_clicks_and_the_button_make_a_way(live):
    assert live.button.disabled
    click(live, 3)
    assert live.said == f"A: {live._named(3)}" and live.button.disabled
    click(live, 3)
    assert live.button.disabled  # the same point twice is one end
    click(live, 7)
    assert not live.button.disabled and live.said.startswith("A: ") and "; B: " in live.said
    live.steps.value = 4
    live.button.click()
    trail = np.reshape(live.map.trail, (-1, 2))
    assert trail.shape == (4, 2)
    np.testing.assert_allclose(trail[[0, -1]], live.map.place()[[3, 7]])
    assert live.heard.shape == (4, round(WINDOW_S * SR)) and "4 steps" in live.said
    assert live._way.table["titles"][0] == "0% of the way from A to B"
    assert len(live._way.table["titles"]) == 4 and live._way.layout.display is None
    assert len(np.frombuffer(live._way.offsets, "<u4")) == 5
    assert bytes(live._player.value[:2]) == b"\xff\xf3"


def test_the_ends_of_a_way_are_the_songs(live):
    way = live.path(2, 9, steps=5)
    np.testing.assert_array_equal(way[[0, -1]], [live.latent(2), live.latent(9)])
    np.testing.assert_allclose(way[2], (live.latent(2) + live.latent(9)) / 2, atol=1e-6)
    np.testing.assert_allclose(live.heard[0], live.listener.decode(way[:1])[0], atol=1e-5)
    with pytest.raises(ValueError, match="there is no point 999; choose one of 0 to"):
        live.path(0, 999)


def test_a_way_leads_to_a_file_that_was_brought(live, made):
    n = len(live.map.items)
    live.upload("mine.wav", wav(tone(450), made[2]))
    way = live.path(0, n, steps=2)
    np.testing.assert_array_equal(way[1], live.latent(n))


def test_sliders_move_the_point_clicked_last(live):
    live.sliders[0].value = 1.0
    assert live.said.startswith("Click a point first")
    click(live, 5)
    assert live.sliders[0].value == 0 and live.said.startswith("A: ")
    live.sliders[1].value = -2.0
    assert "moved by +0.0, -2.0, +0.0" in live.said
    moved = live.latent(5) - 2 * live.directions[1]
    np.testing.assert_allclose(live.heard, live.listener.decode(moved[None]), atol=1e-6)
    trail = np.reshape(live.map.trail, (-1, 2))
    np.testing.assert_allclose(trail[0], live.map.place()[5])
    (there,) = live.plane.place(live._compared(moved.reshape(1, -1)))
    np.testing.assert_allclose(trail[1], there, atol=1e-4)
    np.testing.assert_array_equal(live.move(5, [0, 0, 0]), live.latent(5))
    with pytest.raises(ValueError, match="2 amounts for 3 directions"):
        live.move(5, [0, 0])


def test_what_goes_wrong_in_a_callback_is_said(live, monkeypatch, caplog):
    click(live, 0), click(live, 1)
    monkeypatch.setattr(live.listener.__class__, "decode", lambda *_: 1 / 0)
    live.button.click()
    assert "ZeroDivisionError" in live.said and "\n" not in live.said
    assert "test_map_live.py" in caplog.text  # the log says where
    click(live, 999)
    assert "IndexError" in live.said


def test_directions_are_those_of_the_frames():
    rng = np.random.default_rng(0)
    axis = np.array([3, 4, 0, 0]) / 5
    z = 0.1 * rng.standard_normal((50, 4, 20)) + axis[:, None] * rng.standard_normal((50, 1, 20))
    found = directions(z.astype(np.float32))
    assert found.shape == (3, 4, 1) and found.dtype == np.float32
    assert np.linalg.norm(found[0]) == pytest.approx(1.0, abs=0.1)
    assert abs(found[0, :, 0] @ axis) == pytest.approx(np.linalg.norm(found[0]), rel=1e-3)
    np.testing.assert_array_equal(found, directions(z.astype(np.float32)))
    assert len(directions(z[:, :2].astype(np.float32))) == 2


def test_no_output_widget_waits(live):
    kinds = {
        type(child).__name__
        for box in live.children
        for child in [box, *getattr(box, "children", ())]
    }
    assert "Output" not in kinds and {"Map", "Rows", "FileUpload", "FloatSlider"} <= kinds
