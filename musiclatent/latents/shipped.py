"""Find a model by its name: trained here, come with the package, or fetched from a hub."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from musiclatent import config, files, studies
from musiclatent.config import Experiment, Study, Workspace
from musiclatent.errors import CheckpointError
from musiclatent.latents import hub
from musiclatent.training import run_folder
from musiclatent.training.run_folder import Run

WEIGHTS = Path(__file__).parents[1] / "weights"
CARDS = files.read_toml(Path(__file__).with_name("cards.toml"))  # what comes with the package
# Where a name is looked up, the best trained first: what was trained here on real music, then what
# comes with the package, what was fetched, and last what was trained on rendered music.
ORIGINS = ("real", "paper", "shipped", "fetched", "demo", "tiny")


@dataclass(frozen=True)
class Place:
    """Where a model lies.

    Parameters
    ----------
    name
        By which it is found.
    origin
        One of `ORIGINS`: the profile that trained it here, or how it came.
    folder
        What `run_folder.write_model` filled.
    """

    name: str
    origin: str
    folder: Path


def places(results: str | Path = "results") -> list[Place]:
    """List all models that have a name, in the order in which a name is looked up.

    Parameters
    ----------
    results
        Folder above all results; one that is relative lies in the checkout.
    """
    return [place for origin in ORIGINS for place in _of_origin(origin, config.home() / results)]


def _of_origin(origin: str, base: Path) -> Iterator[Place]:
    """Yield the models of one origin by their names."""
    if origin == "fetched":
        root = hub.fetched_home()
        for path in sorted(root.glob(f"*/*/{run_folder.CONFIG}")):
            yield Place(f"{hub.PREFIX}{path.parent.relative_to(root)}", origin, path.parent)
        return
    if origin == "shipped":
        found = WEIGHTS.glob(f"*/{run_folder.CONFIG}")
    else:
        kinds = ("checkpoints", "classifier")
        found = [p for kind in kinds for p in base.glob(f"{origin}/*/{kind}/*/{run_folder.CONFIG}")]
    for path in sorted(found):
        yield Place(path.parent.name, origin, path.parent)


def find(spec: str | Path, results: str | Path = "results") -> Path:
    """Return the folder of a model.

    Parameters
    ----------
    spec
        The folder itself; a name, such as ``waveform-64``, looked up in the order of `ORIGINS`; or
        ``hub:OWNER/NAME``, which is fetched where it is not there yet.
    results
        As in `places`.

    Raises
    ------
    CheckpointError
        If there is no such model, or it cannot be fetched; the message says why.
    """
    if str(spec).startswith(hub.PREFIX):
        return hub.pull(str(spec))
    if Path(spec).is_dir():
        return Path(spec)
    for place in places(results):
        if place.name == str(spec):
            return place.folder
    raise CheckpointError(
        f"{str(spec)!r} is neither a folder nor a model trained below {config.home() / results}, "
        f"and none that comes with the package; train one with: {run_folder.command(str(spec))}"
    )


def open_run(folder: Path) -> tuple[Study, Run]:
    """Read a model's folder as the study and the run that a training would give.

    Parameters
    ----------
    folder
        What `run_folder.write_model` filled; nothing beside its two files is needed.

    Returns
    -------
    Study
        With the rate, the window and the transform of the model.
    Run
        What was trained, with the figures that its folder states.

    Raises
    ------
    CheckpointError
        As `run_folder.read_config`.
    """
    about = run_folder.read_config(folder)
    name, study = about.get("experiment", folder.name), about.get("study", "")
    frames = {key: value for key, value in about["transform"].items() if key != "kind"}
    row = Experiment(
        name=name,
        study=study,
        key=name,
        model=about["model"],
        options=about["options"],
        about=about.get("about", ""),
    )
    plan = studies.STUDIES.get(study) or _nameless(study)
    plan = replace(
        plan,
        input=about["transform"]["kind"],
        frames=frames,
        sr=about["sr"],
        window_s=about["window_s"],
    )
    metrics, curves = about.get("figures", {}), pd.DataFrame()
    return plan, Run(
        experiment=row, folder=Path(folder), metrics=metrics, curves=curves, status="reused"
    )


def _nameless(study: str) -> Study:
    """Return a study for a model that belongs to none of ours."""
    return Study(name=study, title="", question="", source="", demo=(), real=(), window_s=1.0)


def workspace(folder: Path) -> Workspace | None:
    """Return the results that a model was trained in; None where it lies elsewhere."""
    folder = Path(folder).resolve()
    if len(folder.parents) < 4:
        return None
    kind, study, base = folder.parents[:3]
    inside = kind.name in ("checkpoints", "classifier") and study.name in studies.STUDIES
    if not inside or base.name not in config.PROFILES:
        return None
    return Workspace(profile=base.name, study=study.name, results=str(base.parent))


def table(results: str | Path = "results") -> pd.DataFrame:
    """List all models with what one chooses by.

    Parameters
    ----------
    results
        As in `places`.

    Returns
    -------
    DataFrame
        One row per model: name, origin, mb (of the weights), data, figure, licence, folder; empty
        where a folder says nothing of it, the reason in `figure` where one cannot be read.
    """
    columns = ["name", "origin", "mb", "data", "figure", "licence", "folder"]
    return pd.DataFrame([_row(place) for place in places(results)], columns=columns)


def _row(place: Place) -> dict:
    """Return what one model is chosen by."""
    row = {"name": place.name, "origin": place.origin, "folder": place.folder}
    try:
        about = run_folder.read_config(place.folder)
    except CheckpointError as error:
        return row | {"mb": 0.0, "data": "", "figure": str(error), "licence": ""}
    size = (place.folder / run_folder.WEIGHTS).stat().st_size
    plan = studies.STUDIES.get(about.get("study", ""))
    demo = place.origin in ("demo", "tiny")
    trained_on = (plan.demo if demo else plan.real) if plan else ()
    card = about.get("card", {})
    return row | {
        "mb": round(size / 1e6, 2),
        "data": card.get("short_data", "+".join(trained_on)),
        "figure": shown(about.get("figures", {})),
        "licence": card.get("data_licence", "MIT" if demo else ""),
    }


def shown(figures: dict) -> str:
    """Return the figure on held-out recordings as text, with its interval where it has one."""
    for key in ("test_accuracy", "test_knn", "test_mse"):
        if key in figures:
            bounds = [figures.get(f"{key}_{end}") for end in ("low", "high")]
            interval = f" [{bounds[0]:.3g}, {bounds[1]:.3g}]" if None not in bounds else ""
            return f"{key} {figures[key]:.3g}{interval}"
    return ""
