"""Write playlists and mixes of a folder of music."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from musiclatent import config, files
from musiclatent.apps.commands import messages
from musiclatent.errors import shown
from musiclatent.studies import study

if TYPE_CHECKING:
    from musiclatent.edm.collection import Collection


def _collection(arguments: argparse.Namespace, near: bool = False) -> "tuple[Collection, str]":
    """Cut the tracks of a folder into sections; choose the vectors that compare them.

    What is `near` is found by the representation that needs no training.
    """
    folder = Path(arguments.folder).resolve()
    if not folder.is_dir():
        raise ValueError(f"{folder}: there is no such folder; name a folder of music")
    _validate_out(arguments.out, folder)
    from musiclatent.edm import collection, second_embeddings, track_names

    def space(profile: str) -> config.Workspace:
        return config.Workspace(
            profile=profile, study="edm", corpus=str(folder), results=arguments.results
        )

    trained = second_embeddings.is_trained("mel-crnn", space("real"))
    chosen = space(arguments.profile or ("real" if trained else "demo"))
    config.profile(chosen.profile)
    tempi = tempo_range(getattr(arguments, "tempi", ""))
    work, verbose = chosen.base / "corpora", arguments.verbose
    messages.passed_over(folder, work=work, anew=True, verbose=verbose)
    tracks = collection.collect(study("edm", chosen.profile), chosen, tempi)
    messages.set_aside(tracks.quarantine)
    rows = tracks.all_sections[~tracks.all_sections["item_id"].isin(tracks.duplicates)]
    kept = set(tracks.sections["item_id"])
    lost = track_names.left_out(rows, kept, collection.LEAST_S)
    for name, reason in lost.itertuples(index=False):
        print(f"left out: {shown(name)}: {reason}", file=sys.stderr)
    for copy, kept in tracks.duplicates.items():
        print(f"left out: {shown(copy)} is a copy of {shown(kept)}", file=sys.stderr)
    usual = collection.SOUND if near else collection.default_vectors(chosen)
    name = arguments.model or usual
    print(f"sections are compared by {name}", file=sys.stderr)
    return tracks, name


def tempo_range(text: str) -> tuple[float, float]:
    """Read a range of beats per minute such as 70-140; empty is the usual one."""
    from musiclatent.features import beat_grid

    try:
        low, high = map(float, text.split("-")) if text else beat_grid.TEMPI
    except ValueError:
        low, high = 0.0, 0.0
    if not (0 < low < high <= 400 and high >= 1.05 * low):
        raise ValueError(f"--tempi {text}: give a range of beats per minute, such as 70-140")
    return low, high


def export(arguments: argparse.Namespace) -> None:
    """Write a folder as a library for DJ programs."""
    from musiclatent.edm.programs import library

    library.check_suffix(arguments.out)
    tempo_range(arguments.tempi)
    tracks, _ = _collection(arguments)
    analysed, cuts = tracks.analysed(), tracks.structural_sections()
    items = tracks.items[tracks.items["path"].isin(analysed.keys())]
    starts = cuts.groupby("path")["start_s"]
    cues = {path: {f"section {i}": s for i, s in enumerate(of, 1)} for path, of in starts}
    library.write(arguments.out, items, tracks=analysed, cues=cues)
    programs = {".xml": "rekordbox, or in Mixxx by its folder", ".nml": "Traktor"}
    how = f"import it in {programs[arguments.out.suffix.lower()]}"
    print(f"{len(items)} tracks in {shown(arguments.out)}; {how}")


def tag(arguments: argparse.Namespace) -> None:
    """Write tempo or key into the tags of files, where that is asked for."""
    if not (arguments.bpm or arguments.key):
        raise ValueError("say what to write into the tags: --bpm, --key or both")
    from musiclatent.data.own import tags
    from musiclatent.edm.programs import facts
    from musiclatent.features import rhythm

    paths = [str(path.expanduser().absolute()) for path in arguments.files]
    tempi = dict.fromkeys(paths, tempo_range(arguments.tempi))
    folder = config.home() / arguments.results / "rhythm"
    tracks, quarantine = rhythm.analyse_tracks(paths, folder, tempi=tempi)
    messages.set_aside(quarantine)
    for path, track in tracks.items():
        tempo = track.rhythm.tempo if arguments.bpm and track.rhythm.tempo > 0 else None
        key = facts.short_name(track.key()) if arguments.key else ""
        if tempo or key:
            tags.write_tags(path, bpm=tempo, key=key)
        told = [f"{track.rhythm.said} bpm" if tempo else "", key]
        print(
            f"{shown(path)}: {', '.join(filter(None, told)) or 'neither tempo nor key was found'}"
        )


def _validate_out(out: Path, folder: Path) -> None:
    """Refuse, before the work, to write over a file of the folder that is not ours."""
    ours = out.name in files.own_output(out.parent)
    if out.suffix in (".flac", ".wav") and out.exists() and not ours and folder in out.parents:
        raise ValueError(f"{out} is one of the tracks; write the mix elsewhere")


def playlist(arguments: argparse.Namespace) -> None:
    """Write a playlist of sections of a folder."""
    from musiclatent.edm import collection, playlist_files
    from musiclatent.edm.programs import library

    playlist_files.check_suffix(arguments.out, tuple(library.WRITERS))
    files.pick(dict.fromkeys(collection.KINDS), arguments.of, "kind of playlist")
    tracks, name = _collection(arguments, near=arguments.of == "neighbours")
    rows = collection.playlist(
        tracks,
        name,
        path=arguments.out,
        kind=arguments.of,
        n=arguments.n,
        k=arguments.k,
        cluster=arguments.cluster,
        track=arguments.track,
        at_s=arguments.at,
    )
    files.mark_output(arguments.out.parent, arguments.out.name)
    print(messages.table(rows[["item_id", "start_s", "why"]]))
    print(f"{len(rows)} sections in {shown(arguments.out)}")


def mix(arguments: argparse.Namespace) -> None:
    """Render a folder as one mix."""
    from musiclatent.edm import collection, cue_sheets, mixdown

    mixdown.validate(arguments.out, arguments.beats)
    cue_sheets.check_name(arguments.out)
    tracks, name = _collection(arguments)
    _, result = collection.mix(tracks, name, path=arguments.out, beats=arguments.beats)
    messages.set_aside(result.quarantine)
    columns = ["track", "start_s", "fade_s", "rate", "tempo", "bar", "cut_s", "note"]
    beside = [arguments.out.stem + suffix for suffix in (".cue", ".xml", ".nml", ".m3u8")]
    files.mark_output(arguments.out.parent, arguments.out.name, *beside)
    print(messages.table(result.tracks[columns].round(3)))
    minutes = result.seconds / 60
    print(f"{minutes:.1f} minutes in {shown(result.path)}; beside it its cue sheet, and the")
    print("set for rekordbox, for Traktor and as a playlist, with the cues of every transition")
