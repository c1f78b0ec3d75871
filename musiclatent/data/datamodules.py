"""From cached windows to batches: the same windows in the same order for the same seed."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from musiclatent import config
from musiclatent.audio.windows import Transform, Waveform
from musiclatent.data import cache, corpus, splits
from musiclatent.data.own import library
from musiclatent.features.mel import LogMel
from musiclatent.features.stft import LogSTFT, SpectrogramBatch
from musiclatent.files import each_row, pick

TRANSFORMS = {each.kind: each for each in (Waveform, LogMel, LogSTFT)}


def transform(study: config.Study) -> Transform:
    """Return what turns a study's windows into what its models take."""
    return pick(TRANSFORMS, study.input, "transform")(
        sr=study.sr, window_s=study.window_s, **study.frames
    )


@dataclass(eq=False, repr=False, kw_only=True)
class Windows(Dataset):
    """Windows of one split, as (x, row, label): x (1, ...), its row in the cache, its label's code.

    Parameters
    ----------
    x
        Cached array (W, ...).
    rows
        Rows of the split (W',).
    codes
        Code of each cached window's label (W,), -1 where it is unknown.
    transform
        What turns a cached window into a model's input, see `windows.Transform`.
    """

    x: np.ndarray
    rows: np.ndarray
    codes: np.ndarray
    transform: Transform

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> tuple[Tensor, int, int]:
        row = int(self.rows[index])
        (x,) = each_row(self.x, [row])
        x = self.transform.model_input(x)
        return torch.from_numpy(x)[None], row, int(self.codes[row])


class EpochSampler(Sampler):
    """A new order each epoch that depends on nothing but (seed, epoch), so that resuming is exact.

    Parameters
    ----------
    n
        Number of windows.
    seed
        Seed of all orders.
    """

    def __init__(self, n: int, seed: int) -> None:
        self.n = n
        self.seed = seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the order of an epoch; Lightning calls this."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.n

    def __iter__(self) -> Iterator[int]:
        return iter(np.random.default_rng([self.seed, self.epoch]).permutation(self.n).tolist())


class BalancedSampler(EpochSampler):
    """Batches that hold each known label equally often, as losses on triplets need.

    Where some labels are unknown, every second window is drawn from those without one.

    Parameters
    ----------
    codes
        Label of each window (W',), -1 where unknown; at least one is known.
    seed
        Seed of all orders.
    """

    def __init__(self, codes: np.ndarray, seed: int) -> None:
        super().__init__(len(codes), seed)
        self.codes = np.asarray(codes)

    def __iter__(self) -> Iterator[int]:
        rng = np.random.default_rng([self.seed, self.epoch])
        unknown = np.flatnonzero(self.codes < 0)
        labelled = self._labelled(rng)
        for place in range(self.n):
            if len(unknown) and place % 2:
                yield int(rng.choice(unknown))
            else:
                yield next(labelled)

    def _labelled(self, rng: np.random.Generator) -> Iterator[int]:
        """Draw from each label in turn; the windows of each come in turn, in a random order."""
        labels = np.unique(self.codes[self.codes >= 0])
        queues = {label: [] for label in labels}
        while True:
            for label in rng.permutation(labels):
                if not queues[label]:
                    queues[label] = rng.permutation(np.flatnonzero(self.codes == label)).tolist()
                yield queues[label].pop()


@dataclass(eq=False, repr=False, kw_only=True)  # equal to itself only, whatever its options
class CorpusDataModule:
    """Windows of one or more corpora, split by group.

    Parameters
    ----------
    names
        Corpora, as `corpus.load` takes them, or folders of one's own music.
    folder
        Folder of the cache.
    root
        Folder of the real datasets.
    work
        Folder for what the corpora need to keep; ``corpora`` in `folder` where it is None.
    transform
        What a window becomes.
    split
        Name of the split; see `corpus.load`.
    demo
        Size of the embedded corpora.
    keep
        Labels to keep, by corpus name.
    batch_size
        Windows in a batch.
    seed
        Seed of the split and of the order.
    balanced
        Whether each batch holds the known labels equally often.
    labelled
        Share of the training windows whose label may be known; by recording, of each label.
    n_jobs, scheduler
        Processes, or the address of a Dask scheduler, for the cache.
    """

    names: tuple[str, ...]
    folder: Path
    root: Path
    work: Path | None = None
    transform: Transform = Waveform()  # noqa: RUF009, frozen
    split: str = "group"
    demo: config.DemoSize | None = None
    keep: dict[str, tuple[str, ...]] | None = None
    batch_size: int = 16
    seed: int = config.SEED
    balanced: bool = False
    labelled: float = 1.0
    n_jobs: int = 2
    scheduler: str | None = None

    def __post_init__(self) -> None:
        self.corpus: corpus.Corpus | None = None
        self.cached: cache.Cached | None = None

    @staticmethod
    def of_study(
        study: config.Study,
        space: config.Workspace,
        *,
        sound: bool = False,
        split: str = "",
        scheduler: str | None = None,
    ) -> "CorpusDataModule":
        """Return the windows that a study works on: the module of its corpus where one has a name.

        Parameters
        ----------
        study, space
            What is studied, and where its results go.
        sound
            Whether sound is wanted where the study trains on ready spectrograms.
        split
            Another split than the study's.
        scheduler
            As in the class.
        """
        names, default_split = _source(study, space, sound)
        return NAMED.get(names[0], CorpusDataModule)(
            names=names,
            folder=space.path("cache"),
            root=config.data_root(),
            work=space.base / "corpora",
            transform=transform(study),
            split=split or default_split,
            demo=config.profile(space.profile).demo,
            keep=study.labels,
            scheduler=scheduler or config.scheduler(),
        )

    def index(self) -> corpus.Corpus:
        """Index the corpora, once."""
        if self.corpus is None:
            self.corpus = corpus.load_all(
                self.names,
                root=self.root,
                work=self.work or self.folder / "corpora",
                demo=self.demo,
                keep=self.keep,
                split=self.split,
                seed=self.seed,
                n_jobs=self.n_jobs,
            )
        return self.corpus

    def prepare_data(self) -> None:
        """Index the corpora and fill the cache; a second call reuses both."""
        self.setup()

    def setup(self, stage: str | None = None) -> None:
        """Open the cache, once, computing what is missing."""
        if self.cached is None:
            self.cached = self._precomputed() or self._computed()

    def _computed(self) -> cache.Cached:
        """Compute what a window becomes, or read it from the cache."""
        folder = cache.folder_of(self.folder, self.transform)
        work = {"n_jobs": self.n_jobs, "scheduler": self.scheduler}
        cached = cache.build(self.index().items, self.transform, folder=folder, **work)
        return replace(cached, items=library.with_segments(cached.items, self.index().items))

    def _precomputed(self) -> cache.Cached | None:
        """Read the spectrograms that a corpus holds in place of sound; None where it has sound."""
        x = corpus.spectrograms(self.names[0], self.root)
        if x is None:
            return None
        if x.shape[1:] != tuple(self.transform.shape):
            raise ValueError(
                f"{self.names[0]}: its spectrograms have the shape {x.shape[1:]} and the study "
                f"takes {self.transform.shape}; use the profile real"
            )
        items = self.index().items
        x = x[items["row"]]
        keys = [hashlib.sha256(row.tobytes()).hexdigest() for row in x]
        items = items.assign(start_s=0.0, end_s=items["seconds"], silent=False)
        items = items.assign(row=np.arange(len(items)), key=keys)
        return cache.Cached(x, items[cache.INDEX], self.index().quarantine)

    def targets(self) -> np.ndarray:
        """Return a code for the label of each cached window (W,), -1 where it is unknown.

        Of the training windows only the share `labelled` is known: the first recordings of each
        label in a random order, two at least, so that a larger share holds all of a smaller one.
        """
        if not 0 < self.labelled <= 1:
            raise ValueError(f"labelled is {self.labelled}; give a share above 0, at most 1")
        items = self.cached.items
        codes = np.array(pd.Categorical(items["label"].replace("", None)).codes, int)
        if self.labelled < 1:
            rng = np.random.default_rng(self.seed)
            for code in range(codes.max() + 1):
                train = items["split"].eq("train") & (codes == code)
                groups = rng.permutation(items.loc[train, "group"].unique())
                labelled = groups[: max(2, round(self.labelled * len(groups)))]
                codes[train & ~items["group"].isin(labelled)] = -1
        return codes

    def rows(self, split: str, audible: bool = False, at_most: int | None = None) -> np.ndarray:
        """Return the rows (W',) of one split in the cache.

        Parameters
        ----------
        split
            ``train``, ``validation`` or ``test``.
        audible
            Whether silent windows are left out.
        at_most
            How many are enough, spread over the split; None takes all.
        """
        items = self.cached.items
        chosen = items["split"].eq(split) & ~(items["silent"] & audible)
        rows = items.loc[chosen, "row"].to_numpy()
        if at_most and len(rows) > at_most:
            rows = rows[np.linspace(0, len(rows) - 1, at_most).astype(int)]
        return rows

    def window_items(self) -> pd.DataFrame:
        """Return one row per cached window, with what the corpus knows of its recording."""
        items = self.index().items
        columns = ["item_id", *items.columns.difference(cache.WINDOW, sort=False)]
        windows = self.cached.items[cache.WINDOW]
        windows = windows.merge(items[columns], "left", "item_id", validate="m:1")
        return library.with_segments(windows, items)

    def spectrograms(self, split: str, at_most: int | None = None) -> SpectrogramBatch:
        """Return the audible spectrograms of a split.

        Parameters
        ----------
        split, at_most
            As in `rows`.
        """
        self.setup()
        rows = self.rows(split, audible=True, at_most=at_most)
        x = np.array(self.cached.x[rows])
        items = self.window_items().iloc[rows].reset_index(drop=True)
        return SpectrogramBatch(
            self.transform.model_input(x), *self.transform.value_range(x), items, self.transform
        )

    def steps(self, epochs: int) -> int:
        """Return the number of training batches in `epochs` epochs."""
        return epochs * -(-len(self.rows("train")) // self.batch_size)

    def summary(self) -> dict[str, str | int]:
        """Return what the figures stand on: corpora, split, seed, and windows of each split."""
        counts = {f"{split}_windows": len(self.rows(split)) for split in splits.SPLITS}
        title = corpus.title(self.names)
        return {"corpora": title, "split": self.split, "seed": self.seed} | counts

    def data_hash(self) -> str:
        """Return a sha256 of which windows stand in which split."""
        table = self.cached.items[["key", "start_s", "split"]].to_csv(index=False)
        return hashlib.sha256(table.encode()).hexdigest()

    def loader(
        self, split: str, shuffle: bool = False, at_most: int | None = None, audible: bool = False
    ) -> DataLoader:
        """Return the batches (x (B, 1, ...), row (B,), label (B,)) of a split, or of some of it."""
        rows = self.rows(split, audible, at_most)
        codes = self.targets()
        sampler = None
        if shuffle and self.balanced and (codes[rows] >= 0).any():
            sampler = BalancedSampler(codes[rows], self.seed)
        elif shuffle:
            sampler = EpochSampler(len(rows), self.seed)
        data = Windows(x=self.cached.x, rows=rows, codes=codes, transform=self.transform)
        return DataLoader(data, self.batch_size, sampler=sampler)

    def train_dataloader(self) -> DataLoader:
        """Return the training batches, in a new order each epoch."""
        return self.loader("train", shuffle=True)

    def val_dataloader(self) -> DataLoader:
        """Return the validation batches."""
        return self.loader("validation")

    def test_dataloader(self) -> DataLoader:
        """Return the test batches."""
        return self.loader("test")


@dataclass(eq=False, repr=False, kw_only=True)
class GTZANDataModule(CorpusDataModule):
    """Five-second windows of GTZAN, by default on the fault-filtered split."""

    names: tuple[str, ...] = ("gtzan",)
    split: str = "filtered"


@dataclass(eq=False, repr=False, kw_only=True)
class DigitsDataModule(CorpusDataModule):
    """The spoken digits, the first 0.74 s of each as a spectrogram, on the official split."""

    names: tuple[str, ...] = ("fsdd",)
    transform: Transform = LogSTFT(first_only=True)  # noqa: RUF009, frozen
    split: str = "official"


@dataclass(eq=False, repr=False, kw_only=True)
class EDMDataModule(CorpusDataModule):
    """Fifteen-second sections of dance tracks; versions of a tune stay in one split."""

    names: tuple[str, ...] = ("edm",)
    transform: Transform = Waveform(window_s=15.0)  # noqa: RUF009, frozen


NAMED = {
    "gtzan": GTZANDataModule,
    "gtzan_excerpts": GTZANDataModule,
    "fsdd": DigitsDataModule,
    "edm": EDMDataModule,
}


def datamodule(name: str | Path, **options: object) -> CorpusDataModule:
    """Return the windows of a corpus, or of a folder of one's own music, in batches.

    After ``setup()`` a trainer takes ``train_dataloader()`` and ``val_dataloader()``; Lightning's
    also `training.lightning.Loading` of it.

    Parameters
    ----------
    name
        As in `corpus.load`.
    options
        Fields of `CorpusDataModule` that differ, such as `transform`, `split` and `batch_size`.

    Examples
    --------
    >>> import tempfile, numpy as np
    >>> from musiclatent import audio
    >>> folder = Path(tempfile.mkdtemp())
    >>> for name, hz in {"a": 200, "b": 300, "c": 450}.items():
    ...     y = 0.5 * np.sin(2 * np.pi * hz * np.arange(16000) / 8000)
    ...     _ = audio.write(folder / f"{name}.wav", y, 8000)
    >>> data = datamodule(folder, transform=Waveform(8000, 0.5), folder=folder / "cache")
    >>> data.setup()
    >>> len(data.window_items())
    12
    """
    places = {"folder": config.cache_home() / "windows", "root": config.data_root()}
    return NAMED.get(str(name), CorpusDataModule)(**{"names": (str(name),)} | places | options)


def _source(
    study: config.Study, space: config.Workspace, sound: bool
) -> tuple[tuple[str, ...], str]:
    """Return the corpora that a study works on, and the split that it takes of them."""
    if space.corpus:  # a folder of one's own: nobody published lists for it
        return (space.corpus,), "group"
    if config.profile(space.profile).demo:  # rendered corpora know their groups
        return study.demo, "group"
    if not study.precomputed or space.profile != "real":
        return study.real, study.split  # the paper's windows differ from the precomputed ones
    if sound:  # the clips that are heard stand where their spectrograms stand
        return study.real, "excerpts-0"
    return (study.precomputed,), "fold-0"
