"""Encode, rank, name and map music of one's own, and say digits."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from musiclatent import config, files
from musiclatent.apps.commands import messages, models
from musiclatent.errors import CheckpointError, LatentsError
from musiclatent.studies import study

if TYPE_CHECKING:
    from musiclatent.display.map_layout import MapLayout
    from musiclatent.latents.class_sampler import ClassSampler
    from musiclatent.latents.store import Latents
    from musiclatent.training.run_folder import Run


def encode(arguments: argparse.Namespace) -> None:
    """Encode files, rebuild them and place them among the training recordings."""
    if models.names_a_plugin(arguments.model):
        _encode_frames(arguments)
        return
    where = {"profile": arguments.profile, "corpus": arguments.corpus, "results": arguments.results}
    model = models.trained(arguments.model, **where) or models.ENCODES
    plan, run = models.open_model(model, arguments.results)
    from musiclatent.apps.own import new_music

    with files.output_folder(arguments.out):
        table, quarantine = new_music.encode_own_files(
            run,
            plan,
            files=arguments.files,
            folder=arguments.out,
            training=_training_latents(run),
            scheduler=arguments.scheduler or config.scheduler(),
        )
    messages.set_aside(quarantine)
    print(messages.table(table.drop(columns="path")))
    print(f"{len(table)} files encoded into {arguments.out}")


def _encode_frames(arguments: argparse.Namespace) -> None:
    """Encode files by the class of another package, which has no way back to sound."""
    import pandas as pd

    from musiclatent.latents import comparison

    encoder = comparison.encoder(arguments.model, arguments.results)
    with files.output_folder(arguments.out):
        latents, reasons = comparison.encode_rows(
            encoder, files=arguments.files, folder=arguments.out
        )
    messages.set_aside(pd.DataFrame(reasons.items(), columns=["path", "reason"]))
    rows, dimensions = latents.z.shape
    print(f"{rows} rows of {dimensions} numbers of {arguments.model} in {arguments.out}")


def _training_latents(run: "Run") -> "Latents | None":
    """Read the latents of the recordings that a model was trained on; None where none are kept."""
    from musiclatent.latents import shipped, store

    space = shipped.workspace(run.folder)
    folder = space and space.path("latents", run.folder.name)
    if not folder or not folder.exists():
        return None
    try:
        return store.read_latents(folder, run=run)
    except LatentsError:  # of another training, or broken: the model serves without
        return None


def similar(arguments: argparse.Namespace) -> None:
    """Rank the tracks of a folder by likeness to a file."""
    from musiclatent.latents import comparison

    representation = comparison.representation(arguments.model, arguments.results)
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
    from musiclatent.latents import comparison

    representation = comparison.representation(arguments.model, arguments.results)
    ends, out = tuple(arguments.ends), arguments.out
    tracks = music_path.path(representation, ends, music=arguments.music, out=out, n=arguments.n)
    print(tracks.drop(columns="path").to_string(index=False))
    print(f"to play: {out / 'path.m3u8'}; to listen: {out / 'path.html'}")


def classify(arguments: argparse.Namespace) -> None:
    """Name the genre of files along their length."""
    plan, run = models.open_model(arguments.model or models.CLASSIFIES, arguments.results)
    from musiclatent.apps import genre_timeline
    from musiclatent.evaluation import genre_networks

    network = genre_networks.read_classifier(run.folder)
    with files.output_folder(arguments.out):
        table, quarantine = genre_timeline.classify_files(
            network, plan, files=arguments.files, folder=arguments.out
        )
    messages.set_aside(quarantine)
    print(messages.table(table.drop(columns="path").round(2)))
    print(f"pictures and tables of the sections: {arguments.out}")


def say(arguments: argparse.Namespace) -> None:
    """Write spoken digits that nobody recorded."""
    plan, run = models.open_model(arguments.model or models.SAYS, arguments.results)
    import numpy as np

    from musiclatent import audio

    sampler = _sampler(run)
    sounds = [
        sampler.sample(1, label, arguments.speaker, seed=arguments.seed + i)[1].sounds()[0]
        for i, label in enumerate(arguments.labels)
    ]
    print(audio.write(arguments.out, np.concatenate(sounds), plan.sr))
    files.mark_output(arguments.out.parent, arguments.out.name)


def _sampler(run: "Run") -> "ClassSampler":
    """Read the sampler of a model, or make it from the recordings that it was trained on here."""
    from musiclatent.latents import class_sampler, shipped

    space = shipped.workspace(run.folder)
    if space is None or (run.folder / class_sampler.SAMPLER).exists():
        return class_sampler.read_sampler(run)
    from musiclatent.data import datamodules

    plan = study(space.study, space.profile)
    if not plan.has_encoder:
        raise CheckpointError(f"{run.folder} draws no sounds; take a model of the study digits")
    data = datamodules.CorpusDataModule.of_study(plan, space)
    return class_sampler.class_sampler(run, data, space.path("latents", run.experiment.name))


def explore(arguments: argparse.Namespace) -> None:
    """Write a map as one page: of a folder of music, or of a study."""
    if arguments.music is None:
        if not arguments.study:
            raise ValueError("name a folder of music with --in, or what was trained with --study")
        _explore_study(arguments)
        return
    from musiclatent.apps.own import own_map

    music = arguments.music
    layout, quarantine = own_map.lay_out(
        music, arguments.model, projection=arguments.projection, results=arguments.results
    )
    messages.set_aside(quarantine)
    page = own_map.write_page(layout, arguments.html, music.resolve().name)
    _finish(arguments, page, layout)


def _explore_study(arguments: argparse.Namespace) -> None:
    """Write the map of the latents of a study."""
    plan = study(arguments.study, arguments.profile)
    if not plan.has_encoder:
        raise ValueError(f"the study {plan.name} has no model that encodes; take waveform")
    experiment = plan.main(arguments.model or "all")
    from musiclatent.training import run_folder  # torch takes seconds: after what can go wrong

    corpus = str(Path(arguments.corpus).expanduser().resolve()) if arguments.corpus else ""
    space = config.Workspace(
        profile=arguments.profile, study=plan.name, corpus=corpus, results=arguments.results
    )
    run = run_folder.read_run(experiment, space.path("checkpoints", experiment.name))
    from musiclatent.display import map_layout, map_page
    from musiclatent.latents import store

    folder = space.path("latents")
    sound = folder / f"{experiment.name}-sound"  # where training took ready spectrograms
    latents = store.read_latents(sound if sound.exists() else folder / experiment.name, run=run)
    layout = map_layout.lay_out(latents, arguments.projection)
    page = map_page.write_page_of_items(
        arguments.html,
        layout.plane.points,
        items=layout.items,
        sr=plan.sr,
        title=f"{plan.title}: {experiment.name}",
        near=map_page.neighbours_of_rows(layout.vectors, layout.items),
        columns=layout.columns,
        folder=folder.parent,
    )
    _finish(arguments, page, layout)


def _finish(arguments: argparse.Namespace, page: Path, layout: "MapLayout") -> None:
    """Print where a page is and how large, and write the map for other tools where asked."""
    print(f"{page}: {page.stat().st_size / 1e6:.1f} MB")
    if arguments.parquet:
        from musiclatent.display.comparison import atlas

        path = atlas.write_parquet(
            arguments.parquet, layout.plane.points, layout.items, layout.vectors
        )
        print(f"to open it elsewhere: {atlas.OPEN.format(path=path)}")
