"""Repeated recordings, found in the latents of a model of the chosen kind (A1)."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from musiclatent.analysis import duplicates

SR, HOP, KERNEL, MAPS, WINDOW_S = 8000, 256, 512, 16, 2.0
T = round(SR * WINDOW_S / HOP)
KINDS = ["exact", "gain", "codec", "offset"]


def song(seed: int, seconds: float = 12.5) -> np.ndarray:
    """Notes of random pitch, length and loudness over a little noise."""
    rng = np.random.default_rng(seed)
    t, y = np.arange(round(seconds * SR)) / SR, 1e-3 * rng.standard_normal(round(seconds * SR))
    start = 0.0
    while start < seconds:
        hz, length = 110 * 2 ** (rng.integers(36) / 12), rng.uniform(0.15, 0.6)
        on = (t >= start) & (t < start + length)
        note = np.sin(2 * np.pi * hz * t[on]) + 0.4 * np.sin(4 * np.pi * hz * t[on])
        y[on] += rng.uniform(0.05, 0.3) * note * np.exp(-3 * (t[on] - start))
        start += rng.uniform(0.1, 0.4)
    return y


def encode(y: np.ndarray) -> np.ndarray:
    """Strided products with fixed random kernels: an untrained model's convolution."""
    kernels = np.random.default_rng(99).standard_normal((MAPS, KERNEL)) * np.hanning(KERNEL)
    n = T * HOP
    windows = y[: len(y) // n * n].reshape(-1, n)
    padded = np.pad(windows, ((0, 0), (HOP // 2, HOP)))
    frames = np.lib.stride_tricks.sliding_window_view(padded, KERNEL, axis=1)[:, ::HOP][:, :T]
    return np.moveaxis(frames @ kernels.T, 1, 2).astype(np.float32)  # B x K x T


def latents(sounds: dict[str, np.ndarray]) -> SimpleNamespace:
    z = {name: encode(y) for name, y in sounds.items()}
    rows = [(name, i * WINDOW_S) for name, part in z.items() for i in range(len(part))]
    stacked = np.concatenate(list(z.values()))
    return SimpleNamespace(
        items=pd.DataFrame(rows, columns=["item_id", "start_s"]),
        provenance={"window_s": WINDOW_S, "latent_shape": [MAPS, T]},
        z=stacked.reshape(len(stacked), -1),
    )


def copy(y: np.ndarray, kind: str, rng: np.random.Generator) -> np.ndarray:
    if kind == "gain":
        return 0.3 * y
    if kind == "offset":
        return y[64 + int(rng.integers(0, 3000)) :]
    return y + (1e-3 * rng.standard_normal(len(y)) if kind == "codec" else 0)


@pytest.fixture(scope="module")
def corpus() -> tuple[dict[str, np.ndarray], pd.DataFrame]:
    """Thirty songs and two copies of each kind."""
    rng = np.random.default_rng(1)
    sounds = {f"song{i}": song(i) for i in range(30)}
    rows = [(name, "", "") for name in sounds]
    for i, kind in enumerate(2 * KINDS):
        sounds[f"copy{i}"] = copy(sounds[f"song{3 * i}"], kind, rng)
        rows.append((f"copy{i}", f"song{3 * i}", kind))
    items = pd.DataFrame(rows, columns=["item_id", "copy_of", "copy_kind"])
    items["group"] = items["copy_of"].where(items["copy_of"] != "", items["item_id"])
    return sounds, items


def test_every_kind_of_copy_is_found_and_nothing_else(corpus):
    sounds, items = corpus
    pairs = duplicates.find(latents(sounds))
    figures = duplicates.evaluate(pairs, items)
    wanted = {f"repetition_recall_{kind}": 1.0 for kind in KINDS} | {"repetition_precision": 1.0}
    assert figures == wanted
    assert (pairs["distance"] < pairs.attrs["threshold"]).all()
    assert pairs["distance"].is_monotonic_increasing and (pairs["distance"] >= 0).all()


def test_plain_distance_would_miss_the_shifted_copies(corpus):
    sounds, _ = corpus
    z = {name: encode(y)[:4].ravel() for name, y in sounds.items()}
    gaps = {name: np.linalg.norm(z["copy3"] - other) for name, other in z.items()}
    del gaps["copy3"]
    assert min(gaps, key=gaps.get) != "song9"


def test_without_copies_nothing_is_found(corpus):
    sounds, items = corpus
    originals = {name: y for name, y in sounds.items() if name.startswith("song")}
    pairs = duplicates.find(latents(originals))
    assert pairs.empty
    figures = duplicates.evaluate(pairs, items[items["copy_of"] == ""])
    assert figures == {"repetition_precision": 1.0}


def test_few_recordings_silence_and_other_lengths(corpus):
    sounds, _ = corpus
    some = {"silence": np.zeros(100_000), "quiet": np.zeros(100_000), "whole": sounds["song1"]}
    some |= {"shorter": sounds["song1"][:80_000], "bit": sounds["song1"][:20_000]}
    pairs = duplicates.find(latents(some))
    assert pairs[["a", "b"]].to_numpy().tolist() == [["whole", "shorter"]]
    assert duplicates.find(latents({"alone": sounds["song0"]})).empty


def test_windows_may_stand_in_any_order(corpus):
    sounds, _ = corpus
    found = latents({name: sounds[name] for name in ("song0", "song3", "copy1", "song6")})
    order = np.random.default_rng(3).permutation(len(found.items))
    z, items = found.z[order], found.items.iloc[order].reset_index(drop=True)
    found = SimpleNamespace(items=items, provenance=found.provenance, z=z)
    pairs = duplicates.find(found)
    assert [set(pair) for pair in pairs[["a", "b"]].to_numpy()] == [{"song3", "copy1"}]


def test_a_summary_does_not_change_with_gain_and_little_with_a_shift():
    y, frame_s = song(5), HOP / SR
    plain, shifted = (duplicates.summary(encode(part), frame_s) for part in (y, y[64:]))
    np.testing.assert_allclose(duplicates.summary(encode(4 * y), frame_s), plain, rtol=1e-4)
    assert np.corrcoef(plain.mean((0, 1)), shifted.mean((0, 1)))[0, 1] > 0.9
    assert plain.shape[:2] == (2, MAPS)
    assert not duplicates.summary(np.zeros((2, MAPS, T)), frame_s).any()


def test_the_threshold_extrapolates_an_exponential_tail():
    n, scale = 100, 0.05
    scores = 0.2 - scale * np.log(np.arange(1, 1001) / n)  # the n-th best lies at 0.2
    assert duplicates.threshold(scores, n) == pytest.approx(0.2 + scale * np.log(n / 0.01))
    assert duplicates.threshold(scores - 9, n) == 0.5 and duplicates.threshold(scores, 9) == 0.75


def test_known_pairs_without_kinds_are_counted_too():
    items = pd.DataFrame({"item_id": list("abcd"), "group": ["x", "x", "x", "y"]})
    pairs = pd.DataFrame({"a": ["b", "c"], "b": ["a", "d"]})
    figures = duplicates.evaluate(pairs, items)
    assert figures == {
        "repetition_recall_known": pytest.approx(1 / 3),
        "repetition_precision": 0.5,
    }
    assert duplicates.evaluate(pairs[:0], items)["repetition_precision"] == 0.0


def test_pairs_of_another_corpus_are_refused():
    items = pd.DataFrame({"item_id": ["a", "b"], "group": ["a", "b"]})
    with pytest.raises(ValueError, match="'z' is not in the index; evaluate pairs of the same"):
        duplicates.evaluate(pd.DataFrame({"a": ["a"], "b": ["z"]}), items)


def test_pairs_that_an_index_names_are_those_of_all_with_all(corpus, monkeypatch):
    sounds, _ = corpus
    every = duplicates.find(latents(sounds))
    monkeypatch.setattr(duplicates, "EXACT", 3)
    monkeypatch.setattr(duplicates, "_NEAR", 8)
    likely = duplicates.find(latents(sounds))
    named = [
        {frozenset(pair) for pair in zip(pairs["a"], pairs["b"], strict=True)}
        for pairs in (every, likely)
    ]
    assert named[0] and len(named[0] - named[1]) <= 0.1 * len(named[0])
    assert not named[1] - named[0]


def test_silent_windows_are_left_out(corpus):
    sounds, _ = corpus
    found = latents({name: sounds[name] for name in ("song0", "song3", "copy1", "song6")})
    none = {name: np.zeros(100_000) for name in ("song0", "nothing")}
    silent = latents(none)
    items = pd.concat([found.items.assign(silent=False), silent.items.assign(silent=True)])
    both = SimpleNamespace(
        items=items.reset_index(drop=True),
        provenance=found.provenance,
        z=np.concatenate([found.z, silent.z]),
    )
    pd.testing.assert_frame_equal(duplicates.find(both), duplicates.find(found))
