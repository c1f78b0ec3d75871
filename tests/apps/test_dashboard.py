"""The dashboard: what it keeps, what it shows, and which row plays what."""

import html
import io
import json
from pathlib import Path

import matplotlib.image
import numpy as np
import pandas as pd
import pytest
from helpers import browser

from musiclatent import audio, studies
from musiclatent.apps import dashboard, dashboard_data
from musiclatent.config import Workspace
from musiclatent.edm import second_embeddings, section_views

SR = 22050
EVIL = "</script><b>x</b> $\\frac{ é.wav"
STUDY = studies.study("edm", "tiny")
K = 2


def _tables(folder: Path) -> dict[str, pd.DataFrame]:
    """Six sections of 2 s with two seconds each; the last section is quiet."""
    rng, paths = np.random.default_rng(0), []
    for i in range(3):
        y = 0.5 * np.sin(2 * np.pi * 110 * (i + 1) * np.arange(4 * SR) / SR)
        paths.append(str(audio.write(folder / f"{i}.wav", y, SR)))
    track = np.arange(6) // 2
    names = np.array(["a.wav", EVIL, "c.wav"], object)[track]
    sections = pd.DataFrame({"item_id": names, "path": np.array(paths)[track]})
    sections["start_s"] = 2.0 * (np.arange(6) % 2)
    sections = sections.assign(end_s=sections["start_s"] + 2, x=rng.normal(size=6), y=0.0)
    sections["cluster"] = [*["cluster 0", "cluster 1"] * 2, "cluster 0", dashboard_data.NONE]
    sections[["belongs to 0", "belongs to 1"]] = [0.75, 0.25]
    sections[[*section_views.SEVENTEEN, "tempo"]] = rng.normal(size=(6, 18))
    sections["network"] = [f"cluster {i}" for i in track % 2]
    seconds = sections.loc[np.arange(6).repeat(2), dashboard_data.PLACE].reset_index(drop=True)
    seconds["start_s"] += np.tile([0.0, 1.0], 6)
    seconds["end_s"] = seconds["start_s"] + 1
    seconds = seconds.assign(x=rng.normal(size=12), y=1.0, section=np.arange(6).repeat(2))
    return {"sections": sections, "seconds": seconds.assign(cluster=["cluster 0", "cluster 1"] * 6)}


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> dashboard_data.DashboardData:
    folder = tmp_path_factory.mktemp("dashboard")
    tables, rng = _tables(folder), np.random.default_rng(1)
    reasons = np.zeros((6, 17, K), np.float32)
    reasons[:, 3, 0], reasons[:, 5, 0] = 0.4, -0.1
    reasons[:, :, 1] = -reasons[:, :, 0]
    z = {"attributes": rng.normal(size=(6, 17)), "numbers": rng.normal(size=(12, 8))}
    picture = dashboard_data.png(
        dashboard.counted(pd.DataFrame({"a": [1], "b": [2]}, ["cluster 0"]))
    )
    pictures = dict.fromkeys(["cluster 0", "cluster 1"], picture)
    z |= {"reasons": reasons}
    return dashboard_data.DashboardData(
        name="mel-crnn", **tables, z=z, pictures=pictures, folder=folder, sr=SR
    )


@pytest.fixture(scope="module")
def board(data) -> dashboard.Dashboard:
    return dashboard.Dashboard(data)


# What is shown


def test_counts_and_comparison_are_of_the_sections(data):
    assert data.counts().to_dict() == {
        "attributes": {"cluster 0": 3, "cluster 1": 2, "none": 1},
        "mel-crnn": {"cluster 0": 4, "cluster 1": 2, "none": 0},
    }
    assert data.codes("cluster").tolist() == [0, 1, 0, 1, 0, -1]
    assert data.crossed().to_numpy().sum() == 5
    assert set(data.agreement()) == {"adjusted_rand", "normalised_mutual_information"}


def test_reasons_name_the_strongest_attribute_and_a_quiet_section(data):
    axis = dashboard.reasons(data, 0).axes[0]
    told = [label.get_text() for label in axis.get_yticklabels()]
    assert told[-1].startswith(section_views.SEVENTEEN[3].removesuffix("_mean") + " = ")
    assert axis.get_xlabel() == "added to the probability of cluster 0"
    assert [text.get_text() for text in axis.texts][-2:] == ["-0.10", "+0.40"]
    quiet = dashboard.reasons(data, 5).axes[0].get_xlabel()
    assert quiet == "added to the probability of cluster 0 (quiet, in none)"


def test_any_title_is_drawn_and_written_as_text(data, board):
    picture = dashboard_data.png(dashboard.reasons(data, 2))
    assert matplotlib.image.imread(io.BytesIO(picture), "png").shape[0] > 100
    board.choose(2)
    told = dashboard._text(f"{EVIL} <img>").value
    assert told == f"<p>{html.escape(f'{EVIL} <img>')}</p>" and "<img" not in told


# What plays


def test_every_row_plays_its_own_segment(board):
    for player, count, tracks in ((board.plane, 6, 2), (board.table, 6, 2), (board.network, 12, 4)):
        assert len(player.items) == count
        for i in range(count):
            assert browser.pitch_hz(player.of_row(i)) == pytest.approx(
                110 * (i // tracks + 1), rel=0.02
            )
    assert not board.table.offsets and board.plane.offsets  # sound is sent to the page once


def test_a_click_explains_the_section_and_lists_its_seconds(board):
    before = board.why.value
    board.plane.clicked = {"index": 3, "count": 1}
    assert board.why.value != before
    assert board.seconds.items["start_s"].tolist() == [2.0, 3.0]
    assert board.seconds.items["item_id"].unique().tolist() == [EVIL]
    assert browser.pitch_hz(board.seconds.of_row(1)) == pytest.approx(220, rel=0.02)
    board.network.clicked = {"index": 9, "count": 1}
    assert board.seconds.items["item_id"].unique().tolist() == ["c.wav"]
    assert "c.wav, 0:00" in board.seconds.table["title"]
    board.compared.clicked = {"index": 0, "count": 1}
    assert board.seconds.items["start_s"].tolist() == [0.0, 1.0]


def test_a_file_that_is_gone_is_a_sentence_without_its_path(board, data):
    lost = data.sections.assign(path="/secret/place/a.wav")
    table, answers = board._rows("Sections", lost, ["cluster"]), []
    table.send = lambda content, buffers=None: answers.append(content)
    table._handle_custom_msg({"ask": 0, "number": 1}, [])
    assert "refused" in answers[0] and "secret" not in str(answers)
    board.plane.send = lambda content, buffers=None: answers.append(content)
    board.plane._handle_custom_msg({"playlist": [0]}, [])
    assert answers[1] == {"said": "no playlists are written here"}


def test_a_row_of_the_table_is_marked_on_the_map(board):
    board.table.clicked = {"index": 4, "count": 7}
    assert board.plane.selected == [4]
    board.plane.clicked = {"index": 1, "count": 8}
    assert board.plane.selected == []
    board.plane.selected = [2, 3]
    board.table.clicked = {"index": 4, "count": 9}
    assert board.plane.selected == [2, 3]


def test_the_views_have_titles_and_what_can_colour(board):
    titles = [board.get_title(i) for i in range(3)]
    assert titles == ["Descriptors", "Network", "Comparison"]
    names = [column["name"] for column in board.plane.table["columns"]]
    assert names[:5] == ["cluster", "belongs to 0", "belongs to 1", "network", "item_id"]
    assert set(names) >= {"tempo", *section_views.SEVENTEEN}
    assert [column["name"] for column in board.compared.table["columns"]] == [
        "attributes",
        "network",
    ]


def test_no_file_name_leaves_the_kernel(board, data):
    for player in (board.plane, board.table, board.network, board.seconds, board.compared):
        assert str(data.folder) not in json.dumps(player.table)


# What is kept


def _embedded_by(name: str, space: Workspace, rows: int) -> None:
    """Leave the table of seconds as the notebook of embeddings does."""
    table = pd.DataFrame({"start_s": np.arange(float(rows)), "embedding": name})
    table.to_parquet(space.make("tables") / "parts.parquet")


@pytest.mark.parametrize("columns", [["start_s"], ["start_s", "embedding"], []])
def test_without_a_named_network_the_usual_one_is_taken(tmp_path, monkeypatch, columns):
    monkeypatch.setattr(second_embeddings, "default_embedding", lambda: "mel-crnn")
    space = Workspace(profile="tiny", study="edm", results=str(tmp_path))
    if columns:  # an older table names none, an empty one has no row that does
        pd.DataFrame(columns=columns).to_parquet(space.make("tables") / "parts.parquet")
    assert dashboard_data.chosen_network(space) == "mel-crnn"


def test_what_is_kept_is_made_again_where_a_table_or_k_changes(data, tmp_path, monkeypatch):
    made, space = [], Workspace(profile="tiny", study="edm", results=str(tmp_path))

    def make(study, space, k, name, folder):
        made.append((k, name))
        data.sections.to_parquet(folder / "sections.parquet")
        data.seconds.to_parquet(folder / "seconds.parquet")
        np.savez(folder / "z.npz", **data.z)
        for name, picture in data.pictures.items():
            (folder / f"{name}.png").write_bytes(picture)
        return ["sections.parquet", "z.npz", *(f"{name}.png" for name in data.pictures)]

    monkeypatch.setattr(dashboard_data, "_make", make)
    _embedded_by("mel-cae", space, rows=1)
    assert dashboard_data.dashboard_data(STUDY, space, K).name == "mel-cae"
    again = dashboard_data.dashboard_data(STUDY, space, K)
    pd.testing.assert_frame_equal(again.sections, data.sections)
    assert made == [(2, "mel-cae")] and again.pictures == data.pictures
    dashboard_data.dashboard_data(STUDY, space, 3)
    _embedded_by("mel-cae", space, rows=2)
    dashboard_data.dashboard_data(STUDY, space, 3)
    assert [k for k, _ in made] == [2, 3, 3]
    (space.path("dashboard") / "z.npz").unlink()  # everything under results may be deleted
    dashboard_data.dashboard_data(STUDY, space, 3)
    dashboard_data.dashboard_data(STUDY, space, 3)
    assert [k for k, _ in made] == [2, 3, 3, 3]


def test_a_run_that_was_killed_is_begun_again(tmp_path, monkeypatch):
    space = Workspace(profile="tiny", study="edm", results=str(tmp_path))
    _embedded_by("vggish", space, rows=1)
    (space.make("dashboard") / "kept.json").write_text('{"mark": "of older tables"}')
    monkeypatch.setattr(dashboard_data, "_make", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        dashboard_data.dashboard_data(STUDY, space, K)
    assert not (space.path("dashboard") / "kept.json").exists()
