"""Which notebooks run, in what order, and what is left where one fails."""

import json
from dataclasses import replace

import pytest
from PIL import Image

from musiclatent import config
from musiclatent.apps.reporting import report
from musiclatent.apps.reporting.claims import CLAIMS
from musiclatent.apps.running import notebooks
from musiclatent.apps.running import notebooks as apps_notebooks
from musiclatent.apps.running.notebooks import reproduce
from musiclatent.config import Workspace
from musiclatent.errors import CorpusError, ReproduceError
from musiclatent.studies import STUDIES


@pytest.fixture
def ran(monkeypatch, tmp_path):
    """Notebooks that only leave a note of their parameters."""
    calls = []

    def execute(source, space, parameters, kernels):
        calls.append((source.stem, parameters))
        return ""

    monkeypatch.setattr(apps_notebooks, "execute", execute)
    return calls


def test_every_study_runs_01_and_those_with_experiments_all(ran, tmp_path):
    page = reproduce(profile="tiny", results=str(tmp_path))
    assert page == tmp_path / "tiny" / "index.html" and page.exists()
    _all_ran(ran)


def _all_ran(ran) -> None:
    """Each notebook ran once, those of a study in its order."""
    done = [(p["study"], name) for name, p in ran]
    assert sorted(done) == sorted(_all())
    for study in STUDIES:
        assert [pair for pair in done if pair[0] == study] == [p for p in _all() if p[0] == study]


def _all() -> list[tuple[str, str]]:
    """Each study with its notebooks, in their order."""
    return [(study.name, name) for study in STUDIES.values() for name in study.notebooks()]


def test_studies_side_by_side_run_the_same_notebooks(ran, tmp_path, monkeypatch):
    many = config.profile("demo").parallel_studies
    assert many == len(STUDIES) and config.profile("real").parallel_studies == 1
    side_by_side = replace(config.profile("tiny"), parallel_studies=many)
    monkeypatch.setitem(config.PROFILES, "tiny", side_by_side)
    reproduce(profile="tiny", results=str(tmp_path))
    _all_ran(ran)
    done = [(p["study"], name) for name, p in ran]
    first, second = ("mel", "02_train_autoencoders"), ("edm", "62_edm_embeddings")
    assert done.index(first) < done.index(second)  # which takes the encoder that the first trains


def test_a_folder_without_labels_leaves_out_the_notebooks_that_need_them(ran, tmp_path):
    (tmp_path / "songs").mkdir()
    (tmp_path / "songs" / "one.wav").touch()
    reproduce("mel", profile="tiny", corpus=str(tmp_path / "songs"), results=str(tmp_path / "r"))
    assert [name for name, _ in ran] == list(STUDIES["mel"].shared)


def test_a_second_run_reuses_and_says_so(ran, tmp_path, capsys):
    notebooks = len(STUDIES["waveform"].notebooks())
    for _ in range(2):
        reproduce("waveform", profile="tiny", results=str(tmp_path))
    assert len(ran) == notebooks
    assert capsys.readouterr().out.count("reused, nothing changed") == notebooks
    reproduce("waveform", experiment="waveform-64", profile="tiny", results=str(tmp_path))
    assert len(ran) == 2 * notebooks


def test_one_notebook_runs_alone_in_each_study_that_has_it(ran, tmp_path, capsys):
    reproduce(notebook="21_mel_evaluation", profile="tiny", results=str(tmp_path))
    reproduce("genre", notebook="01_preprocess", profile="tiny", results=str(tmp_path))
    assert [(p["study"], name) for name, p in ran] == [
        ("mel", "21_mel_evaluation"),
        ("genre", "01_preprocess"),
    ]
    ran.clear()
    reproduce(notebook="03_latent_clustering", profile="tiny", results=str(tmp_path))
    assert sorted(p["study"] for _, p in ran) == ["digits", "jazz", "mel", "waveform"]


def test_a_row_needs_no_study_where_one_study_alone_has_the_notebook(ran, tmp_path):
    asked = {"experiment": "mel-cae-1", "profile": "tiny", "results": str(tmp_path)}
    reproduce(notebook="21_mel_evaluation", **asked)
    assert [p["experiment"] for _, p in ran] == ["mel-cae-1"]
    with pytest.raises(ValueError, match="name the study of the experiment 'mel-cae-1' too"):
        reproduce(notebook="03_latent_clustering", **asked)


def test_an_unknown_notebook_is_told_which_there_are(ran, tmp_path):
    asked = {"profile": "tiny", "results": str(tmp_path)}
    with pytest.raises(ValueError, match="no notebook named '21'; choose one of: 01_pre.*54_genre"):
        reproduce(notebook="21", **asked)
    with pytest.raises(ValueError, match="no notebook named ''"):
        reproduce(notebook="", **asked)
    with pytest.raises(ValueError, match="no notebook named '21_mel_evaluation'; choose one of"):
        reproduce("edm", notebook="21_mel_evaluation", **asked)
    (tmp_path / "one.wav").touch()
    with pytest.raises(ValueError, match="no notebook of a folder without labels named '21_mel"):
        reproduce(notebook="21_mel_evaluation", corpus=str(tmp_path), **asked)
    assert not ran


def test_one_notebook_that_runs_says_nothing_of_another_that_failed(ran, tmp_path, monkeypatch):
    note = tmp_path / "tiny" / "mel" / "failed.json"
    note.parent.mkdir(parents=True)
    note.write_text('{"reason": "failed in cell 3"}')
    reproduce(notebook="21_mel_evaluation", profile="tiny", results=str(tmp_path))
    assert note.exists()
    reproduce("mel", profile="tiny", results=str(tmp_path))
    assert not note.exists()


def test_the_scheduler_goes_to_the_notebook_that_fills_the_cache(ran, tmp_path):
    reproduce("edm", profile="tiny", results=str(tmp_path), scheduler="tcp://here:1")
    assert [name for name, p in ran if p.get("scheduler") == "tcp://here:1"] == ["01_preprocess"]


def test_parameters_reach_the_notebooks_as_absolute_paths(ran, tmp_path, monkeypatch):
    monkeypatch.setenv("MUSICLATENT_HOME", str(tmp_path))
    (tmp_path / "songs").mkdir()
    (tmp_path / "songs" / "one.wav").touch()
    (tmp_path / "notebooks").mkdir()
    for name in STUDIES["waveform"].shared:
        (tmp_path / "notebooks" / f"{name}.ipynb").write_text('{"cells": []}')
    reproduce("waveform", experiment="waveform-64", profile="tiny", corpus="songs")
    _, parameters = ran[-1]
    assert parameters["corpus"] == str(tmp_path / "songs")
    assert parameters["results"] == str(tmp_path / "results")
    assert parameters["experiment"] == "waveform-64" and "scheduler" not in parameters


@pytest.mark.parametrize("there", [True, False])
def test_a_folder_without_music_is_refused_before_anything_runs(ran, tmp_path, there):
    if there:
        (tmp_path / "songs").mkdir()
    with pytest.raises(CorpusError, match="songs"):
        reproduce(profile="tiny", corpus=str(tmp_path / "songs"), results=str(tmp_path / "r"))
    assert not ran and not (tmp_path / "r").exists()


def test_a_missing_dataset_skips_its_studies_and_says_how_to_get_it(ran, tmp_path, monkeypatch):
    monkeypatch.setenv("MUSICLATENT_DATA", str(tmp_path / "none"))
    page = reproduce(profile="real", results=str(tmp_path))
    assert not ran
    text = page.read_text()
    assert text.count("Not complete: skipped") == len(CLAIMS)  # digits and jazz are one system
    assert "musiclatent data fetch gtzan" in text and "musiclatent data fetch fsdd" in text


def test_a_missing_dataset_fails_the_study_that_was_asked_for(ran, tmp_path, monkeypatch):
    monkeypatch.setenv("MUSICLATENT_DATA", str(tmp_path / "none"))
    with pytest.raises(ReproduceError, match="waveform skipped: .*musiclatent data fetch gtzan"):
        reproduce("waveform", profile="real", results=str(tmp_path))
    assert (tmp_path / "real" / "index.html").exists()


def test_a_failing_notebook_stops_its_study_only(tmp_path, monkeypatch):
    def execute(source, space, parameters, kernels):
        return "failed in cell 3" if space.study == "mel" else ""

    monkeypatch.setattr(apps_notebooks, "execute", execute)
    with pytest.raises(ReproduceError, match="^mel 01_preprocess failed in cell 3$"):
        reproduce(profile="tiny", results=str(tmp_path))
    note = json.loads((tmp_path / "tiny" / "mel" / "failed.json").read_text())
    assert note == {"reason": "01_preprocess failed in cell 3"}
    monkeypatch.setattr(apps_notebooks, "execute", lambda *_, **__: "")
    reproduce(profile="tiny", results=str(tmp_path))
    assert not (
        Workspace(profile="tiny", study="mel", results=str(tmp_path)).path() / "failed.json"
    ).exists()


def test_ready_spectrograms_are_needed_and_watched_where_a_study_trains_on_them(tmp_path):
    plan = STUDIES["mel"]
    assert notebooks._corpora(plan, Workspace(profile="real", study="mel")) == [
        "gtzan",
        "gtzan_excerpts",
    ]
    assert notebooks._corpora(plan, Workspace(profile="paper", study="mel")) == ["gtzan"]
    weights = notebooks._data(STUDIES["edm"], Workspace(profile="demo", study="edm"))
    assert [path.name for path in weights] == ["vggish"]
    watched = [path.name for path in notebooks._data(plan, Workspace(profile="real", study="mel"))]
    assert watched == ["gtzan", "gtzan_excerpts", "new_music"]


def test_a_notebook_runs_again_where_what_it_needs_left_other_files(tmp_path, monkeypatch):
    ran, content = [], ["latents"]

    def execute(source, space, parameters, kernels):
        ran.append(source.stem)
        if source.stem == "03_latent_clustering":
            grey = Image.new("L", (9, 9), len(ran))
            grey.save(space.make("figures") / "03_pca.png")
            (space.make("latents") / "z.npy").write_text(content[0])
        return ""

    monkeypatch.setattr(apps_notebooks, "execute", execute)
    asked = {"profile": "tiny", "results": str(tmp_path)}
    reproduce("waveform", **asked)
    ran.clear()
    (tmp_path / "tiny" / "waveform" / "figures" / "03_pca.png").unlink()
    reproduce("waveform", **asked)
    assert ran == ["03_latent_clustering"]  # it left the same latents
    ran.clear()
    (tmp_path / "tiny" / "waveform" / "latents" / "z.npy").unlink()
    content[0] = "other"
    reproduce("waveform", **asked)
    needing = ["04_encode_new_music", "05_interpolate_generate", "06_latent_map"]
    assert ran == ["03_latent_clustering", *needing]


def test_a_module_that_one_study_imports_makes_its_notebooks_run_alone(ran, tmp_path, monkeypatch):
    from musiclatent.apps.running import imports

    asked = {"profile": "tiny", "results": str(tmp_path)}
    reproduce(**asked)
    ran.clear()
    module, whole = imports.PACKAGE / "display" / "edm.py", imports._hash
    monkeypatch.setattr(imports, "_hash", lambda path: "x" if path == module else whole(path))
    reproduce(**asked)
    assert [name for name, _ in ran] == [n for n in STUDIES["edm"].notebooks() if n[0] == "6"]
    assert {p["study"] for _, p in ran} == {"edm"}


def test_the_report_finds_the_note_of_what_failed():
    assert notebooks.FAILED == report.FAILED


def test_a_run_ends_with_what_there_is_to_open(ran, tmp_path, capsys):
    (tmp_path / "tiny" / "mel" / "notebooks").mkdir(parents=True)
    (tmp_path / "tiny" / "mel" / "map.html").touch()
    page = reproduce("mel", profile="tiny", results=str(tmp_path))
    base = tmp_path / "tiny"
    assert capsys.readouterr().out.splitlines()[-3:] == [
        f"report: {page.as_uri()}",
        f"map: {(base / 'mel' / 'map.html').as_uri()}",
        f"notebooks: {(base / 'mel' / 'notebooks').as_uri()}",
    ]
