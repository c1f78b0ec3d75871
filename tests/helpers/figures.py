"""Find figures that a text quotes by name, and hold them against recorded ones.

`<!-- study: mel -->` says whose figures follow, up to the next such line or heading of level two.
"""

import json
import re
from collections import defaultdict
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

STUDY = re.compile(r"<!-- study: (\w+) -->")
NAME = r"`([a-z][a-z0-9_]*)`"
NUMBER = r"-?\d+(?:,\d{3})*(?:\.\d+)?(?:e-?\d+)?"
PROSE = re.compile(rf"{NAME} ({NUMBER})(?: \(({NUMBER}) to ({NUMBER})\))?")
ENDS = ("", "_low", "_high")
TODO = "TODO-REAL"


def recorded(folder: Path) -> dict[str, dict[str, list]]:
    """Return study -> key -> its values in the study's notebooks, of a folder of records."""
    studies = {}
    for path in sorted(folder.glob("*.json")):
        values = studies.setdefault(path.stem, defaultdict(list))
        for figures in json.loads(path.read_text())["metrics"].values():
            for key, value in figures.items():
                if value not in values[key]:
                    values[key].append(value)
    return studies


def quoted(text: str) -> list[tuple[int, str, str, str]]:
    """Return line, study, key and number as printed, of each figure that is quoted by name."""
    return [
        (number, study, key, printed)
        for number, study, line, column in _lines(text)
        if study
        for key, printed in (_of_prose(line) if column is None else _of_row(line, column))
    ]


def problems(text: str, study: str, values: dict[str, list], whole: bool = True) -> list[str]:
    """Return one sentence for each figure of a study that is not as it was recorded.

    Of a record that is not `whole`, a line may wait for figures if it names none that is there.
    """
    found = [
        f"line {number}: {TODO} is still there, and the figure was recorded"
        for number, name, line, _ in _lines(text)
        if name == study and TODO in line
        if whole or any(key in values for key in re.findall(NAME, line))
    ]
    for number, name, key, printed in quoted(text):
        if name == study and (problem := _problem(key, printed, values.get(key, []))):
            found.append(f"line {number}: {problem}")
    return found


def _problem(key: str, printed: str, values: list) -> str:
    """Return what is wrong with a printed figure, or nothing."""
    if len(values) != 1 or isinstance(values[0], str):
        return f"`{key}` {printed}: recorded are {values}; quote a key with one number"
    if printed == "missing" or not _rounds_to(values[0], printed):
        return f"`{key}` {printed}: recorded is {values[0]}"
    return ""


def _rounds_to(value: float, printed: str) -> bool:
    """Return whether a value, rounded to the digits that are printed, is what is printed."""
    number = Decimal(printed.replace(",", ""))
    unit = Decimal(1).scaleb(number.as_tuple().exponent)
    return abs(number - Decimal(str(value))) <= unit / 2


def _lines(text: str) -> Iterator[tuple[int, str, str, int | None]]:
    """Yield number, study, line, and where the keys of its table stand, None where nowhere."""
    study, column, inside = "", None, False
    for number, line in enumerate(text.splitlines(), 1):
        if match := STUDY.fullmatch(line.strip()):
            study = match[1]
        elif line.startswith("## "):
            study = ""
        header, inside = not inside, line.startswith("|")
        if inside and header:
            column = _cells(line).index("key") if "key" in _cells(line) else None
        yield number, study, line, column if inside else None


def _cells(line: str) -> list[str]:
    """Return the cells of a table's row."""
    return [cell.strip() for cell in line.strip().strip("|").split("|")]


def _of_row(line: str, column: int) -> list[tuple[str, str]]:
    """Return keys of one cell with the numbers of the next: one each, or with low and high."""
    cells = [*_cells(line), ""]
    keys = re.findall(NAME, cells[column])
    numbers = re.findall(NUMBER, cells[column + 1]) if keys else []
    if len(numbers) == 3 * len(keys):
        keys = [key + end for key in keys for end in ENDS]
    keys += ["a key"] * (len(numbers) - len(keys))
    numbers += ["missing"] * (len(keys) - len(numbers))
    return list(zip(keys, numbers, strict=True))


def _of_prose(line: str) -> list[tuple[str, str]]:
    """Return figures written as ``key`` 0.5 or as ``key`` 0.5 (0.4 to 0.6)."""
    return [
        (f"{key}{end}", printed)
        for key, *values in PROSE.findall(line)
        for end, printed in zip(ENDS, values, strict=True)
        if printed
    ]
