"""Serve the dashboard and listening pages, and write the notebooks that run in Colab."""

import argparse
import signal
import sys

from musiclatent import config


def dashboard(arguments: argparse.Namespace) -> None:
    """Serve the dashboard of dance music."""
    from musiclatent.apps import voila

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # else Voila and its kernels live on
    place = (arguments.host, arguments.port, arguments.prefix)
    voila.dashboard(arguments.profile, arguments.results, arguments.corpus, *place)


def listen(arguments: argparse.Namespace) -> None:
    """Serve the listening pages, then write what listeners answered into the report."""
    from musiclatent.apps.listening import server
    from musiclatent.apps.reporting import report

    signal.signal(signal.SIGTERM, lambda *_: signal.raise_signal(signal.SIGINT))
    base = server.listen(arguments.profile, arguments.results, arguments.port)
    print(f"report: {report.write(base, arguments.profile)}")


def colab(arguments: argparse.Namespace) -> None:
    """Write notebooks that run in Colab."""
    from musiclatent.apps import colab

    home = config.home()
    for path in colab.build(home / "notebooks", home / (arguments.out or "results/colab"), home):
        print(path)
