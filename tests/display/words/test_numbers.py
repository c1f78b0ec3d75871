import numpy as np
import pandas as pd
import pytest

from musiclatent.display.words import numbers


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0012345, "0.00123"),
        (0.5, "0.500"),
        (12.345, "12.3"),
        (999.5, "1000"),
        (1234.5, "1234"),
        (27_648, "27,648"),
        (-0.25, "-0.250"),
        (0, "0"),
        (1.5e-9, "1.50e-09"),
        (np.nan, "–"),
        (np.inf, "–"),
    ],
)
def test_a_number_has_three_significant_digits(value, text):
    assert numbers.short(value) == text


def test_words_are_joined_and_counted():
    assert numbers.listed([]) == "" and numbers.listed(["a"]) == "a"
    assert numbers.listed("abc") == "a, b and c"
    assert numbers.counted(1, "song") == "1 song" and numbers.counted(2000, "song") == "2,000 songs"
    assert numbers.counted(2, "family", "families") == "2 families"
    assert numbers.clock(65.9) == "1:05"
    assert numbers.percent(0.256) == "26 %"


def test_values_are_named():
    values = pd.Series({"a": 3.0, "b": 1.0, "c": 2.0})
    assert numbers.extremes(values, " dB") == "from 1.00 dB (b) to 3.00 dB (a)"
    assert numbers.extremes(values.iloc[:1]) == "3.00 (a)"
    assert numbers.valued(values, most=2) == "a 3.00 and b 1.00"
    row = {"accuracy": 0.5, "low": 0.4, "high": 0.6}
    assert numbers.interval(row) == "0.50 (0.40 to 0.60)"
