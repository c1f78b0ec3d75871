"""Pages of html that open from disk and ask for nothing: one file with its data and sound inside.

Everything travels in script tags that no browser runs. Titles are shown as text, whatever they
hold.
"""

import base64
import json
from collections.abc import Callable, Sequence

import numpy as np

from musiclatent.files import progress

LIMIT_MB = 60.0  # browsers on phones open pages of this size; 1 MB is a million bytes
Sounds = Sequence[bytes] | Callable[[int], bytes]
_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
    "media-src blob:{beside}; connect-src blob:; img-src data: blob:{beside}"
)
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<link rel="icon" href="data:,">
<title>musiclatent</title>
<style>html, body {{ height: 100%; height: 100dvh; margin: 0; }}</style>
</head>
<body>
<noscript>This page needs JavaScript.</noscript>
<script type="application/json" id="table">{table}</script>
{parts}
<script type="module">
{script}
{{  // a block: names of its own
  const text = (id) => document.getElementById(id).textContent;
  const bytes = (base64) => {{
    const letters = atob(base64);
    const array = new Uint8Array(letters.length);
    for (let i = 0; i < array.length; i++) array[i] = letters.charCodeAt(i);
    return array;
  }};
  const table = JSON.parse(text("table"));
  const offsets = new Uint32Array(bytes(text("offsets")).buffer);
  const letters = text("sound");
  const inside = (i) =>
    new Blob([bytes(letters.slice(offsets[i], offsets[i + 1]))], {{ type: "audio/mpeg" }});
  const beside = (i) => `${{table.folder}}/${{table.files[i]}}.mp3`;
  const sound = table.folder ? beside : inside;
  const picture = (i) => table.folder && `${{table.folder}}/${{table.files[i]}}.png`;
  document.title = table.title;
  {mount}
}}
</script>
</body>
</html>
"""


def html(script: str, table: dict, parts: dict[str, str], mount: str) -> str:
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
    """
    held = "\n".join(
        f'<script type="application/octet-stream;base64" id="{name}">{content}</script>'
        for name, content in parts.items()
    )
    policy = _POLICY.format(beside=" 'self' file:" if "folder" in table else "")
    return _PAGE.format(
        policy=policy, table=inline_json(table), parts=held, script=script, mount=mount
    )


def joined(sounds: Sounds, n: int, room: float, limit_mb: float) -> dict[str, str]:
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
