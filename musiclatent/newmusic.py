"""Send one's own music through a trained model, and find what sounds like it.

Recordings of any length are compared by one vector each. That of a mel model is the mean embedding
of its windows, that of a variational one their mean latent. That of a waveform model is the mean
level of every map in dB, less that of all maps: neither the phase of the sound, its length nor its
gain counts, and a distance is the difference in dB, root mean square over the maps. Level
statistics of frames are the oldest measure of timbre similarity: Logan and Salomon (2001), A music
similarity function based on signal analysis.
"""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

import jinja2
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from musiclatent import (
    atoms,
    audio,
    config,
    corpora,
    demo,
    latents,
    neighbours,
    plots,
    resynthesis,
    runs,
)
from musiclatent.config import Study, Workspace
from musiclatent.datasets import plain
from musiclatent.errors import AudioError
from musiclatent.files import progress, sha256_of, unique_names, whole_file, write_file
from musiclatent.latents import Latents
from musiclatent.models.blocks import Trained
from musiclatent.runs import Run
from musiclatent.spectrograms import transform

NEAREST = 3  # training recordings named for each file
ENDINGS = ("_original.wav", "_reconstruction.wav", ".png")
BATCH = 64  # windows summarised at once
POOL = 8  # frames whose energy is added up, so that the phase of a single one does not count
VERSION = 1  # raise by hand when vectors change
PLAYERS, PLAYER_S = 30, 20.0  # so that the page stays below six megabytes

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Like {{ query.title }}</title>
<style>
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 48rem; margin: 0 auto; padding: 1rem; }
li { padding: .4rem 0; border-bottom: 1px solid #8886; overflow-wrap: anywhere; }
figure { margin: .3rem 0; } audio { width: 100%; } small { opacity: .75; }
</style>
</head>
<body>
<h1>Like {{ query.title }}</h1>
{{ query.player | safe }}
<p>The {{ tracks | length }} tracks of {{ folder }}, the nearest first. The distance is that between
the tracks' summaries in the latent space of {{ experiment }}; it means something only beside the
others. Players hold {{ seconds }} s from the middle; the names lead to the whole files.</p>
<ol>
{% for track in tracks %}
<li><a href="{{ track.uri }}">{{ track.title }}</a>
<small>distance {{ "%.4g" | format(track.distance) }}</small>{{ track.player | safe }}</li>
{% endfor %}
</ol>
</body>
</html>
"""


def encode(
    run: Run, study: Study, files: Sequence[Path], folder: Path, training: Latents | None = None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Encode files, rebuild them beside their originals, and say how well the model knows them.

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
        One row a file that could be read: name, path, seconds, mse, sisdr (dB), mrstft, and from
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
    encoded, reasons = latents.encode_files(run, study, files, folder)
    model = runs.load(run.checkpoint, run.experiment)
    known = [file for file in files if str(file) not in reasons]
    bases = unique_names(known, folder, ENDINGS)
    bar = progress(known, "rebuild", "file")
    table = pd.DataFrame([_rebuild(model, study, file, folder / bases[file]) for file in bar])
    if training is not None:
        vectors = _vectors(encoded, encoded.items["path"]).loc[table["path"]].to_numpy()
        table = pd.concat([table, _place(vectors, training)], axis=1)
    quarantine = pd.DataFrame(reasons.items(), columns=["path", "reason"])
    write_file(folder / "files.csv", table.to_csv(index=False))
    write_file(folder / "quarantine.csv", quarantine.to_csv(index=False))
    return table, quarantine


def examples(space: Workspace) -> list[Path]:
    """Return files that no model of this profile was trained on.

    Parameters
    ----------
    space
        Names the profile: real ones take ``new_music`` in the data folder, the others render two
        dance tracks.

    Raises
    ------
    CorpusError
        If the folder is missing or holds no music.
    """
    profile = config.profile(space.profile)
    if not profile.demo:
        folder = config.data_root() / "new_music"
        corpora.require("new_music", config.data_root())
        return [folder / name for name in plain(folder)["item_id"]]
    size = config.PROFILES["tiny"].demo
    tracks = demo.render("dance", size, space.base / "corpora" / "new-music", seed=config.SEED + 1)
    return [Path(path) for path in tracks["path"].iloc[:2]]


def _products(base: Path) -> list[Path]:
    """Return the paths of the original, the reconstruction and the picture."""
    return [base.with_name(base.name + end) for end in ENDINGS]


def _rebuild(model: Trained, study: Study, file: Path, base: Path) -> dict:
    """Write the sounds and the picture of one file; return its row."""
    original, rebuilt, picture = _products(base)
    sr, window_s = study.sr, study.window_s
    audio.write_blocks(original, audio.blocks(file, sr), sr)
    audio.write_blocks(rebuilt, resynthesis.rebuild(model, original, transform(study)), sr)
    seconds = audio.info(original).seconds
    part = {"start_s": max(0.0, (seconds - window_s) / 2), "duration_s": window_s}
    x, x_hat = (audio.read(path, **part)[0] for path in (original, rebuilt))
    plt.close(plots.save(plots.reconstructions(x, {"rebuilt": x_hat}, sr), picture))
    row = {"name": base.name, "path": str(file), "seconds": seconds}
    return row | resynthesis.measure(original, rebuilt, sr, window_s)


def _place(vectors: np.ndarray, training: Latents) -> pd.DataFrame:
    """Say which training recordings lie nearest to each vector (B, S), and if it lies outside."""
    heard = training.items["split"].eq("train") & ~training.items["silent"]
    corpus = _vectors(training, training.items["item_id"].where(heard))
    distances, indices = neighbours.nearest(vectors, corpus.to_numpy(), NEAREST)
    percentiles = neighbours.percentile(vectors, corpus.to_numpy())
    rows = []
    for near, far, percentile in zip(indices, distances, percentiles, strict=True):
        named = [f"{corpus.index[i]} ({d:.3g})" for i, d in zip(near, far, strict=True)]
        row = {"nearest": ", ".join(named), "nearest_distance": far[0], "percentile": percentile}
        rows.append(row | {"note": neighbours.sentence(percentile)})
    return pd.DataFrame(rows)


def _vectors(encoded: Latents, names: pd.Series) -> pd.DataFrame:
    """Return one vector a recording; `names` has one a window, or none to leave it out."""
    about, make = encoded.provenance, _VECTOR[encoded.provenance["input"]]
    names = names.reset_index(drop=True).dropna()
    rows = {}
    for name, windows in names.groupby(names, sort=False).groups.items():
        parts = np.array_split(windows, -(-len(windows) // BATCH))
        rows[name] = make(atoms.maps(encoded.z[part], about) for part in parts)
    return pd.DataFrame.from_dict(rows, orient="index")


def vector(batches: Iterable[np.ndarray]) -> np.ndarray:
    """Summarise a recording by the levels of its maps.

    Parameters
    ----------
    batches
        Latents (B, K, T) of its windows, some at a time.

    Returns
    -------
    ndarray
        (K,) dB / sqrt(K): mean over time, where louder windows count more, less the mean over the
        maps. The Euclidean distance of two is in dB.
    """
    levels, weights = zip(*(_levels(z) for z in batches), strict=True)
    mean = np.average(np.concatenate(levels), axis=0, weights=np.concatenate(weights))
    return mean / np.sqrt(len(mean))


def _levels(z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return mean levels (B, K) of windows (B, K, T) in dB, centred, and the windows' weights."""
    pool = min(POOL, z.shape[2])
    power = np.square(z[..., : z.shape[2] // pool * pool], dtype=np.float64)
    power = power.reshape(*z.shape[:2], -1, pool).mean(axis=3)  # B x K x (T / pool)
    # 40 dB below the loudest nothing is heard, and a codec leaves nothing but its own noise.
    floor = 1e-4 * power.max(axis=(1, 2), keepdims=True) + 1e-10
    levels = 10 * np.log10(power + floor).mean(axis=2)
    weights = np.sqrt(power.mean(axis=(1, 2))) + 1e-9
    return levels - levels.mean(axis=1, keepdims=True), weights


def direction(batches: Iterable[np.ndarray]) -> np.ndarray:
    """Summarise a recording by what its windows have in common, as a triplet loss compares them.

    Parameters
    ----------
    batches
        Latents (B, K, T) of its windows, some at a time.

    Returns
    -------
    ndarray
        (3K,): the mean of the windows' embeddings, see `neighbours.embedding`.
    """
    return np.concatenate([neighbours.embedding(z) for z in batches]).mean(axis=0)


def middle(batches: Iterable[np.ndarray]) -> np.ndarray:
    """Summarise a recording by the mean (D,) of its windows' latents (B, K, T)."""
    return np.concatenate([z.reshape(len(z), -1) for z in batches]).mean(axis=0)


_VECTOR = {"waveform": vector, "logmel": direction, "logstft": middle}


def similar(
    run: Run, study: Study, file: Path, music: Path, out: Path
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
        Where the list goes as ``similar.html``, which plays, and as ``similar.csv``; and what is
        known of each track, so that the next call need not decode it again.

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
    found = plain(Path(music))
    model, store = runs.load(run.checkpoint, run.experiment), _store(run, out)
    query = _known_vector(model, study, store, Path(file))
    named = found["reason"].eq("")  # else the name itself is no text
    rows, quarantine = [], list(found.loc[~named, ["path", "reason"]].itertuples(index=False))
    todo = found.loc[named, ["item_id", "path"]].to_numpy()
    for title, path in progress(todo, "similar", "file"):
        try:
            rows.append((title, path, _known_vector(model, study, store, Path(path))))
        except AudioError as error:
            quarantine.append((path, error.advice))
    if not rows:
        raise ValueError(f"{music}: none of its {len(found)} files can be read; {quarantine[0][1]}")
    tracks = _ranked(query, rows)
    write_file(out / "similar.csv", tracks.to_csv(index=False))
    write_file(out / "similar.html", _page(run, Path(file), Path(music), tracks))
    return tracks, pd.DataFrame(quarantine, columns=["path", "reason"])


def _store(run: Run, out: Path) -> Path:
    """Return the folder of the vectors that this checkpoint makes."""
    store = out / "vectors" / f"{sha256_of(run.checkpoint)[:16]}-{VERSION}"
    store.mkdir(parents=True, exist_ok=True)
    return store


def _known_vector(model: Trained, study: Study, store: Path, path: Path) -> np.ndarray:
    """Return the vector (S,) of a file, from the store if these bytes were encoded before."""
    audio.info(path)  # says what is wrong with a path that cannot be opened
    stored = store / f"{sha256_of(path)}.npy"
    with suppress(OSError, ValueError, EOFError):
        return np.load(stored, allow_pickle=False)
    what = transform(study)
    about, batches = latents.form(model, what), latents.encode(model, path, what)
    found = _VECTOR[what.kind](atoms.maps(z, about) for _, z in batches)
    with whole_file(stored) as part, part.open("wb") as file:
        np.save(file, found)
    return found


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
    template = jinja2.Environment(autoescape=True).from_string(_PAGE)
    return template.render(
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
            return plots.player(y, sr, "")
    return ""
