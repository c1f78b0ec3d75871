"""Send one's own music through a trained model, and find what sounds like it.

Ranking needs no model, so that what does (torch and pictures take seconds) is imported where it is
used.
"""

import base64
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import joblib
import numpy as np
import pandas as pd

from musiclatent import audio
from musiclatent.analysis import neighbours, pooling
from musiclatent.config import Study
from musiclatent.data import folders
from musiclatent.display import map_html
from musiclatent.errors import AudioError
from musiclatent.features import fingerprint
from musiclatent.files import hashes, progress, release, unique_names, write_file
from musiclatent.latents import representations
from musiclatent.latents.representations import Representation

if TYPE_CHECKING:
    from musiclatent.latents.store import Latents
    from musiclatent.models.base import LitModule
    from musiclatent.training.run_folder import Run

NEAREST = 3  # training recordings named for each file
ENDINGS = ("_original.wav", "_reconstruction.wav", ".png")
BATCH = 64  # windows summarised at once
PLAYERS, PLAYER_S = 12, 12.0  # a quarter of a second of work for each 20 s of mp3
LISTED = 1_000  # tracks on the page: nobody reads on, and a browser would wait for 100,000
JOBS = 2  # files that are read at once
MANY = 64  # files from which processes pay for loading torch each
AWAY = 0.5  # of the way from what the tracks shall not be like
CHECKED = 10  # nearest tracks that may be the same recording; a copy lies among them
T = TypeVar("T")


def encode_own_files(
    run: "Run",
    study: Study,
    *,
    files: Sequence[Path],
    folder: Path,
    training: "Latents | None" = None,
    scheduler: str | None = None,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Encode files, rebuild them beside their originals, and report how near the model's music is.

    Parameters
    ----------
    run
        A trained experiment.
    study
        Its study, which knows the rate and the length of a window.
    files
        Audio files of any format, rate and length.
    folder
        Where everything goes: the latents; for each file ``NAME_original.wav`` and
        ``NAME_reconstruction.wav`` at the model's rate, mono, and the picture ``NAME.png``; and
        both tables as ``files.csv`` and ``quarantine.csv``.
    training
        Latents of the corpus that the model was trained on; None leaves its columns out.
    scheduler
        Address of a Dask scheduler that takes the encoding; None for processes of this machine
        where there are `MANY` files.

    Returns
    -------
    files : DataFrame
        One row per file that could be read: name, path, seconds, mse, sisdr (dB), mrstft, and from
        the training recordings nearest (names with distances), nearest_distance, percentile (of
        their own distances, 0 to 100) and note, a sentence.
    quarantine : DataFrame
        Files set aside: path, reason.

    Raises
    ------
    ValueError
        If there are no files, or none can be read.
    """
    from musiclatent.latents import encode

    files = list(dict.fromkeys(Path(file).absolute() for file in files))
    where = {"n_jobs": JOBS if len(files) >= MANY else 1, "scheduler": scheduler}
    encoded, reasons = encode.encode_files(run, study, files=files, folder=folder, **where)
    model = run.load()
    usable = [file for file in files if str(file) not in reasons]
    names = unique_names(usable, folder, ENDINGS)
    bar = progress(usable, "rebuild", "file")
    table = pd.DataFrame([_rebuild(model, study, file, folder, names[file]) for file in bar])
    if training is not None:
        vectors = _vectors(encoded, encoded.items["path"]).loc[table["path"]].to_numpy()
        table = pd.concat([table, _place(vectors, training)], axis=1)
    quarantine = pd.DataFrame(reasons.items(), columns=["path", "reason"])
    write_file(folder / "files.csv", table.to_csv(index=False))
    write_file(folder / "quarantine.csv", quarantine.to_csv(index=False))
    return table, quarantine


def _rebuild(model: "LitModule", study: Study, file: Path, folder: Path, name: str) -> dict:
    """Write the sounds and the picture of one file; return its row."""
    import matplotlib.pyplot as plt

    from musiclatent.data import datamodules
    from musiclatent.display import sounds, style
    from musiclatent.evaluation import reconstruction
    from musiclatent.latents import decode

    original, rebuilt, picture = (folder / f"{name}{end}" for end in ENDINGS)
    sr, window_s = study.sr, study.window_s
    audio.write_blocks(original, audio.blocks(file, sr), sr)
    audio.write_blocks(
        rebuilt, decode.rebuild(model, original, transform=datamodules.transform(study)), sr
    )
    seconds = audio.info(original).seconds
    part = {"start_s": max(0.0, (seconds - window_s) / 2), "duration_s": window_s}
    x, x_hat = (audio.read(path, **part)[0] for path in (original, rebuilt))
    plt.close(style.save_figure(sounds.reconstructions(x, {"rebuilt": x_hat}, sr), picture))
    row = {"name": name, "path": str(file), "seconds": seconds}
    return row | reconstruction.measure(original, rebuilt, sr, window_s=window_s)


def _place(vectors: np.ndarray, training: "Latents") -> pd.DataFrame:
    """Report the training recordings nearest to each vector (B, S), and if it lies outside."""
    audible = training.items["split"].eq("train") & ~training.items["silent"]
    corpus = _vectors(training, training.items["item_id"].where(audible))
    distances, indices = neighbours.nearest(vectors, corpus.to_numpy(), NEAREST)
    percentiles = neighbours.percentile(vectors, corpus.to_numpy())
    rows = []
    for near, far, percentile in zip(indices, distances, percentiles, strict=True):
        named = [f"{corpus.index[i]} ({d:.3g})" for i, d in zip(near, far, strict=True)]
        row = {"nearest": ", ".join(named), "nearest_distance": far[0], "percentile": percentile}
        rows.append(row | {"note": neighbours.describe_percentile(percentile)})
    return pd.DataFrame(rows)


def _vectors(encoded: "Latents", names: pd.Series) -> pd.DataFrame:
    """Return one vector per recording; `names` has one per window, or none to leave it out."""
    provenance = encoded.provenance
    names = names.reset_index(drop=True).dropna()
    rows = {}
    for name, windows in names.groupby(names, sort=False).groups.items():
        parts = np.array_split(windows, -(-len(windows) // BATCH))
        batches = (pooling.as_channels(encoded.z[part], provenance) for part in parts)
        rows[name] = pooling.recording_vector(batches, provenance["input"])
        release(encoded.z)
    return pd.DataFrame.from_dict(rows, orient="index")


def similar(
    representation: Representation,
    *,
    file: Path,
    music: Path,
    out: Path,
    same: bool = False,
    more: Sequence[Path] = (),
    unlike: Sequence[Path] = (),
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rank the tracks of a folder by how near they lie to a file, or to the middle of some.

    Parameters
    ----------
    representation
        By what recordings are compared.
    file
        An audio file; it may lie in the folder.
    music
        A folder of music, searched with all that lies in it; no labels are needed.
    out
        Where the list goes as ``similar.html``, which plays, and as ``similar.csv``; and the
        vector of each track, so that the next call need not decode it again.
    same
        Whether the file itself and other cuts of its recording are ranked too; else the nearest
        `CHECKED` tracks are compared with it by their fingerprints.
    more, unlike
        Further examples, and what the tracks shall not be like: the middle of all examples is moved
        away from the middle of those, by half of what lies between them (J. J. Rocchio, Relevance
        feedback in information retrieval, 1971).

    Returns
    -------
    tracks : DataFrame
        The nearest first: rank, title, distance, path.
    left_out : DataFrame
        What was not ranked: path, reason.

    Raises
    ------
    AudioError
        If `file` cannot be read.
    ValueError
        If the folder is missing, or holds no audio that can be read and is another recording.
    """
    files, store = folders.index(Path(music)), out / "vectors"
    examples = [Path(path) for path in (file, *more, *unlike)]
    queries = [representations.stored(representation, path, store) for path in examples]
    vectors = _stacked(queries, representation, files, store)
    usable = files[files["reason"].eq("")]
    _need(usable, files, music)
    representation.compare(vectors)
    query = _between(vectors[: 1 + len(more)], vectors[1 + len(more) : len(examples)])
    tracks = _ranked(query, vectors[len(examples) :], usable)
    if not same:
        names = " or ".join(path.name for path in examples)
        reason = f"it is the same recording as {names}; --same ranks it too"
        near = tracks["path"][: CHECKED * len(examples)]
        copies = tracks["path"].isin(same_recordings(examples, near, out))
        files.loc[files["path"].isin(tracks["path"][copies]), "reason"] = reason
        tracks = tracks[~copies].reset_index(drop=True)
        _need(tracks, files, music)
    tracks.insert(0, "rank", tracks.index + 1)
    write_file(out / "similar.csv", tracks.to_csv(index=False))
    write_file(out / "similar.html", page(representation.name, Path(file), Path(music), tracks))
    return tracks, files.loc[files["reason"].ne(""), ["path", "reason"]]


def _stacked(
    queries: Sequence[np.ndarray], representation: Representation, files: pd.DataFrame, store: Path
) -> np.ndarray:
    """Return the vectors (Q + B, D) of examples and of files; why others have none goes to `files`.

    They stand once in memory and in 32 bits, for there may be 100,000.
    """
    rows = files.index[files["reason"].eq("")]  # else the name itself is no text
    x = np.empty((len(queries) + len(rows), len(queries[0])), np.float32)
    x[: len(queries)] = queries
    end = len(queries)
    for row, found in zip(rows, measured(representation, files["path"][rows], store), strict=True):
        if isinstance(found, str):
            files.loc[row, "reason"] = found
        else:
            x[end], end = found, end + 1
    return x[:end]


def _need(tracks: pd.DataFrame, files: pd.DataFrame, music: Path) -> None:
    """Refuse a folder of which no file is left."""
    if tracks.empty:
        reason = files["reason"].iloc[0]
        raise ValueError(f"{music}: none of its {len(files)} files can be ranked; {reason}")


def _between(like: np.ndarray, unlike: np.ndarray) -> np.ndarray:
    """Return the middle (D,) of examples, moved away from the middle of counterexamples."""
    middle = like.mean(axis=0)
    return middle + AWAY * (middle - unlike.mean(axis=0)) if len(unlike) else middle


def same_recordings(files: Sequence[Path], paths: Sequence[str], out: Path) -> list[str]:
    """Return those paths that hold the same recording as one of the files, in any codec or cut.

    Parameters
    ----------
    files, paths
        Audio files.
    out
        Where fingerprints are kept.
    """
    groups = recordings([*files, *paths], out)
    asked = set(groups[: len(files)])
    return [path for path, g in zip(paths, groups[len(files) :], strict=True) if g in asked]


def recordings(paths: Sequence[Path | str], out: Path) -> np.ndarray:
    """Return a number (n,) for each file, equal for files of the same recording.

    Parameters
    ----------
    paths
        Audio files.
    out
        Where fingerprints are kept.
    """
    pairs = fingerprint.find_duplicates(paths, store=out / "fingerprints.parquet")
    return fingerprint.connected_groups(len(paths), pairs)


def measured(
    representation: Representation, paths: Sequence[str], store: Path
) -> Iterable[np.ndarray | str]:
    """Yield the vector (D,) of each file, or why it has none.

    Parameters
    ----------
    representation
        What measures.
    paths
        Audio files.
    store
        Where vectors and hashes are kept.
    """
    known = dict(zip(paths, hashes(paths, store / "hashes.json"), strict=True))

    def tried(path: str) -> np.ndarray | str:
        try:
            return representations.stored(representation, Path(path), store, sha256=known[path])
        except AudioError as error:
            return error.advice

    return progress(_side_by_side(tried, paths), "similar", "file", total=len(paths))


def _side_by_side(function: Callable[[str], T], paths: Sequence[str]) -> Iterable[T]:
    """Return what a function gives of each file, in their order."""
    parallel = joblib.Parallel(JOBS, prefer="threads", return_as="generator")
    return parallel(joblib.delayed(function)(path) for path in paths)


def _ranked(query: np.ndarray, vectors: np.ndarray, files: pd.DataFrame) -> pd.DataFrame:
    """Sort files by the distance of their vectors (B, D) from one (D,); ties by title."""
    distances = [float(np.linalg.norm(row - query)) for row in vectors]
    tracks = files.rename(columns={"item_id": "title"}).assign(distance=distances)
    tracks = tracks.sort_values(["distance", "title"], ignore_index=True)
    return tracks[["title", "distance", "path"]]


def page(
    compared_by: str, file: Path, music: Path, tracks: pd.DataFrame, *, path: bool = False
) -> str:
    """Write a list of tracks as html, `LISTED` at most; the first with their sound inside.

    Parameters
    ----------
    compared_by
        By what the tracks are compared.
    file
        What was asked for.
    music
        The folder.
    tracks
        title, path, distance.
    path
        Whether they lead from one track to another, in place of being ranked.
    """
    total, tracks = len(tracks), tracks if path else tracks[:LISTED]
    sounds = list(_side_by_side(_middle, tracks["path"][:PLAYERS]))
    sounds += [""] * (len(tracks) - len(sounds))
    uris = [Path(path).as_uri() for path in tracks["path"]]
    return map_html.render(
        "similar.html.j2",
        query={"title": file.name, "sound": _middle(str(file))},
        tracks=tracks.assign(sound=sounds, uri=uris).to_dict("records"),
        total=total,
        folder=music.name,
        compared_by=compared_by,
        seconds=round(PLAYER_S),
        path=path,
    )


def _middle(path: str) -> str:
    """Return the middle of a file as mp3; its beginning where the header is no guide."""
    seconds = audio.info(path).seconds
    for start_s in (max(0.0, (seconds - PLAYER_S) / 2), 0.0):
        with suppress(AudioError, ValueError):
            y, sr = audio.read(path, start_s=start_s, duration_s=PLAYER_S)
            return base64.b64encode(audio.to_preview(y, sr)).decode()
    return ""
