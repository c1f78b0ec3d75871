"""A collection of dance tracks as one table of sections: where notebooks and commands start."""

import json
import logging
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from musiclatent.analysis import clustering
from musiclatent.audio.windows import Grid, Measurement
from musiclatent.config import Study, Workspace
from musiclatent.data import cache, corpus
from musiclatent.data.cache import descriptor_table, values_of
from musiclatent.data.datamodules import CorpusDataModule
from musiclatent.edm import (
    mixdown,
    playlist_files,
    second_embeddings,
    section_views,
    selections,
    sequencing,
    versions,
)
from musiclatent.edm.mixdown import Mix
from musiclatent.edm.second_embeddings import SecondEmbeddings
from musiclatent.edm.sequencing import Route
from musiclatent.features import rhythm, structure
from musiclatent.features.descriptors import Clipping
from musiclatent.features.rhythm import Rhythm
from musiclatent.features.tonal import Harmony
from musiclatent.files import pick

log = logging.getLogger("musiclatent")
CLASSICAL = "classical"
LEAST_S = 1.5  # of a section: the networks take no less
FEWEST = 6  # sections that can be clustered
KINDS = ("central", "cluster", "border", "anomalies", "neighbours")


@dataclass(frozen=True)
class Collection:
    """Sections of a folder of tracks on a fixed grid.

    Parameters
    ----------
    study, space
        Whose corpora, and where the results go.
    items
        One row a track, with what its corpus knows of it.
    all_sections
        One row a section, silent ones and copies too: item_id, path, label, group (the tune),
        split, start_s, end_s, silent, attributes, clipped (share of samples).
    copies
        item_id of each track that holds the same samples as another -> item_id of that.
    quarantine
        Files set aside: path, reason.
    """

    study: Study
    space: Workspace
    items: pd.DataFrame
    all_sections: pd.DataFrame
    copies: dict[str, str]
    quarantine: pd.DataFrame

    @cached_property
    def usable(self) -> np.ndarray:
        """Which rows of `all_sections` are heard, `LEAST_S` long, and no copies (B,), bool."""
        rows = self.all_sections
        long = (rows["end_s"] - rows["start_s"]).to_numpy() >= LEAST_S
        copy = rows["item_id"].isin(self.copies).to_numpy()
        return ~rows["silent"].to_numpy(bool) & long & ~copy

    @cached_property
    def sections(self) -> pd.DataFrame:
        """The sections that are heard and no copies."""
        return self.all_sections[self.usable].reset_index(drop=True)

    @cached_property
    def positions(self) -> np.ndarray:
        """Place of each of `sections` in its track, from 0."""
        return Grid(self.study.sr, self.study.window_s).place(self.sections["start_s"]).to_numpy()

    @cached_property
    def not_quiet(self) -> pd.DataFrame:
        """The `sections` that are not quiet, with `structure.central_sections`; `row` is their place."""
        rows = structure.central_sections(self.sections)
        rows = rows.assign(row=np.arange(len(rows)))
        return rows[rows["role"] != "quiet"].reset_index(drop=True)

    def harmony(self) -> np.ndarray:
        """Pitch classes over time (B, 12, T) of `sections`, from the cache."""
        return values_of(_cached(self.study, self.space, Harmony), self.sections)

    def aligned(self) -> np.ndarray:
        """How the harmony of `sections` agrees (B, B), see `versions.align_harmony`."""
        return versions.align_harmony(self.harmony(), self.sections["item_id"], self.positions)

    def vectors(self, name: str) -> np.ndarray:
        """Return `sections` as numbers (B, D).

        Parameters
        ----------
        name
            ``classical``, 17 attributes standardised over the loud sections, or one of
            `second_embeddings.NAMES`.
        """
        if name == CLASSICAL:
            columns = section_views.SEVENTEEN
            x = self.sections[list(columns)].to_numpy(np.float64)
            loud = x[self.not_quiet["row"]]
            spread = np.maximum(loud.std(axis=0), 1e-9)
            return ((x - loud.mean(axis=0)) / spread).astype(np.float32)
        return second_embeddings.section_embeddings(self.seconds(name), self.sections)

    def parts(self) -> pd.DataFrame:
        """Cut every track where its music changes, on its beats, see `structure.structural_sections`."""
        beats, tables = self.rhythms(), []
        readable = self.sections[self.sections["path"].isin(beats)]
        for item_id, path in readable.groupby("item_id")["path"].first().items():
            found = beats[path]
            cut = structure.structural_sections(path, found.beats_s, downbeat=found.downbeat)
            tables.append(cut.assign(item_id=item_id, path=path))
        return pd.concat(tables, ignore_index=True)

    def labels(self, name: str, k: int) -> np.ndarray:
        """Cluster `sections` (B,) by k-means of `vectors`; quiet ones are in none, -1."""
        rows, found = self.not_quiet["row"].to_numpy(), np.full(len(self.sections), -1)
        found[rows] = clustering.kmeans(self.vectors(name)[rows], self.clusters(k))
        return found

    def clusters(self, k: int) -> int:
        """Return how many clusters the loud sections bear: `k`, or half as many as sections.

        Raises
        ------
        ValueError
            If there are fewer than `FEWEST` sections.
        """
        if len(self.not_quiet) < FEWEST:
            raise ValueError(
                f"{len(self.not_quiet)} sections of {self.study.window_s:g} s are too few to cluster; "
                f"give tracks with {FEWEST} or more in all"
            )
        if k > len(self.not_quiet) // 2:
            log.warning(
                "%d sections bear %d clusters", len(self.not_quiet), len(self.not_quiet) // 2
            )
        return min(k, len(self.not_quiet) // 2)

    def seconds(self, name: str) -> SecondEmbeddings:
        """Return the parts of `sections` of about a second, see `second_embeddings.embed_seconds`."""
        found = second_embeddings.embed_seconds(name, self.study, self.space)
        rows = section_views.assign_to_sections(found.items, self.sections) >= 0
        items = found.items[rows].reset_index(drop=True)
        return replace(found, z=found.z[rows], items=items)

    def rhythms(self) -> dict[str, Rhythm]:
        """Return the beats of every readable track, by its path."""
        paths = list(self.sections["path"].unique())
        tracks, bad = rhythm.analyse_tracks(paths, self.space.path("rhythm"))
        for path, reason in bad.itertuples(index=False):
            log.warning("no beats of %s: %s", path, reason)
        return {path: track.rhythm for path, track in tracks.items()}

    def rhythm(self) -> pd.DataFrame:
        """Return the sections with tempo, key and loudness, see `rhythm.rhythm_table`."""
        return rhythm.rhythm_table(self.sections, self.space.path("rhythm"))[0]


def collect(study: Study, space: Workspace, scheduler: str = "") -> Collection:
    """Cut a corpus into sections, or reuse what was cut before.

    Parameters
    ----------
    study
        Its window is the length of a section.
    space
        Where the results go; a folder of one's own takes the place of the corpora.
    scheduler
        Address of a Dask scheduler for the work over files; empty for this machine.

    Raises
    ------
    ValueError
        If no track can be read, or all are silent.
    """
    index = _index(study, space)
    options = {"window_s": study.window_s, "scheduler": scheduler or None}
    table, quarantine = descriptor_table(index.items, space.path("cache"), **options)
    clipped = values_of(_cached(study, space, Clipping, scheduler), table)[:, 0]
    copies = versions.find_duplicate_tracks(table)
    bad = [part for part in (index.quarantine, quarantine) if len(part)]
    bad = pd.concat(bad, ignore_index=True) if bad else quarantine
    found = Collection(study, space, index.items, table.assign(clipped=clipped), copies, bad)
    if not found.usable.any():
        raise ValueError("all tracks are silent; name a folder with sound in it")
    return found


def known_beats(found: Collection) -> dict[str, np.ndarray]:
    """Return the known times of beats in seconds, by path; none where the corpus knows none."""
    if "beat_times" not in found.items:
        return {}
    return {row.path: np.asarray(row.beat_times) for row in found.items.itertuples()}


def hits(found: Collection, parts: pd.DataFrame, window_s: float = 3.0) -> dict[str, float]:
    """Compare where tracks were cut with where they are known to change.

    Parameters
    ----------
    found
        The collection.
    parts
        item_id, start_s, of one way to cut them.
    window_s
        How far a boundary may lie from the known one.

    Returns
    -------
    dict
        Mean ``precision``, ``recall`` and ``f`` over tracks; empty where the corpus knows nothing.
    """
    if "sections" not in found.items:
        return {}
    known = found.items.set_index("item_id")["sections"].map(json.loads)
    rows = [
        structure.hit_rate(
            _edges(cut["start_s"]), _edges([s["start_s"] for s in known[name]]), window_s
        )
        for name, cut in parts.groupby("item_id")
    ]
    return pd.DataFrame(rows).mean().to_dict()


def _edges(starts_s: Iterable[float]) -> np.ndarray:
    """Return where a track changes: the beginnings of its sections, but the first."""
    return np.sort(np.asarray(list(starts_s), float))[1:]


def playlist(
    found: Collection, name: str, path: Path, what: str = "central", n: int = 20, **choice
) -> pd.DataFrame:
    """Write a playlist of sections of one kind.

    Parameters
    ----------
    found
        The collection.
    name
        Which numbers count, see `Collection.vectors`.
    path
        ``.xspf`` or ``.m3u8``.
    what
        ``central`` or ``cluster`` sections of a cluster, those at the ``border`` of two,
        ``anomalies``, or the ``neighbours`` of a section.
    n
        How many at most.
    choice
        ``k``, number of clusters (4); ``cluster``, which one (0); ``track`` and ``at_s``, the
        section whose neighbours are asked for.

    Returns
    -------
    DataFrame
        The sections that were written, each with its reason in ``why``.

    Raises
    ------
    ValueError
        If there is no such kind, cluster, track or moment.
    """
    pick(dict.fromkeys(KINDS), what, "kind of playlist")
    k, cluster = choice.get("k", 4), choice.get("cluster", 0)
    sections, z = found.sections, found.vectors(name)
    make = {
        "central": lambda: selections.central(z, sections, found.labels(name, k), cluster, n),
        "cluster": lambda: selections.cluster(sections, found.labels(name, k), cluster).head(n),
        "border": lambda: selections.border(z, sections, found.labels(name, k), n),
        "anomalies": lambda: _anomalies(found, z, n),
        "neighbours": lambda: selections.neighbours(z, sections, _at(sections, choice), n),
    }
    rows = make[what]()
    if rows.empty:
        raise ValueError(f"no section is one of {what}; choose another kind of playlist")
    playlist_files.write_playlist(path, rows, f"{what} sections")
    return rows


def _anomalies(found: Collection, z: np.ndarray, n: int) -> pd.DataFrame:
    """Sections unlike all others, the silent ones first."""
    silent = found.all_sections[found.all_sections["silent"].astype(bool)].head(n)
    others = selections.anomalies(z, found.sections, n)
    return pd.concat([silent.assign(why="silence"), others], ignore_index=True).head(n)


def _at(sections: pd.DataFrame, choice: dict) -> int:
    """Find the section of a track at a moment."""
    track, at_s = choice.get("track", ""), choice.get("at_s", 0.0)
    if track not in set(sections["item_id"]):
        raise ValueError(
            f"there is no track {track!r} with sound; name one as it stands in the folder"
        )
    inside = (
        sections["item_id"].eq(track) & sections["start_s"].le(at_s) & sections["end_s"].gt(at_s)
    )
    if not inside.any():
        raise ValueError(f"{track} has no section with sound at {at_s:g} s; name another moment")
    return int(np.flatnonzero(inside)[0])


def mix(found: Collection, name: str, path: Path, beats: int = mixdown.BEATS) -> tuple[Route, Mix]:
    """Put all tracks in an order in which each goes well into the next, and render it.

    Parameters
    ----------
    found
        The collection; copies are left out.
    name
        Which numbers say how near sections are, see `Collection.vectors`.
    path
        The mix, ``.flac`` or ``.wav``; its cue sheet goes beside it.
    beats
        Length of a crossfade.

    Returns
    -------
    Route
        The order, with the cost of every passage.
    Mix
        Where everything lies in the mix.

    Raises
    ------
    ValueError
        As `sequencing.transition_costs` and `mixdown.render`.
    """
    if len(found.sections) > sequencing.MOST:
        raise ValueError(
            f"{len(found.sections)} sections are more than {sequencing.MOST}; mix fewer tracks at once"
        )
    table = found.rhythm()
    heard = found.sections["path"].isin(table["path"]).to_numpy()
    route = sequencing.order_tracks(
        table, sequencing.transition_costs(table, found.vectors(name)[heard])
    )
    made = mixdown.render(route, found.rhythms(), path, beats=beats)
    mixdown.write_cue_sheet(made, path.with_suffix(".cue"))
    return route, made


def default_vectors(space: Workspace) -> str:
    """Name the numbers to take where nothing has to be trained for it.

    VGGish where its weights are, our network where it was trained, else classical attributes.
    """
    if second_embeddings.default_embedding() == "vggish":
        return "vggish"
    return "mel-crnn" if second_embeddings.is_trained("mel-crnn", space) else CLASSICAL


def _index(study: Study, space: Workspace) -> corpus.Corpus:
    """Index the tracks; versions of a tune share a group."""
    return CorpusDataModule.of_study(study, space).index()


def _cached(
    study: Study, space: Workspace, kind: type[Measurement], scheduler: str = ""
) -> cache.Cached:
    """Compute a transform of every section, or read it."""
    take = kind(window_s=study.window_s)
    folder = space.path("cache") / f"{take.kind}-{take.window_s:g}s-{take.sr}hz"
    return cache.build(
        _index(study, space).items, take, folder, n_jobs=2, scheduler=scheduler or None
    )
