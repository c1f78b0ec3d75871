"""Hostile, damaged and honest archives, all made here."""

import errno
import os
import stat
import struct
import zipfile

import pytest

from musiclatent.data import archives
from musiclatent.data.archives import unpack
from musiclatent.errors import FetchError

FILES = {"a.wav": b"one", "sub/ü b.wav": b"two" * 1000, "sub/empty": b""}


def make_zip(path, members, mode=0o100644, compression=zipfile.ZIP_DEFLATED):
    with zipfile.ZipFile(path, "w", compression) as bundle:
        for name, data in members:
            info = zipfile.ZipInfo("x")
            info.filename = info.orig_filename = name  # as it is: the constructor would tidy it
            info.external_attr = mode << 16
            info.compress_type = compression
            bundle.writestr(info, data)
    return path


def refuses(archive, match, **limits):
    target = archive.parent / "out" / "data"
    with pytest.raises(FetchError, match=match) as caught:
        unpack(archive, target, **limits)
    assert archive.name in str(caught.value)
    assert "\n" not in str(caught.value)
    left = [p for p in archive.parent.rglob("*") if p.is_file() and p != archive]
    assert not target.exists()
    assert left == []


def test_an_honest_archive_comes_out_whole(tmp_path):
    archive = make_zip(tmp_path / "honest", [("folder/", b""), *FILES.items()])
    paths = unpack(archive, tmp_path / "out")
    assert [p.relative_to(tmp_path / "out").as_posix() for p in paths] == list(FILES)
    assert [p.read_bytes() for p in paths] == list(FILES.values())


def test_modes_are_not_restored(tmp_path):
    archive = make_zip(tmp_path / "m", FILES.items(), mode=0o104777)
    (tmp_path / "plain").touch()
    usual = stat.S_IMODE((tmp_path / "plain").stat().st_mode)
    assert {stat.S_IMODE(p.stat().st_mode) for p in unpack(archive, tmp_path / "out")} == {usual}


ESCAPES = [
    "../evil",
    "a/../../evil",
    "/tmp/evil",
    "C:\\evil",
    "c:evil",
    "..\\evil",
    "a\\b",
    "a\0b",
    "a/..",
]


@pytest.mark.parametrize("name", ESCAPES)
def test_members_outside_the_target_are_refused(tmp_path, name):
    refuses(make_zip(tmp_path / "e.zip", [("fine", b"1"), (name, b"x")]), "outside its folder")


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR])
def test_links_and_devices_are_refused(tmp_path, kind):
    refuses(make_zip(tmp_path / "l.zip", [("l", b"/etc/passwd")], mode=kind | 0o777), "link or dev")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_that_comes_twice_is_refused(tmp_path):
    refuses(make_zip(tmp_path / "d", [("a", b"1"), ("./a", b"2")]), "twice")


def test_count_and_size_are_limited(tmp_path):
    archive = make_zip(tmp_path / "big", [(f"f{i}", bytes(1000)) for i in range(11)])
    refuses(archive, "more than 10 members", max_files=10)
    refuses(archive, "more than 5,000 bytes", max_bytes=5000)
    assert len(unpack(archive, tmp_path / "good", max_files=11, max_bytes=11_000)) == 11


def test_a_bomb_whose_header_lies_writes_no_more_than_the_limit(tmp_path, monkeypatch):
    archive = make_zip(tmp_path / "bomb.zip", [("b", bytes(50_000_000))])
    assert archive.stat().st_size < 100_000
    most, written = 1_000_000, []
    honest = archives._copy
    monkeypatch.setattr(
        archives, "_copy", lambda s, p, n: (honest(s, p, n), written.append(p.stat().st_size))[0]
    )
    refuses(archive, "more than 1,000,000 bytes", max_bytes=most)
    assert written == [most]
    data = archive.read_bytes().replace(struct.pack("<I", 50_000_000), struct.pack("<I", 10))
    archive.write_bytes(data)  # claims 10 bytes in both headers
    refuses(archive, "damaged", max_bytes=most)


def test_an_overlapping_bomb_is_refused(tmp_path):
    archive = make_zip(tmp_path / "o.zip", [("a", bytes(2_000_000))])
    with zipfile.ZipFile(archive, "a") as bundle:  # many names for the same bytes
        for i in range(50):
            twin = zipfile.ZipInfo(f"t{i}")
            first = bundle.filelist[0]
            for key in ("CRC", "compress_size", "file_size", "compress_type", "header_offset"):
                setattr(twin, key, getattr(first, key))
            bundle.filelist.append(twin)
            bundle._didModify = True
    refuses(archive, "damaged|more than", max_bytes=10_000_000)


def test_encrypted_zip_says_so(tmp_path):
    archive = make_zip(tmp_path / "secret.zip", [("a", b"1")])
    data = bytearray(archive.read_bytes())
    for mark, at in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        data[data.index(mark) + at] |= 1
    archive.write_bytes(data)
    refuses(archive, "encrypted: unpack it by hand")


def test_cut_and_corrupted_archives_are_refused(tmp_path, rng):
    members = [(f"f{i}", rng.bytes(3000)) for i in range(5)]
    whole = make_zip(tmp_path / "whole", members).read_bytes()
    (tmp_path / "whole").unlink()
    for cut in (0, 1, 512, len(whole) // 2, len(whole) * 4 // 5, len(whole) - 9):
        (tmp_path / "cut").write_bytes(whole[:cut])
        refuses(tmp_path / "cut", "damaged")
    wrong = bytearray(whole)
    wrong[len(whole) // 2] ^= 255
    (tmp_path / "cut").write_bytes(wrong)
    refuses(tmp_path / "cut", "damaged")


@pytest.mark.parametrize("data", [b"", b"not an archive", b"PK\3\4" + bytes(50)])
def test_things_that_are_no_archive_are_refused(tmp_path, data):
    (tmp_path / "thing").write_bytes(data)
    refuses(tmp_path / "thing", "damaged")


def test_a_file_that_is_also_a_folder_is_refused(tmp_path):
    archive = make_zip(tmp_path / "z", [("a", b"1"), ("a/b", b"2")])
    with pytest.raises(FetchError, match=r"run the command again"):
        unpack(archive, tmp_path / "out")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["z"]


def test_missing_archive_and_taken_target(tmp_path):
    with pytest.raises(FetchError, match=r"gone\.zip: No such file.*check that"):
        unpack(tmp_path / "gone.zip", tmp_path / "out")
    archive = make_zip(tmp_path / "a.zip", FILES.items())
    (tmp_path / "out").mkdir()
    with pytest.raises(FetchError, match="exists: move it away"):
        unpack(archive, tmp_path / "out")


def test_full_disk_leaves_nothing(tmp_path, monkeypatch):
    def full(stream, path, left):
        path.write_bytes(b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(archives, "_copy", full)
    archive = make_zip(tmp_path / "a.zip", FILES.items())
    with pytest.raises(FetchError, match=r"No space left.*the disk has space"):
        unpack(archive, tmp_path / "out")
    assert [p.name for p in tmp_path.iterdir()] == ["a.zip"]
