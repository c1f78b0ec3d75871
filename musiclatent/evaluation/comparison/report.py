"""A table of encoders, three sentences made from it, and result files others can run again."""

import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from musiclatent import __version__
from musiclatent.config import SEED
from musiclatent.evaluation.comparison.judged import Judged
from musiclatent.files import write_json

USES = {  # what somebody may want a representation for -> figures that speak of it, best first
    "to find similar music": ("artist_map", "version_map", "artist_top1"),
    "to read labels off": (
        "genre_probe",
        "label_probe",
        "digit_probe",
        "speech_probe",
        "speaker_probe",
    ),
    "to recognise damaged copies": ("found_copies", "kept_mp3 64", "kept_noise 20"),
}


def sentences(judged: Sequence[Judged], baseline: str) -> list[str]:
    """Answer in three sentences which representation serves which use.

    Parameters
    ----------
    judged
        What encoders were judged by.
    baseline
        Encoder that all others are compared with.

    Returns
    -------
    list of str
        One sentence per use of `USES`. An encoder is named as better than another only where the
        interval of their paired difference leaves 0 out.
    """
    by_key = {one.key: one for one in judged}
    return [_sentence(use, keys, by_key, baseline) for use, keys in USES.items()]


def _sentence(use: str, keys: Sequence[str], by_key: Mapping[str, Judged], baseline: str) -> str:
    """Answer for one use, by the first of its figures that was measured."""
    one = next((by_key[key] for key in keys if key in by_key), None)
    start = use[0].upper() + use[1:]
    if one is None:
        return f"{start}: not measured here."
    means = one.values.mean().sort_values(ascending=False, kind="stable")
    best = means.index[0]
    ties = [name for name in means.index[1:] if not one.over(best, name).leaves_zero_out]
    figure = f"{one.key} {_named(one, best)} on {one.dataset}"
    told = (
        f"{start}, take {best} ({figure})"
        if not ties
        else (f"{start}, {best} is first ({figure}), but its lead over {_few(ties)} may be chance")
    )
    return f"{told}{_over_baseline(one, best, baseline)}."


def _named(one: Judged, encoder: str) -> str:
    """Write a figure with its interval."""
    found = one.mean(encoder)
    if math.isnan(found.low):
        return f"{found.estimate:.2f}"
    return f"{found.estimate:.2f}, 95 % interval {found.low:.2f} to {found.high:.2f}"


def _few(names: Sequence[str]) -> str:
    """Name three and count the rest."""
    shown = ", ".join(names[:3])
    return shown if len(names) <= 3 else f"{shown} and {len(names) - 3} more"


def _over_baseline(one: Judged, best: str, baseline: str) -> str:
    """Say whether the first is better than the baseline."""
    if baseline == best or baseline not in one.values:
        return ""
    step = one.over(best, baseline)
    if not step.leaves_zero_out:
        return f"; it is not better than {baseline} beyond chance"
    return f"; it leads {baseline} by {step.estimate:.2f} ({step.low:.2f} to {step.high:.2f})"


def write_results(
    folder: Path,
    judged: Sequence[Judged],
    encoders: Mapping[str, Mapping[str, str]],
    seconds: Mapping[str, float] | None = None,
) -> list[Path]:
    """Write one json file per encoder and dataset, in the form of MTEB's result files.

    Parameters
    ----------
    folder
        Gets ``ENCODER/REVISION/TASK.json`` and ``ENCODER/REVISION/model_meta.json``.
    judged
        What encoders were judged by.
    encoders
        Encoder -> name, revision, licence and whatever else describes it.
    seconds
        Encoder -> time that its evaluation took, if known.

    Returns
    -------
    list of Path
        The files.

    Notes
    -----
    Muennighoff, Tazi, Magne and Reimers (2023), MTEB: massive text embedding benchmark; the form
    is that of ``results/MODEL/REVISION/TASK.json`` of mteb 2.
    """
    paths = []
    for name, about in encoders.items():
        place = folder / _slug(name) / _slug(about["revision"])
        paths.append(write_json(place / "model_meta.json", dict(about)))
        for one in judged:
            if name in one.values:
                result = task_result(one, name, (seconds or {}).get(name))
                paths.append(write_json(place / f"{_slug(one.key)}.json", result))
    return paths


def task_result(one: Judged, encoder: str, seconds: float | None = None) -> dict:
    """Return a result in the form of MTEB's.

    Parameters
    ----------
    one
        What was judged.
    encoder
        Whose result.
    seconds
        Time that its evaluation took, if known.
    """
    found = one.mean(encoder)
    bounds = {"low": _number(found.low), "high": _number(found.high)}
    score = {
        "main_score": _number(found.estimate),
        "hf_subset": "default",
        "languages": ["zxx-Zxxx"],  # no linguistic content, as MTEB calls it
        one.key: _number(found.estimate),
        **bounds,
        "units": found.units,
        "rows": len(one.values),
        "folds": one.split,
        "seed": SEED,
    }
    return {
        "task_name": one.key,
        "dataset_revision": one.dataset,
        "mteb_version": f"musiclatent {__version__}",
        "scores": {"test": [score]},
        "evaluation_time": seconds,
        "kg_co2_emissions": None,
    }


def _number(value: float) -> float | None:
    """Return a number that json can hold."""
    return float(value) if math.isfinite(value) else None


def _slug(text: str) -> str:
    """Return a name that a file may have."""
    return re.sub(r"[^A-Za-z0-9._+-]+", "-", text).strip("-.") or "unnamed"


def short_table(table: pd.DataFrame) -> pd.DataFrame:
    """Return the figures without their bounds, rounded, best known columns first.

    Parameters
    ----------
    table
        As `judged.table` returns it, perhaps with more columns.
    """
    shown = [name for name in table if not re.search(r"_(low|high|control)$", name)]
    return table[shown].round(3)
