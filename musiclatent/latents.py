"""Encode a corpus, or files of any length, into a folder of latents; read, select and decode them.

A folder holds ``z.npy`` (B, D), ``items.parquet`` and ``provenance.json``. What lies there is used
only if the same checkpoint and the same data made it.
"""

import json
import logging
import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO

import numpy as np
import pandas as pd
import torch

from musiclatent import __version__
from musiclatent.cache import WINDOW
from musiclatent.config import Study
from musiclatent.datamodules import CorpusDataModule
from musiclatent.errors import AudioError, LatentsError, first_line
from musiclatent.excerpts import Grid, Transform, windows
from musiclatent.files import progress, sha256_of, whole_file
from musiclatent.models.blocks import Trained
from musiclatent.models.frontend import log_mel
from musiclatent.runs import Run, load
from musiclatent.spectrograms import transform

BATCH = 8  # windows encoded at once
NAMES = ("z.npy", "items.parquet", "provenance.json")
log = logging.getLogger("musiclatent")


@dataclass(frozen=True)
class Latents:
    """Latents of windows, and what they came from.

    Parameters
    ----------
    z
        (B, D) float32, one row a window; memory-mapped.
    items
        One row a window: item_id, path, label, group, split, start_s, end_s; of a corpus also
        silent, and what else the corpus knows.
    provenance
        study, experiment, options, hashes of the checkpoint and of the data (empty for loose
        files), latent_shape (K, T), sr, window_s, versions; of sparse codes their hops.
    """

    z: np.ndarray
    items: pd.DataFrame
    provenance: dict

    def shaped(self) -> np.ndarray:
        """Return the latents as (B, K, T)."""
        return self.z.reshape(len(self.z), *self.provenance["latent_shape"])


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
    items = corpus_items(data)
    try:
        found = read(folder, run=run, data_hash=data.data_hash())
        log.info("latents: %d windows of %s reused", len(found.z), run.experiment.name)
        _write_items(items, folder)  # files may have moved, or labels changed
        return replace(found, items=items)
    except LatentsError:
        pass
    model = placed(run)
    about = _provenance(run, model, data.transform)
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder, prefix=".encoding-") as scratch:
        with (Path(scratch) / "z.raw").open("wb") as raw:
            _encode_rows(model, data, raw)
        _publish(Path(scratch), folder, items, about | {"data": data.data_hash()})
    return read(folder)


def corpus_items(data: CorpusDataModule) -> pd.DataFrame:
    """One row a window, with what the corpus knows of its recording."""
    corpus = data.index().items
    more = ["item_id", *corpus.columns.difference(WINDOW, sort=False)]
    table = data.cached.items[WINDOW].merge(corpus[more], "left", "item_id", validate="m:1")
    return table.reset_index(drop=True)


@torch.no_grad()
def _encode_rows(model: Trained, data: CorpusDataModule, raw: BinaryIO) -> None:
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
    model = placed(run)
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder, prefix=".encoding-") as scratch:
        with (Path(scratch) / "z.raw").open("wb") as raw:
            items, quarantine = _encode_all(model, study, files, raw)
        if not items:
            path, reason = next(iter(quarantine.items()))
            raise ValueError(f"none of the {len(files)} files can be read; {path}: {reason}")
        about = _provenance(run, model, transform(study))
        _publish(Path(scratch), folder, _named(items), about | {"data": ""})
    return read(folder), quarantine


def _encode_all(
    model: Trained, study: Study, files: Sequence[Path], raw: BinaryIO
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


def _encode_one(model: Trained, study: Study, path: Path, raw: BinaryIO) -> list[dict]:
    """Append the latents of one file; return a row for each window."""
    name = str(path.absolute())
    if name != name.encode(errors="replace").decode():
        raise AudioError(path, "its name is no valid UTF-8", "rename it")
    starts = []
    for start_s, z in encode(model, path, transform(study)):
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
    model: Trained, path: Path, transform: Transform
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
    source = windows(path, transform.sr, transform.window_s)
    while batch := list(islice(source, BATCH)):
        x = transform.model_input(_transformed(model, transform, [y for _, y in batch]))
        yield [start_s for start_s, _ in batch], _latents(model, x)


def _transformed(model: Trained, transform: Transform, windows: list[np.ndarray]) -> np.ndarray:
    """Transform windows (N,) one by one; log-mel as a batch where the model stands on a GPU."""
    if model.device.type == "cpu" or transform.kind != "logmel":
        return np.stack([transform(y) for y in windows])
    y = torch.from_numpy(np.stack(windows)).to(model.device)
    return log_mel(y, *transform.parameters).cpu().numpy()


def _latents(model: Trained, x: np.ndarray) -> np.ndarray:
    """Encode model inputs (B, ...) where the model stands: (B, D)."""
    x = torch.from_numpy(x)[:, None].to(model.device)  # B x 1 x ...
    return model.encode(x).flatten(1).cpu().numpy()


def placed(run: Run) -> Trained:
    """Load a trained model, onto a GPU where there is one."""
    return load(run.checkpoint, run.experiment).to("cuda" if torch.cuda.is_available() else "cpu")


@torch.no_grad()
def _provenance(run: Run, model: Trained, transform: Transform) -> dict:
    """Say what made latents of windows that a transform gives."""
    return {
        "study": run.experiment.study,
        "experiment": run.experiment.name,
        "checkpoint": sha256_of(run.checkpoint),
        "options": run.experiment.options,
        **form(model, transform),
        "musiclatent": __version__,
        "torch": torch.__version__,
    }


@torch.no_grad()
def form(model: Trained, transform: Transform) -> dict:
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


def read(folder: Path, *, run: Run | None = None, data_hash: str = "") -> Latents:
    """Read a folder of latents, and check what made them.

    Parameters
    ----------
    folder
        A folder that `encode_corpus` or `encode_files` filled.
    run
        The experiment that must have made them; None asks for none.
    data_hash
        Hash of the data that they must be made of, see `CorpusDataModule.data_hash`; empty asks
        for none.

    Raises
    ------
    LatentsError
        If the folder holds no latents, broken ones, or those of another checkpoint or other data;
        the message names the command that makes them anew.
    """
    folder = Path(folder)
    missing = [name for name in NAMES if not (folder / name).exists()]
    if missing:
        raise LatentsError(
            f"{folder} holds no latents ({', '.join(missing)} missing); make them with: "
            f"{_command(run, data_hash)}"
        )
    try:
        provenance = json.loads((folder / "provenance.json").read_text())
        z = np.load(folder / "z.npy", mmap_mode="r", allow_pickle=False)
        items = pd.read_parquet(folder / "items.parquet")
        if z.shape != (len(items), int(np.prod(provenance["latent_shape"]))):
            raise ValueError(f"{len(z)} latents but {len(items)} items")
    except (ValueError, OSError, EOFError, KeyError, TypeError) as error:
        raise LatentsError(
            f"{folder} holds broken latents ({first_line(error)}); delete it and make them with: "
            f"{_command(run, data_hash)}"
        ) from None
    _check(folder, provenance, run, data_hash)
    return Latents(z, items, provenance)


def _check(folder: Path, found: dict, run: Run | None, data_hash: str) -> None:
    """Refuse latents that another checkpoint or other data made."""
    remedy = f"make them anew with: {_command(run, data_hash)}"
    if run is not None and found.get("checkpoint") != (wanted := sha256_of(run.checkpoint)):
        raise LatentsError(
            f"{folder} holds latents of the checkpoint {str(found.get('checkpoint'))[:12]} of "
            f"{found.get('experiment')}, not of {wanted[:12]} of {run.experiment.name}; {remedy}"
        )
    if data_hash and found.get("data") != data_hash:
        made_of = f"the data {found['data'][:12]}" if found.get("data") else "loose files"
        raise LatentsError(
            f"{folder} holds latents of {made_of}, not of the data {data_hash[:12]}; {remedy}"
        )


def _command(run: Run | None, data_hash: str) -> str:
    """Name the command that makes latents."""
    if run is None or not data_hash:
        row = run.experiment if run else None
        named = f" --study {row.study} --experiment {row.name}" if row else ""
        return f"musiclatent encode FILES{named}"
    return f"make reproduce STUDY={run.experiment.study} EXPERIMENT={run.experiment.name}"


def select(latents: Latents, keep: np.ndarray) -> Latents:
    """Keep some of the windows.

    Parameters
    ----------
    latents
        Latents of B windows.
    keep
        (B,) bool, or rows in the order wanted.

    Raises
    ------
    LatentsError
        If `keep` has another length, or names rows that are not there.
    """
    rows, n = np.asarray(keep), len(latents.z)
    if rows.dtype == bool:
        if rows.shape != (n,):
            raise LatentsError(f"keep has shape {rows.shape}; there are {n} windows")
        rows = np.flatnonzero(rows)
    elif rows.size and (rows.min() < 0 or rows.max() >= n):
        raise LatentsError(f"keep names rows up to {rows.max()}; there are {n} windows")
    rows = rows.astype(int)
    return replace(
        latents, z=latents.z[rows], items=latents.items.iloc[rows].reset_index(drop=True)
    )


def join(latents: Latents, table: pd.DataFrame, on: str = "item_id") -> Latents:
    """Add the columns of a table to the items.

    Parameters
    ----------
    latents
        Latents whose items have the column `on`.
    table
        One row for each value of `on`; columns that the items have already are left out.
    on
        Column that both have.

    Raises
    ------
    LatentsError
        If one of them lacks the column, or the table has a value twice.
    """
    for name, columns in (("items", latents.items.columns), ("table", table.columns)):
        if on not in columns:
            raise LatentsError(f"the {name} lack the column {on!r}; join on a column of both")
    twice = table.loc[table[on].duplicated(), on]
    if len(twice):
        raise LatentsError(f"the table has {twice.iloc[0]!r} twice; give one row for each {on}")
    new = table[[on, *table.columns.difference(latents.items.columns, sort=False)]]
    return replace(latents, items=latents.items.merge(new, "left", on))


@torch.no_grad()
def decode(run: Run, z: np.ndarray, latent_shape: Sequence[int]) -> np.ndarray:
    """Decode latents to what a model takes, a few at a time.

    Parameters
    ----------
    run
        A trained experiment.
    z
        Latents (B, D) or (B, K, T).
    latent_shape
        (K, T), as in the provenance.

    Returns
    -------
    array (B, N) or (B, M, T), float32
        Waveforms in [-1, 1] at the study's rate, or spectrograms in [0, 1]; a whole number
        of latent frames, so that they may be a little longer than the window that was encoded.

    Raises
    ------
    LatentsError
        If `z` does not have that shape.
    """
    z, width = np.asarray(z, np.float32), int(np.prod(latent_shape))
    if z.ndim not in (2, 3) or not len(z) or z[0].size != width:
        raise LatentsError(f"latents have shape {z.shape}; give (B, {width}), one row or more")
    model = load(run.checkpoint, run.experiment)
    z = z.reshape(len(z), *latent_shape)
    parts = [z[i : i + BATCH].copy() for i in range(0, len(z), BATCH)]
    return np.concatenate([model.decode(torch.from_numpy(part))[:, 0].numpy() for part in parts])
