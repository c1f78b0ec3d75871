"""What a file is that is no sound."""

from pathlib import Path

from musiclatent.audio.containers.links import atoms
from musiclatent.audio.containers.parts import mapped


def what_else(path: Path) -> tuple[str, str] | None:
    """Name what a file is that is no sound, and what helps; None where its bytes do not say."""
    with path.open("rb") as file:
        head = file.read(512).lstrip(b"\xef\xbb\xbf \r\n\t")
    kinds = {
        (b"#EXTM3U", b"[playlist]", b"ffconcat"): ("a playlist", "name the files that it lists"),
        (b"<!DOCTYPE", b"<!doctype", b"<html", b"<HTML"): ("a web page", "download the file again"),
        (b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"BM"): ("a picture", "name a file with sound"),
        (b"PK\3\4", b"Rar!", b"7z\xbc", b"\x1f\x8b"): ("an archive", "unpack it first"),
        (b"%PDF",): ("a document", "name a file with sound"),
        (b"MThd",): ("MIDI, notes without sound", "render it to wav with a synthesiser"),
    }
    with mapped(path) as data:
        if data[4:8] == b"ftyp" and b"moov" not in {name for _, name in atoms(data)}:
            return "an mp4 whose index (moov) is missing, so it is cut short", "get a whole copy"
    found = [words for marks, words in kinds.items() if head.startswith(marks)]
    return found[0] if found else None
