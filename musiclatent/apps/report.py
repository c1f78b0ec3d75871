"""The report: one self-contained page of figures, pictures and sounds, readable on a phone.

Beside it the record: the figures of a real run as json that is committed.
"""

import base64
import json
import math
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import groupby, islice
from pathlib import Path

from musiclatent import __version__, audio
from musiclatent.config import PROFILES, Experiment, Study
from musiclatent.display import map_html, sounds
from musiclatent.files import pick, write_file, write_json
from musiclatent.studies import STUDIES

SOUNDS = 10  # players of each notebook, so that the page stays below a few megabytes
FAILED = "failed.json"
CODE = ("musiclatent", "notebooks", "constraints.txt")  # what figures depend on
DIGITS = 6  # of a recorded figure: the same on one processor, and short to compare
FIGURES = {
    "validation_mse": "validation MSE",
    "test_mse": "test MSE",
    "test_sisdr": "test SI-SDR (dB)",
    "test_mrstft": "test STFT distance",
    "test_knn": "test accuracy of 10 neighbours",
    "accuracy": "accuracy on held-out excerpts",
}


def rows(study: Study, metrics: dict[str, float | str]) -> list[dict]:
    """Return our figures of each experiment beside the paper's.

    Parameters
    ----------
    study
        Whose experiments to list.
    metrics
        Our figures by name, such as ``test_mse_64``.

    Returns
    -------
    list of dict
        name, about, source, and values: for each of `FIGURES` that any experiment has, ours, and
        the paper's where it has one. No difference in per cent: the data are others.
    """
    rows = study.experiments.values()
    shown = [name for name in FIGURES if any(f"{name}_{row.key}" in metrics for row in rows)]
    measured = [row for row in rows if any(f"{name}_{row.key}" in metrics for name in shown)]
    return [_row(experiment, metrics, shown) for experiment in measured]


def _row(experiment: Experiment, metrics: dict, shown: list[str]) -> dict:
    """Return one experiment's line."""
    ours = {name: metrics.get(f"{name}_{experiment.key}") for name in shown}
    values = {name: {"ours": ours[name], "paper": experiment.paper.get(name)} for name in shown}
    row = {name: getattr(experiment, name) for name in ("name", "about", "source")}
    return row | {"values": values}


def compared(study: Study, metrics: dict) -> dict[str, dict]:
    """Return figures of a study without experiments beside the paper's: name -> ours, paper."""
    return {
        name: {"ours": metrics[name], "paper": paper}
        for name, paper in study.paper.items()
        if metrics.get(name) is not None
    }


def _pictures(folder: Path) -> list[dict]:
    """Return pictures of a study as base64, in the order of their names."""
    paths = sorted(folder.glob("figures/*.png"))
    data = [base64.b64encode(path.read_bytes()).decode() for path in paths]
    titles = [path.stem.replace("_", " ") for path in paths]
    return [{"title": title, "data": png} for title, png in zip(titles, data, strict=True)]


def _sounds(folder: Path) -> list[str]:
    """Return players of a study's sounds."""
    players = []
    for _, paths in groupby(sorted(folder.glob("audio/*.wav")), key=lambda path: path.name[:2]):
        for path in islice(paths, SOUNDS):
            y, sr = audio.read(path)
            players.append(sounds.player(y, sr, path.stem.replace("_", " ")))
    return players


def _section(study: Study, folder: Path) -> dict:
    """Return everything that the page shows of one study."""
    metrics = {}
    for path in sorted(folder.glob("metrics/*.json")):
        metrics |= json.loads(path.read_text())
    failed = folder / FAILED
    return {
        "study": study,
        "rows": rows(study, metrics),
        "compared": compared(study, metrics),
        "metrics": dict(sorted(metrics.items())),
        "pictures": _pictures(folder),
        "sounds": _sounds(folder),
        "map": f"{folder.name}/map.html" if (folder / "map.html").exists() else "",
        "figures": FIGURES,
        "skipped": json.loads(failed.read_text())["reason"] if failed.exists() else "",
    }


def write(base: Path, profile: str) -> Path:
    """Write ``index.html`` from what the notebooks left.

    Parameters
    ----------
    base
        Folder of the profile's results.
    profile
        Name of the profile.

    Returns
    -------
    Path
        The page.
    """
    pick(PROFILES, profile, "profile")
    names = [name for name in STUDIES if (base / name).is_dir()]
    page = map_html.render(
        "report.html.j2",
        profile=profile,
        rendered=PROFILES[profile].demo is not None,
        sections=[_section(STUDIES[name], base / name) for name in names],
        version=__version__,
    )
    return write_file(base / "index.html", page)


def record(base: Path, names: Sequence[str], home: Path) -> list[Path]:
    """Write what the notebooks of studies measured as ``docs/results/STUDY.json``.

    Parameters
    ----------
    base
        Folder of the results of the profile ``real``.
    names
        Studies.
    home
        The checkout: a git repository, whose commit is written beside the figures.

    Returns
    -------
    list of Path
        One file per study: `commit` (with ``-dirty`` where code was changed since), `date` of the
        newest figure, `command`, and `metrics`, by notebook.

    Raises
    ------
    ValueError
        If a study is not complete; then nothing is written.
    RuntimeError
        If the commit cannot be found.
    """
    contents = {name: _recorded(base / name, name) for name in names}
    commit = _commit(home)
    folder = home / "docs" / "results"
    return [
        write_json(folder / f"{name}.json", {"commit": commit} | content)
        for name, content in contents.items()
    ]


def _recorded(folder: Path, name: str) -> dict:
    """Return date, command and figures of a study's run."""
    command = f"make reproduce PROFILE=real STUDY={name}"
    paths = {book: folder / "metrics" / f"{book}.json" for book in STUDIES[name].notebooks()}
    missing = [book for book, path in paths.items() if not path.exists()]
    if missing or (folder / FAILED).exists():
        what = f"of {', '.join(missing)}" if missing else "of a run that failed"
        raise ValueError(f"{name}: the figures {what} are missing; run: {command}")
    newest = max(path.stat().st_mtime for path in paths.values())
    return {
        "date": datetime.fromtimestamp(newest, UTC).date().isoformat(),
        "command": command,
        "metrics": {book: _figures(path) for book, path in paths.items()},
    }


def _figures(path: Path) -> dict[str, float | str]:
    """Return a notebook's figures with a few digits, without those that are no number."""
    figures = {}
    for name, value in json.loads(path.read_text()).items():
        if not isinstance(value, float):
            figures[name] = value
        elif math.isfinite(value):
            figures[name] = float(f"{value:.{DIGITS}g}")
    return figures


def _commit(home: Path) -> str:
    """Return the commit of a checkout, with ``-dirty`` where its code is not committed."""
    answers = [
        subprocess.run(["git", *words], cwd=home, capture_output=True, text=True, check=False)
        for words in (("rev-parse", "HEAD"), ("status", "--porcelain", "--", *CODE))
    ]
    if any(answer.returncode for answer in answers):
        raise RuntimeError(f"{home}: git names no commit ({answers[0].stderr.strip()})")
    commit, changes = (answer.stdout.strip() for answer in answers)
    return commit + ("-dirty" if changes else "")
