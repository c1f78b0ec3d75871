"""The pages of the site that are made from other files; `make docs` checks their links."""

import base64
import importlib.util
import io
import re
from collections import Counter
from pathlib import Path

import nbformat
import pytest
import yaml
from nbformat import v4
from PIL import Image

from musiclatent.studies import STUDIES

CHECKOUT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def pages():
    spec = importlib.util.spec_from_file_location("pages", CHECKOUT / "docs" / "pages.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _links(text):
    return re.findall(r"\]\(([^)#]+)", text)


def test_copied_pages_lead_to_pages_of_the_site(pages):
    copied = {
        page: pages._moved((CHECKOUT / name).read_text()) for page, name in pages.COPIED.items()
    }
    for text in copied.values():
        for target in _links(text):
            known = target in {*copied, "results.md", "CITATION.cff"} or target.startswith("http")
            assert known or (CHECKOUT / "docs" / target).exists(), target


def test_the_quickstart_says_what_to_type(pages):
    text = pages._quickstart()
    assert (
        text.startswith("# Quickstart\n")
        and "make reproduce" in text
        and "musiclatent encode" in text
    )
    assert "| question |" not in text and "gallery.md" in _links(text)
    with pytest.raises(ValueError, match="no section 'Nothing'"):
        pages._section("## One\ntext\n", "Nothing")
    assert pages._section("## One\ntext\n## Two\nmore\n", "One") == "text\n"


def test_how_to_add_an_encoder_comes_from_the_rules_for_contributors(pages):
    text = pages._encoder()
    assert all(f"**{name}**" in text for name in ("A model", "An encoder of your own"))
    assert "contributing.md" in _links(text)


def test_the_api_has_every_module_once(pages):
    written = re.findall(
        r"^::: musiclatent\.([\w.]+)$", "\n".join(pages._api().values()), re.MULTILINE
    )
    package = CHECKOUT / "musiclatent"
    modules = [path.relative_to(package).with_suffix("") for path in package.rglob("*.py")]
    names = {".".join(path.parts) for path in modules if not path.name.startswith("_")}
    assert sorted(written) == sorted(names)


@pytest.fixture
def picture():
    Image.new("RGB", (960, 200), "red").save(content := io.BytesIO(), "PNG")
    return base64.b64encode(content.getvalue()).decode()


@pytest.fixture
def executed(picture):
    view = {"application/vnd.jupyter.widget-view+json": {}, "text/plain": "Map()"}
    outputs = [
        v4.new_output("display_data", view),
        v4.new_output("display_data", {"image/png": picture}),
    ]
    cells = [
        v4.new_markdown_cell("# 03 Maps\n\n**Question.** What is\nnear?\n\n**Inputs.** None."),
        v4.new_code_cell("x", outputs=outputs),
    ]
    return v4.new_notebook(cells=cells, metadata={"widgets": {"state": "x" * 1000}})


def test_the_gallery_takes_what_was_executed_and_says_what_was_not(
    pages, executed, tmp_path, monkeypatch
):
    monkeypatch.setattr(pages, "CHECKOUT", tmp_path)
    monkeypatch.setattr(pages, "RESULTS", tmp_path / "results")
    source, done = tmp_path / "notebooks", tmp_path / "results" / "mel" / "notebooks"
    for folder in (source, done):
        folder.mkdir(parents=True)
    for name in ("03_maps", "04_more"):
        nbformat.write(v4.new_notebook(cells=executed.cells[:1]), source / f"{name}.ipynb")
    nbformat.write(executed, done / "03_maps.ipynb")
    made = pages._gallery()
    assert set(made) == {"gallery.md", "gallery/03_maps.png"}
    text = made["gallery.md"]
    assert "**[03 Maps](notebooks/03_maps.ipynb)**\n\n    What is near?" in text
    assert text.count("Executed for the study mel.") == 1 and text.count("Not executed.") == 1
    with Image.open(io.BytesIO(made["gallery/03_maps.png"])) as small:
        assert small.size == (pages.WIDTH, 100)


def test_a_page_of_a_notebook_has_no_state_of_widgets(pages, executed):
    thin = pages._thin(executed)
    assert "widgets" not in thin.metadata
    assert thin.cells[1].outputs[0].data == {
        "text/plain": "A widget: open the notebook in JupyterLab to use it."
    }


def test_links_are_checked_strictly_and_the_site_asks_no_other_for_letters():
    site = yaml.safe_load((CHECKOUT / "mkdocs.yml").read_text())
    assert site["strict"] and set(site["validation"]["links"].values()) == {"warn"}
    assert site["theme"]["font"] is False and site["use_directory_urls"] is False


# Coverage: each part of the documents


STATUSES = "full|needs a GPU|needs listeners|needs its recordings|needs its weights|open"


def _parts() -> list[list[str]]:
    """Return part, where, status and reason of each row of docs/coverage.md."""
    lines = (CHECKOUT / "docs" / "coverage.md").read_text().splitlines()
    cells = [[cell.strip() for cell in line[1:-1].split("|")] for line in lines if line[:1] == "|"]
    return [row for row in cells if len(row) == 4 and row[0] not in ("part", "---")]


def test_the_counts_of_the_coverage_are_its_rows():
    text = (CHECKOUT / "docs" / "coverage.md").read_text()
    rows = _parts()
    counts = Counter(row[2] for row in rows) | {"all": len(rows)}
    assert dict(re.findall(r"^\| ([a-zA-Z ]+) \| (\d+) \|$", text, re.MULTILINE)) == {
        status: str(count) for status, count in counts.items()
    }
    assert len(rows) == 73  # of the review of the five documents
    assert {row[2] for row in rows} <= set(STATUSES.split("|"))


def test_what_is_not_full_has_its_reason_in_a_sentence():
    for part, where, status, reason in _parts():
        assert reason.endswith(".") or (status == "full" and not reason), part
        assert where or status == "open", part


def test_what_the_coverage_names_exists():
    package = CHECKOUT / "musiclatent"
    known = {path.stem for path in (CHECKOUT / "notebooks").glob("*.ipynb")}
    known |= {row.name for study in STUDIES.values() for row in study.experiments.values()}
    for part, where, _, _ in _parts():
        for name in re.findall(r"`([^`]+)`", where):
            there = name in known or (package / name).is_file() or (CHECKOUT / name).is_file()
            assert there, f"{part}: there is no {name}"
