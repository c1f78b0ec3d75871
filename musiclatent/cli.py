"""The command ``musiclatent``: the same work without make."""

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from musiclatent import __version__, config
from musiclatent.config import PROFILES
from musiclatent.studies import STUDIES, study


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    top = argparse.ArgumentParser("musiclatent", description="Latent representations of music.")
    top.add_argument("--version", action="version", version=f"musiclatent {__version__}")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    _data(commands)
    _reproduce(commands)
    _encode(commands)
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
    """Add ``reproduce``."""
    sub = commands.add_parser("reproduce", help="run the notebooks of a study, then the report")
    sub.add_argument("--study", default="all", help=f"{', '.join(STUDIES)} or all")
    sub.add_argument("--experiment", default="all", help="one row of a study, or all")
    sub.add_argument("--profile", default="demo", help=", ".join(PROFILES))
    sub.add_argument("--corpus", default="", help="a folder of your own music; no labels needed")
    sub.add_argument("--results", default="results", help="folder (default: %(default)s)")
    sub.add_argument("--scheduler", default="", help="tcp://... of a Dask cluster, for many files")
    sub.set_defaults(run=_run_reproduce)


def _encode(commands) -> None:
    """Add ``encode``."""
    sub = commands.add_parser("encode", help="encode audio files of any length into latents")
    sub.add_argument("files", nargs="+", type=Path)
    sub.add_argument("--study", default="waveform", help=", ".join(STUDIES))
    sub.add_argument("--experiment", default="waveform-64", help="a trained row of the study")
    sub.add_argument("--profile", default="demo", help=", ".join(PROFILES))
    sub.add_argument("--results", default="results", help="folder (default: %(default)s)")
    sub.add_argument(
        "--out", type=Path, default=Path("latents"), help="folder of latents (default: %(default)s)"
    )
    sub.set_defaults(run=_run_encode)


def _run_fetch(arguments: argparse.Namespace) -> None:
    from musiclatent import fetch

    print(fetch.fetch(arguments.name, config.data_root()))


def _run_check(arguments: argparse.Namespace) -> None:
    from musiclatent import corpora

    problems = corpora.check(arguments.name, config.data_root())
    if len(problems):
        raise ValueError(f"{problems.to_string(index=False)}\n{len(problems)} problems")
    print(f"{arguments.name}: nothing is missing or broken")


def _run_reproduce(arguments: argparse.Namespace) -> None:
    from musiclatent.reproduce import reproduce

    reproduce(
        arguments.study,
        experiment=arguments.experiment,
        profile=arguments.profile,
        corpus=arguments.corpus,
        results=arguments.results,
        scheduler=arguments.scheduler,
    )


def _run_encode(arguments: argparse.Namespace) -> None:
    plan = study(arguments.study)
    experiment = plan.experiment(arguments.experiment)
    config.profile(arguments.profile)
    from musiclatent import latents, runs  # torch takes seconds: after what can go wrong

    space = config.Workspace(arguments.profile, plan.name, results=arguments.results)
    run = runs.read_run(experiment, space.folder("checkpoints", experiment.name))
    _, quarantine = latents.encode_files(run, plan, arguments.files, arguments.out)
    for path, reason in quarantine.items():
        print(f"set aside: {path}: {reason}", file=sys.stderr)
    n = len(arguments.files)
    print(f"{n - len(quarantine)} of {n} files encoded into {arguments.out}")


def _run_colab(arguments: argparse.Namespace) -> None:
    from musiclatent import colab

    home = config.home()
    for path in colab.build(home / "notebooks", home / arguments.out, home):
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
