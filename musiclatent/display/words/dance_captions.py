"""Captions of pictures of dance music: each takes what its picture is drawn from."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from musiclatent.display import style
from musiclatent.display.words import captions, genre_captions
from musiclatent.display.words.numbers import (
    clock,
    counted,
    interval,
    listed,
    percent,
    short,
    valued,
)


def section_choice(track: pd.DataFrame, edges_s: Sequence[float], *, title: str, **_: float) -> str:
    """Say how many sections of a track are central, and when the music changes."""
    roles = track["role"].where(~track["chosen"].astype(bool), "central").value_counts()
    shares = listed(f"{n} {role}" for role, n in roles.items())
    times = [clock(edge) for edge in edges_s][:8]
    changes = f"; the music changes at {listed(times)}" if times else "; no change is found"
    return f"{counted(len(track), 'section')} of {title}: {shares}{changes}."


def clusters(points: np.ndarray, labels: np.ndarray, *, title: str, **options: object) -> str:
    """Say how large the clusters are, and how much of the variance the plane shows."""
    sizes = pd.Series(np.asarray(labels)).value_counts().sort_index()
    words = listed(f"{n} in {'none' if k == -1 else f'cluster {k}'}" for k, n in sizes.items())
    cut, explained = captions.beyond(int(style.far(points).sum())), options.get("explained")
    share = "" if explained is None else percent(sum(explained))
    return f"{title}: {words}{share and f'; the plane holds {share} of the variance'}{cut}."


def importances(table: pd.DataFrame) -> str:
    """Say which columns separate the clusters most."""
    tops = table.set_index("column")["importance"]
    return (
        f"Most is decided by {valued(tops, 3)}; the colours say for which cluster a column speaks."
    )


def cluster_means(table: pd.DataFrame) -> str:
    """Say which cluster lies farthest from the mean of all."""
    apart = (table.astype(float) - table.astype(float).mean()).pow(2).sum(axis=1).pow(0.5)
    return (
        f"Cluster {apart.idxmax()} lies farthest from the mean of all ({short(apart.max())}), "
        f"cluster {apart.idxmin()} nearest ({short(apart.min())})."
    )


def memberships(table: pd.DataFrame, labels: Sequence[str], n: int = 8) -> str:
    """Say how much of a section belongs to its first cluster."""
    columns = [name for name in table if name.removeprefix("cluster").isdigit()]
    first = table[columns].max(axis=1)
    shown = min(n, table["item_id"].nunique())
    return (
        f"The {shown} tracks whose sections are most mixed: on average {percent(first.mean())} "
        f"of a section belong to one cluster, and {percent((first > 0.5).mean())} of the sections "
        "belong to one by more than half."
    )


def contingency(table: pd.DataFrame, names: tuple[str, str]) -> str:
    """Say how many sections stand in the largest pairs of clusters."""
    whole = max(int(table.to_numpy().sum()), 1)
    largest = percent(table.max(axis=1).sum() / whole)
    return (
        f"{whole} sections by {names[0]} (rows) and {names[1]} (columns): {largest} stand in "
        "the largest cell of their row."
    )


def versions(table: pd.DataFrame) -> str:
    """Say which view finds most versions, and which least."""
    keys = ("files", "files_low", "files_high")
    high, low = table["files"].idxmax(), table["files"].idxmin()
    most, least = (f"{name}, {interval(table.loc[name], keys)}" for name in (high, low))
    return f"Of {counted(len(table), 'view')} most is found by {most}, least by {least}."


def views(table: pd.DataFrame) -> str:
    """Say which view and metric form the clearest clusters."""
    top, last = (table.loc[table["silhouette"].agg(how)] for how in ("idxmax", "idxmin"))
    return (
        f"The clearest clusters are those of {top['view']} ({top['metric']}, silhouette "
        f"{short(top['silhouette'], 2)}), the least clear {last['view']} ({last['metric']}, "
        f"{short(last['silhouette'], 2)})."
    )


def saliency(panels: Sequence[tuple], sr: int, *, hop_length: int, **_: object) -> str:
    """Say where the weight of each map lies, as for genres."""
    text = genre_captions.saliency([panel[:3] for panel in panels], sr, hop_length)
    return text.replace("speaks for the name", "brings the framed second near its cluster")


def route(
    points: np.ndarray, sections: pd.DataFrame, *, route: pd.DataFrame, labels: np.ndarray | None
) -> str:
    """Say how many tracks the route visits, and which come first and last."""
    cut = captions.beyond(int(style.far(points).sum()))
    return (
        f"The mix visits {counted(len(route), 'track')}, from {route['track'].iloc[0]} to "
        f"{route['track'].iloc[-1]}; dotted lines lead through a track, arrows to the next{cut}."
    )


def mix(tracks: pd.DataFrame, route: pd.DataFrame) -> str:
    """Say how long the mix is, and how many transitions are on the beat."""
    matched, minutes = int((tracks["beats"] > 0).sum()), tracks["end_s"].iloc[-1] / 60
    return (
        f"{counted(len(tracks), 'track')} in {minutes:.1f} minutes; {matched} of "
        f"{counted(len(tracks) - 1, 'transition')} run beat on beat, the others are plain fades."
    )
