"""Downloads from a local server: whole, refused, broken off, wrong, and again."""

import errno
import hashlib
import io
import json
import os
import threading
import zipfile
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pooch
import pytest

from musiclatent.data import download
from musiclatent.data.datasets import SOURCES
from musiclatent.data.download import Remote, Source, fetch
from musiclatent.errors import FetchError

WAVS = {f"recordings/{i}_a_0.wav": bytes([i]) * 100 for i in range(3)}


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def zipped(files, top="repository-26eb/"):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as bundle:
        for name, data in files.items():
            bundle.writestr(top + name, data)
    return buffer.getvalue()


class Server(ThreadingHTTPServer):
    """Answers with what `pages` holds; a page may claim more bytes than it sends."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.pages, self.asked, self.status = {}, [], {}
        self.claim = {}

    def url(self, path):
        return f"http://127.0.0.1:{self.server_port}{path}"


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.asked.append(self.path)
        body = self.server.pages.get(self.path)
        self.send_response(self.server.status.get(self.path, 200 if body is not None else 404))
        self.send_header("Content-Length", self.server.claim.get(self.path, len(body or b"")))
        self.end_headers()
        self.wfile.write(body or b"")

    def log_message(self, *args):
        pass


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(pooch.core.time, "sleep", lambda s: None)  # the pause between two tries
    server = Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def digits(server):
    server.pages["/d.zip"] = zipped({**WAVS, "README.md": b"-", "utils/x.py": b"-"})
    remote = Remote(url=server.url("/d.zip"), to="recordings", inside="*/recordings")
    return Source(
        folder="digits",
        present=("recordings/*.wav",),
        by_hand="put them there",
        remotes=(remote,),
        count=3,
    )


@pytest.fixture
def songs(server):
    shards = {f"data/{s}-00000-of-00001.parquet": s.encode() * 50 for s in ("train", "test")}
    listing = [
        {"type": "file", "path": p, "size": len(d), "lfs": {"oid": sha256(d), "size": len(d)}}
        for p, d in shards.items()
    ]
    listing.append({"type": "file", "path": "data/README.md", "oid": "0" * 40, "size": 1})
    server.pages["/tree"] = json.dumps(listing).encode()
    server.pages |= {f"/files/{p}": d for p, d in shards.items()}
    server.pages["/list.txt"] = b"blues/blues.00000.wav\n"
    remote = Remote(
        url=server.url("/list.txt"), to="splits/a.txt", sha256=sha256(server.pages["/list.txt"])
    )
    return Source(
        folder="songs",
        present=("parquet/*.parquet", "genres/*/*"),
        by_hand="put them there",
        remotes=(remote,),
        shards=(server.url("/tree"), server.url("/files")),
    )


def content(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*.*")}


def refuses(source, root, match):
    """A failed fetch says one sentence and puts nothing where the dataset belongs."""
    before = content(root / source.folder)
    with pytest.raises(FetchError, match=match) as caught:
        fetch(source, root)
    assert "\n" not in str(caught.value)
    assert content(root / source.folder) == before


def test_archive_comes_out_in_its_folder_and_a_second_fetch_asks_nothing(server, digits, tmp_path):
    folder = fetch(digits, tmp_path / "new")
    assert folder == tmp_path / "new" / "digits"
    assert {k: v for k, v in content(folder).items() if "/" in k} == WAVS
    lines = (folder / "SHA256SUMS").read_text().splitlines()
    assert lines == [f"{sha256(data)}  {name}" for name, data in sorted(WAVS.items())]
    assert [p.name for p in folder.parent.iterdir()] == ["digits"]  # nothing left over
    asked = list(server.asked)
    assert fetch(digits, tmp_path / "new") == folder
    assert server.asked == asked == ["/d.zip"]


def test_shards_come_with_the_hashes_of_the_listing(server, songs, tmp_path):
    folder = fetch(songs, tmp_path)
    assert sorted(content(folder)) == [
        "parquet/test-00000-of-00001.parquet",
        "parquet/train-00000-of-00001.parquet",
        "splits/a.txt",
    ]
    assert len((folder / "SHA256SUMS").read_text().splitlines()) == 3
    umask = os.umask(0o022)
    os.umask(umask)
    assert all(p.stat().st_mode & 0o777 == 0o644 for p in folder.glob("*/*"))
    fetch(songs, tmp_path)
    assert len(server.asked) == 4


def test_a_shard_with_other_content_is_refused_and_finished_files_are_kept(server, songs, tmp_path):
    good = server.pages["/files/data/test-00000-of-00001.parquet"]
    server.pages["/files/data/test-00000-of-00001.parquet"] = b"other"
    refuses(songs, tmp_path, f"does not have the sha256 {sha256(good)} and was deleted: try again")
    assert not (tmp_path / "songs").exists()
    server.pages["/files/data/test-00000-of-00001.parquet"] = good
    server.asked.clear()
    fetch(songs, tmp_path)
    assert server.asked == ["/tree", "/files/data/test-00000-of-00001.parquet"]


@pytest.mark.parametrize(
    "listing",
    [
        b"no json",
        b"[]",
        b"{}",
        b'[{"path": "data/a.parquet"}]',
        b'[{"path": "data/a.parquet", "lfs": {"oid": "12"}}]',
        b'[{"path": "../a.parquet", "lfs": {"oid": "%s"}}]' % (b"0" * 64),
    ],
)
def test_a_strange_listing_is_refused(server, songs, tmp_path, listing):
    server.pages["/tree"] = listing
    refuses(songs, tmp_path, "lists no parquet files with a sha256")


def test_the_start_of_a_hash_is_enough_to_tell_a_file(server, tmp_path):
    server.pages["/w.pth"] = b"weights"
    remote = Remote(url=server.url("/w.pth"), to="w.pth", sha256=sha256(b"weights")[:8])
    source = Source(folder="net", present=("*.pth",), by_hand="put it there", remotes=(remote,))
    other = replace(source, remotes=(replace(remote, sha256="0" * 8),))
    refuses(other, tmp_path, "does not have the sha256 00000000 and was deleted: try again")
    assert list(tmp_path.rglob("*.pth")) == []
    assert (fetch(source, tmp_path) / "w.pth").read_bytes() == b"weights"


def test_missing_page_is_final_and_said_so(server, digits, tmp_path):
    del server.pages["/d.zip"]
    refuses(digits, tmp_path, r"/d\.zip: the server answered 404 Not Found.*data/README\.md")
    assert server.asked == ["/d.zip"]  # no second try


def test_server_fault_is_tried_again(server, digits, tmp_path):
    server.status["/d.zip"] = 503
    refuses(
        digits, tmp_path, r"answered 503 Service Unavailable \(3 tries\).*run the command again"
    )
    assert server.asked == ["/d.zip"] * 3


def test_transfer_that_breaks_off_is_refused_then_done(server, digits, tmp_path):
    server.claim["/d.zip"] = len(server.pages["/d.zip"]) + 1000
    refuses(digits, tmp_path, r"the connection broke off before the end \(3 tries\)")
    assert list(tmp_path.rglob("*.*")) == [tmp_path / ".digits.partial"]
    server.claim.clear()
    assert len(content(fetch(digits, tmp_path))) == 3


def test_no_network(server, digits, tmp_path):
    gone = replace(digits, remotes=(replace(digits.remotes[0], url="http://127.0.0.1:9/d.zip"),))
    refuses(
        gone, tmp_path, r"127\.0\.0\.1:9/d\.zip: no connection to the server.*check the network"
    )


def test_silent_server(digits, server, tmp_path, monkeypatch):
    monkeypatch.setattr(download, "_TIMEOUT_S", 0.05)
    monkeypatch.setattr(Handler, "do_GET", lambda self: threading.Event().wait(0.3))
    refuses(digits, tmp_path, r"did not answer within 0\.05 s|no connection")


def test_hostile_archive_from_a_server_writes_nothing(server, digits, tmp_path):
    server.pages["/d.zip"] = zipped({**WAVS, "../../../../evil": b"x"})
    refuses(digits, tmp_path, "outside its folder.*do not use this file")
    assert not list(tmp_path.rglob("*.wav"))
    assert not list(tmp_path.parent.rglob("evil"))
    server.pages["/d.zip"] = zipped(WAVS)  # the bad one was not kept
    fetch(digits, tmp_path)


def test_archive_without_the_folder(server, digits, tmp_path):
    server.pages["/d.zip"] = zipped({"elsewhere/0.wav": b"x"})
    refuses(digits, tmp_path, r"the archive has no \*/recordings")


def test_content_is_verified_where_its_sums_are_known(server, digits, tmp_path):
    text = "".join(f"{sha256(data)}  {name}\n" for name, data in sorted(WAVS.items()))
    verified = replace(digits, sums=sha256(text.encode()))
    server.pages["/d.zip"] = zipped({**WAVS, "recordings/0_a_0.wav": b"changed"})
    refuses(
        verified,
        tmp_path,
        "the content is not the one known.*was deleted: the source has changed",
    )
    server.pages["/d.zip"] = zipped(WAVS)
    assert fetch(verified, tmp_path).name == "digits"


def test_content_is_compared_with_the_first_download(server, digits, tmp_path):
    folder = fetch(digits, tmp_path)
    (folder / "recordings").rename(tmp_path / "old")
    server.pages["/d.zip"] = zipped({**WAVS, "recordings/0_a_0.wav": b"changed"})
    refuses(digits, tmp_path, r"not the one known \(see .*SHA256SUMS")
    server.pages["/d.zip"] = zipped(WAVS)
    fetch(digits, tmp_path)
    assert len(list((folder / "recordings").iterdir())) == 3


def test_an_incomplete_folder_is_not_taken_for_the_dataset_nor_touched(server, digits, tmp_path):
    (tmp_path / "digits" / "recordings").mkdir(parents=True)
    (tmp_path / "digits" / "recordings" / "0_a_0.wav").write_bytes(b"mine")
    refuses(digits, tmp_path, r"holds too few files \(at least 3 expected\): move it away")
    assert server.asked == []


def test_what_was_placed_by_hand_is_kept(server, songs, tmp_path):
    (tmp_path / "songs" / "splits").mkdir(parents=True)
    (tmp_path / "songs" / "splits" / "mine.txt").write_text("mine")
    folder = fetch(songs, tmp_path)
    assert [p.name for p in (folder / "splits").iterdir()] == ["mine.txt"]
    assert len(list((folder / "parquet").iterdir())) == 2
    (tmp_path / "b" / "songs" / "genres" / "blues").mkdir(parents=True)
    (tmp_path / "b" / "songs" / "genres" / "blues" / "blues.00000.wav").touch()
    server.asked.clear()
    fetch(songs, tmp_path / "b")
    assert server.asked == []


def test_full_disk(server, digits, tmp_path, monkeypatch):
    def full(url, output_file, cache):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(download, "_download", full)
    refuses(digits, tmp_path, r"No space left on device: .*run the command again")


def test_root_that_is_a_file(digits, tmp_path):
    (tmp_path / "root").touch()
    with pytest.raises(FetchError, match=r"Not a directory|File exists"):
        fetch(digits, tmp_path / "root")


@pytest.mark.parametrize("name", ["gtzan_excerpts", "music_speech", "edm", "new_music"])
def test_datasets_without_a_download_say_what_to_put_where(tmp_path, name):
    with pytest.raises(FetchError, match=f"{name} has no download: put .*into {name}"):
        fetch(SOURCES[name], tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.real
def test_real_folders_are_found(data_root):
    for name in set(SOURCES) - {"vggish"}:  # weights, which not everyone has
        assert fetch(SOURCES[name], data_root) == data_root / name
