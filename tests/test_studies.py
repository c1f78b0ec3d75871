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


def test_unknown_names_are_told_the_choices():
    with pytest.raises(ValueError, match="no study named 'wave'; choose one of: waveform, mel"):
        studies.study("wave")
    with pytest.raises(ValueError, match="no experiment of the study waveform named 'a'"):
        STUDIES["waveform"].select("a")
    with pytest.raises(ValueError, match="there is no experiment of the study mel"):
        STUDIES["mel"].select("mel-crnn-7")


def test_every_study_trains_in_every_profile_that_has_its_experiments():
    for study in STUDIES.values():
        for profile in config.PROFILES.values():
            for row in study.experiments.values():
                assert row.training.epochs(profile, study.name) >= 1
    assert dataclasses.is_dataclass(row)
