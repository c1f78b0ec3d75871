"""Name the genre of any file, section by section along its length."""

from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from musiclatent import audio
from musiclatent.audio import windows
from musiclatent.config import Study
from musiclatent.data import datamodules, shards
from musiclatent.display import genre, style
from musiclatent.errors import AudioError
from musiclatent.evaluation.genre_networks import Classifier
from musiclatent.files import progress, unique_names, write_file

BATCH = 64  # sections at once
SHOWN_S = 3600.0  # longest waveform that a picture shows


def section_probabilities(network: Classifier, study: Study, file: Path) -> pd.DataFrame:
    """Return the probability of each genre in every section of a file.

    Parameters
    ----------
    network
        A trained network.
    study
        The study, which knows the rate and the length of a section.
    file
        Audio file of any format, rate and length.

    Returns
    -------
    DataFrame
        One row per section of `study.window_s` seconds, by `start_s`; one column per genre, rows
        of sum 1. Silent sections have NaN: nothing can be said of them.

    Raises
    ------
    AudioError
        If the file cannot be read.
    """
    transform, parts = datamodules.transform(study), []
    sections = windows.windows(file, study.sr, study.window_s)
    while batch := list(islice(sections, BATCH)):
        starts = [start for start, _ in batch]
        ys = [windows.centred(y, study.sr) for _, y in batch]
        audible = np.array([np.abs(y).max() >= shards.SILENT for y in ys])
        probabilities = np.full((len(ys), len(network.classes)), np.nan)
        if audible.any():
            x = np.stack([transform(ys[i]) for i in np.flatnonzero(audible)])
            probabilities[audible] = network.probabilities(transform.model_input(x))
        index = pd.Index(starts, name="start_s")
        parts.append(pd.DataFrame(probabilities, index, list(network.classes)))
    return pd.concat(parts)


def classify_files(
    network: Classifier, study: Study, *, files: Sequence[Path], folder: Path
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Name the genre of files, and write for each a table and a picture of its sections.

    Parameters
    ----------
    network, study
        As in `section_probabilities`.
    files
        Audio files.
    folder
        Where everything goes: for each file ``NAME.csv`` (probabilities by section) and
        ``NAME.png``; and both tables as ``files.csv`` and ``quarantine.csv``.

    Returns
    -------
    files : DataFrame
        One row per file: name, path, seconds, sections, genre (highest mean probability),
        probability, second (the runner-up), second_probability, steady (share of sections whose
        best genre is that of the file). A file of silence has the genre ``""``.
    quarantine : DataFrame
        Files set aside: path, reason.

    Raises
    ------
    ValueError
        If there are no files, or none can be read.
    """
    files = list(dict.fromkeys(Path(file).absolute() for file in files))
    if not files:
        raise ValueError("there are no files to classify; name one or more")
    folder.mkdir(parents=True, exist_ok=True)
    taken = [folder / "files", folder / "quarantine"]  # the tables of all files keep their names
    names, rows, reasons = unique_names([*taken, *files], folder, (".csv", ".png")), [], {}
    for file in progress(files, "classify", "file"):
        try:
            probabilities = section_probabilities(network, study, file)
        except AudioError as error:
            reasons[str(file)] = error.advice
            continue
        name = names[file]
        write_file(folder / f"{name}.csv", probabilities.to_csv())
        rows.append({"name": name, "path": str(file)} | _summarise(probabilities, file))
        _draw(probabilities, file, study, rows[-1], folder / f"{name}.png")
    quarantine = pd.DataFrame(reasons.items(), columns=["path", "reason"])
    if not rows:
        first, reason = next(iter(reasons.items()))
        raise ValueError(
            f"none of the {len(files)} files can be read; the first, {first!r}: {reason}"
        )
    write_file(folder / "quarantine.csv", quarantine.to_csv(index=False))
    table = pd.DataFrame(rows)
    write_file(folder / "files.csv", table.to_csv(index=False))
    return table, quarantine


def _summarise(probabilities: pd.DataFrame, file: Path) -> dict:
    """Return the row of a file from its sections."""
    audible = probabilities.dropna()
    first, second, stability = ("", np.nan), ("", np.nan), np.nan
    if len(audible):
        first, second = audible.mean().sort_values(ascending=False).iloc[:2].items()
        stability = float((audible.idxmax(axis=1) == first[0]).mean())
    return {
        "seconds": round(audio.info(file).seconds, 1),
        "sections": len(probabilities),
        "genre": first[0],
        "probability": first[1],
        "second": second[0],
        "second_probability": second[1],
        "steady": stability,
    }


def _draw(probabilities: pd.DataFrame, file: Path, study: Study, row: dict, path: Path) -> None:
    """Draw the sections of a file under its waveform."""
    y = audio.read(file, study.sr, duration_s=SHOWN_S)[0] if row["seconds"] <= SHOWN_S else None
    answer = f"{row['genre']} ({row['probability']:.0%})" if row["genre"] else "silence"
    figure = genre.timeline(probabilities, f"{answer}: {file.name}", y=y, sr=study.sr)
    plt.close(style.save_figure(figure, path))
