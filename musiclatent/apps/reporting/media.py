"""Pictures and sounds small enough for a page that holds them: WebP and mp3 as addresses."""

import base64
import io
import re
from pathlib import Path

from PIL import Image

from musiclatent import audio
from musiclatent.display import style

WIDEST = 1100  # pixels: `style.WIDEST` inches as they are saved
QUALITY = 78  # of WebP: letters of 8 points stay sharp
EXCERPT_S = 12.0  # of a mix: a transition, and something before it


def picture(path: Path) -> dict[str, str | int]:
    """Return a png as a smaller picture of the same scale.

    Parameters
    ----------
    path
        A picture that `style.save_figure` wrote.

    Returns
    -------
    dict
        title (of the file's name), caption (its own, else the title), address (``data:``), and
        width and height in pixels, 1,100 wide at most.
    """
    title = re.sub(r"[_-]+", " ", path.stem.partition("_")[2] or path.stem)
    with Image.open(path) as png:
        image = png.convert("RGB")
    image.thumbnail((WIDEST, 10 * WIDEST))
    image.save(buffer := io.BytesIO(), "WEBP", quality=QUALITY, method=2)
    address = _address(buffer.getvalue(), "image/webp")
    size = {"width": image.width, "height": image.height}
    return {"title": title, "caption": style.read_caption(path) or title, "address": address} | size


def sound(path: Path, title: str = "", start_s: float = 0.0, duration_s: float | None = None):
    """Return a file, or a part of it, as a sound: its title and address; a dict as `picture`."""
    y, sr = audio.read(path, start_s=start_s, duration_s=duration_s)
    title = title or re.sub(r"_+", " ", path.stem.partition("_")[2] or path.stem)
    return {"title": title, "address": _address(audio.to_preview(y, sr), "audio/mpeg")}


def transition(folder: Path) -> list[dict[str, str]]:
    """Return the first transition of a mix that runs beat on beat, or nothing without one.

    Parameters
    ----------
    folder
        Where ``mix.flac`` and its cue sheet are.
    """
    sheet = folder / "mix.cue"
    if not (sheet.exists() and (folder / "mix.flac").exists()):
        return []
    tracks = sheet.read_text("utf-8").split("  TRACK ")[2:]
    matched = [track for track in tracks if "plain crossfade" not in track] or tracks
    for track in matched[:1]:
        minutes, seconds, frames = map(
            int, re.search(r"INDEX 01 (\d+):(\d+):(\d+)", track).groups()
        )
        start_s = max(0.0, 60 * minutes + seconds + frames / 75 - EXCERPT_S / 4)
        part = {"start_s": start_s, "duration_s": EXCERPT_S}
        return [sound(folder / "mix.flac", "a transition of the mix", **part)]
    return []


def _address(content: bytes, kind: str) -> str:
    """Return bytes as an address that holds them."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
