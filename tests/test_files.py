import errno
import hashlib
import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from musiclatent import files
from musiclatent.files import (
    blocks,
    each_row,
    hashes,
    need_columns,
    pick,
    progress,
    read_toml,
    release,
    sha256_of,
    unique_names,
    whole_file,
    write_file,
    write_json,
)


def test_the_ground_floor_stands_on_nothing_of_ours_and_on_nothing_heavy():
    code = (
        "import sys, musiclatent.errors, musiclatent.files; "
        "heavy = {'torch', 'matplotlib', 'librosa', 'pandas', 'numpy'} & {*sys.modules}; "
        "ours = {name for name in sys.modules if name.startswith('musiclatent.')}; "
        "sys.exit(repr(heavy | ours - {'musiclatent.errors', 'musiclatent.files'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert done.stderr.strip() == "set()"


def test_a_file_is_replaced_and_nothing_else_is_left(tmp_path):
    path = tmp_path / "deep" / "a.txt"
    assert write_file(path, "first") == path
    assert write_file(path, b"second") == path
    assert path.read_bytes() == b"second"
    assert list(path.parent.iterdir()) == [path]


def test_text_is_written_as_it_is_and_what_is_none_is_escaped(tmp_path):
    content = "Ünder\r\n\x00 \udce4"
    write_file(tmp_path / "a", content)
    assert (tmp_path / "a").read_bytes() == "Ünder\r\n\x00 ".encode() + rb"\udce4"


def test_a_writer_that_fails_leaves_the_old_file_and_no_part(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt), whole_file(path) as part:
        assert part.parent == tmp_path
        part.write_text("half")
        raise KeyboardInterrupt
    with pytest.raises(FileNotFoundError), whole_file(path):
        pass  # nothing was written that could take its place
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_missing_folder_is_made_by_write_file_alone(tmp_path):
    with pytest.raises(FileNotFoundError), whole_file(tmp_path / "no" / "a") as part:
        part.write_text("x")
    assert not list(tmp_path.iterdir())


def test_what_went_wrong_is_reported_and_not_that_tidying_failed_too(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match="first"), whole_file(tmp_path / "file" / "a"):
        raise ValueError("first")  # a file is no folder, so that unlink fails as well


def test_a_kill_between_write_and_replace_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    code = (
        "import os, signal, sys; from pathlib import Path; from musiclatent.files import whole_file"
        "\nwith whole_file(Path(sys.argv[1])) as part:"
        "\n    part.write_text('new')"
        "\n    os.kill(os.getpid(), signal.SIGKILL)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert path.read_text() == "old"
    write_file(path, "next")  # what the dead process left is in nobody's way
    assert path.read_text() == "next"


def test_two_writers_of_one_file_do_not_meet(tmp_path):
    path = tmp_path / "a.txt"
    with whole_file(path) as one, whole_file(path) as two:
        one.write_text("one")
        two.write_text("two")
    assert path.read_text() == "one"  # the last to end
    assert list(tmp_path.iterdir()) == [path]


def test_a_new_file_has_the_mode_of_any_other(tmp_path):
    (tmp_path / "plain").write_text("")
    write_file(tmp_path / "ours", "")
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_json_is_sorted_and_whole_or_not_there(tmp_path):
    path = tmp_path / "deep" / "a.json"
    assert write_json(path, {"b": 1.5, "a": [1, 2]}) == path
    before = path.read_text()
    assert json.loads(before) == {"a": [1, 2], "b": 1.5}
    assert before.index('"a"') < before.index('"b"') and before.endswith("}\n")
    with pytest.raises(TypeError):
        write_json(path, {"b": object()})
    assert path.read_text() == before
    assert not list(tmp_path.rglob("*.part"))


@pytest.mark.parametrize("content", [b"", b"abc", bytes(3_000_000)])
def test_sha256(tmp_path, content):
    path = tmp_path / "a"
    path.write_bytes(content)
    assert sha256_of(path) == sha256_of(str(path)) == hashlib.sha256(content).hexdigest()


def test_sha256_of_nothing(tmp_path):
    with pytest.raises(FileNotFoundError):
        sha256_of(tmp_path / "a")


@pytest.mark.parametrize(("terminal", "pace_s"), [(True, 0.1), (False, 10)])
def test_a_bar_passes_everything_on_and_is_drawn_seldom_where_nobody_watches(
    terminal, pace_s, monkeypatch
):
    stderr = io.StringIO()
    monkeypatch.setattr(stderr, "isatty", lambda: terminal)
    monkeypatch.setattr(sys, "stderr", stderr)
    bar = progress(range(2000), "count", "row")
    assert bar.mininterval == pace_s
    assert list(bar) == list(range(2000))
    assert "count: 100%" in stderr.getvalue() and "2000/2000" in stderr.getvalue()
    assert terminal or stderr.getvalue().count("\r") <= 3  # at its beginning and its end


def test_a_bar_that_is_moved_by_hand_or_has_nothing_to_say(capsys):
    with progress(None, "send", "B", total=4, unit_scale=True) as bar:
        bar.update(3)
        bar.update(1)
    assert "send: 100%" in capsys.readouterr().err
    assert list(progress(iter("ab"), "quick", "row", total=2, delay=5)) == ["a", "b"]
    assert capsys.readouterr().err == ""


def test_a_bar_in_a_notebook_leaves_one_line_with_the_time_it_took(monkeypatch):
    lines, handle = [], type("Handle", (), {"update": lambda _, data, raw: lines.append(data)})()
    shown = lambda data, raw, display_id: lines.append(data) or handle  # noqa: E731
    kernel = type("OutStream", (io.StringIO,), {"__module__": "ipykernel.iostream"})()
    monkeypatch.setattr("IPython.display.display", shown)
    monkeypatch.setattr(sys, "stderr", kernel)
    with progress(None, "encode", "window", total=3) as bar:
        bar.update(3)
    assert kernel.getvalue() == "" and len(lines) > 1  # the first is shown, the others replace it
    assert lines[-1] == {"text/plain": "encode: 3 of 3 (window), 00:00"}
    assert list(progress(iter("ab"), "quick", "row", total=2, delay=5)) == ["a", "b"]
    assert lines[-1]["text/plain"].startswith("encode")


def test_names_are_unique_on_any_file_system(tmp_path):
    files = [Path("a/One.wav"), Path("b/one.mp3"), Path("c/two.wav"), Path("d/" + 80 * "x")]
    names = unique_names(files, tmp_path, (".wav", ".png"))
    assert list(names.values()) == ["One", "one-2", "two", 60 * "x"]


def test_nothing_is_named_like_one_of_the_files(tmp_path):
    files = [tmp_path / "a.wav", tmp_path / "a-2.wav", tmp_path / "b.mp3"]
    names = unique_names(files, tmp_path, (".wav",))
    assert list(names.values()) == ["a-3", "a-2-2", "b"]
    assert not {tmp_path / f"{name}.wav" for name in names.values()} & set(files)


def test_pick_names_what_there_is():
    assert pick({"a": 1}, "a", "letter") == 1
    with pytest.raises(ValueError, match="no letter named 'c'; choose one of: a, b"):
        pick({"a": 1, "b": 2}, "c", "letter")


def test_a_table_keeps_its_order_and_cannot_be_changed(tmp_path):
    path = tmp_path / "table.toml"
    path.write_text("[b]\nx = [[1, 2], [3]]\n[a]\ny = {z = [0.5]}\n")
    table = read_toml(path)
    assert table == {"b": {"x": ((1, 2), (3,))}, "a": {"y": {"z": (0.5,)}}}
    assert list(table) == ["b", "a"]


def test_missing_columns_are_named():
    need_columns({"a": 1, "b": 2}, ["a"], "rows lack", "add them")
    with pytest.raises(ValueError, match="rows lack c, d; add them"):
        need_columns({"a": 1}, ["a", "c", "d"], "rows lack", "add them")


def test_only_files_of_another_size_or_time_are_hashed_again(tmp_path, monkeypatch):
    paths, store = [tmp_path / name for name in "abc"], tmp_path / "kept" / "hashes.json"
    for path in paths:
        path.write_bytes(path.name.encode())
    expected = [hashlib.sha256(path.name.encode()).hexdigest() for path in paths]
    assert hashes([*paths, tmp_path / "gone"], store) == [*expected, ""]
    monkeypatch.setattr(files, "sha256_of", lambda path: f"new {path[-1]}")
    paths[1].write_bytes(b"other")
    assert hashes(paths[::-1], store) == [expected[2], "new b", expected[0]]
    assert hashes(paths) == ["new a", "new b", "new c"]
    store.write_text("[1]")
    assert hashes(paths[:1], store) == ["new a"]


def test_what_we_make_is_marked(tmp_path):
    assert files.own_output(tmp_path) == set()
    files.mark_output(tmp_path, "a.flac", "a.cue")
    files.mark_output(tmp_path, "b\n.flac")
    assert files.own_output(tmp_path) == {"a.flac", "a.cue", "b\n.flac"}
    files.mark_output(tmp_path)
    assert "*" in files.own_output(tmp_path)
    (tmp_path / files.OWN).write_text("[1")
    assert files.own_output(tmp_path) == files.own_output(tmp_path / "none") == set()


def test_a_folder_that_was_there_is_not_ours_as_a_whole(tmp_path):
    new, old = tmp_path / "new", tmp_path / "old"
    old.mkdir()
    (old / "song.wav").write_bytes(b"x")
    for folder in (new, old):
        with files.output_folder(folder):
            files.write_file(folder / "made.wav", b"x")
    assert files.own_output(new) == {"*"} and files.own_output(old) == {"made.wav"}


def test_a_full_disk_names_the_folder(tmp_path):
    def fill(code, text):
        with files.whole_file(tmp_path / "a"):
            raise OSError(*((code, text) if code else (text,)))

    for code, text in ((errno.ENOSPC, "full"), (None, "[Errno 28] Error writing bytes to file.")):
        with pytest.raises(OSError, match="No space left on device; free some space in ") as caught:
            fill(code, text)
        assert str(tmp_path) in str(caught.value) and caught.value.errno == errno.ENOSPC
    with pytest.raises(OSError, match="denied"):
        fill(errno.EACCES, "denied")


def test_names_of_255_bytes(tmp_path):
    paths = [tmp_path / ("🎛" * 61 + ".wav"), tmp_path / ("é" * 120 + ".wav"), tmp_path / "a.wav"]
    names = files.unique_names(paths, tmp_path, ["_reconstruction.wav"])
    assert all(len(f"{name}_reconstruction.wav".encode()) <= 255 for name in names.values())
    assert len(set(names.values())) == 3 and names[paths[2]] == "a"


@pytest.mark.skipif(os.name != "posix", reason="homes are chosen by HOME on posix")
def test_without_a_home_files_go_to_a_folder_of_ones_own(tmp_path):
    code = (
        "import os, musiclatent.config as c; "
        "print(*(os.environ.get(n, '') for n in ('IPYTHONDIR', 'MPLCONFIGDIR')), c.cache_home())"
    )
    free = {k: v for k, v in os.environ.items() if not k.startswith(("XDG", "MPL", "IPY", "JUP"))}
    environment = free | {"HOME": "/nonexistent", "TMPDIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True
    )
    places = done.stdout.split()
    assert len(places) == 3 and all(place.startswith(str(tmp_path)) for place in places), done
    assert (tmp_path / f"musiclatent-{os.getuid()}").stat().st_mode & 0o077 == 0


def resident_kb(path):
    """Memory that the pages of a mapped file take in this process."""
    lines = Path("/proc/self/smaps").read_text().split("\n")
    first = next(i for i, line in enumerate(lines) if line.endswith(str(path)))
    return int(next(line for line in lines[first:] if line.startswith("Rss:")).split()[1])


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="only Linux says what is mapped")
def test_of_a_mapped_file_one_block_at_a_time_is_in_memory(tmp_path):
    path = tmp_path / "x.npy"
    np.save(path, np.arange(4_000_000, dtype=np.float32).reshape(4000, 1000))  # 16 MB
    x, total, most = np.load(path, mmap_mode="r"), 0.0, 0
    for block in blocks(x, 250):
        total += block.sum(dtype=float)
        most = max(most, resident_kb(path))
    assert total == 4_000_000 * 3_999_999 / 2 and 0 < most < 8_000
    x.sum()
    assert resident_kb(path) > 15_000
    release(x[10:20])  # a view lets the whole file go
    assert resident_kb(path) == 0 and x[-1, -1] == 3_999_999


def test_blocks_of_an_array_in_memory():
    x = np.arange(7)
    assert [block.tolist() for block in blocks(x, 3)] == [[0, 1, 2], [3, 4, 5], [6]]
    assert [block.tolist() for block in blocks(x[:0], 3)] == [[]]
    assert [row.tolist() for row in each_row(np.eye(3), [2, 0])] == [[0, 0, 1], [1, 0, 0]]
    release(None)
    assert x.tolist() == list(range(7))
