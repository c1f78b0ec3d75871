"""What there is to be judged on: the corpora of a comparison, and the question asked of each."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from musiclatent.data import corpus, folders
from musiclatent.data.synthetic import counterfactuals
from musiclatent.errors import CorpusError
from musiclatent.evaluation.comparison import retrieval, robustness, spectrograms, vectors
from musiclatent.evaluation.comparison.judged import Judged, gather
from musiclatent.evaluation.comparison.vectors import Vectors
from musiclatent.features import fingerprint

LEAST = 3  # tracks of an artist who is looked for
DIGITS_TAKEN = 10  # recordings of each digit and speaker: the first ones
SAMPLE_EQUAL = 0.98  # share of equal bits of fingerprints above which two files are one cut
TRACKS = "tracks.csv"


@dataclass(frozen=True, kw_only=True)
class Task:
    """A question that labels answer.

    Parameters
    ----------
    name, question
        What its figures are called, and what a higher one means.
    dataset, split
        What is judged, and the folds by name.
    items
        One row per file: path, label, group (what may not be on both sides), unit.
    ranked
        Whether neighbours are ranked; else classes are answered from folds.
    folds
        How many, where classes are answered.
    """

    name: str
    question: str
    dataset: str
    split: str
    items: pd.DataFrame
    ranked: bool = False
    folds: int = retrieval.FOLDS


def judge(task: Task, measured: Mapping[str, Vectors]) -> list[Judged]:
    """Judge encoders by a task, on the files that all of them could take.

    Parameters
    ----------
    task
        The question.
    measured
        Encoder -> vectors, one row per item of the task.

    Returns
    -------
    list of Judged
        ``NAME_top1`` and ``NAME_map``, or ``NAME_neighbours`` and ``NAME_probe``.
    """
    rows = vectors.shared_rows(measured)
    items = task.items.iloc[rows].reset_index(drop=True)
    parts = {name: _answers(task, items, found.take(rows)) for name, found in measured.items()}
    return gather(
        parts,
        items["unit"].to_numpy(),
        name=task.name,
        question=task.question,
        dataset=task.dataset,
        split=task.split,
    )


def _answers(task: Task, items: pd.DataFrame, found: Vectors) -> pd.DataFrame:
    """Judge one encoder by a task."""
    if not task.ranked:
        return retrieval.classified(found, items["label"], items["group"], task.folds)
    ranked = retrieval.retrieved(found.scaled(), labels=items["label"], recordings=items["group"])
    return ranked[["top1", "map"]]


def game_music(folder: Path, store: Path) -> pd.DataFrame:
    """Index a folder of music whose ``tracks.csv`` names the artists.

    Parameters
    ----------
    folder
        Has ``tracks.csv`` with file, artist (empty if unknown) and album.
    store
        Folder that keeps fingerprints.

    Returns
    -------
    DataFrame
        path, label (the artist), album, group (the recording, found by its sound), unit (the
        artist).

    Raises
    ------
    CorpusError
        If the table is missing or lacks a column.
    """
    table = Path(folder) / TRACKS
    if not table.is_file():
        raise CorpusError(f"{table} is not there; set MUSICLATENT_DATA to a folder with game_music")
    tracks = pd.read_csv(table, keep_default_na=False)
    if missing := [name for name in ("file", "artist", "album") if name not in tracks]:
        raise CorpusError(f"{table} has no column {', '.join(missing)}; add it")
    paths = [str((Path(folder) / name).absolute()) for name in tracks["file"]]
    pairs = fingerprint.find_duplicates(paths, store=store / "fingerprints.parquet")
    recordings = fingerprint.connected_groups(len(paths), pairs)
    items = pd.DataFrame({"path": paths, "label": tracks["artist"], "album": tracks["album"]})
    return items.assign(group=recordings, unit=tracks["artist"])


def artists(folder: Path, store: Path) -> Task:
    """Return the question whose track the nearest other recording is.

    Parameters
    ----------
    folder, store
        As in `game_music`.
    """
    items = game_music(folder, store)
    few = items.groupby("label")["path"].transform("size") < LEAST
    items = items[items["label"].ne("") & ~few].reset_index(drop=True)
    return Task(
        name="artist",
        question="tracks of the same artist lie near",
        dataset="game_music",
        split="each track asks, other recordings answer",
        items=items,
        ranked=True,
    )


def versions(root: Path, store: Path) -> Task:
    """Return the question whether the nearest other track is a version of the same tune.

    Parameters
    ----------
    root
        Folder above the datasets.
    store
        Folder that keeps fingerprints.
    """
    items = folders.index_edm(root, None)
    pairs = fingerprint.find_duplicates(items["path"], store=store / "fingerprints.parquet")
    pairs = pairs[(pairs["score"] > SAMPLE_EQUAL) & pairs["offset_s"].abs().lt(0.1)]
    copies = fingerprint.connected_groups(len(items), pairs)
    table = pd.DataFrame({"path": items["path"], "label": items["group"], "group": copies})
    return Task(
        name="version",
        question="versions of the same tune lie near",
        dataset="edm",
        split="each track asks, others but equal copies answer",
        items=table.assign(unit=items["group"]),
        ranked=True,
    )


def genres(root: Path, store: Path) -> Task:
    """Return the question of the genre of the clips of GTZAN that are there.

    Parameters
    ----------
    root, store
        As in `versions`; `store` also keeps what finds repeated recordings.
    """
    items = corpus.load("gtzan", root=root, work=store / "corpora").items
    return Task(
        name="genre",
        question="genre can be read off",
        dataset="gtzan",
        split=f"{retrieval.FOLDS} folds by recording",
        items=items[["path", "label", "group"]].assign(unit=items["group"]),
    )


def speech(root: Path, store: Path) -> Task:
    """Return the question whether a clip is music or speech.

    Parameters
    ----------
    root, store
        As in `versions`.
    """
    items = folders.index_music_speech(root, None)
    return Task(
        name="speech",
        question="music and speech lie apart",
        dataset="music_speech",
        split=f"{retrieval.FOLDS} folds by source",
        items=items[["path", "label", "group"]].assign(unit=items["group"]),
    )


def _spoken(root: Path, store: Path) -> pd.DataFrame:
    """Index the first recordings of each digit and speaker."""
    items = corpus.load("fsdd", root=root, work=store / "corpora").items
    return items[items["index"] < DIGITS_TAKEN].reset_index(drop=True)


def digits(root: Path, store: Path) -> Task:
    """Return the question which digit is spoken, by speakers that no fold learned from.

    Parameters
    ----------
    root, store
        As in `versions`.
    """
    items = _spoken(root, store)
    table = items[["path", "label"]].assign(group=items["speaker"], unit=items["speaker"])
    return Task(
        name="digit",
        question="spoken digits can be read off, whoever speaks",
        dataset="fsdd",
        split="6 folds by speaker",
        items=table,
        folds=6,
    )


def speakers(root: Path, store: Path) -> Task:
    """Return the question who speaks, by digits that no fold learned from.

    Parameters
    ----------
    root, store
        As in `versions`.
    """
    items = _spoken(root, store)
    table = pd.DataFrame({"path": items["path"], "label": items["speaker"]})
    return Task(
        name="speaker",
        question="the speaker can be read off, whatever is said",
        dataset="fsdd",
        split=f"{retrieval.FOLDS} folds by digit",
        items=table.assign(group=items["label"], unit=items["item_id"]),
    )


TASKS: dict[str, Callable[[Path, Path], Task]] = {
    "genre": genres,
    "artist": lambda root, store: artists(root / "game_music", store),
    "version": versions,
    "speech": speech,
    "digit": digits,
    "speaker": speakers,
}


def those_there(root: Path, store: Path) -> tuple[list[Task], list[str]]:
    """Return the tasks whose corpora are there.

    Parameters
    ----------
    root, store
        As in `versions`.

    Returns
    -------
    tasks
        The tasks.
    skipped
        One sentence for each task whose corpus is missing.
    """
    tasks, skipped = [], []
    for name, make in TASKS.items():
        try:
            tasks.append(make(root, store))
        except CorpusError as error:
            skipped.append(f"{name} is skipped: {error}")
    return tasks, skipped


@dataclass(frozen=True, kw_only=True)
class Material:
    """What encoders are compared on.

    Parameters
    ----------
    music
        One row per file: path, title; label and group where they are known; what else may colour
        a map. Agreement, damage and maps stand on it.
    tasks
        Questions that labels answer.
    clips
        Rendered counterfactuals, or None.
    skipped
        One sentence for each part that cannot be judged here.
    tracks
        Files that are damaged at most, evenly chosen.
    excerpts
        Folder above the datasets, where the spectrograms of GTZAN's excerpts are there.
    """

    music: pd.DataFrame
    tasks: list[Task] = field(default_factory=list)
    clips: pd.DataFrame | None = None
    skipped: list[str] = field(default_factory=list)
    tracks: int = robustness.MOST
    excerpts: Path | None = None


def of_folder(folder: Path, store: Path) -> Material:
    """Take a folder of one's own music; no labels are needed.

    Parameters
    ----------
    folder
        Searched with all that lies in it. A ``tracks.csv`` that names artists adds a question.
    store
        Folder that keeps fingerprints.

    Raises
    ------
    CorpusError
        If there is no such folder, or it holds no audio.
    """
    items = folders.index(folder)
    items = items[items["reason"] == ""]
    music = pd.DataFrame({"path": items["path"], "title": items["item_id"]}).reset_index(drop=True)
    if not (folder / TRACKS).is_file():
        without = f"{folder} has no {TRACKS} that names artists, so nothing is read off labels"
        return Material(music=music, skipped=[without])
    task = artists(folder, store)
    known = task.items.set_index("path")[["label", "album"]].rename(columns={"label": "artist"})
    return Material(music=music.join(known, on="path"), tasks=[task])


def of_corpora(root: Path, store: Path, *, scores: int = counterfactuals.COUNT) -> Material:
    """Take the corpora that are there, and rendered counterfactuals.

    Parameters
    ----------
    root
        Folder above the datasets.
    store
        Folder that keeps what is rendered.
    scores
        Pairs of each factor.
    """
    there, skipped = those_there(root, store)
    clips = counterfactuals.render(store / "counterfactuals", count=scores)
    labelled = next((task for task in there if task.name in ("genre", "artist")), None)
    plain = clips[clips["factor"] == counterfactuals.AS_IT_IS]
    music = labelled.items if labelled else plain.assign(label=plain["style"])
    music = music[["path", "label", "group"]].reset_index(drop=True)
    titles = [Path(path).name for path in music["path"]]
    if reason := spectrograms.those_there(root):
        skipped.append(f"excerpt is skipped: {reason}")
    return Material(
        music=music.assign(title=titles),
        tasks=there,
        clips=clips,
        skipped=skipped,
        excerpts=None if reason else root,
    )


def of_items(
    items: pd.DataFrame, store: Path, *, dataset: str, most: int, scores: int, tracks: int
) -> Material:
    """Take some files of a corpus, and a few rendered counterfactuals.

    Parameters
    ----------
    items
        One row per file: item_id, path, label (empty where it is not known) and group.
    store
        Folder that keeps what is rendered.
    dataset
        Name of the corpus.
    most
        Files at most, evenly chosen.
    scores
        Pairs of each factor.
    tracks
        Files that are damaged at most.
    """
    rows = np.unique(np.linspace(0, len(items) - 1, min(most, len(items))).astype(int))
    music = items.iloc[rows].rename(columns={"item_id": "title"}).reset_index(drop=True)
    music = music[["path", "title", "label", "group"]]
    clips = counterfactuals.render(store / "counterfactuals", count=scores)
    task, skipped = _labels(music, dataset), []
    if task is None:
        skipped = [f"nothing is read off labels: {dataset} has fewer than two labels here"]
    found = [task] if task else []
    return Material(music=music, tasks=found, clips=clips, skipped=skipped, tracks=tracks)


def _labels(music: pd.DataFrame, dataset: str) -> Task | None:
    """Return the question of the label, where two or more labels have two or more groups each."""
    groups = music[music["label"] != ""].groupby("label")["group"].nunique()
    rows = music["label"].isin(groups[groups > 1].index)
    if (groups > 1).sum() < 2:
        return None
    items = music[rows].reset_index(drop=True)
    return Task(
        name="label",
        question="the label can be read off",
        dataset=dataset,
        split=f"{retrieval.FOLDS} folds by recording",
        items=items.assign(unit=items["group"]),
    )
