"""The embedded corpora: music, spoken digits and dance tracks rendered here, with known factors.

Each file is drawn from (seed, kind, its own number), so that a larger corpus holds the smaller one.
"""

import json
import shutil
from dataclasses import asdict
from pathlib import Path

import pandas as pd
from filelock import FileLock
from joblib import Parallel

from musiclatent import audio
from musiclatent.config import DemoSize
from musiclatent.data.synthetic import dance, digits, music
from musiclatent.files import pick, progress, write_file, write_json
from musiclatent.numba_cache import delayed

PLANS = {
    "music": music.plan,
    "digits": digits.plan,
    "dance": dance.plan,
    "probes": music.plan_probes,
}
KINDS = tuple(PLANS)
CACHE_VERSION = 2  # raise by hand when the same seed would give other sounds
Item = music.Clip | digits.Utterance | dance.Track


def render(
    kind: str, size: DemoSize, folder: Path, *, seed: int = 0, n_jobs: int = 2
) -> pd.DataFrame:
    """Render an embedded corpus into a folder, or take up what is there of the same corpus.

    Parameters
    ----------
    kind
        ``music`` (22,050 Hz mono clips of ten styles), ``digits`` (8 kHz utterances), ``dance``
        (22,050 Hz stereo tracks) or ``probes`` (as music, but no factor follows the style).
    size
        How much of it.
    folder
        Where ``index.parquet``, ``manifest.json`` and the folder ``audio`` go. A corpus of another
        size, seed or version that was rendered there is replaced.
    seed
        Seed of all random numbers; the same seed gives the same bytes.
    n_jobs
        Processes that render, one file each; 1 renders in this process.

    Returns
    -------
    pd.DataFrame
        One row per file: item_id, path (absolute), label, group, seconds and the factors. Times of
        beats are a list of seconds; the sections of a dance track are a json string.

    Raises
    ------
    ValueError
        If there is no such kind, or the folder holds audio that was not rendered by us.
    """
    items = pick(PLANS, kind, "embedded corpus")(size, seed)
    folder = Path(folder).resolve()
    folder.parent.mkdir(parents=True, exist_ok=True)
    manifest = {"kind": kind, "size": asdict(size), "seed": seed, "version": CACHE_VERSION}
    with FileLock(f"{folder}.lock"):  # studies that run side by side share corpora
        _prepare(folder, manifest)
        missing = [item for item in items if not (folder / "audio" / item.file).exists()]
        tasks = (delayed(_render_file)(item, folder / "audio" / item.file) for item in missing)
        done = Parallel(n_jobs=n_jobs, return_as="generator_unordered")(tasks)
        list(progress(done, f"rendering {kind}", "file", total=len(missing), disable=not missing))
        return _index(items, folder)


def _prepare(folder: Path, manifest: dict) -> None:
    """Prepare the folder for this corpus, and remove a corpus of another manifest."""
    note, sounds = folder / "manifest.json", folder / "audio"
    if sounds.exists() and not note.exists():
        raise ValueError(f"{folder} holds audio that was not rendered here; name an empty folder")
    if not note.exists() or json.loads(note.read_text()) != manifest:
        (folder / "index.parquet").unlink(missing_ok=True)
        shutil.rmtree(sounds, ignore_errors=True)
        folder.mkdir(parents=True, exist_ok=True)
        write_json(note, manifest)
    sounds.mkdir(exist_ok=True)


def _render_file(item: Item, path: Path) -> None:
    """Render one file; an mp3 is compressed hard, at 56 kbit/s."""
    y, sr = item.synthesise()
    if path.suffix == ".mp3":
        write_file(path, audio.to_mp3(y, sr))
    else:
        audio.write(path, y, sr, subtype="PCM_16")


def _index(items: list[Item], folder: Path) -> pd.DataFrame:
    """Write the index if it is missing, read it, and make its paths absolute."""
    path = folder / "index.parquet"
    if not path.exists():
        rows = [item.row() | {"path": f"audio/{item.file}"} for item in items]
        write_file(path, pd.DataFrame(rows).to_parquet(index=False))
    index = pd.read_parquet(path)
    index["path"] = [str(folder / name) for name in index["path"]]
    return index
