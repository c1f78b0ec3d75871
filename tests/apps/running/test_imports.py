import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from musiclatent.apps.running import imports

PLACE = imports.PACKAGE


def test_what_is_imported_counts_at_any_depth_and_inside_of_functions():
    code = "from musiclatent.apps import session"
    found = imports.files_of(code)
    assert {PLACE / "apps/session.py", PLACE / "display/style.py", PLACE / "config.py"} <= found
    assert PLACE / "training/fit.py" in found  # imported where a training begins
    assert PLACE / "models/vae.py" in found and PLACE / "display/edm.py" not in found
    assert PLACE / "__init__.py" in found and PLACE / "apps/__init__.py" in found


@pytest.mark.parametrize(
    "code",
    [
        "import musiclatent.display.edm",
        "from musiclatent.display import edm",
        "from musiclatent.display.edm import clusters",
        "def draw():\n    from musiclatent.display import edm as pictures",
    ],
)
def test_each_way_to_import_is_seen(code):
    assert PLACE / "display/edm.py" in imports.files_of(code)


def test_a_template_that_a_module_names_counts():
    found = imports.files_of("from musiclatent.display import map_page")
    assert PLACE / "display/static/map.js" in found
    assert PLACE / "profiles.toml" not in imports.files_of("from musiclatent import config")


def test_code_without_us_stands_on_nothing():
    assert imports.files_of("import numpy as np") == set()
    assert imports.digest("import numpy") == imports.digest("import pandas")
    assert imports.digest("from musiclatent import files") != imports.digest("import numpy")


def test_modules_are_named_as_they_are_imported():
    names = imports.modules_of("import numpy as np\nfrom musiclatent.audio import io")
    assert {"numpy", "soundfile", "musiclatent.audio", "musiclatent.audio.io"} <= set(names)
    assert "torch" not in names and not any(name.endswith("__init__") for name in names)
    assert names.index("musiclatent.audio.io") < names.index("numpy")


def test_the_code_of_a_notebook_is_its_cells_without_magic(tmp_path):
    cells = [
        {"cell_type": "markdown", "source": ["import nothing"]},
        {"cell_type": "code", "source": ["%matplotlib inline\n", "import json\n", "!ls"]},
        {"cell_type": "code", "source": "x = 1"},
    ]
    path = tmp_path / "a.ipynb"
    path.write_text(json.dumps({"cells": cells}))
    assert imports.code_of(path) == "import json\nx = 1"


def test_threads_may_read_code_at_the_same_time():
    deep = "x = " + "(" * 60 + "1" + ")" * 60 + "\nimport json\n" + "y = 1 + 2\n" * 2000
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(imports._words, [deep] * 16))
    assert found == [(frozenset({"json"}), frozenset())] * 16
