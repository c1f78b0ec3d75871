"""Measure an automatic set as a DJ would hear it, on real folders: beats, keys and loudness.

Of the folder edm and of twenty tracks of game_music, evenly chosen, a set is ordered, mixed and
exported. The beats of librosa's tracker, told our tempo, judge ours: they are no truth, but they
share no code with ours. A track is one unit of what is measured by the track, a transition else.

Run: MUSICLATENT_DATA=path/to/data python benchmarks/dj.py [--quick]  (ten minutes, then two)
"""

import shutil
import sys
from collections.abc import Mapping, Sequence
from itertools import pairwise, permutations
from pathlib import Path
from xml.etree import ElementTree

import common
import librosa
import numpy as np
import pandas as pd

from musiclatent import audio, config, studies
from musiclatent.analysis import statistics
from musiclatent.config import Workspace
from musiclatent.edm import collection, cue_sheets, mixdown, sequencing
from musiclatent.edm.collection import Collection
from musiclatent.edm.programs import library
from musiclatent.features.rhythm import STABLE, Track
from musiclatent.features.tonal import key_distance

HOP = 256  # 12 ms
GAME = 20  # tracks of game_music
NEAR = 1  # step of keys that mix well
BOUNDS = ("", "_low", "_high")
FIGURES = (
    *("tracks", "transitions", "matched", "steady"),
    *(f"cue_beat_ms{bound}" for bound in BOUNDS),
    *("cue_beat_ms_chance", "grid_ms", "fade_beat_ms"),
    *("keyed", *(f"key_near{bound}" for bound in BOUNDS), "key_near_chance"),
    *(f"loudness_db{bound}" for bound in BOUNDS),
    "loudness_db_without_gain",
)
FOLDERS = ("edm", "game")
KEYS = tuple(f"{folder}_{figure}" for folder in FOLDERS for figure in FIGURES)
QUICK = ("tracks", "transitions", "grid_ms", "loudness_db", "loudness_db_without_gain")


def real() -> common.Figures:
    """Measure both folders."""
    data, work = config.data_root(), config.home() / "results" / "benchmarks" / "dj"
    if not (data / "edm").is_dir() or not (data / "game_music").is_dir():
        sys.exit(f"{data} has no edm and game_music; set MUSICLATENT_DATA to a folder with both")
    files = sorted((data / "game_music").rglob("*.opus"))
    chosen = [files[i] for i in np.linspace(0, len(files) - 1, GAME).round().astype(int)]
    music = work / "music"
    for path in chosen:
        target = music / f"{path.parent.name} {path.name}"
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.exists():
            shutil.copy(path, target)
    return measure("edm", data / "edm", work) | measure("game", music, work)


def measure(name: str, music: Path | None, work: Path) -> common.Figures:
    """Mix a folder, or the embedded tracks, and return its figures."""
    profile = "real" if music else "tiny"
    space = Workspace(
        profile=profile, study="edm", corpus=str(music or ""), results=str(work / name)
    )
    tracks = collection.collect(studies.study("edm", profile), space)
    analysed, out = tracks.analysed(), work / name / "mix.flac"
    _, mix = collection.mix(tracks, collection.CLASSICAL, path=out)
    cues = cue_sheets.transition_cues(mix)
    beats = {path: librosa_beats(path, track) for path, track in analysed.items()}
    figures = {"tracks": len(mix.tracks), "transitions": len(mix.tracks) - 1}
    figures |= {"matched": int(mix.tracks["matched"].sum())}
    figures |= of_beats(tracks, analysed, beats=beats, out=out.with_suffix(".sections.xml"))
    together = mixdown.beat_alignment(mix, beats)["median_ms"]
    figures |= {"fade_beat_ms": float(together.median()) if len(together) else np.nan}
    figures |= of_keys(cues, analysed) | of_loudness(mix, cues, analysed)
    return {f"{name}_{key}": round(float(value), 3) for key, value in figures.items()}


def librosa_beats(path: str, track: Track) -> np.ndarray:
    """Track beats by librosa, with our tempo as the one that is looked for."""
    y, sr = audio.read(path, common.SR)
    bpm = track.rhythm.tempo if track.rhythm.tempo > 0 else 120.0
    return librosa.beat.beat_track(y=y, sr=sr, hop_length=HOP, start_bpm=bpm, units="time")[1]


def of_beats(
    tracks: Collection,
    analysed: Mapping[str, Track],
    *,
    beats: Mapping[str, np.ndarray],
    out: Path,
) -> common.Figures:
    """Measure how far exported cues are from librosa's beats, and from the exported grid.

    Only tracks with a steady beat count: on others a DJ program has no grid to mix by.
    """
    starts = tracks.structural_sections().groupby("path")["start_s"]
    cues = {path: {f"section {i}": s for i, s in enumerate(of, 1)} for path, of in starts}
    items = tracks.items[tracks.items["path"].isin(analysed.keys())]
    library.write(out, items, tracks=analysed, cues=cues)
    rng, off, chance, grid = np.random.default_rng(0), [], [], []
    exported = ElementTree.parse(out).findall("COLLECTION/TRACK")
    for path, element in zip(items["path"], exported, strict=True):
        at_s = np.array([float(mark.get("Start")) for mark in element.findall("POSITION_MARK")])[1:]
        steady = analysed[path].rhythm.stability >= STABLE and analysed[path].rhythm.tempo > 0
        if steady and len(at_s) and len(beats[path]) > 1:
            off.append(nearest_ms(at_s, beats[path]))
            chance.append(nearest_ms(rng.uniform(*beats[path][[0, -1]], 200), beats[path]))
            grid.append(grid_ms(at_s, element.find("TEMPO")))
    found = {"steady": len(off)}
    found |= statistics.mean(off).named("cue_beat_ms") if off else {}
    return found | {"cue_beat_ms_chance": np.mean(chance), "grid_ms": np.mean(grid)}


def nearest_ms(at_s: np.ndarray, beats_s: np.ndarray) -> float:
    """Return the median distance from moments to the nearest beat."""
    return 1000 * float(np.median(np.abs(at_s[:, None] - beats_s).min(axis=1)))


def grid_ms(at_s: np.ndarray, grid: ElementTree.Element) -> float:
    """Return how far the worst moment is from the beats that a DJ program draws."""
    beats = (at_s - float(grid.get("Inizio"))) * float(grid.get("Bpm")) / 60
    return 1000 * float(np.abs(beats - beats.round()).max()) * 60 / float(grid.get("Bpm"))


def of_keys(cues: pd.DataFrame, analysed: Mapping[str, Track]) -> common.Figures:
    """Count the transitions between keys that mix well, beside any two passages of the set."""
    rows = cues.to_dict("records")
    out = [analysed[row["path"]].key(row["out"], row["gone"]) for row in rows[:-1]]
    into = [analysed[row["path"]].key(row["in"], row["in full"]) for row in rows[1:]]
    near = [key_distance(a, b) <= NEAR for a, b in zip(out, into, strict=True) if a and b]
    pairs = permutations(range(len(rows)), 2)
    free = [(out[i], into[j - 1]) for i, j in pairs if i < len(out) and j > 0]
    chance = [key_distance(a, b) <= NEAR for a, b in free if a and b]
    found = {"keyed": len(near), "key_near_chance": np.mean(chance) if chance else np.nan}
    return found | (statistics.mean(near).named("key_near") if near else {})


def of_loudness(
    mix: mixdown.Mix, cues: pd.DataFrame, analysed: Mapping[str, Track]
) -> common.Figures:
    """Compare the loudness of both passages of each transition, with and without gains."""
    rows, gain_db = cues.to_dict("records"), mix.tracks["gain_db"].to_numpy()
    raw = [
        passage_db(analysed[b["path"]], b, ("in", "in full"))
        - passage_db(analysed[a["path"]], a, ("out", "gone"))
        for a, b in pairwise(rows)
    ]
    found = statistics.mean(np.abs(raw + np.diff(gain_db))).named("loudness_db")
    return found | {"loudness_db_without_gain": np.abs(raw).mean()}


def passage_db(track: Track, row: Mapping, ends: Sequence[str]) -> float:
    """Return the loudness of a track between two of its cues."""
    return max(track.loudness_db(row[ends[0]], row[ends[1]]), sequencing.SILENCE_DB)


def embedded() -> common.Figures:
    """Measure the six embedded tracks of the smallest profile."""
    work = config.home() / "results" / "benchmarks" / "dj-quick"
    figures = measure("edm", None, work)
    return {f"edm_{name}": figures[f"edm_{name}"] for name in QUICK}


if __name__ == "__main__":
    common.run(KEYS, full=real, quick=embedded, quick_keys=tuple(f"edm_{name}" for name in QUICK))
