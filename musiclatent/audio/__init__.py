"""Sound in and out: decode any file, write it, cut it into windows; no corpus, no torch."""

from musiclatent.audio.io import (
    AudioInfo,
    blocks,
    convert,
    info,
    read,
    require_room,
    to_mp3,
    to_preview,
    write,
    write_blocks,
)

__all__ = [
    "AudioInfo",
    "blocks",
    "convert",
    "info",
    "read",
    "require_room",
    "to_mp3",
    "to_preview",
    "write",
    "write_blocks",
]
