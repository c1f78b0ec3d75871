"""Ask an independent recogniser whether spoken digits are understood through waveform models."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from musiclatent import audio, config, files, studies
from musiclatent.analysis import statistics
from musiclatent.audio.windows import Transform
from musiclatent.config import Workspace
from musiclatent.data.datamodules import CorpusDataModule
from musiclatent.evaluation import recognisers
from musiclatent.evaluation.recognisers import Recogniser
from musiclatent.latents import decode
from musiclatent.training.run_folder import Run

ORIGINAL = "original"


def digits(space: Workspace) -> tuple[Recogniser, pd.DataFrame]:
    """Return the recogniser of the study ``digits``, trained where it is missing, and its test.

    Parameters
    ----------
    space
        Results of any study of the profile; the recogniser is kept there if ``digits`` never ran.

    Returns
    -------
    recogniser
        From audio, as notebook 31 trains it: of training recordings alone.
    items
        Held-out recordings, with their path and label.
    """
    there = (space.base / "digits").is_dir()  # else the report would show a study that never ran
    plan = studies.study("digits", space.profile)
    space = replace(space, study="digits" if there else f"{space.study}/digits")
    data = CorpusDataModule.of_study(plan, space)
    epochs = config.profile(space.profile).epochs["judge"]
    train = data.spectrograms("train")
    recogniser = recognisers.from_audio(train, space.path("judges"), epochs=epochs)
    return recogniser, data.spectrograms("test").items


def recognise_rebuilt(
    runs: Mapping[str, Run],
    paths: Sequence[str | Path],
    labels: Sequence[str],
    *,
    recogniser: Recogniser,
    transform: Transform,
    folder: Path,
) -> pd.DataFrame:
    """Send recordings through models, and report which are still recognised.

    Parameters
    ----------
    runs
        Name -> trained waveform model.
    paths
        Recordings of one spoken digit each, of any rate: they are resampled to the models'.
    labels
        What is said in each.
    recogniser
        From audio; it was trained on other recordings, and on nothing that a model made.
    transform
        What the models take.
    folder
        Where ``NAME/0000.wav`` and so on are written, which it recognises.

    Returns
    -------
    DataFrame
        One row per recording: bool, whether it was recognised as it is (``original``) and through
        each model.

    Raises
    ------
    ValueError
        If there is no recording, or not one label for each.
    AudioError
        If a recording cannot be read.
    """
    if not len(paths) or len(paths) != len(labels):
        raise ValueError(f"{len(paths)} recordings and {len(labels)} labels; give one for each")
    labels = np.asarray(labels, str)
    right = {ORIGINAL: recogniser.predict_files(paths) == labels}
    for name, run in runs.items():
        rebuilt = _rebuild(run, paths, transform, folder / name)
        right[name] = recogniser.predict_files(rebuilt) == labels
    return pd.DataFrame(right)


def understood(right: pd.DataFrame, prefix: str = "digits_understood") -> dict[str, float]:
    """Return the shares that were recognised, and how far a model's is from the originals'.

    Parameters
    ----------
    right
        As `recognise_rebuilt` returns it.
    prefix
        Beginning of the keys.

    Returns
    -------
    dict
        PREFIX_NAME with ``_low`` and ``_high``, Wilson's 95 % interval over the recordings; of each
        model also PREFIX_NAME_less_original, see `recognisers.compare`; PREFIX_recordings, how
        many there are.
    """
    metrics: dict[str, float] = {f"{prefix}_recordings": len(right)}
    for name, hits in right.items():
        low, high = statistics.wilson(hits.mean(), len(hits))
        key = f"{prefix}_{name}"
        metrics |= {key: float(hits.mean()), f"{key}_low": low, f"{key}_high": high}
        if name != ORIGINAL:
            pair = hits.to_numpy(), right[ORIGINAL].to_numpy()
            metrics |= recognisers.compare(*pair, f"{key}_less_original")
    return metrics


def _rebuild(
    run: Run, paths: Sequence[str | Path], transform: Transform, folder: Path
) -> list[Path]:
    """Write each recording as a model rebuilds it; return the files."""
    folder.mkdir(parents=True, exist_ok=True)
    model, rebuilt = run.load(), []
    for i, path in enumerate(files.progress(paths, f"rebuild {folder.name}", "file", delay=2)):
        blocks = decode.rebuild(model, path, transform=transform)
        rebuilt.append(audio.write_blocks(folder / f"{i:04d}.wav", blocks, transform.sr))
    return rebuilt
