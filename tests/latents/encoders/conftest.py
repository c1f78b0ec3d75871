"""Encoders that are checked here are not asked how fast they are."""

import pytest

from musiclatent.latents.encoders import checker


@pytest.fixture(autouse=True)
def little_cost(monkeypatch):
    monkeypatch.setattr(checker, "COST_S", 1.0)
