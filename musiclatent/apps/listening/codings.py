"""Ask blindly about rebuilt sound: whether one would listen to it, and whether it is understood.

Which coding a sound went through stands in the key alone, as its number among `Codings.names`.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from musiclatent import audio, config, files
from musiclatent.apps import listening_test
from musiclatent.audio.windows import Transform
from musiclatent.config import SEED
from musiclatent.latents import decode
from musiclatent.training.run_folder import Run

ORIGINAL = "original"
MUSIC, SPEECH = "music", "speech"
TITLE = "How few numbers keep sound listenable?"


def render(
    runs: Mapping[str, Run],
    music: Sequence[np.ndarray],
    speech: Sequence[np.ndarray],
    *,
    transform: Transform,
    folder: Path,
) -> pd.DataFrame:
    """Write excerpts as they are and as each model rebuilds them.

    Parameters
    ----------
    runs
        Name -> trained waveform model.
    music, speech
        Excerpts (N,) in [-1, 1] at the models' rate.
    transform
        What the models take.
    folder
        Where the wav files go.

    Returns
    -------
    DataFrame
        One row per excerpt and coding: item_id, path, start_s, end_s as a listening page takes
        them; kind (``music`` or ``speech``), excerpt (its number), coding (``original`` first).

    Raises
    ------
    ValueError
        If there is no music.
    """
    if not len(music):
        raise ValueError("there is no music to listen to; give one excerpt or more")
    models = {ORIGINAL: None} | {name: run.load() for name, run in runs.items()}
    excerpts = [(MUSIC, y) for y in music] + [(SPEECH, y) for y in speech]
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for i, (kind, y) in enumerate(excerpts):
        for coding, model in models.items():
            blocks = decode.rebuild(model, [y], transform=transform) if model else [y]
            path = audio.write_blocks(folder / f"{i}-{coding}.wav", blocks, transform.sr)
            rows.append((kind, i, coding, str(path), files.sha256_of(path), len(y) / transform.sr))
    columns = ["kind", "excerpt", "coding", "path", "item_id", "end_s"]
    return pd.DataFrame(rows, columns=columns).assign(start_s=0.0)


def speech_excerpts(sr: int, n: int, *, seconds: float) -> list[np.ndarray]:
    """Read the beginnings of recordings of speech, of the corpus ``music_speech`` where it is.

    Parameters
    ----------
    sr
        Rate in Hz to read at.
    n
        How many at most.
    seconds
        Of each.
    """
    files = sorted((config.data_root() / "music_speech" / "speech").glob("*.*"))[:n]
    return [audio.read(file, sr, duration_s=seconds)[0] for file in files]


def questions(sounds: pd.DataFrame, *, seed: int = SEED) -> pd.DataFrame:
    """Ask about every sound once, and about one pair of each coding; the order tells nothing.

    Parameters
    ----------
    sounds
        As `render` returns them.
    seed
        Of the order.

    Returns
    -------
    DataFrame
        As of `listening_test.questions`: kind ``whole`` (would you listen to a whole piece?) of
        music, ``same`` (do both sound the same?) of a recording and a coding of it, ``words`` (do
        you understand every word?) of speech; cluster is the number of the coding in the order of
        `names`, truth whether it is the recording itself.
    """
    rng, rows = np.random.default_rng(seed), []
    numbers = {name: i for i, name in enumerate(names(sounds))}
    coded = list(zip(sounds["kind"], sounds["excerpt"], sounds["coding"], strict=True))
    place = {one: row for row, one in enumerate(coded)}
    asked = [("whole", place[one], one) for one in coded if one[0] == MUSIC]
    asked += [("words", place[one], one) for one in coded if one[0] == SPEECH]
    music = sounds.loc[sounds["kind"] == MUSIC, "excerpt"].unique()
    pairs = [(MUSIC, music[i % len(music)], name) for name, i in numbers.items()]
    parts = {"whole": [], "same": [], "words": []}
    for kind, row, (_, _, coding) in asked:
        parts[kind].append((kind, numbers[coding], coding == ORIGINAL, -1, -1, row))
    for pair in pairs:
        first = place[(*pair[:2], ORIGINAL)]
        number, truth = numbers[pair[2]], pair[2] == ORIGINAL
        parts["same"].append(("same", number, truth, first, -1, place[pair]))
    for part in parts.values():
        rows += [part[i] for i in rng.permutation(len(part))]
    return listening_test.named(rows, sounds)


def names(sounds: pd.DataFrame) -> list[str]:
    """Return the codings in the order of their numbers, the original first."""
    return sounds["coding"].unique().tolist()


def opinions(agreement: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """Return what listeners said of each coding.

    Parameters
    ----------
    agreement
        As `listening_test.agreement` returns it, of questions of this module.
    names
        The codings in the order of their numbers.

    Returns
    -------
    DataFrame
        One row per kind of question and coding: ``n`` (answers), ``yes``, ``low`` and ``high``, the
        share of yes with its 95 % interval.
    """
    rows = agreement[agreement["cluster"] >= 0].copy()
    own = rows["members"] > 0
    for name in ("yes", "low", "high"):
        rows[name] = np.where(own, rows[f"{name}_members"], rows[f"{name}_strangers"])
    rows["coding"] = [names[i] for i in rows["cluster"]]
    return rows[["kind", "coding", "n", "yes", "low", "high"]].reset_index(drop=True)
