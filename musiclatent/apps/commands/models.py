"""List, export and share models, put trained ones into the package, and find what others take."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from musiclatent import config, files
from musiclatent.studies import STUDIES

if TYPE_CHECKING:
    from musiclatent.config import Study
    from musiclatent.training.run_folder import Run

# What each command takes where no model is named: what measured best for it, see docs/results.md.
ENCODES, CLASSIFIES, SAYS = "waveform-deep", "genre-joint", "digits-vae"


def open_model(spec: str, results: str) -> "tuple[Study, Run]":
    """Open a model of ours by its name, its folder or its name on a hub."""
    from musiclatent.latents import shipped  # torch takes seconds

    return shipped.open_run(shipped.find(spec, results))


def trained(spec: str, *, profile: str, corpus: str, results: str) -> str:
    """Return where `reproduce` left a model, of a profile or of a folder of one's own music.

    Parameters
    ----------
    spec
        Its name; empty for that of study waveform.
    profile, corpus
        As they were given to `reproduce`; where both are empty, the model is returned as named.
    results
        Folder of all results.

    Raises
    ------
    ValueError
        If no study trains a model of this name, or there is no such profile.
    """
    if not profile and not corpus:
        return spec
    plans = {name: plan for plan in STUDIES.values() for name in plan.experiments}
    name = spec or STUDIES["waveform"].chosen
    plan = files.pick(plans, name, "model of ours")
    profile = config.profile(profile or "demo").name
    space = config.Workspace(profile=profile, study=plan.name, corpus=corpus, results=results)
    return str(space.path("checkpoints", name))


def list(arguments: argparse.Namespace) -> None:
    """List the models that there are, in the order in which a name is looked up."""
    from musiclatent.latents import shipped

    table = shipped.table(arguments.results)
    if table.empty:
        raise ValueError("there are no models; train some with: make reproduce")
    print(table.drop(columns="folder").to_string(index=False))


def export(arguments: argparse.Namespace) -> None:
    """Copy a model as a folder of its own."""
    from musiclatent.latents import hub, shipped

    print(hub.export(shipped.find(arguments.model, arguments.results), arguments.out))


def push(arguments: argparse.Namespace) -> None:
    """Send a model to a hub."""
    from musiclatent.latents import hub, shipped

    folder = shipped.find(arguments.model, arguments.results)
    print(hub.push(folder, arguments.to, private=arguments.private))


def pull(arguments: argparse.Namespace) -> None:
    """Fetch a model from a hub, anew where it is there already."""
    from musiclatent.latents import hub

    print(hub.pull(arguments.model, again=True))


def ship(arguments: argparse.Namespace) -> None:
    """Put the models that were trained on real music into the package."""
    from musiclatent.apps import shipping
    from musiclatent.latents import shipped

    names = arguments.names or [*shipped.CARDS]
    target = config.home() / "musiclatent" / "weights"
    written, missing = shipping.ship(names, results=arguments.results, target=target)
    for folder in written:
        size = sum(path.stat().st_size for path in folder.iterdir()) / 1e6
        print(f"{folder}: {size:.2f} MB")
    for name, command in missing.items():
        print(f"{name} is not trained on real music yet; train it with: {command}", file=sys.stderr)


def names_a_plugin(spec: str) -> bool:
    """Return whether a model is the class of another package, ``MODULE:CLASS``."""
    return ":" in spec and not spec.startswith("hub:") and not Path(spec).exists()
