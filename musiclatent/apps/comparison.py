"""Write what a comparison of encoders found: a page, tables, pictures, maps, result files."""

import base64
import math
from collections.abc import Mapping
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from musiclatent import audio
from musiclatent.analysis import projection
from musiclatent.config import SR
from musiclatent.display import map_html, map_page, style
from musiclatent.display.comparison import linked_maps, pictures
from musiclatent.display.comparison.linked_maps import Side
from musiclatent.evaluation.comparison import judged, report, robustness
from musiclatent.evaluation.comparison.compare import Comparison
from musiclatent.files import write_file

MAIN = (  # figures of the first picture, of those that there are
    "artist_map",
    "genre_probe",
    "label_probe",
    "excerpt_probe",
    "version_map",
    "speech_probe",
    "digit_probe",
    "speaker_probe",
    "found_copies",
)
COLOURS = ("label", "artist", "album")  # of the maps, those that are known
PAGE = "comparison.html"
MAPS = "maps.html"


def write(comparison: Comparison, out: Path, store: Path) -> Path:
    """Write everything that a comparison found into a folder.

    Parameters
    ----------
    comparison
        What was found.
    out
        Gets ``comparison.html``, ``table.csv``, ``differences.csv``, ``agreement.csv``,
        ``maps.html`` (of the first two encoders), ``figures/*.png`` and ``results`` in the form of
        MTEB's result files.
    store
        Keeps sounds of the maps.

    Returns
    -------
    Path
        The page.
    """
    table = comparison.table()
    steps = judged.differences(comparison.judged, comparison.baseline)
    tables = {"table": table, "differences": steps.set_index("key"), "agreement": comparison.shared}
    for name, part in tables.items():
        write_file(out / f"{name}.csv", part.to_csv())
    report.write_results(out / "results", comparison.judged, comparison.about)
    drawn = draw(comparison, table)
    (out / "figures").mkdir(parents=True, exist_ok=True)
    for name, figure in drawn.items():
        style.save_figure(figure, out / "figures" / f"{name}.png")
    maps = write_maps(comparison, out / MAPS, store) if len(comparison.measured) > 1 else None
    return write_file(out / PAGE, _page(comparison, table, out, list(drawn), maps))


def draw(comparison: Comparison, table: pd.DataFrame) -> dict[str, Figure]:
    """Draw the pictures of a comparison, those for which there are figures.

    Parameters
    ----------
    comparison
        What was found.
    table
        Its table.

    Returns
    -------
    dict
        Name -> figure.
    """
    kept = pictures.kept_table(table)
    drawn: dict[str, Figure | None] = {
        "uses": pictures.intervals(table, MAIN),
        "moved": pictures.factors(table, "moved"),
        "alike": pictures.factors(table, "alike"),
        "damage": pictures.damage(kept, "neighbours kept") if len(kept) else None,
        "damage_probe": None,
        "cka": pictures.matrix(comparison.cka, "linear CKA"),
        "shared": pictures.matrix(comparison.shared, "share of the ten nearest that both name"),
    }
    if len(comparison.damage):
        drawn["damage_probe"] = pictures.damage(comparison.damage, "accuracy of a probe")
    main = next((key for key in MAIN if key in table), "")
    if main and "speed" in table:
        drawn["cost"] = pictures.costs(table, main)
    return {name: figure for name, figure in drawn.items() if figure is not None}


def sides(comparison: Comparison, names: list[str]) -> tuple[Side, Side]:
    """Place the music by two encoders, by principal components.

    Parameters
    ----------
    comparison
        What was found.
    names
        Two encoders.
    """
    left, right = (
        Side(name=name, points=projection.pca(z).points, z=z)
        for name, z in ((name, comparison.measured[name].scaled()) for name in names)
    )
    return left, right


def map_items(music: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of a map: of each file the seconds in its middle.

    Parameters
    ----------
    music
        path and title; label and group where they are known.
    """
    seconds = music["path"].map(lambda path: audio.info(path).seconds).to_numpy(float)
    length = robustness.EXCERPT_S
    starts = pd.Series((seconds - length) / 2).clip(lower=0).fillna(0.0).round(3)
    ends = (starts + length).where(~(seconds < length), seconds)
    return music.assign(item_id=music["title"], start_s=starts, end_s=ends)


def write_maps(comparison: Comparison, path: Path, store: Path) -> Path:
    """Write a page of two linked maps, of the first two encoders.

    Parameters
    ----------
    comparison
        What was found.
    path
        The html file.
    store
        Keeps sounds.
    """
    items = map_items(comparison.music)
    sounds = map_page.segments(items, SR, store / "sounds")
    left, right = sides(comparison, list(comparison.measured)[:2])
    options = {"title": "Encoders compared", "columns": COLOURS}
    return linked_maps.write_page(path, left, right, items=items, sounds=sounds, **options)


def _page(
    comparison: Comparison, table: pd.DataFrame, out: Path, drawn: list[str], maps: Path | None
) -> str:
    """Fill in the page."""
    short = report.short_table(table)
    figures = [(name, out / "figures" / f"{name}.png") for name in drawn]
    pooling = {str(about.get("pooling", "as brought")) for about in comparison.about.values()}
    return map_html.render(
        "comparison.html.j2",
        files=len(comparison.music),
        pooling=", ".join(sorted(pooling)),
        beside=maps.name if maps else "",
        sentences=report.sentences(comparison.judged, comparison.baseline),
        skipped=comparison.skipped,
        columns=[name.replace("_", " ") for name in short],
        rows=[
            _row(name, table.loc[name], list(short), comparison.about[name]) for name in short.index
        ],
        pictures=[
            {"title": name, "data": base64.b64encode(path.read_bytes()).decode()}
            for name, path in figures
        ],
        quarantine=comparison.quarantine.to_dict("records"),
    )


def _row(name: str, row: pd.Series, columns: list[str], about: Mapping[str, str]) -> dict:
    """Return the cells of an encoder."""
    cells = []
    for column in columns:
        low, high = (row.get(f"{column}_{end}", math.nan) for end in ("low", "high"))
        bounds = "" if math.isnan(low) else f"{low:.2f} to {high:.2f}"
        value = "" if math.isnan(row[column]) else f"{row[column]:.4g}"
        cells.append({"value": value, "bounds": bounds})
    return {
        "name": name,
        "cells": cells,
        "licence": about.get("licence", ""),
        "note": about.get("note", ""),
    }
