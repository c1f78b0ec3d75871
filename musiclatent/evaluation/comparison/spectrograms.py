"""Genre of GTZAN's thousand excerpts, for encoders that take a log-mel spectrogram without sound.

The models of the study mel are trained on four of the five folds, so the other one asks.
"""

import hashlib
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import numpy as np
import pandas as pd

from musiclatent.data import gtzan_tables
from musiclatent.errors import CorpusError
from musiclatent.evaluation.comparison import retrieval, vectors
from musiclatent.evaluation.comparison.judged import Judged, gather
from musiclatent.evaluation.comparison.vectors import Find, Vectors
from musiclatent.latents import representations
from musiclatent.latents.encoders.contract import FrameEncoder
from musiclatent.latents.encoders.statistics import Statistics

TEST_FOLD = 0
PARTS = ("mfcc", "log-mel", "mel-descriptors")  # statistics that a spectrogram of 3 s says alone
KIND = "logmel"
BATCH = 64


def judge(find: Mapping[str, Find], root: Path, store: Path) -> list[Judged]:
    """Judge the encoders that can take a spectrogram; others are left out.

    Parameters
    ----------
    find
        Name -> what finds the encoder.
    root
        Folder above the datasets.
    store
        Folder that keeps vectors and the fold table.

    Returns
    -------
    list of Judged
        ``excerpt_neighbours`` and ``excerpt_probe``; none where no encoder takes a spectrogram.

    Raises
    ------
    CorpusError
        If the excerpts are not there.
    """
    items = gtzan_tables.index_excerpts(root, store / "corpora")
    x = gtzan_tables.read_spectrograms(root)
    digests = [hashlib.sha256(row.tobytes()).hexdigest() for row in x]
    found = {name: _measured(make(), x, digests, store) for name, make in find.items()}
    parts = {name: _answers(one, items) for name, one in found.items() if one is not None}
    if not parts:
        return []
    return gather(
        parts,
        items["group"].to_numpy(),
        name="excerpt",
        question="genre can be read off three seconds",
        dataset=gtzan_tables.EXCERPTS,
        split=f"fold {TEST_FOLD} of {gtzan_tables.N_FOLDS} asks, by recording; the others answer",
    )


def _answers(found: Vectors, items: pd.DataFrame) -> pd.DataFrame:
    """Answer the genre of the test fold."""
    test = np.flatnonzero(items["fold"] == TEST_FOLD)
    train = np.flatnonzero(items["fold"] != TEST_FOLD)
    return retrieval.answers(found, items["label"].to_numpy(str), [(train, test)])


def _measured(
    encoder: FrameEncoder, x: np.ndarray, digests: list[str], store: Path
) -> Vectors | None:
    """Return the vectors of all excerpts, kept where they were measured before."""
    if not takes_spectrograms(encoder):
        return None
    folder = store / "vectors"
    folder.mkdir(parents=True, exist_ok=True)
    with closing(vectors.open_table(encoder, folder, "spectrogram")) as table:
        kept = vectors.read_kept(table, digests)
        if missing := [row for row, digest in enumerate(digests) if digest not in kept]:
            z = encode_spectrograms(encoder, x[missing])
            new = {digests[row]: one for row, one in zip(missing, z, strict=True)}
            vectors.write_kept(table, new)
            kept |= new
    return Vectors(
        z=np.stack([kept[digest] for digest in digests]), widths=vectors.widths_of(encoder)
    )


def takes_spectrograms(encoder: FrameEncoder) -> bool:
    """Return whether an encoder can take log-mel spectrograms of three seconds.

    Parameters
    ----------
    encoder
        Statistics of `PARTS`, or one of our models that take log-mel spectrograms.
    """
    if isinstance(encoder, Statistics):
        return set(encoder.name.split("+")) <= set(PARTS)
    kind = getattr(getattr(encoder, "transform", None), "kind", "")
    shape = getattr(getattr(encoder, "transform", None), "shape", ())
    return kind == KIND and tuple(shape) == gtzan_tables.MEL_SHAPE


def encode_spectrograms(encoder: FrameEncoder, x: np.ndarray) -> np.ndarray:
    """Encode log-mel spectrograms.

    Parameters
    ----------
    encoder
        One that `takes_spectrograms`.
    x
        Spectrograms (B, M, T), in dB or normalised.

    Returns
    -------
    array (B, D), float32
    """
    if isinstance(encoder, Statistics):
        parts = [representations.PARTS[name] for name in encoder.name.split("+")]
        silence = np.zeros(1, np.float32)  # what these parts do not look at
        rows = [np.concatenate([part.measure(silence, one) for part in parts]) for one in x]
        return np.stack(rows).astype(np.float32)
    batches = np.split(x, range(BATCH, len(x), BATCH))
    return np.concatenate([encoder.encode_spectrograms(batch) for batch in batches])


def those_there(root: Path) -> str:
    """Return why the excerpts cannot be used; empty if they can.

    Parameters
    ----------
    root
        Folder above the datasets.
    """
    try:
        gtzan_tables.index_excerpts(root, None)
    except CorpusError as error:
        return str(error)
    return ""
