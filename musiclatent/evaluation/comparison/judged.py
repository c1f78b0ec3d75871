"""What a table of encoders is made of: one value per judged row and encoder, and what it means."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from musiclatent.analysis import statistics
from musiclatent.analysis.statistics import Interval


@dataclass(frozen=True, kw_only=True)
class Judged:
    """One question, answered for every row by every encoder.

    Parameters
    ----------
    key
        Name of the figure, such as ``artist_map``.
    question
        What a higher figure means, in a few words.
    values
        One column per encoder, one row per judged thing (B, E); finite.
    units
        Independent unit of each row (B,): its recording, artist, score.
    dataset
        What was judged.
    split
        Which rows may say what of which others: the folds by name.
    """

    key: str
    question: str
    values: pd.DataFrame
    units: np.ndarray
    dataset: str
    split: str

    @cached_property
    def _means(self) -> dict[str, Interval]:
        """Figure of each encoder."""
        return {name: statistics.mean(self.values[name], self.units) for name in self.values}

    def mean(self, encoder: str) -> Interval:
        """Return the figure of an encoder with its interval over units."""
        return self._means[encoder]

    def over(self, encoder: str, other: str) -> Interval:
        """Return by how much an encoder leads another, with the interval over units."""
        return statistics.paired(self.values[encoder], self.values[other], self.units)


def gather(parts: Mapping[str, pd.DataFrame], units: np.ndarray, **about: str) -> list[Judged]:
    """Arrange what was judged of each encoder by figure.

    Parameters
    ----------
    parts
        Encoder -> one row per judged thing, one column per figure; the same rows and columns of
        each. Rows that are not judged are NaN in all of them, and left out.
    units
        Unit of each row (B,).
    about
        ``name``, which figures are called by; their `question`, `dataset` and `split`.

    Returns
    -------
    list of Judged
        One per column: ``NAME_COLUMN``.
    """
    name = about.pop("name")
    columns = next(iter(parts.values())).columns
    found = []
    for column in columns:
        values = pd.DataFrame({encoder: part[column].to_numpy() for encoder, part in parts.items()})
        rows = values.notna().all(axis=1).to_numpy()
        if rows.any():
            one = values[rows].reset_index(drop=True)
            key = f"{name}_{column}"
            found.append(Judged(key=key, values=one, units=np.asarray(units)[rows], **about))
    return found


def table(judged: list[Judged]) -> pd.DataFrame:
    """Return the figures of all encoders: one row each, KEY, KEY_low and KEY_high as columns."""
    encoders = list(dict.fromkeys(name for one in judged for name in one.values))
    rows = {name: {} for name in encoders}
    for one in judged:
        for name in one.values:
            found = one.mean(name)
            rows[name] |= {
                one.key: found.estimate,
                f"{one.key}_low": found.low,
                f"{one.key}_high": found.high,
            }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("encoder")


def differences(judged: list[Judged], baseline: str) -> pd.DataFrame:
    """Compare every encoder with a baseline on the rows that both were judged on.

    Parameters
    ----------
    judged
        All questions.
    baseline
        Name of one encoder; questions that it was not judged by are left out.

    Returns
    -------
    DataFrame
        One row per question and other encoder: key, encoder, difference, low, high, p, and
        `higher`: 1 where the interval lies above 0, -1 below, 0 where it holds 0.
    """
    rows = []
    for one in judged:
        for name in one.values if baseline in one.values else ():
            if name == baseline:
                continue
            step = one.over(name, baseline)
            higher = int(np.sign(step.estimate)) if step.leaves_zero_out else 0
            about = {"key": one.key, "encoder": name, "difference": step.estimate}
            rows.append(about | {"low": step.low, "high": step.high, "p": step.p, "higher": higher})
    return pd.DataFrame(
        rows, columns=["key", "encoder", "difference", "low", "high", "p", "higher"]
    )
