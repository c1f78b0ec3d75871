"""Download datasets: transfer, verify, unpack; nothing half-made is ever left in place.

A dataset lands in ``root/<folder>`` only when all of it has arrived and was verified; until then
finished files wait in ``root/.<folder>.partial``, so that a broken-off download goes on from there.
Beside it stands ``SHA256SUMS``, which ``sha256sum -c SHA256SUMS`` can check at any time. Where the
publisher states no hash of the content, the first download writes that file and every later one is
compared with it.
"""

import json
import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import pooch
import requests

from musiclatent.data import archives
from musiclatent.errors import FetchError, plain_errors
from musiclatent.files import progress, sha256_of

SUMS = "SHA256SUMS"
_CHUNK = 2**20  # bytes
_RETRIES = 2
_TIMEOUT_S = 30
_BY_HAND = "or place the dataset by hand as data/README.md says"


@dataclass(frozen=True, kw_only=True)
class Remote:
    """One file to download.

    Parameters
    ----------
    url
        Where it is.
    to
        Path inside the dataset's folder at which it ends up.
    sha256
        Its published hash, or the first 8 digits or more of it; None where there is none.
    inside
        For zip archives: glob of the one folder inside that is kept, as `to`; else empty.
    """

    url: str
    to: str
    sha256: str | None = None
    inside: str = ""


@dataclass(frozen=True, kw_only=True)
class Source:
    """Where a dataset comes from and how to tell that it is there.

    Parameters
    ----------
    folder
        Its folder inside the data root.
    present
        Globs inside the folder; `count` files matching one of them mean that it is there.
    by_hand
        Half a sentence: what to put where when there is no download.
    remotes
        Files to download; none means that there is no automatic download.
    shards
        Parquet shards: URL of a Hugging Face listing, which also states each shard's sha256, and
        the base URL of its paths; or nothing.
    count
        Least number of files.
    sums
        sha256 of the ``SHA256SUMS`` file of the right content, where we could compute it.
    """

    folder: str
    present: tuple[str, ...] = ()
    by_hand: str = ""
    remotes: tuple[Remote, ...] = ()
    shards: tuple[str, str] | tuple[()] = ()
    count: int = 1
    sums: str | None = None


def fetch(source: Source, root: Path) -> Path:
    """Download, verify and unpack a dataset, or do nothing where it is already there.

    Parameters
    ----------
    source
        Where it comes from, see `datasets.SOURCES`.
    root
        Folder above all datasets; made if it is missing.

    Returns
    -------
    Path
        The dataset's folder.

    Raises
    ------
    FetchError
        If the dataset has no automatic download, or the download failed; what was in the folder
        before is untouched.
    """
    folder = Path(root) / source.folder
    if any(len(list(folder.glob(pattern))) >= source.count for pattern in source.present):
        return folder
    if not source.remotes:
        raise FetchError(f"{source.folder} has no download: {source.by_hand}, inside {root}")
    _refuse_incomplete(source, folder)
    with plain_errors(str(root)):
        partial = folder.with_name(f".{folder.name}.partial")
        partial.mkdir(parents=True, exist_ok=True)
        remotes = (*source.remotes, *_shards(source.shards, partial))
        for remote in remotes:
            _bring(remote, partial)
        _install(source, remotes, partial, folder)
    return folder


def _refuse_incomplete(source: Source, folder: Path) -> None:
    """Stop before a download where the place is taken by something that is not the dataset."""
    for pattern in source.present:
        taken = folder / PurePosixPath(pattern).parts[0]
        if taken.exists():
            raise FetchError(
                f"{taken} exists but holds too few files (at least {source.count:,} expected): "
                "move it away and fetch again"
            )


def _bring(remote: Remote, partial: Path) -> None:
    """Put one remote file, or one folder of a remote archive, at its place in `partial`."""
    target = partial / remote.to
    if target.exists() and _matches(target, remote.sha256):
        return
    with tempfile.TemporaryDirectory(dir=partial) as scratch:
        path = _transfer(remote.url, Path(scratch) / Path(remote.url).name, remote.sha256)
        if remote.inside:
            archive = path
            path = Path(scratch) / "unpacked"
            archives.unpack(archive, path)
            matches = list(path.glob(remote.inside))
            if len(matches) != 1:
                raise FetchError(f"{remote.url}: the archive has no {remote.inside}; {_BY_HAND}")
            path = matches[0]
        target.parent.mkdir(parents=True, exist_ok=True)
        path.replace(target)


def _shards(urls: tuple, partial: Path) -> list[Remote]:
    """List the parquet shards of a Hugging Face dataset with the hashes the Hub states."""
    if not urls:
        return []
    listing, base = urls
    with tempfile.TemporaryDirectory(dir=partial) as scratch:
        text = _transfer(listing, Path(scratch) / "listing.json", None).read_bytes()
    try:
        files = {
            entry["path"]: entry["lfs"]["oid"]
            for entry in json.loads(text)
            if re.fullmatch(r"[\w/-]+\.parquet", entry["path"])
        }
    except (ValueError, KeyError, TypeError):
        files = {}
    if not files or not all(re.fullmatch(r"[0-9a-f]{64}", h) for h in files.values()):
        raise FetchError(f"{listing}: lists no parquet files with a sha256; {_BY_HAND}")
    return [
        Remote(url=f"{base}/{p}", to=f"parquet/{p.split('/')[-1]}", sha256=h)
        for p, h in files.items()
    ]


def _install(source: Source, remotes: tuple[Remote, ...], partial: Path, folder: Path) -> None:
    """Verify what has arrived against the known sums and move it into place."""
    tops = list(dict.fromkeys(PurePosixPath(remote.to).parts[0] for remote in remotes))
    (partial / SUMS).write_text(_sums(partial, tops), encoding="utf-8", newline="\n")
    expected = source.sums
    if not expected and (folder / SUMS).exists():
        expected = sha256_of(folder / SUMS)
    if expected and sha256_of(partial / SUMS) != expected:
        shutil.rmtree(partial)
        raise FetchError(
            f"{source.remotes[0].url}: the content is not the one known (see {folder / SUMS} if it "
            f"exists) and was deleted: the source has changed; try again later, {_BY_HAND}"
        )
    folder.mkdir(exist_ok=True)
    for name in (SUMS, *tops):
        if name == SUMS or not (folder / name).exists():  # split lists put there by hand stay
            (partial / name).replace(folder / name)
    shutil.rmtree(partial)


def _sums(folder: Path, tops: list[str]) -> str:
    """Return one ``sha256  path`` line per file, sorted by path."""
    files = [path for top in tops for path in (folder / top).rglob("*") if path.is_file()]
    paths = sorted(path.relative_to(folder).as_posix() for path in files)
    return "".join(f"{sha256_of(folder / path)}  {path}\n" for path in paths)


def _transfer(url: str, target: Path, sha256: str | None) -> Path:
    """Download one file; `target` exists afterwards only if it is whole and its hash is right."""
    cache = pooch.create(
        target.parent,
        base_url="",
        registry={target.name: f"sha256:{sha256}" if sha256 and len(sha256) == 64 else None},
        urls={target.name: url},
        retry_if_failed=_RETRIES,
    )
    wrong = FetchError(
        f"{url}: the content does not have the sha256 {sha256} and was deleted: "
        f"try again later, {_BY_HAND}"
    )
    try:
        cache.fetch(target.name, downloader=_download)
    except requests.RequestException as error:
        raise FetchError(
            f"{url}: {_reason(error)} ({_RETRIES + 1} tries): check the network and run the "
            f"command again, finished files are kept; {_BY_HAND}"
        ) from error
    except ValueError as error:
        raise wrong from error
    if not _matches(target, sha256):  # pooch compares whole hashes only
        target.unlink()
        raise wrong
    target.chmod(0o644)  # pooch leaves the temporary file's 0600
    return target


def _matches(path: Path, sha256: str | None) -> bool:
    """Compare a file with its hash, or with the part of the hash that is known."""
    return not sha256 or sha256_of(path).startswith(sha256)


def _download(url: str, output_file: str, _pooch: pooch.Pooch) -> None:
    """Transfer with a progress bar; a plain refusal is final, other faults may be tried again."""
    label = url.split("/")[-1][:30]
    # total=1 for the moment: pooch takes a bar without a total for no bar
    with progress(None, label, "B", total=1, unit_scale=True) as bar:
        get = pooch.HTTPDownloader(progressbar=bar, chunk_size=_CHUNK, timeout=_TIMEOUT_S)
        try:
            get(url, output_file, _pooch)
        except requests.HTTPError as error:
            if error.response.status_code >= 500:
                raise
            raise FetchError(f"{url}: {_reason(error)}: update musiclatent, {_BY_HAND}") from error


def _reason(error: requests.RequestException) -> str:
    """Return in plain words why a transfer failed."""
    if isinstance(error, requests.HTTPError):
        return f"the server answered {error.response.status_code} {error.response.reason}"
    if isinstance(error, requests.Timeout):
        return f"the server did not answer within {_TIMEOUT_S} s"
    if isinstance(error, requests.exceptions.ChunkedEncodingError):
        return "the connection broke off before the end"
    return "no connection to the server"
