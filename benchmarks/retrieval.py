"""Compare representations of recordings by the artist of the nearest other one.

On game_music, the tracks of artists with three or more. One half of the artists chooses the
representation, among their own tracks alone; the other half judges it, each of their tracks among
those of all artists. Other cuts of a recording are no neighbours. Chosen are those that need no
training and little time, `representations.NAMES`; `any` chooses among all rows, and `crossed` has
each half judged by what the other chose. Rows of trained models are those under results/real. The
table of all rows goes to stderr, in the order of the choice.

Run: MUSICLATENT_DATA=path/to/data python benchmarks/retrieval.py [--quick]  (minutes, then seconds)
"""

import sys
from collections.abc import Callable, Iterable, Iterator
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory

import common
import numpy as np
import pandas as pd
from sklearn.covariance import ledoit_wolf

from musiclatent import audio, config, studies
from musiclatent.analysis import neighbours, statistics
from musiclatent.errors import CheckpointError, CorpusError
from musiclatent.evaluation.comparison import retrieval, tasks
from musiclatent.files import progress
from musiclatent.latents import representations
from musiclatent.latents.representations import Representation
from musiclatent.training import run_folder
from musiclatent.training.run_folder import Run

BASELINE = "mfcc"
LEAST = 3  # tracks of an artist
BOUNDS = ("", "_low", "_high")
COMPARED = (
    *(f"artist_{what}{bound}" for what in ("top1", "map") for bound in BOUNDS),
    *(f"over_mfcc_{what}{bound}" for what in ("top1", "map") for bound in (*BOUNDS, "_p")),
    "in_album_top1",
)
MFCC = ("mfcc_artist_top1", "mfcc_artist_map", "mfcc_in_album_top1")
KEYS = (
    *(f"{of}_{figure}" for of in ("similar", "crossed") for figure in COMPARED),
    *MFCC,
    *(f"crossed_{figure}" for figure in MFCC),
    *(f"{of}_artist_{what}" for of in ("in_use", "any") for what in ("top1", "map")),
    *("tracks", "artists", "judged_tracks", "judged_artists", "rows", "missing"),
)
TRAINED = {  # study, experiment
    "waveform": ("waveform-64", "waveform-deep"),
    "mel": ("mel-cae-1", "mel-triplet-1", "mel-crnn-6"),
    "genre": ("genre-crnn", "genre-joint"),
}
SLOW = (
    "descriptors",
    "mfcc+descriptors",
    "rates+descriptors",
    "mel-descriptors+descriptors",
)
QUICK = (BASELINE, representations.DEFAULT)
Row = tuple[np.ndarray, Callable[[np.ndarray], np.ndarray]]  # vectors (B, D), and what compares


def game_music() -> pd.DataFrame:
    """Return the tracks of artists with some: path, artist, album, recording."""
    try:
        tracks = tasks.game_music(config.data_root() / "game_music", kept())
    except CorpusError as error:
        sys.exit(str(error))
    tracks = tracks.rename(columns={"label": "artist", "group": "recording"})
    count = tracks.groupby("artist")["path"].transform("size")
    return tracks[tracks["artist"].ne("") & count.ge(LEAST)].reset_index(drop=True)


def kept() -> Path:
    """Return the folder that keeps vectors and fingerprints by the bytes of the files."""
    return config.home() / "results" / "benchmarks" / "retrieval"


def trained() -> Iterator[tuple[str, Representation | str]]:
    """Yield the name of each row of a trained model, with how it represents or why it cannot."""
    for study, names in TRAINED.items():
        plan, space = studies.study(study, "real"), config.Workspace(profile="real", study=study)
        for name, pooled in product(names, (True, False) if plan.has_encoder else (True,)):
            title = name if pooled else f"{name}, raw"
            try:
                find = run_folder.read_run if plan.has_encoder else of_first_fold
                where = space.path("checkpoints" if plan.has_encoder else "folds")
                run = find(plan.experiment(name), where / name)
                yield title, representations.trained(run, plan, pooled=pooled)
            except (CheckpointError, FileNotFoundError) as error:
                yield title, str(error)


def of_first_fold(experiment: config.Experiment, folder: Path) -> Run:
    """Return a genre network that did not see fold 0."""
    folder = folder.with_name(f"{folder.name}-outer-0")
    if not run_folder.has_ended(folder):
        raise FileNotFoundError(f"{experiment.name} has not been trained in {folder}")
    about = {"metrics": {}, "curves": pd.DataFrame(), "status": "reused"}
    return Run(experiment=experiment, folder=folder, **about)


def vectors_of(row: Representation, paths: pd.Series, store: Path) -> np.ndarray:
    """Return the vectors of files (B, D), from the store where they were measured before."""
    bar = progress(paths, row.name, "file", delay=2)
    return np.stack([representations.stored(row, Path(path), store) for path in bar])


def untrained(names: Iterable[str], paths: pd.Series, store: Path) -> dict[str, Row]:
    """Return rows that need no training; joined ones take the vectors of their parts."""
    parts = dict.fromkeys(part for name in names for part in name.split("+"))
    x = {part: vectors_of(representations.measured(part), paths, store) for part in parts}
    return {
        name: (
            np.concatenate([x[part] for part in name.split("+")], axis=1),
            representations.measured(name).compared,
        )
        for name in names
    }


def whitened(vectors: np.ndarray) -> np.ndarray:
    """Return rows whose Euclidean distances are Mahalanobis', by a shrunken covariance."""
    z = neighbours.standardise(vectors)[0]
    return z @ np.linalg.cholesky(np.linalg.inv(ledoit_wolf(z)[0]))


def retrieved(z: np.ndarray, items: pd.DataFrame, queries: np.ndarray) -> pd.DataFrame:
    """Rank all other recordings by their distance from each query.

    Parameters
    ----------
    z
        Vectors (B, D) as they are compared.
    items
        B rows: artist, album, recording.
    queries
        Row numbers of those that ask.

    Returns
    -------
    DataFrame
        One row per query: top1, map, and in_album, see `retrieval.retrieved`.
    """
    ranked = retrieval.retrieved(
        z,
        labels=items["artist"],
        recordings=items["recording"],
        within=items["album"],
        queries=queries,
    )
    return ranked.rename(columns={"inside": "in_album"})


def halves(items: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    """Return the rows of the artists that choose, and of those that judge, by the fixed seed."""
    artists = np.random.default_rng(config.SEED).permutation(np.unique(items["artist"]))
    chooses = items["artist"].isin(artists[: len(artists) // 2]).to_numpy()
    return np.flatnonzero(chooses), np.flatnonzero(~chooses)


def judge(
    items: pd.DataFrame, rows: dict[str, Row], choosing: np.ndarray, judging: np.ndarray
) -> tuple[pd.DataFrame, dict[str, pd.DataFrame]]:
    """Return the figures of each row, the one that is chosen first, and what `retrieved` says."""
    few, artists = items.iloc[choosing].reset_index(drop=True), items["artist"].iloc[judging]
    table, judged = {}, {}
    for name, (x, compare) in rows.items():
        chose = retrieved(compare(x[choosing]), few, np.arange(len(few)))
        judged[name] = retrieved(compare(x), items, judging)
        table[name] = {
            "chose_top1": chose["top1"].mean(),
            "chose_map": chose["map"].mean(),
            **statistics.mean(judged[name]["top1"], artists).named("top1"),
            **statistics.mean(judged[name]["map"], artists).named("map"),
            "in_album": judged[name]["in_album"].mean(),
        }
    table = pd.DataFrame(table).T
    best = table[["chose_top1", "chose_map"]].mean(axis=1).sort_values(ascending=False).index
    return table.loc[best], judged


def measure(items: pd.DataFrame, rows: dict[str, Row], missing: int = 0) -> common.Figures:
    """Choose a representation on some artists, and judge it on the others."""
    choosing, judging = halves(items)
    table, judged = judge(items, rows, choosing, judging)
    back, other = judge(items, rows, judging, choosing)
    shown = table.assign(usual=table.index.isin(representations.NAMES))
    print(shown.round(3).to_string(), file=sys.stderr)
    chosen = usual(table)
    print(f"chosen of the usual ones: {chosen}; by the other half: {usual(back)}", file=sys.stderr)
    figures = compared(judged[chosen], judged[BASELINE], items["artist"], "similar")
    both = [pd.concat([judged[a], other[b]]) for a, b in ((chosen, usual(back)), [BASELINE] * 2)]
    figures |= compared(*both, items["artist"], "crossed")
    for of, name in (("any", table.index[0]), ("in_use", representations.DEFAULT)):
        figures |= {f"{of}_artist_{what}": judged[name][what].mean() for what in ("top1", "map")}
    figures |= {"rows": len(rows), "missing": missing}
    for of, artists in (("", items["artist"]), ("judged_", items["artist"].iloc[judging])):
        figures |= {f"{of}tracks": len(artists), f"{of}artists": artists.nunique()}
    return {key: round(float(value), 4) for key, value in figures.items()}


def usual(table: pd.DataFrame) -> str:
    """Name the first of the rows that need no training and little time."""
    return next(name for name in table.index if name in representations.NAMES)


def compared(
    chosen: pd.DataFrame, baseline: pd.DataFrame, artists: pd.Series, of: str
) -> common.Figures:
    """Return the figures of a choice and of the baseline, with intervals by artist."""
    artists, figures = artists.loc[chosen.index], {}
    mfcc = "mfcc" if of == "similar" else f"{of}_mfcc"
    for what in ("top1", "map"):
        over = statistics.paired(chosen[what], baseline[what], artists)
        figures |= statistics.mean(chosen[what], artists).named(f"{of}_artist_{what}")
        figures |= over.named(f"{of}_over_mfcc_{what}")
        figures[f"{mfcc}_artist_{what}"] = baseline[what].mean()
    figures[f"{of}_in_album_top1"] = chosen["in_album"].mean()
    return figures | {f"{mfcc}_in_album_top1": baseline["in_album"].mean()}


def full() -> common.Figures:
    """Measure all rows on game_music; say which are missing."""
    items = game_music()
    paths, store = items["path"], kept()
    rows, missing = untrained((*representations.NAMES, *SLOW), paths, store), 0
    x = rows["descriptors"][0]
    rows |= {"descriptors, plain": (x, np.asarray), "descriptors, whitened": (x, whitened)}
    for name, row in trained():
        if isinstance(row, str):
            print(f"missing: {name}: {row}", file=sys.stderr)
            missing += 1
        else:
            rows[name] = vectors_of(row, paths, store), row.compared
    return measure(items, rows, missing)


def quick() -> common.Figures:
    """Measure two rows on twelve short sounds of four artists, two of them on one album."""
    rng = np.random.default_rng(0)
    with TemporaryDirectory() as folder:
        items = []
        for artist, track in product(range(4), range(3)):
            y = np.convolve(rng.normal(size=4 * common.SR), rng.normal(size=2 + 4 * artist), "same")
            path = audio.write(Path(folder) / f"{artist}{track}.wav", y / abs(y).max(), common.SR)
            items.append({"path": str(path), "artist": f"a{artist}", "album": f"b{artist // 2}"})
        table = pd.DataFrame(items).assign(recording=range(12))
        return measure(table, untrained(QUICK, table["path"], Path(folder)))


if __name__ == "__main__":
    common.run(KEYS, full=full, quick=quick)
