"""Write playlists and mixes of a folder of music."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from musiclatent import config, files
from musiclatent.apps.commands.messages import set_aside
from musiclatent.studies import study

if TYPE_CHECKING:
    from musiclatent.edm.collection import Collection


def _collection(arguments: argparse.Namespace, near: bool = False) -> "tuple[Collection, str]":
    """Cut the tracks of a folder into sections; choose the vectors that compare them.

    What is `near` is found by the representation that needs no training.
    """
    folder = Path(arguments.folder).expanduser().resolve()
    if not folder.is_dir():
        raise ValueError(f"{folder}: there is no such folder; name a folder of music")
    from musiclatent.edm import collection, second_embeddings

    def space(profile: str) -> config.Workspace:
        return config.Workspace(
            profile=profile, study="edm", corpus=str(folder), results=arguments.results
        )

    trained = second_embeddings.is_trained("mel-crnn", space("real"))
    chosen = space(arguments.profile or ("real" if trained else "demo"))
    config.profile(chosen.profile)
    tracks = collection.collect(study("edm", chosen.profile), chosen)
    set_aside(tracks.quarantine)
    for duplicate, first in tracks.duplicates.items():
        print(f"left out: {duplicate} is the same as {first} in every section", file=sys.stderr)
    usual = collection.SOUND if near else collection.default_vectors(chosen)
    name = arguments.model or usual
    print(f"sections are compared by {name}", file=sys.stderr)
    return tracks, name


def playlist(arguments: argparse.Namespace) -> None:
    """Write a playlist of sections of a folder."""
    from musiclatent.edm import collection, playlist_files

    playlist_files.check_suffix(arguments.out)
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
    print(rows[["item_id", "start_s", "why"]].to_string(index=False))
    print(f"{len(rows)} sections in {arguments.out}")


def mix(arguments: argparse.Namespace) -> None:
    """Render a folder as one mix."""
    from musiclatent.edm import collection, mixdown

    mixdown.validate(arguments.out, arguments.beats)
    tracks, name = _collection(arguments)
    _, result = collection.mix(tracks, name, path=arguments.out, beats=arguments.beats)
    set_aside(result.quarantine)
    columns = ["track", "start_s", "fade_s", "rate", "note"]
    print(result.tracks[columns].round(3).to_string(index=False))
    print(f"{result.seconds / 60:.1f} minutes in {result.path}; its cue sheet lies beside it")
