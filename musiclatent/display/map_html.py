"""Pages of html that open from disk and ask for nothing: one file with its data and sound inside.

Everything travels in script tags that no browser runs. Titles are shown as text, whatever they
hold.
"""

import base64
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import jinja2
import numpy as np

from musiclatent.files import progress

LIMIT_MB = 60.0  # browsers on phones open pages of this size; 1 MB is a million bytes
Sounds = Sequence[bytes] | Callable[[int], bytes]
STATIC = Path(__file__).parent / "static"
_TEMPLATES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(STATIC),
    autoescape=jinja2.select_autoescape(["html.j2"]),
    trim_blocks=True,
    lstrip_blocks=True,
)


def render(template: str, **values: object) -> str:
    """Return a template of the folder ``static``, filled in; values are escaped in ``.html.j2``."""
    return _TEMPLATES.get_template(template).render(values)


def static_text(name: str) -> str:
    """Return a file of the folder ``static``."""
    return (STATIC / name).read_text("utf-8")


def html(
    script: str, table: dict, *, parts: dict[str, str], mount: str, sends: bool = False
) -> str:
    """Put a page together, as ASCII.

    Parameters
    ----------
    script
        A JavaScript module without imports.
    table
        What it shows: title, and whatever else json can hold. With `folder` (an address relative
        to the page) and `files` (a name for each sound) the sound stands beside the page.
    parts
        Base64 by name; ``offsets`` and ``sound`` always, as of `joined`, or empty.
    mount
        The last lines of the module, which see `table`, `sound`, `picture`, `bytes` and `text`.
    sends
        Whether it may send something to the server that it came from.
    """
    return render(
        "page.html.j2",
        sends=sends,
        beside="folder" in table,
        table=inline_json(table),
        parts=parts,
        script=script,
        mount=mount,
    )


def joined(sounds: Sounds, n: int, *, room: float, limit_mb: float) -> dict[str, str]:
    """Write sounds one after the other.

    Parameters
    ----------
    sounds
        n mp3 files as bytes, or a function that makes the one of a number.
    n
        How many.
    room
        Bytes that they may take as base64.
    limit_mb
        Largest page in millions of bytes, for the message.

    Returns
    -------
    dict
        ``sound`` and ``offsets``, where each sound begins and the last ends, as base64.

    Raises
    ------
    ValueError
        If a sound is empty, or they do not fit.
    """
    make = sounds if callable(sounds) else sounds.__getitem__
    parts, offsets = [], [0]
    for i in progress(range(n), "sound", "segment", delay=2):
        sound = make(i)
        if not sound:
            raise ValueError(f"row {i} has no sound; give mp3 bytes, of silence too, or drop it")
        parts.append(base64.b64encode(sound).decode())
        offsets.append(offsets[-1] + len(parts[-1]))
        if offsets[-1] > room:
            whole = (limit_mb * 1e6 - room + offsets[-1] * n / (i + 1)) / 1e6
            raise ValueError(
                f"a page of {n:,} segments takes about {whole:,.1f} MB and the limit is "
                f"{limit_mb:g}: {i:,} fit; take fewer segments or shorter ones"
            )
    return {"offsets": as_base64(np.array(offsets, "<u4")), "sound": "".join(parts)}


def as_base64(array: np.ndarray) -> str:
    """Write the bytes of an array as text."""
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()


def inline_json(table: dict) -> str:
    """Write strict ASCII json that no html parser can mistake for a tag."""
    return json.dumps(table, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")
