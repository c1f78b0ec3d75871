import inspect
import pickle

import pytest

from musiclatent import errors
from musiclatent.errors import (
    _CONVERT,
    AudioError,
    FetchError,
    MusicLatentError,
    first_line,
    one_line,
    plain_errors,
    printable,
)

CHILDREN = [
    child
    for _, child in inspect.getmembers(errors, inspect.isclass)
    if issubclass(child, MusicLatentError) and child is not MusicLatentError
]


@pytest.mark.parametrize("child", CHILDREN)
def test_each_is_caught_as_ours_and_as_what_it_was(child):
    assert issubclass(child, ValueError) != issubclass(child, RuntimeError)
    error = child("a.wav", "it is empty") if child is AudioError else child("it is empty")
    again = pickle.loads(pickle.dumps(error))  # noqa: S301 (what joblib does with it)
    assert type(again) is child
    assert str(again) == str(error)
    assert "it is empty" in str(error)


def test_there_are_eight():
    assert len(CHILDREN) == 8


def test_advice_is_the_message_without_the_file():
    error = AudioError("a.wav", "it is\nempty.", "get  it again")
    assert error.advice == "it is empty; get it again"
    assert str(error) == "a.wav: it is empty; get it again"
    assert AudioError("a.wav", "it is empty").advice.endswith("; " + _CONVERT)


def test_names_and_messages_become_one_line():
    assert printable("a b.wav") == "a b.wav"
    assert printable("a\nb.wav") == "'a\\nb.wav'"
    assert one_line("  two\n lines. ") == "two lines"
    assert one_line(ValueError("two\nlines")) == "two lines"
    assert first_line(ValueError("two\nlines")) == "two"
    assert first_line(ValueError("a" * 200)) == "a" * 120
    assert first_line(EOFError()) == "EOFError"


def test_what_the_system_reports_is_one_sentence(tmp_path):
    with plain_errors("there"):
        pass
    named = pytest.raises(FetchError, match=r"no\.txt: No such file or directory: check that")
    with named, plain_errors("there"):
        (tmp_path / "no.txt").read_text()
    with pytest.raises(FetchError, match=r"^there: full: check that"), plain_errors("there"):
        raise OSError("full")
    with pytest.raises(KeyError), plain_errors("there"):
        raise KeyError("not of the system")
