"""Before a run: what a small folder does not suffice for, and what a killed run has left.

A run that has nothing to do ends in seconds, so that what takes five to load is imported where a
folder of one's own is read.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress

import numpy as np

from musiclatent import config
from musiclatent.config import Study, Workspace
from musiclatent.errors import AudioError, CorpusError, printable

TRAIN = 4  # recordings: two to train on, so that one has a neighbour, one to validate, one to test
FEW = 24  # files up to which they are looked at: reading them takes seconds


def require_enough(plans: Sequence[Study], space: Workspace) -> None:
    """Refuse a folder of one's own that holds too little for the studies that are asked for.

    Parameters
    ----------
    plans
        The studies.
    space
        Names the folder, and where its index goes.

    Raises
    ------
    CorpusError
        If none of the studies can be run on it: how much is needed, and how much is there.
    """
    from musiclatent.data import corpus

    work = space.base / "corpora"
    items = corpus.load(space.corpus, root=config.data_root(), work=work, n_jobs=2).items
    if len(items) > FEW:
        return
    firsts = items.sort_values("seconds", ascending=False).drop_duplicates("group")
    seconds = [row.seconds for row in firsts.itertuples() if _has_sound(row.path)]
    problems = [problem for plan in plans for problem in _problems(plan, seconds)]
    if len(problems) == len(plans):
        raise CorpusError(f"{printable(space.corpus)}: {problems[0]}")


def sweep(space: Workspace) -> None:
    """Remove what a killed run of a study left among its notebooks: drafts and sockets.

    Parameters
    ----------
    space
        The study's results.
    """
    folder = space.path("notebooks")
    for pattern in (".running-*", "kernel-ipc-*"):
        for path in folder.glob(pattern):
            with suppress(OSError):
                path.unlink()


def _problems(plan: Study, seconds: list[float]) -> Iterator[str]:
    """Yield what a study lacks, if anything, with recordings of so many seconds of sound."""
    from musiclatent.edm.collection import FEWEST

    if plan.has_encoder:
        if len(seconds) < TRAIN:
            yield (
                f"the study {plan.name} needs {TRAIN} recordings with sound that are no copies of "
                f"one another, and the folder holds {len(seconds)}; add some"
            )
        return
    sections = sum(max(1, round(s / plan.window_s)) for s in seconds)
    if sections < FEWEST:
        yield (
            f"the study {plan.name} needs {FEWEST} sections of {plan.window_s:g} s with sound, and "
            f"the folder holds {sections}; add some"
        )


def _has_sound(path: str) -> bool:
    """Return whether a file can be read and is not silent; an offset is no sound."""
    from musiclatent import audio
    from musiclatent.data.shards import SILENT

    try:
        return any(np.ptp(y) > 2 * SILENT for y in audio.blocks(path))
    except AudioError:
        return False
