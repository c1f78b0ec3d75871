import numpy as np
import pytest
import soxr
from helpers.files import SR, coded, mp3, tune

from musiclatent.features import fingerprint
from musiclatent.features.copies import rips


@pytest.mark.parametrize("speed", [0.97, 1.01])
def test_a_rip_at_another_speed_is_the_same_recording(tmp_path, speed):
    y, other = tune(30, 7), tune(30 / speed, 8)
    fast = soxr.resample(y, SR, SR / speed)
    files = {"a.wav": coded(y, format="WAV"), "b.mp3": mp3(0.6 * fast)}
    files["c.wav"] = coded(other, format="WAV")
    paths = [tmp_path / name for name in files]
    for path, data in zip(paths, files.values(), strict=True):
        path.write_bytes(data)
    pairs = fingerprint.find_duplicates(paths)
    assert pairs[["a", "b"]].to_numpy().tolist() == [[0, 1]]


def test_the_course_of_the_level_is_the_same_at_any_speed():
    level = np.abs(np.random.default_rng(0).standard_normal(3000)).cumsum() % 7
    slow = np.interp(np.linspace(0, 2999, 3090), np.arange(3000), level)
    assert np.dot(rips.course(level), rips.course(slow)) / rips.BINS > 0.98
    assert not rips.course(np.ones(500)).any() and not rips.course(np.ones(1)).any()


def test_short_or_equally_long_recordings_are_not_compared():
    def refuse(i, speed):
        raise AssertionError(i)

    course = rips.course(np.arange(100.0))
    assert list(rips.other_speeds([course] * 3, [60.0, 60.1, 63.0], refuse)) == []
    assert list(rips.other_speeds([course] * 2, [10.0, 10.2], refuse)) == []
    assert list(rips.other_speeds([], [], refuse)) == []
