"""A map of a folder of one's own music, with nothing trained."""

import hashlib
import warnings
from pathlib import Path

import numpy as np
import pandas as pd

from musiclatent import config
from musiclatent.data import cache, corpus
from musiclatent.display import map_layout, map_page
from musiclatent.display.map_layout import MapLayout
from musiclatent.latents import comparison

SECTION_S = 15.0  # as in the study of dance music
FEWEST = 4  # sections that make a map


def lay_out(
    music: Path,
    model: str = "",
    *,
    projection: str = "umap",
    results: str | Path = "results",
    work: Path | None = None,
) -> tuple[MapLayout, pd.DataFrame]:
    """Lay out the sections of a folder of music on a plane.

    Parameters
    ----------
    music
        Searched with all that lies in it; no labels are needed.
    model
        By what sections are compared, see `comparison.representation`; empty takes what measured
        best untrained.
    projection
        ``umap``, ``pca`` or ``tsne``.
    results
        Folder above all results.
    work
        Where numbers are kept, so that the next map of the folder need not decode it again; the
        user's cache unless given.

    Returns
    -------
    MapLayout
        One row per section of `SECTION_S` that is not silent.
    DataFrame
        Files set aside: path, reason.

    Raises
    ------
    CorpusError
        If the folder is missing, holds no audio, or none that can be read.
    ValueError
        If there are fewer than `FEWEST` sections, or as in `comparison.representation`.
    """
    measure, compare = comparison.sections(model, SECTION_S, results)
    work = (work or config.cache_home() / "maps") / _name(music)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that few recordings cannot be split
        index = corpus.load(str(music), root=config.data_root(), work=work, n_jobs=2)
    cached = cache.build(index.items, measure, folder=cache.folder_of(work, measure), n_jobs=2)
    audible = ~cached.items["silent"].to_numpy(bool)
    if audible.sum() < FEWEST:
        raise ValueError(
            f"{music}: with sound in sections of {SECTION_S:g} s: {audible.sum()}, too few for a "
            f"map; add music, {FEWEST} sections or more"
        )
    items = cached.items[audible].reset_index(drop=True).drop(columns=["row", "key", "silent"])
    vectors = compare.compared(np.asarray(cached.x[audible], np.float64))
    items = items.drop(columns=["label", "split"]).assign(folder=_folders(items["item_id"], music))
    layout = map_layout.lay_out_vectors(vectors, items, projection)
    return layout, pd.concat([index.quarantine, cached.quarantine], ignore_index=True)


def _name(music: Path) -> str:
    """Return the name under which the numbers of a folder are kept."""
    place = str(music.resolve())
    return f"{music.name}-{hashlib.sha256(place.encode(errors='surrogatepass')).hexdigest()[:8]}"


def _folders(names: pd.Series, music: Path) -> pd.Series:
    """Return the folder that each file lies in, by which points can be coloured."""
    return names.map(lambda name: str(Path(name).parent)).replace(".", music.resolve().name)


def write_page(layout: MapLayout, page: Path, title: str) -> Path:
    """Write a map as one html page that plays what is clicked.

    Parameters
    ----------
    layout
        From `lay_out`.
    page
        The html file.
    title
        Heading.

    Returns
    -------
    Path
        The file.
    """
    return map_page.write_page_of_items(
        page,
        layout.plane.points,
        items=layout.items,
        sr=config.SR,
        title=title,
        near=map_page.neighbours_of_rows(layout.vectors, layout.items),
        columns=layout.columns,
    )
