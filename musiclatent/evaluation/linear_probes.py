"""Fit linear probes: what of the factors of rendered clips can be read off their latents.

A probe is a linear model from latents to one factor. It is judged on styles that it never saw, as
else it may tell the style and answer what clips of that style have: a style oracle, which knows no
more than the style, gets R² 0.84 for the tempo of music whose styles have each their tempo.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

import librosa
import numpy as np
import pandas as pd
from sklearn.decomposition import KernelPCA
from sklearn.linear_model import Ridge
from sklearn.model_selection import GroupKFold

from musiclatent import audio, config, files
from musiclatent.analysis import neighbours, pooling, statistics, validation
from musiclatent.config import SEED, SR, Experiment, Study, Workspace
from musiclatent.data import datamodules
from musiclatent.data.datamodules import CorpusDataModule
from musiclatent.data.synthetic import music
from musiclatent.evaluation import cross_validation
from musiclatent.features import rhythm, tonal
from musiclatent.latents import encode

FACTORS = {
    "tempo": "number",
    "brightness": "number",
    "key": "class",
    "mode": "class",
    "style": "class",
}
CLIP_S = 6.0  # length of a rendered clip
FOLDS = 10  # at most; one for each style where styles are held out
INNER_FOLDS = 3  # of the training rows, to choose the strength on
STRENGTHS = np.logspace(-4, 3, 8)
CONTROLS = 5  # random assignments of which the control task takes the mean
EDGE = 0.1  # of the way between two ends: a reading nearer to an end is that end


def probe_corpus(study: Study, space: Workspace) -> CorpusDataModule:
    """Return clips, rendered where they are missing, in which no factor follows the style.

    Parameters
    ----------
    study
        Its transform makes the windows; none is longer than a clip.
    space
        Its profile says how many clips there are.
    """
    profile = config.profile(space.profile)
    size = profile.demo or profile.rendered
    clip_s = max(CLIP_S, study.window_s)
    return CorpusDataModule(
        names=("demo-probes",),
        folder=space.path("probes", "cache"),
        root=config.data_root(),
        work=space.base / "corpora" / f"probes-{clip_s:g}s",
        transform=datamodules.transform(study),
        demo=replace(size, clips_per_style=profile.probe_clips, clip_s=clip_s),
    )


def rendered_corpus(study: Study, space: Workspace) -> CorpusDataModule | None:
    """Return the embedded music in which duplicates are known, for beside real recordings.

    Parameters
    ----------
    study, space
        What is studied, and where its results go.

    Returns
    -------
    CorpusDataModule or None
        None where the study itself works on embedded music.
    """
    size = config.profile(space.profile).rendered
    if size is None:
        return None
    return CorpusDataModule(
        names=study.demo,
        folder=space.path("rendered", "cache"),
        root=config.data_root(),
        work=space.base / "corpora" / "rendered",
        transform=datamodules.transform(study),
        split="group",
        demo=size,
        keep=study.labels,
    )


def whole_windows(items: pd.DataFrame, window_s: float) -> np.ndarray:
    """Return the rows (W,) of the windows (B) that sound and are not padded."""
    whole = items["start_s"] + window_s <= items["seconds"] + 1e-6
    return np.flatnonzero(whole & ~items["silent"].astype(bool))


def summarise(probes: Mapping[str, pd.DataFrame]) -> tuple[pd.DataFrame, dict[str, float]]:
    """Return a table of factors by latents, and every figure under a name of its own.

    Parameters
    ----------
    probes
        Name of the latents -> what `probe` returns, of the same clips.

    Returns
    -------
    DataFrame
        One row per factor: the score of each latent, then `chance`, `style_oracle`, and `control`,
        the highest of all latents.
    dict
        ``probe_LATENTS_FACTOR`` with ``_low``, ``_high``, ``_ordinary`` and ``_control``;
        ``probe_chance_FACTOR`` and ``probe_style_oracle_FACTOR``.
    """
    parts = {name: part.set_index("factor") for name, part in probes.items()}
    table = pd.DataFrame({name: part["score"] for name, part in parts.items()})
    shared = next(iter(parts.values()))[["chance", "style_oracle"]]
    control = pd.DataFrame({name: part["control"] for name, part in parts.items()}).max(axis=1)
    metrics = {f"probe_{c}_{factor}": v for c in shared for factor, v in shared[c].items()}
    for name, part in parts.items():
        metrics |= {f"probe_{name}_{factor}": v for factor, v in part["score"].items()}
        for c in ("low", "high", "ordinary", "control"):
            metrics |= {f"probe_{name}_{factor}_{c}": v for factor, v in part[c].items()}
    return table.join(shared).assign(control=control), metrics


def probe(z: np.ndarray, items: pd.DataFrame, factors: Mapping[str, str] = FACTORS) -> pd.DataFrame:
    """Fit a linear probe for each factor, and score it on styles it has not seen.

    Numbers are read by ridge regression, classes by ridge regression of their indicators; its
    strength is chosen inside the training rows, by style.

    Parameters
    ----------
    z
        Latents or their summaries (B, D), standardised here on the training rows of each fold.
    items
        One row per latent: group (the recording), style, and one column per factor, all known.
    factors
        Kind of each factor: ``number`` or ``class``. ``style`` cannot be held out: it is scored
        with recordings held out.

    Returns
    -------
    DataFrame
        One row per factor: `factor`, `kind`; `score` over all rows, each judged once, by a probe
        that saw no row of its style, with `low` and `high` over what is held out, as errors inside
        a style go together; `ordinary`, the score where only recordings are held out; `chance` of
        a constant answer; `style_oracle`, the
        ordinary score of a probe of the style alone; `control`, the score where recordings have
        the factors of others drawn at random; `n` rows.

        A score of a number is the share by which the squared error is smaller than that of the
        training mean of each fold (R² out of sample, 1 is perfect, below 0 is worse than the mean);
        of a class the mean recall of its values, so that no majority counts.

    Raises
    ------
    ValueError
        If lengths differ, a column is missing, a kind is unknown, a factor is not known of all
        rows, has one value only, or there are fewer than three styles or recordings.

    Notes
    -----
    Alain and Bengio (2017), Understanding intermediate layers using linear classifier probes;
    Hewitt and Liang (2019), Designing and interpreting probes with control tasks: the score less
    that of the control is the selectivity; Campbell and Thompson (2008), Predicting excess stock
    returns out of sample: R² against the mean that was known before.
    """
    z = validation.matrix(z)
    _check(z, items, factors)
    groups, style = items["group"].to_numpy(str), items["style"].to_numpy(str)
    true = {(factor, 0): _columns(items[factor], kind) for factor, kind in factors.items()}
    tasks = true | _controls(true, groups)
    by_style, by_recording = _values(z, tasks, style), _values(z, tasks, groups)
    oracle = _values(_columns(items["style"], "class"), true, groups)
    rows = []
    for factor, kind in factors.items():
        values, units = (by_recording, groups) if factor == "style" else (by_style, style)
        score = statistics.mean(values[factor, 0], units)
        row = {"factor": factor, "kind": kind, "n": len(z)}
        row |= {"score": score.estimate, "low": score.low, "high": score.high}
        row["ordinary"] = by_recording[factor, 0].mean()
        row["chance"] = 0.0 if kind == "number" else 1 / true[factor, 0].shape[1]
        row["style_oracle"] = oracle[factor, 0].mean()
        row["control"] = np.mean([values[factor, k + 1] for k in range(CONTROLS)])
        rows.append(row)
    return pd.DataFrame(rows)


Tasks = Mapping[tuple[str, int], np.ndarray]  # factor and number of its control -> (B, columns)


def _columns(values: pd.Series, kind: str) -> np.ndarray:
    """Return a number as one column (B, 1), a class as an indicator of each value (B, K)."""
    if kind == "number":
        return values.to_numpy(float)[:, None]
    return pd.get_dummies(values.astype(str)).to_numpy(float)


def _controls(true: Tasks, groups: np.ndarray) -> dict:
    """Return each task `CONTROLS` times, with recordings that have the values of others."""
    _, first, recording = np.unique(groups, return_index=True, return_inverse=True)
    rng = np.random.default_rng(SEED)
    orders = [rng.permutation(first)[recording] for _ in range(CONTROLS)]
    return {
        (name, k + 1): y[order] for k, order in enumerate(orders) for (name, _), y in true.items()
    }


def _values(z: np.ndarray, tasks: Tasks, groups: np.ndarray) -> dict[tuple, np.ndarray]:
    """Return for each task one value per row (B,), whose mean is its score."""
    y = np.hstack(list(tasks.values()))
    starts = np.cumsum([0, *(part.shape[1] for part in tasks.values())])[:-1]
    read, constant = np.full_like(y, np.nan), np.full_like(y, np.nan)
    for train, test in folds(groups, FOLDS):
        x = _features(z[train], z)
        strengths = _strengths(x[train], y[train], groups=groups[train], starts=starts)
        model = Ridge(strengths, solver="svd").fit(x[train], y[train])
        read[test] = model.predict(x[test]).reshape(-1, y.shape[1])
        constant[test] = y[train].mean(axis=0)
    parts = zip(*(np.split(part, starts[1:], axis=1) for part in (y, read, constant)), strict=True)
    return {name: _judged(*part) for name, part in zip(tasks, parts, strict=True)}


def folds(groups: np.ndarray, count: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Divide rows (B,) into at most `count` folds by their groups (B,).

    Returns
    -------
    list
        Rows to learn from and rows to judge: no group is among both, each row is judged once.
    """
    splitter = GroupKFold(min(count, len(np.unique(groups))), shuffle=True, random_state=SEED)
    return list(splitter.split(groups, groups=groups))


def _features(train: np.ndarray, z: np.ndarray) -> np.ndarray:
    """Return all rows in the scale, and where it is smaller the span, of the training rows."""
    fitted, x = neighbours.standardise(train, z)
    if x.shape[1] > len(fitted):  # a ridge weighs nothing outside of that span
        x = KernelPCA(kernel="linear", eigen_solver="dense").fit(fitted).transform(x)
    return x / np.sqrt(z.shape[1])  # length of about 1: the same strengths suit any width


def _strengths(
    x: np.ndarray, y: np.ndarray, *, groups: np.ndarray, starts: np.ndarray
) -> np.ndarray:
    """Choose a strength for each task; return that of each column (C,)."""
    tiled = np.tile(y, len(STRENGTHS))  # one decomposition serves all strengths
    model = Ridge(np.repeat(STRENGTHS, y.shape[1]), solver="svd")
    errors = np.zeros(tiled.shape[1])
    for train, test in folds(groups, INNER_FOLDS):
        off = model.fit(x[train], tiled[train]).predict(x[test]) - tiled[test]
        errors += np.square(off).sum(axis=0)
    errors = np.add.reduceat(errors.reshape(len(STRENGTHS), -1), starts, axis=1)
    widths = np.diff([*starts, y.shape[1]])
    return np.repeat(STRENGTHS[errors.argmin(axis=0)], widths)


def _judged(y: np.ndarray, read: np.ndarray, constant: np.ndarray) -> np.ndarray:
    """Return one value per row (B,): their mean is R² out of sample, or the mean recall."""
    if y.shape[1] == 1:
        error, least = np.square(y - read)[:, 0], np.square(y - constant).mean()
        return 1 - error / least
    truth = y.argmax(axis=1)
    answer = (read / np.maximum(constant, 1e-9)).argmax(axis=1)  # of a rare value less is enough
    return (answer == truth) / (y.shape[1] * y.mean(axis=0)[truth])


def _check(z: np.ndarray, items: pd.DataFrame, factors: Mapping[str, str]) -> None:
    """Validate the inputs of `probe`."""
    if len(z) != len(items):
        raise ValueError(f"there are {len(z)} latents but {len(items)} items; give one row of each")
    for name in ("group", "style", *factors):
        if name not in items:
            raise ValueError(f"the items have no column {name!r}; name factors that they have")
        known = items[name].notna() & items[name].astype(str).ne("")
        if not known.all():
            raise ValueError(f"{name} is not known of {(~known).sum()} items; leave them out")
    for name, kind in factors.items():
        files.pick(dict.fromkeys(("number", "class")), kind, "kind of factor")
        if items[name].nunique() < 2:
            raise ValueError(f"{name} has one value only; leave it out")
    for name in ("group", "style"):
        if items[name].nunique() < INNER_FOLDS:
            raise ValueError(f"{items[name].nunique()} of {name}; give {INNER_FOLDS} or more")


def factor_between(
    factor: str,
    a: np.ndarray,
    b: np.ndarray,
    *,
    middle: np.ndarray,
    read: Callable[[np.ndarray], float] | None = None,
) -> float:
    """Report whether the factor of a middle lies between those of two ends that differ in it.

    Parameters
    ----------
    factor
        One of `READINGS`, or any other where `read` is given.
    a, b, middle
        Samples (N,) at `config.SR` of both ends, decoded too, and of what lies between; or
        whatever `read` takes.
    read
        Reads the factor as a number, such as a fitted probe; the one of `READINGS` if None.

    Returns
    -------
    float
        1 if the reading of the middle is at least `EDGE` of the way off either end, else 0; NaN
        where the ends read the same, or nothing is read. Keys and tempi go the shorter way round:
        a tonic in semitones, a tempo in octaves.

    Raises
    ------
    ValueError
        If nothing reads such a factor.
    """
    return factors_between(factor, a, b, middles={"": middle}, read=read)[""]


def factors_between(
    factor: str,
    a: np.ndarray,
    b: np.ndarray,
    *,
    middles: Mapping[str, np.ndarray],
    read: Callable[[np.ndarray], float] | None = None,
) -> dict[str, float]:
    """Report what `factor_between` does of several middles, by their names; ends are read once."""
    reading = Reading(read) if read else files.pick(READINGS, factor, "factor to read")
    first, last = (float(reading.measure(one)) for one in (a, b))
    whole, found = reading.way(first, last), {}
    for name, middle in middles.items():
        part = reading.way(first, float(reading.measure(middle))) / whole if whole else np.nan
        found[name] = float(EDGE < part < 1 - EDGE) if np.isfinite(part) else float("nan")
    return found


def readable_pairs(factor: str, count: int, *, seconds: float = CLIP_S) -> list[tuple]:
    """Render pairs of one score whose change is read off the sounds as it was made.

    Parameters
    ----------
    factor
        One of `READINGS`; a tempo is read off 8 s or more.
    count
        How many pairs; three times as many are tried.
    seconds
        Length of their sounds.

    Returns
    -------
    list
        As `music.render_pair` returns them, `count` or fewer.
    """
    reading = files.pick(READINGS, factor, "factor to read")
    tried = (music.render_pair(factor, number=i, seconds=seconds) for i in range(3 * count))
    right = (pair for pair in tried if reading.finds(*pair[:2]))
    return list(islice(right, count))


@dataclass(frozen=True)
class Reading:
    """Read a factor off a sound.

    Parameters
    ----------
    measure
        From samples (N,) to a number.
    period
        After how much it begins anew; None if never.
    made
        By how much a pair of `music.render_pair` differs; None if upwards.
    """

    measure: Callable[[np.ndarray], float]
    period: float | None = None
    made: float | None = None

    def step(self, a: np.ndarray, b: np.ndarray) -> float:
        """Return how much more is read off b, the shorter way round."""
        return self.way(float(self.measure(a)), float(self.measure(b)))

    def way(self, a: float, b: float) -> float:
        """Return how far it is from one reading to another, the shorter way round."""
        half = (self.period or 0) / 2
        return (b - a + half) % self.period - half if self.period else b - a

    def finds(self, a: np.ndarray, b: np.ndarray) -> bool:
        """Return whether the step is the one that was made, to a twentieth."""
        step = self.step(a, b)
        return step > 0 if self.made is None else abs(step / self.made - 1) < 0.05


def track(y: np.ndarray) -> rhythm.Track:
    """Analyse samples (N,) at `config.SR` as a file of them: tempo, pitch classes, power."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "sound.wav"
        audio.write(path, np.asarray(y, np.float32), SR, subtype="FLOAT")
        return rhythm.analyse_track(path)


def brightness(y: np.ndarray) -> float:
    """Return the mean centroid of the spectrum of samples (N,) at `config.SR`, in octaves."""
    return np.log2(librosa.feature.spectral_centroid(y=np.asarray(y, float), sr=SR).mean())


READINGS = {
    "tempo": Reading(lambda y: np.log2(track(y).rhythm.tempo), 1, np.log2(music.FASTER)),
    "key": Reading(lambda y: tonal.estimate_key(track(y).chroma).tonic, 12, music.TRANSPOSED),
    "brightness": Reading(brightness),
}


def probe_factors(
    experiments: Sequence[Experiment], study: Study, *, space: Workspace, split: str
) -> tuple[pd.DataFrame, dict[str, float]]:
    """Read factors off the embeddings of clips that were rendered with them.

    Parameters
    ----------
    experiments, study, space, split
        As in `cross_validation.train_on_split`.

    Returns
    -------
    DataFrame, dict
        As `summarise`; ``input`` is the input itself, pooled as the latents are.
    """
    data = probe_corpus(study, space)
    data.setup()
    items = data.window_items()
    rows = whole_windows(items, data.transform.window_s)
    x = data.transform.model_input(data.cached.x[data.cached.items["row"].to_numpy()[rows]])
    vectors = {"input": pooling.embedding(x)}
    for row in experiments:
        run, _ = cross_validation.train_on_split(row, study, space=space, split=split)
        encoded = encode.encode_corpus(run, data, space.path("probes", row.name))
        vectors[row.name] = pooling.window_vectors(encoded)[rows]
    probes = {name: probe(z, items.iloc[rows]) for name, z in vectors.items()}
    return summarise(probes)
