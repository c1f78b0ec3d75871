"""What docs/results.md quotes by name is what was recorded, and cheap figures come again.

How a figure is quoted stands at the top of docs/results.md.
"""

import json
from pathlib import Path

import pandas as pd
import pytest
from helpers import figures

from musiclatent import studies
from musiclatent.config import Workspace
from musiclatent.data import corpus, gtzan_tables
from musiclatent.data.datamodules import CorpusDataModule
from musiclatent.evaluation import attribute_classification, leakage
from musiclatent.files import write_json

DOCS = Path(__file__).resolve().parents[1] / "docs"
RECORDED = figures.recorded(DOCS / "results")


def _recorded(study: str) -> dict[str, list]:
    """Return the recorded figures of a study, or skip the test."""
    if study not in RECORDED:
        pytest.skip(
            f"docs/results/{study}.json is not there; "
            f"make reproduce PROFILE=real STUDY={study}, then make record STUDY={study}"
        )
    return RECORDED[study]


@pytest.mark.parametrize("study", studies.STUDIES)
def test_results_quote_what_was_recorded(study):
    values, text = _recorded(study), (DOCS / "results.md").read_text()
    missing = json.loads((DOCS / "results" / f"{study}.json").read_text()).get("missing")
    assert figures.problems(text, study, values, whole=not missing) == []
    assert study in {name for _, name, _, _ in figures.quoted(text)}, "nothing is quoted by name"


def test_records_are_of_studies_and_name_a_commit():
    assert set(RECORDED) <= set(studies.STUDIES)
    for study in RECORDED:
        text = (DOCS / "results" / f"{study}.json").read_text()
        assert '"commit": "' in text and "-dirty" not in text


TEXT = """
`before` 1.0
<!-- study: mel -->
- `a` 0.53 (0.50 to 0.57), `b` 4,224, `vote` takes 3 of `c`: 9 and `mel-cae-1` 7
| what | key | | |
|---|---|---|---|
| one | `d`, `e_2` | 0.1 and -2.50 dB | 99 |
| two | `f` | 1.0 (0.9 to 1.1) | `g` 3 |
| none | | 5 | |

| factor | score |
|---|---|
| key | 0.11 |
| `h` 57 of 57 | 2 |
### A heading below
`i` 1e-5
## Another
`after` 1.0
"""


def test_figures_are_found_in_lists_and_tables():
    found = [(key, printed) for _, study, key, printed in figures.quoted(TEXT) if study == "mel"]
    assert found == [
        ("a", "0.53"),
        ("a_low", "0.50"),
        ("a_high", "0.57"),
        ("b", "4,224"),
        ("d", "0.1"),
        ("e_2", "-2.50"),
        ("f", "1.0"),
        ("f_low", "0.9"),
        ("f_high", "1.1"),
        ("h", "57"),
        ("i", "1e-5"),
    ]
    assert len(figures.quoted(TEXT)) == len(found)  # those before and after belong to no study
    assert figures.quoted(TEXT)[3][0] == 4  # the line


@pytest.mark.parametrize(
    ("printed", "value", "right"),
    [
        ("0.54", 0.5414, True),
        ("0.54", 0.5450001, False),
        ("0.545", 0.5445, True),  # half a digit: either neighbour
        ("0.5", 0.54, True),
        ("0.55", 0.5414, False),
        ("-0.005", -0.00461, True),
        ("0.005", -0.00461, False),
        ("13,824", 13824, True),
        ("13,825", 13824, False),
        ("5.4e-13", 5.42e-13, True),
        ("5.5e-13", 5.42e-13, False),
        ("1", 1.4, True),
    ],
)
def test_a_digit_that_differs_is_found(printed, value, right):
    text = f"<!-- study: mel -->\n\n- `a` {printed} of them"
    found = figures.problems(text, "mel", {"a": [value]})
    assert found == ([] if right else [f"line 3: `a` {printed}: recorded is {value}"])
    assert figures.problems(text, "genre", {}) == []


def test_what_cannot_be_held_against_a_record_is_said():
    head = "<!-- study: mel -->\n| key | value |\n|---|---|\n"
    one, two, three = "| `a`, `b` | 1 |\n", "| `a` | 1 and 2 |\n", "| `a` | about TODO-REAL 1 |\n"
    values = {"a": [1], "b": [2]}
    assert figures.problems(head + one, "mel", values) == ["line 4: `b` missing: recorded is 2"]
    assert figures.problems(head + two, "mel", values) == [
        "line 4: `a key` 2: recorded are []; quote a key with one number"
    ]
    assert figures.problems(head + three, "mel", values) == [
        "line 4: TODO-REAL is still there, and the figure was recorded"
    ]
    assert figures.problems(head + three, "mel", {"b": [2]}, whole=False) == [
        "line 4: `a` 1: recorded are []; quote a key with one number"
    ]
    wait = head.replace("key", "what") + "| `a` | TODO-REAL |"
    assert figures.problems(wait, "mel", {"b": [2]}, whole=False) == []
    assert len(figures.problems(wait, "mel", {"a": [1]}, whole=False)) == 1
    words = "line 4: `a` 1: recorded are {}; quote a key with one number"
    for wrong in ([], ["vote"], [1, 2]):
        row = head + "| `a` | 1 |"
        assert figures.problems(row, "mel", {"a": wrong}) == [words.format(wrong)]


def test_a_record_is_read_by_key(tmp_path):
    write_json(tmp_path / "mel.json", {"metrics": {"02": {"a": 1, "b": 2}, "21": {"a": 1, "b": 3}}})
    assert figures.recorded(tmp_path) == {"mel": {"a": [1], "b": [2, 3]}}


def _assert_again(values: dict[str, list], again: dict[str, float], tolerance: float) -> None:
    """Compare figures that were computed again with recorded ones, by key."""
    for key, figure in again.items():
        assert values[key] == pytest.approx([figure], abs=tolerance), key


# One answer of 290 is 0.003: other processors round trees and vectors near a border otherwise.
@pytest.mark.real
def test_descriptors_are_classified_as_recorded(data_root, tmp_path, monkeypatch):
    values = _recorded("genre")
    monkeypatch.setenv("MUSICLATENT_DATA", str(data_root))
    space = Workspace(profile="real", study="genre", results=str(tmp_path))
    items, descriptors = attribute_classification.load_table(studies.study("genre", "real"), space)
    x, labels = descriptors.to_numpy(), items["label"].to_numpy()
    again = {}
    for name, seeds in ((studies.ATTRIBUTE_CLASSIFIER, 1), ("logistic", 1), ("svm", 1)):
        one = attribute_classification.evaluate_on_test(
            name, x, labels=labels, split=items["filtered"], seeds=seeds
        )
        again[f"attributes_{name}_filtered"] = one.right.mean()
    leak = attribute_classification.measure_leakage(
        "svm", x, labels=labels, split=items["filtered"]
    )
    _assert_again(values, again | {"attributes_leak": leak.estimate}, 0.012)


@pytest.mark.real
def test_the_leak_of_descriptors_is_as_recorded(data_root):
    values = _recorded("mel")
    lists = [corpus.descriptor_splits(data_root, kind) for kind in ("filtered", "random")]
    table = gtzan_tables.read_descriptors(data_root)
    pairs = pd.read_csv(data_root / "gtzan" / "repetitions.csv")
    leak = leakage.descriptor_leakage(table, *lists, pairs).set_index("protocol")["accuracy"]
    again = {f"leak_attributes_{name}": leak[name] for name in ("random_930", "filtered")}
    _assert_again(values, again, 0.012)


@pytest.mark.real
def test_what_needs_no_network_is_as_recorded(data_root, tmp_path, monkeypatch):
    values = _recorded("mel")
    monkeypatch.setenv("MUSICLATENT_DATA", str(data_root))
    space = Workspace(profile="real", study="mel", results=str(tmp_path))
    data = CorpusDataModule.of_study(studies.study("mel", "real"), space, split="outer-0")
    data.setup()
    items = data.cached.items.merge(data.index().items[["item_id", "fold"]], on="item_id")
    heard = ~items["silent"].to_numpy(bool)
    _, answers = leakage.baselines(data.cached.x[heard], items[heard], chosen=[0, 1, 2])
    again = answers.groupby("method")["right"].mean().drop(["knn_pca", "knn_lda_pca", "svm_pca"])
    _assert_again(values, again.to_dict(), 0.012)  # components: the solver draws at random
