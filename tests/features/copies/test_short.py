import numpy as np
import pytest
from helpers.files import SR, coded, mp3, tune

from musiclatent.features import fingerprint
from musiclatent.features.copies.short import same_sounds


@pytest.mark.parametrize("seconds", [0.3, 1.0, 2.9])
def test_copies_of_short_sounds_are_found_and_others_are_not(tmp_path, seconds):
    paths = []
    for seed in range(5):
        y = tune(seconds, seed)
        forms = {"wav": coded(y, format="WAV"), "flac": coded(0.3 * y, format="FLAC")}
        for suffix, data in (forms | {"mp3": mp3(y)}).items():
            paths.append(tmp_path / f"{seed}.{suffix}")
            paths[-1].write_bytes(data)
    pairs = fingerprint.find_duplicates(paths, store=tmp_path / "store.parquet")
    groups = fingerprint.connected_groups(len(paths), pairs)
    assert groups.tolist() == np.repeat(range(5), 3).tolist()
    again = fingerprint.find_duplicates(paths, store=tmp_path / "store.parquet")
    assert again[["a", "b"]].equals(pairs[["a", "b"]])


def test_a_cut_is_found_where_it_begins():
    y = tune(2, 3)
    (a, b, score, lag), *more = same_sounds([y, -0.5 * y[441:], np.zeros(SR), np.zeros(0)])
    assert (a, b, lag, more) == (0, 1, 441, []) and score > 0.95


def test_nothing_is_the_same_as_nothing():
    assert same_sounds([]) == same_sounds([tune(1)]) == same_sounds([np.full(99, 0.1)] * 2) == []
