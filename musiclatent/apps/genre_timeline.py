"""Name the genre of any file, section by section along its length."""

from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from musiclatent import audio
from musiclatent.audio.windows import windows
from musiclatent.config import Study
from musiclatent.data.datamodules import transform
from musiclatent.data.shards import SILENT
from musiclatent.display import genre, style
from musiclatent.errors import AudioError
from musiclatent.evaluation.genre_networks import Classifier
from musiclatent.files import progress, unique_names, write_file

BATCH = 64  # sections at once
SHOWN_S = 3600.0  # longest waveform that a picture shows


def section_probabilities(network: Classifier, study: Study, file: Path) -> pd.DataFrame:
    """Tell the probability of each genre in every section of a file.

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
        One row a section of `study.window_s` seconds, by `start_s`; one column a genre, rows of sum
        1. Silent sections have NaN: nothing can be said of them.

    Raises
    ------
    AudioError
        If the file cannot be read.
    """
    way, parts = transform(study), []
    cut = windows(file, study.sr, study.window_s)
    while batch := list(islice(cut, BATCH)):
        starts, ys = zip(*batch, strict=True)
        heard = np.array([np.abs(y).max() >= SILENT for y in ys])
        found = np.full((len(ys), len(network.classes)), np.nan)
        if heard.any():
            x = np.stack([way(y) for y, one in zip(ys, heard, strict=True) if one])
            found[heard] = network.probabilities(way.model_input(x))
        index = pd.Index(starts, name="start_s")
        parts.append(pd.DataFrame(found, index, list(network.classes)))
    return pd.concat(parts)


def classify_files(
    network: Classifier, study: Study, files: Sequence[Path], folder: Path
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Name the genre of files, and write for each a table and a picture of its sections.

    Parameters
    ----------
    network, study
        As in `sections`.
    files
        Audio files.
    folder
        Where everything goes: for each file ``NAME.csv`` (probabilities by section) and
        ``NAME.png``; and both tables as ``files.csv`` and ``quarantine.csv``.

    Returns
    -------
    files : DataFrame
        One row a file: name, path, seconds, sections, genre (highest mean probability),
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
            found = section_probabilities(network, study, file)
        except AudioError as error:
            reasons[str(file)] = error.advice
            continue
        base = folder / names[file]
        write_file(base.with_name(base.name + ".csv"), found.to_csv())
        rows.append({"name": base.name, "path": str(file)} | _summary(found, file))
        _picture(found, file, study, rows[-1], base.with_name(base.name + ".png"))
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


def _summary(found: pd.DataFrame, file: Path) -> dict:
    """Bring the sections of a file down to a line."""
    about = {"seconds": round(audio.info(file).seconds, 1), "sections": len(found)}
    heard = found.dropna()
    if heard.empty:
        nothing = {"genre": "", "probability": np.nan, "second": "", "second_probability": np.nan}
        return about | nothing | {"steady": np.nan}
    mean = heard.mean().sort_values(ascending=False)
    about |= {"genre": mean.index[0], "probability": mean.iloc[0]}
    about |= {"second": mean.index[1], "second_probability": mean.iloc[1]}
    return about | {"steady": float((heard.idxmax(axis=1) == mean.index[0]).mean())}


def _picture(found: pd.DataFrame, file: Path, study: Study, row: dict, path: Path) -> None:
    """Draw the sections of a file under its waveform."""
    y = audio.read(file, study.sr, duration_s=SHOWN_S)[0] if row["seconds"] <= SHOWN_S else None
    said = f"{row['genre']} ({row['probability']:.0%})" if row["genre"] else "silence"
    plt.close(style.save_figure(genre.timeline(found, f"{said}: {file.name}", y, study.sr), path))
