import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from musiclatent.analysis import clustering, soft_clustering
from musiclatent.display import edm, style
from musiclatent.edm import section_views, versions
from musiclatent.features import structure

ODD = "a $_$ b_{c\n№ é " + "x" * 200
SR, HOP = 22050, 512


@pytest.fixture(autouse=True)
def close():
    yield
    plt.close("all")


def _texts(labels) -> list[str]:
    return [label.get_text() for label in labels]


def _track(levels_db: list[float], hz: list[float], silent: bool = False) -> pd.DataFrame:
    start_s = 15.0 * np.arange(len(hz))
    rms = 10 ** (np.array(levels_db) / 20)
    columns = {"item_id": "a", "silent": silent, "start_s": start_s, "end_s": start_s + 15}
    return pd.DataFrame(columns | {"rms_mean": rms, "spectral_centroid_mean": hz})


def _sections(tracks: list[str], each: int = 3) -> pd.DataFrame:
    start_s = np.tile(15.0 * np.arange(each), len(tracks))
    return pd.DataFrame({"item_id": np.repeat(tracks, each), "start_s": start_s})


def _route(tracks: list[str]) -> pd.DataFrame:
    n = len(tracks)
    columns = {"track": tracks, "path": [f"/{name}" for name in tracks], "tempo": 124.6}
    columns |= {"entry_s": 15.0, "exit_s": 45.0, "cost": [*np.arange(1.0, n), np.nan]}
    columns["start_s"] = 30.0 * np.arange(n)
    entry = 3 * np.arange(n)
    return pd.DataFrame(columns | {"entry": [-1, *entry[1:]], "exit": [*entry[:-1] + 1, -1]})


def _mix(route: pd.DataFrame) -> pd.DataFrame:
    n = len(route)
    columns = {"start_s": 60.0 * np.arange(n), "fade_s": [0.0, *[15.0] * (n - 1)]}
    columns |= {"end_s": [*60.0 * np.arange(1, n) + 15, 60.0 * n], "beats": [0, *[32] * (n - 1)]}
    return route[["track", "path"]].assign(**columns)


def test_a_choice_has_a_bar_and_a_point_a_section_in_the_colour_of_its_role():
    table = structure.central_sections(_track([-10, -10.5, -17, -30], [1000, 1000, 1100, 900]))
    assert table["role"].tolist() == ["central", "central", "border", "quiet"]
    figure = edm.section_choice(table, [15.0, 65.0], title=ODD)
    left, right = figure.axes
    tops = [bar.get_y() + bar.get_height() for bar in left.patches]
    assert np.allclose(tops, table["level_db"])
    assert [bar.get_x() for bar in left.patches] == table["start_s"].tolist()
    points = right.collections[0]
    assert np.allclose(points.get_offsets(), table[["spectral_centroid_mean", "level_db"]])
    expected = [(*plt.matplotlib.colors.to_rgb(edm.ROLES[r]), 0.6) for r in table["role"]]
    assert np.allclose(points.get_facecolors(), expected)
    assert [bar.get_facecolor() for bar in left.patches] == [tuple(c) for c in expected]
    assert _texts(right.texts) == list("1234") and _texts(left.texts)[4:] == ["0:15", "1:05"]
    shown = _texts(figure.legends[0].texts)
    assert shown == ["central: 2", "border: 1", "quiet: 1", "10 dB below the loud level"]


def test_the_ellipse_is_where_central_sections_end(rng):
    track = _track(rng.normal(-12, 2, 60), 1500 * 2 ** rng.normal(0, 0.6, 60))
    table = structure.central_sections(track, spread=1.2)
    right = edm.section_choice(table, (), title="", spread=1.2).axes[1]
    ellipse = right.lines[0].get_path()
    inside = ellipse.contains_points(table[["spectral_centroid_mean", "level_db"]].to_numpy())
    assert (inside == table["chosen"])[table["role"] != "quiet"].all() and 0 < inside.sum() < 60
    quiet = right.lines[-1].get_ydata()[0]
    assert ((table["level_db"] < quiet) == (table["role"] == "quiet")).all()


def test_a_choice_of_silence_shows_what_is_kept(tmp_path):
    table = structure.central_sections(_track([-200, -110, -200], [0, 0, 0], silent=True))
    figure = edm.section_choice(table, [], title="silence")
    assert _texts(figure.legends[0].texts)[:3] == ["central: 1", "border: 0", "quiet: 2"]
    style.save_figure(figure, tmp_path / "a.png")


def test_an_hour_is_numbered_here_and_there():
    table = structure.central_sections(_track([-10.0] * 240, [1000.0] * 240))
    left, right = edm.section_choice(table, np.arange(30, 3600, 30.0), title="").axes
    assert len(right.texts) == 30 and len(left.patches) == 240 and len(left.texts) == 60


def test_a_choice_is_of_one_track():
    table = structure.central_sections(_track([-10, -11], [1000, 1000])).assign(item_id=["a", "b"])
    with pytest.raises(ValueError, match="rows of 2 tracks"):
        edm.section_choice(table, (), title="")
    with pytest.raises(ValueError, match="rows of 0 tracks"):
        edm.section_choice(table[:0], (), title="")


def test_clusters_have_colours_counts_and_centres(rng, tmp_path):
    points, labels = rng.normal(size=(60, 2)), np.repeat([-1, 0, 1], [10, 20, 30])
    figure = edm.clusters(
        points, labels, centres=points[:2], explained=[0.5, 0.25], title=f"\udc80{ODD}"
    )
    axis = figure.axes[0]
    shown = ["none: 10", "cluster 0: 20", "cluster 1: 30", "centre"]
    assert _texts(figure.legends[0].texts) == shown
    none, first, second, centres = axis.collections
    colors = {tuple(part.get_facecolor()[0][:3]) for part in (none, first, second)}
    assert len(colors) == 3 and (second.get_offsets() == points[30:]).all()
    assert (centres.get_offsets() == points[:2]).all()
    assert axis.get_xlabel() == "component 1: 50.0% of the variance"
    assert len(axis.get_title("left")) == 100
    style.save_figure(figure, tmp_path / "a.png")
    with pytest.raises(ValueError, match=r"points \(60, 2\) but 3 labels"):
        edm.clusters(points, labels[:3], centres=None, explained=None, title="")


def test_many_clusters_can_be_told_apart(rng):
    labels = np.arange(40) - 1
    axis = edm.clusters(
        rng.normal(size=(40, 2)), labels, centres=None, explained=None, title=""
    ).axes[0]
    looks = {
        (*part.get_facecolor()[0], part.get_paths()[0].vertices.tobytes())
        for part in axis.collections
    }
    assert len(looks) == 40 and axis.get_xlabel() == ""


def test_importances_name_each_column_once():
    names = [f"mfcc{i}" for i in range(25)]
    table = pd.DataFrame({"column": names, "importance": np.linspace(0.2, 0, 25)})
    figure = edm.importances(table.assign(**{"cluster 0": 0.1, "cluster 1": -0.3}))
    left, right = figure.axes[:2]
    assert _texts(left.get_yticklabels()) == names[:20] and not right.get_yticklabels()
    assert left.patches[0].get_width() == 0.2 and left.get_ylim() == right.get_ylim() == (20, 0)
    assert _texts(right.get_xticklabels()) == ["0", "1"]
    assert right.collections[0].get_clim() == (-0.3, 0.3)


def test_activations_stand_above_their_differences(rng):
    table = section_views.cluster_means(rng.normal(size=(50, 60)), np.arange(50) % 3)
    top, low = edm.cluster_means(table).axes[:2]
    values = top.collections[0].get_array().reshape(3, 40)
    assert np.allclose(values, table.iloc[:, :40])
    assert np.allclose(low.collections[0].get_array().reshape(3, 40), values - values.mean(axis=0))
    assert _texts(low.get_xticklabels()) == [str(name) for name in table.columns[:40]]
    assert top.get_ylabel() == low.get_ylabel() == "cluster"


def test_memberships_fill_each_section_of_the_softest_tracks(tmp_path):
    sections = _sections([*"abcdefghi", ODD])
    u = np.tile([0.9, 0.1], (30, 1))
    u[27:] = 0.5
    table = soft_clustering.membership_table(sections, u)
    figure = edm.memberships(table, ["one", "two"])
    assert len(figure.axes) == 8 and _texts(figure.legends[0].texts) == ["one", "two"]
    first = figure.axes[0]
    assert first.get_title("left").startswith("a $_$ b_{c № é") and "…" in first.get_title("left")
    assert [bar.get_height() for bar in first.patches] == [0.5] * 6
    assert [bar.get_y() for bar in first.patches] == [0] * 3 + [0.5] * 3
    assert {bar.get_width() for bar in first.patches} == {15}
    style.save_figure(figure, tmp_path / "a.png")
    with pytest.raises(ValueError, match="2 clusters but 3 labels"):
        edm.memberships(table, "abc")


def test_memberships_leave_silence_out_and_take_single_sections():
    sections = _sections(["a"], 4).iloc[[0, 1, 3]]
    table = soft_clustering.membership_table(sections, np.ones((3, 1)))
    bars = edm.memberships(table, ["all"]).axes[0].patches
    assert [(bar.get_x(), bar.get_width()) for bar in bars] == [(0, 15), (15, 15), (45, 15)]
    alone = edm.memberships(table[:1], ["all"]).axes[0].patches
    assert alone[0].get_width() == 1


def test_crossed_counts_are_written_on_shares_of_the_row():
    table = clustering.contingency(np.array([0, 0, 0, 0, 1]), np.array([0, 0, 0, 1, 1]))
    axis = edm.contingency(table, ("classical", "vggish")).axes[0]
    assert _texts(axis.texts) == ["3", "1", "0", "1"]
    assert axis.collections[0].get_array().ravel().tolist() == [0.75, 0.25, 0, 1]
    assert (axis.get_ylabel(), axis.get_xlabel()) == ("cluster, classical", "cluster, vggish")


def test_versions_have_a_row_a_view_with_its_interval_over_files(tmp_path):
    tested = pd.DataFrame({"item_id": ["a"] * 3 + ["b"], "right": [True, True, True, False]})
    table = versions.summarise_views({"one": tested, "other": tested}, "one")
    figure = edm.versions(table)
    axis = figure.axes[0]
    assert axis.lines[0].get_xdata().tolist() == [0.5, 0.5]
    assert axis.collections[0].get_segments()[0][:, 0].tolist() == [0, 1]
    assert _texts(axis.get_yticklabels())[0] == "one"
    style.save_figure(figure, tmp_path / "a.png")


def test_views_are_grouped_by_metric(tmp_path):
    rows = [("classical", "cosine", 0.3), ("classical", "euclidean", 0.2)]
    rows += [("vggish", "cosine", -0.1)]
    figure = edm.views(pd.DataFrame(rows, columns=["view", "metric", "silhouette"]))
    axis = figure.axes[0]
    assert sorted(bar.get_height() for bar in axis.patches if bar.get_width()) == [-0.1, 0.2, 0.3]
    assert axis.lines[-1].get_ydata()[0] == 0.178
    shown = ["cosine", "euclidean", "the paper, 17 descriptors of its tracks: 0.178"]
    assert sorted(_texts(figure.legends[0].texts)) == shown
    style.save_figure(figure, tmp_path / "a.png")


def test_a_part_is_marked_on_its_spectrogram_and_its_map(rng):
    x, cam = rng.normal(size=(64, 100)), rng.random((64, 100))
    bands_hz = np.geomspace(125, 7500, 64)
    panels = [("one $_$", x, cam, (0, 1)), ("two", x, cam, (0.25, 0.5))]
    figure = edm.saliency(panels, 16_000, hop_length=160, bands_hz=bands_hz)
    for axis in figure.axes[1], figure.axes[3]:
        assert axis.patches[0].get_x() == 0.25 and axis.patches[0].get_width() == 0.25
        assert axis.get_xlim() == (0, 1)
    ticks = figure.axes[0].get_yticks()
    assert np.allclose(
        np.interp(ticks, np.arange(64) + 0.5, bands_hz), 2.0 ** np.arange(8, 13), 0.01
    )
    assert _texts(edm.saliency(panels, SR, hop_length=HOP).axes[0].get_yticklabels())[-1] == "8192"
    with pytest.raises(ValueError, match="64 bands have 3 centres"):
        edm.saliency(panels, SR, hop_length=HOP, bands_hz=bands_hz[:3])


def test_a_path_leads_from_exit_to_entry(rng, tmp_path):
    tracks = ["a", ODD, "c"]
    points, sections, route = rng.normal(size=(9, 2)), _sections(tracks), _route(tracks)
    figure = edm.route(points, sections, route=route, labels=np.arange(9) % 2)
    axis, side = figure.axes
    ways = [line.get_xydata() for line in axis.lines]
    assert np.allclose(ways, points[[[0, 1], [3, 4], [6, 8]]])
    arrows = [text for text in axis.texts if not text.get_text()]
    assert [tuple(a.xyann) for a in arrows] == [tuple(points[1]), tuple(points[4])]
    assert np.allclose([a.xy for a in arrows], points[[3, 6]])
    listed = _texts(side.texts)
    assert listed[:3] == ["1", "0:00  a", "2"] and listed[3].startswith("0:30  a $_$")
    assert _texts(figure.legends[0].texts) == ["cluster 0: 5", "cluster 1: 4"]
    style.save_figure(figure, tmp_path / "a.png")


def test_a_path_ends_where_its_tracks_end_in_any_order_of_rows(rng):
    points, sections = rng.normal(size=(3, 2)), _sections(["a"]).iloc[::-1]
    figure = edm.route(points, sections, route=_route(["a"]), labels=None)
    assert np.allclose(figure.axes[0].lines[0].get_xydata(), points[[2, 0]])
    with pytest.raises(ValueError, match="lacks 'b'; give the sections that were ordered"):
        edm.route(points, sections, route=_route(["b"]), labels=None)
    with pytest.raises(ValueError, match="lacks 'a'"):
        edm.route(points[:2], sections, route=_route(["a"]), labels=None)


def test_a_mix_slopes_where_it_fades(tmp_path):
    route = _route(["a", ODD, "c"])
    figure = edm.mix(_mix(route).assign(beats=[0, 32, 0]), route)
    axis = figure.axes[0]
    bar, fade = axis.patches[2], axis.patches[3]
    assert np.allclose(bar.get_xy()[:4, 0], [1, 1.25, 2, 2.25])
    assert np.allclose(fade.get_xy()[:3], [[1, 1.4], [1.25, 0.6], [1.25, 1.4]])
    kinds = edm.FADES
    assert fade.get_facecolor()[:3] == kinds["beats matched"]
    assert axis.patches[5].get_facecolor()[:3] == kinds["plain crossfade"]
    assert _texts(axis.texts) == ["125", "  1.00 →", "125", "  2.00 →", "125"]
    assert axis.get_xlim() == (0, 3)
    style.save_figure(figure, tmp_path / "a.png")


def test_a_mix_knows_no_cost_where_a_track_was_left_out():
    route = _route(["a", "b", "c"]).assign(tempo=[np.nan, 120, 121])
    tracks = _mix(route).drop(index=1)
    assert _texts(edm.mix(tracks, route).axes[0].texts) == ["?", "121"]
