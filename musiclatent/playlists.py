"""Playlists of sections (XSPF and m3u8), and which sections to put in one.

A section plays from its start to its end where the player can: VLC reads both times from either
format, other players play the whole file. The times are not put into the address as a media
fragment (``#t=15,30``): players that hand addresses to GLib refuse one with a "#" in it, and others
take it for a part of the file's name, so that it would cost the sound where it did not help.

`sections` are one row a section: item_id (the track), path, start_s and end_s in seconds.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pandas as pd
from sklearn.neighbors import NearestNeighbors

from musiclatent import projection
from musiclatent.attributes import COLUMNS as ATTRIBUTES
from musiclatent.files import write_file
from musiclatent.projection import UNUSUAL

COLUMNS = ("path", "start_s", "end_s", "item_id")
MEASURED = {*ATTRIBUTES, "tempo", "steady", "key_strength", "loudness_db"}  # what may be unusual
FAINT_DB = 30.0  # below the median loudness: a pause, or the end of a fade
CLIPPED = 0.01  # share of samples at full scale from which clipping is named
_XSPF = {
    "version": "1",
    "xmlns": "http://xspf.org/ns/0/",
    "xmlns:vlc": "http://www.videolan.org/vlc/playlist/ns/0/",
}
_VLC = "http://www.videolan.org/vlc/playlist/0"
_NOT_XML = re.compile("[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def write(path: str | Path, sections: pd.DataFrame, title: str) -> Path:
    """Write a playlist, whole or not at all.

    Parameters
    ----------
    path
        The file, ``.xspf`` or ``.m3u8``; its folder is made. An XSPF file holds absolute file
        addresses; an m3u8 file holds paths, relative to its own folder where the sound lies
        inside it and absolute elsewhere, and file addresses of names that a line of text cannot
        hold, such as one with a line break.
    sections
        Rows in the order of playing: path, start_s, end_s, item_id. A column `title` takes the
        place of track and time; a column `why` is shown with it.
    title
        Name of the playlist.

    Raises
    ------
    ValueError
        If the suffix is another, a column is missing, a time is no time or a path no path.

    Notes
    -----
    XSPF version 1, https://www.xspf.org/spec. Characters that XML 1.0 cannot hold become U+FFFD.
    """
    path = Path(path)
    check(path)
    _check(sections)
    make = {".xspf": _xspf, ".m3u8": _m3u8}[path.suffix.lower()]
    return write_file(path, make(path, sections, title))


def check(path: Path) -> None:
    """Refuse a name that no playlist has.

    Raises
    ------
    ValueError
        If its suffix is another than ``.xspf`` and ``.m3u8``.
    """
    if path.suffix.lower() not in (".xspf", ".m3u8"):
        raise ValueError(f"{path.name!r} is no playlist; let its name end in .xspf or .m3u8")


def cluster(sections: pd.DataFrame, labels: np.ndarray, k: int) -> pd.DataFrame:
    """Choose all sections of a cluster, in their order.

    Parameters
    ----------
    sections
        B rows.
    labels
        Cluster of each row (B,), int; -1 for none.
    k
        The cluster.

    Returns
    -------
    DataFrame
        Rows of `sections` with a column `why`.

    Raises
    ------
    ValueError
        If lengths differ, or no section is of cluster k.
    """
    labels = _clusters(labels, sections)
    if k not in labels:
        known = ", ".join(map(str, np.unique(labels[labels >= 0])))
        raise ValueError(f"no section is of cluster {k}; choose one of {known}")
    return sections[labels == k].assign(why=f"of cluster {k}")


def central(
    z: np.ndarray, sections: pd.DataFrame, labels: np.ndarray, k: int, n: int
) -> pd.DataFrame:
    """Choose the sections nearest to the mean of a cluster, the nearest first.

    Parameters
    ----------
    z
        One row a section (B, D).
    sections, labels, k
        As in `cluster`.
    n
        How many; all where the cluster has fewer.

    Returns
    -------
    DataFrame
        Rows of `sections` with a column `why`.

    Raises
    ------
    ValueError
        As `cluster`, or if z has another length or holds NaN.
    """
    z, of = _checked(z, sections), cluster(sections, labels, k)
    z = z[np.asarray(labels) == k]
    distance = np.linalg.norm(z - z.mean(axis=0), axis=1)
    middle = np.median(distance)
    why = [
        f"{d:.3g} from the centre of cluster {k}, half lie within {middle:.3g}" for d in distance
    ]
    return of.assign(why=why).iloc[np.argsort(distance, kind="stable")[:n]]


def border(z: np.ndarray, sections: pd.DataFrame, labels: np.ndarray, n: int) -> pd.DataFrame:
    """Choose the sections that lie almost as near to the mean of a second cluster as to the first.

    Parameters
    ----------
    z
        One row a section (B, D).
    sections, labels
        As in `cluster`; sections of no cluster are left out.
    n
        How many; all where there are fewer.

    Returns
    -------
    DataFrame
        Rows of `sections` with a column `why`, the smallest difference between the distances to
        the two nearest means first.

    Raises
    ------
    ValueError
        As `central`, or if there are fewer than two clusters.
    """
    z, labels = _checked(z, sections), _clusters(labels, sections)
    ks = np.unique(labels[labels >= 0])
    if len(ks) < 2:
        raise ValueError(f"{len(ks)} clusters have no border; give sections of two or more")
    rows = np.flatnonzero(labels >= 0)
    distance = np.stack([np.linalg.norm(z[rows] - z[labels == k].mean(axis=0), axis=1) for k in ks])
    a, b = np.argsort(distance, axis=0, kind="stable")[:2]
    near, second = np.sort(distance, axis=0)[:2]
    why = [
        f"between clusters {ks[i]} and {ks[j]}: {d:.3g} from one centre, {e:.3g} from the other"
        for i, j, d, e in zip(a, b, near, second, strict=True)
    ]
    order = np.argsort(second - near, kind="stable")[:n]
    return sections.iloc[rows].assign(why=why).iloc[order]


def anomalies(z: np.ndarray, sections: pd.DataFrame, n: int) -> pd.DataFrame:
    """Choose the sections that are silent, clipped, cut short or unlike all others, and say why.

    Parameters
    ----------
    z
        One row a section (B, D), at least three.
    sections
        B rows. Read where there are such columns: `silent` (bool), `rms_mean` (of samples in
        [-1, 1]), `clipped` (share of samples at full scale) and the attributes of
        `attributes.COLUMNS`.
    n
        How many at most.

    Returns
    -------
    DataFrame
        Rows of `sections` with a column `why`: those with the most reasons first, and of equals
        the farthest from its nearest section. A section is unlike all others when that distance
        lies 2.5 robust standard deviations above the median; its two most unusual attributes are
        named (see `projection.outliers`). It is cut when it is shorter than the longest, provided
        that most have that length.

    Raises
    ------
    ValueError
        If lengths differ, z holds NaN, or there are fewer than three sections.
    """
    z = _checked(z, sections)
    if len(z) < 3:
        raise ValueError(f"{len(z)} sections are too few to call one unusual; give three or more")
    distance = NearestNeighbors(n_neighbors=1).fit(z).kneighbors()[0][:, 0]
    reasons: list[list[str]] = [[] for _ in z]
    for found in (_silence(sections), _clipping(sections), _cuts(sections)):
        for row, reason in found:
            reasons[row].append(reason)
    for row, reason in _strangers(z, sections, distance):
        reasons[row].append(reason)
    count = np.array([len(found) for found in reasons])
    order = np.lexsort([-distance, -count])[: min(n, np.count_nonzero(count))]
    return sections.iloc[order].assign(why=["; ".join(reasons[row]) for row in order])


def neighbours(z: np.ndarray, sections: pd.DataFrame, i: int, n: int) -> pd.DataFrame:
    """Choose the sections nearest to one of them: first those of other tracks, then its own.

    Parameters
    ----------
    z
        One row a section (B, D).
    sections
        B rows; a track is an item_id.
    i
        Row number of the section that is asked about; it is not among the answers.
    n
        How many; all where there are fewer.

    Returns
    -------
    DataFrame
        Rows of `sections` with a column `why`, each part the nearest first.

    Raises
    ------
    ValueError
        If lengths differ, z holds NaN, or there is no row i.
    """
    z = _checked(z, sections)
    if not 0 <= i < len(z):
        raise ValueError(f"there is no section {i}; choose one of 0 to {len(z) - 1}")
    distance = np.linalg.norm(z - z[i], axis=1)
    own = (sections["item_id"] == sections["item_id"].iloc[i]).to_numpy()
    order = np.lexsort([distance, own])
    order = order[order != i][:n]
    whose = np.where(own, "away, of the same track", "away")
    why = [f"{distance[row]:.3g} {whose[row]}" for row in order]
    return sections.iloc[order].assign(why=why)


def _silence(sections: pd.DataFrame) -> Iterator[tuple[int, str]]:
    """Name the sections that cannot be heard."""
    silent = sections.get("silent", pd.Series(False, sections.index)).to_numpy(bool)
    rms = sections.get("rms_mean", pd.Series(1.0, sections.index)).to_numpy(float)
    below = 20 * np.log10(np.median(rms[~silent]) / rms.clip(1e-9)) if (~silent).any() else rms
    for row in range(len(sections)):
        if silent[row]:
            yield row, "silence"
        elif below[row] > FAINT_DB:
            yield row, f"almost silence, {below[row]:.0f} dB below the median"


def _clipping(sections: pd.DataFrame) -> Iterator[tuple[int, str]]:
    """Name the sections that are cut off at full scale."""
    for row, share in enumerate(sections.get("clipped", ())):
        if share >= CLIPPED:
            yield row, f"clipping, {share:.1%} of the samples at full scale"


def _cuts(sections: pd.DataFrame) -> Iterator[tuple[int, str]]:
    """Name the sections that the end of their file cuts short, on a grid of one length."""
    length = (sections["end_s"] - sections["start_s"]).to_numpy(float)
    whole, short = length.max(), length < length.max() - 0.1
    for row in np.flatnonzero(short if short.mean() < 0.5 else []):
        yield int(row), f"cut at the end of the file, {length[row]:.1f} of {whole:.1f} s are sound"


def _strangers(
    z: np.ndarray, sections: pd.DataFrame, distance: np.ndarray
) -> Iterator[tuple[int, str]]:
    """Name the sections far from any other, and what is most unusual about them."""
    middle = np.median(distance)
    far = np.flatnonzero(distance > middle + UNUSUAL * 1.4826 * np.median(abs(distance - middle)))
    rows = sections[["start_s"]].assign(item_id=np.arange(len(z)))
    factors = sections[[name for name in sections if name in MEASURED]]
    found = projection.outliers(z, rows, factors, len(z)).set_index("item_id")["why"]
    for row in far:
        yield int(row), f"unlike all others: {found[row]}"


def _check(sections: pd.DataFrame) -> None:
    """Refuse rows that cannot be played."""
    missing = [name for name in COLUMNS if name not in sections]
    if missing:
        raise ValueError(f"the sections have no column {', '.join(missing)}; give {COLUMNS}")
    times = sections[["start_s", "end_s"]].to_numpy(float)
    good = np.isfinite(times).all(axis=1) & (times[:, 0] >= 0) & (times[:, 0] < times[:, 1])
    if not good.all():
        start_s, end_s = times[good.argmin()]
        raise ValueError(
            f"section {good.argmin()} goes from {start_s:g} to {end_s:g} s; "
            "give rising times from 0 on"
        )


def _checked(z: np.ndarray, sections: pd.DataFrame) -> np.ndarray:
    """Vectors of the sections, in double precision."""
    z = np.asarray(z, float)
    if z.ndim != 2 or len(z) != len(sections):
        raise ValueError(f"vectors of shape {z.shape} do not fit {len(sections)} sections")
    if not np.isfinite(z).all():
        raise ValueError("vectors hold NaN or infinity; leave those rows out")
    return z


def _clusters(labels: np.ndarray, sections: pd.DataFrame) -> np.ndarray:
    """Cluster of each section."""
    labels = np.asarray(labels)
    if labels.shape != (len(sections),):
        raise ValueError(f"there are {len(sections)} sections but {labels.size} labels")
    return labels


def _xspf(path: Path, sections: pd.DataFrame, title: str) -> str:
    """Write XSPF version 1; elements in the order of the specification, as old readers want it."""
    playlist = ElementTree.Element("playlist", _XSPF)  # VLC knows elements by these very prefixes
    _add(playlist, "title", title)
    tracks = ElementTree.SubElement(playlist, "trackList")
    for number, (_, row) in enumerate(sections.iterrows(), 1):
        track = ElementTree.SubElement(tracks, "track")
        _add(track, "location", _address(row["path"]))
        _add(track, "title", _title(row))
        _add(track, "annotation", row.get("why", ""))
        _add(track, "trackNum", str(number))
        _add(track, "duration", str(round(1000 * (row["end_s"] - row["start_s"]))))
        extension = ElementTree.SubElement(track, "extension", application=_VLC)
        for option in _times(row):
            _add(extension, "vlc:option", option)
    ElementTree.indent(playlist)
    text = ElementTree.tostring(playlist, "unicode", short_empty_elements=False)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{text}\n'


def _m3u8(path: Path, sections: pd.DataFrame, title: str) -> str:
    """Write m3u8: a line with the title, VLC's times and a line with the path, for each section."""
    lines = ["#EXTM3U", f"#PLAYLIST:{_line(title)}"]
    folder = path.absolute().parent
    for _, row in sections.iterrows():
        why = _line(row.get("why", ""))
        shown = f"{_line(_title(row))} ({why})" if why else _line(_title(row))
        lines.append(f"#EXTINF:{round(row['end_s'] - row['start_s'])},{shown}")
        lines += [f"#EXTVLCOPT:{option}" for option in _times(row)]
        lines.append(_path_line(row["path"], folder))
    return "\n".join(lines) + "\n"


def _add(parent: ElementTree.Element, name: str, text: str) -> None:
    """Add an element, if there is something to say."""
    if _line(text):
        ElementTree.SubElement(parent, name).text = _line(text)


def _line(text: object) -> str:
    """Text on one line, without what XML 1.0 cannot hold; missing is empty."""
    return "" if pd.isna(text) else _NOT_XML.sub("\ufffd", " ".join(str(text).split()))


def _title(row: pd.Series) -> str:
    """Name a section by its title, else by track and time."""
    if _line(row.get("title", "")):
        return row["title"]
    times = (f"{int(s // 60)}:{int(s % 60):02d}" for s in (row["start_s"], row["end_s"]))
    return f"{row['item_id']} {'–'.join(times)}"


def _times(row: pd.Series) -> list[str]:
    """VLC's options for a section."""
    return [f"start-time={row['start_s']:.3f}", f"stop-time={row['end_s']:.3f}"]


def _address(path: str | Path) -> str:
    """File address of a path, in ASCII."""
    try:
        if "\0" in str(path) or not str(path):
            raise ValueError
        return Path(path).absolute().as_uri()
    except ValueError:  # half a surrogate pair, too, is in no file's name
        raise ValueError(f"{str(path)!r} is no path of a file; correct the column path") from None


def _path_line(path: str | Path, folder: Path) -> str:
    """Path as a line of an m3u8 file."""
    address, place = _address(path), Path(path).absolute()
    line = str(place.relative_to(folder) if place.is_relative_to(folder) else place)
    # What players would read as a comment or an address, or would trim, is spelt out as an address.
    plain = line == _line(line) and not re.match(r"#|[a-zA-Z][\w+.-]*:", line)
    return line if plain else address
