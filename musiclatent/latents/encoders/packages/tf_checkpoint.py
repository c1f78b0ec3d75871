"""Read the variables of a TensorFlow checkpoint (V2 bundle) without TensorFlow.

``.index`` is a sorted table of LevelDB, whose entries say where each variable lies in ``.data``:
tensorflow/core/util/tensor_bundle, tensorflow/core/lib/io/format.h and
tensorflow/core/protobuf/tensor_bundle.proto. Only plain numbers are read; nothing is executed.
"""

import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from musiclatent.errors import CheckpointError

_FOOTER, _MAGIC = 48, 0xDB4775248B80FB57
_TYPES = {1: np.dtype("<f4"), 2: np.dtype("<f8"), 3: np.dtype("<i4"), 9: np.dtype("<i8")}
Fields = dict[int, list]  # number of a field -> its values, in order


def read_checkpoint(index: Path, data: Path) -> dict[str, np.ndarray]:
    """Read all variables of a checkpoint of one shard.

    Parameters
    ----------
    index, data
        Its files ``.index`` and ``.data-00000-of-00001``.

    Returns
    -------
    dict
        Name -> array, those of the optimiser among them.

    Raises
    ------
    CheckpointError
        If a file is no such file, is cut short, or holds what is not read here.
    """
    try:
        content = Path(data).read_bytes()
        entries = _entries(Path(index).read_bytes())
        return {
            key.decode(): _variable(_fields(value), content)
            for key, value in entries
            if key  # the first, without a name, describes the bundle
        }
    except (IndexError, KeyError, ValueError, struct.error) as error:
        raise CheckpointError(
            f"{index} cannot be read as a TensorFlow checkpoint ({error}); fetch it again"
        ) from None


def _entries(table: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Return key and value of every entry of a table."""
    footer = table[-_FOOTER:]
    if len(footer) < _FOOTER or struct.unpack("<Q", footer[-8:])[0] != _MAGIC:
        raise ValueError("it does not end as a table of LevelDB")
    _, at = _handle(footer, 0)
    blocks, _ = _handle(footer, at)
    for _, handle in _block(table, *blocks):
        yield from _block(table, *_handle(handle, 0)[0])


def _block(table: bytes, start: int, size: int) -> Iterator[tuple[bytes, bytes]]:
    """Return the entries of a block, whose keys leave out what they share with the one before."""
    if start + size >= len(table) or table[start + size]:
        raise ValueError("a block is cut short or compressed")
    block = table[start : start + size]
    (restarts,) = struct.unpack("<I", block[-4:])
    end, at, key = size - 4 - 4 * restarts, 0, b""
    while at < end:
        shared, at = _varint(block, at)
        length, at = _varint(block, at)
        width, at = _varint(block, at)
        key = key[:shared] + block[at : at + length]
        at += length + width
        yield key, block[at - width : at]


def _handle(data: bytes, at: int) -> tuple[tuple[int, int], int]:
    """Return start and size of a block, and where the handle ends."""
    start, at = _varint(data, at)
    size, at = _varint(data, at)
    return (start, size), at


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """Return a number of seven bits per byte, the lowest first, and where it ends."""
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at


def _fields(message: bytes) -> Fields:
    """Return the fields of a protocol buffer: numbers, and bytes of nested ones."""
    fields: Fields = {}
    at = 0
    while at < len(message):
        tag, at = _varint(message, at)
        if tag & 7 == 0:
            value, at = _varint(message, at)
        elif tag & 7 == 2:
            length, at = _varint(message, at)
            value, at = message[at : at + length], at + length
        elif tag & 7 == 5:
            value, at = message[at : at + 4], at + 4
        else:
            raise ValueError(f"a field has the unknown type {tag & 7}")
        fields.setdefault(tag >> 3, []).append(value)
    return fields


def _variable(entry: Fields, content: bytes) -> np.ndarray:
    """Return a variable: fields 1 to 5 are type, shape, shard, offset, size; zeros are left out."""
    if entry.get(3, [0])[0]:
        raise ValueError("it has several shards")
    kind = _TYPES[entry[1][0]]
    dims = _fields(entry[2][0]).get(2, []) if 2 in entry else []
    shape = tuple(_fields(dim).get(1, [0])[0] for dim in dims)
    offset, size = entry.get(4, [0])[0], entry[5][0]
    raw = content[offset : offset + size]
    if len(raw) != size or size != kind.itemsize * int(np.prod(shape)):
        raise ValueError("a variable is cut short")
    return np.frombuffer(raw, kind).reshape(shape)
