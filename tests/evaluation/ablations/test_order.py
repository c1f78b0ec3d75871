import numpy as np
import pandas as pd
import pytest
import torch

from musiclatent.config import Workspace
from musiclatent.evaluation import cross_validation
from musiclatent.evaluation.ablations import order
from musiclatent.latents import encode
from musiclatent.latents.store import Latents
from musiclatent.studies import STUDIES


def test_parts_move_as_they_are_and_what_is_left_over_stays():
    x = np.arange(2 * 3 * 13).reshape(2, 3, 13)
    moved = order.shuffle(x, length=4, seed=1)
    assert moved.shape == x.shape and (moved[..., 12] == x[..., 12]).all()
    firsts = moved[:, 0, :12:4] - x[:, :1, 0]
    assert (np.sort(firsts, axis=1) == [0, 4, 8]).all() and (firsts != [0, 4, 8]).any()
    assert (np.diff(moved[..., :12].reshape(2, 3, 3, 4), axis=3) == 1).all()
    assert (moved - moved[:, :1] == x - x[:, :1]).all()  # a frame stays whole


def test_each_has_an_order_of_its_own_and_the_same_seed_the_same():
    x = np.tile(np.arange(50.0), (3, 2, 1))
    moved = order.shuffle(x, length=1)
    assert len({tuple(row) for row in moved[:, 0]}) == 3
    assert np.array_equal(moved, order.shuffle(x, length=1))
    assert not np.array_equal(moved, order.shuffle(x, length=1, seed=1))


def test_no_part_is_refused():
    with pytest.raises(ValueError, match="a part of 0 frames cannot be moved"):
        order.shuffle(np.zeros((1, 2, 3)), length=0)


class _Late:
    """An encoder whose latent is where in time the sound lies: nothing but its order."""

    stride, device = 4, "cpu"

    def encode(self, x: torch.Tensor) -> torch.Tensor:
        return x[:, 0].mean(1)[:, ::10].unsqueeze(2)  # B x K x 1


def test_an_encoder_of_order_alone_loses_all_of_it(monkeypatch):
    labels = np.array(["a", "b"])[np.arange(80) % 2]
    x = np.zeros((80, 4, 40), np.float32)
    x[labels == "a", :, :20] = 1
    x[labels == "b", :, 20:] = 1
    x += np.random.default_rng(0).normal(0, 0.01, x.shape).astype(np.float32)
    items = pd.DataFrame({"item_id": [f"i{i}" for i in range(80)], "label": labels})
    items["split"] = np.where(np.arange(80) < 40, "train", "test")
    items = items.assign(start_s=0.0, group=items["item_id"], silent=False)
    z = _Late().encode(torch.from_numpy(x)[:, None]).flatten(1).numpy()
    encoded = Latents(z, items, {"latent_shape": [4, 1], "input": "logmel"})
    data = type("Data", (), {})()
    data.setup = lambda: None
    data.cached = type("Cached", (), {"x": x})
    data.transform = type("Transform", (), {"model_input": staticmethod(lambda x: x)})
    monkeypatch.setattr(order.CorpusDataModule, "of_study", lambda *_, **__: data)
    monkeypatch.setattr(cross_validation, "train_on_split", lambda *_, **__: (None, encoded))
    monkeypatch.setattr(encode, "load_model", lambda run: _Late())
    row = STUDIES["mel"].main()
    found = order.answers(
        [row],
        STUDIES["mel"],
        space=Workspace(profile="tiny", study="mel"),
        splits=["outer-0"],
        names={row.name: "crnn"},
    )
    right = found.groupby("method")["right"].mean()
    assert list(right.index) == ["knn_crnn", "knn_crnn_frames", "knn_crnn_parts"]
    assert right["knn_crnn"] == 1 and (right[1:] < 0.8).all()
    assert (found.groupby("method").size() == 40).all()
