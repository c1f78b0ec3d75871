import json
import re
from pathlib import Path

import pytest

from musiclatent.apps.reporting import claims
from musiclatent.apps.reporting.claims import CLAIMS
from musiclatent.files import write_json
from musiclatent.studies import STUDIES

RECORDS = Path(__file__).resolve().parents[3] / "docs" / "results"


def test_the_five_systems_cover_the_six_studies():
    assert [claim.letter for claim in CLAIMS] == list("ABCDE")
    assert sorted(name for claim in CLAIMS for name in claim.studies) == sorted(STUDIES)


def test_a_sentence_holds_the_figures_of_a_run_or_is_not_said():
    claim = CLAIMS[0]
    said = claim.sentence({"test_mse_64": 0.002, "test_mse_linear_64": 0.0019, "more": "x"})
    assert said.startswith("Test MSE 0.00200 with 64 channels;") and said.endswith("0.00190.")
    assert claim.sentence({"test_mse_64": 0.002}) == ""
    assert claim.sentence({"test_mse_64": "x", "test_mse_linear_64": 1.0}) == ""


def test_shares_are_percents_that_no_line_breaks():
    keys = re.findall(r"{(\w+)", CLAIMS[1].holds)
    assert "50\u00a0% with the triplet loss" in CLAIMS[1].sentence(dict.fromkeys(keys, 0.5))


def test_figures_are_read_from_all_notebooks_of_a_study(tmp_path):
    write_json(tmp_path / "metrics" / "01.json", {"a": 1.0})
    write_json(tmp_path / "metrics" / "02.json", {"b": 2.0})
    assert claims.read_metrics(tmp_path) == {"a": 1.0, "b": 2.0}
    assert claims.read_metrics(tmp_path / "none") == {}


def test_a_recorded_run_has_its_date(tmp_path):
    content = {"date": "2026-11-29", "metrics": {"01": {"a": 1.0}, "02": {"b": 2.0}}}
    write_json(tmp_path / "docs" / "results" / "edm.json", content)
    assert claims.recorded(tmp_path, "edm") == ("2026-11-29", {"a": 1.0, "b": 2.0})
    assert claims.recorded(tmp_path, "mel") == ("", {})


@pytest.mark.parametrize("path", sorted(RECORDS.glob("*.json")), ids=lambda path: path.stem)
def test_what_was_recorded_has_all_figures_of_its_sentence(path):
    content, figures = json.loads(path.read_text()), {}
    for part in content["metrics"].values():
        figures |= part
    for claim in CLAIMS:
        if claim.studies[0] == path.stem:
            if content.get("missing") and not claim.sentence(figures):
                pytest.skip(f"not said while these were not run: {content['missing']}")
            assert claim.sentence(figures), set(re.findall(r"{(\w+)", claim.holds)) - set(figures)
