"""Evaluate latents by what they help with: genre, duplicates, interpolation paths, known factors.

A dense latent (B, K, T) is compared as it is, and by its levels: mean and deviation over time of
the log energy of each component, in which phase does not count. A sparse code is replaced by the
energy of its atoms, see `musiclatent.analysis.pooling`: by its root as the latent, by its logarithm
as what is compared.
"""

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import librosa
import numpy as np
import pandas as pd
from sklearn.metrics import pairwise_distances

from musiclatent import audio, files
from musiclatent.analysis import duplicates, neighbours, pooling
from musiclatent.audio.windows import Transform
from musiclatent.data.datamodules import CorpusDataModule
from musiclatent.evaluation import linear_probes, rate_distortion
from musiclatent.evaluation.rate_distortion import ModelCodec
from musiclatent.latents import decode, encode, generation
from musiclatent.latents.store import Latents

N_FFT = 1024  # of the log spectrograms in which a path is compared
POOL = 8  # frames whose energy is added up, so that the phase of one does not count
PAIRS, STEPS = 20, 9  # paths between held-out excerpts, and sounds on each
FLOOR = 1e-8
COPIED, GAIN, OFFSET_S = 6, 0.5, 0.23  # recordings that are duplicated, and how duplicates differ


def smoothness(sounds: np.ndarray) -> float:
    """Compare the largest step between neighbouring sounds with the mean step.

    Parameters
    ----------
    sounds
        (B, N), in order.

    Returns
    -------
    float
        1 for equal steps; B - 1 where all of the path is one step. NaN where nothing changes.
    """
    steps = np.sqrt(np.square(np.diff(np.asarray(sounds, float), axis=0)).mean(axis=1))
    return float(steps.max() / steps.mean()) if steps.any() else float("nan")


def sample_windows(items: pd.DataFrame, recordings: int, windows: int) -> np.ndarray:
    """Choose some windows of a corpus: a pair of each kind of duplicate first, then evenly.

    Parameters
    ----------
    items
        One row per window: item_id, group, split, start_s, silent, and copy_kind where known.
    recordings
        At most so many recordings.
    windows
        The first so many of each.

    Returns
    -------
    ndarray
        Rows of `items` with sound, in their order.
    """
    audible = items[~items["silent"].astype(bool)]
    tracks = audible.drop_duplicates("item_id")
    copies: list[str] = []
    if "copy_kind" in tracks:
        pairs = tracks[tracks["copy_kind"].ne("")].drop_duplicates("copy_kind")["group"]
        copies = tracks["item_id"][tracks["group"].isin(pairs)].tolist()[:recordings]
    rest = tracks[~tracks["item_id"].isin(copies)].sort_values("split", kind="stable")["item_id"]
    places = np.linspace(0, len(rest) - 1, min(len(rest), recordings - len(copies)))
    chosen = audible["item_id"].isin([*copies, *rest.iloc[places.astype(int)]])
    return audible.index[chosen & (audible.groupby("item_id").cumcount() < windows)].to_numpy()


def sample_rows(data: CorpusDataModule, recordings: int, windows: int) -> np.ndarray:
    """Return rows of a corpus that `sample_windows` chooses."""
    data.setup()
    return sample_windows(data.window_items(), recordings, windows)


def waveforms(data: CorpusDataModule, rows: np.ndarray) -> tuple[np.ndarray, pd.DataFrame]:
    """Return waveforms (B, N) of rows of a corpus, and their items."""
    items = data.window_items().iloc[rows].reset_index(drop=True)
    cached = data.cached.items["row"].to_numpy()[rows]
    return data.transform.model_input(np.array(data.cached.x[cached])), items


def plant_duplicates(
    x: np.ndarray, items: pd.DataFrame, sr: int
) -> tuple[np.ndarray, pd.DataFrame]:
    """Make changed duplicates of some recordings, for a corpus without known ones.

    Parameters
    ----------
    x
        Waveforms (B, N) of consecutive windows of recordings.
    items
        One row per window: item_id.
    sr
        Sampling rate in Hz.

    Returns
    -------
    x
        Waveforms (B', N) of `COPIED` recordings, each four times: the same, half as loud, as mp3,
        and begun later.
    items
        Their items: of `items`, with item_id, group, copy_of and copy_kind of the duplicates.
    """
    names, sounds, rows = items["item_id"].unique(), [], []
    for name in names[np.linspace(0, len(names) - 1, min(COPIED, len(names))).astype(int)]:
        chosen = items["item_id"].eq(name).to_numpy()
        y = x[chosen].ravel()
        later = y[round(OFFSET_S * sr) :]
        copies = {"exact": y, "gain": GAIN * y, "codec": _as_mp3(y, sr), "offset": later}
        for kind, copy in copies.items():
            n = len(copy) // x.shape[1]
            sounds.append(copy[: n * x.shape[1]].reshape(-1, x.shape[1]))
            about = {"item_id": f"{name}, {kind}", "group": name, "copy_of": name}
            rows.append(items[chosen].head(n).assign(**about, copy_kind=kind))
    return np.concatenate(sounds), pd.concat(rows, ignore_index=True)


def _as_mp3(y: np.ndarray, sr: int) -> np.ndarray:
    """Return a waveform (N,) as mp3 leaves it."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "copy.mp3"
        path.write_bytes(audio.to_mp3(y, sr))
        return audio.read(path, sr)[0]


def encode_waveforms(
    coder: ModelCodec, x: np.ndarray, items: pd.DataFrame, transform: Transform
) -> Latents:
    """Encode waveforms (B, N) of a transform, whose items are given."""
    parts = np.split(x, range(rate_distortion.BATCH, len(x), rate_distortion.BATCH))
    z = np.concatenate([coder.encode(part) for part in files.progress(parts, "encode", "batch")])
    return Latents(z.reshape(len(z), -1), items, encode.latent_spec(coder.model, transform))


def level_statistics(z: np.ndarray) -> np.ndarray:
    """Return mean and deviation over time of the log energy of each component: (B, 2K)."""
    frames = max(POOL, z.shape[2] // POOL * POOL)  # what is shorter is padded
    z = librosa.util.fix_length(z, size=frames)
    energy = np.square(z.reshape(*z.shape[:2], -1, POOL)).mean(axis=3)
    return pooling.mean_and_deviation(np.log(energy + FLOOR))


def comparison_vectors(coder: ModelCodec, latents: Latents) -> dict[str, np.ndarray]:
    """Return what windows are compared by: `whole` and `levels`, see the module."""
    z = pooling.as_channels(latents.z, latents.provenance)
    whole = z if coder.form == "dense" else np.log(np.square(z) + FLOOR)
    return {"whole": whole.reshape(len(z), -1), "levels": level_statistics(z)}


def genre_accuracy(x: np.ndarray, items: pd.DataFrame, k: int = neighbours.K) -> dict[str, float]:
    """Predict the genre of each clip by the neighbours of its excerpts in other clips.

    Parameters
    ----------
    x
        Vectors (B, D) of excerpts; standardised over all of them, as no label is needed for that.
    items
        One row per excerpt: label (rows without one are left out), group.
    k
        Neighbours that vote for each excerpt, none of them from the group of its clip.

    Returns
    -------
    dict
        ``accuracy`` of the majority of all votes for a clip, ``excerpts`` of each excerpt, and
        ``clips``, how many there were; NaN where no other clip is there.
    """
    labelled = items["label"].ne("").to_numpy()
    x, items = x[labelled], items[labelled]
    labels, groups = items["label"].to_numpy(str), items["group"].to_numpy(str)
    if len(np.unique(groups)) < 2:
        return {"accuracy": np.nan, "excerpts": np.nan, "clips": len(np.unique(groups))}
    distance = pairwise_distances(neighbours.standardise(x)[0])
    distance[groups[:, None] == groups] = np.inf
    near = np.argsort(distance, axis=1, kind="stable")[:, :k]
    valid = np.isfinite(np.take_along_axis(distance, near, 1))
    names = np.unique(labels)
    counts = ((labels[near][..., None] == names) & valid[..., None]).sum(axis=1)  # B x names
    votes = pd.DataFrame(counts, columns=names)
    clips = votes.assign(item_id=items["item_id"].array, label=labels).groupby(["item_id", "label"])
    right = clips.sum().idxmax(axis=1)
    return {
        "accuracy": (right == right.index.get_level_values("label")).mean(),
        "excerpts": (votes.idxmax(axis=1) == labels).mean(),
        "clips": len(right),
    }


def duplicate_scores(
    coder: ModelCodec, latents: Latents, *, x: np.ndarray, transform: Transform
) -> dict[str, float]:
    """Evaluate how duplicates are found: those that a corpus knows, else planted ones.

    Parameters
    ----------
    coder
        A trained model.
    latents
        Latents of waveforms; copy_kind in their items where duplicates are known.
    x, transform
        Those waveforms (B, N), and what made them.

    Returns
    -------
    dict
        ``recall``, the mean over the kinds of duplicates, and ``precision``.
    """
    if "copy_kind" not in latents.items:
        items = latents.items.assign(group=latents.items["item_id"], copy_of="")
        copies = encode_waveforms(coder, *plant_duplicates(x, items, transform.sr), transform)
        items = pd.concat([items, copies.items], ignore_index=True)
        latents = Latents(np.concatenate([latents.z, copies.z]), items, latents.provenance)
    metrics = pd.Series(duplicates.evaluate(duplicates.find(latents), latents.items))
    recall = metrics.filter(like="recall").mean()
    return {"recall": float(recall), "precision": metrics["repetition_precision"]}


def decode_path(coder: ModelCodec, z_a: np.ndarray, z_b: np.ndarray) -> dict[str, np.ndarray]:
    """Decode the path from one sound to another, in `STEPS` steps.

    Parameters
    ----------
    coder
        A trained model.
    z_a, z_b
        Latents (K, T).

    Returns
    -------
    dict
        ``straight``: sounds (STEPS, N) of the straight path between the latents. That between
        sparse codes weighs the atoms of both, up to 2 k; decoding is linear, so it is a cross-fade.
        ``placed``: sounds of the model's own path, of latents as large as either, if it has one.
    """
    shares = np.linspace(0, 1, STEPS)
    if coder.form == "dense":
        sounds = {"straight": coder.decode(generation.interpolate(z_a, z_b, STEPS))}
    else:
        a, b = coder.decode(np.stack([z_a, z_b]))
        sounds = {"straight": np.stack([(1 - p) * a + p * b for p in shares])}
    placed = decode.interpolate(coder.run, z_a, z_b, shares)
    return sounds if placed is None else sounds | {"placed": coder.decode(placed)}


def evenness(coder: ModelCodec, z: np.ndarray) -> dict[str, float]:
    """Compare the largest step with the mean step on paths between excerpts.

    Parameters
    ----------
    coder
        A trained model.
    z
        Latents (B, K, T) of held-out excerpts, at least two; paths lead from each to the next.

    Returns
    -------
    dict
        Means of `smoothness` over the paths (1 is even): ``straight``, ``placed`` where there is
        such a path, and each of them compared as log spectrograms, with ``_spectra``.
    """
    chosen = z[np.linspace(0, len(z) - 1, min(len(z), PAIRS + 1)).astype(int)]
    rows = []
    for z_a, z_b in pairwise(chosen):
        row = {}
        for name, y in decode_path(coder, z_a, z_b).items():
            spectra = np.log(np.abs(librosa.stft(y, n_fft=N_FFT)) + 1e-2)
            row |= {name: smoothness(y), f"{name}_spectra": smoothness(spectra.reshape(STEPS, -1))}
        rows.append(row)
    return pd.DataFrame(rows).mean().to_dict()


def evaluate_latent(
    coder: ModelCodec, data: CorpusDataModule, rows: np.ndarray
) -> dict[str, float]:
    """Evaluate a latent by genre, duplicates, and even paths.

    Parameters
    ----------
    coder
        A trained model.
    data
        The corpus; of several corpora in one, genre is that of ``gtzan``.
    rows
        Which of its windows.
    """
    x, items = waveforms(data, rows)
    latents = encode_waveforms(coder, x, items, data.transform)
    several = "corpus" in items and items["corpus"].eq("gtzan").any()
    part = (items["corpus"].eq("gtzan") if several else items["label"].ne("")).to_numpy()
    metrics = {}
    for name, v in comparison_vectors(coder, latents).items():
        genre = genre_accuracy(v[part], items[part])
        metrics |= {f"knn_{name}": genre["accuracy"], f"knn_{name}_excerpts": genre["excerpts"]}
    scores = duplicate_scores(coder, latents, x=x, transform=data.transform)
    metrics |= {f"copies_{name}": value for name, value in scores.items()}
    test = latents.shaped()[items["split"].eq("test").to_numpy()]
    return metrics | {f"evenness_{name}": value for name, value in evenness(coder, test).items()}


def downstream_table(
    coders: Mapping[str, ModelCodec],
    music: tuple[CorpusDataModule, np.ndarray],
    *,
    rendered: tuple[CorpusDataModule, np.ndarray],
) -> pd.DataFrame:
    """Compare what latents help with.

    Parameters
    ----------
    coders
        Name -> trained model.
    music, rendered
        The study's corpus and a rendered one, each with the rows that are taken of it.

    Returns
    -------
    DataFrame
        One column per model, one row per figure: see `evaluate_latent`; and ``demo_copies_recall``
        and ``demo_copies_precision`` of the rendered corpus, see `duplicate_scores`.
    """
    x, items = waveforms(*rendered)
    columns = {}
    for name, coder in coders.items():
        latents = encode_waveforms(coder, x, items, rendered[0].transform)
        scores = duplicate_scores(coder, latents, x=x, transform=rendered[0].transform)
        copies = {f"demo_copies_{key}": value for key, value in scores.items()}
        columns[name] = evaluate_latent(coder, *music) | copies
    return pd.DataFrame(columns)


def probe_factors(
    coders: Mapping[str, ModelCodec], data: CorpusDataModule
) -> tuple[pd.DataFrame, dict[str, float]]:
    """Read factors off the latents of clips that were rendered with them.

    Parameters
    ----------
    coders
        Name -> trained model.
    data
        The clips, see `linear_probes.probe_corpus`.

    Returns
    -------
    DataFrame, dict
        As `linear_probes.summarise`, of latents named ``MODEL_whole`` and ``MODEL_levels``.
    """
    data.setup()
    rows = linear_probes.whole_windows(data.window_items(), data.transform.window_s)
    x, items = waveforms(data, rows)
    probes = {}
    for name, coder in coders.items():
        latents = encode_waveforms(coder, x, items, data.transform)
        for view, v in comparison_vectors(coder, latents).items():
            probes[f"{name}_{view}"] = linear_probes.probe(v, items)
    return linear_probes.summarise(probes)
