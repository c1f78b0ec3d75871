"""The tables of the embedded corpora: the toml files beside this module, and what they name."""

import inspect
from collections.abc import Callable
from functools import partial
from pathlib import Path

from musiclatent.files import pick, read_toml


def read(name: str) -> dict:
    """Read a table by the name of its file, see `files.read_toml`."""
    return read_toml(Path(__file__).with_name(f"{name}.toml"))


def sound(row: dict, functions: list[Callable]) -> Callable:
    """Return the function that a row names under ``sound``, with the row's other fields set.

    Parameters
    ----------
    row
        One row of a table of sounds.
    functions
        Those that the table may name.

    Returns
    -------
    Callable
        The function with its options.

    Raises
    ------
    ValueError
        If the row names another function.
    TypeError
        If the function has no such option.
    """
    options = {name: value for name, value in row.items() if name != "sound"}
    function = pick({choice.__name__: choice for choice in functions}, row["sound"], "sound")
    inspect.signature(function).bind_partial(**options)
    return partial(function, **options)
