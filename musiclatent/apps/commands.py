"""What each command does, once its arguments are parsed.

Libraries are imported where they are used: torch takes seconds, and comes after what can go wrong.
"""

import argparse
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from musiclatent import config, files
from musiclatent.studies import STUDIES, study

if TYPE_CHECKING:
    import pandas as pd

    from musiclatent.config import Study
    from musiclatent.edm.collection import Collection
    from musiclatent.training.run_folder import Run


def fetch(arguments: argparse.Namespace) -> None:
    """Download a dataset."""
    from musiclatent.data import datasets, download

    source = files.pick(datasets.SOURCES, arguments.name, "dataset")
    print(download.fetch(source, config.data_root()))


def check(arguments: argparse.Namespace) -> None:
    """Report what a dataset lacks."""
    from musiclatent.data import corpus

    problems = corpus.check(arguments.name, config.data_root())
    if len(problems):
        raise ValueError(f"{problems.to_string(index=False)}\n{len(problems)} problems")
    print(f"{arguments.name}: nothing is missing or broken")


def reproduce(arguments: argparse.Namespace) -> None:
    """Run notebooks, then write the report."""
    from musiclatent.apps import notebooks

    names = ("notebook", "experiment", "profile", "corpus", "results", "scheduler")
    notebooks.reproduce(arguments.study, **{name: getattr(arguments, name) for name in names})


def record(arguments: argparse.Namespace) -> None:
    """Write the figures of a real run to docs/results."""
    from musiclatent.apps import report

    home = config.home()
    base = home / arguments.results / "real"
    names = STUDIES if arguments.study == "all" else [study(arguments.study).name]
    for path in report.record(base, list(names), home):
        print(path)


def _space(arguments: argparse.Namespace) -> "tuple[Study, config.Workspace, Run]":
    """Find the trained experiment that a command works with."""
    plan = study(arguments.study, arguments.profile)
    if not plan.has_encoder:
        raise ValueError(f"the study {plan.name} has no model that encodes; take waveform")
    experiment = plan.main(arguments.experiment)
    from musiclatent.training import run_folder  # torch takes seconds: after what can go wrong

    corpus = str(Path(arguments.corpus).expanduser().resolve()) if arguments.corpus else ""
    space = config.Workspace(
        profile=arguments.profile, study=plan.name, corpus=corpus, results=arguments.results
    )
    return plan, space, run_folder.read_run(experiment, space.path("checkpoints", experiment.name))


def _set_aside(quarantine: "pd.DataFrame") -> None:
    """Name the files that could not be read."""
    for path, reason in quarantine.itertuples(index=False):
        print(f"set aside: {path}: {reason}", file=sys.stderr)


def encode(arguments: argparse.Namespace) -> None:
    """Encode files, rebuild them and place them among the training recordings."""
    plan, space, run = _space(arguments)
    from musiclatent.apps import new_music
    from musiclatent.latents import store

    folder, out = space.path("latents", run.experiment.name), arguments.out
    training = store.read_latents(folder, run=run) if folder.exists() else None
    table, quarantine = new_music.encode_own_files(
        run, plan, files=arguments.files, folder=out, training=training
    )
    _set_aside(quarantine)
    print(table.drop(columns="path").to_string(index=False))
    print(f"{len(table)} files encoded into {arguments.out}")


def similar(arguments: argparse.Namespace) -> None:
    """Rank the tracks of a folder by likeness to a file."""
    from musiclatent.latents import representations

    if arguments.study or arguments.experiment != "all":
        plan, _, run = _space(arguments)
        representation = representations.trained(run, plan)
    else:
        representation = representations.measured(arguments.by or representations.DEFAULT)
    from musiclatent.apps import new_music

    out = arguments.out
    tracks, left_out = new_music.similar(
        representation,
        file=arguments.file,
        music=arguments.music,
        out=out,
        same=arguments.same,
    )
    _set_aside(left_out)
    print(tracks.drop(columns="path").head(20).to_string(index=False))
    print(f"to listen: {out / 'similar.html'}")


def classify(arguments: argparse.Namespace) -> None:
    """Name the genre of files along their length."""
    plan = study("genre", arguments.profile)
    from musiclatent.apps import genre_timeline
    from musiclatent.evaluation import genre_networks

    space = config.Workspace(
        profile=arguments.profile, study=plan.name, corpus="", results=arguments.results
    )
    folder = space.path(genre_networks.FINAL, plan.main().name)
    network = genre_networks.read_classifier(folder)
    table, quarantine = genre_timeline.classify_files(
        network, plan, files=arguments.files, folder=arguments.out
    )
    _set_aside(quarantine)
    print(table.drop(columns="path").round(2).to_string(index=False))
    print(f"pictures and tables of the sections: {arguments.out}")


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
    _set_aside(tracks.quarantine)
    for duplicate, first in tracks.duplicates.items():
        print(f"left out: {duplicate} is the same as {first} in every section", file=sys.stderr)
    usual = collection.SOUND if near else collection.default_vectors(chosen)
    name = arguments.numbers or usual
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
    _set_aside(result.quarantine)
    columns = ["track", "start_s", "fade_s", "rate", "note"]
    print(result.tracks[columns].round(3).to_string(index=False))
    print(f"{result.seconds / 60:.1f} minutes in {result.path}; its cue sheet lies beside it")


def say(arguments: argparse.Namespace) -> None:
    """Write spoken digits that nobody recorded."""
    plan, space, run = _space(arguments)
    import numpy as np

    from musiclatent import audio
    from musiclatent.data import datamodules
    from musiclatent.latents import class_sampler

    data = datamodules.CorpusDataModule.of_study(plan, space)
    sampler = class_sampler.class_sampler(run, data, space.path("latents", run.experiment.name))
    sounds = [
        sampler.sample(1, label, arguments.speaker, seed=arguments.seed + i)[1].sounds()[0]
        for i, label in enumerate(arguments.labels)
    ]
    print(audio.write(arguments.out, np.concatenate(sounds), plan.sr))


def explore(arguments: argparse.Namespace) -> None:
    """Write the map of a study as one page."""
    plan, space, run = _space(arguments)
    from musiclatent.display import map_layout, map_page
    from musiclatent.latents import store

    folder = space.path("latents")
    sound = folder / f"{run.experiment.name}-sound"  # where training took ready spectrograms
    latents = store.read_latents(sound if sound.exists() else folder / run.experiment.name, run=run)
    layout = map_layout.lay_out(latents, arguments.projection)
    page = map_page.write_page_of_items(
        arguments.html,
        layout.plane.points,
        items=layout.items,
        sr=plan.sr,
        title=f"{plan.title}: {run.experiment.name}",
        near=map_page.neighbours_of_rows(layout.vectors, layout.items),
        columns=layout.columns,
        folder=folder.parent,
    )
    print(f"{page}: {page.stat().st_size / 1e6:.1f} MB")


def dashboard(arguments: argparse.Namespace) -> None:
    """Serve the dashboard of dance music."""
    from musiclatent.apps import voila

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # else Voila and its kernels live on
    place = (arguments.host, arguments.port)
    voila.dashboard(arguments.profile, arguments.results, arguments.corpus, *place)


def colab(arguments: argparse.Namespace) -> None:
    """Write notebooks that run in Colab."""
    from musiclatent.apps import colab

    home = config.home()
    for path in colab.build(home / "notebooks", home / arguments.out, home):
        print(path)
