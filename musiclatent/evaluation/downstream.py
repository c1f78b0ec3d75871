"""Evaluate latents by what they help with: genre, duplicates, interpolation, known factors.

A dense latent (B, K, T) is compared as it is, and by its levels: mean and deviation over time of
the log energy of each component, in which phase does not count. A sparse code is replaced by the
energy of its atoms, see `musiclatent.analysis.pooling`: by its root as the latent, by its logarithm
as what is compared.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import ClassVar

import librosa
import numpy as np
import pandas as pd
from sklearn.metrics import pairwise_distances

from musiclatent import audio, config, files
from musiclatent.analysis import duplicates, neighbours, pooling
from musiclatent.audio.windows import Transform
from musiclatent.data.datamodules import CorpusDataModule
from musiclatent.evaluation import linear_probes, rate_distortion, reconstruction
from musiclatent.evaluation.rate_distortion import ModelCodec
from musiclatent.features import mel
from musiclatent.latents import decode
from musiclatent.latents.store import Latents

POOL = 8  # frames whose energy is added up, so that the phase of one does not count
PAIRS = 12  # paths between held-out excerpts
MELS = 64
FACTORS = ("brightness", "tempo", "key")  # rendered pairs differ in one
CHANGED = 8  # pairs of each
FLOOR = 1e-8
COPIED, GAIN, OFFSET_S = 6, 0.5, 0.23  # recordings that are duplicated, and how duplicates differ


@dataclass(frozen=True)
class MelEnergy:
    """No latent at all: amplitudes of mel bands, the baseline of what latents help with.

    Parameters
    ----------
    sr
        Sampling rate in Hz.
    """

    form: ClassVar[str] = "dense"

    sr: int

    def encode(self, x: np.ndarray) -> np.ndarray:
        """Return amplitudes (B, `MELS`, T) of waveforms (B, N)."""
        power = (librosa.db_to_power(mel.log_mel(y, self.sr, n_mels=MELS)) for y in x)
        return np.sqrt(np.stack(list(power)))

    def spec(self, transform: Transform) -> dict:
        """Return what is kept of a window, as `ModelCodec.spec`."""
        shape = self.encode(np.zeros((1, transform.shape[-1]), np.float32)).shape[1:]
        about = {"input": "waveform", "sr": self.sr, "window_s": transform.window_s}
        return {"latent_shape": list(shape)} | about


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
        Waveforms (B', N) of `COPIED` recordings, each seven times: the same, half as loud, as mp3,
        begun later, the first two windows alone, in white noise 10 dB below, a semitone higher.
    items
        Their items: of `items`, with item_id, group, copy_of and copy_kind of the duplicates.
    """
    names, sounds, rows = items["item_id"].unique(), [], []
    for name in names[np.linspace(0, len(names) - 1, min(COPIED, len(names))).astype(int)]:
        chosen = items["item_id"].eq(name).to_numpy()
        y = x[chosen].ravel()
        later = y[round(OFFSET_S * sr) :]
        copies = {"exact": y, "gain": GAIN * y, "codec": _as_mp3(y, sr), "offset": later}
        copies |= _harder(y, sr, 2 * x.shape[1])
        for kind, copy in copies.items():
            n = len(copy) // x.shape[1]
            sounds.append(copy[: n * x.shape[1]].reshape(-1, x.shape[1]))
            about = {"item_id": f"{name}, {kind}", "group": name, "copy_of": name}
            rows.append(items[chosen].head(n).assign(**about, copy_kind=kind))
    return np.concatenate(sounds), pd.concat(rows, ignore_index=True)


def _harder(y: np.ndarray, sr: int, crop: int) -> dict[str, np.ndarray]:
    """Return duplicates of a waveform (N,) that few finders see, by kind."""
    noise = np.random.default_rng(config.SEED).normal(size=len(y)) * np.sqrt(0.1) * y.std()
    higher = librosa.effects.pitch_shift(y, sr=sr, n_steps=1)
    return {"crop": y[:crop], "noise": (y + noise).astype(np.float32), "pitch": higher}


def _as_mp3(y: np.ndarray, sr: int) -> np.ndarray:
    """Return a waveform (N,) as mp3 leaves it."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "copy.mp3"
        path.write_bytes(audio.to_mp3(y, sr))
        return audio.read(path, sr)[0]


def encode_waveforms(
    coder: ModelCodec | MelEnergy, x: np.ndarray, items: pd.DataFrame, transform: Transform
) -> Latents:
    """Encode waveforms (B, N) of a transform, whose items are given."""
    parts = np.split(x, range(rate_distortion.BATCH, len(x), rate_distortion.BATCH))
    z = np.concatenate([coder.encode(part) for part in files.progress(parts, "encode", "batch")])
    return Latents(z.reshape(len(z), -1), items, coder.spec(transform))


def level_statistics(z: np.ndarray) -> np.ndarray:
    """Return mean and deviation over time of the log energy of each component: (B, 2K)."""
    frames = max(POOL, z.shape[2] // POOL * POOL)  # what is shorter is padded
    z = librosa.util.fix_length(z, size=frames)
    energy = np.square(z.reshape(*z.shape[:2], -1, POOL)).mean(axis=3)
    return pooling.mean_and_deviation(np.log(energy + FLOOR))


def comparison_vectors(coder: ModelCodec | MelEnergy, latents: Latents) -> dict[str, np.ndarray]:
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
    coder: ModelCodec | MelEnergy, latents: Latents, *, x: np.ndarray, transform: Transform
) -> dict[str, float]:
    """Evaluate how duplicates are found: those that a corpus knows, else planted ones.

    Parameters
    ----------
    coder
        A trained model, or no latent at all.
    latents
        Latents of waveforms; copy_kind in their items where duplicates are known.
    x, transform
        Those waveforms (B, N), and what made them.

    Returns
    -------
    dict
        ``recall_KIND`` of each kind of duplicate, and ``precision``.
    """
    if "copy_kind" not in latents.items:
        items = latents.items.assign(group=latents.items["item_id"], copy_of="")
        copies = encode_waveforms(coder, *plant_duplicates(x, items, transform.sr), transform)
        items = pd.concat([items, copies.items], ignore_index=True)
        latents = Latents(np.concatenate([latents.z, copies.z]), items, latents.provenance)
    metrics = duplicates.evaluate(duplicates.find(latents), latents.items)
    return {name.removeprefix("repetition_"): float(value) for name, value in metrics.items()}


def decode_middle(coder: ModelCodec, z_a: np.ndarray, z_b: np.ndarray) -> dict[str, np.ndarray]:
    """Decode what lies halfway between two sounds.

    Parameters
    ----------
    coder
        A trained model.
    z_a, z_b
        Latents (K, T).

    Returns
    -------
    dict
        ``straight``: sound (N,) of the mean of both latents. That of sparse codes has the atoms of
        both, up to 2 k; decoding is linear, so it is a cross-fade. ``placed``: sound of the model's
        own path, of a latent as large as either, if it has one.
    """
    if coder.form == "dense":
        straight = coder.decode((0.5 * (z_a + z_b))[None])[0]
    else:
        straight = coder.decode(np.stack([z_a, z_b])).mean(axis=0)
    placed = decode.interpolate(coder.model, z_a, z_b, [0.5])
    return {"straight": straight} | ({} if placed is None else {"placed": coder.decode(placed)[0]})


def interpolation(
    coder: ModelCodec, latents: Latents, reals: Mapping[str, np.ndarray], groups: np.ndarray
) -> dict[str, float]:
    """Measure the middles of paths from held-out excerpts to the next of another recording.

    Parameters
    ----------
    coder
        A trained model.
    latents
        Latents of held-out excerpts with their items.
    reals, groups
        `reconstruction.sound_features` of real excerpts, and the recording of each (B,).

    Returns
    -------
    dict
        Medians of `reconstruction.middle_scores` over the paths, as ``straight_NAME``,
        ``placed_NAME`` where there is such a path, and ``crossfade_NAME`` of the mean of both
        sounds; empty without two recordings.
    """
    z, names = latents.shaped(), latents.items["group"].to_numpy()
    first = np.unique(names, return_index=True)[1][: PAIRS + 1]
    sr, rows = latents.provenance["sr"], []
    for a, b in pairwise(np.sort(first)):
        chosen = ~np.isin(groups, names[[a, b]])
        others = {name: v[chosen] for name, v in reals.items()}
        ends = coder.decode(z[[a, b]])
        middles = decode_middle(coder, z[a], z[b]) | {"crossfade": ends.mean(axis=0)}
        scores = {
            path: reconstruction.middle_scores(y, ends, others, sr) for path, y in middles.items()
        }
        rows.append({f"{p}_{name}": v for p, one in scores.items() for name, v in one.items()})
    return pd.DataFrame(rows).median().to_dict()


def between_share(
    coder: ModelCodec, factor: str, pairs: Sequence[tuple], *, sr: int
) -> dict[str, float]:
    """Measure how often a factor of the middle lies between those of two ends that differ in it.

    Parameters
    ----------
    coder
        A trained model.
    factor
        One of `linear_probes.READINGS`.
    pairs
        As `linear_probes.readable_pairs` returns them.
    sr
        Sampling rate of the model in Hz.

    Returns
    -------
    dict
        Share of the pairs for ``straight``, and for ``placed`` where there is such a path; the ends
        are decoded too. Empty without pairs, NaN where their ends read the same.
    """
    rows = []
    for a, b, _ in pairs:
        z = [coder.encode(_excerpts(y, coder.samples, sr)) for y in (a, b)]
        ends = [_joined(coder.decode(one), sr) for one in z]
        middles = pd.DataFrame([decode_middle(coder, *pair) for pair in zip(*z, strict=True)])
        paths = {path: _joined(np.stack(y), sr) for path, y in middles.items()}
        rows.append(linear_probes.factors_between(factor, *ends, middles=paths))
    return pd.DataFrame(rows).mean().to_dict()


def _excerpts(y: np.ndarray, samples: int, sr: int) -> np.ndarray:
    """Return whole excerpts (B, N) at the model's rate of samples at `config.SR`."""
    y = audio.convert(y, config.SR, sr)
    return y[: len(y) // samples * samples].reshape(-1, samples)


def _joined(y: np.ndarray, sr: int) -> np.ndarray:
    """Return excerpts (B, N) one behind the other, at the rate at which factors are read."""
    return audio.convert(y.ravel(), sr, config.SR)


def evaluate_latent(
    coder: ModelCodec | MelEnergy,
    data: CorpusDataModule,
    rows: np.ndarray,
    reals: Mapping[str, np.ndarray],
) -> dict[str, float]:
    """Evaluate a latent by genre, duplicates, and what lies between two sounds.

    Parameters
    ----------
    coder
        A trained model, or no latent at all, which has nothing between.
    data
        The corpus; of several corpora in one, genre is that of ``gtzan``.
    rows
        Which of its windows.
    reals
        `reconstruction.sound_features` of those windows.
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
    if isinstance(coder, MelEnergy):
        return metrics
    test = items["split"].eq("test").to_numpy()
    held_out = Latents(latents.z[test], items[test], latents.provenance)
    scores = interpolation(coder, held_out, reals, items["group"].to_numpy())
    return metrics | {f"middle_{name}": value for name, value in scores.items()}


def downstream_table(
    coders: Mapping[str, ModelCodec],
    music: tuple[CorpusDataModule, np.ndarray],
    *,
    rendered: tuple[CorpusDataModule, np.ndarray] | None,
    changed: int = CHANGED,
) -> pd.DataFrame:
    """Compare what latents help with.

    Parameters
    ----------
    coders
        Name -> trained model.
    music, rendered
        The study's corpus and a rendered one, each with the rows that are taken of it; None where
        the first is rendered itself.
    changed
        Rendered pairs that differ in one factor, of each.

    Returns
    -------
    DataFrame
        One column per model and one of no latent, ``mel``; one row per figure: see
        `evaluate_latent` and `between_share`; and ``demo_copies`` of the rendered corpus, see
        `duplicate_scores`.
    """
    sr, window_s = music[0].transform.sr, music[0].transform.window_s
    reals = reconstruction.sound_features(waveforms(*music)[0], sr)
    pairs = {
        name: linear_probes.readable_pairs(name, changed, seconds=2 * window_s) for name in FACTORS
    }
    columns = {"mel": MelEnergy(sr)} | coders
    for name, coder in columns.items():
        columns[name] = evaluate_latent(coder, *music, reals)
        columns[name] |= _rendered_copies(coder, rendered, columns[name])
        for factor, both in pairs.items() if name in coders else ():
            scores = between_share(coder, factor, both, sr=sr)
            columns[name] |= {f"between_{factor}_{path}": v for path, v in scores.items()}
    return pd.DataFrame(columns)


def _rendered_copies(
    coder: ModelCodec | MelEnergy,
    rendered: tuple[CorpusDataModule, np.ndarray] | None,
    found: Mapping[str, float],
) -> dict[str, float]:
    """Return ``demo_copies``: scores of rendered duplicates, which may be those already found."""
    if rendered is None:
        return {f"demo_{name}": v for name, v in found.items() if name.startswith("copies_")}
    (x, items), transform = waveforms(*rendered), rendered[0].transform
    latents = encode_waveforms(coder, x, items, transform)
    scores = duplicate_scores(coder, latents, x=x, transform=transform)
    return {f"demo_copies_{name}": value for name, value in scores.items()}


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
