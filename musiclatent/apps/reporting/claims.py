"""What each of the five documents claims, and what holds of it in a run, in figures."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from musiclatent.config import Study
from musiclatent.files import read_toml
from musiclatent.studies import STUDIES


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One of the five systems on the first screen of the report.

    Parameters
    ----------
    letter
        The system, A to E.
    studies
        Names of the studies that rebuild it; figures, picture and sounds are of the first.
    claim
        What its document says.
    holds
        A sentence with the names of figures in braces, as `str.format` takes them.
    picture
        Name of a picture among the study's figures.
    sounds
        Title -> name of a wav file among the study's sounds, or a pattern; without a title it has
        the one of its file.
    """

    letter: str
    studies: tuple[str, ...]
    claim: str
    holds: str
    picture: str
    sounds: dict[str, str]

    @property
    def study(self) -> Study:
        """The study whose figures the sentence holds."""
        return STUDIES[self.studies[0]]

    def sentence(self, metrics: Mapping[str, float | str]) -> str:
        """Return what holds in a run, or nothing where a figure of it is missing."""
        try:
            return self.holds.format_map(metrics).replace("%", "\u00a0%")
        except (KeyError, ValueError):  # not run to its end, or not with all rows
            return ""


_TABLE = read_toml(Path(__file__).with_name("claims.toml"))
CLAIMS = [Claim(letter=letter, **row) for letter, row in _TABLE.items()]


def read_metrics(folder: Path) -> dict[str, float | str]:
    """Return all figures of a study's results by name; `folder` is that of the study."""
    metrics = {}
    for path in sorted(folder.glob("metrics/*.json")):
        metrics |= json.loads(path.read_text())
    return metrics


def recorded(home: Path, name: str) -> tuple[str, dict[str, float | str]]:
    """Return date and figures of a study's recorded run on real recordings.

    Parameters
    ----------
    home
        The checkout, in which ``docs/results/STUDY.json`` is; without it both are empty.
    name
        The study.
    """
    path = home / "docs" / "results" / f"{name}.json"
    if not path.exists():
        return "", {}
    content = json.loads(path.read_text())
    figures = {}
    for part in content["metrics"].values():
        figures |= part
    return content["date"], figures
