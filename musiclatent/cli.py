"""The command ``musiclatent``: the same work without make."""

import argparse
import logging
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from musiclatent import __version__, config, files
from musiclatent.config import PROFILES
from musiclatent.studies import STUDIES, study

if TYPE_CHECKING:
    import pandas as pd

    from musiclatent.edm.collection import Collection
    from musiclatent.training.run_folder import Run


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    top = argparse.ArgumentParser("musiclatent", description="Latent representations of music.")
    top.add_argument("--version", action="version", version=f"musiclatent {__version__}")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _data(commands)
    _reproduce(commands)
    _listen(commands)
    _dance(commands)
    board = commands.add_parser("dashboard", help="serve the dashboard of dance music as a page")
    board.add_argument("--profile", default="demo", help=", ".join(PROFILES))
    board.add_argument("--corpus", default="", help="a folder of your own music")
    board.add_argument("--results", default="results", help="folder (default: %(default)s)")
    board.add_argument("--host", default="127.0.0.1", help="address (default: %(default)s)")
    board.add_argument("--port", type=int, default=8866, help="TCP port (default: %(default)s)")
    board.set_defaults(run=_run_dashboard)
    colab = commands.add_parser("colab", help="write notebooks that run in Colab after upload")
    colab.add_argument("--out", default="results/colab", help="folder (default: %(default)s)")
    colab.set_defaults(run=_run_colab)
    return top


def _data(commands) -> None:
    """Add ``data fetch`` and ``data check``."""
    data = commands.add_parser("data", help="download a dataset, or check one")
    actions = data.add_subparsers(dest="action", required=True, metavar="fetch|check")
    for action, run in (("fetch", _run_fetch), ("check", _run_check)):
        sub = actions.add_parser(action)
        sub.add_argument("name", help="such as gtzan, fsdd, edm; see data/README.md")
        sub.set_defaults(run=run)


def _reproduce(commands) -> None:
    """Add ``reproduce`` and ``notebook``."""
    every = commands.add_parser("reproduce", help="run the notebooks of a study, then the report")
    one = commands.add_parser("notebook", help="run one notebook, then the report")
    one.add_argument("notebook", metavar="NAME", help="such as 21_mel_evaluation")
    for sub in (every, one):
        sub.add_argument("--study", default="all", help=f"{', '.join(STUDIES)} or all")
        sub.add_argument("--experiment", default="all", help="one row of a study, or all")
        sub.add_argument("--profile", default="demo", help=", ".join(PROFILES))
        sub.add_argument("--corpus", default="", help="a folder of your music; no labels needed")
        sub.add_argument("--results", default="results", help="folder (default: %(default)s)")
        sub.add_argument("--scheduler", default="", help="tcp://... of a Dask cluster")
        sub.set_defaults(run=_run_reproduce)
    every.set_defaults(notebook=None)


def _trained(commands, name: str, about: str) -> argparse.ArgumentParser:
    """Add a command that needs a trained experiment."""
    sub = commands.add_parser(name, help=about)
    sub.add_argument("--study", default="waveform", help=", ".join(STUDIES))
    sub.add_argument("--experiment", default="all", help="a trained row of the study")
    sub.add_argument("--profile", default="demo", help=", ".join(PROFILES))
    sub.add_argument("--corpus", default="", help="the folder of your own that it was trained on")
    sub.add_argument("--results", default="results", help="folder (default: %(default)s)")
    return sub


def _listen(commands) -> None:
    """Add ``encode``, ``similar``, ``explore``, ``classify`` and ``say``."""
    sub = _trained(commands, "encode", "encode audio files, rebuild them, place them")
    sub.add_argument("files", nargs="+", type=Path)
    sub.add_argument("--out", type=Path, default=Path("encoded"), help="folder of what is made")
    sub.set_defaults(run=_run_encode)
    sub = _trained(commands, "similar", "rank the tracks of a folder by likeness to a file")
    sub.add_argument("file", type=Path)
    sub.add_argument("--in", dest="music", type=Path, required=True, help="a folder of music")
    sub.add_argument("--out", type=Path, default=Path("similar"), help="folder of what is made")
    sub.set_defaults(run=_run_similar)
    sub = _trained(commands, "explore", "write a map of the latents that plays what you click")
    sub.add_argument("--html", type=Path, default=Path("map.html"), help="page to write")
    sub.add_argument("--projection", default="umap", choices=("umap", "pca", "tsne"))
    sub.set_defaults(run=_run_explore)
    sub = commands.add_parser("classify", help="name the genre of audio files along their length")
    sub.add_argument("files", nargs="+", type=Path)
    sub.add_argument("--profile", default="demo", help=", ".join(PROFILES))
    sub.add_argument("--results", default="results", help="folder (default: %(default)s)")
    sub.add_argument("--out", type=Path, default=Path("classified"), help="folder of what is made")
    sub.set_defaults(run=_run_classify)
    sub = _trained(commands, "say", "say digits that nobody recorded")
    sub.add_argument("labels", nargs="+", metavar="digit")
    sub.add_argument("--speaker", default="", help="as whom, such as theo; else anyone")
    sub.add_argument("--seed", type=int, default=config.SEED, help="another seed, another sound")
    sub.add_argument("--out", type=Path, default=Path("said.wav"), help="file to write")
    sub.set_defaults(run=_run_say, study="digits")


def _dance(commands) -> None:
    """Add ``playlist`` and ``mix``."""
    sub = commands.add_parser("playlist", help="write a playlist of sections of a folder of music")
    kinds = "central, cluster, border, anomalies or neighbours"
    sub.add_argument("--of", default="central", help=f"{kinds} (default: %(default)s)")
    sub.add_argument("--k", type=int, default=4, help="number of clusters (default: %(default)s)")
    sub.add_argument("--cluster", type=int, default=0, help="which of them, for central, cluster")
    sub.add_argument("--track", default="", help="whose neighbours, a file of the folder")
    sub.add_argument("--at", type=float, default=0.0, help="at which second of it")
    sub.add_argument("--n", type=int, default=20, help="sections at most (default: %(default)s)")
    sub.set_defaults(run=_run_playlist, out="playlist.xspf")
    mix = commands.add_parser("mix", help="render a folder of music as one mix, beat on beat")
    mix.add_argument("--beats", type=int, default=32, help="of a crossfade (default: %(default)s)")
    mix.set_defaults(run=_run_mix, out="mix.flac")
    for one in (sub, mix):
        one.add_argument("folder", help="a folder of music")
        name = one.get_default("out")
        one.add_argument("--out", type=Path, default=Path(name), help=f"file (default: {name})")
        numbers = "classical, mel-crnn, mel-cae or vggish; else the best that is there"
        one.add_argument("--numbers", default="", help=numbers)
        one.add_argument("--profile", default="", help="whose networks; else real, then demo")
        one.add_argument("--results", default="results", help="folder (default: %(default)s)")


def _run_fetch(arguments: argparse.Namespace) -> None:
    from musiclatent.data import download

    print(download.fetch(arguments.name, config.data_root()))


def _run_check(arguments: argparse.Namespace) -> None:
    from musiclatent.data import corpus

    problems = corpus.check(arguments.name, config.data_root())
    if len(problems):
        raise ValueError(f"{problems.to_string(index=False)}\n{len(problems)} problems")
    print(f"{arguments.name}: nothing is missing or broken")


def _run_reproduce(arguments: argparse.Namespace) -> None:
    from musiclatent.apps import notebooks

    notebooks.reproduce(
        arguments.study,
        notebook=arguments.notebook,
        experiment=arguments.experiment,
        profile=arguments.profile,
        corpus=arguments.corpus,
        results=arguments.results,
        scheduler=arguments.scheduler,
    )


def _space(arguments: argparse.Namespace) -> "tuple[Study, config.Workspace, Run]":
    """Find the trained experiment that a command works with."""
    plan = study(arguments.study, arguments.profile)
    if not plan.has_encoder:
        raise ValueError(f"the study {plan.name} has no model that encodes; take waveform")
    experiment = plan.main(arguments.experiment)
    from musiclatent.training import run_folder  # torch takes seconds: after what can go wrong

    corpus = str(Path(arguments.corpus).expanduser().resolve()) if arguments.corpus else ""
    space = config.Workspace(arguments.profile, plan.name, corpus, arguments.results)
    return plan, space, run_folder.read_run(experiment, space.path("checkpoints", experiment.name))


def _set_aside(quarantine: "pd.DataFrame") -> None:
    """Name the files that could not be read."""
    for path, reason in quarantine.itertuples(index=False):
        print(f"set aside: {path}: {reason}", file=sys.stderr)


def _run_encode(arguments: argparse.Namespace) -> None:
    plan, space, run = _space(arguments)
    from musiclatent.apps import new_music
    from musiclatent.latents.store import read_latents

    folder = space.path("latents", run.experiment.name)
    training = read_latents(folder, run=run) if folder.exists() else None
    table, quarantine = new_music.encode_own_files(
        run, plan, arguments.files, arguments.out, training
    )
    _set_aside(quarantine)
    print(table.drop(columns="path").to_string(index=False))
    print(f"{len(table)} files encoded into {arguments.out}")


def _run_similar(arguments: argparse.Namespace) -> None:
    plan, _, run = _space(arguments)
    from musiclatent.apps import new_music

    tracks, quarantine = new_music.similar(
        run, plan, arguments.file, arguments.music, arguments.out
    )
    _set_aside(quarantine)
    print(tracks.drop(columns="path").head(20).to_string(index=False))
    print(f"to listen: {arguments.out / 'similar.html'}")


def _run_classify(arguments: argparse.Namespace) -> None:
    plan = study("genre", arguments.profile)
    from musiclatent.apps import genre_timeline
    from musiclatent.evaluation import genre_networks

    space = config.Workspace(arguments.profile, plan.name, "", arguments.results)
    network = genre_networks.read_classifier(
        space.path(genre_networks.FINAL, plan.main().name), arguments.profile
    )
    table, quarantine = genre_timeline.classify_files(network, plan, arguments.files, arguments.out)
    _set_aside(quarantine)
    print(table.drop(columns="path").round(2).to_string(index=False))
    print(f"pictures and tables of the sections: {arguments.out}")


def _collection(arguments: argparse.Namespace) -> "tuple[Collection, str]":
    """Cut the tracks of a folder into sections; choose which numbers stand for them."""
    folder = Path(arguments.folder).expanduser().resolve()
    if not folder.is_dir():
        raise ValueError(f"{folder}: there is no such folder; name a folder of music")
    from musiclatent.edm import collection, second_embeddings

    def space(profile: str) -> config.Workspace:
        return config.Workspace(profile, "edm", str(folder), arguments.results)

    trained = second_embeddings.is_trained("mel-crnn", space("real"))
    chosen = space(arguments.profile or ("real" if trained else "demo"))
    config.profile(chosen.profile)
    found = collection.collect(study("edm", chosen.profile), chosen)
    _set_aside(found.quarantine)
    for copy, first in found.copies.items():
        print(f"left out: {copy} is the same as {first} in every section", file=sys.stderr)
    name = arguments.numbers or collection.default_vectors(chosen)
    print(f"sections are compared by {name}", file=sys.stderr)
    return found, name


def _run_playlist(arguments: argparse.Namespace) -> None:
    from musiclatent.edm import collection, playlist_files

    playlist_files.check_suffix(arguments.out)
    files.pick(dict.fromkeys(collection.KINDS), arguments.of, "kind of playlist")
    found, name = _collection(arguments)
    choice = {"k": arguments.k, "cluster": arguments.cluster}
    choice |= {"track": arguments.track, "at_s": arguments.at}
    rows = collection.playlist(found, name, arguments.out, arguments.of, arguments.n, **choice)
    print(rows[["item_id", "start_s", "why"]].to_string(index=False))
    print(f"{len(rows)} sections in {arguments.out}")


def _run_mix(arguments: argparse.Namespace) -> None:
    from musiclatent.edm import collection, mixdown

    mixdown.validate(arguments.out, arguments.beats)
    found, name = _collection(arguments)
    _, made = collection.mix(found, name, arguments.out, arguments.beats)
    _set_aside(made.quarantine)
    columns = ["track", "start_s", "fade_s", "rate", "note"]
    print(made.tracks[columns].round(3).to_string(index=False))
    print(f"{made.seconds / 60:.1f} minutes in {made.path}; its cue sheet lies beside it")


def _run_say(arguments: argparse.Namespace) -> None:
    plan, space, run = _space(arguments)
    import numpy as np

    from musiclatent import audio
    from musiclatent.data import datamodules
    from musiclatent.latents import class_sampler

    data = datamodules.CorpusDataModule.of_study(plan, space)
    voice = class_sampler.class_sampler(run, data, space.path("latents", run.experiment.name))
    sounds = [
        voice.sample(1, label, arguments.speaker, seed=arguments.seed + i)[1].sounds()[0]
        for i, label in enumerate(arguments.labels)
    ]
    print(audio.write(arguments.out, np.concatenate(sounds), plan.sr))


def _run_explore(arguments: argparse.Namespace) -> None:
    plan, space, run = _space(arguments)
    from musiclatent.display import map_page
    from musiclatent.display.map_layout import lay_out
    from musiclatent.display.map_page import neighbours_of_rows
    from musiclatent.latents.store import read_latents

    folder = space.path("latents")
    sound = folder / f"{run.experiment.name}-sound"  # where training took ready spectrograms
    known = read_latents(sound if sound.exists() else folder / run.experiment.name, run=run)
    shown, title = lay_out(known, arguments.projection), f"{plan.title}: {run.experiment.name}"
    near, more = (
        neighbours_of_rows(shown.vectors),
        {"columns": shown.columns, "folder": folder.parent},
    )
    points, target = shown.plane.points, arguments.html
    page = map_page.write_page_of_items(
        target, points, shown.items, plan.sr, title, near=near, **more
    )
    print(f"{page}: {page.stat().st_size / 1e6:.1f} MB")


def _run_dashboard(arguments: argparse.Namespace) -> None:
    from musiclatent.apps import voila

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # else Voila and its kernels live on
    place = {"host": arguments.host, "port": arguments.port}
    voila.dashboard(arguments.profile, arguments.results, arguments.corpus, **place)


def _run_colab(arguments: argparse.Namespace) -> None:
    from musiclatent.apps.colab import build

    home = config.home()
    for path in build(home / "notebooks", home / arguments.out, home):
        print(path)


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; what goes wrong is said in one sentence, with exit code 1."""
    arguments = parser().parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    for name in ("distributed", "papermill", "pytorch_lightning", "fsspec"):
        logging.getLogger(name).setLevel(logging.WARNING)
    try:
        arguments.run(arguments)
    except (ValueError, RuntimeError, OSError) as error:
        print(f"musiclatent: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("musiclatent: stopped; the same command goes on from here", file=sys.stderr)
        return 130
    return 0
