"""Compare encoders: one table, its pictures, and a map of each beside the other."""

import argparse
import sys

from musiclatent import config


def compare(arguments: argparse.Namespace) -> None:
    """Compare encoders on the corpora that are there, or on a folder of music."""
    from musiclatent.evaluation.comparison import compare as comparison
    from musiclatent.evaluation.comparison import tasks

    find, about = comparison.find_encoders(arguments.models, arguments.results, arguments.pooling)
    store = config.home() / arguments.results / "compare"
    folder = arguments.music.expanduser().resolve() if arguments.music else None
    if folder:
        material = tasks.of_folder(folder, store)
    else:
        material = tasks.of_corpora(config.data_root(), store)
    brought = comparison.bring(arguments.models, material.music, folder, about)
    found = comparison.run(
        find, material, store, about=about, brought=brought, how=arguments.pooling
    )
    from musiclatent.apps import comparison as written  # pictures take seconds
    from musiclatent.evaluation.comparison import report

    page = written.write(found, arguments.out, store)
    for row in found.quarantine.itertuples():
        print(f"set aside: {row.path}: {row.reason} ({row.encoders})", file=sys.stderr)
    for sentence in found.skipped:
        print(sentence, file=sys.stderr)
    print(report.short_table(found.table()).T.to_string())
    print(*report.sentences(found.judged, found.baseline), sep="\n")
    print(f"to read: {page}")
