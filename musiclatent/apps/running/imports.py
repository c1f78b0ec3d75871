"""Find the files of the package that a notebook or a module stands on.

What is imported counts at any depth, inside of functions too; so does a file of the package that a
module names, such as a template.
"""

import ast
import hashlib
import json
import threading
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).parents[2]
RESOURCES = (".toml", ".mk", ".js", ".j2")  # of the package's files that are no modules
# Each notebook takes from these what its parameters name, and that is in its identity.
TABLES = ("profiles.toml", "experiments.toml", "studies.toml")
# Python 3.11 counts the depth of all threads as one: https://github.com/python/cpython/issues/106905
PARSING = threading.Lock()


def code_of(notebook: Path) -> str:
    """Return the source of a notebook's code cells, without lines that only IPython reads."""
    cells = json.loads(notebook.read_text("utf-8")).get("cells", [])
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    lines = "\n".join(code).split("\n")
    return "\n".join(line for line in lines if not line.lstrip().startswith(("%", "!")))


def digest(code: str) -> str:
    """Hash all files of the package that some code stands on.

    Parameters
    ----------
    code
        Python source, such as that of a notebook.
    """
    files = sorted(files_of(code))
    return hashlib.sha256("".join(map(_hash, files)).encode()).hexdigest()


def files_of(code: str) -> set[Path]:
    """Return the files of the package that some code stands on, at any depth."""
    found, todo = set(), _named(*_words(code))
    while todo:
        path = todo.pop()
        found.add(path)
        todo |= (_named(*_of_module(path)) if path.suffix == ".py" else set()) - found
    return found


def modules_of(code: str) -> list[str]:
    """Return what a process must import so that some code finds all of it loaded.

    Returns
    -------
    list of str
        Modules of the package, and modules of libraries as they are named where they are imported.
    """
    files = [path for path in files_of(code) if path.suffix == ".py"]
    ours = {_dotted(path) for path in files}
    imported = set(_words(code)[0]).union(*(_of_module(path)[0] for path in files))
    theirs = {name for name in imported if name.split(".")[0] != PACKAGE.name}
    return sorted(ours) + sorted(theirs)


def imported_by(code: str) -> list[str]:
    """Return what some code imports itself, as it is named there."""
    return sorted(_words(code)[0])


def _dotted(path: Path) -> str:
    """Return the name under which a module of the package is imported."""
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts).removesuffix(".__init__")


@cache
def _hash(path: Path) -> str:
    """Hash a file with its place in the package."""
    place = path.relative_to(PACKAGE).as_posix()
    return hashlib.sha256(place.encode() + b"\0" + path.read_bytes()).hexdigest()


@cache
def _of_module(path: Path) -> tuple[frozenset[str], frozenset[str]]:
    """Return what a module of the package imports, and its strings."""
    return _words(path.read_text("utf-8"))


def _words(code: str) -> tuple[frozenset[str], frozenset[str]]:
    """Return the full names of what some code imports, and the files that its strings may name."""
    imported, strings = set(), set()
    with PARSING:
        tree = ast.parse(code)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            imported |= {node.module}
            if node.module.split(".")[0] == PACKAGE.name:  # modules, for all that is known here
                imported |= {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Constant) and str(node.value).endswith(RESOURCES):
            strings |= {str(node.value)}
    return frozenset(imported), frozenset(strings)


def _named(imported: frozenset[str], strings: frozenset[str]) -> set[Path]:
    """Return the package's files that are imported, or named by a string."""
    files = {path for name in imported for path in _modules(name)}
    return files | {path for name in strings if (path := _resources().get(name))}


@cache
def _modules(name: str) -> tuple[Path, ...]:
    """Return the files that an import of this name runs: the module and the folders above it."""
    parts = name.split(".")
    depths = range(1, len(parts) + 1 if parts[0] == PACKAGE.name else 1)
    above = [PACKAGE.joinpath(*parts[1:depth]) for depth in depths]
    files = [file for path in above for file in (path / "__init__.py", path.with_suffix(".py"))]
    return tuple(file for file in files if file.is_file())


@cache
def _resources() -> dict[str, Path]:
    """Return the package's files that are no modules, by their names."""
    files = (path for path in PACKAGE.rglob("*") if path.suffix in RESOURCES)
    return {path.name: path for path in files if path.name not in TABLES}
