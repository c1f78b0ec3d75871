"""A collection of dance tracks as one table of sections: where notebooks and commands start."""

import json
import logging
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from musiclatent.analysis import clustering
from musiclatent.audio.windows import Grid, Measurement
from musiclatent.config import Study, Workspace
from musiclatent.data import cache, datamodules
from musiclatent.edm import (
    cue_sheets,
    mixdown,
    playlist_files,
    second_embeddings,
    section_views,
    selections,
    sequencing,
    track_names,
    versions,
)
from musiclatent.edm.large import parts
from musiclatent.edm.programs import library
from musiclatent.features import beat_grid, descriptors, fingerprint, rhythm, structure, tonal
from musiclatent.files import pick
from musiclatent.latents import comparison

log = logging.getLogger("musiclatent")
CLASSICAL = "classical"
SOUND = "sound"  # what tells whose music it is best among all that needs no training
LEAST_S = 1.5  # of a section: the networks take no less
FEWEST = 6  # sections that can be clustered
KINDS = ("central", "cluster", "border", "anomalies", "neighbours")


@dataclass(frozen=True, kw_only=True)
class Collection:
    """Sections of a folder of tracks on a fixed grid.

    Parameters
    ----------
    study, space
        Whose corpora, and where the results go.
    items
        One row per track, with what its corpus knows of it.
    all_sections
        One row per section, silent ones and duplicates too: item_id, path, label, group (the tune),
        split, start_s, end_s, silent, descriptors, clipped (share of samples).
    duplicates
        item_id of each track that holds the same samples as another -> item_id of that; in a
        folder of one's own each copy of a recording, whatever its codec, gain or speed -> the
        longest of them.
    quarantine
        Files set aside: path, reason.
    tempi
        Range of beats per minute in which tracks are counted; `bpm` of `items` goes before it.
    """

    study: Study
    space: Workspace
    items: pd.DataFrame
    all_sections: pd.DataFrame
    duplicates: dict[str, str]
    quarantine: pd.DataFrame
    tempi: tuple[float, float] = beat_grid.TEMPI

    @cached_property
    def usable(self) -> np.ndarray:
        """Rows of `all_sections` that are audible, `LEAST_S` long, no duplicates (B,), bool."""
        rows = self.all_sections
        long = rows["end_s"] - rows["start_s"] >= LEAST_S
        return (~rows["silent"] & long & ~rows["item_id"].isin(self.duplicates)).to_numpy(bool)

    @cached_property
    def sections(self) -> pd.DataFrame:
        """The rows of `all_sections` that are `usable`."""
        return self.all_sections[self.usable].reset_index(drop=True)

    @cached_property
    def positions(self) -> np.ndarray:
        """Place of each of `sections` in its track, from 0."""
        return Grid(self.study.sr, self.study.window_s).place(self.sections["start_s"]).to_numpy()

    @cached_property
    def not_quiet(self) -> pd.DataFrame:
        """Those of `sections` that `structure.central_sections` finds not quiet; `row` in them."""
        rows = structure.central_sections(self.sections)
        rows = rows.assign(row=np.arange(len(rows)))
        return rows[rows["role"] != "quiet"].reset_index(drop=True)

    @property
    def central(self) -> pd.DataFrame:
        """The central ones of `not_quiet`; all of these where there are fewer than `FEWEST`."""
        rows = self.not_quiet[self.not_quiet["chosen"]]
        return rows if len(rows) >= FEWEST else self.not_quiet

    def harmony(self) -> np.ndarray:
        """Return pitch classes over time (B, 12, T) of `sections`, from the cache."""
        transform = tonal.Harmony(window_s=self.study.window_s)
        return _measure(transform, self.items, self.sections, self.space)

    def aligned(self, margin: float = versions.MARGIN) -> np.ndarray:
        """Return how the harmony of `sections` agrees (B, B), see `versions.align_harmony`."""
        items = self.sections["item_id"]
        return versions.align_harmony(self.harmony(), items, self.positions, margin=margin)

    def vectors(self, name: str) -> np.ndarray:
        """Return one vector per section of `sections` (B, D).

        Parameters
        ----------
        name
            ``classical``, 17 descriptors standardised over the sections that are not quiet;
            ``sound``, see `representations.DEFAULT`; one of `second_embeddings.NAMES`; or whatever
            `comparison.sections` takes.
        """
        if name in second_embeddings.NAMES:
            return second_embeddings.section_embeddings(self.seconds(name), self.sections)
        if name != CLASSICAL:
            spec = "" if name == SOUND else name
            take, compare = comparison.sections(spec, self.study.window_s, self.space.results)
            x = _measure(take, self.items, self.sections, self.space)
            return compare.compared(x).astype(np.float32)
        x = self.sections[list(section_views.SEVENTEEN)].to_numpy(np.float64)
        loud = x[self.not_quiet["row"]]
        return ((x - loud.mean(axis=0)) / np.maximum(loud.std(axis=0), 1e-9)).astype(np.float32)

    def structural_sections(self) -> pd.DataFrame:
        """Cut every track where its music changes, see `structure.structural_sections`."""
        rhythms, tables = self.rhythms(), []
        for (item_id, path), _ in self.sections.groupby(["item_id", "path"]):
            if path in rhythms:
                beats = rhythms[path]
                known = {"downbeat": beats.downbeat, "bar": beats.bar} if beats.tempo > 0 else {}
                beats_s = beats.beats_s if known else None
                cut = structure.structural_sections(path, beats_s, **known)
                tables.append(cut.assign(item_id=item_id, path=path))
        return pd.concat(tables, ignore_index=True)

    def labels(self, name: str, k: int) -> np.ndarray:
        """Cluster `sections` (B,) by k-means of `vectors`; quiet ones are in none, -1."""
        rows = self.not_quiet["row"].to_numpy()
        labels = np.full(len(self.sections), -1)
        labels[rows] = clustering.kmeans(self.vectors(name)[rows], self.clusters(k))
        return labels

    def clusters(self, k: int) -> int:
        """Return how many clusters the sections bear: `k`, or half as many as are not quiet.

        Raises
        ------
        ValueError
            If there are fewer than `FEWEST` sections.
        """
        n = len(self.not_quiet)
        if n < FEWEST:
            raise ValueError(
                f"{n} sections of {self.study.window_s:g} s are too few to cluster; "
                f"give tracks with {FEWEST} or more in all"
            )
        if k > n // 2:
            log.warning("%d sections bear %d clusters", n, n // 2)
        return min(k, n // 2)

    def seconds(self, name: str) -> second_embeddings.SecondEmbeddings:
        """Return embeddings per second of `sections`, see `second_embeddings.embed_seconds`."""
        seconds = second_embeddings.embed_seconds(name, self.study, self.space)
        rows = section_views.assign_to_sections(seconds.items, self.sections) >= 0
        items = seconds.items[rows].reset_index(drop=True)
        return replace(seconds, z=seconds.z[rows], items=items)

    def analysed(self) -> dict[str, rhythm.Track]:
        """Return rhythm, pitch classes and power of every readable track, by its path."""
        paths = list(self.sections["path"].unique())
        folder = self.space.path("rhythm")
        tracks, quarantine = rhythm.analyse_tracks(paths, folder, tempi=self.counted())
        for path, reason in quarantine.itertuples(index=False):
            log.warning("no beats of %s: %s", path, reason)
        return tracks

    def rhythms(self) -> dict[str, rhythm.Rhythm]:
        """Return the beats of every readable track, by its path."""
        return {path: track.rhythm for path, track in self.analysed().items()}

    def rhythm_table(self) -> pd.DataFrame:
        """Return the sections with tempo, key and loudness, see `rhythm.rhythm_table`."""
        folder = self.space.path("rhythm")
        return rhythm.rhythm_table(self.sections, folder, tempi=self.counted())[0]

    def counted(self) -> dict[str, tuple[float, float]]:
        """Return the range of tempi of each track, by its path: near the `bpm` that is known."""
        bpm = self.items["bpm"] if "bpm" in self.items else [np.nan] * len(self.items)
        known = zip(self.items["path"], bpm, strict=True)
        return {path: beat_grid.around(at, self.tempi) for path, at in known}


def collect(
    study: Study, space: Workspace, tempi: tuple[float, float] = beat_grid.TEMPI
) -> Collection:
    """Cut a corpus into sections, or reuse what was cut before.

    Parameters
    ----------
    study
        Its window is the length of a section.
    space
        Where the results go; a folder of one's own takes the place of the corpora.
    tempi
        As in `Collection`.

    Raises
    ------
    ValueError
        If no track can be read, or all are silent.
    """
    index = datamodules.CorpusDataModule.of_study(study, space).index()
    sections, unreadable = cache.descriptor_table(
        index.items, space.path("cache"), window_s=study.window_s
    )
    clipping = descriptors.Clipping(window_s=study.window_s)
    clipped = _measure(clipping, index.items, sections, space)[:, 0]
    tracks = Collection(
        study=study,
        space=space,
        items=index.items,
        all_sections=sections.assign(clipped=clipped),
        duplicates=versions.find_duplicate_tracks(sections) | _copies(index.items, space),
        quarantine=pd.concat([index.quarantine, unreadable], ignore_index=True),
        tempi=tempi,
    )
    if not tracks.usable.any():
        raise ValueError(track_names.none_usable(tracks.all_sections, LEAST_S))
    return tracks


def _copies(items: pd.DataFrame, space: Workspace) -> dict[str, str]:
    """Find the copies among the tracks of a folder of one's own; named corpora know theirs."""
    if not space.corpus:
        return {}
    store = space.base / "corpora" / "fingerprints.parquet"  # of the index, so nothing is decoded
    pairs = fingerprint.find_duplicates(list(items["path"]), store=store, remember=True)
    rows = items.assign(copies=fingerprint.connected_groups(len(items), pairs))
    rows = rows.sort_values(["copies", "seconds"], ascending=[True, False], kind="stable")
    first = rows.groupby("copies")["item_id"].transform("first")
    return {a: b for a, b in zip(rows["item_id"], first, strict=True) if a != b}


def _measure(
    transform: Measurement, items: pd.DataFrame, sections: pd.DataFrame, space: Workspace
) -> np.ndarray:
    """Compute a transform of a corpus, or read it; return its values of `sections`."""
    folder = cache.folder_of(space.path("cache"), transform)
    return cache.values_of(cache.build(items, transform, folder=folder, n_jobs=2), sections)


def annotated_beats(tracks: Collection) -> dict[str, np.ndarray]:
    """Return the annotated times of beats in seconds, by path; none where the corpus has none."""
    if "beat_times" not in tracks.items:
        return {}
    return {row.path: np.asarray(row.beat_times) for row in tracks.items.itertuples()}


def boundary_scores(
    tracks: Collection, sections: pd.DataFrame, window_s: float = 3.0
) -> dict[str, float]:
    """Compare where tracks were cut with where they are annotated to change.

    Parameters
    ----------
    tracks
        The collection.
    sections
        item_id, start_s, one row per section of the cut.
    window_s
        How far a boundary may lie from the annotated one.

    Returns
    -------
    dict
        Mean ``precision``, ``recall`` and ``f`` over tracks; empty where the corpus has no
        annotations.
    """
    if "sections" not in tracks.items:
        return {}
    annotations = tracks.items.set_index("item_id")["sections"].map(json.loads).map(pd.DataFrame)
    rows = [
        structure.hit_rate(_boundaries(cut), _boundaries(annotations[name]), window_s)
        for name, cut in sections.groupby("item_id")
    ]
    return pd.DataFrame(rows).mean().to_dict()


def _boundaries(sections: pd.DataFrame) -> np.ndarray:
    """Return where a track changes: the beginnings of its sections, but the first."""
    return np.sort(sections["start_s"])[1:]


def playlist(
    tracks: Collection,
    name: str,
    *,
    path: Path,
    kind: str = "central",
    n: int = 20,
    k: int = 4,
    cluster: int = 0,
    track: str = "",
    at_s: float = 0.0,
) -> pd.DataFrame:
    """Write a playlist of sections of one kind.

    Parameters
    ----------
    tracks
        The collection.
    name
        Which vectors count, see `Collection.vectors`.
    path
        ``.xspf`` or ``.m3u8``; or a library of `library.WRITERS`, with a cue at each section.
    kind
        ``central`` or ``cluster`` sections of a cluster, those at the ``border`` of two,
        ``anomalies``, or the ``neighbours`` of a section.
    n
        How many at most.
    k, cluster
        Number of clusters, and which of them is listed.
    track, at_s
        item_id and second of the section whose neighbours are listed.

    Returns
    -------
    DataFrame
        The sections that were written, each with its reason in ``why``.

    Raises
    ------
    ValueError
        If there is no such kind, cluster, track or moment.
    """
    pick(dict.fromkeys(KINDS), kind, "kind of playlist")
    sections, z = tracks.sections, tracks.vectors(name)
    if kind == "anomalies":
        rows = _anomalies(tracks, z, n)
    elif kind == "neighbours":
        rows = selections.neighbours(
            z, sections, i=track_names.row_at(tracks.sections, _named(tracks, track), at_s), n=n
        )
    elif kind == "border":
        rows = selections.border(z, sections, labels=tracks.labels(name, k), n=n)
    elif kind == "cluster":
        rows = selections.cluster(sections, tracks.labels(name, k), cluster).head(n)
    else:
        rows = selections.central(z, sections, labels=tracks.labels(name, k), k=cluster, n=n)
    if rows.empty:
        raise ValueError(f"no section is one of {kind}; choose another kind of playlist")
    if path.suffix.lower() in library.WRITERS:
        listed = tracks.all_sections["path"].isin(rows["path"])
        analysed = replace(tracks, all_sections=tracks.all_sections[listed]).analysed()
        library.write_sections(path, rows, tracks.items, analysed)
    else:
        playlist_files.write_playlist(path, rows, f"{kind} sections")
    return rows


def _anomalies(tracks: Collection, z: np.ndarray, n: int) -> pd.DataFrame:
    """Choose the sections unlike all others, the silent ones first."""
    silent = tracks.all_sections[tracks.all_sections["silent"].astype(bool)]
    others = selections.anomalies(z, tracks.sections, n)
    return pd.concat([silent.assign(why="silence"), others], ignore_index=True).head(n)


def _named(tracks: Collection, track: str) -> str:
    """Return the item_id of a track as it was named; a copy stands for the track that is kept."""
    name = track_names.find(tracks.all_sections, track)
    return tracks.duplicates.get(name, name)


def mix(
    tracks: Collection, name: str, *, path: Path, beats: int = mixdown.BEATS
) -> tuple[sequencing.Route, mixdown.Mix]:
    """Order all tracks so that each goes well into the next, and render them as one mix.

    Of more than `sequencing.MOST` sections or `sequencing.MANY` tracks they are ordered in parts,
    see `parts.order_tracks`.

    Parameters
    ----------
    tracks
        The collection; duplicates are left out.
    name
        Which vectors say how near sections are, see `Collection.vectors`.
    path
        The mix, ``.flac`` or ``.wav``; beside it go its cue sheet and `cue_sheets.write_set`.
    beats
        Length of a crossfade.

    Returns
    -------
    Route
        The order, with the cost of every transition.
    Mix
        Where everything lies in the mix.

    Raises
    ------
    ValueError
        As `sequencing.prices` and `mixdown.render`.
    """
    table = tracks.rhythm_table()
    z = tracks.vectors(name)[tracks.sections["path"].isin(table["path"]).to_numpy()]
    if len(table) > sequencing.MOST or table["path"].nunique() > sequencing.MANY:
        route = parts.order_tracks(table, z)
    else:
        route = sequencing.order_tracks(table, sequencing.transition_costs(table, z))
    rendered = mixdown.render(route, tracks.rhythms(), path=path, beats=beats)
    cue_sheets.write_cue_sheet(rendered, path.with_suffix(".cue"))
    cue_sheets.write_set(rendered, tracks.items, tracks.analysed())
    return route, rendered


def default_vectors(space: Workspace) -> str:
    """Name the vectors to take where nothing has to be trained for it.

    VGGish where its weights are, our network where it was trained, else classical descriptors.
    """
    if second_embeddings.default_embedding() == "vggish":
        return "vggish"
    return "mel-crnn" if second_embeddings.is_trained("mel-crnn", space) else CLASSICAL
