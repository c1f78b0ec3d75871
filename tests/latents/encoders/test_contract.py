"""What every encoder keeps to: the right answers pass, the wrong ones are named."""

from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from helpers.signals import tone

from musiclatent import audio
from musiclatent.errors import AudioError, LatentsError
from musiclatent.latents.encoders import contract


@dataclass
class Levels:
    """Rows of one number and its square: the mean level of half a second, four times a second."""

    name = "levels"
    sr = 1000
    window_s = 0.5
    hop_s = 0.25
    dimensions = 2
    licence = "MIT"
    revision = "1"

    def encode(self, y: np.ndarray) -> np.ndarray:
        level = np.abs(contract.cut(self, y)).mean(axis=1)
        return np.stack([level, level**2], axis=1)


def test_an_encoder_is_recognised_by_its_members():
    assert isinstance(Levels(), contract.FrameEncoder)
    assert not isinstance(SimpleNamespace(name="x"), contract.FrameEncoder)


@pytest.mark.parametrize(
    ("samples", "rows"), [(1, 1), (500, 1), (749, 1), (750, 2), (1000, 3), (60_000, 239)]
)
def test_rows_are_whole_windows(samples, rows):
    assert contract.expected_rows(Levels(), samples) == rows


def test_windows_stand_a_hop_apart_and_the_last_is_padded():
    y = np.arange(1, 1201, dtype=np.float32)
    cut = contract.cut(Levels(), y)
    np.testing.assert_array_equal(cut[:, 0], [1, 251, 501, 751])
    assert cut.shape == (4, 500) and cut[3, 449] == 1200 and not cut[3, 450:].any()
    assert len(contract.cut(Levels(), y[:1000])) == 3 and len(contract.cut(Levels(), y[:1125])) == 4
    np.testing.assert_array_equal(contract.cut(Levels(), y[:3])[0, :4], [1, 2, 3, 0])


def test_an_answer_that_keeps_the_contract_is_returned_as_it_is():
    z = contract.encode_sound(Levels(), np.full(1000, 0.5, np.float32))
    np.testing.assert_array_equal(z, [[0.5, 0.25]] * 3)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (torch.zeros(3, 2, requires_grad=True), "a tensor that needs grad; return z.detach"),
        (torch.zeros(3, 2), "a Tensor of shape (3, 2), not an array"),
        (np.zeros((3, 2)), "float64, not float32"),
        (np.zeros((3, 5), np.float32), "rows of 5 numbers, not of 2"),
        (np.zeros((5, 2), np.float32), "5 rows of 1.00 s, not 3"),
        (np.zeros((0, 2), np.float32), "0 rows"),
        (np.zeros((1, 3, 2), np.float32), "of shape (1, 3, 2), not an array (T, D)"),
        (np.full((3, 2), np.nan, np.float32), "NaN or infinity"),
        ([[0.0]], "a list, not an array"),
        (None, "a NoneType, not an array"),
    ],
)
def test_an_answer_that_breaks_the_contract_is_named(answer, reason):
    encoder = Levels()
    encoder.encode = lambda y: answer
    with pytest.raises(LatentsError, match="levels returned ") as caught:
        contract.encode_sound(encoder, np.zeros(1000, np.float32))
    assert reason in str(caught.value) and "\n" not in str(caught.value)


def test_one_row_more_or_less_is_allowed():
    encoder = Levels()
    for rows in (2, 4):
        encoder.encode = lambda y, rows=rows: np.zeros((rows, 2), np.float32)
        assert len(contract.encode_sound(encoder, np.zeros(1000, np.float32))) == rows


def test_a_file_is_read_at_the_rate_of_the_encoder(tmp_path):
    y = tone(100, 2.0, sr=8000)
    path = audio.write(tmp_path / "a.wav", y, 8000)
    z = contract.encode_file(Levels(), path)
    assert z.shape == (7, 2)
    np.testing.assert_allclose(z[3, 0], np.abs(y).mean(), rtol=0.05)  # five samples a period
    with pytest.raises(AudioError):
        contract.encode_file(Levels(), tmp_path / "b.wav")


def test_pooling_by_hand():
    z = np.float32([[1, 10], [3, 10]])
    np.testing.assert_array_equal(contract.pool(z), [2, 10])
    np.testing.assert_array_equal(contract.pool(z, "mean+deviation"), [2, 10, 1, 0])
    loud = contract.pool(z, "energy", energy=np.array([0.0, 1.0]))
    np.testing.assert_allclose(loud, [3, 10], rtol=1e-6)
    third = contract.pool(z, "energy", energy=np.array([4.0, 1.0]))
    np.testing.assert_allclose(third, [5 / 3, 10], rtol=1e-6)
    silent = contract.pool(z, "energy", energy=np.zeros(2))
    np.testing.assert_allclose(silent, [2, 10], rtol=1e-6)


@pytest.mark.parametrize(
    ("z", "how", "energy", "reason"),
    [
        (np.zeros((0, 2)), "mean", None, r"shape \(0, 2\)"),
        (np.zeros(3), "mean", None, r"shape \(3,\)"),
        (np.zeros((3, 2)), "max", None, "no pooling named 'max'; choose one of: mean"),
        (np.zeros((3, 2)), "energy", None, "one power each"),
        (np.zeros((3, 2)), "energy", np.ones(2), r"one power each; give \(3,\)"),
    ],
)
def test_pooling_refuses(z, how, energy, reason):
    with pytest.raises(ValueError, match=reason):
        contract.pool(z, how, energy=energy)


def test_energy_is_the_power_of_each_window():
    y = np.concatenate([np.zeros(500), np.full(500, 0.5)]).astype(np.float32)
    np.testing.assert_allclose(contract.row_energy(Levels(), y, 4), [0, 0.125, 0.25, 0.125])


def test_the_vector_of_a_file_is_its_pooled_rows(tmp_path):
    path = audio.write(tmp_path / "a.wav", np.repeat([0.0, 0.5], 1000), 1000, subtype="FLOAT")
    z = contract.encode_file(Levels(), path)
    np.testing.assert_array_equal(contract.file_vector(Levels(), path), contract.pool(z))
    loud = contract.file_vector(Levels(), path, "energy")
    assert loud[0] > contract.file_vector(Levels(), path)[0]
