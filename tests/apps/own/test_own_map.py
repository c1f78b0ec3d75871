"""A map of a folder of music with nothing trained."""

import numpy as np
import pytest
from helpers.signals import tone

from musiclatent import audio
from musiclatent.apps.own import own_map
from musiclatent.data import cache
from musiclatent.errors import CorpusError

SR = 22_050


@pytest.fixture(scope="module")
def music(tmp_path_factory):
    """Four tracks of two kinds, a copy of one, and a file that is no sound."""
    folder = tmp_path_factory.mktemp("songs")
    (folder / "high").mkdir()
    for i, name in enumerate(("a.wav", "b.wav", "high/c.wav", "high/d.wav")):
        hz = 200 + 20 * i if "high" not in name else 3000 + 200 * i
        audio.write(folder / name, tone(hz, seconds=31, sr=SR, seed=i), SR)
    audio.write(folder / "copy.flac", 0.5 * tone(200, seconds=31, sr=SR), SR)
    (folder / "broken.wav").write_bytes(b"no sound")
    return folder


@pytest.fixture(scope="module", autouse=True)
def one_process():
    """No processes of their own for a few short files."""
    build = cache.build
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cache, "build", lambda *args, **more: build(*args, **more | {"n_jobs": 1}))
        yield


@pytest.fixture(scope="module")
def laid_out(music, tmp_path_factory):
    work = tmp_path_factory.mktemp("work")
    return own_map.lay_out(music, "mfcc", projection="pca", work=work)


def test_sections_lie_beside_what_sounds_alike_and_bad_files_are_named(laid_out, music):
    layout, quarantine = laid_out
    items = layout.items
    assert len(items) == 10 and set(items["folder"]) == {music.name, "high"}
    assert [path.rsplit("/", 1)[1] for path in quarantine["path"]] == ["broken.wav"]
    high = items["folder"].eq("high").to_numpy()
    centres = [layout.vectors[rows].mean(axis=0) for rows in (high, ~high)]
    distances = [np.linalg.norm(layout.vectors - centre, axis=1) for centre in centres]
    assert ((distances[0] < distances[1]) == high).all()
    assert "folder" in layout.columns and layout.plane.points.shape == (10, 2)


def test_neighbours_are_of_other_recordings(laid_out):
    from musiclatent.display import map_page

    layout, _ = laid_out
    near = map_page.neighbours_of_rows(layout.vectors, layout.items)
    groups = layout.items["group"].to_numpy()
    same = groups[near] == groups[:, None]
    assert not (same & (near >= 0)).any()
    ids = layout.items.groupby("group")["item_id"].agg(set)
    assert {"a.wav", "copy.flac"} in ids.tolist()  # found by their sound


def test_a_page_holds_every_section(laid_out, tmp_path):
    layout, _ = laid_out
    page = own_map.write_page(layout, tmp_path / "map.html", "songs")
    text = page.read_text()
    assert text.count("copy.flac") >= 2 and "broken.wav" not in text


def test_a_folder_without_music_or_with_too_little_is_one_sentence(tmp_path):
    with pytest.raises(CorpusError, match="there is no such folder"):
        own_map.lay_out(tmp_path / "none", work=tmp_path / "work")
    audio.write(tmp_path / "a.wav", tone(300, seconds=20, sr=8000), 8000)
    with pytest.raises(ValueError, match="with sound in sections of 15 s: 1, too few for a map"):
        own_map.lay_out(tmp_path, "mfcc", work=tmp_path / "work")
