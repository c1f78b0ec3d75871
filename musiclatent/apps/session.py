"""What a notebook begins and ends with: its study, windows and models, and names for its files.

The name of a notebook is written once, in its call of `open_study`; all that it leaves begins with
its number. `tests/test_notebooks.py` holds the name against the file's.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from matplotlib.figure import Figure

from musiclatent import config, studies
from musiclatent.config import Experiment, Profile, Study, Workspace
from musiclatent.display import style
from musiclatent.display.words import tables
from musiclatent.files import write_json

if TYPE_CHECKING:
    from musiclatent.data.datamodules import CorpusDataModule
    from musiclatent.training.run_folder import Run


@dataclass(frozen=True, kw_only=True)
class Session:
    """A study as one notebook works on it.

    Parameters
    ----------
    notebook
        The notebook's name, that of its file without ``.ipynb``.
    plan
        The study, with the sizes of the profile.
    experiment
        One row of the study, or ``all``.
    space
        Where results go.
    """

    notebook: str
    plan: Study
    experiment: str
    space: Workspace

    @property
    def profile(self) -> Profile:
        """The profile: its epochs, and the size of the embedded corpora, if it has any."""
        return config.profile(self.space.profile)

    @property
    def rows(self) -> list[Experiment]:
        """The rows that the profile trains: those asked for; of a demo those that are compared."""
        rows = self.plan.select(self.experiment)
        if self.experiment != "all" or self.profile.demo is None:
            return rows
        return [row for row in rows if row.name in (*self.plan.compared, *self.plan.beside)]

    @cached_property
    def data(self) -> "CorpusDataModule":
        """The windows that the study works on."""
        from musiclatent.data import datamodules  # torch: a served page does without

        return datamodules.CorpusDataModule.of_study(self.plan, self.space)

    @cached_property
    def run(self) -> "Run":
        """The experiment that makes new music, trained where it is not yet."""
        return self.train(self.plan.main(self.experiment))

    def train(self, experiment: Experiment) -> "Run":
        """Train an experiment on the study's windows, or reuse it, as `fit.ensure`."""
        from musiclatent.training.fit import ensure  # brings torch

        return ensure(experiment, self.data, self.space)

    def train_seeds(self, experiments: Sequence[Experiment]) -> "dict[str, list[Run]]":
        """Train experiments with every seed of the profile, or reuse them; name -> runs."""
        from musiclatent.training.fit import ensure_seeds  # brings torch

        return ensure_seeds(experiments, self.data, self.space)

    def label(self, name: str) -> str:
        """Put the notebook's number before a name: ``02_curves``."""
        return f"{self.notebook.partition('_')[0]}_{name}"

    def save_figure(self, figure: Figure, name: str) -> None:
        """Write a figure as ``figures/NUMBER_name.png`` and show it with its caption."""
        style.present(figure, self.space.make("figures") / f"{self.label(name)}.png")

    def save_metrics(self, metrics: dict[str, float | str]) -> Path:
        """Write the notebook's figures as ``metrics/NOTEBOOK.json`` and return the file."""
        path = self.space.make("metrics") / f"{self.notebook}.json"
        write_json(path, metrics)
        return path


def open_study(
    notebook: str,
    study: str,
    experiment: str = "all",
    profile: str = "demo",
    corpus: str = "",
    results: str = "results",
) -> Session:
    """Open a study for a notebook, in the order of the notebook's parameters; tables get our look.

    Parameters
    ----------
    notebook
        The notebook's name, such as ``02_train_autoencoders``.
    study, experiment, profile
        Names of the study, of one of its rows or ``all``, and of the profile.
    corpus
        A folder of one's own music, or empty for the study's own corpora.
    results
        Folder above all results, absolute or relative to the checkout.

    Raises
    ------
    ValueError
        If there is no such study, experiment or profile.
    """
    plan = studies.study(study, profile)
    plan.select(experiment)
    tables.install()
    space = Workspace(profile=profile, study=study, corpus=corpus, results=results)
    return Session(notebook=notebook, plan=plan, experiment=experiment, space=space)
