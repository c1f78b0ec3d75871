import os

import pytest

from musiclatent import files
from musiclatent.data import folders
from musiclatent.data.folders import index, tune, walk
from musiclatent.errors import CorpusError


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("alone-2-full", "alone"),
        ("alone", "alone"),
        ("sad-js-full", "sad-js"),
        ("super-hacker-fights-ice-variation", "super-hacker-fights-ice"),
        ("80s_vibe", "80s-vibe"),
        ("Full", "full"),
        ("2", "2"),
    ],
)
def test_versions_of_a_tune_have_its_name(name, expected):
    assert tune(name) == expected


def test_a_plain_folder_is_walked_in_order_without_hidden_files(tmp_path):
    names = ["b.wav", 'a/x y\'s "ü"\n.flac', ".hidden/x.wav", ".x.wav", "a/notes.txt"]
    for name in names:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"")
    items = index(tmp_path)
    assert items["item_id"].tolist() == [names[1], "b.wav"]
    assert items["path"].tolist() == [str(tmp_path / names[1]), str(tmp_path / "b.wav")]
    assert set(items["label"]) == {""}


def make(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")


def found(folder):
    return [path.relative_to(folder).as_posix() for path in walk(folder).found]


def test_what_is_no_music_is_counted_in_one_line(tmp_path):
    make(tmp_path, "a.wav", "1.jpg", "2.PNG", "b/3.jpeg", "x.m3u8", "y.cue", "z.mid", ".hidden.mp3")
    (tmp_path / "nowhere.txt").symlink_to(tmp_path / "gone")
    words = "1 hidden file, 3 covers, 2 playlists, 1 link, 1 other file passed over (1 mid)"
    summary = walk(tmp_path).summary()
    assert sorted(summary.removesuffix(" passed over (1 mid)").split(", ")) == sorted(
        words.removesuffix(" passed over (1 mid)").split(", ")
    )
    assert summary.endswith(" passed over (1 mid)")
    reasons = {path.name: why for path, _, why in walk(tmp_path).passed_over}
    assert reasons["nowhere.txt"] == "it leads to nothing"
    assert found(tmp_path) == ["a.wav"]
    make(tmp_path / "only", "a.wav")
    assert walk(tmp_path / "only").summary() == ""


def test_names_that_begin_with_dots(tmp_path):
    make(tmp_path, "...And Justice.mp3", "..two.wav", "...band/x.wav")
    make(tmp_path, ".a.wav", "._b.wav", ".c/x.wav")
    assert found(tmp_path) == ["...And Justice.mp3", "...band/x.wav", "..two.wav"]


def test_links_to_folders_are_walked_once(tmp_path):
    music, disk = tmp_path / "music", tmp_path / "disk"
    make(music, "a/1.wav")
    make(disk, "2.wav", "deep/3.wav")
    (music / "disk").symlink_to(disk)
    (music / "again").symlink_to(disk / "deep")
    (disk / "back").symlink_to(music)
    (music / "a" / "self").symlink_to(".")
    (music / "one.wav").symlink_to(disk / "2.wav")
    (music / "gone.wav").symlink_to(tmp_path / "nothing.wav")
    names = found(music)
    assert len(names) == 5 and {"a/1.wav", "one.wav", "gone.wav", "disk/2.wav"} <= set(names)
    assert [kind for _, kind, _ in walk(music).passed_over] == ["link"] * 3
    reason = index(music).set_index("item_id")["reason"]
    assert set(reason) == {""}  # a link to nothing is set aside where its header is read


@pytest.mark.skipif(os.name != "posix" or os.getuid() == 0, reason="root may read all")
def test_folders_that_may_not_be_read_are_named(tmp_path):
    make(tmp_path, "a.wav", "locked/b.wav")
    (tmp_path / "locked").chmod(0)
    try:
        assert index(tmp_path)["reason"].tolist()[-1].startswith("the folder cannot be read")
    finally:
        (tmp_path / "locked").chmod(0o700)


def test_folders_that_may_not_be_listed_are_named(tmp_path, monkeypatch):
    make(tmp_path, "a.wav", "locked/b.wav")
    scan = os.scandir

    def refuse(folder):
        if str(folder).endswith("locked"):
            raise PermissionError(13, "Permission denied")
        return scan(folder)

    monkeypatch.setattr(folders.os, "scandir", refuse)
    items = index(tmp_path)
    assert items["item_id"].tolist() == ["a.wav", "locked"]
    assert items["reason"].tolist() == [
        "", "the folder cannot be read (Permission denied); change its permissions"
    ]  # fmt: skip
    (tmp_path / "a.wav").unlink()
    with pytest.raises(CorpusError, match=r"no audio \(.*locked: the folder cannot be read"):
        index(tmp_path)


def test_what_we_have_made_is_no_music(tmp_path):
    make(tmp_path, "a.wav", "mix.flac", "results/demo/x.wav", "encoded/a_original.wav", "own/b.wav")
    files.mark_output(tmp_path, "mix.flac")
    files.mark_output(tmp_path / "results" / "demo")
    files.mark_output(tmp_path / "encoded")
    assert found(tmp_path) == ["a.wav", "own/b.wav"]
    assert "1 own file" in walk(tmp_path).summary() and "2 own folders" in walk(tmp_path).summary()
    assert found(tmp_path / "encoded") == ["a_original.wav"]  # asked for by name


def test_the_music_of_a_run_is_fixed(tmp_path):
    music, work = tmp_path / "music", tmp_path / "work"
    make(music, "a.wav", "b.wav")
    assert folders.fixed(music, work) is None and folders.fixed(music, None) is None
    folders.fix(music, work)
    make(music, "c.wav", os.fsdecode(b"caf\xe9.wav"))
    assert index(music, names=folders.fixed(music, work))["item_id"].tolist() == ["a.wav", "b.wav"]
    folders.fix(music, work, anew=False)
    assert folders.fixed(music, work) == ["a.wav", "b.wav"]
    folders.fix(music, work)
    assert folders.fixed(music, work) == ["a.wav", "b.wav", "c.wav", os.fsdecode(b"caf\xe9.wav")]
    assert folders.fixed(tmp_path / "other", work) is None


@pytest.mark.parametrize(
    "name", ["$a$b", 'it\'s "x"', "two\nlines", "a#b?c%d:e", "日本 🎛", "b" * 250, "\x1b[31mred"]
)
def test_names_of_any_kind(tmp_path, name):
    make(tmp_path, f"{name}.wav")
    assert index(tmp_path)["item_id"].tolist() == [f"{name}.wav"]
