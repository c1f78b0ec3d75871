import dataclasses

import pytest

from musiclatent import config, studies
from musiclatent.studies import STUDIES


def test_six_studies():
    assert list(STUDIES) == ["waveform", "mel", "digits", "jazz", "edm", "genre"]


@pytest.mark.parametrize("study", STUDIES.values(), ids=lambda s: s.name)
def test_every_study_says_what_it_asks_and_where_it_comes_from(study):
    assert study.question.endswith("?") and study.source
    assert study.demo and study.real and study.window_s > 0


def test_experiments_have_unique_names_and_keys_and_plain_options():
    rows = [row for study in STUDIES.values() for row in study.experiments.values()]
    assert len({row.name for row in rows}) == len({row.key for row in rows}) == len(rows)
    for row in rows:
        assert all(isinstance(v, str | int | float | bool | list) for v in row.options.values())
        assert bool(row.paper) == bool(row.source), f"{row.name}: figure and source go together"


def test_the_papers_figures():
    paper = STUDIES["waveform"].experiment("waveform-64").paper
    assert paper == {"validation_mse": 0.00328, "test_mse": 0.00338}


def test_families_join_the_sizes():
    assert STUDIES["waveform"].experiment("waveform-64").family == "waveform"
    assert STUDIES["waveform"].experiment("waveform-linear-128").family == "waveform-linear"


def test_what_a_study_can_do_is_said_and_not_read_off_its_notebooks():
    assert [s.name for s in STUDIES.values() if not s.has_encoder] == ["edm", "genre"]
    assert {s.name: s.dashboard for s in STUDIES.values() if s.dashboard} == {
        "edm": "66_edm_dashboard"
    }
    for study in STUDIES.values():
        assert study.has_encoder == (set(study.shared) >= set(studies.SHARED))
        assert study.notebooks() == study.shared + study.guides + study.study_notebooks
        assert study.notebooks("a folder") == study.shared
        assert not study.dashboard or study.dashboard in study.notebooks()


def test_unknown_names_are_told_the_choices():
    with pytest.raises(ValueError, match="no study named 'wave'; choose one of: waveform, mel"):
        studies.study("wave")
    with pytest.raises(ValueError, match="no experiment of the study waveform named 'a'"):
        STUDIES["waveform"].select("a")
    with pytest.raises(ValueError, match="no experiment of the study mel named .*mel-crnn-10"):
        STUDIES["mel"].select("mel-crnn-1")


def test_every_study_trains_in_every_profile_that_has_its_experiments():
    for study in STUDIES.values():
        for profile in config.PROFILES.values():
            for row in study.experiments.values():
                assert row.training.epochs(profile, study.name) >= 1
    assert dataclasses.is_dataclass(row)


PAPER = {  # table 1 of the source: configurations 1 to 5, and 6 to 10 of the CRNN
    "cae": [0.485, 0.455, 0.420, 0.410, 0.440],
    "triplet": [0.885, 0.840, 0.850, 0.655, 0.695],
    "crnn": [0.810, 0.915, 0.865, 0.875, 0.880],
}


def test_fifteen_configurations_with_the_papers_figures():
    rows = STUDIES["mel"].experiments
    assert sum(bool(row.paper) for row in rows.values()) == 15
    for family, figures in PAPER.items():
        first = 6 if family == "crnn" else 1
        for number, figure in enumerate(figures, first):
            row = rows[f"mel-{family}-{number}"]
            assert row.paper == {"test_knn": figure} and row.family == f"mel-{family}"
            assert row.key == f"{family}_{number}"


def test_fifteen_configurations_differ():
    rows = [row for row in STUDIES["mel"].experiments.values() if row.paper]
    assert len({(row.model, str(sorted(row.options.items()))) for row in rows}) == 15
    assert len({row.about for row in rows}) == 15
    assert len({(row.training.epoch_factor, row.training.batch_size) for row in rows}) == 1
    for row in rows:
        triplets = row.family != "mel-cae"
        assert row.training.select == "last" and row.training.balanced is triplets
        assert (row.options["triplet_weight"] > 0) is triplets and row.training.labelled == 1
        assert row.model == ("CRNNAutoencoder" if row.family == "mel-crnn" else "MelAutoencoder")


def test_the_papers_lambda_and_triplets_alone_are_rows():
    rows = STUDIES["mel"].experiments
    base = rows["mel-crnn-6"]
    changes = {"mel-lambda": {"triplet_weight": 0.01}, "mel-alone": {"mse_weight": 0.0}}
    for name, change in changes.items():
        assert rows[name].options == base.options | change, name
        assert rows[name].training == base.training and not rows[name].paper


def test_the_mel_study_compares_one_of_each_family():
    study = STUDIES["mel"]
    families = [row.family for row in study.analysed()]
    assert families == ["mel-cae", "mel-triplet", "mel-crnn"]
    assert study.main().name == study.chosen == "mel-crnn-6"
    for profile in config.PROFILES.values():
        assert all(row.training.epochs(profile, "mel-folds") >= 1 for row in study.select())


def test_the_paper_profile_takes_the_papers_window():
    assert studies.study("mel").window_s == studies.study("mel", "real").window_s == 3
    assert studies.study("mel", "paper").window_s == 30
    assert studies.study("waveform", "paper").window_s == STUDIES["waveform"].window_s


def test_embedded_profiles_take_smaller_models_and_the_paper_its_window():
    real, small = studies.study("mel", "real"), studies.study("mel", "demo")
    assert small.experiment("mel-cae-1").options["channels"] == [8, 24, 32]
    assert small.experiment("mel-crnn-6").options["channels"] == [8, 16, 32, 32]
    assert "channels" not in real.experiment("mel-cae-1").options
    assert studies.study("edm", "demo") is STUDIES["edm"]
    waveform = studies.study("waveform", "demo")
    assert waveform.experiment("waveform-64") == STUDIES["waveform"].experiment("waveform-64")
    assert waveform.experiment("waveform-deep").options["width"] == 32
    assert real.window_s == 3 and studies.study("mel", "paper").window_s == 30
    with pytest.raises(ValueError, match="no profile named 'huge'"):
        studies.study("mel", "huge")


def test_jazz_takes_all_styles_where_one_has_too_few_clips_to_split():
    assert studies.study("jazz", "tiny").labels == {}
    assert studies.study("jazz", "demo").labels["demo-music"] == ("blues",)
