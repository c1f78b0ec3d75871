"""Encode, rank, name and map music of one's own, and say digits."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from musiclatent import config, files
from musiclatent.apps.commands import messages
from musiclatent.studies import study

if TYPE_CHECKING:
    from musiclatent.config import Study
    from musiclatent.training.run_folder import Run


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


def encode(arguments: argparse.Namespace) -> None:
    """Encode files, rebuild them and place them among the training recordings."""
    plan, space, run = _space(arguments)
    from musiclatent.apps.own import new_music
    from musiclatent.latents import store

    folder, out = space.path("latents", run.experiment.name), arguments.out
    training = store.read_latents(folder, run=run) if folder.exists() else None
    with files.output_folder(out):
        table, quarantine = new_music.encode_own_files(
            run,
            plan,
            files=arguments.files,
            folder=out,
            training=training,
            scheduler=arguments.scheduler or config.scheduler(),
        )
    messages.set_aside(quarantine)
    print(messages.table(table.drop(columns="path")))
    print(f"{len(table)} files encoded into {arguments.out}")


def similar(arguments: argparse.Namespace) -> None:
    """Rank the tracks of a folder by likeness to a file."""
    from musiclatent.latents import representations

    if arguments.study or arguments.experiment != "all":
        plan, _, run = _space(arguments)
        representation = representations.trained(run, plan)
    else:
        representation = representations.measured(arguments.by or representations.DEFAULT)
    from musiclatent.apps.own import new_music

    out = arguments.out
    if arguments.music.is_dir():
        messages.passed_over(arguments.music, anew=True, verbose=arguments.verbose)
    with files.output_folder(out):
        tracks, left_out = new_music.similar(
            representation,
            file=arguments.file[0],
            more=arguments.file[1:],
            unlike=arguments.unlike,
            music=arguments.music,
            out=out,
            same=arguments.same,
        )
    messages.set_aside(left_out)
    print(messages.table(tracks.drop(columns="path").head(20)))
    print(f"to listen: {out / 'similar.html'}")


def path(arguments: argparse.Namespace) -> None:
    """Choose tracks of a folder that lead from one track to another."""
    from musiclatent.apps.own import music_path
    from musiclatent.latents import representations

    representation = representations.measured(arguments.by or representations.DEFAULT)
    ends, out = tuple(arguments.ends), arguments.out
    tracks = music_path.path(representation, ends, music=arguments.music, out=out, n=arguments.n)
    print(tracks.drop(columns="path").to_string(index=False))
    print(f"to play: {out / 'path.m3u8'}; to listen: {out / 'path.html'}")


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
    with files.output_folder(arguments.out):
        table, quarantine = genre_timeline.classify_files(
            network, plan, files=arguments.files, folder=arguments.out
        )
    messages.set_aside(quarantine)
    print(messages.table(table.drop(columns="path").round(2)))
    print(f"pictures and tables of the sections: {arguments.out}")


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
    files.mark_output(arguments.out.parent, arguments.out.name)


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
    if arguments.parquet:
        from musiclatent.display.comparison import atlas

        path = atlas.write_parquet(
            arguments.parquet, layout.plane.points, layout.items, layout.vectors
        )
        print(f"to open it elsewhere: {atlas.OPEN.format(path=path)}")
