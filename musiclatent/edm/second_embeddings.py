"""What networks hear in every second of a track, and in every section of it."""

from dataclasses import dataclass, replace
from pathlib import Path

import librosa
import numpy as np
import pandas as pd

from musiclatent import audio, config, studies
from musiclatent.audio.windows import Grid
from musiclatent.config import Study, Workspace
from musiclatent.data import datamodules
from musiclatent.data.cache import ORIGIN, WINDOW
from musiclatent.data.datamodules import CorpusDataModule
from musiclatent.edm import section_views
from musiclatent.errors import AudioError
from musiclatent.files import pick, sha256_of, whole_file
from musiclatent.latents import pretrained
from musiclatent.latents.encode import encode_corpus
from musiclatent.latents.store import Latents
from musiclatent.models import vggish
from musiclatent.models.mel import MelAutoencoder
from musiclatent.models.vggish import VGGish
from musiclatent.training.checkpoints import load_checkpoint
from musiclatent.training.fit import train_experiment
from musiclatent.training.run_folder import Run

EXPERIMENTS = {"mel-crnn": "mel-crnn-6", "mel-cae": "mel-cae-1"}  # rows of the study mel
NAMES = ("vggish", *EXPERIMENTS)
PATCH_S, HOP_S = vggish.PATCH / vggish.SR, vggish.PATCH_HOP / vggish.SR


@dataclass(frozen=True)
class SecondEmbeddings:
    """Embeddings of parts of about a second.

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
    if pick({known: known for known in NAMES}, name, "embedding") == "vggish":
        return _vggish(study, space)
    run, plan = mel_encoder(name, space), studies.study("mel", space.profile)
    windows = replace(
        study, input=plan.input, window_s=plan.window_s, precomputed="", split="group"
    )
    data = CorpusDataModule.of_study(windows, space)
    known = encode_corpus(run, data, space.path("latents", name))
    return SecondEmbeddings(name, *average_seconds(known), data.cached.quarantine)


def mel_encoder(name: str, space: Workspace) -> Run:
    """Take the encoder that the study ``mel`` trained; where there is none, train one for `space`.

    Parameters
    ----------
    name
        ``mel-crnn`` or ``mel-cae``.
    space
        Where the results of the study go that asks.
    """
    plan = studies.study("mel", space.profile)
    row = plan.experiments[pick(EXPERIMENTS, name, "encoder")]
    home = replace(
        space, study="mel" if is_trained(name, space) else f"{space.study}/encoder", corpus=""
    )
    epochs = row.training.epochs(config.profile(space.profile), "mel")
    data = CorpusDataModule.of_study(plan, home)
    return train_experiment(row, data, home.path("checkpoints", row.name), epochs=epochs)


def is_trained(name: str, space: Workspace) -> bool:
    """Tell whether the study ``mel`` has trained an encoder in the same profile."""
    folder = replace(space, study="mel", corpus="").path("checkpoints", EXPERIMENTS[name])
    return (folder / "metrics.json").exists()


def average_seconds(known: Latents) -> tuple[np.ndarray, pd.DataFrame]:
    """Average the latent frames of every second.

    Parameters
    ----------
    known
        Latents of windows of whole seconds, (B, K, T).

    Returns
    -------
    z
        (P, K) float32, the parts of a window in turn; those beyond the end of a recording are left
        out.
    items
        P rows: item_id, path, label, group, split, start_s, end_s in seconds, silent (the window).
    """
    seconds = max(1, round(known.provenance["window_s"]))
    frames = np.array_split(known.shaped(), seconds, axis=2)
    z = np.stack([part.mean(axis=2) for part in frames], axis=1)  # B x seconds x K
    rows = known.items[WINDOW]
    rows = rows.iloc[np.arange(len(rows)).repeat(seconds)]
    start_s = rows["start_s"] + np.tile(np.arange(seconds), len(known.items))
    end_s = np.fmin(start_s + 1.0, rows["end_s"])
    items = rows.assign(start_s=start_s, end_s=end_s)
    heard = (start_s < rows["end_s"]).to_numpy()
    return z.reshape(-1, z.shape[2])[heard], items[heard].reset_index(drop=True)


def _vggish(study: Study, space: Workspace) -> SecondEmbeddings:
    """Embed the corpus by VGGish, file by file; what was embedded before is read."""
    model, _ = pretrained.vggish(config.data_root())
    folder = space.make("latents", "vggish")
    found, rows, bad = [], [], []
    for item in CorpusDataModule.of_study(study, space).index().items.itertuples():
        try:
            z = _stored(model, Path(item.path), folder)
        except AudioError as error:
            bad.append((item.path, error.advice))
            continue
        start_s = np.arange(len(z)) * HOP_S
        same = {name: getattr(item, name) for name in ORIGIN}
        rows.append(pd.DataFrame(same | {"start_s": start_s, "end_s": start_s + PATCH_S}))
        found.append(z)
    if not found:
        raise ValueError(f"none of the files can be embedded; {bad[0][0]}: {bad[0][1]}")
    items = pd.concat(rows, ignore_index=True).assign(silent=False)
    return SecondEmbeddings(
        "vggish", np.concatenate(found), items, pd.DataFrame(bad, columns=["path", "reason"])
    )


def _stored(model: VGGish, path: Path, folder: Path) -> np.ndarray:
    """Read the embedding of a file with the same bytes, or compute and keep it."""
    store = folder / f"{sha256_of(path)}.npy"
    if not store.exists():
        z = np.concatenate([z for _, z in pretrained.embed(model, path)])
        with whole_file(store) as part, part.open("wb") as file:
            np.save(file, z)
    return np.load(store, allow_pickle=False)


def read_inputs(name: str, items: pd.DataFrame, profile: str) -> tuple[np.ndarray, np.ndarray]:
    """Read parts again as the network took them, to look at.

    Parameters
    ----------
    name
        One of `NAMES`.
    items
        A few parts: path, start_s.
    profile
        Name of the profile, which says how long the windows of the study ``mel`` are.

    Returns
    -------
    x
        (B, M, T): mel spectrograms of the windows that hold the parts; for VGGish (B, 64, 96).
    seconds
        Which second of its window each part is (B,).
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


def load_network(name: str, space: Workspace) -> MelAutoencoder | VGGish:
    """Return the model that embeds, with its weights: that of `encoder`, or VGGish."""
    if name == "vggish":
        return pretrained.vggish(config.data_root())[0]
    run = mel_encoder(name, space)
    return load_checkpoint(run.checkpoint, run.experiment)


def spectrogram_axes(name: str, profile: str) -> dict:
    """Say what the axes of `inputs` are.

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


def section_embeddings(found: SecondEmbeddings, sections: pd.DataFrame) -> np.ndarray:
    """Average the parts of every section.

    Parameters
    ----------
    found
        Parts of the same tracks.
    sections
        item_id, start_s, end_s in seconds, one row a section.

    Returns
    -------
    ndarray
        (B, D) float32.

    Raises
    ------
    ValueError
        If a section has no part.
    """
    owner = section_views.assign_to_sections(found.items, sections)
    counts = np.bincount(owner[owner >= 0], minlength=len(sections))
    if (counts == 0).any():
        row = sections.iloc[int(np.flatnonzero(counts == 0)[0])]
        raise ValueError(
            f"{row['item_id']}, {row['start_s']:.0f} s: no part of it was embedded; embed the same "
            "tracks"
        )
    sums = np.zeros((len(sections), found.z.shape[1]), np.float64)
    np.add.at(sums, owner[owner >= 0], found.z[owner >= 0])
    return (sums / counts[:, None]).astype(np.float32)
