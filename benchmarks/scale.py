"""How time and memory of the commands grow with the number of tracks, and what an index misses.

Tracks of 3 s are made once. Each command runs in a process of its own on folders of both sizes;
seconds per track and peak memory shall be the same. A folder that has not changed is then indexed
again. The share of true neighbours that the index of `neighbours.nearest` finds is counted on
random vectors; what a mix in parts costs, on made sections, and the share of sections whose nearest
of another track is among the candidates, on tunes with known versions: both beside the answer for
all together, with bounds so low that all can be compared.

Run: python benchmarks/scale.py [--quick]  (2,000 and 8,000 tracks: hours; quick: 20 and 40)
"""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from unittest.mock import patch

import common
import numpy as np
import pandas as pd
import versions as known

from musiclatent import audio, config
from musiclatent.analysis import neighbours
from musiclatent.edm import sequencing, versions
from musiclatent.edm.large import candidates, parts

SR, SECONDS = 22_050, 3.0
COMMANDS = ("similar", "playlist", "reproduce", "explore")
LEAST_RECALL = 0.95
MOST_RATIO = 1.25
LEAST_FOUND = 0.7
# Bounds so low that all can be compared too: a fifth or a third of the other tracks.
FULL_VERSIONS = {"seeds": (0, 1, 2, 3), "size": known.FULL, "folder": "versions", "k": 8}
QUICK_VERSIONS = {"seeds": (0,), "size": known.QUICK, "folder": "versions-quick", "k": 2}
LARGE = {"tracks": 400, "versions": FULL_VERSIONS | {"n_jobs": 2}}
SMALL = {"tracks": 80, "versions": QUICK_VERSIONS | {"n_jobs": 1}}
QUICK = COMMANDS[:2]  # the others train and run notebooks
FIGURES = ("s_track", "s_growth", "mb", "mb_growth")
VERSIONS = ("versions_recall", "versions_right_recall", "versions_share")
OTHERS = ("rescan_s", "recall", "mix_cost_ratio", *VERSIONS)
KEYS = (*(f"{name}_{what}" for name in COMMANDS for what in FIGURES), *OTHERS)
QUICK_KEYS = (*(f"{name}_{what}" for name in QUICK for what in FIGURES), *OTHERS)


def make(folder: Path, n: int) -> Path:
    """Write n tracks: three notes and a beat of their own, so that no two are alike."""
    folder.mkdir(parents=True, exist_ok=True)
    t = np.arange(round(SECONDS * SR)) / SR
    for i in range(n):
        path = folder / f"{i // 100:03}" / f"{i:05}.wav"
        if not path.exists():
            rng = np.random.default_rng(i)
            notes = np.repeat(rng.uniform(100, 2000, 12), len(t) // 12)
            y = 0.3 * np.sin(2 * np.pi * np.cumsum(np.resize(notes, len(t))) / SR)
            beat = np.exp(-20 * (t % rng.uniform(0.3, 0.6))) * rng.standard_normal(len(t))
            path.parent.mkdir(exist_ok=True)
            audio.write(path, 0.7 * y + 0.2 * np.clip(beat, -3, 3), SR)
    return folder


def arguments(name: str, folder: Path, work: Path) -> list[str]:
    """Return the words of a command on a folder."""
    study = ["--study", "waveform", "--profile", "tiny", "--corpus", str(folder)]
    row = "waveform-64"
    results = ["--results", str(work / "results")]
    first = str(folder / "000" / "00000.wav")
    sections = ["--of", "cluster", "--model", "classical"]  # there may be no anomalies
    return {
        "similar": ["similar", first, "--in", str(folder), "--out", str(work / "similar")],
        "playlist": ["playlist", str(folder), *sections, *results, "--out", str(work / "p.xspf")],
        "reproduce": ["reproduce", *study, "--experiment", row, *results],
        "explore": [
            *("explore", *study, "--model", row, *results, "--html", str(work / "map.html"))
        ],
    }[name]


def spent(words: list[str]) -> tuple[float, float]:
    """Run a command; return its seconds, and the peak in MB of it and of what it started."""
    code = (
        "import resource, subprocess, sys; rc = subprocess.run([sys.executable, '-m',"
        " 'musiclatent', *sys.argv[1:]], stdout=sys.stderr).returncode;"
        " print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss); sys.exit(rc)"
    )
    start = time.perf_counter()
    environment = os.environ | {"MUSICLATENT_HOME": str(config.home())}
    done = subprocess.run(
        [sys.executable, "-c", code, *words], stdout=subprocess.PIPE, check=True, env=environment
    )
    return time.perf_counter() - start, int(done.stdout.split()[-1]) / 1024


def rescan(folder: Path, work: Path) -> float:
    """Return the seconds of indexing a folder again that has not changed, in a new process."""
    code = (
        "import sys, time; from pathlib import Path; from musiclatent.data import corpus\n"
        "start = time.perf_counter()\n"
        "corpus.load(sys.argv[1], root=Path('.'), work=Path(sys.argv[2]), n_jobs=2)\n"
        "print(time.perf_counter() - start)"
    )
    words = [sys.executable, "-c", code, str(folder), str(work)]
    runs = [subprocess.run(words, stdout=subprocess.PIPE, check=True) for _ in range(2)]
    return float(runs[-1].stdout)


def recall(n: int) -> float:
    """Return the share of the ten nearest of random vectors in groups that an index finds."""
    rng = np.random.default_rng(0)
    z = rng.normal(size=(n // 20, 32)).repeat(20, axis=0) + 0.5 * rng.normal(size=(n, 32))
    exact = neighbours.nearest(z[:500], z, 10)[1]
    found = neighbours._from_index(z, z, 10)[:500]
    share = float(np.mean([len({*a} & {*b}) / 10 for a, b in zip(exact, found, strict=True)]))
    if share < LEAST_RECALL:
        sys.exit(f"the index finds {share:.3f} of the neighbours; it must find {LEAST_RECALL}")
    return share


def sections(tracks: int) -> tuple[pd.DataFrame, np.ndarray]:
    """Make sections of tracks of eight styles, each of its tempo; return them and their vectors."""
    rng = np.random.default_rng(tracks)
    style, lengths = rng.integers(8, size=tracks), rng.integers(4, 12, tracks)
    of = np.repeat(np.arange(tracks), lengths)
    start_s = np.concatenate([15.0 * np.arange(n) for n in lengths])
    tempo = rng.choice([90, 100, 118, 124, 128, 138, 174], 8)[style] * np.exp(
        rng.normal(0, 0.03, tracks)
    )
    table = pd.DataFrame({"start_s": start_s, "end_s": start_s + 15.0, "tempo": tempo[of]})
    table["tonic"], table["loudness_db"] = (
        rng.integers(12, size=tracks)[of],
        rng.normal(-14, 2, len(of)),
    )
    table["path"] = table["item_id"] = [f"{track:05}" for track in of]
    table = table.assign(stability=1.0, mode="minor", key="")
    z = (1.5 * rng.normal(size=(8, 16))[style] + 0.7 * rng.normal(size=(tracks, 16)))[of]
    return table, z + 0.4 * rng.normal(size=z.shape)


def mix_cost_ratio(tracks: int) -> float:
    """Return what an order in four parts or more costs over that of all tracks together."""
    table, z = sections(tracks)
    costs = sequencing.transition_costs(table, z)
    whole = sequencing.order_tracks(table, costs)
    with patch.object(sequencing, "MOST", len(table) // 4 + 1):
        rows = parts.order_tracks(table, z).tracks
    left, entered = rows["exit"].to_numpy()[:-1], rows["entry"].to_numpy()[1:]
    ratio = float(costs.total[left, entered].sum()) / whole.total
    if ratio > MOST_RATIO:
        sys.exit(f"a mix in parts costs {ratio:.3f} of one; it may cost {MOST_RATIO}")
    return ratio


def found_versions(
    seeds: Sequence[int], size: config.DemoSize, folder: str, *, k: int, n_jobs: int
) -> tuple[float, float, float]:
    """Return the share of sections whose nearest is found, of all and of those that it is right of.

    And the share of pairs of tracks that were compared for it.
    """
    root = config.home() / "results" / "benchmarks" / folder
    corpora = [known.corpus(seed, size, root / str(seed), n_jobs) for seed in seeds]
    harmony, places = (np.concatenate([corpus[i] for corpus in corpora]) for i in (1, 2))
    named = zip(seeds, corpora, strict=True)
    rows = pd.concat([rows.assign(seed=str(seed)) for seed, (rows, *_) in named])
    items, tunes = ((rows["seed"] + rows[name]).to_numpy(str) for name in ("item_id", "group"))
    heard = harmony, items, places
    exact = versions.nearest_of_other_tracks(versions.align_harmony(*heard), items)
    pairs = candidates.near_in_harmony(*heard, k)
    found = candidates.compare(pairs, items, candidates.harmony_between(*heard))
    same, tracks = candidates.nearest_of_other_tracks(found) == exact, len(set(items))
    if same.mean() < LEAST_FOUND:
        sys.exit(f"candidates hold {same.mean():.3f} of the nearest; they must hold {LEAST_FOUND}")
    right = tunes[exact] == tunes
    return same.mean(), same[right].mean(), 2 * len(pairs) / (tracks * (tracks - 1))


def measure(
    commands: Sequence[str], sizes: tuple[int, int], *, again: int, vectors: int, large: dict
) -> common.Figures:
    """Run commands on both sizes."""
    root = config.home() / "results" / "benchmarks" / "scale"
    figures = {}
    folders = {n: make(root / f"tracks-{n}", n) for n in sizes}
    for n in sizes:
        shutil.rmtree(root / f"work-{n}", ignore_errors=True)
    for name in commands:
        both = []
        for n, folder in folders.items():
            seconds, mb = spent(arguments(name, folder, root / f"work-{n}"))
            print(f"{name} {n}: {seconds:.1f} s, {mb:.0f} MB", file=sys.stderr)
            both.append((seconds, mb))
        (small_s, small_mb), (large_s, large_mb) = both
        # Without what a command takes however few tracks there are.
        per_track = (large_s - small_s) / (sizes[1] - sizes[0])
        figures[f"{name}_s_track"] = per_track
        figures[f"{name}_s_growth"] = large_s / sizes[1] / (small_s / sizes[0])
        figures |= {f"{name}_mb": large_mb, f"{name}_mb_growth": large_mb / small_mb}
    figures["rescan_s"] = rescan(make(root / f"tracks-{again}", again), root / "rescan")
    figures |= {"recall": recall(vectors), "mix_cost_ratio": mix_cost_ratio(large["tracks"])}
    figures |= dict(zip(VERSIONS, found_versions(**large["versions"]), strict=True))
    return {name: round(float(value), 4) for name, value in figures.items()}


if __name__ == "__main__":
    common.run(
        KEYS,
        full=lambda: measure(COMMANDS, (2_000, 8_000), again=5_000, vectors=20_000, large=LARGE),
        quick=lambda: measure(QUICK, (20, 40), again=40, vectors=2_000, large=SMALL),
        quick_keys=QUICK_KEYS,
    )
