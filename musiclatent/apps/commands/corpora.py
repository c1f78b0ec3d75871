"""Download, check, reproduce and record what the studies stand on."""

import argparse
import json
from pathlib import Path

from musiclatent import config, files
from musiclatent.apps.commands import messages
from musiclatent.studies import STUDIES, study


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
        print(messages.table(problems))
        raise ValueError(f"{arguments.name}: {len(problems)} problems, named above")
    print(f"{arguments.name}: nothing is missing or broken")


def reproduce(arguments: argparse.Namespace) -> None:
    """Run notebooks, then write the report."""
    config.profile(arguments.profile)
    if not (config.home() / "notebooks").is_dir():
        raise ValueError("the notebooks are in the checkout only; set MUSICLATENT_HOME to it")
    from musiclatent.apps.running import beforehand, notebooks

    plans = STUDIES.values() if arguments.study == "all" else [study(arguments.study)]
    corpus = str(Path(arguments.corpus).resolve()) if arguments.corpus else ""
    places = {"profile": arguments.profile, "corpus": corpus, "results": arguments.results}
    spaces = [config.Workspace(study=plan.name, **places) for plan in plans]
    if corpus and Path(corpus).is_dir():
        anew = arguments.notebook in (None, "01_preprocess")
        work, verbose = spaces[0].base / "corpora", arguments.verbose
        messages.passed_over(corpus, work=work, anew=anew, verbose=verbose)
        beforehand.require_enough(list(plans), spaces[0])
    for space in spaces:
        beforehand.sweep(space)
    names = ("notebook", "experiment", "profile", "corpus", "results", "scheduler")
    notebooks.reproduce(arguments.study, **{name: getattr(arguments, name) for name in names})


def record(arguments: argparse.Namespace) -> None:
    """Write the figures of a real run to docs/results."""
    from musiclatent.apps.reporting import report

    home = config.home()
    base = home / arguments.results / "real"
    names = STUDIES if arguments.study == "all" else [study(arguments.study).name]
    for path in report.record(base, list(names), home):
        missing = json.loads(path.read_text())["missing"]
        print(f"{path} (not run: {', '.join(missing)})" if missing else path)
