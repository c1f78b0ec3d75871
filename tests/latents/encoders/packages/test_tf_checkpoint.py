"""TensorFlow's checkpoints, written here byte by byte as LevelDB and protocol buffers say."""

import struct

import numpy as np
import pytest

from musiclatent.errors import CheckpointError
from musiclatent.latents.encoders.packages.tf_checkpoint import read_checkpoint

TYPES = {"float32": 1, "int64": 9}


def _varint(value: int) -> bytes:
    out = b""
    while value > 127:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])


def _field(number: int, value: int | bytes) -> bytes:
    if isinstance(value, int):
        return _varint(number << 3) + _varint(value)
    return _varint(number << 3 | 2) + _varint(len(value)) + value


def _block(entries: list[tuple[bytes, bytes]]) -> bytes:
    """A block whose keys share their beginnings."""
    out, before = b"", b""
    for key, value in entries:
        shared = next(
            (i for i, (a, b) in enumerate(zip(key, before, strict=False)) if a != b),
            min(len(key), len(before)),
        )
        rest = key[shared:]
        out += _varint(shared) + _varint(len(rest)) + _varint(len(value)) + rest + value
        before = key
    return out + struct.pack("<II", 0, 1)


def write_checkpoint(folder, variables):
    """Files of one shard; a checksum follows each block and each entry, and is not read."""
    data, entries = b"", [(b"", _field(1, 1))]
    for name in sorted(variables):
        array = variables[name]
        shape = b"".join(_field(2, _field(1, size)) for size in array.shape)
        entry = _field(1, TYPES[str(array.dtype)]) + _field(2, shape)
        entry += (_field(4, len(data)) if data else b"") + _field(5, array.nbytes)
        entries.append((name.encode(), entry + _varint(6 << 3 | 5) + b"crc!"))
        data += array.tobytes()
    block = _block(entries)
    at = len(block) + 5
    handle = _varint(0) + _varint(len(block))
    index = _block([(b"zz", handle)])
    footer = _varint(0) + _varint(0) + _varint(at) + _varint(len(index))
    footer = footer.ljust(40, b"\0") + struct.pack("<Q", 0xDB4775248B80FB57)
    (folder / "a.index").write_bytes(block + b"\0crc!" + index + b"\0crc!" + footer)
    (folder / "a.data").write_bytes(data)
    return folder / "a.index", folder / "a.data"


@pytest.fixture
def variables(rng):
    shapes = {"dense/bias": (7,), "dense/kernel": (300, 7), "dense_1/kernel": (2, 3, 4, 5)}
    return {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()} | {
        "step": np.array(77, np.int64)
    }


def test_what_was_written_is_read(tmp_path, variables):
    found = read_checkpoint(*write_checkpoint(tmp_path, variables))
    assert set(found) == set(variables)
    for name, array in variables.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == array.dtype and found[name].shape == array.shape


@pytest.mark.parametrize(
    ("file", "change", "reason"),
    [
        ("a.index", lambda b: b[:-1], "does not end as a table of LevelDB"),
        ("a.index", lambda b: b"", "does not end as a table"),
        ("a.index", lambda b: b[:5], "does not end as a table"),
        ("a.index", lambda b: b[60:], "cut short|unknown type|out of range"),
        ("a.data", lambda b: b[:-1], "a variable is cut short"),
        ("a.data", lambda b: b"", "a variable is cut short"),
    ],
)
def test_what_is_broken_is_one_sentence(tmp_path, variables, file, change, reason):
    paths = write_checkpoint(tmp_path, variables)
    path = tmp_path / file
    path.write_bytes(change(path.read_bytes()))
    with pytest.raises(CheckpointError, match=reason) as caught:
        read_checkpoint(*paths)
    assert "a.index cannot be read as a TensorFlow checkpoint" in str(caught.value)


def test_a_compressed_block_is_named(tmp_path, variables):
    index, data = write_checkpoint(tmp_path, variables)
    content = bytearray(index.read_bytes())
    content[content.index(b"\0crc!")] = 1  # what follows a block says how it is compressed
    index.write_bytes(content)
    with pytest.raises(CheckpointError, match="cut short or compressed"):
        read_checkpoint(index, data)
