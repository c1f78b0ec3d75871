"""Encoders that nobody trained, beside the representations that they are made of."""

import numpy as np
import pytest
from helpers.signals import tone

from musiclatent import audio
from musiclatent.config import SR
from musiclatent.latents import representations
from musiclatent.latents.encoders import checker, contract
from musiclatent.latents.encoders.statistics import NAMES, Statistics


@pytest.mark.parametrize("name", NAMES)
def test_rows_are_those_of_the_representation(name, tmp_path):
    encoder = Statistics(name)
    y = tone(330, 40.0, sr=SR)
    path = audio.write(tmp_path / "a.wav", y, SR, subtype="FLOAT")
    z = contract.encode_file(encoder, path)
    assert z.shape == (1, encoder.dimensions)  # 10 s of the second window are too few
    measured = representations.measured(name).vector(path)
    np.testing.assert_allclose(contract.pool(z), measured, rtol=1e-5, atol=1e-5)
    assert sum(encoder.parts) == encoder.dimensions


def test_short_and_silent_sounds_have_a_row():
    for name in NAMES:
        for y in (np.zeros(SR, np.float32), tone(200, 0.3, sr=SR).astype(np.float32)):
            assert contract.encode_sound(Statistics(name), y).shape[0] == 1


def test_windows_can_be_shorter():
    y = tone(200, 12.0, sr=SR).astype(np.float32)
    assert contract.encode_sound(Statistics("mfcc", 6.0), y).shape == (2, 40)


def test_an_unknown_part_is_named():
    with pytest.raises(ValueError, match="no representation named 'loudness'"):
        Statistics("mfcc+loudness")


@pytest.mark.parametrize("name", NAMES)
def test_they_keep_the_contract(name):
    lines = list(checker.check(Statistics(name, 6.0)))
    assert all(line.passed for line in lines), "\n".join(map(str, lines))
