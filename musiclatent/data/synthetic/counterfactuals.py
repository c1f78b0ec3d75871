"""Scores rendered as they are and again with one factor changed: what each factor does to a vector.

Of every score there is one clip as it is and one per factor, all with the same notes in beats and
scale degrees. No factor of the clips as they are follows their style, so that they serve linear
probes too.
"""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from filelock import FileLock
from joblib import Parallel

from musiclatent import audio
from musiclatent.config import SEED, SR
from musiclatent.data.synthetic import music, score
from musiclatent.data.synthetic.music import FASTER, FREE_TEMPO, TRANSPOSED, Clip
from musiclatent.data.synthetic.styles import STYLES
from musiclatent.files import progress, write_json
from musiclatent.numba_cache import delayed

COUNT = 300  # scores, and so pairs of each factor
CLIP_S = 6.0
CACHE_VERSION = 1  # raise by hand when the same seed would give other sounds
TEMPI = (70.0, 140.0)  # of the clips as they are: one octave, so that no tempo is twice another
BRIGHTER = 0.45  # step of the filter setting
SOFTER_DB = 12.0


def _key(clip: Clip) -> tuple[dict, int]:
    """Move the tonic up by `TRANSPOSED` semitones."""
    above = (score.KEYS.index(clip.key) + TRANSPOSED) % 12
    return {"key": score.KEYS[above]}, 1


def _mode(clip: Clip) -> tuple[dict, int]:
    """Take the other mode; minor is upwards."""
    return ({"mode": "minor"}, 1) if clip.mode == "major" else ({"mode": "major"}, -1)


def _brightness(clip: Clip) -> tuple[dict, int]:
    """Move the filter setting by `BRIGHTER`, to where there is room."""
    way = 1 if clip.brightness < 0.5 else -1
    return {"brightness": round(clip.brightness + way * BRIGHTER, 3)}, way


def _instrument(clip: Clip) -> tuple[dict, int]:
    """Give the melody to another instrument of any style."""
    others = sorted({lead for style in STYLES.values() for lead in style.leads} - {clip.lead})
    return {"lead": others[sum(clip.rng_key) % len(others)]}, 1


CHANGES: dict[str, Callable[[Clip], tuple[dict, int]]] = {
    "key": _key,
    "tempo": lambda clip: ({"tempo": round(FASTER * clip.tempo, 2)}, 1),
    "brightness": _brightness,
    "instrument": _instrument,
    "mode": _mode,
    "level": lambda clip: ({"level_db": round(clip.level_db - SOFTER_DB, 2)}, 1),
}
FACTORS = tuple(CHANGES)
AS_IT_IS = "none"  # the factor of a clip with nothing changed


def render(
    folder: Path, *, count: int = COUNT, seconds: float = CLIP_S, seed: int = SEED, n_jobs: int = 2
) -> pd.DataFrame:
    """Render scores and their counterfactuals into a folder, or take up what is there.

    Parameters
    ----------
    folder
        Where ``audio`` and ``manifest.json`` go. Clips of another length, seed or version there
        are replaced; more scores of the same are added to.
    count
        How many scores: pairs of each factor.
    seconds
        Length of a clip.
    seed
        Seed of all random numbers.
    n_jobs
        Processes that render.

    Returns
    -------
    DataFrame
        One row per clip: item_id, path, number (of the score), factor that was changed (`AS_IT_IS`
        or one of `FACTORS`), direction (1, or -1 where the change goes down), style, group, and
        the values of tempo, key, mode, brightness, lead and level_db in the clip.

    Raises
    ------
    ValueError
        If there are no scores to render, or the folder holds audio that was not rendered here.
    """
    if count < 1:
        raise ValueError(f"{count} scores cannot be rendered; ask for one or more")
    folder = Path(folder).resolve()
    folder.parent.mkdir(parents=True, exist_ok=True)
    rows = [row for number in range(count) for row in _versions(number, seconds, seed)]
    manifest = {"seconds": seconds, "seed": seed, "version": CACHE_VERSION}
    with FileLock(f"{folder}.lock"):
        _prepare(folder, manifest)
        paths = [folder / "audio" / f"{item_id}.flac" for item_id, *_ in rows]
        jobs = [(row[1], path) for row, path in zip(rows, paths, strict=True) if not path.exists()]
        tasks = (delayed(_render)(clip, path, seconds) for clip, path in jobs)
        done = Parallel(n_jobs=n_jobs, return_as="generator_unordered")(tasks)
        list(progress(done, "counterfactuals", "clip", total=len(jobs), disable=not jobs))
    return pd.DataFrame([_row(*row, path) for row, path in zip(rows, paths, strict=True)])


def _versions(number: int, seconds: float, seed: int) -> list[tuple[str, Clip, str, int]]:
    """Return name, clip, changed factor and direction of each version of a score."""
    clip = music.draw_pair(number, seconds=seconds, seed=seed)
    clip = replace(clip, tempo=round(float(np.interp(clip.tempo, FREE_TEMPO, TEMPI)), 2))
    changed = [(factor, *change(clip)) for factor, change in CHANGES.items()]
    versions = [(AS_IT_IS, {}, 0), *changed]
    fastest = round(
        FASTER * clip.tempo, 2
    )  # all of them have the bars of the fastest: the same draws
    return [
        (f"{number:05d}-{factor}", music.lengthened(replace(clip, **values), fastest), factor, way)
        for factor, values, way in versions
    ]


def _row(item_id: str, clip: Clip, factor: str, direction: int, path: Path) -> dict:
    """Return the row of a clip in the index."""
    number = int(item_id.partition("-")[0])
    names = ("style", "tempo", "key", "mode", "brightness", "lead", "level_db")
    return {
        "item_id": item_id,
        "path": str(path),
        "number": number,
        "group": f"{number:05d}",
        "factor": factor,
        "direction": direction,
        **{name: getattr(clip, name) for name in names},
    }


def _prepare(folder: Path, manifest: dict) -> None:
    """Prepare the folder; remove clips of another manifest, never what is not ours."""
    note, sounds = folder / "manifest.json", folder / "audio"
    if sounds.exists() and not note.exists():
        raise ValueError(f"{folder} holds audio that was not rendered here; name an empty folder")
    if note.exists() and json.loads(note.read_text()) != manifest:
        shutil.rmtree(sounds, ignore_errors=True)
    sounds.mkdir(parents=True, exist_ok=True)
    write_json(note, manifest)


def _render(clip: Clip, path: Path, seconds: float) -> None:
    """Render one clip, without the seconds that only the slower ones have."""
    y, _ = clip.synthesise()
    audio.write(path, y[: round(seconds * SR)], SR, subtype="PCM_16")
