"""The report: a page that says what holds, and one of each study; they open from disk, on a phone.

Each holds its own pictures and sounds and asks for nothing. Beside it the record: the figures of a
real run as json that is committed.
"""

import hashlib
import json
import math
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

from musiclatent import __version__
from musiclatent.apps.listening import answers
from musiclatent.apps.reporting import claims, media
from musiclatent.apps.reporting.claims import CLAIMS, Claim
from musiclatent.config import PROFILES, Experiment, Profile, Study, home
from musiclatent.display import map_html
from musiclatent.display.words import numbers, tables
from musiclatent.files import pick, write_file, write_json
from musiclatent.studies import STUDIES

SOUNDS = 8  # players of each notebook, so that a page stays below a few megabytes
FAILED = "failed.json"
SHOWN = ("figures", "audio", "metrics", "listening")  # folders of a study that pages show
HEAD = 2000  # characters of a page in which stands what it was made from
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
        name, about, source, and values: for each of `FIGURES` that any experiment has, ours,
        whether it is the best of ours, and the paper's where it has one. No difference in per
        cent: the data are others.
    """
    rows = study.experiments.values()
    shown = [name for name in FIGURES if any(f"{name}_{row.key}" in metrics for row in rows)]
    measured = [row for row in rows if any(f"{name}_{row.key}" in metrics for name in shown)]
    best = {
        name: _best(name, [metrics.get(f"{name}_{row.key}") for row in measured]) for name in shown
    }
    return [_row(experiment, metrics, best) for experiment in measured]


def _best(name: str, values: list[float | None]) -> float | None:
    """Return the best of some figures of a name; None where there are no two."""
    values = [value for value in values if value is not None and math.isfinite(value)]
    if len(set(values)) < 2:
        return None
    return min(values) if name in tables.LESS else max(values)


def _row(experiment: Experiment, metrics: dict, best: dict[str, float | None]) -> dict:
    """Return one experiment's line; `best` holds the best figure of each column."""
    values = {}
    for name, top in best.items():
        ours = metrics.get(f"{name}_{experiment.key}")
        values[name] = {"ours": ours, "best": ours is not None and ours == top}
        values[name] |= {"paper": experiment.paper.get(name)}
    row = {name: getattr(experiment, name) for name in ("name", "about", "source")}
    return row | {"values": values}


def compared(study: Study, metrics: dict) -> dict[str, dict]:
    """Return figures of a study without experiments beside the paper's: name -> ours, paper."""
    return {
        name: {"ours": metrics[name], "paper": paper}
        for name, paper in study.paper.items()
        if metrics.get(name) is not None
    }


def _parts(study: Study, folder: Path) -> list[dict]:
    """Return title, pictures and first sounds of each notebook that left any."""
    parts = []
    for book in study.notebooks():
        number = book.partition("_")[0]
        pictures = sorted(folder.glob(f"figures/{number}_*.png"))
        files = islice(sorted(folder.glob(f"audio/{number}_*.wav")), SOUNDS)
        shown = {"pictures": [*map(media.picture, pictures)], "sounds": [*map(media.sound, files)]}
        parts += [{"title": book.replace("_", " ")} | shown] if any(shown.values()) else []
    return parts


def _skipped(folder: Path) -> str:
    """Return why a study is not complete, or nothing."""
    failed = folder / FAILED
    return json.loads(failed.read_text())["reason"] if failed.exists() else ""


def _study(study: Study, folder: Path) -> dict:
    """Return everything that the page of one study shows."""
    metrics = claims.read_metrics(folder)
    page = folder / "map.html"
    return {
        "study": study,
        "rows": rows(study, metrics),
        "compared": compared(study, metrics),
        "metrics": dict(sorted(metrics.items())),
        "parts": _parts(study, folder),
        "map": f"../{folder.name}/map.html" if page.exists() else "",
        "figures": FIGURES,
        "skipped": _skipped(folder),
        "listeners": answers.sentence(folder),
    }


def _system(claim: Claim, base: Path, profile: Profile, home: Path) -> dict:
    """Return what the first screen shows of one system."""
    folder, metrics = base / claim.study.name, claims.read_metrics(base / claim.study.name)
    picture = folder / "figures" / f"{claim.picture}.png"
    named = ((t, path) for t, x in claim.sounds.items() for path in folder.glob(f"audio/{x}.wav"))
    sounds = [media.sound(path, title) for title, path in named]
    date, figures = claims.recorded(home, claim.study.name) if profile.demo else ("", {})
    names = ", ".join(claim.study.demo if profile.demo else claim.study.real)
    count = metrics.get("recordings")
    return {
        "claim": claim,
        "sentence": claim.sentence(metrics),
        "data": f"{names}, {count} recordings" if count else names,
        "date": date,
        "recorded": claim.sentence(figures),
        "pictures": [media.picture(picture)] if picture.exists() else [],
        "sounds": sounds or media.transition(folder / "audio"),
        "links": _links(claim, base),
        "skipped": _skipped(folder),
    }


def _links(claim: Claim, base: Path) -> list[dict[str, str]]:
    """Return what leads on from a system: the pages of its studies, and their maps."""
    links = []
    for name in filter(lambda name: (base / name).is_dir(), claim.studies):
        links.append({"title": STUDIES[name].title, "address": f"report/{name}.html"})
        if (base / name / "map.html").exists():
            links.append({"title": "the map that plays", "address": f"{name}/map.html"})
    return links


def write(base: Path, profile: str) -> Path:
    """Write ``index.html``, and a page of each study, from what the notebooks left.

    Parameters
    ----------
    base
        Folder of the profile's results.
    profile
        Name of the profile.

    Returns
    -------
    Path
        The first page. It holds its pictures and sounds, as do the others, in ``report``.
    """
    size = pick(PROFILES, profile, "profile")
    names = [name for name in STUDIES if (base / name).is_dir()]
    shared = {"profile": profile, "rendered": size.demo is not None, "version": __version__}
    shared |= {"studies": [STUDIES[name] for name in names], "short": numbers.short}
    for name in names:
        page, digest = base / "report" / f"{name}.html", _made_from(profile, [base / name])
        if not _is_made(page, digest):
            content = _study(STUDIES[name], base / name) | shared | {"made_from": digest}
            write_file(page, map_html.render("report_study.html.j2", **content))
    page, digest = base / "index.html", _made_from(profile, [base / name for name in names])
    if not _is_made(page, digest):
        there = [claim for claim in CLAIMS if set(claim.studies) & set(names)]
        content = {"systems": [_system(claim, base, size, home()) for claim in there]}
        write_file(page, map_html.render("report.html.j2", **content, **shared, made_from=digest))
    return page


def _made_from(profile: str, folders: Sequence[Path]) -> str:
    """Hash what a page is made of: results by size and time, and what else decides what it says."""
    shown = [path for folder in folders for kind in SHOWN for path in folder.glob(f"{kind}/*")]
    shown += [folder / name for folder in folders for name in (FAILED, "map.html")]
    seen = [(str(p), p.stat().st_size, p.stat().st_mtime_ns) for p in sorted(shown) if p.exists()]
    code = sorted([*Path(__file__).parent.glob("*.py"), *map_html.STATIC.glob("report*")])
    code += [Path(__file__).with_name("claims.toml"), *sorted(home().glob("docs/results/*.json"))]
    text = json.dumps([profile, __version__, seen])
    parts = [path.read_bytes() for path in code]
    return hashlib.sha256(b"".join([text.encode(), *parts])).hexdigest()


def _is_made(page: Path, digest: str) -> bool:
    """Return whether a page was made from just this: pictures and sounds take seconds."""
    if not page.exists():
        return False
    with page.open(encoding="utf-8") as file:
        return digest in file.read(HEAD)


def record(base: Path, names: Sequence[str], checkout: Path) -> list[Path]:
    """Write what the notebooks of studies measured as ``docs/results/STUDY.json``.

    Parameters
    ----------
    base
        Folder of the results of the profile ``real``.
    names
        Studies.
    checkout
        The checkout: a git repository, whose commit is written beside the figures.

    Returns
    -------
    list of Path
        One file per study: `commit` (with ``-dirty`` where code was changed since), `date` of the
        newest figure, `command`, `missing` (notebooks that were not run) and `metrics`, by
        notebook.

    Raises
    ------
    ValueError
        If no notebook of a study was run, or its run failed; then nothing is written.
    RuntimeError
        If the commit cannot be found.
    """
    contents = {name: _recorded(base / name, name) for name in names}
    commit = _commit(checkout)
    folder = checkout / "docs" / "results"
    return [
        write_json(folder / f"{name}.json", {"commit": commit} | content)
        for name, content in contents.items()
    ]


def _recorded(folder: Path, name: str) -> dict:
    """Return date, command and figures of a study's run."""
    command = f"make reproduce PROFILE=real STUDY={name}"
    paths = {book: folder / "metrics" / f"{book}.json" for book in STUDIES[name].notebooks()}
    missing = sorted(book for book, path in paths.items() if not path.exists())
    if len(missing) == len(paths) or (folder / FAILED).exists():
        what = "of a run that failed" if (folder / FAILED).exists() else "of all notebooks"
        raise ValueError(f"{name}: the figures {what} are missing; run: {command}")
    paths = {book: path for book, path in paths.items() if book not in missing}
    newest = max(path.stat().st_mtime for path in paths.values())
    if missing:
        command = f"make notebook PROFILE=real STUDY={name} NB=..., for each that is not missing"
    return {
        "date": datetime.fromtimestamp(newest, UTC).date().isoformat(),
        "command": command,
        "missing": missing,
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


def _commit(checkout: Path) -> str:
    """Return the commit of a checkout, with ``-dirty`` where its code is not committed."""
    answers = [
        subprocess.run(["git", *words], cwd=checkout, capture_output=True, text=True, check=False)
        for words in (("rev-parse", "HEAD"), ("status", "--porcelain", "--", *CODE))
    ]
    if any(answer.returncode for answer in answers):
        raise RuntimeError(f"{checkout}: git names no commit ({answers[0].stderr.strip()})")
    commit, changes = (answer.stdout.strip() for answer in answers)
    return commit + ("-dirty" if changes else "")
