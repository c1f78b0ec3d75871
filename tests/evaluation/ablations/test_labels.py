"""Few labels with and without unlabelled windows, on a corpus of three labels."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from musiclatent.config import Workspace
from musiclatent.data.cache import Cached
from musiclatent.data.datamodules import CorpusDataModule
from musiclatent.evaluation import cross_validation
from musiclatent.evaluation.ablations import labels
from musiclatent.latents import encode
from musiclatent.studies import STUDIES
from musiclatent.training import fit

ROW = STUDIES["mel"].main()


@pytest.fixture
def data(tmp_path) -> CorpusDataModule:
    """Twenty recordings of each of two labels, two windows each; a quarter is the test part."""
    n = np.arange(80)
    items = pd.DataFrame({"item_id": [f"clip{i // 2}" for i in n], "start_s": 3.0 * (n % 2)})
    items["label"] = np.where(n // 2 % 2, "a", "b")
    items["split"] = np.where(n >= 60, "test", "train")
    items = items.assign(group=items["item_id"], row=n, key="", silent=False)
    data = CorpusDataModule(names=("x",), folder=tmp_path, root=tmp_path)
    data.cached = Cached(np.zeros((80, 4)), items, pd.DataFrame())
    return data


def test_unlabelled_windows_are_in_no_part_and_the_others_are_as_they_were(data):
    data.labelled = 0.2
    known = data.targets() >= 0
    labels.leave_unlabelled_out(data, 0.2)
    items = data.cached.items
    assert data.labelled == 1 and (data.targets() >= 0).all()
    assert set(items.loc[~known, "split"]) == {labels.LEFT_OUT}
    train = items["split"].eq("train")
    assert train.sum() == 12 and known[train].all()  # 3 of 15 recordings of each label
    assert items["split"].eq("test").sum() == 20 and len(data.rows("train")) == 12


def test_training_alone_takes_as_many_steps(data, monkeypatch):
    asked = {}

    def train(experiment, data, *, folder, epochs, seed):
        asked.update(folder=folder.name, epochs=epochs, seed=seed, n=len(data.rows("train")))

    monkeypatch.setattr(fit, "train_experiment", train)
    monkeypatch.setattr(encode, "encode_corpus", lambda *_: None)
    monkeypatch.setattr(labels.CorpusDataModule, "of_study", lambda *_, **__: data)
    space = Workspace(profile="real", study="mel")
    labels.train_alone(ROW, STUDIES["mel"], space=space, split="outer-1", labelled=0.2)
    assert asked == {"folder": "mel-crnn-6-outer-1-20%-alone", "epochs": 300, "seed": 1, "n": 12}


def test_what_unlabelled_windows_add_is_compared_over_recordings(monkeypatch):
    n = 100
    rows = pd.DataFrame({"item_id": [f"i{i}" for i in range(n)], "start_s": 0.0, "label": "a"})
    rows["group"] = rows["item_id"]
    alone = rows.assign(predicted=np.where(np.arange(n) < 40, "a", "b"))
    both = rows.assign(predicted=np.where(np.arange(n) < 70, "a", "b"))
    monkeypatch.setattr(labels, "train_alone", lambda *_, **__: SimpleNamespace())
    monkeypatch.setattr(cross_validation, "neighbour_predictions", lambda _: alone)
    said = {ROW.name: both.sample(frac=1, random_state=0)}
    monkeypatch.setattr(cross_validation, "evaluate_splits", lambda *_, **__: (None, said))
    table = labels.compare(
        ROW,
        replace(STUDIES["mel"]),
        space=Workspace(profile="real", study="mel"),
        splits=["outer-0"],
        shares=[0.1],
    )
    one = table.loc[0.1]
    assert one["alone"] == pytest.approx(0.4) and one["low"] < 0.4 < one["high"]
    assert one["difference"] == pytest.approx(0.3) and one["difference_low"] > 0.1
