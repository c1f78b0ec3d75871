"""Weights of others, which tests use where they were fetched."""

import pytest

from musiclatent.latents.encoders.packages import fetch


def need(package: str) -> None:
    """Skip a test whose weights were not fetched."""
    if reason := fetch.missing(package):
        pytest.skip(reason)
