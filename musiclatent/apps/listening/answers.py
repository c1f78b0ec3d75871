"""Where a run keeps listening pages and answers, and what the answers say in a sentence."""

import hashlib
import re
from pathlib import Path

import pandas as pd

from musiclatent import files
from musiclatent.display.words.numbers import counted

PAGE = "listening/listen.html"  # in the folder of a study
KEY = "tables/listening_key.csv"
LARGEST = 200_000  # bytes of the answers of one listener
LONGEST = 60  # characters of a name, as the page allows
MOST = 1000  # listeners of a page
ASKED = {  # kinds of questions, as sentences name them
    "fits": "what fits a cluster",
    "mixes": "what mixes well",
    "whole": "what one would listen to",
    "same": "what sounds the same",
    "words": "what is understood",
}
NOBODY = "Nobody has filled in the listening page yet: `make listen` serves it."


def pages(base: Path) -> dict[str, Path]:
    """Return the folders of studies that hold a page and its key, by name, of a profile's results.

    Parameters
    ----------
    base
        Folder of the profile's results.
    """
    found = sorted(path.parents[1] for path in Path(base).glob(f"*/{PAGE}"))
    return {folder.name: folder for folder in found if (folder / KEY).exists()}


def store(folder: Path, sent: bytes) -> Path:
    """Keep what a listener sent as one file, with what that listener answered before.

    Parameters
    ----------
    folder
        Folder of a study, as of `pages`.
    sent
        Json as the page makes it.

    Returns
    -------
    Path
        ``listening/answers-NAME.json``, written whole.

    Raises
    ------
    ValueError
        If it is too large or no such json, the name is too long or holds what is no text, the
        questions are others, or there are too many listeners.
    """
    from musiclatent.apps import listening_test  # seconds, which a report without answers saves

    if len(sent) > LARGEST:
        raise ValueError(f"{len(sent)} bytes are too many; answers take {LARGEST} at most")
    names = set(pd.read_csv(folder / KEY)["question"])
    saved, rater, answers = listening_test.check_answers(sent, names)
    if len(rater) > LONGEST or not rater.isprintable():
        raise ValueError(f"a name has {LONGEST} letters at most, all of them printable; shorten it")
    path = folder / Path(PAGE).parent / _file_name(rater)
    if path.exists():
        answers = _before(path, names) | answers
    elif len(list(path.parent.glob("answers-*.json"))) >= MOST:
        raise ValueError(f"there are {MOST} listeners already; move their files elsewhere first")
    content = {"rater": rater, "saved": saved.isoformat(), "answers": answers}
    return files.write_json(path, content)


def sentence(folder: Path) -> str:
    """Say how many listeners filled in the page of a study, and how far they agree.

    Parameters
    ----------
    folder
        Folder of the study; nothing is said where it has no page.
    """
    if folder.name not in pages(folder.parent):
        return ""
    paths = sorted((folder / PAGE).parent.glob("*.json"))
    if not paths:
        return NOBODY
    from musiclatent.apps import listening_test

    key = pd.read_csv(folder / KEY)
    answers, refused = listening_test.read(paths, key)
    aside = f" {counted(len(refused), 'file')} of answers set aside." if len(refused) else ""
    if answers.empty:
        return NOBODY + aside
    table = listening_test.agreement(answers, key)
    whole = table[table["cluster"] == listening_test.ALL]
    said = f"{counted(answers['rater'].nunique(), 'listener')}, {counted(len(answers), 'answer')}."
    return " ".join([said, *map(_agreement, whole.to_dict("records"))]) + aside


def _agreement(row: dict) -> str:
    """Say how far listeners agree in one kind of question."""
    what = f"Of {ASKED[row['kind']]}"
    if row["note"]:
        return f"{what}: {row['note']}."
    words = f"{what}: Fleiss' kappa {row['kappa']:.2f}"
    if pd.notna(row["cohens_kappa"]):
        words += f", Cohen's {row['cohens_kappa']:.2f}"
    return f"{words} over {counted(row['shared'], 'question')} that all answered."


def _file_name(rater: str) -> str:
    """Return a file's name for a listener: letters of the name, and what tells alike ones apart."""
    letters = re.sub(r"\W+", "_", rater, flags=re.ASCII).strip("_")[:40]
    digest = hashlib.sha256(rater.encode("utf-8", "backslashreplace")).hexdigest()[:8]
    return f"answers-{letters or 'listener'}-{digest}.json"


def _before(path: Path, names: set[str]) -> dict[str, bool]:
    """Return what a listener answered before; nothing where that was on other questions."""
    from musiclatent.apps import listening_test

    try:
        return listening_test.check_answers(path.read_bytes(), names)[2]
    except (OSError, ValueError):
        return {}
