"""Judges: what they hear and see, what they learn, and how training is reused."""

import librosa
import numpy as np
import pandas as pd
import pytest
import torch

from musiclatent import audio
from musiclatent.errors import AudioError, CheckpointError
from musiclatent.evaluation import recognisers
from musiclatent.evaluation.recognisers import (
    BANDS,
    log_mel_of_files,
    log_mel_of_spectrograms,
    train_recogniser,
)
from musiclatent.features.stft import LogSTFT, SpectrogramBatch
from musiclatent.latents import class_sampler
from musiclatent.latents.class_sampler import ClassSampler
from musiclatent.training import run_folder, supervised

WINDOW_S = 0.2
TINY = LogSTFT(window_s=WINDOW_S)


def _tone(hz: float, sr: int, seconds: float, seed: int = 0) -> np.ndarray:
    t = np.arange(round(seconds * sr)) / sr
    noise = np.random.default_rng(seed).standard_normal(len(t))
    return 0.3 * np.sin(2 * np.pi * hz * t) + 0.003 * noise


@pytest.fixture(scope="module")
def tones(tmp_path_factory) -> tuple[np.ndarray, np.ndarray]:
    """What a judge hears of low and of high tones, and which they are."""
    folder, rng = tmp_path_factory.mktemp("tones"), np.random.default_rng(0)
    labels = np.array(["low", "high"] * 14)
    paths = []
    for i, label in enumerate(labels):
        hz = rng.uniform(300, 600) if label == "low" else rng.uniform(1500, 2500)
        y = _tone(hz, 8000, rng.uniform(0.1, 0.25), i)
        paths.append(audio.write(folder / f"{i}.wav", y, 8000))
    return log_mel_of_files(paths, WINDOW_S), labels


@pytest.mark.parametrize("sr", [8000, 22_050, 44_100])
@pytest.mark.parametrize("seconds", [0.03, 0.2, 1.0])
def test_files_of_any_rate_and_length_are_heard_alike(tmp_path, sr, seconds):
    path = audio.write(tmp_path / "tone.wav", _tone(1000, sr, seconds), sr)
    x = log_mel_of_files([path], WINDOW_S)
    assert x.shape == (1, BANDS, 21) and x.dtype == np.float32
    assert x.min() == 0 and x.max() == 1
    frames = round(min(seconds, WINDOW_S) * 100)
    band = librosa.mel_frequencies(BANDS + 2, fmax=4000)[1:-1]
    assert abs(band[x[0, :, frames // 2].argmax()] - 1000) < 60
    assert seconds >= WINDOW_S or not x[0, :, frames + 3 :].any()  # the padding


def test_what_is_longer_is_cut_and_what_is_shorter_is_padded(tmp_path):
    y = _tone(700, 8000, 1.0)
    whole = audio.write(tmp_path / "whole.wav", y, 8000)
    window = audio.write(tmp_path / "window.wav", y[:1600], 8000)
    short = audio.write(tmp_path / "short.wav", y[:1000], 8000)
    padded = audio.write(tmp_path / "padded.wav", np.pad(y[:1000], (0, 600)), 8000)
    x = log_mel_of_files([whole, str(window), short, padded], WINDOW_S)
    assert np.array_equal(x[0], x[1]) and np.array_equal(x[2], x[3])
    assert not np.array_equal(x[0], x[2])


def test_loudness_and_a_second_channel_do_not_matter(tmp_path):
    y = np.round(_tone(700, 8000, 0.2) * 2**14) / 2**15
    one = audio.write(tmp_path / "one.wav", y, 8000, subtype="FLOAT")
    quiet = audio.write(tmp_path / "quiet.wav", y / 8, 8000, subtype="FLOAT")
    two = audio.write(tmp_path / "two.wav", np.stack([y, y]), 8000, subtype="FLOAT")
    x = log_mel_of_files([one, quiet, two], WINDOW_S)
    np.testing.assert_allclose(x[1], x[0], atol=1e-4)
    np.testing.assert_allclose(x[2], x[0], atol=1e-4)


def test_silence_is_heard_as_zeros(tmp_path):
    path = audio.write(tmp_path / "silence.wav", np.zeros(1600), 8000)
    assert not log_mel_of_files([path], WINDOW_S).any()


@pytest.mark.parametrize("content", [None, b"", b"no sound at all"])
def test_a_file_that_cannot_be_read_is_named(tmp_path, content):
    good, bad = audio.write(tmp_path / "good.wav", np.ones(800) / 9, 8000), tmp_path / "bad.wav"
    if content is not None:
        bad.write_bytes(content)
    with pytest.raises(AudioError, match=r"bad\.wav") as caught:
        log_mel_of_files([good, bad], WINDOW_S)
    assert "\n" not in str(caught.value)


def test_what_is_seen_has_mel_bands_up_to_4_khz():
    y = np.stack([_tone(hz, 22_050, WINDOW_S) for hz in (500, 1000, 3000)]).astype(np.float32)
    x = TINY.model_input(np.stack([TINY(one[: TINY.length]) for one in y]))
    found = log_mel_of_spectrograms(x, TINY)
    assert found.shape == (3, BANDS, TINY.shape[1]) and found.dtype == np.float32
    assert (found.min((1, 2)) == 0).all() and (found.max((1, 2)) == 1).all()
    band = librosa.mel_frequencies(BANDS + 2, fmax=4000)[1:-1]
    hz = band[found[:, :, 8].argmax(1)]
    np.testing.assert_allclose(hz, [500, 1000, 3000], rtol=0.06)
    above = x.copy()
    above[:, 100:] = 0.5  # from 4.3 kHz on
    np.testing.assert_allclose(log_mel_of_spectrograms(above, TINY), found, atol=1e-5)


def test_silence_is_seen_as_zeros():
    assert not log_mel_of_spectrograms(np.zeros((1, *TINY.shape), np.float32), TINY).any()


def test_what_is_seen_does_not_depend_on_gain():
    y = _tone(800, 22_050, WINDOW_S)[: TINY.length].astype(np.float32)
    x = TINY.model_input(np.stack([TINY(gain * y) for gain in (1, 0.1)]))
    found = log_mel_of_spectrograms(x, TINY)
    np.testing.assert_allclose(found[1], found[0], atol=1e-3)


def test_a_transform_of_the_judges_own_rate_is_seen_whole():
    transform = LogSTFT(sr=8000, window_s=WINDOW_S, n_fft=256, hop_length=80)
    x = transform.model_input(transform(_tone(3800, 8000, WINDOW_S).astype(np.float32)))[None]
    assert log_mel_of_spectrograms(x, transform)[0, :, 10].argmax() >= BANDS - 3


def _train(tones, folder, *, n: int = 16, epochs: int = 20, **options) -> recognisers.Recogniser:
    x, labels = tones
    return train_recogniser(
        "ear", x[:n], labels=labels[:n], transform=TINY, folder=folder, epochs=epochs, **options
    )


@pytest.fixture(scope="module")
def judge(tones, tmp_path_factory) -> recognisers.Recogniser:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    found = _train(tones, tmp_path_factory.mktemp("judge") / "ear")
    torch.set_num_threads(threads)
    return found


def test_it_hears_files_and_sees_spectrograms(judge, tmp_path):
    y = [_tone(hz, 22_050, WINDOW_S).astype(np.float32) for hz in (400, 2000)]
    paths = [audio.write(tmp_path / f"{i}.wav", one, 22_050) for i, one in enumerate(y)]
    x = TINY.model_input(np.stack([TINY(one[: TINY.length]) for one in y]))
    assert judge.predict_files(paths).tolist() == ["low", "high"]
    assert np.array_equal(
        judge.predict_spectrograms(x), judge.predict(log_mel_of_spectrograms(x, TINY))
    )


def test_low_and_high_tones_are_told_apart(judge, tones):
    x, labels = tones
    assert judge.labels == ("high", "low")
    assert (judge.predict(x[16:]) == labels[16:]).all()
    scores = judge.probabilities(x[16:])
    assert scores.shape == (12, 2)
    np.testing.assert_allclose(scores.sum(1), 1, atol=1e-5)


def test_many_are_judged_as_each_by_itself(judge, tones):
    x = np.concatenate([tones[0]] * 3)  # more than go at once
    scores = judge.probabilities(x)
    np.testing.assert_allclose(scores[70:71], judge.probabilities(x[70:71]), atol=1e-5)
    assert len(judge.predict(x)) == 84


def test_sounds_are_written_and_recognised(judge, tmp_path):
    y = np.stack([_tone(hz, 22_050, WINDOW_S) for hz in (400, 2000)]).astype(np.float32)
    assert judge.predict_sounds(y, 22_050, folder=tmp_path / "new").tolist() == ["low", "high"]
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["0000.wav", "0001.wav"]
    judge.predict_sounds(y, 22_050, folder=tmp_path / "named", names=["a", "b"])
    assert sorted(path.name for path in (tmp_path / "named").iterdir()) == ["a.wav", "b.wav"]


def test_features_are_what_the_labels_are_read_from(judge, rng):
    x = rng.uniform(0, 1, (70, *TINY.shape)).astype(np.float32)  # more than go at once
    features = judge.features(x)
    assert features.shape == (70, 192) and features.min() >= 0
    model = run_folder.load_model(judge.folder)
    with torch.no_grad():
        scores = model.out(torch.from_numpy(features)).softmax(1).numpy()
    wanted = judge.probabilities(log_mel_of_spectrograms(x, TINY))
    np.testing.assert_allclose(scores, wanted, atol=1e-5)


def _weights(found: recognisers.Recogniser) -> dict[str, torch.Tensor]:
    return run_folder.load_model(found.folder).state_dict()


def _equal(a: recognisers.Recogniser, b: recognisers.Recogniser) -> bool:
    left, right = _weights(a), _weights(b)
    return all(torch.equal(left[key], right[key]) for key in left)


def test_a_second_call_trains_nothing(tones, tmp_path, monkeypatch):
    first = _train(tones, tmp_path / "ear", epochs=1)
    monkeypatch.setattr(supervised.trainer, "fit_quietly", lambda *_: pytest.fail("trained again"))
    stamp = (first.folder / "model.safetensors").stat().st_mtime_ns
    assert _train(tones, tmp_path / "ear", epochs=1) == first
    assert (first.folder / "model.safetensors").stat().st_mtime_ns == stamp


@pytest.mark.parametrize("change", ["data", "labels", "epochs", "seed", "name"])
def test_anything_else_is_trained_anew(tones, tmp_path, monkeypatch, change):
    (x, labels), folder, begun = tones, tmp_path / "ear", []
    x, labels = x[:4].copy(), labels[:4].copy()
    train_recogniser("ear", x, labels=labels, transform=TINY, folder=folder, epochs=1)
    monkeypatch.setattr(
        supervised.run_folder, "prepare_folder", lambda *_: begun.append(1) or pytest.skip("anew")
    )
    options = {"epochs": 2} if change == "epochs" else {"epochs": 1}
    options |= {"seed": 1} if change == "seed" else {}
    if change == "data":
        x[0, 0, 0] += 0.1
    if change == "labels":
        labels[0] = "high"
    with pytest.raises(pytest.skip.Exception):
        train_recogniser(
            "eye" if change == "name" else "ear",
            x,
            labels=labels,
            transform=TINY,
            folder=folder,
            **options,
        )
    assert begun


def test_the_same_seed_gives_the_same_weights(tones, tmp_path):
    first, again, other = (
        _train(tones, tmp_path / name, epochs=2, seed=seed)
        for name, seed in (("a", 3), ("b", 3), ("c", 4))
    )
    assert _equal(first, again) and not _equal(first, other)


def test_weights_that_are_cut_short_are_said(tones, tmp_path):
    found = _train(tones, tmp_path / "ear", epochs=1)
    path = found.folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match=r"safetensors is not the file that .* make it anew"):
        found.predict(tones[0][:1])


def test_a_recogniser_says_what_it_takes_and_gives(tones, tmp_path):
    found = _train(tones, tmp_path / "ear", epochs=1)
    config = run_folder.read_config(found.folder)
    assert (config["model"], config["labels"]) == ("Judge", ["high", "low"])
    assert run_folder.read_transform(found.folder) == found.transform
    assert {"accuracy", "loss"} <= {name.removeprefix("train_") for name in config["figures"]}


def test_an_ear_and_an_eye_learn_from_the_same_recordings(tmp_path):
    y = [_tone(400 if i % 2 else 2000, 22_050, 0.15, i) for i in range(8)]
    paths = [audio.write(tmp_path / f"{i}.wav", one, 22_050) for i, one in enumerate(y)]
    padded = [np.pad(one, (0, TINY.length - len(one))).astype(np.float32) for one in y]
    x = np.stack([TINY(one) for one in padded])
    items = pd.DataFrame({"path": [str(path) for path in paths], "label": ["high", "low"] * 4})
    items["speaker"] = items["label"].str.upper()
    known = SpectrogramBatch(TINY.model_input(x), *TINY.value_range(x), items, TINY)
    made = (
        make(known, tmp_path / "judges", epochs=30)
        for make in (recognisers.from_audio, recognisers.from_spectrogram)
    )
    ear, eye = made
    assert (
        ear.predict_files(paths).tolist()
        == eye.predict_spectrograms(known.x).tolist()
        == items["label"].tolist()
    )
    knows = recognisers.from_audio(known, tmp_path / "judges", epochs=1, column="speaker")
    assert knows.labels == ("HIGH", "LOW") and knows.folder != ear.folder
    assert (ear.folder.name, eye.folder.name) == ("ear-label", "eye")


@pytest.mark.parametrize("labels", [["7", "7", "7"], [""] * 3, []])
def test_a_judge_needs_two_labels(tmp_path, labels):
    x = np.zeros((len(labels), BANDS, 21), np.float32)
    with pytest.raises(ValueError, match="a recogniser needs two or more"):
        train_recogniser(
            "ear", x, labels=np.array(labels), transform=TINY, folder=tmp_path / "ear", epochs=1
        )
    assert not (tmp_path / "ear").exists()


class _Echo:
    """A recogniser that knows spreads: it is right about samples that lie near their class."""

    labels = ("7", "8")

    def predict_spectrograms(self, x: np.ndarray) -> np.ndarray:
        level = x.mean(axis=(1, 2))
        return np.where(np.abs(level - 0.75) < 0.1, "7", np.where(level < 0.35, "8", "7"))


@pytest.fixture
def sampler(rng) -> ClassSampler:
    """Two labels of level 0.75 and 0.25; as many decoded cells as a tiny spectrogram has."""
    labels = np.array(["7", "8"] * 40)
    level = np.where(labels == "7", 0.75, 0.25) + 0.05 * rng.standard_normal(80)
    x = np.tile(level[:, None, None], (1, *TINY.shape)).astype(np.float32)
    items = pd.DataFrame({"label": labels, "speaker": "theo"})
    low, high = np.full((2, 80), [[-60.0], [0.0]])
    return class_sampler.component_sampler(SpectrogramBatch(x, low, high, items, TINY), 1)


def test_what_was_asked_for_is_beside_what_was_recognised(sampler, judge, tmp_path):
    samples, labels = recognisers.ask(sampler, _Echo(), 5, spread=0.0)
    assert samples.items["label"].tolist() == labels.tolist() == ["7"] * 5 + ["8"] * 5
    _, heard = recognisers.ask(sampler, judge, 2, folder=tmp_path)
    assert set(heard) <= {"low", "high"}
    names = ["7_0.wav", "7_1.wav", "8_2.wav", "8_3.wav"]
    assert sorted(path.name for path in tmp_path.iterdir()) == names


def test_the_widest_spread_that_is_recognised_is_chosen(sampler, monkeypatch):
    found = recognisers.choose(sampler, _Echo(), 50, seed=9)
    rates = [found.tried[spread] for spread in recognisers.SPREADS]
    assert found.spread == max(s for s in recognisers.SPREADS if found.tried[s] >= 0.9)
    assert rates[0] == 1 > rates[-1]
    best = max(recognisers.UNLABELLED, key=found.tried.get)
    assert found.kind == best != "conditional" and found.tried["conditional"] > 0.9
    monkeypatch.setattr(recognisers, "RECOGNISED", 1.1)
    assert recognisers.choose(sampler, _Echo(), 50, seed=9).spread == recognisers.SPREADS[0]


def test_accuracies_are_compared_on_the_same_recordings():
    right = np.array([True] * 90 + [False] * 10)
    others = np.array([True] * 80 + [False] * 20)
    found = recognisers.compare(right, others, "accuracy_vs_pca")
    assert found["accuracy_vs_pca"] == pytest.approx(0.1)
    assert 0 < found["accuracy_vs_pca_low"] < 0.1 < found["accuracy_vs_pca_high"] < 0.2
    assert found["accuracy_vs_pca_p"] == pytest.approx(2 * 0.5**10)  # ten to none
