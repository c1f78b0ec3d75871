"""Compare encoders on whatever is there: labels, damage, rendered factors, each other, cost."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pandas as pd

from musiclatent.errors import LatentsError
from musiclatent.evaluation.comparison import (
    agreement,
    cost,
    factors,
    judged,
    outside,
    robustness,
    spectrograms,
    tasks,
    vectors,
)
from musiclatent.evaluation.comparison.judged import Judged
from musiclatent.evaluation.comparison.tasks import Material
from musiclatent.evaluation.comparison.vectors import Find, Vectors
from musiclatent.files import progress
from musiclatent.latents.encoders import registry
from musiclatent.latents.encoders.contract import FrameEncoder

BASELINE = "mfcc"
ABOUT = ("name", "revision", "licence", "sr", "window_s", "hop_s", "dimensions")


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """What came out.

    Parameters
    ----------
    about
        Encoder -> name, revision, licence, rate, window, hop, dimensions, pooling, note.
    judged
        Every question with intervals.
    figures
        Encoder -> figures without a value per row: cost, probes of factors, disentanglement.
    cka, shared
        Encoders by encoders.
    damage
        Accuracy of a probe by encoder and kind of damage; empty without labels.
    music
        The files that every encoder took.
    measured
        Encoder -> vectors of these.
    quarantine
        What was set aside, and for whom.
    skipped
        One sentence for each part that was not judged.
    """

    about: dict[str, dict]
    judged: list[Judged]
    figures: dict[str, dict[str, float]]
    cka: pd.DataFrame
    shared: pd.DataFrame
    damage: pd.DataFrame
    music: pd.DataFrame
    measured: dict[str, Vectors]
    quarantine: pd.DataFrame
    skipped: list[str]

    @property
    def baseline(self) -> str:
        """Return the encoder that others are compared with: MFCC, else the first."""
        return BASELINE if BASELINE in self.about else next(iter(self.about))

    def table(self) -> pd.DataFrame:
        """Return one row per encoder with all figures and bounds."""
        figures = pd.DataFrame.from_dict(self.figures, orient="index")
        whole = judged.table(self.judged).join(figures, how="outer")
        return whole.reindex(list(self.about)).rename_axis("encoder")


def find_encoders(
    specs: Sequence[str], results: str | Path, how: str = vectors.HOW
) -> tuple[dict[str, Find], dict[str, dict]]:
    """Find encoders by what a user writes; files of vectors from outside are passed over.

    Parameters
    ----------
    specs
        As `registry.find` takes them.
    results
        Folder above all results.
    how
        How rows become one vector.

    Returns
    -------
    dict
        Name -> what finds the encoder, in any process.
    dict
        Name -> what is said about it.

    Raises
    ------
    ValueError
        If an encoder cannot be found, or two have one name.
    """
    find: dict[str, Find] = {}
    about: dict[str, dict] = {}
    for spec in specs:
        if _is_outside(spec):
            continue
        find_one = partial(registry.find_once, spec, results)
        encoder = find_one()
        _need_new(encoder.name, about)
        find[encoder.name], about[encoder.name] = find_one, about_encoder(encoder, how)
    return find, about


def bring(
    specs: Sequence[str], music: pd.DataFrame, folder: Path | None, about: dict[str, dict]
) -> dict[str, Vectors]:
    """Read the vectors from outside among what a user writes.

    Parameters
    ----------
    specs
        ``.npy`` and ``.parquet`` files; all else is passed over.
    music, folder
        Files and folder that the vectors are of.
    about
        What is said about encoders; gets theirs.

    Returns
    -------
    dict
        Name -> vectors of the files.

    Raises
    ------
    ValueError
        If there is no folder, two have one name, or a file cannot be used.
    """
    brought: dict[str, Vectors] = {}
    for spec in filter(_is_outside, specs):
        name = Path(spec).stem
        if folder is None:
            raise LatentsError(f"{spec} holds vectors of files; name their folder with --in")
        _need_new(name, about)
        brought[name] = outside.read(Path(spec), list(music["path"]), folder)
        about[name] = {"name": name, "revision": "outside", "licence": "as its maker says"}
    return brought


def _is_outside(spec: str) -> bool:
    """Return whether a user means a file of vectors."""
    return Path(spec).suffix in outside.SUFFIXES


def _need_new(name: str, about: Mapping[str, dict]) -> None:
    """Refuse a name that is taken."""
    if name in about:
        raise ValueError(f"two of the encoders are called {name}; leave one of them out")


def about_encoder(encoder: FrameEncoder, how: str = vectors.HOW) -> dict[str, str | float]:
    """Return what the table says about an encoder.

    Parameters
    ----------
    encoder
        Any encoder.
    how
        How its rows become one vector.
    """
    about = {key: getattr(encoder, key) for key in ABOUT}
    return about | {"pooling": how, "note": str(getattr(encoder, "note", ""))}


@dataclass(frozen=True, kw_only=True)
class Kept:
    """Vectors of every file that is compared, by path.

    Parameters
    ----------
    paths
        All files.
    whole
        Encoder -> vectors of these.
    music
        Files that vectors from outside are of.
    brought
        Name -> vectors from outside of these.
    """

    paths: list[str]
    whole: dict[str, Vectors]
    music: list[str]
    brought: dict[str, Vectors]

    def of(self, paths: Sequence[str]) -> dict[str, Vectors]:
        """Return the vectors of some files by all that have them."""
        place = {path: row for row, path in enumerate(self.paths)}
        outside_place = {path: row for row, path in enumerate(self.music)}
        taken = {
            name: found.take([place[path] for path in paths]) for name, found in self.whole.items()
        }
        if outside_place.keys() >= set(paths):
            rows = [outside_place[path] for path in paths]
            taken |= {name: found.take(rows) for name, found in self.brought.items()}
        return taken


def run(
    find: Mapping[str, Find],
    material: Material,
    store: Path,
    *,
    about: Mapping[str, dict],
    brought: Mapping[str, Vectors] | None = None,
    how: str = vectors.HOW,
    n_jobs: int = 2,
    apart: bool = True,
) -> Comparison:
    """Compare encoders on all that is there, from what is kept where it is.

    Parameters
    ----------
    find
        Name -> what finds the encoder.
    material
        What they are compared on.
    store
        Folder that keeps vectors, damaged excerpts and figures.
    about
        Name -> what is said about it.
    brought
        Vectors from outside of the files of `material.music`; they are compared on these alone.
    how
        How rows become one vector.
    n_jobs
        Processes.
    apart
        As in `cost.measure`.

    Raises
    ------
    ValueError
        If fewer than two files can be compared.
    """
    damaged = robustness.excerpts(
        list(material.music["path"]), store / "damage", most=material.tracks, n_jobs=n_jobs
    )
    paths = _all_paths(material, damaged)
    spent = {
        name: cost.measure(one, store, apart=apart)
        for name, one in progress(find.items(), "cost", "encoder", delay=5)
    }
    whole = _vectors(find, spent, paths, store / "vectors", how=how, n_jobs=n_jobs)
    files = list(material.music["path"])
    kept = Kept(paths=paths, whole=whole, music=files, brought=dict(brought or {}))
    found, damage, skipped = _judged(kept, material, damaged)
    if material.excerpts:
        found += spectrograms.judge(find, material.excerpts, store)
    of_factors, figures = _of_factors(kept, material)
    figures = {name: figures.get(name, {}) | spent.get(name, {}) for name in {**figures, **spent}}
    return Comparison(
        about={name: dict(about[name]) for name in (*whole, *kept.brought)},
        judged=found + of_factors,
        figures=figures,
        damage=damage,
        quarantine=vectors.quarantine(whole, paths),
        skipped=skipped,
        **_side_by_side(kept, material.music),
    )


def _vectors(
    find: Mapping[str, Find],
    spent: Mapping[str, dict],
    paths: Sequence[str],
    store: Path,
    **options: object,
) -> dict[str, Vectors]:
    """Measure vectors, the slowest encoder first, so that no process waits for it at the end."""
    if not find:
        return {}
    first = sorted(find, key=lambda name: spent[name]["speed"])
    found = vectors.measure({name: find[name] for name in first}, paths, store, **options)
    return {name: found[name] for name in find}


def _side_by_side(kept: Kept, music: pd.DataFrame) -> dict:
    """Return the files that all encoders took, their vectors, and how alike these are."""
    measured = kept.of(list(music["path"]))
    rows = vectors.shared_rows(measured)
    taken = {name: found.take(rows) for name, found in measured.items()}
    cka, shared = agreement.matrices(taken)
    shown = music.iloc[rows].reset_index(drop=True)
    return {"cka": cka, "shared": shared, "music": shown, "measured": taken}


def _all_paths(material: Material, damaged: pd.DataFrame) -> list[str]:
    """Return every file once, in an order that stays."""
    tables = [material.music, *(task.items for task in material.tasks), damaged]
    tables += [] if material.clips is None else [material.clips]
    return list(dict.fromkeys(path for table in tables if len(table) for path in table["path"]))


def _judged(
    kept: Kept, material: Material, damaged: pd.DataFrame
) -> tuple[list[Judged], pd.DataFrame, list[str]]:
    """Judge by labels and by damage; name in one sentence each what could not be judged."""
    found, damage, skipped = [], pd.DataFrame(), list(material.skipped)
    for task in material.tasks:
        try:
            found += tasks.judge(task, kept.of(task.items["path"]))
        except ValueError as error:
            skipped.append(f"{task.name} is skipped: {error}")
    if damaged.empty or not kept.whole:
        return found, damage, [*skipped, "damage is skipped: no sound of the music can be read"]
    of_damaged, music = kept.of(damaged["path"]), material.music
    units = music["group"] if "group" in music else music["path"]
    try:
        found += robustness.judge(of_damaged, damaged, units)
        if "label" in music and music["label"].nunique() > 1:
            labels = (music["label"], units)
            damage = robustness.probe_accuracy(of_damaged, damaged, *labels)
    except ValueError as error:
        skipped.append(f"damage is skipped: {error}")
    return found, damage, skipped


def _of_factors(kept: Kept, material: Material) -> tuple[list[Judged], dict[str, dict]]:
    """Judge by rendered counterfactuals, where there are some."""
    if material.clips is None or not kept.whole:
        return [], {}
    return factors.judge(kept.of(material.clips["path"]), material.clips)
