"""The folder of a comparison: page, tables, pictures, maps and result files."""

import json

import numpy as np
import pandas as pd
import pytest

from musiclatent import audio
from musiclatent.apps import comparison
from musiclatent.evaluation.comparison.compare import Comparison
from musiclatent.evaluation.comparison.judged import Judged
from musiclatent.evaluation.comparison.vectors import Vectors

EVIL = "<script>window.bad = 1</script>"


@pytest.fixture
def found(tmp_path, rng) -> Comparison:
    z = rng.normal(size=(6, 4)).astype(np.float32)
    paths = [
        audio.write(tmp_path / f"{i}.wav", rng.uniform(-0.2, 0.2, 4000), 8000) for i in range(6)
    ]
    music = pd.DataFrame(
        {"path": map(str, paths), "title": [EVIL, *"bcdef"], "label": list("xxyyzz")}
    )
    table = pd.DataFrame({"mfcc": rng.random(6), "b": rng.random(6) + 1})
    keys = ("artist_map", "found_copies", "kept_gain 6", "kept_gain 20", "moved_key", "alike_key")
    about = {"question": "q", "dataset": "d", "split": "s"}
    ones = pd.DataFrame(1.0, index=list(table), columns=list(table))
    return Comparison(
        about={
            name: {"name": name, "revision": "1", "licence": "MIT", "note": EVIL} for name in table
        },
        judged=[Judged(key=key, values=table, units=np.arange(6), **about) for key in keys],
        figures={"mfcc": {"speed": 100.0}, "b": {"speed": 10.0}},
        cka=ones,
        shared=ones,
        damage=pd.DataFrame({"clean": [1.0, 1], "gain 6": [0.5, 1]}, index=list(table)),
        music=music,
        measured={name: Vectors(z=z, widths=(4,)) for name in table},
        quarantine=pd.DataFrame({"path": ["x.wav"], "reason": [EVIL], "encoders": ["b"]}),
        skipped=["speech is skipped: it is not there"],
    )


def test_everything_is_written_and_any_name_is_shown_as_text(found, tmp_path):
    out = tmp_path / "out"
    page = comparison.write(found, out, tmp_path / "store")
    text = page.read_text()
    assert page == out / "comparison.html" and EVIL not in text and "speech is skipped" in text
    assert text.count("data:image/png") == len(list((out / "figures").iterdir())) >= 7
    table = pd.read_csv(out / "table.csv", index_col="encoder")
    assert list(table.index) == ["mfcc", "b"] and {"artist_map_low", "speed"} <= set(table)
    assert pd.read_csv(out / "differences.csv").set_index("key").loc["artist_map", "higher"] == 1
    result = json.loads((out / "results" / "b" / "1" / "artist_map.json").read_text())
    assert result["scores"]["test"][0]["main_score"] == pytest.approx(table.loc["b", "artist_map"])
    maps = (out / "maps.html").read_text()
    assert "are shared" in maps and EVIL not in maps
    assert 'href="maps.html"' in text


def test_one_encoder_alone_has_no_maps(found, tmp_path):
    alone = {"b": found.measured["b"]}
    only = Comparison(**{**vars(found), "measured": alone, "about": {"b": found.about["b"]}})
    page = comparison.write(only, tmp_path / "out", tmp_path / "store")
    assert not (tmp_path / "out" / "maps.html").exists() and "maps.html" not in page.read_text()


def test_a_map_shows_the_middle_of_each_file(tmp_path):
    long = audio.write(tmp_path / "long.wav", np.zeros(8000 * 20), 8000)
    short = audio.write(tmp_path / "short.wav", np.zeros(8000), 8000)
    items = comparison.map_items(
        pd.DataFrame({"path": [str(long), str(short)], "title": ["a", "b"]})
    )
    assert items["start_s"].tolist() == [6, 0] and items["end_s"].tolist() == [14, 1]
