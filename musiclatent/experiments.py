"""The experiments of each study, with the papers' figures and their sources: ``experiments.toml``.

In Nunez, Suarez and Vitetta (2024), A1 is the chosen model, A2 the rejected ones and A3 the study
of latent sizes.
"""

import tomllib
from pathlib import Path

from musiclatent.config import Experiment, Training

CHANNELS = [32, 96, 128]  # of the baseline of system B, as in models.mel


def _experiment(study: str, row: dict) -> Experiment:
    """Return an experiment from its row in ``experiments.toml``."""
    trainings = {
        name: Training(**row[name]) for name in ("training", "full_training") if name in row
    }
    return Experiment(**row | trainings | {"study": study})


# Not `files.read_toml`: options stay lists, as checkpoints hold them.
_TABLE = tomllib.loads(Path(__file__).with_name("experiments.toml").read_text("utf-8"))
_SHAPES = _TABLE.pop("shapes")


def _named(table: dict) -> dict[str, dict[str, Experiment]]:
    """Return the experiments of a table: study -> name -> experiment."""
    return {
        study: {row["name"]: _experiment(study, row) for row in rows}
        for study, rows in table.items()
    }


EXPERIMENTS = _named(_TABLE)
# One model in other shapes of the same size: a notebook of the study trains them, none other.
SHAPES = _named(_SHAPES)
