"""Compare recordings and sections by whatever a user names: numbers, our models, anybody's encoder.

Which of these a name means is decided here, once, for every command.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, ClassVar

import numpy as np

from musiclatent import __version__
from musiclatent.audio.windows import Measurement
from musiclatent.errors import CheckpointError
from musiclatent.latents import representations
from musiclatent.latents.representations import Representation

if TYPE_CHECKING:
    from musiclatent.latents.encoders.contract import FrameEncoder
    from musiclatent.latents.store import Latents


def is_measured(spec: str) -> bool:
    """Return whether a name is one of numbers that need no training."""
    return set(spec.split("+")) <= set(representations.PARTS)


def representation(spec: str = "", results: str | Path = "results") -> Representation:
    """Return how recordings are compared.

    Parameters
    ----------
    spec
        Empty for what measured best untrained; a name of `representations.measured`; a model, as
        `shipped.find` takes it; or an encoder, as `encoders.registry.find` does.
    results
        Folder above all results.

    Raises
    ------
    ValueError
        If there is no such encoder, or it lacks a member.
    CheckpointError
        If a model cannot be used.
    """
    if is_measured(spec or representations.DEFAULT):
        return representations.measured(spec or representations.DEFAULT)
    from musiclatent.latents import shipped  # torch takes seconds

    try:
        folder = shipped.find(spec, results)
    except CheckpointError:
        if spec.startswith("hub:"):
            raise
        return by_encoder(encoder(spec, str(results)))
    plan, run = shipped.open_run(folder)
    return representations.trained(run, plan)


@lru_cache(maxsize=2)
def encoder(spec: str, results: str = "results") -> "FrameEncoder":
    """Return an encoder, see `encoders.registry.find`; the same one for the same words."""
    from musiclatent.latents.encoders import registry  # torch takes seconds

    return registry.find(spec, results)


def by_encoder(one: "FrameEncoder") -> Representation:
    """Return the representation by an encoder: the mean of its rows.

    Parameters
    ----------
    one
        Any encoder; the numbers of a row are standardised over what is compared, and its parts
        count the same where it has some.
    """
    from musiclatent.latents.encoders import contract

    return Representation(
        name=one.name,
        key=_key(one),
        vector=lambda path: contract.file_vector(one, path),
        standardised=True,
        widths=tuple(getattr(one, "parts", ())),
    )


def _key(one: "FrameEncoder") -> str:
    """Return the name of what an encoder gives, as the name of a folder."""
    words = f"{one.name}-{one.revision}-{representations.CACHE_VERSION}"
    return "".join(letter if letter.isalnum() or letter in "+-._" else "_" for letter in words)


@dataclass(frozen=True, kw_only=True)
class Section(Measurement):
    """Represent a section by the mean of an encoder's rows, for the cache.

    Parameters
    ----------
    sr
        Rate of the encoder in Hz.
    window_s
        Length of a section in seconds.
    spec, results
        As in `encoder`, which a worker asks for by itself.
    key
        What the numbers are of.
    width
        D.
    """

    kind: ClassVar[str] = "section"

    sr: int
    window_s: float
    spec: str
    results: str
    key: str
    width: int

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one output: ``(D,)``."""
        return (self.width,)

    def __call__(self, y: np.ndarray) -> np.ndarray:
        """Return the vector (D,) of samples (N,)."""
        from musiclatent.latents.encoders import contract

        one = encoder(self.spec, self.results)
        return contract.pool(contract.encode_sound(one, np.asarray(y, np.float32)))


def sections(
    spec: str, window_s: float, results: str | Path = "results"
) -> tuple[Measurement, Representation]:
    """Return what measures a section, and how sections are compared.

    Parameters
    ----------
    spec, results
        As in `representation`.
    window_s
        Length of a section in seconds.

    Raises
    ------
    ValueError, CheckpointError
        As in `representation`.
    """
    if is_measured(spec or representations.DEFAULT):
        one = representations.measured(spec or representations.DEFAULT)
        return representations.Sound(window_s=window_s, name=one.name), one
    one = encoder(spec, str(results))
    measure = Section(
        sr=one.sr,
        window_s=window_s,
        spec=spec,
        results=str(results),
        key=_key(one),
        width=one.dimensions,
    )
    return measure, by_encoder(one)


def encode_rows(
    encoder: "FrameEncoder", *, files: Sequence[Path], folder: Path
) -> "tuple[Latents, dict[str, str]]":
    """Encode audio files by an encoder of any origin: one row per window.

    Parameters
    ----------
    encoder
        Any encoder.
    files, folder
        As in `encode.encode_files`.

    Returns
    -------
    Latents, dict
        As `encode.encode_files`.

    Raises
    ------
    ValueError
        As `encode.encode_files`.
    LatentsError
        If the encoder breaks its contract.
    """
    from musiclatent.latents import encode  # torch takes seconds

    if not files:
        raise ValueError("there is no file to encode; name at least one audio file")
    quarantine: dict[str, str] = {}
    about = {name: getattr(encoder, name) for name in ("revision", "licence", "sr", "window_s")}
    about |= {"experiment": encoder.name, "latent_shape": [encoder.dimensions, 1], "input": "rows"}
    encode_all = partial(encode.encode_each, partial(_encode_rows, encoder), files, quarantine)
    return encode.write_latents(
        folder, encode_all, about | {"musiclatent": __version__}
    ), quarantine


def _encode_rows(encoder: "FrameEncoder", path: Path, raw: BinaryIO) -> list[dict]:
    """Append the rows of one file; return one item per row."""
    from musiclatent.latents import encode
    from musiclatent.latents.encoders import contract

    common = encode.item_of(path)
    z = contract.encode_file(encoder, path)
    z.tofile(raw)
    starts = np.arange(len(z)) * encoder.hop_s
    return [common | {"start_s": s, "end_s": s + encoder.window_s} for s in starts]
