"""Put trained models into the package: in 16 bits, measured again, each with its card."""

import json
import shutil
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np
import torch

from musiclatent.analysis import neighbours, pooling, statistics
from musiclatent.analysis.statistics import Interval
from musiclatent.config import Study, Workspace
from musiclatent.data.datamodules import CorpusDataModule
from musiclatent.errors import CheckpointError
from musiclatent.evaluation import genre_networks
from musiclatent.files import pick, progress, write_file
from musiclatent.latents import class_sampler, encode, hub, shipped
from musiclatent.latents.shipped import CARDS
from musiclatent.models.base import LitModule
from musiclatent.models.vae import VAE
from musiclatent.training import run_folder
from musiclatent.training.run_folder import Run

MOVES = 0.002  # a figure that gets worse by less keeps its 16 bits; of an error, that share of it
MOST_MB = 25.0  # of all weights
COMPONENTS = 224  # kept of the 256 of a variational autoencoder: the rest makes its error no less


def ship(
    names: Iterable[str] = tuple(CARDS),
    *,
    target: Path,
    results: str | Path = "results",
    profile: str = "real",
) -> tuple[list[Path], dict[str, str]]:
    """Copy models that were trained on real music into a folder, with their cards.

    Parameters
    ----------
    names
        Of `shipped.CARDS`.
    target
        Where they go; a model that is there is replaced, as a whole.
    results
        Folder above all results.
    profile
        Which trained them; another than ``real`` is for tests.

    Returns
    -------
    list of Path
        The folders that were filled.
    dict
        Name -> how to train it, of those that are not there.

    Raises
    ------
    CheckpointError
        If a model cannot be read, or all together take more than `MOST_MB`.
    """
    cards = {name: pick(CARDS, name, "model") for name in names}
    written, missing = [], {}
    for name in progress(list(cards), "weights", "model"):
        space = Workspace(profile=profile, study=cards[name]["study"], results=str(results))
        folder = _trained(name, space)
        if not run_folder.has_ended(folder):
            missing[name] = f"{run_folder.command(name)} PROFILE=real"
            continue
        written.append(_ship(folder, space, target / name))
    size = sum(path.stat().st_size for path in target.glob("*/*")) / 1e6
    if size > MOST_MB:
        raise CheckpointError(f"{target} takes {size:.1f} MB, more than {MOST_MB:g}; ship fewer")
    return written, missing


def _trained(name: str, space: Workspace) -> Path:
    """Return where a study leaves a model."""
    kind = genre_networks.FINAL if space.study == "genre" else "checkpoints"
    return space.path(kind, name)


def _ship(folder: Path, space: Workspace, target: Path) -> Path:
    """Write one model with its card into a folder, whole or not at all."""
    target.parent.mkdir(parents=True, exist_ok=True)
    before = measure(folder, space)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".shipping-") as scratch:
        whole = Path(scratch) / target.name
        bits, after = _write(folder, whole, space, before)
        plan, run = shipped.open_run(whole)
        if isinstance(run.load(), VAE):
            _add_sampler(run, plan, space)
        _describe(folder, whole, space, bits=bits, figures=(before, after))
        shutil.rmtree(target, ignore_errors=True)
        hub.export(whole, target)
    return target


def _write(folder: Path, whole: Path, space: Workspace, before: Interval) -> tuple[int, Interval]:
    """Write a model in 16 bits where that keeps its figure, else in 32; return bits and figure."""
    for bits, smaller in ((16, _in_16_bits), (32, lambda model: model)):
        model = smaller(run_folder.load_model(folder))
        about = run_folder.read_config(folder)
        kept = ("study", "experiment", "about", "labels", "temperature", "data")
        about = {name: about[name] for name in kept if name in about}
        run_folder.write_model(whole, model, transform=run_folder.read_transform(folder), **about)
        after = measure(whole, space)
        if _worse(before, after, space.study) < MOVES:
            return bits, after
    raise CheckpointError(f"{folder} has another figure when it is read again; train it anew")


def _in_16_bits(model: LitModule) -> LitModule:
    """Return a model with halved weights, and a variational one with fewer components."""
    if isinstance(model, VAE) and model.hparams.components > COMPONENTS:
        model = fewer_components(model, COMPONENTS)
    return model.half()


@torch.no_grad()
def fewer_components(model: VAE, rank: int) -> VAE:
    """Return a variational autoencoder without its last principal components.

    Parameters
    ----------
    model
        With more components.
    rank
        How many are kept, as many as latent dimensions or more.
    """
    smaller = type(model)(**dict(model.hparams) | {"components": rank})
    weights = model.state_dict()
    for name, value in smaller.state_dict().items():
        part = tuple(slice(n) for n in value.shape)
        weights[name] = weights[name][part]  # only axes of components are longer than wanted
    smaller.load_state_dict(weights)
    return smaller.eval()


def _worse(before: Interval, after: Interval, study: str) -> float:
    """Return by how much a figure got worse; an error, as a share of it."""
    if study in ("waveform", "digits"):
        return after.estimate / before.estimate - 1
    return before.estimate - after.estimate


def _add_sampler(run: Run, plan: Study, space: Workspace) -> None:
    """Write beside a model what draws sounds of its classes."""
    data = CorpusDataModule.of_study(plan, space)
    with tempfile.TemporaryDirectory() as scratch:
        sampler = class_sampler.class_sampler(run, data, Path(scratch))
        class_sampler.write_sampler(sampler, run.folder)


def measure(folder: Path, space: Workspace) -> Interval:
    """Compute the figure of a model on held-out recordings.

    Parameters
    ----------
    folder
        The model's.
    space
        Results of its study in the profile ``real``, where caches go.

    Returns
    -------
    Interval
        Of what `shipped.CARDS` names for its study: ``test_mse`` (mean squared error), ``test_knn``
        (genre by the ten nearest training windows) or ``test_accuracy`` (genre of an excerpt); over
        recordings of the test part.
    """
    plan, run = shipped.open_run(folder)
    key = next(card["figure"] for card in CARDS.values() if card["study"] == space.study)
    values, units = FIGURES[key](run, plan, space)
    return statistics.mean(values, units)


Rows = tuple[np.ndarray, np.ndarray]  # a value and a recording of each judged window


@torch.no_grad()
def _errors(run: Run, plan: Study, space: Workspace) -> Rows:
    """Return the squared error of every test window."""
    data = CorpusDataModule.of_study(plan, space)
    data.setup()
    model = encode.load_model(run)
    parts = [
        model.measure(x.to(model.device), model(x.to(model.device)).x_hat, False)["mse"]
        for x, *_ in progress(data.loader("test"), "measure", "batch", delay=5)
    ]
    return torch.cat(parts).cpu().numpy(), _groups(data, data.rows("test"))


def _groups(data: CorpusDataModule, rows: np.ndarray) -> np.ndarray:
    """Return the recordings that rows of the cache are of."""
    return data.cached.items.set_index("row").loc[rows, "group"].to_numpy()


@torch.no_grad()
def _by_neighbours(run: Run, plan: Study, space: Workspace) -> Rows:
    """Return whether the nearest training windows give each test window its genre."""
    data = CorpusDataModule.of_study(plan, space)
    data.setup()
    model, pooled = encode.load_model(run), pooling.WINDOW_POOLING[plan.input]
    z, labels, rows = {}, {}, {}
    for split in ("train", "test"):
        batches = list(data.loader(split, audible=True))
        codes = torch.cat([codes for *_, codes in batches]).numpy()
        rows[split] = data.rows(split, audible=True)[codes >= 0]
        parts = [model.encode(x.to(model.device)).cpu().numpy() for x, *_ in batches]
        z[split], labels[split] = pooled(np.concatenate(parts))[codes >= 0], codes[codes >= 0]
    z_train, z_test = neighbours.standardise(z["train"], z["test"])
    votes = neighbours.predictions(
        z_train, labels["train"].astype(str), z_test=z_test, k=neighbours.K
    )
    return (votes == labels["test"].astype(str)).astype(float), _groups(data, rows["test"])


def _right(run: Run, plan: Study, space: Workspace) -> Rows:
    """Return whether each test excerpt of the final classifier's split gets its genre."""
    data = genre_networks.load_excerpts(plan, space, "fold-0")
    network = genre_networks.read_classifier(run.folder)
    test = data.part("test")
    codes = network.probabilities(data.x[test], data.descriptors[test]).argmax(axis=1)
    right = np.array(network.classes)[codes] == data.labels[test]
    return right.astype(float), data.units(test)


FIGURES: dict[str, Callable[[Run, Study, Workspace], Rows]] = {
    "test_mse": _errors,
    "test_knn": _by_neighbours,
    "test_accuracy": _right,
}


def _describe(
    folder: Path,
    whole: Path,
    space: Workspace,
    *,
    bits: int,
    figures: tuple[Interval, Interval],
) -> None:
    """Write what a model's figure is into its config, and its card beside it."""
    (before, after), name = figures, folder.name
    card = CARDS[name] | {"bits": bits, "recordings": after.units}
    key = card["figure"]
    card |= {
        f"{key}_before": before.estimate,
        "command": f"{run_folder.command(name)} PROFILE=real",
    }
    run_folder.amend_config(whole, figures=after.named(key), card=card)
    write_file(whole / hub.CARD, card_text(name, run_folder.read_config(whole)))


def card_text(name: str, about: dict) -> str:
    """Return a model's card in the Hub's format.

    Parameters
    ----------
    name
        Of the model.
    about
        Its ``config.json``, with the entries ``card`` and ``figures``.
    """
    card, figures = about["card"], about["figures"]
    key = card["figure"]
    stated = card["data_licence"] != "none stated"
    header = [
        f"license: {'cc-by-sa-4.0' if stated else 'other'}",
        *([] if stated else ["license_name: none-stated-for-the-training-data"]),
        "library_name: musiclatent",
        "tags: [audio, music]",
        "model-index:",
        f"- name: {name}",
        "  results:",
        f"  - task: {{type: {_task(key)}}}",
        f"    dataset: {{name: {json.dumps(card['short_data'])}, type: audio}}",
        f"    metrics: [{{type: {key}, value: {figures[key]:.6g}}}]",
    ]
    interval = f"{figures[f'{key}_low']:.4g} to {figures[f'{key}_high']:.4g}"
    before = f"as it was trained, in 32, the figure is {card[f'{key}_before']:.6g}"
    bits = f"Kept in {card['bits']} bits; {before}."
    body = f"""
# {name}

{about.get("about", "")}

## Figure

`{key}` {figures[key]:.4g}, 95 % interval over {card["recordings"]} held-out recordings {interval}.
{bits}
It was trained with `{card["command"]}` on the training part of its data, not on all of it; the
figure is of the test part. `python -m pytest -m real tests/apps/test_shipping.py` computes it again
from these weights.

## Trained on

{card["data"]}
Licence of the data as stated: {card["data_licence"]}.

## For

{card["use"]}

## Not for

{card["limits"]}
"""
    return "---\n" + "\n".join(header) + "\n---\n" + body


def _task(key: str) -> str:
    """Name what a figure judges, in the Hub's words."""
    return "audio-classification" if key == "test_accuracy" else "feature-extraction"
