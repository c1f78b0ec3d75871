import os
import shutil
import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from musiclatent import audio
from musiclatent.config import PROFILES
from musiclatent.data import corpus, gtzan_tables, splits, synthetic
from musiclatent.data import corpus as data_corpus
from musiclatent.data.cache import ITEM
from musiclatent.data.corpus import check
from musiclatent.data.gtzan import GENRES
from musiclatent.errors import CorpusError
from musiclatent.features import fingerprint

SR = 8_000
TINY = PROFILES["tiny"].demo
SMALL = {  # a tiny version of every real dataset
    "gtzan": [f"gtzan/genres/{genre}/{genre}.{i:05d}.wav" for genre in GENRES for i in range(3)],
    "music_speech": [
        f"music_speech/{kind}/{stem}.wav"
        for kind in ("music", "speech")
        for stem in ("glass", "glass1", "mingus", "mingus1", "u2", "cure", "led")
    ],
    "fsdd": [
        f"fsdd/recordings/{digit}_{speaker}_{index}.wav"
        for digit in range(2)
        for speaker in ("theo", "lucas", "nicolas", "yweweler")
        for index in (0, 4, 5, 9, 10)
    ],
    "edm": [f"edm/{stem}.wav" for stem in ("alone", "alone-2", "sad", "sad-full", "x", "y", "z")],
    "new_music": [f"new_music/{i}.flac" for i in range(4)],
}


def noise(path, seconds=0.1, sr=SR):
    """Write noise that no other file has."""
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(list(path.as_posix().encode(errors="replace")))
    return audio.write(path, 0.1 * rng.standard_normal(int(seconds * sr)), sr)


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    root = tmp_path_factory.mktemp("datasets")
    for name in (name for names in SMALL.values() for name in names):
        noise(root / name)
    lists = root / "gtzan/splits"
    lists.mkdir()
    for kind in ("filtered", "stratified"):
        for i, part in enumerate(("train", "valid", "test")):
            lines = [f"{genre}/{genre}.{i:05d}.wav\n" for genre in GENRES[: 9 + i]]
            (lists / f"{part}_{kind}.txt").write_text("".join(lines))
    excerpts(root)
    return root


@pytest.fixture(scope="module")
def ready(tmp_path_factory, rendered):
    """Where the embedded corpora are rendered already."""
    folder = tmp_path_factory.mktemp("rendered")
    for name, kind in corpus.DEMO.items():
        rendered(kind, folder / "work" / name)
    return folder


def excerpts(root, count=40):
    """Write noise as ready spectrograms in pairs of one recording; two of them are clips here."""
    (root / "gtzan_excerpts").mkdir()
    np.savez(
        root / "gtzan_excerpts/mel3s.npz",
        mel=np.random.default_rng(0).normal(size=(count, 128, 130)).astype(np.float16),
        label=np.repeat(GENRES[:2], count // 2),
        clip=np.array(["blues.00001", *[""] * (count - 2), "classical.00002"]),
        group=np.arange(count) // 2,
        repeated_pairs=np.array([[0, 1], [2, 3]]),
    )


def load(name, root, tmp_path, **options):
    return corpus.load(str(name), root=root, work=tmp_path / "work", demo=TINY, **options)


def straddling(corpus):
    """Groups that lie in more than one part."""
    parts = corpus.items.groupby("group")["split"].nunique()
    return parts[parts > 1].index.tolist()


def together(corpus, *stems):
    """Whether the items share one group."""
    items = corpus.items[corpus.items["item_id"].isin(stems)]
    return len(items) == len(stems) and items["group"].nunique() == 1


@pytest.mark.parametrize("name", corpus.NAMES)
def test_no_group_straddles_a_split(name, small, ready):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # two tiny dance tunes cannot be split
        corpus = load(name, small, ready)
    assert straddling(corpus) == []
    assert list(corpus.items.columns[: len(ITEM)]) == ITEM
    assert corpus.items["item_id"].is_unique and corpus.items["item_id"].is_monotonic_increasing
    assert (corpus.items["seconds"] > 0).all() and corpus.quarantine.empty
    assert all(Path(p).is_absolute() and Path(p).exists() for p in corpus.items["path"])
    assert name == "demo-dance" or set(corpus.items["split"]) == {"train", "validation", "test"}


@pytest.mark.real
@pytest.mark.parametrize(
    ("name", "count"), [("fsdd", 3_000), ("gtzan", 46), ("music_speech", 61), ("edm", 23)]
)
def test_no_group_of_the_real_datasets_straddles_a_split(name, count, data_root, tmp_path):
    if name in ("edm", "music_speech"):  # the names say enough; the sound is heard elsewhere
        pairs = pd.DataFrame({"a": [], "b": []})
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(fingerprint, "find_duplicates", lambda *a, **k: pairs)
            corpus = load(name, data_root, tmp_path)
    else:
        corpus = load(name, data_root, tmp_path)
    assert len(corpus.items) == count and corpus.quarantine.empty
    assert straddling(corpus) == []
    assert set(corpus.items["split"]) == {"train", "validation", "test"}
    if name == "edm":
        assert together(corpus, "alone.mp3", "alone-2-full.mp3", "alone-2.mp3", "alone-full.mp3")
        assert together(corpus, "sad-js.mp3", "sad-js-full.mp3")
    if name == "music_speech":
        assert together(corpus, "music/glass.flac", "music/glass1.flac")


@pytest.mark.real
def test_the_published_splits_of_the_real_datasets(data_root, tmp_path):
    filtered = load("gtzan", data_root, tmp_path, split="filtered")
    assert len(filtered.items) == 44 and straddling(filtered) == []
    random = load("gtzan", data_root, tmp_path, split="random")
    assert len(random.items) == 46
    official = load("fsdd", data_root, tmp_path, split="official").items
    assert official["split"].value_counts().to_dict() == {
        "train": 2_400,
        "validation": 300,
        "test": 300,
    }
    speakers = load("fsdd", data_root, tmp_path, split="speakers")
    assert straddling(speakers) == []
    test = speakers.items[speakers.items["split"] == "test"]
    assert len(test) == 1_000 and set(test["speaker"]) == {"theo", "yweweler"}


@pytest.mark.real
@pytest.mark.parametrize("name", ["fsdd", "music_speech", "new_music"])
def test_the_real_datasets_are_whole(name, data_root):
    if name == "new_music" and not shutil.which("ffmpeg"):
        pytest.skip("one of its files is m4a")
    assert corpus.check(name, data_root).empty


@pytest.mark.real
def test_check_counts_the_clips_of_gtzan_that_are_here(data_root):
    problems = corpus.check("gtzan", data_root)
    assert problems["reason"].str.startswith("954 of 1,000 files are missing").tolist() == [True]


def test_published_splits_leave_out_what_is_in_no_list(small, tmp_path):
    corpus = load("gtzan", small, tmp_path, split="filtered")
    assert corpus.items["split"].value_counts().to_dict() == {
        "validation": 10,
        "test": 10,
        "train": 9,
    }
    assert "rock.00000" not in set(corpus.items["item_id"])
    assert len(load("gtzan", small, tmp_path).items) == 30


def test_digits_split_as_published_or_by_speaker(small, ready, tmp_path):
    official = load("fsdd", small, tmp_path, split="official").items
    by_index = official.groupby("split")["index"].unique().map(sorted)
    assert by_index.to_dict() == {"test": [0, 4], "validation": [5, 9], "train": [10]}
    speakers = load("fsdd", small, tmp_path, split="speakers")
    by_speaker = speakers.items.groupby("split")["speaker"].unique().map(sorted).to_dict()
    assert by_speaker["test"] == ["theo", "yweweler"] and by_speaker["train"] == ["lucas"]
    assert straddling(speakers) == []
    demo = load("demo-digits", small, ready, split="speakers")
    assert straddling(demo) == [] and demo.items["speaker"].nunique() == 3


def test_versions_and_sources_share_a_group(small, tmp_path):
    assert together(load("edm", small, tmp_path), "alone.wav", "alone-2.wav")
    speech = load("music_speech", small, tmp_path)
    assert together(speech, "music/mingus.wav", "music/mingus1.wav")
    assert not together(speech, "music/mingus.wav", "speech/mingus.wav")


def test_every_embedded_corpus_has_a_name():
    assert tuple(corpus.DEMO.values()) == synthetic.KINDS


def test_copies_in_the_demo_music_share_a_group_and_factors_stay(small, ready):
    items = load("demo-music", small, ready).items
    copies = items[items["copy_of"].fillna("").astype(bool)].set_index("copy_of")
    groups = items.set_index("item_id")["group"]
    assert len(copies) == 4 and (groups[copies.index] == copies["group"]).all()
    assert {"style", "tempo", "key", "beat_times"} <= set(items.columns)


def test_repeated_recordings_of_other_names_share_a_group(tmp_path):
    folder = tmp_path / "own"
    first = noise(folder / "first.wav", 6, 22_050)
    for i in range(4):
        noise(folder / f"other {i}.wav", 6, 22_050)
    y, sr = audio.read(first)
    (folder / "z").mkdir()
    audio.write(folder / "z" / "renamed.flac", 0.5 * y[1_111:], sr)
    corpus = load(folder, tmp_path, tmp_path)
    assert together(corpus, "first.wav", "z/renamed.flac")
    assert corpus.items["group"].nunique() == 5 and straddling(corpus) == []
    assert (tmp_path / "work/fingerprints.parquet").exists()


def test_the_broken_clip_of_gtzan_is_set_aside_and_never_replaced(tmp_path):
    for i in (53, 55):
        noise(tmp_path / f"gtzan/genres/jazz/jazz.{i:05d}.wav")
    broken = tmp_path / "gtzan/genres/jazz/jazz.00054.wav"
    broken.write_bytes(b"JUNK" * 1_000)
    with pytest.warns(UserWarning, match="all of them are for training"):
        corpus = load("gtzan", tmp_path, tmp_path)
    assert corpus.items["item_id"].tolist() == ["jazz.00053", "jazz.00055"]
    assert corpus.quarantine["path"].tolist() == [str(broken)]
    assert "no audio that can be decoded" in corpus.quarantine["reason"].item()


def test_a_split_without_its_lists_or_items_is_one_sentence(small, tmp_path):
    noise(tmp_path / "gtzan/genres/rock/rock.00099.wav")
    with pytest.raises(CorpusError, match=r"train_filtered.txt.* the list of this split is miss"):
        load("gtzan", tmp_path, tmp_path, split="filtered")
    shutil.copytree(small / "gtzan/splits", tmp_path / "gtzan/splits")
    with pytest.raises(CorpusError, match="'filtered' has none of its items; use split='group'"):
        load("gtzan", tmp_path, tmp_path, split="filtered")
    with pytest.raises(ValueError, match="no split of edm named 'filtered'; choose one of: group"):
        load("edm", small, tmp_path, split="filtered")


def test_hostile_file_names_of_a_plain_folder(tmp_path):
    names = ["a b.wav", 'it\'s "x".wav', "ü 音.wav", "new\nline.wav", "-rf.wav"]
    for name in names:
        noise(tmp_path / "own" / name)
    corpus = load(tmp_path / "own", tmp_path, tmp_path)
    assert corpus.name == "own" and corpus.items["item_id"].tolist() == sorted(names)
    again = tmp_path / "items.parquet"
    corpus.items.to_parquet(again)
    assert pd.read_parquet(again)["path"].map(os.path.exists).all()


@pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
def test_names_that_are_no_text_are_set_aside(tmp_path):
    for name in (b"a.wav", b"b.wav", b"c.wav"):
        noise(tmp_path / name.decode())
    (tmp_path / "c.wav").rename(tmp_path / os.fsdecode(b"\xff.wav"))
    with pytest.warns(UserWarning, match="all of them are for training"):
        corpus = load(tmp_path, tmp_path, tmp_path)
    assert corpus.quarantine["path"].tolist() == [f"{tmp_path}/\\xff.wav"]
    assert "no valid UTF-8; rename it" in corpus.quarantine["reason"].item()


def test_folders_without_music_are_one_sentence(tmp_path):
    (tmp_path / "own").mkdir()
    with pytest.raises(CorpusError, match=r"own.*: the folder holds no audio .*name a folder with"):
        load(tmp_path / "own", tmp_path, tmp_path)
    (tmp_path / "own" / "a.wav").write_bytes(b"")
    (tmp_path / "own" / "b.mp3").write_text("no sound")
    with pytest.raises(CorpusError, match=r"none of its 2 files can be used; .*a.wav.*0 bytes"):
        load(tmp_path / "own", tmp_path, tmp_path)
    with pytest.raises(CorpusError, match=r"no such folder, nor a corpus .* one of: demo-music"):
        load("gtzam", tmp_path, tmp_path)
    with pytest.raises(CorpusError, match="musiclatent data fetch fsdd"):
        load("fsdd", tmp_path, tmp_path)


def test_require_reads_nothing(small, tmp_path):
    for name in corpus.NAMES:
        corpus.require(name, small)
    with pytest.raises(CorpusError, match="musiclatent data fetch music_speech"):
        corpus.require("music_speech/music", tmp_path)


def test_the_split_does_not_depend_on_the_order_of_the_files(small, tmp_path, monkeypatch):
    first = load("music_speech", small, tmp_path).items
    walk = os.walk
    shuffled = lambda top: ((a, b, c[::-1]) for a, b, c in walk(top))  # noqa: E731
    monkeypatch.setattr(os, "walk", shuffled)
    pd.testing.assert_frame_equal(first, load("music_speech", small, tmp_path).items)


def test_combined_corpora_are_split_again_over_all(small, tmp_path):
    parts = [load(name, small, tmp_path) for name in ("gtzan", "music_speech/music", "gtzan")]
    both = corpus.combine(*parts[:2])
    assert both.name == "gtzan+music_speech/music" and straddling(both) == []
    assert len(both.items) == 37 and set(both.items["split"]) == {"train", "validation", "test"}
    assert together(both, "music/glass.wav", "music/glass1.wav")
    assert both.items["corpus"].value_counts().to_dict() == {"gtzan": 30, "music_speech/music": 7}
    twice = corpus.combine(parts[0], parts[2], work=tmp_path / "work")
    assert twice.items["item_id"].is_unique and straddling(twice) == []
    assert together(twice, "gtzan-0/jazz.00000", "gtzan-1/jazz.00000")
    assert corpus.combine(parts[0], parts[2]).items["group"].nunique() == 60


def test_load_all_keeps_the_labels_asked_for(small, tmp_path):
    options = {"root": small, "work": tmp_path, "keep": {"gtzan": ("jazz",)}}
    names = ("gtzan", "music_speech/music")
    items = corpus.load_all(names, **options).items
    assert items["label"].value_counts().to_dict() == {"music": 7, "jazz": 3}
    assert set(corpus.load_all(names[:1], **options).items["label"]) == {"jazz"}
    filtered = corpus.load_all(names[:1], split="filtered", **options).items
    assert filtered["split"].tolist() == ["train", "validation", "test"]
    with pytest.raises(ValueError, match="no split 'filtered' over several corpora; use group"):
        corpus.load_all(names, split="filtered", **options)
    with pytest.raises(CorpusError, match="'gtzan': it has no items with the label polka"):
        corpus.load_all(names, **options | {"keep": {"gtzan": ["polka"]}})


def test_check_names_every_kind_of_problem(small, tmp_path):
    folder = tmp_path / "gtzan"
    shutil.copytree(small / "gtzan", folder)
    good = folder / "genres/rock/rock.00000.wav"
    hashes = f"{'0' * 64}  genres/rock/rock.00000.wav\n{'0' * 64}  gone.wav\n"
    (folder / "SHA256SUMS").write_text(hashes)
    whole = noise(folder / "genres/rock/rock.00001.wav", 31)
    (folder / "genres/rock/rock.00002.wav").write_bytes(whole.read_bytes()[:9_000])
    problems = corpus.check("gtzan", tmp_path)
    reasons = problems.groupby("path")["reason"].agg(" | ".join)
    assert "970 of 1,000 files are missing: blues.00003" in reasons[str(folder)]
    assert "sha256 is not the one" in reasons[str(good)]
    assert "lasts 0.1 s only" in reasons[str(good)]
    assert "listed in SHA256SUMS but: No such file" in reasons[str(folder / "gone.wav")]
    assert str(whole) not in reasons
    assert "it is cut short" in reasons[str(folder / "genres/rock/rock.00002.wav")]


def test_check_of_other_corpora(small, tmp_path):
    assert corpus.check("edm", small).empty and corpus.check("demo-music", small).empty
    assert corpus.check(str(small / "edm"), small).empty
    missing = corpus.check("edm", tmp_path)
    assert "musiclatent data fetch edm" in missing["reason"].item()
    noise(tmp_path / "fsdd/recordings/0_theo_0.wav")
    noise(tmp_path / "fsdd/recordings/theo.wav")
    wrong = corpus.check("fsdd", tmp_path)["reason"].tolist()
    assert wrong[0].startswith("2,999 of 3,000") and wrong[1].startswith("its name is not digit_")


@pytest.mark.parametrize("k", range(5))
def test_excerpts_stand_in_folds_and_clips_beside_them(small, tmp_path, k):
    items = load("gtzan_excerpts", small, tmp_path, split=f"fold-{k}")
    assert straddling(items) == []
    test = items.items["split"] == "test"
    assert test.equals(items.items["fold"] == k) and test.sum() == 8
    outer = load("gtzan_excerpts", small, tmp_path, split=f"outer-{k}").items["split"]
    assert (outer == "test").equals(test) and set(outer) == {"train", "test"}
    clips = load("gtzan", small, tmp_path, split=f"excerpts-{k}").items.set_index("item_id")
    named = items.items.set_index("item_id")["split"][["blues.00001", "classical.00002"]]
    assert clips["split"].to_dict() == named.to_dict()


def test_random_splits_of_excerpts_straddle_and_depend_on_their_number(small, tmp_path):
    first, again, other = (
        load("gtzan_excerpts", small, tmp_path, split=f"shuffled-{k}") for k in (1, 1, 2)
    )
    assert first.items.equals(again.items) and not first.items.equals(other.items)
    assert straddling(first) and set(first.items["split"]) == {"train", "test"}


@pytest.mark.parametrize(
    ("split", "words"),
    [
        ("fold-5", "there is no fold 5; choose one of 0 to 4"),
        ("fold-K", "K stands for a number; write fold-0"),
        ("fold-x", "no split of gtzan_excerpts named 'fold-x'; choose one of: group, fold-K"),
        ("fold--1", "no split of gtzan_excerpts named 'fold--1'"),
        ("group-1", "no split of gtzan_excerpts named 'group-1'"),
    ],
)
def test_splits_that_excerpts_do_not_have_are_one_sentence(small, tmp_path, split, words):
    with pytest.raises(ValueError, match=words):
        load("gtzan_excerpts", small, tmp_path, split=split)


def test_spectrograms_are_read_by_the_name_of_the_corpus(small):
    assert corpus.spectrograms("gtzan_excerpts", small).shape == (40, 128, 130)
    assert corpus.spectrograms("gtzan", small) is None
    assert corpus.spectrograms("demo-music", small) is None


def test_excerpts_are_checked_and_never_joined_with_sound(small, tmp_path):
    assert corpus.check("gtzan_excerpts", small)["reason"].str.contains("40 of 1,000").all()
    with pytest.raises(ValueError, match="gtzan_excerpts: it holds no sound and cannot be joined"):
        corpus.load_all(["gtzan", "gtzan_excerpts"], root=small, work=tmp_path)
    alone = corpus.load_all(["gtzan_excerpts"], root=small, work=tmp_path, split="fold-0")
    assert len(alone.items) == 40


@pytest.mark.real
def test_the_real_excerpts_are_whole_and_no_recording_straddles(data_root, tmp_path):
    assert check("gtzan_excerpts", data_root).empty
    options = {"root": data_root, "work": tmp_path}
    names = [f"fold-{k}" for k in range(5)] + ["outer-3"]
    pairs = np.load(data_root / "gtzan_excerpts/mel3s.npz")["repeated_pairs"]
    for name in names:
        corpus = data_corpus.load("gtzan_excerpts", split=name, **options)
        items = corpus.items.set_index("row").sort_index()
        assert straddling(corpus) == [] and items["group"].nunique() == 951
        assert (items["split"][pairs[:, 0]].array == items["split"][pairs[:, 1]].array).all()
        assert (pd.crosstab(items["split"], items["label"]).loc["test"] >= 12).all()
    assert (pd.crosstab(items["fold"], items["label"]) == 20).all(axis=None)
    random = data_corpus.load("gtzan_excerpts", split="shuffled-0", **options)
    assert 9 <= len(straddling(random)) <= 20  # as data/README.md says
    clips = data_corpus.load("gtzan", split="excerpts-0", **options).items
    for k in range(5):
        split = gtzan_tables.split_as_excerpts(clips, data_root, tmp_path, k)
        assert (split != "").sum() == 45 and splits.straddling(clips["group"], split) == []


@pytest.mark.real
def test_excerpts_that_sound_alike_share_a_group(data_root, tmp_path):
    mel = corpus.spectrograms("gtzan_excerpts", data_root)
    items = corpus.load("gtzan_excerpts", root=data_root, work=tmp_path).items
    group = items.set_index("row")["group"].sort_index().to_numpy()
    x = mel.reshape(len(mel), -1) - mel.mean(axis=(1, 2))[:, None]
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    a, b = np.nonzero(np.triu(x @ x.T, 1) > 0.9)
    assert len(a) >= 18 and (group[a] == group[b]).all()


@pytest.mark.real
def test_the_real_attributes_and_their_published_lists(data_root):
    table = gtzan_tables.read_descriptors(data_root)
    assert table.shape == (1_000, 59) and set(table["label"]) == set(GENRES)
    sizes = {"filtered": [443, 197, 290], "random": [500, 250, 250]}
    for kind, counts in sizes.items():
        split = corpus.descriptor_splits(data_root, kind)
        assert split.value_counts()[["train", "validation", "test"]].tolist() == counts
        assert set(split.index) <= set(table["item_id"]) and split.index.is_unique
    with pytest.raises(ValueError, match="no published split named 'fair'; choose one of: filter"):
        corpus.descriptor_splits(data_root, "fair")


def test_attributes_without_their_files_are_one_sentence(small):
    with pytest.raises(
        CorpusError, match=r"features_30_sec.csv': there is no table of descriptors"
    ):
        corpus.descriptor_splits(small)
