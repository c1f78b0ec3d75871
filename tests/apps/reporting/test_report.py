import json
import os
import re
import shutil
import subprocess

import matplotlib.pyplot as plt
import numpy as np
import pytest
from PIL import Image

from musiclatent import audio
from musiclatent.apps.listening import answers
from musiclatent.apps.reporting import report
from musiclatent.display import style
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
    for name in ("02_size_study", "02_<b>curves"):
        figure, _ = plt.subplots(figsize=(8, 2))
        style.caption(figure, "The <i>error</i> falls.")
        style.save_figure(figure, folder / "figures" / f"{name}.png")
        plt.close(figure)
    for name in ("02_window_1_original", "02_window_1_waveform-64"):
        audio.write(folder / "audio" / f"{name}.wav", 0.1 * np.ones(22_050), 22_050)
    return tmp_path


@pytest.fixture
def pages(base):
    """The first page and the one of the study, as text."""
    return report.write(base, "demo").read_text(), (base / "report" / "waveform.html").read_text()


def test_a_study_without_windows_says_what_it_was_judged_on(tmp_path):
    figures = {"accuracy_cnn": 0.5, "judged_on": "demo-music: outer-0"}
    write_json(tmp_path / "genre" / "metrics" / "53_genre_networks.json", figures)
    report.write(tmp_path, "demo")
    page = (tmp_path / "report" / "genre.html").read_text()
    assert "Judged on demo-music: outer-0." in page and "Corpora:" not in page


def test_the_papers_figure_stands_beside_ours():
    rows = report.rows(STUDIES["waveform"], METRICS)
    assert [row["name"] for row in rows] == ["waveform-64", "waveform-linear-64"]
    value = rows[0]["values"]["test_mse"]
    assert value == {"ours": 0.00169, "paper": 0.00338, "best": True}
    assert rows[1]["values"]["test_mse"] == {"ours": 0.0018, "paper": None, "best": False}
    alone = rows[0]["values"]["test_sisdr"]
    assert alone["ours"] == 9.5 and not alone["best"]  # of one row none is the best


def test_pages_need_nothing_beside_them_but_each_other(base, pages):
    for page in pages:
        assert "data:image/webp;base64," in page and "data:audio/mpeg;base64," in page
        for word in ('<link rel="style', "<script", 'src="http', "@import", "url("):
            assert word not in page
        assert "default-src 'none'; style-src 'unsafe-inline'; img-src data:" in page
        assert 'name="viewport"' in page and "prefers-color-scheme: dark" in page
    assert {path.name for path in base.iterdir()} == {"index.html", "report", "waveform"}
    first, study = pages
    assert 'href="report/waveform.html"' in first and 'href="../index.html"' in study
    assert "0.00169" in study and "0.00338" in study and "0.00338" in first
    assert "Corpora: demo-music. Split: group; seed 0" in study


def test_the_first_page_says_of_a_system_what_is_claimed_and_what_was_measured(pages):
    first, _ = pages
    assert "keep music listenable: test MSE 0.00338" in first
    assert "Test MSE 0.00169 with 64 channels" in first and "demo-music" in first
    assert first.count("<article") == 1 and first.count("<audio") == 2 and first.count("<img") == 1


def test_what_was_not_run_is_said_to_be_not_measured(base):
    (base / "waveform" / "metrics" / "02_train_autoencoders.json").unlink()
    assert "Not measured in this run." in report.write(base, "demo").read_text()


def test_every_picture_has_its_caption_and_its_words_for_those_who_do_not_see(pages):
    for page in pages:
        figures = re.findall(r'<figure class="picture">.*?</figure>', page, re.DOTALL)
        assert figures and len(figures) == page.count("<img")
        for figure in figures:
            assert "The &lt;i&gt;error&lt;/i&gt; falls.</figcaption>" in figure
            assert re.search(r'alt="[^"]+: The &lt;i&gt;error&lt;/i&gt; falls."', figure)
            assert 'loading="lazy"' in figure and re.search(r'width="\d+" height="\d+"', figure)
    assert "<b>curves" not in pages[1]


def test_embedded_results_are_marked_at_every_figure_and_real_ones_nowhere(base, pages):
    for page in pages:
        body = page.partition("<body>")[2]
        for block in re.findall(r"<figure.*?</figure>|<caption>.*?</caption>", body, re.DOTALL):
            assert '<span class="mark">embedded music</span>' in block
        assert "rendered by us" in body or "we render" in body
    real = report.write(base, "real").read_text() + (base / "report/waveform.html").read_text()
    assert "embedded music" not in real and "render" not in real.partition("<body>")[2]


def test_every_notebook_has_its_first_players(base):
    for number in ("02", "05"):
        for i in range(report.SOUNDS + 2):
            audio.write(base / "waveform" / "audio" / f"{number}_x{i:02}.wav", np.zeros(99), 22_050)
    report.write(base, "demo")
    page = (base / "report" / "waveform.html").read_text()
    assert page.count("<audio") == 2 * report.SOUNDS
    assert page.index("02 train autoencoders</h2>") < page.index("05 interpolate generate</h2>")


def test_pages_are_small(base):
    noise = np.random.default_rng(0).integers(256, size=(600, 1100, 3), dtype=np.uint8)
    folder = base / "waveform" / "figures"
    Image.fromarray(noise).save(folder / "05_0.png", compress_level=0)
    for i in range(1, 10):  # pictures of the worst kind, one of which is larger than ten of others
        shutil.copy(folder / "05_0.png", folder / f"05_{i}.png")
    first = report.write(base, "demo")
    assert first.stat().st_size < 1e6
    assert (base / "report" / "waveform.html").stat().st_size < 10e6


def test_a_page_is_made_again_only_where_something_changed(base, monkeypatch):
    first = report.write(base, "demo")
    os.utime(first, (0, 0))
    with monkeypatch.context() as patch:
        patch.setattr(report.media, "picture", lambda *_: 1 / 0)
        report.write(base, "demo")
    assert first.stat().st_mtime == 0
    write_json(base / "waveform" / "metrics" / "11.json", {"new_figure": 1.0})
    report.write(base, "demo")
    assert first.stat().st_mtime > 0
    assert "new_figure" in (base / "report" / "waveform.html").read_text()


def test_a_page_says_what_listeners_answered(base):
    for name in (answers.PAGE, answers.KEY):
        path = base / "waveform" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("question,kind,cluster,truth\nq-001,whole,0,True\n")
    report.write(base, "demo")
    page = base / "report" / "waveform.html"
    assert f"Judged by ear: {answers.NOBODY}" in page.read_text()
    content = {"rater": "Ann", "saved": "2026-01-01T00:00:00Z", "answers": {"q-001": True}}
    answers.store(base / "waveform", json.dumps(content).encode())
    report.write(base, "demo")
    assert "Judged by ear: 1 listener, 1 answer. Of what one would listen to: one rater" in (
        page.read_text()
    )


def test_a_skipped_study_has_its_line(base):
    (base / "mel").mkdir()
    (base / "mel" / report.FAILED).write_text(json.dumps({"reason": "skipped: get <it>"}))
    first = report.write(base, "real").read_text()
    for page in (first, (base / "report" / "mel.html").read_text()):
        assert "Not complete: skipped: get &lt;it&gt;" in page and "Mel-spectrogram" in page


def test_an_unknown_profile_is_refused(base):
    with pytest.raises(ValueError, match="no profile named 'x'"):
        report.write(base, "x")


def test_only_figures_that_a_study_has_are_columns(base):
    metrics = {"test_mse_crnn_6": 0.01, "test_knn_crnn_6": 0.6}
    rows = report.rows(STUDIES["mel"], metrics)
    assert list(rows[0]["values"]) == ["test_mse", "test_knn"]
    assert rows[0]["values"]["test_knn"]["paper"] == 0.81
    report.write(base, "demo")
    page = (base / "report" / "waveform.html").read_text()
    assert "<th>test SI-SDR (dB)</th>" in page and "neighbours</th>" not in page


def test_a_study_without_experiments_has_its_figures_beside_the_papers(tmp_path):
    found = report.compared(STUDIES["edm"], {"silhouette_classical": 0.356, "other": 1.0})
    assert list(found) == ["silhouette_classical"]
    assert found["silhouette_classical"] == {"ours": 0.356, "paper": 0.178}
    folder = tmp_path / "demo" / "edm" / "metrics"
    folder.mkdir(parents=True)
    (folder / "06.json").write_text('{"silhouette_classical": 0.356}')
    report.write(tmp_path / "demo", "demo")
    page = (tmp_path / "demo" / "report" / "edm.html").read_text()
    assert "silhouette_classical" in page and "paper 0.178" in page


def test_the_map_that_plays_is_linked_where_there_is_one(base):
    assert "map.html" not in report.write(base, "demo").read_text()
    (base / "waveform" / "map.html").touch()
    assert '<a href="waveform/map.html">' in report.write(base, "demo").read_text()
    assert '<a href="../waveform/map.html">' in (base / "report" / "waveform.html").read_text()


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
    assert content["missing"] == []
    expected = {"a": 72_141_184, "b": 0.123457, "text": "vote"}
    assert content["metrics"]["52_genre_classifiers"] == expected
    again = path.read_text()
    report.record(checkout / "real", ["genre"], checkout)  # that it is not committed is no change
    assert path.read_text() == again


def test_a_record_says_that_code_was_changed(checkout):
    (checkout / "musiclatent" / "code.py").write_text("2")
    (path,) = report.record(checkout / "real", ["genre"], checkout)
    assert json.loads(path.read_text())["commit"].endswith("-dirty")


def test_a_record_names_the_notebooks_that_were_not_run(checkout):
    metrics = checkout / "real" / "genre" / "metrics"
    (metrics / "53_genre_networks.json").unlink()
    (path,) = report.record(checkout / "real", ["genre"], checkout)
    content = json.loads(path.read_text())
    assert content["missing"] == ["53_genre_networks"]
    assert content["command"].startswith("make notebook PROFILE=real STUDY=genre NB=")
    assert set(content["metrics"]) == set(STUDIES["genre"].notebooks()) - {"53_genre_networks"}


def test_what_failed_or_was_not_run_is_not_recorded(checkout):
    folder = checkout / "real" / "genre"
    write_json(folder / report.FAILED, {"reason": "x"})
    with pytest.raises(ValueError, match="genre: the figures of a run that failed are missing"):
        report.record(checkout / "real", ["genre"], checkout)
    (folder / report.FAILED).unlink()
    words = "mel: the figures of all notebooks are missing; run: make reproduce PROFILE=real"
    with pytest.raises(ValueError, match=words):
        report.record(checkout / "real", ["genre", "mel"], checkout)
    assert not (checkout / "docs").exists()


def test_without_git_there_is_no_record(checkout):
    shutil.rmtree(checkout / ".git")
    with pytest.raises(RuntimeError, match="git names no commit"):
        report.record(checkout / "real", ["genre"], checkout)
