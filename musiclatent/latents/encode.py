"""Encode a corpus, or files of any length, into a folder of latents."""

import json
import logging
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import lru_cache, partial
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
from musiclatent.data.workers import pool
from musiclatent.errors import AudioError, LatentsError
from musiclatent.files import blocks, progress, whole_file
from musiclatent.latents import store
from musiclatent.latents.store import Latents
from musiclatent.models import mel_frontend
from musiclatent.models.base import LitModule
from musiclatent.training import run_folder
from musiclatent.training.run_folder import Run

BATCH = 8  # windows encoded at once
PART = 64 * BATCH  # windows that a worker takes: whole batches, so that the same are together
MANY = 4_096  # windows from which workers pay for loading torch each
log = logging.getLogger("musiclatent")


def encode_corpus(run: Run, data: CorpusDataModule, folder: Path) -> Latents:
    """Encode every cached window of a corpus, or reuse the latents that are there.

    Parameters
    ----------
    run
        A trained experiment.
    data
        The windows, in all splits.
    folder
        Where the latents go; those of another checkpoint or other data are replaced.

    Returns
    -------
    Latents
        In the order of the cache, with the columns of the corpus.
    """
    data.setup()
    items = data.window_items()
    try:
        latents = store.read_latents(folder, run=run, data_hash=data.data_hash())
    except LatentsError:
        model = load_model(run)
        provenance = _provenance(run, model, data.transform, data.data_hash())
        if _spread(data, len(items)):
            return write_latents(folder, partial(_encode_on_workers, run, data), provenance)
        return write_latents(folder, partial(_encode_cached, model, data), provenance)
    log.info("latents: %d windows of %s reused", len(latents.z), run.experiment.name)
    with whole_file(folder / "items.parquet") as part:  # files may have moved, or labels changed
        items.to_parquet(part, index=False)
    return replace(latents, items=items)


@torch.no_grad()
def _encode_cached(model: LitModule, data: CorpusDataModule, raw: BinaryIO) -> pd.DataFrame:
    """Append the latents of all cached windows to `raw`; return their items."""
    x = data.cached.x
    with progress(None, "encode", "window", total=len(x)) as bar:
        for part in blocks(x, BATCH):
            batch = data.transform.model_input(np.array(part))
            _latents(model, batch).tofile(raw)
            bar.update(len(batch))
    return data.window_items()


def _spread(data: CorpusDataModule, n: int) -> bool:
    """Return whether workers encode n windows: where a cluster is named, or for many on a CPU."""
    if not isinstance(data.cached.x, np.memmap) or device() != "cpu":
        return False
    return bool(data.scheduler) or (data.n_jobs != 1 and n >= MANY)


def _encode_on_workers(run: Run, data: CorpusDataModule, raw: BinaryIO) -> pd.DataFrame:
    """Append the latents of all cached windows to `raw`, as `_encode_cached` does."""
    x, folder = data.cached.x, Path(raw.name).absolute().parent
    tasks = [
        (_named(run), data.transform, (str(x.filename), first, min(first + PART, len(x))), folder)
        for first in range(0, len(x), PART)
    ]
    done = pool.each(_encode_part, tasks, n_jobs=data.n_jobs, scheduler=data.scheduler)
    for part in progress(done, "encode", "part", total=len(tasks)):
        _append(part, raw)
    return data.window_items()


def _append(part: Path, raw: BinaryIO) -> None:
    """Append a file to `raw`, and remove it."""
    with part.open("rb") as file:
        shutil.copyfileobj(file, raw)
    part.unlink()


@torch.no_grad()
def _encode_part(
    named: tuple[str, str], transform: Transform, rows: tuple[str, int, int], folder: Path
) -> Path:
    """Write the latents of some rows of a cached array into a file of their own, on a worker."""
    path, first, end = rows
    model, x = _model_of_worker(*named), np.load(path, mmap_mode="r")
    part = folder / f"part-{first}.raw"
    with whole_file(part) as name, name.open("wb") as file:
        for rows in blocks(x[first:end], BATCH):
            _latents(model, transform.model_input(np.array(rows))).tofile(file)
    return part


def _named(run: Run) -> tuple[str, str]:
    """Name a model by its folder and its hash: a worker may outlive a training."""
    return str(run.folder.absolute()), run.sha256


@lru_cache(maxsize=1)
def _model_of_worker(folder: str, sha256: str) -> LitModule:
    """Load a model once per worker; it shares the machine with the others."""
    torch.set_num_threads(1)
    return run_folder.load_model(Path(folder)).to(device())


def encode_files(
    run: Run,
    study: Study,
    *,
    files: Sequence[Path],
    folder: Path,
    n_jobs: int = 1,
    scheduler: str | None = None,
) -> tuple[Latents, dict[str, str]]:
    """Encode audio files window by window; a file that cannot be read is set aside.

    Parameters
    ----------
    run
        A trained experiment.
    study
        Its study, which has the rate and the length of a window.
    files
        Audio files of any format, rate and length.
    folder
        Where ``z.npy``, ``items.parquet`` and ``provenance.json`` go.
    n_jobs, scheduler
        Processes, or the address of a Dask scheduler, as in `pool.each`.

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
    model, transform = load_model(run), datamodules.transform(study)
    quarantine: dict[str, str] = {}
    encode_all = partial(encode_each, partial(_encode_one, model, transform), files, quarantine)
    if scheduler or (n_jobs != 1 and device() == "cpu"):
        where = {"n_jobs": n_jobs, "scheduler": scheduler}
        encode_all = partial(_encode_all_on_workers, run, transform, files, quarantine, where)
    return write_latents(folder, encode_all, _provenance(run, model, transform)), quarantine


def encode_each(
    encode_one: Callable[[Path, BinaryIO], list[dict]],
    files: Sequence[Path],
    quarantine: dict,
    raw: BinaryIO,
) -> pd.DataFrame:
    """Append the latents of every file to `raw`; return one row per window."""
    items = []
    for path in progress(files, "encode", "file"):
        start = raw.tell()
        try:
            items += encode_one(Path(path), raw)
        except AudioError as error:
            quarantine[str(path)] = error.advice
            raw.seek(start)  # a file that breaks off leaves nothing
            raw.truncate()
    return _table(items, quarantine)


def _encode_all_on_workers(
    run: Run,
    transform: Transform,
    files: Sequence[Path],
    quarantine: dict,
    where: dict,
    raw: BinaryIO,
) -> pd.DataFrame:
    """Append the latents of every file to `raw`, as `encode_each` does."""
    folder = Path(raw.name).absolute().parent
    named = _named(run)
    tasks = [(named, transform, Path(path), folder / f"{i}.raw") for i, path in enumerate(files)]
    done = progress(pool.each(_encode_file, tasks, **where), "encode", "file", total=len(tasks))
    items = []
    for path, (rows, reason), task in zip(files, done, tasks, strict=True):
        items += rows
        if reason:
            quarantine[str(path)] = reason
        else:
            _append(task[-1], raw)
    return _table(items, quarantine)


def _encode_file(
    named: tuple[str, str], transform: Transform, path: Path, part: Path
) -> tuple[list[dict], str]:
    """Write the latents of a file into one of their own, on a worker; return rows or a reason."""
    try:
        with whole_file(part) as name, name.open("wb") as file:
            return _encode_one(_model_of_worker(*named), transform, path, file), ""
    except AudioError as error:
        part.unlink(missing_ok=True)
        return [], error.advice


def _table(items: list[dict], quarantine: dict[str, str]) -> pd.DataFrame:
    """Return the items of encoded files, or say why there are none."""
    if not items:
        first = ": ".join(next(iter(quarantine.items())))
        raise ValueError(f"none of the {len(quarantine)} files can be read; {first}")
    table = pd.DataFrame(items)
    # Files of one name in several folders go by their paths.
    clash = table.groupby("item_id")["path"].transform("nunique") > 1
    return table.assign(item_id=table["item_id"].mask(clash, table["path"]))


def _encode_one(model: LitModule, transform: Transform, path: Path, raw: BinaryIO) -> list[dict]:
    """Append the latents of one file; return one row per window."""
    common = item_of(path)
    starts = []
    for start_s, z in encode(model, path, transform):
        z.tofile(raw)
        starts += start_s
    ends = Grid(transform.sr, transform.window_s).end_s(np.array(starts))
    return [common | {"start_s": s, "end_s": e} for s, e in zip(starts, ends, strict=True)]


def item_of(path: Path) -> dict:
    """Return what all windows of a file have in common."""
    name = str(path.absolute())
    if name != name.encode(errors="replace").decode():
        raise AudioError(path, "its name is no valid UTF-8", "rename it")
    return {"item_id": path.name, "path": name, "label": "", "group": name, "split": ""}


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
        Transform from a window to the model's input.

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
        starts, parts = zip(*batch, strict=True)
        parts = [windows.centred(y, transform.sr) for y in parts]  # as the cache has them
        yield list(starts), encode_windows(model, transform, parts)


@torch.no_grad()
def encode_windows(
    model: LitModule, transform: Transform, parts: Sequence[np.ndarray]
) -> np.ndarray:
    """Return the latents (B, D) of the samples (N,) of B windows."""
    return _latents(model, transform.model_input(_transformed(model, transform, parts)))


def _transformed(model: LitModule, transform: Transform, parts: Sequence[np.ndarray]) -> np.ndarray:
    """Transform windows (N,) one by one; log-mel as a batch where the model stands on a GPU."""
    if model.device.type == "cpu" or transform.kind != "logmel":
        return np.stack([transform(y) for y in parts])
    y = torch.from_numpy(np.stack(parts)).to(model.device)
    return mel_frontend.log_mel(y, *transform.parameters).cpu().numpy()


def _latents(model: LitModule, x: np.ndarray) -> np.ndarray:
    """Encode model inputs (B, ...) where the model stands: (B, D)."""
    x = torch.from_numpy(x)[:, None].to(model.device)  # B x 1 x ...
    return model.encode(x).flatten(1).cpu().numpy()


def load_model(run: Run) -> LitModule:
    """Load a trained model, onto a GPU where there is one."""
    return run.load().to(device())


def device() -> str:
    """Name the device that encodes: a GPU where there is one."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def _provenance(run: Run, model: LitModule, transform: Transform, data_hash: str = "") -> dict:
    """Return what made latents: checkpoint, transform, data (empty for loose files), versions."""
    return {
        "study": run.experiment.study,
        "experiment": run.experiment.name,
        "checkpoint": run.sha256,
        "options": run.experiment.options,
        **latent_spec(model, transform),
        "musiclatent": __version__,
        "torch": torch.__version__,
        "data": data_hash,
    }


@torch.no_grad()
def latent_spec(model: LitModule, transform: Transform) -> dict:
    """Return what the latent of a window is: latent_shape, input, sr, window_s; hops if sparse."""
    x = torch.zeros(1, 1, *transform.shape, device=model.device)
    return {
        "latent_shape": list(model.encode(x).shape[1:]),
        "input": transform.kind,
        "sr": transform.sr,
        "window_s": transform.window_s,
        **({"hops": model.hops} if model.hops else {}),
    }


def write_latents(
    folder: Path, encode: Callable[[BinaryIO], pd.DataFrame], provenance: dict
) -> Latents:
    """Fill a folder with the latents that `encode` appends to a file, and the items it returns."""
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder, prefix=".encoding-") as name:
        scratch = Path(name)
        with (scratch / "z.raw").open("wb") as raw:
            items = encode(raw)
        shape = (len(items), int(np.prod(provenance["latent_shape"])))
        header = {"descr": "<f4", "fortran_order": False, "shape": shape}
        with (scratch / "z.npy").open("wb") as z, (scratch / "z.raw").open("rb") as raw:
            np.lib.format.write_array_header_1_0(z, header)
            shutil.copyfileobj(raw, z)
        items.to_parquet(scratch / "items.parquet", index=False)
        (scratch / "provenance.json").write_text(json.dumps(provenance, indent=1))
        (folder / "provenance.json").unlink(missing_ok=True)  # killed in between: nothing counts
        for file in store.NAMES:
            os.replace(scratch / file, folder / file)
    return store.read_latents(folder)
