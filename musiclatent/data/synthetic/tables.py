"""The tables of the embedded corpora: the toml files beside this module."""

import inspect
import tomllib
from collections.abc import Callable
from functools import partial
from pathlib import Path

from musiclatent.files import pick

FOLDER = Path(__file__).parent


def read(name: str) -> dict:
    """Read one table.

    Parameters
    ----------
    name
        Name of the file without its ending.

    Returns
    -------
    dict
        Name of a row -> its fields, in the order of the file, every list as a tuple.
    """
    return _frozen(tomllib.loads((FOLDER / f"{name}.toml").read_text("utf-8")))


def _frozen(value):
    """Turn the lists of a value into tuples, at any depth."""
    if isinstance(value, dict):
        return {name: _frozen(item) for name, item in value.items()}
    return tuple(map(_frozen, value)) if isinstance(value, list) else value


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
