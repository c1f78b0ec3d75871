"""Train with few labels and nothing else: what unlabelled windows beside them are worth."""

from collections.abc import Sequence
from dataclasses import replace

import pandas as pd

from musiclatent import config
from musiclatent.analysis import statistics
from musiclatent.config import Experiment, Study, Workspace
from musiclatent.data.datamodules import CorpusDataModule
from musiclatent.evaluation import cross_validation, leakage
from musiclatent.latents import encode
from musiclatent.latents.store import Latents
from musiclatent.training import fit

LEFT_OUT = "left out"  # part of a window that is in no split


def leave_unlabelled_out(data: CorpusDataModule, labelled: float) -> None:
    """Take the windows out of the training part whose label is unknown at a share of the labels.

    Parameters
    ----------
    data
        Windows; all labels that are left in its training part are known from then on.
    labelled
        Share of the training windows whose label is known, as in `CorpusDataModule`.
    """
    data.labelled = labelled
    data.setup()
    items = data.cached.items
    hidden = items["split"].eq("train") & (data.targets() < 0)
    kept = items.assign(split=items["split"].mask(hidden, LEFT_OUT))
    data.cached, data.labelled = replace(data.cached, items=kept), 1.0


def train_alone(
    experiment: Experiment, study: Study, *, space: Workspace, split: str, labelled: float
) -> Latents:
    """Train on the labelled windows alone, for as many steps as with all, and encode the corpus.

    Parameters
    ----------
    experiment, study, space, split, labelled
        As in `cross_validation.train_on_split`.

    Returns
    -------
    Latents
        Of every window.
    """
    data = CorpusDataModule.of_study(study, space, split=split)
    data.setup()
    everything = len(data.rows("train"))
    leave_unlabelled_out(data, labelled)
    epochs = experiment.training.epochs(config.profile(space.profile), f"{study.name}-folds")
    epochs = round(epochs * everything / len(data.rows("train")))
    name = f"{experiment.name}-{split}-{labelled:.0%}-alone"
    seed = int(split.rpartition("-")[2])
    run = fit.train_experiment(
        experiment, data, folder=space.path("folds", name), epochs=epochs, seed=seed
    )
    return encode.encode_corpus(run, data, space.path("folds", name, "latents"))


def compare(
    experiment: Experiment,
    study: Study,
    *,
    space: Workspace,
    splits: Sequence[str],
    shares: Sequence[float] = (0.1, 0.5),
) -> pd.DataFrame:
    """Compare a training on few labels and all windows with one on these labels' windows alone.

    Parameters
    ----------
    experiment, study, space, splits
        As in `cross_validation.evaluate_splits`.
    shares
        Shares of the labels that both know.

    Returns
    -------
    DataFrame
        By share: `alone`, the accuracy of neighbours without unlabelled windows, with `low` and
        `high`; and `difference`, by how much more often the training with them is right, with
        `difference_low`, `difference_high` and `difference_p`, over recordings.
    """
    rows = {}
    for share in shares:
        alone = pd.concat(
            cross_validation.neighbour_predictions(
                train_alone(experiment, study, space=space, split=split, labelled=share)
            )
            for split in splits
        )
        _, said = cross_validation.evaluate_splits(
            [experiment], study, space=space, splits=splits, labelled=share
        )
        rows[share] = _beside(said[experiment.name], alone)
    return pd.DataFrame(rows).T


def _beside(both: pd.DataFrame, alone: pd.DataFrame) -> dict[str, float]:
    """Return the figures of one share: what was said with all windows, and with some alone."""
    key = leakage.WINDOW[:2]
    both, alone = (part.set_index(key).sort_index() for part in (both, alone))
    right = [part["predicted"] == part["label"] for part in (both, alone)]
    one = statistics.mean(right[1], alone["group"])
    gain = statistics.paired(right[0], right[1], alone["group"])
    return {"alone": one.estimate, "low": one.low, "high": one.high} | gain.named("difference")
