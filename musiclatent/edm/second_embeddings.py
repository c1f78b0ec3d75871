"""Embeddings by networks of every second of a track, and of its sections.

VGGish embeds patches of 0.96 s; our networks embed windows of several seconds, which are averaged
by the second. Both are called seconds here. Sections have the length of the study.
"""

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

import librosa
import numpy as np
import pandas as pd

from musiclatent import audio, config, files, studies
from musiclatent.analysis import projection
from musiclatent.audio.windows import Grid
from musiclatent.config import Study, Workspace
from musiclatent.data import cache, datamodules
from musiclatent.edm import playlist_files, section_views, selections
from musiclatent.errors import AudioError
from musiclatent.latents import encode, pretrained
from musiclatent.latents.store import Latents
from musiclatent.models import vggish
from musiclatent.models.mel import MelAutoencoder
from musiclatent.training import fit, run_folder
from musiclatent.training.run_folder import Run

EXPERIMENTS = {"mel-crnn": "mel-crnn-6", "mel-cae": "mel-cae-1"}  # rows of the study mel
NAMES = ("vggish", *EXPERIMENTS)
PATCH_S, HOP_S = vggish.PATCH / vggish.SR, vggish.PATCH_HOP / vggish.SR


@dataclass(frozen=True)
class SecondEmbeddings:
    """Embeddings of the seconds of a corpus.

    Parameters
    ----------
    name
        What embedded them, one of `NAMES`.
    z
        (B, D) float32.
    items
        B rows: item_id, path, label, group, split, start_s, end_s, silent.
    quarantine
        Files set aside: path, reason.
    """

    name: str
    z: np.ndarray
    items: pd.DataFrame
    quarantine: pd.DataFrame


def default_embedding() -> str:
    """Name the embedding to take: VGGish where its weights are, else our own network."""
    return "vggish" if pretrained.available(config.data_root()) else "mel-crnn"


def embed_seconds(name: str, study: Study, space: Workspace) -> SecondEmbeddings:
    """Embed a corpus second by second, or reuse what was embedded before.

    Parameters
    ----------
    name
        ``vggish``, with its published weights; ``mel-crnn`` or ``mel-cae``, encoders that the study
        ``mel`` trained, or that are trained here.
    study, space
        Whose corpora, and where its results go.

    Raises
    ------
    ValueError
        If there is no such embedding, or nothing can be read.
    CheckpointError
        If the weights of VGGish are missing or not the published ones.
    """
    files.pick(dict.fromkeys(NAMES), name, "embedding")
    if name == "vggish":
        return _vggish(study, space)
    run, plan = mel_encoder(name, space), studies.study("mel", space.profile)
    windows = replace(
        study, input=plan.input, window_s=plan.window_s, precomputed="", split="group"
    )
    data = datamodules.CorpusDataModule.of_study(windows, space)
    latents = encode.encode_corpus(run, data, space.path("latents", name))
    return SecondEmbeddings(name, *average_seconds(latents), data.cached.quarantine)


def mel_encoder(name: str, space: Workspace) -> Run:
    """Return the encoder that the study ``mel`` trained; where there is none, train one.

    Parameters
    ----------
    name
        ``mel-crnn`` or ``mel-cae``.
    space
        Where the results of the study go that asks.
    """
    plan = studies.study("mel", space.profile)
    experiment = plan.experiments[files.pick(EXPERIMENTS, name, "encoder")]
    owner = "mel" if is_trained(name, space) else f"{space.study}/encoder"
    home = replace(space, study=owner, corpus="")
    epochs = experiment.training.epochs(config.profile(space.profile), "mel")
    data = datamodules.CorpusDataModule.of_study(plan, home)
    folder = home.path("checkpoints", experiment.name)
    return fit.train_experiment(experiment, data, folder=folder, epochs=epochs)


def is_trained(name: str, space: Workspace) -> bool:
    """Return whether the study ``mel`` has trained an encoder in the same profile."""
    folder = replace(space, study="mel", corpus="").path("checkpoints", EXPERIMENTS[name])
    return run_folder.has_ended(folder)


def average_seconds(latents: Latents) -> tuple[np.ndarray, pd.DataFrame]:
    """Average the latent frames of every second.

    Parameters
    ----------
    latents
        Latents of windows of whole seconds, (B, K, T).

    Returns
    -------
    z
        (P, K) float32, the seconds of a window in turn; those beyond the end of a recording are
        left out.
    items
        P rows: item_id, path, label, group, split, start_s, end_s in seconds, silent (the window).
    """
    seconds = max(1, round(latents.provenance["window_s"]))
    frames = np.array_split(latents.shaped(), seconds, axis=2)
    z = np.stack([second.mean(axis=2) for second in frames], axis=1)  # B x seconds x K
    rows = latents.items[cache.WINDOW]
    rows = rows.iloc[np.arange(len(rows)).repeat(seconds)]
    start_s = rows["start_s"] + np.tile(np.arange(seconds), len(latents.items))
    end_s = np.fmin(start_s + 1.0, rows["end_s"])
    items = rows.assign(start_s=start_s, end_s=end_s)
    inside = (start_s < rows["end_s"]).to_numpy()
    return z.reshape(-1, z.shape[2])[inside], items[inside].reset_index(drop=True)


def _vggish(study: Study, space: Workspace) -> SecondEmbeddings:
    """Embed the corpus by VGGish, file by file; what was embedded before is read."""
    model = load_network("vggish", space)
    folder = space.make("latents", "vggish")
    embeddings = []
    rows = []
    bad = []
    for item in datamodules.CorpusDataModule.of_study(study, space).index().items.itertuples():
        try:
            z = _stored(model, Path(item.path), folder)
        except AudioError as error:
            bad.append((item.path, error.advice))
            continue
        start_s = np.arange(len(z)) * HOP_S
        same = {name: getattr(item, name) for name in cache.ORIGIN}
        rows.append(pd.DataFrame(same | {"start_s": start_s, "end_s": start_s + PATCH_S}))
        embeddings.append(z)
    if not embeddings:
        raise ValueError(f"none of the files can be embedded; {bad[0][0]}: {bad[0][1]}")
    items = pd.concat(rows, ignore_index=True).assign(silent=False)
    quarantine = pd.DataFrame(bad, columns=["path", "reason"])
    return SecondEmbeddings("vggish", np.concatenate(embeddings), items, quarantine)


def _stored(model: vggish.VGGish, path: Path, folder: Path) -> np.ndarray:
    """Read the embedding of a file with the same bytes, or compute and keep it."""
    store = folder / f"{files.sha256_of(path)}.npy"
    if not store.exists():
        z = np.concatenate([z for _, z in pretrained.embed(model, path)])
        with files.whole_file(store) as part, part.open("wb") as file:
            np.save(file, z)
    return np.load(store, allow_pickle=False)


def read_inputs(name: str, items: pd.DataFrame, profile: str) -> tuple[np.ndarray, np.ndarray]:
    """Read seconds again as the network took them, to draw them.

    Parameters
    ----------
    name
        One of `NAMES`.
    items
        A few seconds: path, start_s.
    profile
        Name of the profile, which says how long the windows of the study ``mel`` are.

    Returns
    -------
    x
        (B, M, T): mel spectrograms of the windows that hold the seconds; for VGGish (B, 64, 96).
    seconds
        Which second of its window each one is (B,).
    """
    if name == "vggish":
        sounds = [
            audio.read(row.path, vggish.SR, start_s=row.start_s, duration_s=PATCH_S + 0.1)[0]
            for row in items.itertuples()
        ]
        patches = np.stack([vggish.log_mel(y)[0] for y in sounds])  # B x 96 x 64
        return patches.transpose(0, 2, 1), np.zeros(len(items), int)
    take = datamodules.transform(studies.study("mel", profile))
    grid = Grid(take.sr, take.window_s)
    second = grid.offset_s(items["start_s"]).round().astype(int).to_numpy()
    x = np.zeros((len(items), *take.shape), np.float32)
    for i, row in enumerate(items.itertuples()):
        x[i] = take(grid.read(row.path, max(0.0, row.start_s - second[i])))
    return take.model_input(x), second


def load_network(name: str, space: Workspace) -> MelAutoencoder | vggish.VGGish:
    """Return the model that embeds, with its weights: that of `mel_encoder`, or VGGish."""
    if name == "vggish":
        return pretrained.vggish(config.data_root())[0]
    return mel_encoder(name, space).load()


def spectrogram_axes(name: str, profile: str) -> dict:
    """Return what the axes of `read_inputs` are.

    Returns
    -------
    dict
        ``sr`` in Hz, ``hop_length`` in samples, and ``bands_hz``, the middle of each band, or None
        for the mel bands of librosa.
    """
    if name == "vggish":
        bands = librosa.mel_frequencies(vggish.N_MELS + 2, fmin=125, fmax=7500, htk=True)[1:-1]
        return {"sr": vggish.SR, "hop_length": 160, "bands_hz": bands}
    take = datamodules.transform(studies.study("mel", profile))
    return {"sr": take.sr, "hop_length": take.hop_length, "bands_hz": None}


def section_embeddings(seconds: SecondEmbeddings, sections: pd.DataFrame) -> np.ndarray:
    """Average the embeddings of every section.

    Parameters
    ----------
    seconds
        Embeddings of the same tracks.
    sections
        item_id, start_s, end_s in seconds, one row per section.

    Returns
    -------
    ndarray
        (B, D) float32.

    Raises
    ------
    ValueError
        If no second lies in a section.
    """
    owner = section_views.assign_to_sections(seconds.items, sections)
    missing = np.setdiff1d(np.arange(len(sections)), owner)
    if len(missing):
        row = sections.iloc[missing[0]]
        raise ValueError(
            f"{row['item_id']}, {row['start_s']:.0f} s: no part of it was embedded; embed the same "
            "tracks"
        )
    means = pd.DataFrame(seconds.z, dtype=np.float64).groupby(owner).mean()
    return means.loc[range(len(sections))].to_numpy(np.float32)


def lay_out(seconds: SecondEmbeddings, fit_on: np.ndarray, folder: Path) -> np.ndarray:
    """Lay seconds on a plane by t-SNE, see `projection.tsne`, or read the plane that is kept.

    Parameters
    ----------
    seconds
        Embeddings of B seconds.
    fit_on
        (B,) bool: those that decide the plane.
    folder
        Where a plane is kept, under a name that holds what it was made of.

    Returns
    -------
    ndarray
        Points (B, 2).
    """
    made_of = hashlib.sha256(np.ascontiguousarray(seconds.z)).hexdigest()[:12]
    path = folder / f"tsne-{made_of}-{hashlib.sha256(fit_on).hexdigest()[:12]}.npy"
    if not path.exists():
        points = projection.tsne(seconds.z, fit_on=fit_on).points
        with files.whole_file(path) as part, part.open("wb") as file:
            np.save(file, points)
    return np.load(path, allow_pickle=False)


def list_plane(
    points: np.ndarray, items: pd.DataFrame, *, labels: np.ndarray, folder: Path, n: int
) -> pd.DataFrame:
    """Write playlists of seconds by their place in a plane, see `selections.of_plane`.

    Parameters
    ----------
    points
        (B, 2), such as those of t-SNE.
    items
        B rows: item_id, path, start_s, end_s.
    labels
        Cluster of each second (B,), int.
    folder
        Where the playlists go: ``seconds_central``, ``_border`` and ``_lost``, as XSPF and m3u8.
    n
        How many seconds of each kind.

    Returns
    -------
    DataFrame
        The seconds that were listed, in the order of the lists: as `items`, with the list as
        `label`, the reason as `why`, and their place in `items` as `row`.

    Raises
    ------
    ValueError
        As `selections.of_plane`.
    """
    items = items.reset_index(drop=True).assign(row=np.arange(len(items)))
    lists = selections.of_plane(points, items, labels=labels, n=n)
    for kind, rows in lists.items():
        for suffix in (".xspf", ".m3u8"):
            path = (folder / f"seconds_{kind}").with_suffix(suffix)
            playlist_files.write_playlist(path, rows, f"{kind} seconds of the plane")
    return pd.concat([rows.assign(label=kind) for kind, rows in lists.items()], ignore_index=True)
