"""Blind listening tests: one html page of questions, and its answers.

The questions here are about clusters and mixes; `listening.codings` asks about rebuilt sound.

The page opens from disk, asks for nothing beside it and does not know what is right: that stands in
the table of `questions`, which is the key. Keep it apart from the page.
"""

import hashlib
import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.metrics import cohen_kappa_score

from musiclatent.analysis import statistics
from musiclatent.config import SEED
from musiclatent.display import map_html, map_page
from musiclatent.edm import selections
from musiclatent.errors import one_line
from musiclatent.files import write_file

KEY = ["question", "kind", "cluster", "truth", "first", "second", "candidate"]
ALL = -1  # in place of a cluster: all of them, or none
# Why a kappa is missing.
ONE_RATER = "one rater: there is no agreement to measure"
NONE_SHARED = "no question was answered by all raters"
ONE_ANSWER = "all answers are the same: chance alone would agree as well"
_MOUNT = "document.body.raters = mount(document.body, { table, sound });"


def questions(
    z: np.ndarray,
    sections: pd.DataFrame,
    labels: np.ndarray,
    pairs: pd.DataFrame,
    *,
    n_per_cluster: int = 6,
    n_pairs: int = 12,
    seed: int = SEED,
) -> pd.DataFrame:
    """Draw the questions, the same for every listener, and the key to them.

    Of each cluster, two central sections of two tunes are the examples; then a section is asked
    about, in half of the questions of that cluster and in half of another, of other tunes than the
    examples where there are enough. Of the pairs, half are played as they are and half with a
    random section of another tune in the place of the second.

    Parameters
    ----------
    z
        One row per section (B, D).
    sections
        B rows, none silent: item_id, group, path, start_s, end_s.
    labels
        Cluster of each row (B,), int; -1 for none: not asked about.
    pairs
        Row numbers of `sections`: `first`, and `second`, which was proposed after it. Pairs of one
        tune are left out, for everybody would know them.
    n_per_cluster, n_pairs
        Number of questions, even; fewer where there are not as many sections or pairs.
    seed
        Of choice and order.

    Returns
    -------
    DataFrame
        One row per question, clusters first, each part shuffled: question (its name), kind ("fits"
        or "mixes"), cluster (-1 for mixes), truth (bool: of the cluster, or as proposed), and the
        row numbers first, second (-1 for mixes) and candidate, in the order of playing.

    Raises
    ------
    ValueError
        If a number is odd, or there is nothing to ask.
    """
    for name, n in (("n_per_cluster", n_per_cluster), ("n_pairs", n_pairs)):
        if n < 0 or n % 2:
            raise ValueError(f"{name} is {n}; half are right, so give an even number from 0 on")
    rng = np.random.default_rng(seed)
    sections, labels = sections.reset_index(drop=True), np.asarray(labels)
    fits = []
    if n_per_cluster:  # else nothing is drawn, and the mixes stay those of the seed
        for k in np.unique(labels[labels >= 0]):
            fits += _fits(z, sections, labels, int(k), n_per_cluster // 2, rng)
    mixes = _mixes(sections["group"].to_numpy(), pairs, n_pairs // 2, rng)
    rows = [part[i] for part in (fits, mixes) for i in rng.permutation(len(part))]
    if not rows:
        raise ValueError("there is nothing to ask; give clusters or pairs, and numbers above 0")
    return named(rows, sections)


def named(rows: Sequence[tuple], sections: pd.DataFrame) -> pd.DataFrame:
    """Return questions as a table with a name for each, which tells sets of questions apart.

    Parameters
    ----------
    rows
        kind, cluster, truth, first, second and candidate of each, in the order of asking.
    sections
        What is played, with item_id and start_s; other sound needs another item_id.
    """
    table = pd.DataFrame(rows, columns=KEY[1:])
    name = _name(table, sections)
    return table.assign(question=[f"{name}-{i + 1:03d}" for i in range(len(table))])[KEY]


def page(
    path: str | Path,
    questions: pd.DataFrame,
    *,
    sections: pd.DataFrame,
    sr: int,
    title: str,
    limit_mb: float = map_html.LIMIT_MB,
) -> Path:
    """Write the page of questions, whole or not at all; it names no track, cluster or right answer.

    Parameters
    ----------
    path
        The html file; its folder is made.
    questions
        As `questions` made them.
    sections
        The table that they were made of.
    sr
        Sampling rate in Hz of the sound in the page.
    title
        Heading of the page; plain text that the listeners read.
    limit_mb
        Largest page in millions of bytes.

    Raises
    ------
    AudioError
        If a file cannot be read any more.
    ValueError
        If the page would pass the limit.
    """
    order = questions[["first", "second", "candidate"]].to_numpy()
    rows = pd.unique(order[order >= 0])  # as they are played: no order of tracks shows
    place = {row: i for i, row in enumerate(rows)}
    sounds = [[place[row] for row in played if row >= 0] for played in order]
    columns = zip(questions["question"], questions["kind"], sounds, strict=True)
    asked = [dict(zip(("id", "kind", "sounds"), row, strict=True)) for row in columns]
    name = questions["question"].iloc[0].rpartition("-")[0]
    table = {"title": title, "page": name, "questions": asked}
    script_bytes = 30_000
    room = limit_mb * 1e6 - len(map_html.inline_json(table)) - 6 * len(rows) - script_bytes

    def sound(i: int) -> bytes:
        return map_page.segment(sections.iloc[rows[i]], sr)

    script = map_html.static_text("listening_test.js")
    parts = map_html.joined(sound, len(rows), room=room, limit_mb=limit_mb)
    return write_file(
        Path(path), map_html.html(script, table, parts=parts, mount=_MOUNT, sends=True)
    )


def read(
    source: str | Path | Iterable[str | Path], key: pd.DataFrame
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Read the answers of all listeners.

    Parameters
    ----------
    source
        The files that the page saved, or a folder with them (``*.json``).
    key
        As `questions` made it; from a file, its columns `question`, `kind`, `cluster` and `truth`
        are enough.

    Returns
    -------
    answers
        One row per listener and question: rater, question, answer (bool, True for yes). Where one
        saved several files, the answer saved last counts.
    quarantine
        Files set aside: path, reason.

    Raises
    ------
    ValueError
        If there is no file.
    """
    folder = isinstance(source, str | Path)
    paths = sorted(Path(source).glob("*.json") if folder else map(Path, source))
    if not paths:
        raise ValueError(f"there are no answers in {str(source)!r}; put the saved files there")
    names, saved, refused = set(key["question"]), [], []
    for path in paths:
        try:
            saved.append(_answers(path, names))
        except (OSError, ValueError) as error:
            refused.append((str(path), one_line(error)))
    merged: dict[str, dict[str, bool]] = {}
    for _, rater, answers in sorted(saved, key=lambda file: file[0]):
        merged.setdefault(rater, {}).update(answers)
    rows = [(rater, *row) for rater, answers in sorted(merged.items()) for row in answers.items()]
    answers = pd.DataFrame(rows, columns=["rater", "question", "answer"])
    return answers.astype({"answer": bool}), pd.DataFrame(refused, columns=["path", "reason"])


def agreement(answers: pd.DataFrame, key: pd.DataFrame) -> pd.DataFrame:
    """Report how often listeners say yes, and how far they agree.

    Parameters
    ----------
    answers
        As `read` returns them.
    key
        As in `read`.

    Returns
    -------
    DataFrame
        One row per kind and cluster, and one (cluster -1) of each kind as a whole: kind, cluster,
        raters, n (answers); `members`, `yes_members`, `low_members` and `high_members`: number of
        answers where the truth is yes (sections of the cluster, pairs as proposed, recordings as
        they are), share of yes and its 95 % interval; the same of `strangers`, the others;
        `shared`, number of questions that all raters of this row answered, their Fleiss' `kappa`
        and, where it is NaN, `note` with the reason; `cohens_kappa` where there are two raters. The
        intervals take answers as independent: several raters of one question make them too narrow.

    Raises
    ------
    ValueError
        If there is no answer, or one to a question that is not in the key.
    """
    table = answers.merge(key[["question", "kind", "cluster", "truth"]], on="question")
    if table.empty or len(table) < len(answers):
        raise ValueError(
            f"{len(table)} of {len(answers)} answers are to questions of this key; "
            "give answers, and the key of the page that they were given on"
        )
    groups = [(*of, part) for of, part in table.groupby(["kind", "cluster"])]
    parted = table.loc[table["cluster"] != ALL, "kind"].unique()
    groups += [(kind, ALL, table[table["kind"] == kind]) for kind in parted]
    rows = [{"kind": kind, "cluster": k} | _agreed(part) for kind, k, part in groups]
    return pd.DataFrame(rows).sort_values(["kind", "cluster"], ignore_index=True)


def fleiss_kappa(counts: np.ndarray) -> float:
    """Compute how far raters agree beyond chance.

    Parameters
    ----------
    counts
        (questions, categories), int: how many raters chose each category; every question has the
        same number of raters, at least two.

    Returns
    -------
    float
        1 where all agree, 0 where they agree as often as by chance, below 0 where less often; NaN
        where all answers are of one category, for then chance alone agrees.

    Raises
    ------
    ValueError
        If counts are negative or no whole numbers, or questions have other numbers of raters.

    Notes
    -----
    Fleiss (1971), Measuring nominal scale agreement among many raters.
    """
    counts = np.asarray(counts, float)
    if counts.ndim != 2 or not counts.size or (counts < 0).any() or (counts % 1).any():
        raise ValueError("counts must be whole numbers from 0 on, (questions, categories)")
    n = counts[0].sum()
    if n < 2 or (counts.sum(axis=1) != n).any():
        raise ValueError("each question needs the same number of raters, two or more")
    observed = ((counts**2).sum(axis=1) - n).mean() / (n * (n - 1))
    expected = ((counts.sum(axis=0) / counts.sum()) ** 2).sum()
    return float((observed - expected) / (1 - expected)) if expected < 1 else float("nan")


def _fits(z, sections: pd.DataFrame, labels: np.ndarray, k: int, half: int, rng) -> list[tuple]:
    """Draw questions about one cluster: half with its own sections, half with others."""
    members = selections.central(z, sections, labels=labels, k=k, n=len(labels)).index.to_numpy()
    group = sections["group"].to_numpy()
    other = np.flatnonzero(group[members] != group[members[0]])  # the most central of another tune
    examples = members[[0, other[0] if len(other) else min(1, len(members) - 1)]]
    others = np.flatnonzero((labels >= 0) & (labels != k))
    candidates = {True: np.setdiff1d(members, examples), False: others}
    half, rows = min(half, *map(len, candidates.values())), []
    for truth, pool in candidates.items():
        pool = rng.permutation(pool)
        same_tune = np.isin(group[pool], group[examples])
        chosen = pool[np.argsort(same_tune, kind="stable")][:half]
        rows += [("fits", k, truth, *examples, candidate) for candidate in chosen]
    return rows


def _mixes(group: np.ndarray, pairs: pd.DataFrame, half: int, rng) -> list[tuple]:
    """Draw questions about pairs: half as proposed, half with a random second."""
    pairs = pairs[["first", "second"]].drop_duplicates().to_numpy(int)
    if ((pairs < 0) | (pairs >= len(group))).any():
        raise ValueError(f"a pair names a section that is not among 0 to {len(group) - 1}")
    pairs = pairs[group[pairs[:, 0]] != group[pairs[:, 1]]]
    half, rows = min(half, len(pairs) // 2), []
    for i, (first, second) in enumerate(rng.permutation(pairs)[: 2 * half]):
        others = np.flatnonzero(group != group[first])
        others = others[others != second]
        if i >= half and not len(others):
            raise ValueError("there is no other section than the proposed one; give more tracks")
        candidate = second if i < half else rng.choice(others)
        rows.append(("mixes", ALL, i < half, first, -1, candidate))
    return rows


def _name(table: pd.DataFrame, sections: pd.DataFrame) -> str:
    """Name a set of questions by what is asked, so that answers to others are recognised."""
    asked = table.to_csv(index=False) + sections[["item_id", "start_s"]].to_csv(index=False)
    return hashlib.sha256(asked.encode("utf-8", "backslashreplace")).hexdigest()[:10]


def _answers(path: Path, names: set[str]) -> tuple[datetime, str, dict[str, bool]]:
    """Read one file, see `check_answers`."""
    return check_answers(path.read_bytes(), names)


def check_answers(text: bytes, names: set[str]) -> tuple[datetime, str, dict[str, bool]]:
    """Check what a page saved or sent.

    Parameters
    ----------
    text
        Its json.
    names
        Names of the questions that were asked.

    Returns
    -------
    saved, rater, answers
        When, by whom, and the answers by question.

    Raises
    ------
    ValueError
        If it is no such json, names nobody, or answers other questions or neither yes nor no.
    """
    try:
        content = json.loads(text)
        rater, answers = content["rater"].strip(), content["answers"]
        saved = datetime.fromisoformat(content["saved"]).astimezone(UTC)
    except (AttributeError, KeyError, OverflowError, RecursionError, TypeError, ValueError):
        raise ValueError("it is no file of answers; save them again in the page") from None
    if not rater or not isinstance(answers, dict):
        raise ValueError("it names no rater or holds no answers; save them again in the page")
    if not all(type(answer) is bool for answer in answers.values()):
        raise ValueError("an answer is neither true nor false; save them again in the page")
    strange = answers.keys() - names
    if strange:
        raise ValueError(f"{len(strange)} answers are to other questions; give it their key")
    return saved, rater, answers


def _agreed(part: pd.DataFrame) -> dict:
    """Return shares of yes and agreement of some questions."""
    n_raters = part["rater"].nunique()
    row: dict = {"raters": n_raters, "n": len(part), "cohens_kappa": _cohens_kappa(part)}
    for name, truth in (("members", True), ("strangers", False)):
        yes = part.loc[part["truth"] == truth, "answer"]
        low, high = statistics.wilson(yes.mean(), len(yes)) if len(yes) else (np.nan, np.nan)
        row |= {name: len(yes), f"yes_{name}": yes.mean(), f"low_{name}": low, f"high_{name}": high}
    counts = pd.crosstab(part["question"], part["answer"])
    counts = counts.reindex(columns=[False, True], fill_value=0)
    counts = counts[counts.sum(axis=1) == n_raters]
    kappa, note = np.nan, ""
    if n_raters < 2:
        note = ONE_RATER
    elif counts.empty:
        note = NONE_SHARED
    else:
        kappa = fleiss_kappa(counts.to_numpy())
        note = ONE_ANSWER if np.isnan(kappa) else ""
    return row | {"shared": len(counts), "kappa": kappa, "note": note}


def _cohens_kappa(part: pd.DataFrame) -> float:
    """Return the agreement of two raters beyond chance; NaN of any other number."""
    both = part.pivot(index="question", columns="rater", values="answer").dropna().astype(bool)
    if both.shape[1] != 2 or both.nunique().max() < 2:
        return np.nan
    return float(cohen_kappa_score(*both.to_numpy().T))
