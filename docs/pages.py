"""Pages of the site that are made from other files: mkdocs calls the functions named ``on_...``.

Executed notebooks come from the results of the profile that the variable PROFILE names, ``demo`` by
default; of a notebook that was not run the source is shown.
"""

import ast
import base64
import io
import os
import re
from pathlib import Path

import nbformat
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.plugins import event_priority
from mkdocs.structure.files import File, Files
from PIL import Image

from musiclatent.files import write_file
from musiclatent.studies import STUDIES

CHECKOUT = Path(__file__).resolve().parents[1]
PACKAGE = CHECKOUT / "musiclatent"
PROFILE = os.environ.get("PROFILE", "demo")
RESULTS = CHECKOUT / "results" / PROFILE
WORK = CHECKOUT / "results" / "docs-notebooks"  # what notebooks become before they are pages
VIEW = "application/vnd.jupyter.widget-view+json"
WIDTH = 480  # pixels of a picture in the gallery
COPIED = {  # page -> the file that it is
    "index.md": "README.md",
    "contributing.md": "CONTRIBUTING.md",
    "data.md": "data/README.md",
    "changelog.md": "CHANGELOG.md",
}
MOVED = {  # beginning of an address in these files -> where it leads in the site
    "docs/": "",
    "data/README.md": "data.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
}
ENCODER = (
    "An encoder of your own",
    "An encoder that others trained",
    "A model",
    "Using a model",
)  # paragraphs of CONTRIBUTING.md


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Set the table of contents: notebooks and rooms are those that are there."""
    notebooks = [{_title(path): f"notebooks/{path.name}"} for path in _notebooks()]
    rooms = [{room: f"api/{room}.md"} for room in _rooms()]
    config.nav = [
        {"Home": "index.md"},
        {"Quickstart": "quickstart.md"},
        {"Notebooks": ["gallery.md", *notebooks]},
        {"Results": "results.md"},
        {"Coverage": "coverage.md"},
        {"Add an encoder": "add_an_encoder.md"},
        {"Behind a login": "deploy.md"},
        {"API": ["api/index.md", *rooms]},
        {"Data": "data.md"},
        {"Contributing": "contributing.md"},
        {"Changes": "changelog.md"},
    ]
    return config


@event_priority(50)  # before mkdocs-jupyter looks for notebooks
def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that no file of this folder is."""
    pages = {page: _moved((CHECKOUT / name).read_text()) for page, name in COPIED.items()}
    pages |= {"quickstart.md": _quickstart(), "add_an_encoder.md": _encoder()}
    pages |= {"CITATION.cff": (CHECKOUT / "CITATION.cff").read_text()}
    pages |= _gallery() | _api()
    for name, content in pages.items():
        files.append(File.generated(config, name, content=content))
    for path in _notebooks():  # mkdocs-jupyter takes files alone
        name = f"notebooks/{path.name}"
        write_file(WORK / name, nbformat.writes(_thin(nbformat.read(path, 4))))
        files.append(File(name, str(WORK), config.site_dir, config.use_directory_urls))
    return files


def _moved(text: str) -> str:
    """Return a text whose links lead to the pages of the site."""
    for old, new in MOVED.items():
        text = text.replace(f"]({old}", f"]({new}")
    return text


def _section(text: str, title: str) -> str:
    """Return a section of level two without its heading."""
    found = re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", text, re.DOTALL | re.MULTILINE)
    if not found:
        raise ValueError(f"docs/pages.py: README.md has no section {title!r}; name one that it has")
    return found[1]


def _quickstart() -> str:
    """Return what to type first, and the commands."""
    text = _moved((CHECKOUT / "README.md").read_text())
    _, _, commands = _section(text, "Questions and notebooks").partition("\n00 to 07")
    more = "The questions that the notebooks answer: [gallery](gallery.md).\n\n00 to 07"
    return f"# Quickstart\n{_section(text, 'Two commands')}\n{more}{commands}"


def _encoder() -> str:
    """Return how to add an encoder, from the rules for contributors."""
    paragraphs = re.split(r"\n\n", (CHECKOUT / "CONTRIBUTING.md").read_text())
    chosen = [text for text in paragraphs if text.startswith(tuple(f"**{t}**" for t in ENCODER))]
    more = "Where other changes go: [Contributing](contributing.md#where-a-change-goes)."
    return "\n\n".join(["# Add an encoder", *chosen, more])


def _notebooks() -> list[Path]:
    """Return the notebooks, each as it was executed by the first study that ran it."""
    sources = sorted((CHECKOUT / "notebooks").glob("[0-9]*.ipynb"))
    ran = [[RESULTS / name / "notebooks" / path.name for name in STUDIES] for path in sources]
    there = [[path for path in paths if path.exists()] for paths in ran]
    return [done[0] if done else path for path, done in zip(sources, there, strict=True)]


def _title(path: Path) -> str:
    """Return the first heading of a notebook."""
    first = nbformat.read(path, 4).cells[0].source
    return first.partition("\n")[0].removeprefix("# ")


def _gallery() -> dict[str, str | bytes]:
    """Return a page with a picture and the question of each notebook, and the pictures."""
    cards, pages = [], {}
    for path in _notebooks():
        book = nbformat.read(path, 4)
        question = re.search(r"\*\*Question\.\*\* (.*?)\n\n", book.cells[0].source, re.DOTALL)[1]
        card = (
            f"-   **[{_title(path)}](notebooks/{path.name})**\n\n    {' '.join(question.split())}"
        )
        if picture := _first_picture(book):
            pages[f"gallery/{path.stem}.png"] = picture
            card += f"\n\n    ![{_title(path)}](gallery/{path.stem}.png){{ loading=lazy }}"
        study = path.parts[-3] if path.is_relative_to(RESULTS) else ""
        card += f"\n\n    Executed for the study {study}." if study else "\n\n    Not executed."
        cards.append(card)
    said = f"Executed on the profile `{PROFILE}`; embedded profiles are of music that we render."
    grid = '<div class="grid cards" markdown>\n\n' + "\n\n".join(cards) + "\n\n</div>"
    return pages | {"gallery.md": f"# Notebooks\n\n{said}\n\n{grid}\n"}


def _thin(book: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Leave out the state of widgets: megabytes that need a kernel."""
    book.metadata.pop("widgets", None)
    for cell in book.cells:
        for output in cell.get("outputs", []):
            if output.get("data", {}).pop(VIEW, None) is not None:
                output.data["text/plain"] = "A widget: open the notebook in JupyterLab to use it."
    return book


def _first_picture(book: nbformat.NotebookNode) -> bytes | None:
    """Return the first picture of an executed notebook, small; None without one."""
    for cell in book.cells:
        for output in cell.get("outputs", []):
            if "image/png" in output.get("data", {}):
                content = io.BytesIO(base64.b64decode(output.data["image/png"]))
                with Image.open(content) as image:
                    image.thumbnail((WIDTH, WIDTH))
                    image.convert("RGB").save(small := io.BytesIO(), "PNG")
                return small.getvalue()
    return None


def _rooms() -> dict[str, list[str]]:
    """Return the modules of each room with their names, and those below all rooms."""
    rooms = {"ground": sorted(p.stem for p in PACKAGE.glob("*.py") if not p.stem.startswith("_"))}
    for folder in sorted(path.parent for path in PACKAGE.glob("*/__init__.py")):
        paths = [path.relative_to(PACKAGE).with_suffix("") for path in folder.rglob("*.py")]
        rooms[folder.name] = sorted(
            ".".join(path.parts) for path in paths if path.name != "__init__"
        )
    return rooms


def _api() -> dict[str, str]:
    """Return a page of the API for each room, and their list."""
    pages, lines = {}, []
    for room, modules in _rooms().items():
        init = PACKAGE / ("" if room == "ground" else room) / "__init__.py"
        words = "What stands below all rooms." if room == "ground" else _first_line(init)
        blocks = "\n\n".join(f"::: musiclatent.{name}" for name in modules)
        pages[f"api/{room}.md"] = f"# {room}\n\n{words}\n\n{blocks}\n"
        lines.append(f"- [{room}]({room}.md): {words}")
    face = "::: musiclatent\n    options: {members: false, show_root_heading: false}"
    return pages | {"api/index.md": "\n".join(["# API", "", face, "", *lines, ""])}


def _first_line(path: Path) -> str:
    """Return the first line of the docstring of a module."""
    return (ast.get_docstring(ast.parse(path.read_text())) or "").partition("\n")[0]
