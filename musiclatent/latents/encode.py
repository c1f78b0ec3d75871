"""Encode a corpus, or files of any length, into a folder of latents."""

import json
import logging
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO

import numpy as np
import pandas as pd
import torch

from musiclatent import __version__
from musiclatent.audio import windows
from musiclatent.audio.windows import Grid, Transform
from musiclatent.config import Study
from musiclatent.data import datamodules
from musiclatent.data.datamodules import CorpusDataModule
from musiclatent.errors import AudioError, LatentsError
from musiclatent.files import progress, sha256_of, whole_file
from musiclatent.latents.store import NAMES, Latents, read_latents
from musiclatent.models.base import LitModule
from musiclatent.models.mel_frontend import log_mel
from musiclatent.training.checkpoints import load_checkpoint
from musiclatent.training.run_folder import Run

BATCH = 8  # windows encoded at once
log = logging.getLogger("musiclatent")


def encode_corpus(run: Run, data: CorpusDataModule, folder: Path) -> Latents:
    """Encode every cached window of a corpus, or reuse what is there.

    Parameters
    ----------
    run
        A trained experiment.
    data
        The windows, in all splits.
    folder
        Where the latents go; other latents that lie there are replaced.

    Returns
    -------
    Latents
        In the order of the cache, with the columns of the corpus.
    """
    data.setup()
    items = data.window_items()
    try:
        found = read_latents(folder, run=run, data_hash=data.data_hash())
        log.info("latents: %d windows of %s reused", len(found.z), run.experiment.name)
        _write_items(items, folder)  # files may have moved, or labels changed
        return replace(found, items=items)
    except LatentsError:
        pass
    model = load_model(run)
    about = _provenance(run, model, data.transform)
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder, prefix=".encoding-") as scratch:
        with (Path(scratch) / "z.raw").open("wb") as raw:
            _encode_rows(model, data, raw)
        _publish(Path(scratch), folder, items, about | {"data": data.data_hash()})
    return read_latents(folder)


@torch.no_grad()
def _encode_rows(model: LitModule, data: CorpusDataModule, raw: BinaryIO) -> None:
    """Append the latents of all cached windows to `raw`."""
    x = data.cached.x
    with progress(None, "encode", "window", total=len(x)) as bar:
        for first in range(0, len(x), BATCH):
            batch = data.transform.model_input(np.array(x[first : first + BATCH]))
            _latents(model, batch).tofile(raw)
            bar.update(len(batch))


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
    model = load_model(run)
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder, prefix=".encoding-") as scratch:
        with (Path(scratch) / "z.raw").open("wb") as raw:
            items, quarantine = _encode_all(model, study, files, raw)
        if not items:
            path, reason = next(iter(quarantine.items()))
            raise ValueError(f"none of the {len(files)} files can be read; {path}: {reason}")
        about = _provenance(run, model, datamodules.transform(study))
        _publish(Path(scratch), folder, _named(items), about | {"data": ""})
    return read_latents(folder), quarantine


def _encode_all(
    model: LitModule, study: Study, files: Sequence[Path], raw: BinaryIO
) -> tuple[list[dict], dict[str, str]]:
    """Append the latents of every file to `raw`; a file that breaks off leaves nothing."""
    items, quarantine = [], {}
    for path in progress(files, "encode", "file"):
        began = raw.tell()
        try:
            items += _encode_one(model, study, Path(path), raw)
        except AudioError as error:
            raw.seek(began), raw.truncate()
            quarantine[str(path)] = error.advice
    return items, quarantine


def _encode_one(model: LitModule, study: Study, path: Path, raw: BinaryIO) -> list[dict]:
    """Append the latents of one file; return a row for each window."""
    name = str(path.absolute())
    if name != name.encode(errors="replace").decode():
        raise AudioError(path, "its name is no valid UTF-8", "rename it")
    starts = []
    for start_s, z in encode(model, path, datamodules.transform(study)):
        z.tofile(raw)
        starts += start_s
    common = {"item_id": path.name, "path": name, "label": "", "group": name, "split": ""}
    ends = Grid(study.sr, study.window_s).end_s(np.array(starts))
    return [common | {"start_s": s, "end_s": e} for s, e in zip(starts, ends, strict=True)]


def _named(items: list[dict]) -> pd.DataFrame:
    """Make a table, in which files of one name in several folders go by their paths."""
    table = pd.DataFrame(items)
    clash = table.groupby("item_id")["path"].transform("nunique") > 1
    return table.assign(item_id=table["item_id"].mask(clash, table["path"]))


@torch.no_grad()
def encode(
    model: LitModule, path: Path, transform: Transform
) -> Iterator[tuple[list[float], np.ndarray]]:
    """Encode one file of any length, a few windows at a time.

    Parameters
    ----------
    model
        A trained model.
    path
        An audio file.
    transform
        What turns a window into the model's input.

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
    source = windows.windows(path, transform.sr, transform.window_s)
    while batch := list(islice(source, BATCH)):
        x = transform.model_input(_transformed(model, transform, [y for _, y in batch]))
        yield [start_s for start_s, _ in batch], _latents(model, x)


def _transformed(model: LitModule, transform: Transform, windows: list[np.ndarray]) -> np.ndarray:
    """Transform windows (N,) one by one; log-mel as a batch where the model stands on a GPU."""
    if model.device.type == "cpu" or transform.kind != "logmel":
        return np.stack([transform(y) for y in windows])
    y = torch.from_numpy(np.stack(windows)).to(model.device)
    return log_mel(y, *transform.parameters).cpu().numpy()


def _latents(model: LitModule, x: np.ndarray) -> np.ndarray:
    """Encode model inputs (B, ...) where the model stands: (B, D)."""
    x = torch.from_numpy(x)[:, None].to(model.device)  # B x 1 x ...
    return model.encode(x).flatten(1).cpu().numpy()


def load_model(run: Run) -> LitModule:
    """Load a trained model, onto a GPU where there is one."""
    return load_checkpoint(run.checkpoint, run.experiment).to(
        "cuda" if torch.cuda.is_available() else "cpu"
    )


@torch.no_grad()
def _provenance(run: Run, model: LitModule, transform: Transform) -> dict:
    """Say what made latents of windows that a transform gives."""
    return {
        "study": run.experiment.study,
        "experiment": run.experiment.name,
        "checkpoint": sha256_of(run.checkpoint),
        "options": run.experiment.options,
        **latent_spec(model, transform),
        "musiclatent": __version__,
        "torch": torch.__version__,
    }


@torch.no_grad()
def latent_spec(model: LitModule, transform: Transform) -> dict:
    """Say what the latent of a window is: latent_shape, input, sr, window_s; hops if sparse."""
    x = torch.zeros(1, 1, *transform.shape, device=model.device)
    about = {"latent_shape": list(model.encode(x).shape[1:]), "input": transform.kind}
    about |= {"sr": transform.sr, "window_s": transform.window_s}
    return about | ({"hops": model.hops} if model.hops else {})


def _publish(scratch: Path, folder: Path, items: pd.DataFrame, provenance: dict) -> None:
    """Give the raw numbers a header and move everything into the folder."""
    width = int(np.prod(provenance["latent_shape"]))
    about = {"descr": "<f4", "fortran_order": False, "shape": (len(items), width)}
    with (scratch / "z.npy").open("wb") as z, (scratch / "z.raw").open("rb") as raw:
        np.lib.format.write_array_header_1_0(z, about)
        shutil.copyfileobj(raw, z)
    items.to_parquet(scratch / "items.parquet", index=False)
    (scratch / "provenance.json").write_text(json.dumps(provenance, indent=1))
    (folder / "provenance.json").unlink(missing_ok=True)  # killed in between: nothing counts
    for name in NAMES:
        os.replace(scratch / name, folder / name)


def _write_items(items: pd.DataFrame, folder: Path) -> None:
    """Write the index of latents that are there, whole or not at all."""
    with whole_file(folder / "items.parquet") as part:
        items.to_parquet(part, index=False)
