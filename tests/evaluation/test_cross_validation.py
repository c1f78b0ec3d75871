"""Judging on data that the encoder never saw, on a tiny copy of the ready spectrograms."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch

from musiclatent import config
from musiclatent.analysis import projection, statistics
from musiclatent.config import Experiment, Training, Workspace
from musiclatent.data.datamodules import CorpusDataModule
from musiclatent.data.gtzan import GENRES
from musiclatent.evaluation import cross_validation, linear_probes
from musiclatent.latents.store import Latents
from musiclatent.studies import STUDIES
from musiclatent.training.fit import train_experiment

LABELS = np.array(GENRES)[[0, 1, 5]]  # blues, classical and jazz
ONE = Experiment(
    name="mel-tiny-1",
    study="mel",
    key="tiny_1",
    model="MelAutoencoder",
    options={
        "latent": 4,
        "channels": [4],
        "band_strides": [32],
        "time_strides": [16],
        "triplet_weight": 1.0,
    },
    about="Tiny; for tests.",
    training=Training(
        learning_rate=1e-2, batch_size=12, epoch_factor=1e-9, select="last", balanced=True
    ),
)
TWO = replace(ONE, name="mel-tiny-2", key="tiny_2", options=ONE.options | {"triplet_weight": 0.0})
STUDY = replace(STUDIES["mel"], experiments={"mel-tiny-1": ONE, "mel-tiny-2": TWO})


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """Spectrograms of three labels, each loud in bands of its own; pairs of one recording."""
    root = tmp_path_factory.mktemp("datasets")
    (root / "gtzan_excerpts").mkdir()
    rng, label = np.random.default_rng(0), np.repeat(LABELS, 20)
    mel = rng.normal(-60, 2, (60, 128, 130))
    for i, name in enumerate(LABELS):
        mel[label == name, 40 * i : 40 * (i + 1)] += 60
    np.savez(
        root / "gtzan_excerpts" / "mel3s.npz",
        mel=mel.astype(np.float16),
        label=label,
        clip=np.full(60, ""),
        group=np.arange(60) // 2,
        repeated_pairs=np.array([[0, 1]]),
    )
    return root


@pytest.fixture(scope="module")
def space(tmp_path_factory) -> Workspace:
    return Workspace(profile="real", study="mel", results=str(tmp_path_factory.mktemp("results")))


@pytest.fixture(autouse=True)
def _quick(root, monkeypatch):
    monkeypatch.setenv("MUSICLATENT_DATA", str(root))


def _encoded(n=12, spread=0.01, **columns) -> Latents:
    """Latents (B, 3, 4) in which each of three labels lies alone; half of them for the test."""
    code = np.arange(n) % 3
    still = np.random.default_rng(0).normal(0, spread, (n, 3, 1)) + np.eye(3)[code][:, :, None]
    z = still.repeat(4, axis=2)  # the same in each frame: nothing but the label varies
    items = pd.DataFrame({"label": LABELS[code], "silent": False, "start_s": 0.0})
    items["item_id"] = items["group"] = [f"clip{i}" for i in range(n)]
    items["split"] = np.where(np.arange(n) < n / 2, "train", "test")
    about = {"latent_shape": [3, 4], "input": "logmel"}
    return Latents(z.reshape(n, -1).astype(np.float32), items.assign(**columns), about)


def _with(encoded: Latents, rows, **columns) -> Latents:
    """The same with other values in some rows."""
    items = encoded.items.copy()
    for name, value in columns.items():
        items.loc[rows, name] = value
    return replace(encoded, items=items)


def test_perfect_embeddings_are_judged_perfect():
    found = cross_validation.score_embeddings(_encoded(72))
    for name in ("accuracy", "recall_at_1", "mean_average_precision", "v_measure"):
        assert found[name] == pytest.approx(1.0)
    assert found["silhouette"] > 0.9 and found["n"] == 36
    assert found["low"] == pytest.approx(statistics.wilson(1.0, 36)[0]) and found["high"] == 1
    said = cross_validation.neighbour_predictions(_encoded(72))
    assert len(said) == 36 and (said["label"] == said["predicted"]).all()


def test_embeddings_of_chance_are_judged_so():
    z = np.random.default_rng(1).normal(size=(300, 12)).astype(np.float32)
    found = cross_validation.score_embeddings(replace(_encoded(300), z=z))
    assert 0.2 < found["accuracy"] < 0.47 and abs(found["silhouette"]) < 0.3
    assert found["v_measure"] < 0.1


def test_labels_that_the_encoder_was_not_given_do_not_vote():
    encoded = _encoded(216, known=True)
    train = encoded.items["split"].eq("train")
    hidden = train & (np.arange(216) >= 36)
    wrong = _with(encoded, hidden, label=LABELS[0])
    assert (
        cross_validation.score_embeddings(wrong)["accuracy"] < 0.5
    )  # were they known, they would mislead
    unknown = _with(wrong, hidden, known=False)
    assert cross_validation.score_embeddings(unknown)["accuracy"] == 1
    for label in (LABELS[1], ""):
        assert cross_validation.score_embeddings(
            _with(unknown, hidden, label=label)
        ) == cross_validation.score_embeddings(unknown)


def test_neighbours_and_their_scale_come_from_known_training_rows_only():
    encoded = _with(_encoded(72, known=True), [30, 31, 32], known=False)
    far = replace(encoded, z=encoded.z.copy())
    far.z[30:33] = np.random.default_rng(0).normal(size=(3, 12))
    for part in (encoded, far):
        z, _, fitted, test = cross_validation._parts(part)
        assert fitted.sum() == 33 and test.sum() == 36 and not (fitted & test).any()
        np.testing.assert_allclose(z[fitted].mean(0), 0, atol=1e-6)
        np.testing.assert_allclose(z[fitted].std(0)[:3], 1, atol=1e-4)  # the means vary
        assert not z[fitted][:, 3:].any()  # deviations and steps do not
    assert cross_validation.score_embeddings(far) == cross_validation.score_embeddings(encoded)


def test_windows_without_sound_or_label_are_not_judged():
    encoded = _encoded(72)
    some = _with(_with(encoded, [40, 41], silent=True), [42], label="")
    assert (
        cross_validation.score_embeddings(some)["n"]
        == len(cross_validation.neighbour_predictions(some))
        == 33
    )


@pytest.mark.parametrize("part", ["train", "test"])
def test_a_part_without_labels_cannot_be_judged(part):
    encoded = _encoded(24)
    with pytest.raises(ValueError):
        cross_validation.score_embeddings(_with(encoded, encoded.items["split"].eq(part), label=""))


@pytest.fixture(scope="module")
def trained(root, space, monkeypatch_module):
    monkeypatch_module.setenv("MUSICLATENT_DATA", str(root))
    return {
        split: cross_validation.train_on_split(ONE, STUDY, space=space, split=split)
        for split in ("outer-0", "outer-1")
    }


@pytest.fixture(scope="module")
def monkeypatch_module():
    with pytest.MonkeyPatch.context() as patch:
        yield patch


def test_latents_of_a_fold_come_from_the_encoder_of_that_fold(trained, root, space):
    for split, (run, encoded) in trained.items():
        assert split in str(run.folder) and len(encoded.z) == 60
        sha256 = hashlib.sha256((run.folder / "model.safetensors").read_bytes()).hexdigest()
        assert encoded.provenance["checkpoint"] == sha256
        data = CorpusDataModule.of_study(STUDY, space, split=split)
        data.setup()
        x = torch.from_numpy(data.transform.model_input(np.array(data.cached.x)))[:, None]
        with torch.no_grad():
            z = run.load().encode(x).flatten(1).numpy()
        np.testing.assert_allclose(encoded.z, z, atol=1e-5)
    (_, first), (_, second) = trained.values()
    assert first.provenance["checkpoint"] != second.provenance["checkpoint"]
    assert first.items["item_id"].equals(second.items["item_id"])
    assert not np.allclose(first.z, second.z)


def test_a_fold_is_held_out_whole_and_its_number_is_the_seed(trained):
    for k, (run, encoded) in enumerate(trained.values()):
        items = encoded.items
        assert (items["split"].eq("test") == items["fold"].eq(k)).all()
        assert items.groupby("group")["split"].nunique().max() == 1
        assert set(items["split"]) == {"train", "test"} and items["known"].all()
        identity = json.loads((run.folder / "run.json").read_text())
        assert identity["seed"] == k and identity["epochs"] == 1
        assert identity["experiment"]["training"]["labelled"] == 1


def test_a_table_has_a_row_for_each_experiment_and_split(trained, space, monkeypatch):
    again = []
    fit = train_experiment
    monkeypatch.setattr(
        cross_validation.fit,
        "train_experiment",
        lambda *a, **k: again.append(fit(*a, **k)) or again[-1],
    )
    table, said = cross_validation.evaluate_splits(
        [ONE, TWO], STUDY, space=space, splits=["outer-0", "outer-1"]
    )
    assert [run.status for run in again] == ["reused", "reused", "trained", "trained"]
    about = table[["experiment", "split"]].agg(" ".join, axis=1).tolist()
    assert about == [f"mel-tiny-{i} outer-{k}" for i in (1, 2) for k in (0, 1)]
    assert (table["labelled"] == 1).all() and table["n"].tolist() == [12] * 4
    assert (table["accuracy"] == 1).all()  # each label is loud in its own bands
    for split, (_, encoded) in trained.items():
        row = table[(table["experiment"] == "mel-tiny-1") & (table["split"] == split)].iloc[0]
        assert row["silhouette"] == pytest.approx(
            cross_validation.score_embeddings(encoded)["silhouette"]
        )
    assert {name: len(rows) for name, rows in said.items()} == {"mel-tiny-1": 24, "mel-tiny-2": 24}


def test_fewer_labels_hide_recordings_from_encoder_and_neighbours(trained, space):
    run, encoded = cross_validation.train_on_split(
        ONE, STUDY, space=space, split="outer-0", labelled=0.25
    )
    assert "outer-0-25%" in str(run.folder)
    items = encoded.items
    train = items["split"].eq("train")
    assert items.loc[~train, "known"].all()
    assert items[train].groupby("group")["known"].nunique().max() == 1
    known = items[train & items["known"]].groupby("label")["group"].nunique()
    assert known.to_dict() == dict.fromkeys(LABELS, 2)  # a quarter of eight recordings
    assert cross_validation._parts(encoded)[2].sum() == 12
    assert trained["outer-0"][1].items["known"].all()  # what has all labels stays as it was


def test_a_summary_takes_means_over_splits_and_intervals_over_recordings():
    judged = pd.DataFrame(
        {
            "experiment": ["b", "b", "a", "a"],
            "split": ["outer-0", "outer-1"] * 2,
            "n": [30, 10, 30, 10],
            "accuracy": [0.4, 0.6, 1.0, 1.0],
            "recall_at_1": [0.2, 0.4, 1.0, 1.0],
        }
    )
    rows = pd.DataFrame({"label": "x", "group": np.arange(40) // 2})
    right = rows.assign(predicted=np.where(np.arange(40) // 2 % 2, "x", "y"))
    more = {"mean_average_precision": 0.3, "v_measure": 0.2, "silhouette": -0.1}
    found = cross_validation.summarise_splits(
        judged.assign(**more), {"b": right, "a": rows.assign(predicted="x")}
    )
    assert found.index.tolist() == ["b", "a"]  # as they came
    b, units = found.loc["b"], statistics.mean(np.arange(20) % 2)
    assert b["accuracy"] == pytest.approx(0.5) and b["sd"] == pytest.approx(0.1 * 2**0.5)
    assert b["recall_at_1"] == pytest.approx(0.3) and b["silhouette"] == pytest.approx(-0.1)
    assert (b["low"], b["high"]) == pytest.approx((units.low, units.high))
    assert found.loc["a", "sd"] == 0 and found.loc["a", "high"] == 1


def _answered(**right: list[bool]) -> pd.DataFrame:
    n = len(next(iter(right.values())))
    rows = pd.DataFrame({"item_id": [f"clip{i}" for i in range(n)], "start_s": 0.0})
    rows["group"] = rows["item_id"]
    return pd.concat([rows.assign(method=name, right=values) for name, values in right.items()])


def test_methods_are_compared_on_the_same_recordings():
    base = [True] * 60 + [False] * 40
    answered = _answered(base=base, same=base, better=[True] * 80 + [False] * 20)
    table = cross_validation.compare_methods(
        answered.sample(frac=1, random_state=0), reference="base"
    )
    assert table.index[0] == "better" and (table["n"] == 100).all()
    assert table.loc["better", "difference"] == pytest.approx(0.2)
    assert table.loc["better", "difference_low"] > 0.1 and table.loc["better", "p"] < 0.001
    for name in ("base", "same"):
        assert table.loc[name, ["difference", "difference_low", "difference_high"]].eq(0).all()
    with pytest.raises(ValueError, match="better judged other windows than base; judge the same"):
        cross_validation.compare_methods(answered.iloc[:-1], reference="base")


def test_what_neighbours_said_becomes_answers_by_method():
    rows = cross_validation.neighbour_predictions(_encoded(72))
    answered = cross_validation.answers({"mel-x": rows}, {"mel-x": "x"})
    assert set(answered["method"]) == {"knn_x", "knn_lda_x"} and len(answered) == 72
    assert answered["right"].all()


@pytest.mark.parametrize(("profile", "names"), [("real", 2), ("demo", 1)])
def test_an_embedding_is_chosen_on_some_folds_and_judged_on_others(
    profile, names, space, monkeypatch
):
    asked, space = [], replace(space, profile=profile)

    def embed(space, split, seeds, names=cross_validation.EMBEDDED):
        asked.append((split, tuple(seeds), tuple(names)))
        encoded = _encoded(72)
        data = SimpleNamespace(
            items=encoded.items,
            labels=encoded.items["label"].to_numpy(str),
            part=lambda name: encoded.items["split"].eq(name).to_numpy(),
        )
        noise = np.random.default_rng(0).standard_normal(encoded.z.shape)
        return {"recurrent": noise, "joint_descriptors": encoded.z}, data

    monkeypatch.setattr(cross_validation, "embeddings", embed)
    tried, best = cross_validation.best_embedding(
        space, chosen_on=["outer-3"], splits=["outer-0", "outer-1"]
    )
    assert tried["joint_descriptors"] == 1 > tried["recurrent"]
    assert (
        best["right"].all() and len(best) == 72 and set(best["embedding"]) == {"joint_descriptors"}
    )
    assert set(best["method"]) == {"knn_best_embedding"}
    seeds = config.profile(space.profile).seeds
    assert asked[0] == ("outer-3", (0,), cross_validation.EMBEDDED[-names:])
    assert asked[1:] == [(f"outer-{k}", seeds, ("genre-joint",)) for k in (0, 1)]


def test_shares_of_labels_are_averaged_over_splits(monkeypatch, space):
    def table(experiments, study, space, splits, labelled):
        rows = [{"experiment": e.name, "split": s} for e in experiments for s in splits]
        return pd.DataFrame(rows).assign(accuracy=[labelled, labelled / 2]), {}

    monkeypatch.setattr(cross_validation, "evaluate_splits", table)
    wanted = {0.1: 0.075, 0.5: 0.375, 1.0: 0.75}
    for profile, n in {"real": 3, "demo": 2}.items():
        where = {"space": replace(space, profile=profile), "splits": ["outer-0", "outer-1"]}
        found = cross_validation.fewer_labels(ONE, STUDY, **where)
        assert found.to_dict() == pytest.approx(dict(list(wanted.items())[-n:]))


def test_a_leak_shows_as_the_gap_between_two_protocols(monkeypatch, space):
    asked = []

    def train(experiment, study, space, split, labelled):
        asked.append(split)
        encoded = _encoded(72)
        if split.startswith("outer"):  # of the test part a half, or none, is told wrong
            encoded.z[36:72:2] = encoded.z[0 if split == "outer-0" else slice(36, 72, 2)]
        return None, encoded

    monkeypatch.setattr(cross_validation, "train_on_split", train)
    table = cross_validation.group_leakage([ONE], STUDY, space=space, folds=[0, 1]).set_index(
        "protocol"
    )
    assert asked == ["outer-0", "outer-1", "shuffled-0", "shuffled-1"]
    group, random = table.loc[f"{ONE.name} by_group"], table.loc[f"{ONE.name} random"]
    accuracy = (24 / 36 + 1) / 2  # a third of those moved lands where it belongs
    assert group["accuracy"] == pytest.approx(accuracy)
    assert group["sd"] == pytest.approx((1 - accuracy) * 2**0.5) and random["sd"] == 0
    assert random["accuracy"] == 1 and group["low"] < accuracy < group["high"] < 1
    assert (table["n_test"] == 72).all() and (table["seeds"] == 2).all()


def test_a_random_split_tears_recordings_apart_and_one_by_group_does_not(space):
    shuffled = CorpusDataModule.of_study(STUDY, space, split="shuffled-0").index().items
    assert shuffled.groupby("group")["split"].nunique().max() == 2
    grouped = CorpusDataModule.of_study(STUDY, space, split="outer-0").index().items
    assert grouped.groupby("group")["split"].nunique().max() == 1


def test_maps_are_fitted_without_the_held_out_part(trained, space, monkeypatch):
    fitted = []

    def umap(z, fit_on=None):  # the true one takes seconds to import
        fitted.append(fit_on)
        return projection.pca(z, fit_on=fit_on)

    monkeypatch.setattr(projection, "umap", umap)
    panels, labels, found = cross_validation.held_out_maps(
        [ONE, TWO], STUDY, space=space, split="outer-0"
    )
    items = trained["outer-0"][1].items
    held = items["split"].eq("test")
    assert all((rows == ~held).all() for rows in fitted) and len(fitted) == 2
    assert list(panels) == ["mel-tiny-1, held out", "mel-tiny-2, held out"]
    assert all(points.shape == (12, 2) for points in panels.values())
    assert labels.tolist() == items.loc[held, "label"].tolist()
    assert set(found) == {
        f"{name}_{key}"
        for name in ("trustworthiness", "classical_jazz_distance")
        for key in ("tiny_1", "tiny_2")
    }
    assert all(0 <= found[f"trustworthiness_{key}"] <= 1 for key in ("tiny_1", "tiny_2"))


def test_a_map_without_classical_and_jazz_has_no_distance(monkeypatch, space):
    encoded = _encoded(24, label="blues")
    monkeypatch.setattr(cross_validation, "train_on_split", lambda *_, **options: (None, encoded))
    monkeypatch.setattr(projection, "umap", lambda z, fit_on: projection.pca(z, fit_on=fit_on))
    assert list(cross_validation.held_out_maps([ONE], STUDY, space=space, split="outer-0")[2]) == [
        "trustworthiness_tiny_1"
    ]


def test_factors_are_probed_in_the_latents_of_the_fold(trained, space, monkeypatch):
    original = linear_probes.probe_corpus

    def few(study, space):
        """Return the clips of the profile tiny, rendered in this process."""
        return replace(original(study, replace(space, profile="tiny")), n_jobs=1)

    monkeypatch.setattr(linear_probes, "probe_corpus", few)
    table, metrics = linear_probes.probe_factors([ONE, TWO], STUDY, space=space, split="outer-0")
    latents = ["input", "mel-tiny-1", "mel-tiny-2"]
    assert list(table) == [*latents, "chance", "style_oracle", "control"]
    assert table.index.tolist() == list(linear_probes.FACTORS) and table.notna().all(axis=None)
    assert table.loc["style", "style_oracle"] == pytest.approx(1)
    assert table.loc["mode", "chance"] == 0.5 and metrics["probe_chance_style"] == 0.1
    for factor, score in table["mel-tiny-2"].items():
        name = f"probe_mel-tiny-2_{factor}"
        assert metrics[name] == score and metrics[f"{name}_low"] <= score
        assert metrics[f"{name}_control"] <= table.loc[factor, "control"]
