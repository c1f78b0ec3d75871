"""Vectors are kept by bytes and revision, and one bad file is set aside for the one encoder."""

import shutil
from dataclasses import dataclass

import numpy as np
import pytest
from helpers.encoders import Level, Moody

from musiclatent import audio
from musiclatent.errors import LatentsError
from musiclatent.evaluation.comparison import vectors
from musiclatent.evaluation.comparison.vectors import Vectors

SR = 8000


@dataclass
class Counted(Level):
    """Count how often it encodes."""

    calls = 0

    def encode(self, y):
        Counted.calls += 1
        return super().encode(y)


@pytest.fixture
def paths(tmp_path, rng):
    sounds = [0.1 * (i + 1) * rng.standard_normal(SR * 2) / 4 for i in range(4)]
    files = [audio.write(tmp_path / f"{i}.wav", y, SR) for i, y in enumerate(sounds)]
    files.append(audio.write(tmp_path / "short.wav", sounds[0][:800], SR))
    (tmp_path / "broken.wav").write_bytes(b"RIFF no")
    return [str(path) for path in [*files, tmp_path / "broken.wav", tmp_path / "gone.wav"]]


def _measure(paths, store, *encoders, **options):
    find = {encoder.name: lambda encoder=encoder: encoder for encoder in encoders}
    return vectors.measure(find, paths, store, n_jobs=1, **options)


def test_what_is_kept_is_not_encoded_again(paths, tmp_path):
    Counted.calls = 0
    first = _measure(paths[:4], tmp_path / "s", Counted())["level"]
    assert Counted.calls == 4
    again = _measure(paths[:5], tmp_path / "s", Counted())["level"]
    assert Counted.calls == 5 and np.array_equal(first.z, again.z[:4])
    _measure(paths[:4], tmp_path / "s", Counted(revision="2"))
    assert Counted.calls == 9
    _measure(paths[:4], tmp_path / "s", Counted(), how="mean+deviation")
    assert Counted.calls == 13


def test_another_file_at_the_same_path_is_encoded_and_an_equal_one_is_not(paths, tmp_path):
    Counted.calls = 0
    _measure(paths[:2], tmp_path / "s", Counted())
    copy = tmp_path / "copy.wav"
    shutil.copy(paths[0], copy)
    audio.write(paths[1], np.full(SR, 0.5), SR)
    _measure([paths[0], paths[1], str(copy)], tmp_path / "s", Counted())
    assert Counted.calls == 3


def test_a_file_that_one_encoder_cannot_take_is_set_aside_for_that_one(paths, tmp_path):
    found = _measure(paths, tmp_path / "s", Level(), Moody())
    assert set(found["level"].reasons) == {5, 6} and set(found["moody"].reasons) == {4, 5, 6}
    assert list(found["level"].known) == [0, 1, 2, 3, 4]
    assert np.isnan(found["moody"].z[4]).all()
    table = vectors.quarantine(found, paths).set_index("path")
    assert table.loc[paths[5], "encoders"] == "level, moody"
    assert table.loc[paths[4], "encoders"] == "moody"
    words = "moody failed on 0.10 s of sound (RuntimeError: too short); mend its encode"
    assert words in table.loc[paths[4], "reason"]
    assert list(vectors.shared_rows(found)) == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (np.zeros((4, 2)), "float64, not float32"),
        (np.full((4, 2), np.nan, np.float32), "NaN or infinity"),
        (np.zeros((4, 3), np.float32), "rows of 3 numbers, not of 2"),
        (np.zeros((9, 2), np.float32), "9 rows of 2.00 s, not 4"),
    ],
)
def test_an_answer_that_breaks_the_contract_is_set_aside(paths, tmp_path, answer, words):
    @dataclass
    class Wrong(Level):
        def encode(self, y):
            return answer

    found = _measure(paths[:2], tmp_path / "s", Wrong())["level"]
    assert words in found.reasons[0] and "\n" not in found.reasons[0]


def test_only_the_middle_of_a_long_file_is_encoded(tmp_path, monkeypatch):
    monkeypatch.setattr(vectors, "LIMIT_S", 2.0)
    y = np.concatenate([np.zeros(SR), np.full(2 * SR, 0.5), np.zeros(SR)])
    path = audio.write(tmp_path / "long.wav", y, SR)
    z = _measure([str(path)], tmp_path / "s", Level())["level"].z[0]
    assert z[0] == pytest.approx(np.log10(0.25), abs=1e-3)


def test_scaled_rows_have_unit_variance_and_parts_that_count_the_same():
    z = np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32) * [1, 10, 1, 1]
    x = Vectors(z=z, widths=(1, 3)).scaled()
    np.testing.assert_allclose(x.var(axis=0), [1, 1 / 3, 1 / 3, 1 / 3], rtol=1e-5)
    part = Vectors(z=z, widths=(1, 3)).scaled(fit_on=np.arange(10))
    np.testing.assert_allclose(part[:10, 0].std(), 1, rtol=1e-5)


def test_a_table_that_is_none_and_too_few_files_are_one_sentence(paths, tmp_path):
    store = tmp_path / "s"
    _measure(paths[:1], store, Level())
    [table] = store.glob("*.sqlite")
    table.write_bytes(b"no table at all, and longer than a header of one hundred bytes" * 3)
    with pytest.raises(LatentsError, match="cannot be read as kept vectors .*; delete it"):
        _measure(paths[:1], store, Level())
    with pytest.raises(ValueError, match="0 encoders and 1 files"):
        _measure(paths[:1], store)
    table.unlink()
    with pytest.raises(ValueError, match="vectors of 1 files; compare two files or more"):
        vectors.shared_rows(_measure([paths[0], paths[5]], store, Level()))
