"""A collection of dance tracks: cut once, asked in every way, mixed beat on beat."""

import dataclasses
import json
import os
import re
from pathlib import Path
from urllib.parse import unquote, urlsplit
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

from musiclatent import audio, studies
from musiclatent.analysis import clustering
from musiclatent.config import Workspace
from musiclatent.data import cache
from musiclatent.edm import (
    collection,
    mixdown,
    second_embeddings,
    section_views,
    sequencing,
    versions,
)
from musiclatent.errors import CheckpointError
from musiclatent.features import rhythm
from musiclatent.features.descriptors import Clipping, Descriptors
from musiclatent.features.tonal import Harmony
from musiclatent.latents import representations

STUDY = studies.study("edm", "tiny")
TRACKS = [f"tune0{tune}.version{version}" for tune in range(3) for version in range(2)]
SR = 22_050
TRACK = "{http://xspf.org/ns/0/}track"


@pytest.fixture(scope="module", autouse=True)
def here():
    """Work over files without processes of its own, which import torch anew each."""
    build, analyse = cache.build, rhythm.analyse_tracks
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            cache, "build", lambda *args, **options: build(*args, **options | {"n_jobs": 1})
        )
        patch.setattr(
            rhythm, "analyse_tracks", lambda paths, folder, **_: analyse(paths, folder, n_jobs=1)
        )
        yield


@pytest.fixture(scope="module")
def space(here, tmp_path_factory, rendered):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MUSICLATENT_HOME", str(tmp_path_factory.mktemp("home")))
        space = Workspace(profile="tiny", study="edm")
        rendered("dance", space.base / "corpora" / "demo-dance")
        yield space


@pytest.fixture(scope="module")
def tracks(space) -> collection.Collection:
    return collection.collect(STUDY, space)


@pytest.fixture(scope="module")
def mixed(tracks, space):
    path = space.base / "mix.flac"
    return *collection.mix(tracks, "classical", path=path), path


@pytest.fixture(scope="module")
def own_tracks(here, space):
    """A folder with a pause, a copy, silence, half a second, and a file that is no sound."""
    folder = space.base / "own"
    rng = np.random.default_rng(0)
    audible = 0.3 * rng.uniform(-1, 1, round(15 * SR)) * np.repeat([1, 0.2, 0.6], 5 * SR)
    paused = np.concatenate([audible, np.zeros(15 * SR), audible[: SR // 2]])
    loud = np.clip(2.4 * rng.uniform(-1, 1, 15 * SR), -1, 1)
    folder.mkdir(parents=True)
    sounds = {"a": paused, "copy of a": paused, "loud": loud, "silence": np.zeros(16 * SR)}
    sounds["short"] = audible[: SR // 2]
    for name, y in sounds.items():
        audio.write(folder / f"{name}.flac", y, SR)
    (folder / "broken.flac").write_bytes(b"no sound")
    return collection.collect(STUDY, Workspace(profile="tiny", study="edm", corpus=str(folder)))


def _stamps(space: Workspace) -> dict[Path, int]:
    """When the numbers of each cache were last written; their lists are written at every call."""
    files = [*space.path("cache").rglob("x.npy"), *space.path("rhythm").glob("*.json")]
    return {path: path.stat().st_mtime_ns for path in files}


# What is cut


def test_no_tune_is_lost(tracks):
    assert list(tracks.items["item_id"]) == TRACKS
    assert list(tracks.sections["item_id"].unique()) == TRACKS
    assert tracks.sections["group"].nunique() == 3 and tracks.usable.all()
    assert tracks.duplicates == {} and tracks.quarantine.empty
    for _, rows in tracks.sections.groupby("item_id"):
        assert rows["start_s"].tolist() == [0, 15, 30]
        assert rows["end_s"].tolist() == [15, 30, 40]
    assert tracks.positions.tolist() == [0, 1, 2] * 6
    assert (tracks.sections["clipped"] == 0).all()


def test_clipped_samples_are_counted(own_tracks, tracks):
    clipped = own_tracks.sections.set_index("item_id")["clipped"]
    assert clipped["a.flac"] == 0 and clipped["loud.flac"] > 0.1
    y = np.array([0.0, 1.0, -1.0, 0.998], np.float32)
    take = Clipping()
    assert take(y).tolist() == [0.5] and take(y).shape == take.shape
    assert take(0 * y).tolist() == [0]


def test_silence_scraps_copies_and_broken_files_are_out(own_tracks):
    assert own_tracks.duplicates == {"copy of a.flac": "a.flac"}
    assert [Path(path).name for path in own_tracks.quarantine["path"]] == ["broken.flac"]
    assert list(own_tracks.sections["item_id"]) == ["a.flac", "loud.flac"]
    assert own_tracks.sections["start_s"].tolist() == [0, 0] and own_tracks.positions.tolist() == [
        0,
        0,
    ]
    rows = own_tracks.all_sections[own_tracks.all_sections["item_id"] == "a.flac"]
    assert rows["silent"].tolist()[:2] == [False, True]
    assert own_tracks.all_sections.loc[
        own_tracks.all_sections["item_id"] == "silence.flac", "silent"
    ].all()
    assert "short.flac" in set(own_tracks.all_sections["item_id"])
    assert len(own_tracks.usable) == len(own_tracks.all_sections) and own_tracks.usable.sum() == 2


def test_a_folder_of_silence_is_refused(space):
    folder = space.base / "still"
    folder.mkdir(parents=True)
    audio.write(folder / "still.flac", np.zeros(2 * SR), SR)
    with pytest.raises(ValueError, match="all tracks are silent; name a folder with sound"):
        collection.collect(STUDY, Workspace(profile="tiny", study="edm", corpus=str(folder)))


def test_quiet_sections_are_not_loud(tracks):
    rows = tracks.not_quiet
    assert (rows["role"] != "quiet").all() and 0 < len(rows) <= len(tracks.sections)
    same = tracks.sections.iloc[rows["row"]]
    for column in ("item_id", "start_s"):
        assert rows[column].tolist() == same[column].tolist()
    assert set(rows["item_id"]) == set(TRACKS)


# What is annotated of the sections


def test_classical_numbers_are_standardised(tracks):
    z = tracks.vectors("classical")
    assert z.shape == (18, len(section_views.SEVENTEEN)) and z.dtype == np.float32
    np.testing.assert_allclose(z.mean(axis=0), 0, atol=1e-5)
    assert np.isin(z.std(axis=0).round(4), (0, 1)).all()


def test_sections_are_compared_by_what_represents_recordings(tracks):
    z = tracks.vectors("sound")
    usual = representations.measured(representations.DEFAULT)
    assert z.shape == (18, sum(usual.widths)) and z.dtype == np.float32
    np.testing.assert_allclose(z.mean(axis=0), 0, atol=1e-5)
    sizes = np.linalg.norm(z - z.mean(axis=0), axis=1)
    assert 0.5 < np.mean(sizes**2) / len(usual.widths) < 1.01  # each part counts 1


def test_numbers_that_do_not_exist_are_refused(tracks):
    with pytest.raises(CheckpointError, match="'tea'"):
        tracks.vectors("tea")


def test_labels_are_clusters_and_the_same_again(tracks):
    labels = tracks.labels("classical", 3)
    assert labels.shape == (18,) and set(labels) - {-1} == {0, 1, 2}
    np.testing.assert_array_equal(labels, tracks.labels("classical", 3))
    quiet = np.setdiff1d(np.arange(18), tracks.not_quiet["row"])
    np.testing.assert_array_equal(np.flatnonzero(labels == -1), quiet)


def test_labels_are_those_of_the_view_of_the_loud_sections(tracks):
    view, labels = section_views.classical_view(tracks.not_quiet), tracks.labels("classical", 3)
    rows = tracks.not_quiet["row"].to_numpy()[view.rows]
    np.testing.assert_allclose(tracks.vectors("classical")[rows], view.z, atol=1e-5)
    assert clustering.agreement(labels[rows], clustering.kmeans(view.z, 3))["adjusted_rand"] == 1


def test_versions_of_a_tune_agree_most(tracks):
    aligned = tracks.aligned()
    assert aligned.shape == (18, 18) and np.isfinite(aligned).all()
    found = versions.version_retrieval(tracks.sections, aligned)["right"].mean()
    assert found > 2 * versions.chance(tracks.sections)  # in other keys and half time, too


def test_tempo_and_beats_are_those_that_were_composed(tracks):
    table, beats, annotated = (
        tracks.rhythm_table(),
        tracks.rhythms(),
        collection.annotated_beats(tracks),
    )
    assert len(table) == len(tracks.sections) and set(beats) == set(annotated)
    tempo = tracks.items.set_index("item_id")["tempo"]
    apart = table.groupby("item_id")["tempo"].first() / tempo - 1
    assert apart.abs().max() < 0.005
    for path, times in annotated.items():
        inside = beats[path].beats_s[(beats[path].beats_s > 1) & (beats[path].beats_s < 38)]
        assert np.abs(inside[:, None] - times).min(axis=1).max() <= 0.025


def test_the_set_lies_beside_the_mix_with_a_cue_on_a_beat_where_each_track_comes_in(mixed, tracks):
    _, mix, path = mixed
    beats = tracks.rhythms()
    library = ElementTree.parse(path.with_suffix(".xml"))
    played = library.findall("COLLECTION/TRACK")
    assert [unquote(urlsplit(t.get("Location")).path) for t in played] == list(mix.tracks["path"])
    for row, track in zip(mix.tracks.itertuples(), played, strict=True):
        marks = {m.get("Name"): float(m.get("Start")) for m in track.findall("POSITION_MARK")}
        assert list(marks) == ["in", "in full", "out", "gone"]
        assert list(marks.values()) == sorted(marks.values())
        if row.matched:
            assert np.abs(beats[row.path].beats_s - marks["in"]).min() < 0.025
    listed = _places(path.with_suffix(".m3u8"))
    assert [name for name, _ in listed] == [Path(p).stem for p in mix.tracks["path"]]


def test_the_set_for_traktor_holds_the_cues_of_that_for_rekordbox(mixed):
    _, mix, path = mixed
    entries = ElementTree.parse(path.with_suffix(".nml")).findall("COLLECTION/ENTRY")
    assert [e.find("LOCATION").get("FILE") for e in entries] == [
        Path(track).name for track in mix.tracks["path"]
    ]
    marks = ElementTree.parse(path.with_suffix(".xml")).findall("COLLECTION/TRACK/POSITION_MARK")
    cues = [cue for e in entries for cue in e.findall("CUE_V2") if cue.get("TYPE") != "4"]
    written = [float(cue.get("START")) / 1000 for cue in cues]
    assert written == pytest.approx([float(mark.get("Start")) for mark in marks], abs=1e-3)


@pytest.mark.parametrize(("limit", "most"), [("MOST", 9), ("MANY", 1)])
def test_more_than_can_be_compared_is_mixed_in_parts(tracks, tmp_path, monkeypatch, limit, most):
    monkeypatch.setattr(sequencing, limit, most)
    route, mix = collection.mix(tracks, "classical", path=tmp_path / "mix.wav", beats=4)
    assert sorted(mix.tracks["path"]) == sorted(tracks.items["path"]) and not route.exact
    assert route.tracks["cost"].iloc[:-1].notna().all() and mix.path.exists()


def test_a_playlist_for_traktor_has_a_cue_at_each_section(tracks, tmp_path):
    rows = collection.playlist(tracks, "classical", path=tmp_path / "a.nml", kind="central", k=2)
    root = ElementTree.parse(tmp_path / "a.nml").getroot()
    listed = [key.get("KEY").split("/:")[-1] for key in root.iter("PRIMARYKEY")]
    assert listed == [Path(path).name for path in rows["path"]]
    cues = [cue for cue in root.iter("CUE_V2") if cue.get("TYPE") == "0"]
    starts = sorted(float(cue.get("START")) / 1000 for cue in cues)
    assert starts == pytest.approx(sorted(rows["start_s"]))
    assert len(root.findall("COLLECTION/ENTRY")) == rows["path"].nunique()


def test_tracks_are_cut_where_they_change(tracks):
    parts = tracks.structural_sections()
    assert list(parts["item_id"].unique()) == TRACKS
    for name, rows in parts.groupby("item_id"):
        assert rows["start_s"].iloc[0] == 0 and rows["start_s"].is_monotonic_increasing
        assert rows["path"].nunique() == 1 and name in rows["path"].iloc[0]
    score = collection.boundary_scores(tracks, parts)
    assert score["precision"] > 0.6 and score["recall"] > 0.25


def test_the_annotated_cut_scores_one_and_none_scores_nothing(tracks, own_tracks):
    annotated = tracks.items.set_index("item_id")["sections"].map(json.loads)
    exact = pd.DataFrame(
        [{"item_id": name, "start_s": s["start_s"]} for name, cut in annotated.items() for s in cut]
    )
    assert collection.boundary_scores(tracks, exact) == {"precision": 1, "recall": 1, "f": 1}
    moved = exact.assign(start_s=exact["start_s"] + 0.3)
    assert collection.boundary_scores(tracks, moved, window_s=0.2)["f"] < 0.1
    assert (
        collection.boundary_scores(own_tracks, exact) == {}
        and collection.annotated_beats(own_tracks) == {}
    )


# Playlists


def _places(path: Path) -> list[tuple[str, float]]:
    """Name and beginning of each entry of a playlist."""
    if path.suffix == ".m3u8":
        lines = path.read_text(encoding="utf-8").splitlines()
        starts = [float(line.split("=")[1]) for line in lines if "start-time" in line]
        names = [line for line in lines if not line.startswith("#")]
        return list(zip((Path(name).stem for name in names), starts, strict=True))
    places = []
    for track in ElementTree.parse(path).iter(TRACK):
        where = unquote(urlsplit(track.findtext("{*}location")).path)
        option = next(e.text for e in track.iter() if (e.text or "").startswith("start-time="))
        places.append((Path(where).stem, float(option.split("=")[1])))
        assert os.access(where, os.R_OK)
    return places


@pytest.mark.parametrize("suffix", [".xspf", ".m3u8"])
@pytest.mark.parametrize("kind", ["central", "cluster", "border", "anomalies", "neighbours"])
def test_every_kind_of_playlist_reads_back(tracks, tmp_path, kind, suffix):
    path = tmp_path / f"list{suffix}"
    choice = {"k": 3, "cluster": 1, "track": TRACKS[0], "at_s": 16.0}
    rows = collection.playlist(tracks, "classical", path=path, kind=kind, n=4, **choice)
    assert 0 < len(rows) <= 4 and rows["why"].astype(bool).all()
    assert _places(path) == list(zip(rows["item_id"], rows["start_s"], strict=True))


def test_a_playlist_of_a_cluster_holds_that_cluster(tracks, tmp_path):
    labels = tracks.labels("classical", 3)
    for kind in ("central", "cluster"):
        rows = collection.playlist(
            tracks, "classical", path=tmp_path / "x.xspf", kind=kind, n=18, k=3, cluster=2
        )
        assert sorted(rows.index) == np.flatnonzero(labels == 2).tolist()


def test_neighbours_leave_out_the_versions_of_the_tune(tracks, tmp_path):
    choice = {"track": TRACKS[2], "at_s": 15.0}
    rows = collection.playlist(
        tracks, "classical", path=tmp_path / "x.xspf", kind="neighbours", n=99, **choice
    )
    others = tracks.sections["group"].ne(tracks.sections["group"][7])
    assert sorted(rows.index) == np.flatnonzero(others).tolist()
    assert TRACKS[2] not in set(rows["item_id"])


@pytest.mark.parametrize(
    ("kind", "choice", "words"),
    [
        ("best", {}, "no kind of playlist named 'best'"),
        ("cluster", {"cluster": 9}, "cluster 9"),
        ("neighbours", {}, "there is no track ''"),
        ("neighbours", {"track": "tune9"}, "there is no track 'tune9' with sound"),
        ("neighbours", {"track": TRACKS[0], "at_s": 40.0}, "no section with sound at 40 s"),
        ("neighbours", {"track": TRACKS[0], "at_s": -1.0}, "no section with sound at -1 s"),
    ],
)
def test_playlists_of_what_does_not_exist_are_refused(tracks, tmp_path, kind, choice, words):
    with pytest.raises(ValueError, match=re.escape(words)):
        collection.playlist(tracks, "classical", path=tmp_path / "x.xspf", kind=kind, **choice)
    assert not any(tmp_path.iterdir())


# The mix


def test_a_mix_plays_every_track_once(mixed):
    route, rendered, path = mixed
    assert sorted(rendered.tracks["track"]) == TRACKS and rendered.quarantine.empty
    assert list(route.tracks["path"]) == list(rendered.tracks["path"])
    assert rendered.path == path and audio.info(path).seconds == pytest.approx(
        rendered.seconds, abs=0.01
    )
    sheet = path.with_suffix(".cue").read_text(encoding="utf-8")
    assert sheet.startswith('FILE "mix.flac" WAVE')
    assert re.findall(r'TITLE "(.*)"', sheet) == list(rendered.tracks["track"])


def test_annotated_beats_lie_on_each_other_in_matched_fades(tracks, mixed):
    _, rendered, _ = mixed
    apart = mixdown.beat_alignment(rendered, collection.annotated_beats(tracks))
    assert len(apart) == rendered.tracks["matched"].sum() >= 3
    assert apart["worst_ms"].max() <= 25


def test_a_mix_with_other_beats_is_refused(tracks, tmp_path):
    with pytest.raises(ValueError, match="a fade of 5 beats"):
        collection.mix(tracks, "classical", path=tmp_path / "mix.flac", beats=5)
    assert not any(tmp_path.iterdir())


def test_a_second_call_computes_nothing(tracks, mixed, space, monkeypatch):
    def refuse(*args):
        raise AssertionError("worked again")

    tracks.aligned()
    for transform in (Descriptors, Clipping, Harmony, representations.Sound):
        monkeypatch.setattr(transform, "__call__", refuse)
    before = _stamps(space)
    again = collection.collect(STUDY, space)
    pd.testing.assert_frame_equal(again.all_sections, tracks.all_sections)
    pd.testing.assert_frame_equal(again.rhythm_table(), tracks.rhythm_table())
    np.testing.assert_array_equal(again.harmony(), tracks.harmony())
    assert _stamps(space) == before and len(before) == 8 + 3


# Which numbers


@pytest.mark.parametrize(
    ("weights", "trained", "name"),
    [(True, True, "vggish"), (False, True, "mel-crnn"), (False, False, "classical")],
)
def test_the_usual_numbers_are_the_best_that_are_there(monkeypatch, space, weights, trained, name):
    from musiclatent.latents import pretrained

    monkeypatch.setattr(pretrained, "available", lambda root: weights)
    monkeypatch.setattr(second_embeddings, "is_trained", lambda name, space: trained)
    assert collection.default_vectors(space) == name


def test_few_sections_bear_few_clusters(tracks, caplog):
    most = len(tracks.not_quiet) // 2
    assert tracks.clusters(4) == 4 and tracks.clusters(99) == most
    assert f"bear {most} clusters" in caplog.text
    assert len(set(tracks.labels("classical", 99)) - {-1}) == most
    few = dataclasses.replace(tracks, all_sections=tracks.all_sections.head(3))
    with pytest.raises(ValueError, match="3 sections of 15 s are too few to cluster; give tracks"):
        few.clusters(2)
