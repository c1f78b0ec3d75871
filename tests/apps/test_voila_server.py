import pytest

from musiclatent.apps.voila_server import is_odd


@pytest.mark.parametrize(
    "path",
    ["/%00", "/static/%0a", "/%ff%fe", "/voila/templates/a", "/voila/templates/a/static",
     "/dance/voila/templates/a", "/voila/files/..%2f..%2fetc", "/%1b[2J", "/a/../b"],
)  # fmt: skip
def test_addresses_that_lead_to_nothing(path):
    assert is_odd(path)


@pytest.mark.parametrize(
    "path",
    ["/", "/voila/static/a.js", "/voila/templates/lab/static/deep/a.js", "/api/kernels/1-2",
     "/static/%C3%BC.css", "/voila/render/a%20b.ipynb", "/a/voila/templates/b/static/c"],
)  # fmt: skip
def test_addresses_that_voila_answers(path):
    assert not is_odd(path)
