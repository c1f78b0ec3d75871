"""Encode audio files of any length into a folder of latents, in constant memory; and read it."""

import hashlib
import json
import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO

import numpy as np
import pandas as pd
import torch
import tqdm

from musiclatent import __version__
from musiclatent.audio import AudioError
from musiclatent.config import Study
from musiclatent.excerpts import windows
from musiclatent.models.blocks import Autoencoder
from musiclatent.runs import Run, load

BATCH = 8  # windows encoded at once


@dataclass(frozen=True)
class Latents:
    """Latents of windows, and what they came from.

    Parameters
    ----------
    z
        (B, D) float32, one row a window; memory-mapped.
    items
        One row a window: item_id, path, label, group, split, start_s, end_s.
    provenance
        study, experiment, checkpoint hash, latent_shape (K, T), versions.
    """

    z: np.ndarray
    items: pd.DataFrame
    provenance: dict


def encode_files(
    run: Run, study: Study, files: Sequence[Path], folder: Path
) -> tuple[Latents, dict[str, str]]:
    """Encode audio files window by window; a file that cannot be read is set aside.

    Parameters
    ----------
    run
        A trained experiment.
    study
        Its study, which knows the rate and the length of a window.
    files
        Audio files of any format, rate and length.
    folder
        Where ``z.npy``, ``items.parquet`` and ``provenance.json`` go.

    Returns
    -------
    Latents
        What was written.
    dict
        Path -> reason of each file that was set aside.

    Raises
    ------
    ValueError
        If there are no files, or none can be read.
    """
    if not files:
        raise ValueError("there is no file to encode; name at least one audio file")
    model = load(run.checkpoint, run.experiment)
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder, prefix=".encoding-") as scratch:
        with (Path(scratch) / "z.raw").open("wb") as raw:
            items, quarantine = _encode_all(model, study, files, raw)
        if not items:
            path, reason = next(iter(quarantine.items()))
            raise ValueError(f"none of the {len(files)} files can be read; {path}: {reason}")
        shape = list(model.encode(torch.zeros(1, 1, round(study.sr * study.window_s))).shape[1:])
        _publish(Path(scratch), folder, items, _provenance(run, study, shape))
    return read(folder), quarantine


def _encode_all(
    model: Autoencoder, study: Study, files: Sequence[Path], raw: BinaryIO
) -> tuple[list[dict], dict[str, str]]:
    """Append the latents of every file to `raw`; a file that breaks off leaves nothing."""
    items, quarantine = [], {}
    interval = 0.1 if sys.stderr.isatty() else 10
    for path in tqdm.tqdm(files, desc="encode", unit="file", mininterval=interval):
        began = raw.tell()
        try:
            items += _encode_one(model, study, Path(path), raw)
        except AudioError as error:
            raw.seek(began), raw.truncate()
            quarantine[str(path)] = f"{error.reason}; {error.remedy}"
    return items, quarantine


def _encode_one(model: Autoencoder, study: Study, path: Path, raw: BinaryIO) -> list[dict]:
    """Append the latents of one file; return a row for each window."""
    starts = []
    for start_s, z in encode(model, path, study.sr, study.window_s):
        z.tofile(raw)
        starts += start_s
    name = str(path.absolute())
    common = {"item_id": path.name, "path": name, "label": "", "group": name, "split": ""}
    return [common | {"start_s": s, "end_s": s + study.window_s} for s in starts]


@torch.no_grad()
def encode(
    model: Autoencoder, path: Path, sr: int, window_s: float
) -> Iterator[tuple[list[float], np.ndarray]]:
    """Encode one file of any length, a few windows at a time.

    Parameters
    ----------
    model
        A trained model.
    path
        An audio file.
    sr
        The model's sample rate in Hz.
    window_s
        Length of a window in seconds.

    Yields
    ------
    start_s
        Where each window begins, in seconds.
    z
        Latents (B, D) of those windows, float32.

    Raises
    ------
    AudioError
        If the file cannot be read.
    """
    source = windows(path, sr, window_s)
    while batch := list(islice(source, BATCH)):
        x = torch.from_numpy(np.stack([y for _, y in batch]))[:, None]  # B x 1 x N
        yield [start_s for start_s, _ in batch], model.encode(x).flatten(1).numpy()  # B x D


def _provenance(run: Run, study: Study, shape: list[int]) -> dict:
    """Say what the latents were made by."""
    content = Path(run.checkpoint).read_bytes()
    return {
        "study": study.name,
        "experiment": run.experiment.name,
        "checkpoint": hashlib.sha256(content).hexdigest(),
        "options": asdict(run.experiment)["options"],
        "latent_shape": shape,
        "musiclatent": __version__,
        "torch": torch.__version__,
    }


def _publish(scratch: Path, folder: Path, items: list[dict], provenance: dict) -> None:
    """Give the raw numbers a header and move everything into the folder."""
    width = int(np.prod(provenance["latent_shape"]))
    about = {"descr": "<f4", "fortran_order": False, "shape": (len(items), width)}
    with (scratch / "z.npy").open("wb") as z, (scratch / "z.raw").open("rb") as raw:
        np.lib.format.write_array_header_1_0(z, about)
        shutil.copyfileobj(raw, z)
    pd.DataFrame(items).to_parquet(scratch / "items.parquet", index=False)
    (scratch / "provenance.json").write_text(json.dumps(provenance, indent=1))
    for name in ("z.npy", "items.parquet", "provenance.json"):
        os.replace(scratch / name, folder / name)


def read(folder: Path) -> Latents:
    """Read a folder of latents.

    Parameters
    ----------
    folder
        A folder that `encode_files` filled.

    Raises
    ------
    ValueError
        If the folder holds no latents.
    """
    names = ("z.npy", "items.parquet", "provenance.json")
    missing = [name for name in names if not (folder / name).exists()]
    if missing:
        raise ValueError(
            f"{folder} holds no latents ({', '.join(missing)} missing); make them with: "
            "musiclatent encode FILES"
        )
    z = np.load(folder / "z.npy", mmap_mode="r", allow_pickle=False)
    items = pd.read_parquet(folder / "items.parquet")
    if len(items) != len(z):
        raise ValueError(
            f"{folder}: {len(z)} latents but {len(items)} items; encode the files again"
        )
    return Latents(z, items, json.loads((folder / "provenance.json").read_text()))
