"""Send one's own music through a trained model, and find what sounds like it."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from musiclatent import audio
from musiclatent.analysis import neighbours, pooling
from musiclatent.config import Study
from musiclatent.data import datamodules, folders
from musiclatent.display import map_html, sounds, style
from musiclatent.errors import AudioError
from musiclatent.evaluation import reconstruction
from musiclatent.files import progress, sha256_of, unique_names, whole_file, write_file
from musiclatent.latents import decode, encode
from musiclatent.latents.store import Latents
from musiclatent.models.base import LitModule
from musiclatent.training.run_folder import Run

NEAREST = 3  # training recordings named for each file
ENDINGS = ("_original.wav", "_reconstruction.wav", ".png")
BATCH = 64  # windows summarised at once
CACHE_VERSION = 1  # raise by hand when vectors change
PLAYERS, PLAYER_S = 30, 20.0  # so that the page stays below six megabytes


def encode_own_files(
    run: Run, study: Study, *, files: Sequence[Path], folder: Path, training: Latents | None = None
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
    files = list(dict.fromkeys(Path(file).absolute() for file in files))
    encoded, reasons = encode.encode_files(run, study, files=files, folder=folder)
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


def _rebuild(model: LitModule, study: Study, file: Path, folder: Path, name: str) -> dict:
    """Write the sounds and the picture of one file; return its row."""
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


def _place(vectors: np.ndarray, training: Latents) -> pd.DataFrame:
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


def _vectors(encoded: Latents, names: pd.Series) -> pd.DataFrame:
    """Return one vector per recording; `names` has one per window, or none to leave it out."""
    provenance = encoded.provenance
    names = names.reset_index(drop=True).dropna()
    rows = {}
    for name, windows in names.groupby(names, sort=False).groups.items():
        parts = np.array_split(windows, -(-len(windows) // BATCH))
        batches = (pooling.as_channels(encoded.z[part], provenance) for part in parts)
        rows[name] = pooling.recording_vector(batches, provenance["input"])
    return pd.DataFrame.from_dict(rows, orient="index")


def similar(
    run: Run, study: Study, *, file: Path, music: Path, out: Path
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rank the tracks of a folder by how near they lie to a file.

    Parameters
    ----------
    run
        A trained experiment.
    study
        Its study, which knows the rate and the length of a window.
    file
        An audio file; it may lie in the folder.
    music
        A folder of music, searched with all that lies in it; no labels are needed.
    out
        Where the list goes as ``similar.html``, which plays, and as ``similar.csv``; and the
        vector of each track, so that the next call need not decode it again.

    Returns
    -------
    tracks : DataFrame
        The nearest first: rank, title, distance, path.
    quarantine : DataFrame
        Files set aside: path, reason.

    Raises
    ------
    AudioError
        If `file` cannot be read.
    ValueError
        If the folder is missing or holds no audio that can be read.
    """
    files = folders.index(Path(music))
    model = run.load()
    store = out / "vectors" / f"{run.sha256[:16]}-{CACHE_VERSION}"
    store.mkdir(parents=True, exist_ok=True)
    query = _stored_vector(model, study, store, Path(file))
    named = files["reason"].eq("")  # else the name itself is no text
    rows, quarantine = [], list(files.loc[~named, ["path", "reason"]].itertuples(index=False))
    titles = files.loc[named, ["item_id", "path"]].to_numpy()
    for title, path in progress(titles, "similar", "file"):
        try:
            rows.append((title, path, _stored_vector(model, study, store, Path(path))))
        except AudioError as error:
            quarantine.append((path, error.advice))
    if not rows:
        raise ValueError(f"{music}: none of its {len(files)} files can be read; {quarantine[0][1]}")
    tracks = _ranked(query, rows)
    write_file(out / "similar.csv", tracks.to_csv(index=False))
    write_file(out / "similar.html", _page(run, Path(file), Path(music), tracks))
    return tracks, pd.DataFrame(quarantine, columns=["path", "reason"])


def _stored_vector(model: LitModule, study: Study, store: Path, path: Path) -> np.ndarray:
    """Return the vector (S,) of a file, from the store if these bytes were encoded before."""
    audio.info(path)  # says what is wrong with a path that cannot be opened
    stored = store / f"{sha256_of(path)}.npy"
    with suppress(OSError, ValueError, EOFError):
        return np.load(stored, allow_pickle=False)
    transform = datamodules.transform(study)
    spec, windows = encode.latent_spec(model, transform), encode.encode(model, path, transform)
    batches = (pooling.as_channels(z, spec) for _, z in windows)
    vector = pooling.recording_vector(batches, transform.kind)
    with whole_file(stored) as part, part.open("wb") as file:
        np.save(file, vector)
    return vector


def _ranked(query: np.ndarray, rows: list[tuple[str, str, np.ndarray]]) -> pd.DataFrame:
    """Sort tracks (title, path, vector) by their distance from the query; ties by title."""
    titles, paths, vectors = zip(*rows, strict=True)
    distances, indices = neighbours.nearest(query[None], np.stack(vectors), len(rows))
    tracks = pd.DataFrame({"title": titles, "path": paths}).iloc[indices[0]]
    tracks = tracks.assign(distance=distances[0])
    tracks = tracks.sort_values(["distance", "title"], ignore_index=True)
    return tracks.assign(rank=tracks.index + 1)[["rank", "title", "distance", "path"]]


def _page(run: Run, file: Path, music: Path, tracks: pd.DataFrame) -> str:
    """Write the ranked list as html; the first tracks with their sound inside."""
    players = [_player(Path(path)) for path in tracks["path"][:PLAYERS]]
    players += [""] * (len(tracks) - len(players))
    uris = [Path(path).as_uri() for path in tracks["path"]]
    rows = tracks.assign(player=players, uri=uris).to_dict("records")
    return map_html.render(
        "similar.html.j2",
        query={"title": file.name, "player": _player(file)},
        tracks=rows,
        folder=music.name,
        experiment=run.experiment.name,
        seconds=round(PLAYER_S),
    )


def _player(path: Path) -> str:
    """Return a player of the middle of a file; of its beginning where the header is no guide."""
    seconds = audio.info(path).seconds
    for start_s in (max(0.0, (seconds - PLAYER_S) / 2), 0.0):
        with suppress(AudioError, ValueError):
            y, sr = audio.read(path, start_s=start_s, duration_s=PLAYER_S)
            return sounds.player(y, sr, "")
    return ""
