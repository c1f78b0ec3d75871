"""Captions of pictures of results, latents and sounds: each takes what its picture is drawn from.

`captioned` puts them below the pictures, so that no sentence goes without its numbers.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import wraps

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from scipy.spatial import cKDTree

from musiclatent.display import style
from musiclatent.display.words.numbers import (
    counted,
    extremes,
    interval,
    listed,
    percent,
    short,
    valued,
)

LARGER = ("sisdr", "key_agreement", "tempo_agreement", "estoi", "stoi")  # is better


def captioned(sentence: Callable[..., str]) -> Callable:
    """Return a decorator that gives the figure of a function the sentence of its arguments."""

    def decorate(draw: Callable[..., Figure]) -> Callable[..., Figure]:
        """Return the function with the caption."""

        @wraps(draw)
        def drawn(*arguments: object, **options: object) -> Figure:
            figure = draw(*arguments, **options)
            return style.caption(figure, sentence(*arguments, **options))

        return drawn

    return decorate


def rate_distortion(table: pd.DataFrame, rates: pd.DataFrame) -> str:
    """Say which coder comes nearest, of all and of those no larger than the first."""
    error, first = table["mse"].dropna(), table.index[0]
    within = table.index[table["numbers_s"] <= table["numbers_s"].iloc[0]]
    near = error.reindex(within).idxmin()
    return (
        f"Error of {counted(len(table), 'coder')} against bits (left, rounded to 4 to 10 bits) and "
        f"latent dimensions (right): {error.idxmin()} comes nearest ({short(error.min())}); with "
        f"no more dimensions than {first} ({short(error[first])}) it is "
        f"{near} ({short(error[near])})."
    )


def untrained_columns(
    table: pd.DataFrame, losses: Mapping[str, Sequence[str]], columns: Sequence[str]
) -> str:
    """Say which row is best in each column, of those that were not trained on it."""
    best = {}
    for column in columns:
        free = [name for name in table.index if column not in losses[name]]
        values = table.loc[free, column].dropna()
        if len(values):
            name = values.idxmax() if column in LARGER else values.idxmin()
            best[column.replace("_", " ")] = name
    words = listed(f"{name} in {column}" for column, name in best.items())
    return (
        f"Hollow marks are a row's own training loss and prove nothing; of the others lead {words}."
    )


def curves(tables: Mapping[str, pd.DataFrame], paper: Mapping[str, float]) -> str:
    """Say where training ended, and whether it had ended."""
    ends = pd.Series({name: table["validation_mse"].iloc[-1] for name, table in tables.items()})
    falls = sum(table["validation_mse"].diff().iloc[-1] < 0 for table in tables.values())
    epochs = max(len(table) for table in tables.values())
    return (
        f"Loss over {counted(epochs, 'epoch')} at most: the validation loss ends {extremes(ends)}, "
        f"and still falls in the last epoch of {falls} of {counted(len(tables), 'training')}."
    )


def size_study(table: pd.DataFrame, paper: Sequence[tuple[int, float]]) -> str:
    """Say how the error falls with the size in the largest family, and what comes nearest."""
    family = table["family"].mode()[0]
    rows = table[table["family"] == family].sort_values("latent_numbers")
    first, last = rows.iloc[0], rows.iloc[-1]
    best = table.loc[table["test_mse"].idxmin()]
    return (
        f"From {first.latent_numbers:,} to {last.latent_numbers:,} latent dimensions the error of "
        f"{family} goes from {short(first.test_mse)} to {short(last.test_mse)}; the least is "
        f"that of {best.family} with {best.latent_numbers:,} ({short(best.test_mse)})."
    )


def shape_study(table: pd.DataFrame) -> str:
    """Say which shape comes nearest, and where its frames can be heard to meet."""
    best, worst = table.loc[table["mse"].idxmin()], table.loc[table["frame_seams_db"].idxmax()]
    return (
        f"{counted(len(table), 'shape')} of about {table['numbers'].max():,} latent dimensions: "
        f"the least error ({short(best.mse)}) has a kernel of {best.kernel:,} every "
        f"{best.stride:,} samples; frames meet most audibly ({worst.frame_seams_db:.1f} dB above "
        f"elsewhere) with a kernel of {worst.kernel:,} every {worst.stride:,}."
    )


def leakage(table: pd.DataFrame, title: str = "") -> str:
    """Say which way to divide gives the highest accuracy, and which the lowest."""
    rows = table.set_index("protocol")
    high, low = rows["accuracy"].idxmax(), rows["accuracy"].idxmin()
    return (
        f"Of {counted(len(rows), 'row')} the highest is {high}, {interval(rows.loc[high])}, the "
        f"lowest {low}, {interval(rows.loc[low])}."
    )


def paper_table(table: pd.DataFrame, title: str = "") -> str:
    """Say how often ours lies above the paper's, and which is best of both."""
    ours, papers = (table.set_index("name")[key].dropna() for key in ("ours", "paper"))
    if ours.empty:
        return "No figure of ours stands beside the paper's."
    text = f"Best of ours is {ours.idxmax()} with {ours.max():.2f}"
    both = papers.index.intersection(ours.index)
    if len(both):
        above = int((ours[both] > papers[both]).sum())
        text += f", best of the paper's {papers.idxmax()} with {papers.max():.2f}"
        text += f"; ours lies above in {above} of {len(both)} pairs, on other data than the paper's"
    return f"{text}."


def split_counts(items: pd.DataFrame) -> str:
    """Say how many recordings there are, in which parts, and which label is rarest."""
    labels, parts = items["label"].value_counts(), items["split"].value_counts()
    shares = listed(f"{parts[k]} {k}" for k in ("train", "validation", "test") if k in parts)
    text = f"{counted(len(items), 'recording')} of {counted(len(labels), 'label')}: {shares}; "
    if labels.min() == labels.max():
        return f"{text}each label has {labels.max()}."
    rarest, commonest = labels.idxmin() or "none", labels.idxmax() or "none"
    return (
        f"{text}the rarest label, {rarest}, has {labels.min()}, the commonest, {commonest}, "
        f"{labels.max()}."
    )


def elbow(tables: Mapping[str, pd.DataFrame], chosen: Mapping[str, int]) -> str:
    """Say where each curve bends, and how far it has fallen there."""
    bends = []
    for name, table in tables.items():
        spread = table.set_index("k")["inertia"]
        left = percent(spread[chosen[name]] / spread.iloc[0])
        bends.append(f"{name} at {chosen[name]} ({left} of the spread is left)")
    return f"The spread inside of clusters bends: {listed(bends)}."


def scatter(
    panels: Mapping[str, np.ndarray],
    labels: pd.Series,
    marked: Mapping[str, np.ndarray] | None = None,
) -> str:
    """Say how far neighbours on the plane share a label, what is ringed, and what is cut off."""
    same = {title: _same_label(points, labels) for title, points in panels.items()}
    shares = listed(f"{percent(share)} on “{title}”" for title, share in same.items())
    chance = percent(labels.value_counts(normalize=True).pow(2).sum())
    text = f"{counted(len(labels), 'point')}; the nearest one has the same label for {shares}"
    text += f" (any two: {chance})"
    if rings := sum(map(len, (marked or {}).values())):
        text += f"; {rings} are ringed"
    cut = sum(style.far(points).sum() for points in panels.values())
    return f"{text}{beyond(cut)}."


def beyond(cut: int) -> str:
    """Say how many points lie beyond the edge; nothing where none does."""
    return f"; arrow heads at the edge stand for {counted(cut, 'point')} beyond it" if cut else ""


def _same_label(points: np.ndarray, labels: pd.Series) -> float:
    """Return the share of points whose nearest other point has the same label."""
    points = np.asarray(points, float)
    if len(points) < 2:
        return float("nan")
    near = cKDTree(points).query(points, k=2)[1][:, 1]
    return float(np.mean(labels.to_numpy()[near] == labels.to_numpy()))


def confusion(
    labels_true: Sequence[str], labels_predicted: Sequence[str], names: Sequence[str], title: str
) -> str:
    """Say how often labels are named right, and which is mistaken most."""
    true, said = (np.asarray(labels).astype(str) for labels in (labels_true, labels_predicted))
    line, right = title.partition("\n")[0], percent(np.mean(true == said))
    text = f"{line}: {right} of {len(true):,} are on the diagonal"
    wrong = pd.Series([f"{a} for {b}" for a, b in zip(true, said, strict=True) if a != b])
    if wrong.empty:
        return f"{text}; none is mistaken."
    first = wrong.value_counts()
    return (
        f"{text}; most often {first.index[0].replace(' for ', ' is taken for ')} ({first.iloc[0]})."
    )


def heatmap(table: pd.DataFrame, title: str) -> str:
    """Say which column is highest in each row."""
    numbers = table.astype(float).dropna(how="all")
    tops = [
        f"{row} by {numbers.loc[row].idxmax()} ({numbers.loc[row].max():.2f})"
        for row in numbers.index
    ]
    return f"{title[:1].upper()}{title[1:]}: highest is {listed(tops)}."


def spectrogram_grid(rows: Mapping[str, np.ndarray], share: float = 1.0) -> str:
    """Say how far each row lies from the first where that is the original."""
    titles, first = list(rows), np.asarray(next(iter(rows.values())))
    text = f"Rows from top to bottom: {listed(titles)}; bright is loud"
    like = {k: np.asarray(x) for k, x in rows.items() if np.shape(x) == first.shape}
    if titles[0] != "original" or len(like) < 2:
        return f"{text}."
    apart = {k: float(np.abs(x - first).mean()) for k, x in like.items() if k != "original"}
    return f"{text}; the mean difference from the original, of a range of 1, is {valued(apart)}."


def gallery(sounds: Sequence[tuple[str, np.ndarray]], sr: int) -> str:
    """Say which sound is loudest, and where the middle of each spectrum lies."""
    names = [title for title, _ in sounds]
    level = pd.Series([_level_db(y) for _, y in sounds], names)
    centre = pd.Series([_centroid_hz(y, sr) for _, y in sounds], names)
    level, centre = (x.groupby(level=0, sort=False).first() for x in (level, centre))
    many = f"Waveform above spectrogram of {counted(len(sounds), 'sound')}"
    return (
        f"{many}: levels go {extremes(level, ' dB')}, and the centre of the spectrum "
        f"{extremes(centre, ' Hz')}."
    )


def _level_db(y: np.ndarray) -> float:
    """Return the level in dB below full scale, -120 at least."""
    return 10 * np.log10(np.mean(np.square(y, dtype=float)) + 1e-12)


def _centroid_hz(y: np.ndarray, sr: int) -> float:
    """Return the centre of the power spectrum of a whole sound."""
    power = np.square(np.abs(np.fft.rfft(y)))
    return float(power @ np.fft.rfftfreq(len(y), 1 / sr) / max(power.sum(), 1e-12))


def reconstructions(x: np.ndarray, x_hats: Mapping[str, np.ndarray], sr: int) -> str:
    """Say how much of the sound each reconstruction leaves out, in dB."""
    power = np.sum(np.square(x, dtype=float)) + 1e-12
    ratio = {
        name: 10 * np.log10(power / (np.sum(np.square(x - y, dtype=float)) + 1e-12))
        for name, y in x_hats.items()
    }
    return (
        "Waveform, 20 ms of it and spectrogram of a window that was held out. The sound lies above "
        f"the error by: {valued(ratio, unit=' dB')} (below 0: silence would be nearer)."
    )
