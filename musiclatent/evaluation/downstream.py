"""Which latent helps what: genre by neighbours, copies, ways between sounds, known factors.

A dense latent (B, K, T) is compared as it is, and by its levels: mean and deviation over time of
the log energy of each component, in which phase does not count. For a sparse code stands the energy
of its atoms, see `musiclatent.analysis.pooling`: its root for the latent, its logarithm for what is compared.
"""

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import librosa
import numpy as np
import pandas as pd
from sklearn.metrics import pairwise_distances

from musiclatent import audio
from musiclatent.analysis import duplicates, neighbours, pooling
from musiclatent.audio.windows import Transform
from musiclatent.data.datamodules import CorpusDataModule
from musiclatent.evaluation import linear_probes
from musiclatent.evaluation.linear_probes import FACTORS
from musiclatent.evaluation.rate_distortion import BATCH, ModelCodec
from musiclatent.files import progress
from musiclatent.latents import generation
from musiclatent.latents.decode import interpolate
from musiclatent.latents.encode import latent_spec
from musiclatent.latents.store import Latents


def smoothness(sounds: np.ndarray) -> float:
    """Compare the largest step between neighbouring sounds with the mean step.

    Parameters
    ----------
    sounds
        (B, N), in order.

    Returns
    -------
    float
        1 for equal steps; B - 1 where all of the way is one step. NaN without any way.
    """
    steps = np.sqrt(np.square(np.diff(np.asarray(sounds, float), axis=0)).mean(axis=1))
    return float(steps.max() / steps.mean()) if steps.any() else float("nan")


N_FFT = 1024  # of the log spectrograms in which a way is seen
POOL = 8  # frames whose energy is added up, so that the phase of one does not count
PAIRS, STEPS = 20, 9  # ways between held-out excerpts, and sounds on each
FLOOR = 1e-8
COPIED, GAIN, OFFSET_S = 6, 0.5, 0.23  # recordings that get copies, and how these differ


def sample_windows(items: pd.DataFrame, recordings: int, windows: int) -> np.ndarray:
    """Choose some windows of a corpus: of each kind of copy a pair first, then evenly.

    Parameters
    ----------
    items
        One row a window: item_id, group, split, start_s, silent, and what there is of copy_kind.
    recordings
        At most so many recordings.
    windows
        The first so many of each.

    Returns
    -------
    ndarray
        Rows of `items` with sound, in their order.
    """
    heard = items[~items["silent"].astype(bool)]
    one = heard.drop_duplicates("item_id")
    kinds = one["copy_kind"] if "copy_kind" in one else pd.Series("", one.index)
    first = one[kinds.ne("") & ~kinds.duplicated()]["group"]
    copies = one[one["group"].isin(first)]["item_id"].tolist()[:recordings]
    rest = one[~one["item_id"].isin(copies)].sort_values("split", kind="stable")["item_id"]
    spots = np.linspace(0, len(rest) - 1, min(len(rest), recordings - len(copies)))
    chosen = [*copies, *rest.iloc[spots.astype(int)]]
    mine = heard["item_id"].isin(chosen) & (heard.groupby("item_id").cumcount() < windows)
    return heard.index[mine].to_numpy()


def sample_rows(data: CorpusDataModule, recordings: int, windows: int) -> np.ndarray:
    """Return rows of a corpus that `sample` chooses."""
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
    """Make changed copies of some recordings, where a corpus knows of none.

    Parameters
    ----------
    x
        Waveforms (B, N) of consecutive windows of recordings.
    items
        One row a window: item_id.
    sr
        Sampling rate in Hz.

    Returns
    -------
    x
        Waveforms (B', N) of `COPIED` recordings, each four times: the same, half as loud, as mp3,
        and begun later.
    items
        Their items: of `items`, with item_id, group, copy_of and copy_kind of the copies.
    """
    ids, sounds, rows = items["item_id"].unique(), [], []
    for name in ids[np.linspace(0, len(ids) - 1, min(COPIED, len(ids))).astype(int)]:
        mine = items["item_id"].eq(name).to_numpy()
        y, own = x[mine].ravel(), items[mine].assign(group=name, copy_of=name)
        later = y[round(OFFSET_S * sr) :]
        copies = {"exact": y, "gain": GAIN * y, "codec": _as_mp3(y, sr), "offset": later}
        for kind, copy in copies.items():
            n = len(copy) // x.shape[1]
            sounds.append(copy[: n * x.shape[1]].reshape(-1, x.shape[1]))
            rows.append(own.head(n).assign(item_id=f"{name}, {kind}", copy_kind=kind))
    return np.concatenate(sounds), pd.concat(rows, ignore_index=True)


def _as_mp3(y: np.ndarray, sr: int) -> np.ndarray:
    """Send a waveform (N,) through mp3."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "copy.mp3"
        path.write_bytes(audio.to_mp3(y, sr))
        return audio.read(path, sr)[0]


def encode_waveforms(
    coder: ModelCodec, x: np.ndarray, items: pd.DataFrame, transform: Transform
) -> Latents:
    """Encode waveforms (B, N) of a transform, whose items are known."""
    parts = progress(np.split(x, range(BATCH, len(x), BATCH)), "encode", "batch")
    z = np.concatenate([coder.encode(part) for part in parts])
    return Latents(z.reshape(len(z), -1), items, latent_spec(coder.model, transform))


def level_statistics(z: np.ndarray) -> np.ndarray:
    """Return mean and deviation over time of the log energy of each component: (B, 2K)."""
    frames = max(POOL, z.shape[2] // POOL * POOL)
    padded = np.pad(z, ((0, 0), (0, 0), (0, max(0, POOL - z.shape[2]))))[..., :frames]
    energy = np.square(padded.reshape(*z.shape[:2], -1, POOL)).mean(axis=3)
    return pooling.mean_and_deviation(np.log(energy + FLOOR))


def comparison_vectors(coder: ModelCodec, found: Latents) -> dict[str, np.ndarray]:
    """Return what windows are compared by: `whole` and `levels`, see the module."""
    z = pooling.as_channels(found.z, found.provenance)
    whole = z if coder.form == "dense" else np.log(np.square(z) + FLOOR)
    return {"whole": whole.reshape(len(z), -1), "levels": level_statistics(z)}


def genre_accuracy(x: np.ndarray, items: pd.DataFrame, k: int = neighbours.K) -> dict[str, float]:
    """Name the genre of each clip by the neighbours of its excerpts in other clips.

    Parameters
    ----------
    x
        Vectors (B, D) of excerpts; standardised over all of them, as no label is needed for that.
    items
        One row an excerpt: label (rows without one are left out), group.
    k
        Neighbours that vote for each excerpt, none of them from the group of its clip.

    Returns
    -------
    dict
        ``accuracy`` of the majority of all votes for a clip, ``excerpts`` of each excerpt, and
        ``clips``, how many there were; NaN where no other clip is there.
    """
    known = items["label"].ne("").to_numpy()
    x, items = x[known], items[known]
    labels, groups = items["label"].to_numpy(str), items["group"].to_numpy(str)
    if len(np.unique(groups)) < 2:
        return {"accuracy": np.nan, "excerpts": np.nan, "clips": len(np.unique(groups))}
    x = neighbours.standardise(x)[0]
    distance = pairwise_distances(x)
    distance[groups[:, None] == groups] = np.inf
    near = np.argsort(distance, axis=1, kind="stable")[:, :k]
    told = np.isfinite(np.take_along_axis(distance, near, 1))
    names = np.unique(labels)
    votes = ((labels[near][..., None] == names) & told[..., None]).sum(axis=1)  # B x names
    clips = pd.DataFrame(votes, columns=names).groupby(items["item_id"].to_numpy()).sum()
    truth = items.drop_duplicates("item_id").set_index("item_id")["label"].loc[clips.index]
    right = names[clips.to_numpy().argmax(axis=1)] == truth.to_numpy(str)
    alone = names[votes.argmax(axis=1)] == labels
    return {"accuracy": right.mean(), "excerpts": alone.mean(), "clips": len(clips)}


def duplicate_scores(
    coder: ModelCodec, found: Latents, x: np.ndarray, transform: Transform
) -> dict[str, float]:
    """Look for copies that a corpus knows, else for planted ones.

    Parameters
    ----------
    coder
        A trained model.
    found
        Latents of waveforms, with what there is of copy_kind.
    x, transform
        Those waveforms (B, N), and what made them.

    Returns
    -------
    dict
        ``recall``, the mean over the kinds of copies, and ``precision``.
    """
    items = found.items
    if "copy_kind" not in items:
        own = items.assign(group=items["item_id"], copy_of="")
        more = encode_waveforms(coder, *plant_duplicates(x, own, transform.sr), transform)
        items = pd.concat([own, more.items], ignore_index=True)
        found = Latents(np.concatenate([found.z, more.z]), items, found.provenance)
    judged = duplicates.evaluate(duplicates.find(found), items)
    recall = [value for name, value in judged.items() if "recall" in name]
    return {
        "recall": float(np.mean(recall)) if recall else np.nan,
        "precision": judged["repetition_precision"],
    }


def decode_path(coder: ModelCodec, z_a: np.ndarray, z_b: np.ndarray) -> dict[str, np.ndarray]:
    """Decode the way from one sound to another, in `STEPS` steps.

    Parameters
    ----------
    coder
        A trained model.
    z_a, z_b
        Latents (K, T).

    Returns
    -------
    dict
        ``straight``: sounds (STEPS, N) of the straight way between the latents. That between sparse
        codes weighs the atoms of both, up to 2 k; decoding is linear, so it is a cross-fade.
        ``placed``: sounds of the model's own way, of latents as large as either, if it has one.
    """
    if coder.form == "dense":
        sounds = {"straight": coder.decode(generation.interpolate(z_a, z_b, STEPS))}
    else:
        a, b = coder.decode(np.stack([z_a, z_b]))
        sounds = {"straight": np.stack([(1 - p) * a + p * b for p in np.linspace(0, 1, STEPS)])}
    own = interpolate(coder.run, z_a, z_b, np.linspace(0, 1, STEPS))
    return sounds if own is None else sounds | {"placed": coder.decode(own)}


def evenness(coder: ModelCodec, z: np.ndarray) -> dict[str, float]:
    """Compare the largest step with the mean step on ways between excerpts.

    Parameters
    ----------
    coder
        A trained model.
    z
        Latents (B, K, T) of held-out excerpts, at least two; ways lead from each to the next.

    Returns
    -------
    dict
        Means of `downstream.smoothness` over the ways (1 is even): ``straight``, ``placed`` where
        there is such a way, and each of them seen as log spectrograms, with ``_spectra``.
    """
    chosen = z[np.linspace(0, len(z) - 1, min(len(z), PAIRS + 1)).astype(int)]
    found = []
    for z_a, z_b in pairwise(chosen):
        sounds = decode_path(coder, z_a, z_b)
        for name, y in list(sounds.items()):
            spectra = np.log(np.abs(librosa.stft(y, n_fft=N_FFT)) + 1e-2)
            sounds[f"{name}_spectra"] = spectra.reshape(STEPS, -1)
        found.append({name: smoothness(y) for name, y in sounds.items()})
    return pd.DataFrame(found).mean().to_dict()


def evaluate_latent(coder: ModelCodec, own: CorpusDataModule, rows: np.ndarray) -> dict[str, float]:
    """Judge a latent by what a corpus knows: genre, copies, and even ways.

    Parameters
    ----------
    coder
        A trained model.
    own
        The corpus; of several corpora in one, genre is that of ``gtzan``.
    rows
        Which of its windows.
    """
    x, items = waveforms(own, rows)
    found = encode_waveforms(coder, x, items, own.transform)
    several = "corpus" in items and items["corpus"].eq("gtzan").any()
    part = (items["corpus"].eq("gtzan") if several else items["label"].ne("")).to_numpy()
    figures = {}
    for name, v in comparison_vectors(coder, found).items():
        judged = genre_accuracy(v[part], items[part])
        figures |= {f"knn_{name}": judged["accuracy"], f"knn_{name}_excerpts": judged["excerpts"]}
    figures |= {
        f"copies_{name}": value
        for name, value in duplicate_scores(coder, found, x, own.transform).items()
    }
    held = found.shaped()[items["split"].eq("test").to_numpy()]
    return figures | {f"evenness_{name}": v for name, v in evenness(coder, held).items()}


def factor_scores(
    coder: ModelCodec, known: CorpusDataModule, rows: np.ndarray, kinds: Mapping[str, str] = FACTORS
) -> dict[str, float]:
    """Judge a latent by what a rendered corpus knows: its copies, and its factors by probes."""
    x, items = waveforms(known, rows)
    found = encode_waveforms(coder, x, items, known.transform)
    judged = duplicate_scores(coder, found, x, known.transform)
    figures = {f"demo_copies_{name}": value for name, value in judged.items()}
    for name, v in comparison_vectors(coder, found).items():
        scores = linear_probes.probe(v, items, kinds).set_index("factor")["score"]
        figures |= {f"probe_{factor}_{name}": value for factor, value in scores.items()}
    return figures


def downstream_table(
    coders: Mapping[str, ModelCodec],
    own: tuple[CorpusDataModule, np.ndarray],
    known: tuple[CorpusDataModule, np.ndarray],
    kinds: Mapping[str, str] = FACTORS,
) -> pd.DataFrame:
    """Set the uses of latents side by side.

    Parameters
    ----------
    coders
        Name -> trained model.
    own, known
        The study's corpus and a rendered one, each with the rows that are taken of it.
    kinds
        Known factors and their kind, see `linear_probes.probe`.

    Returns
    -------
    DataFrame
        One column a model, one row a figure: see `judge` and `factors`.
    """
    return pd.DataFrame(
        {
            name: evaluate_latent(coder, *own) | factor_scores(coder, *known, kinds)
            for name, coder in coders.items()
        }
    )
