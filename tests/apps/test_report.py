import json
import os
import shutil
import subprocess

import matplotlib.pyplot as plt
import numpy as np
import pytest

from musiclatent import audio
from musiclatent.apps import report
from musiclatent.files import write_json
from musiclatent.studies import STUDIES

METRICS = {
    "test_mse_64": 0.00169,
    "validation_mse_64": 0.00328,
    "test_sisdr_64": 9.5,
    "test_mse_linear_64": 0.0018,
    "split": "group",
    "corpora": "demo-music",
    "seed": 0,
    "train_windows": 10,
    "validation_windows": 2,
    "test_windows": 2,
}


@pytest.fixture
def base(tmp_path):
    folder = tmp_path / "waveform"
    for name in ("metrics", "figures", "audio"):
        (folder / name).mkdir(parents=True)
    (folder / "metrics" / "02_train_autoencoders.json").write_text(json.dumps(METRICS))
    figure, _ = plt.subplots(figsize=(1, 1))
    figure.savefig(folder / "figures" / "02_<b>curves.png")
    plt.close(figure)
    audio.write(folder / "audio" / "02_a.wav", 0.1 * np.ones(22_050), 22_050)
    return tmp_path


def test_the_papers_figure_stands_beside_ours():
    rows = report.rows(STUDIES["waveform"], METRICS)
    assert [row["name"] for row in rows] == ["waveform-64", "waveform-linear-64"]
    value = rows[0]["values"]["test_mse"]
    assert value == {"ours": 0.00169, "paper": 0.00338}
    assert rows[1]["values"]["test_mse"]["paper"] is None


def test_the_page_needs_nothing_beside_it(base):
    page = report.write(base, "demo").read_text()
    assert "data:image/png;base64," in page and "data:audio/mpeg;base64," in page
    for word in ("<link", "<script", 'src="http', "@import"):
        assert word not in page
    assert 'name="viewport"' in page and "0.00169" in page and "0.00338" in page
    assert "&lt;b&gt;curves" in page and "<b>curves" not in page
    assert "Corpora: demo-music. Split: group; seed 0" in page and "rendered by us" in page
    assert "rendered by us" not in report.write(base, "real").read_text()
    assert [path.name for path in base.iterdir() if path.is_file()] == ["index.html"]


def test_every_notebook_has_its_first_players(base):
    for number in ("02", "05"):
        for i in range(report.SOUNDS + 2):
            audio.write(base / "waveform" / "audio" / f"{number}_x{i:02}.wav", np.zeros(99), 22_050)
    page = report.write(base, "demo").read_text()
    assert page.count("<audio") == 2 * report.SOUNDS


def test_a_skipped_study_has_its_line(base):
    (base / "mel").mkdir()
    (base / "mel" / report.FAILED).write_text(json.dumps({"reason": "skipped: get <it>"}))
    page = report.write(base, "real").read_text()
    assert "Not complete: skipped: get &lt;it&gt;" in page and "Mel-spectrogram" in page


def test_an_unknown_profile_is_refused(base):
    with pytest.raises(ValueError, match="no profile named 'x'"):
        report.write(base, "x")


def test_only_figures_that_a_study_has_are_columns(base):
    metrics = {"test_mse_crnn_6": 0.01, "test_knn_crnn_6": 0.6}
    rows = report.rows(STUDIES["mel"], metrics)
    assert list(rows[0]["values"]) == ["test_mse", "test_knn"]
    assert rows[0]["values"]["test_knn"]["paper"] == 0.81
    page = report.write(base, "demo").read_text()
    assert "<th>test SI-SDR (dB)</th>" in page and "neighbours</th>" not in page


def test_a_study_without_experiments_has_its_figures_beside_the_papers(tmp_path):
    found = report.compared(STUDIES["edm"], {"silhouette_classical": 0.356, "other": 1.0})
    assert list(found) == ["silhouette_classical"]
    assert found["silhouette_classical"] == {"ours": 0.356, "paper": 0.178}
    folder = tmp_path / "demo" / "edm" / "metrics"
    folder.mkdir(parents=True)
    (folder / "06.json").write_text('{"silhouette_classical": 0.356}')
    page = report.write(tmp_path / "demo", "demo").read_text()
    assert "silhouette_classical" in page and "paper 0.178" in page and "not built" not in page


def test_the_map_that_plays_is_linked_where_there_is_one(base):
    assert "map.html" not in report.write(base, "demo").read_text()
    (base / "waveform" / "map.html").touch()
    assert '<a href="waveform/map.html">' in report.write(base, "demo").read_text()


@pytest.fixture
def checkout(tmp_path):
    """A git repository, and in it the figures of a real run of one study."""
    git = ["git", "-c", "user.name=x", "-c", "user.email=x@x"]
    (tmp_path / "musiclatent").mkdir()
    (tmp_path / "musiclatent" / "code.py").write_text("1")
    for words in (["init", "-q"], ["add", "."], ["commit", "-qm", "x"]):
        subprocess.run([*git, *words], cwd=tmp_path, check=True)
    for book in STUDIES["genre"].notebooks():
        write_json(tmp_path / "real" / "genre" / "metrics" / f"{book}.json", {"book": book})
    return tmp_path


def test_a_record_holds_figures_commit_date_and_command(checkout):
    metrics = checkout / "real" / "genre" / "metrics"
    figures = {"b": 0.123456789, "a": 72_141_184, "text": "vote", "none": float("nan")}
    newest = write_json(metrics / "52_genre_classifiers.json", figures)
    os.utime(newest, (4e9, 4e9))  # 2096-10-02
    write_json(metrics / "99_gone.json", {"stale": 1})
    (path,) = report.record(checkout / "real", ["genre"], checkout)
    assert path == checkout / "docs" / "results" / "genre.json"
    content = json.loads(path.read_text())
    assert len(content["commit"]) == 40 and content["date"] == "2096-10-02"
    assert content["command"] == "make reproduce PROFILE=real STUDY=genre"
    assert list(content["metrics"]) == sorted(STUDIES["genre"].notebooks())
    expected = {"a": 72_141_184, "b": 0.123457, "text": "vote"}
    assert content["metrics"]["52_genre_classifiers"] == expected
    again = path.read_text()
    report.record(checkout / "real", ["genre"], checkout)  # that it is not committed is no change
    assert path.read_text() == again


def test_a_record_says_that_code_was_changed(checkout):
    (checkout / "musiclatent" / "code.py").write_text("2")
    (path,) = report.record(checkout / "real", ["genre"], checkout)
    assert json.loads(path.read_text())["commit"].endswith("-dirty")


def test_what_is_not_complete_is_not_recorded(checkout):
    folder = checkout / "real" / "genre"
    (folder / "metrics" / "53_genre_networks.json").unlink()
    words = "genre: the figures of 53_genre_networks are missing; run: make reproduce PROFILE=real"
    with pytest.raises(ValueError, match=words):
        report.record(checkout / "real", ["genre"], checkout)
    write_json(folder / "metrics" / "53_genre_networks.json", {})
    write_json(folder / report.FAILED, {"reason": "x"})
    with pytest.raises(ValueError, match="genre: the figures of a run that failed are missing"):
        report.record(checkout / "real", ["genre"], checkout)
    (folder / report.FAILED).unlink()
    with pytest.raises(ValueError, match="mel: the figures of 01_preprocess"):
        report.record(checkout / "real", ["genre", "mel"], checkout)
    assert not (checkout / "docs").exists()


def test_without_git_there_is_no_record(checkout):
    shutil.rmtree(checkout / ".git")
    with pytest.raises(RuntimeError, match="git names no commit"):
        report.record(checkout / "real", ["genre"], checkout)
