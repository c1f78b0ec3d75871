"""Profiles, studies and paths: how large a run is, and where its results go."""

import hashlib
import os
import re
import tempfile
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from musiclatent.files import mark_output, pick, read_toml

SEED = 0
SR = 22_050  # Hz, the rate of GTZAN and of every music study
PLAIN = str | int | float | bool | list  # what a checkpoint may hold as a hyper-parameter


@dataclass(frozen=True, kw_only=True)
class DemoSize:
    """How much of each embedded corpus a profile renders.

    Parameters
    ----------
    clips_per_style
        Music clips of each of the ten styles, before outliers and duplicates are added.
    clip_s
        Length of a music clip in seconds.
    repeats
        Planted duplicates of each kind: exact, gain, codec, offset.
    speakers, takes
        Speakers of the spoken digits, and how often each says each digit.
    tunes, versions
        Dance tunes, and how many versions of each.
    track_s
        Length of a dance track in seconds.
    """

    clips_per_style: int
    clip_s: float
    repeats: int
    speakers: int
    takes: int
    tunes: int
    versions: int
    track_s: float


@dataclass(frozen=True, kw_only=True)
class Profile:
    """One size of the whole workbench.

    Parameters
    ----------
    name
        ``tiny`` (tests), ``demo``, ``real`` or ``paper``.
    demo
        Size of the embedded corpora; None where the profile uses real datasets.
    rendered
        Size of an embedded corpus that stands beside real datasets; None where all are embedded.
    epochs
        Training epochs, by study; ``mel-folds`` are those of its evaluation over folds, ``judge``
        those of `musiclatent.evaluation.recognisers`.
    seeds
        Of the trainings that a table takes the mean of; the first one makes everything else.
    probe_clips
        Rendered clips of each of the ten styles that linear probes stand on.
    parallel_studies
        Studies of which notebooks run side by side at most, each on its share of the processors.
    """

    name: str
    demo: DemoSize | None
    rendered: DemoSize | None = None
    epochs: dict[str, int] = field(default_factory=dict)
    seeds: tuple[int, ...] = (SEED,)
    probe_clips: int = 30
    parallel_studies: int = 1


def _profile(name: str, row: dict) -> Profile:
    """Return a profile from its row in ``profiles.toml``."""
    sizes = {key: DemoSize(**row[key]) if key in row else None for key in ("demo", "rendered")}
    seeds = tuple(row.get("seeds", [SEED]))
    return Profile(**row | {"name": name, "seeds": seeds} | sizes)


SCHEDULER = "MUSICLATENT_SCHEDULER"  # name of a variable, so that the kernels of notebooks know
_TABLE = read_toml(Path(__file__).with_name("profiles.toml"))
PROFILES = {name: _profile(name, row) for name, row in _TABLE.items()}


def profile(name: str) -> Profile:
    """Return a profile by its name.

    Raises
    ------
    ValueError
        If there is no such profile.
    """
    return pick(PROFILES, name, "profile")


def home() -> Path:
    """Return the checkout: ``MUSICLATENT_HOME``, else the nearest parent with our notebooks."""
    if os.environ.get("MUSICLATENT_HOME"):
        return Path(os.environ["MUSICLATENT_HOME"]).expanduser().resolve()
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / "notebooks" / "01_preprocess.ipynb").exists():
            return folder
    return here


def data_root() -> Path:
    """Return the folder of real datasets: ``MUSICLATENT_DATA``, else ``data`` in the checkout."""
    return (home() / Path(os.environ.get("MUSICLATENT_DATA") or "data").expanduser()).resolve()


def cache_home() -> Path:
    """Return where scripts keep what they compute: ``musiclatent`` in the user's cache folder."""
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    with suppress(RuntimeError):  # nobody's home is known
        return Path(cache).expanduser() / "musiclatent"
    return Path(tempfile.gettempdir()) / "musiclatent"


def scheduler() -> str | None:
    """Return the Dask scheduler that takes work over many files: ``MUSICLATENT_SCHEDULER``."""
    return os.environ.get(SCHEDULER) or None


@dataclass(frozen=True, kw_only=True)
class Workspace:
    """Where one study of one profile keeps what it makes.

    Parameters
    ----------
    profile, study
        Names of the profile and the study.
    corpus
        Folder of the user's own music, or empty for the study's own corpora.
    results
        Folder above all results, absolute or relative to the checkout.
    """

    profile: str
    study: str
    corpus: str = ""
    results: str = "results"

    @property
    def base(self) -> Path:
        """Return the folder of the profile; the user's own music has another beside it."""
        if not self.corpus:
            return home() / self.results / self.profile
        slug = re.sub(r"\W+", "-", Path(self.corpus).name).strip("-")
        slug = slug.encode()[:60].decode(errors="ignore")  # names have 255 bytes at most
        # Two folders may bear the same name.
        digest = hashlib.sha256(os.fsencode(self.corpus)).hexdigest()[:6]
        return home() / self.results / f"{self.profile}-{slug}-{digest}"

    def path(self, *names: str) -> Path:
        """Return where a folder inside the study's results is, or would be."""
        return self.base.joinpath(self.study, *names)

    def make(self, *names: str) -> Path:
        """Return a folder inside the study's results, made if it is missing."""
        path = self.path(*names)
        path.mkdir(parents=True, exist_ok=True)
        mark_output(self.base)
        return path


@dataclass(frozen=True, kw_only=True)
class Training:
    """How one experiment is trained.

    Parameters
    ----------
    learning_rate
        Peak of the one-cycle schedule of Adam.
    batch_size
        Windows in a batch.
    patience
        Epochs without a better validation loss before training stops.
    epoch_factor
        Share of the profile's epochs that this experiment takes; 0 means one epoch.
    select
        Which weights are kept: ``best`` by the validation loss, or the ``last`` ones, after the
        whole schedule, for losses whose least value does not mean the best latents.
    balanced
        Whether each batch holds the same number of windows of each label.
    labelled
        Share of the training windows whose label may be known, in (0, 1].
    """

    learning_rate: float = 3e-3
    batch_size: int = 16
    patience: int = 20
    epoch_factor: float = 1.0
    select: str = "best"
    balanced: bool = False
    labelled: float = 1.0

    def epochs(self, profile: Profile, study: str) -> int:
        """Return the number of epochs of this experiment in a profile."""
        return max(1, round(self.epoch_factor * profile.epochs[study]))


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """One row of a study: a model, its options, its training and the paper's figures.

    Parameters
    ----------
    name
        Unique name, as ``waveform-64``.
    study
        Name of the study that it belongs to.
    key
        Ending of its metrics' names, as in ``test_mse_64``.
    model
        Name of the model's class in `musiclatent.models`.
    options
        The model's arguments: str, int, float, bool or list.
    training
        How it is trained.
    paper
        The paper's figures by metric name; empty where the paper gives none.
    source
        Where the paper's figures stand.
    about
        One sentence on what it is, and which choices are ours.
    full, full_training
        Options and training that differ in the profile ``paper``, where two cores cannot train
        the paper's size.
    """

    name: str
    study: str
    key: str
    model: str
    options: dict[str, PLAIN]
    about: str
    training: Training = Training()
    paper: dict[str, float] = field(default_factory=dict)
    source: str = ""
    full: dict[str, PLAIN] = field(default_factory=dict)
    full_training: Training | None = None

    @property
    def family(self) -> str:
        """Name without the size, as ``waveform`` for ``waveform-64``."""
        return re.sub(r"-\d+", "", self.name)


@dataclass(frozen=True, kw_only=True)
class Study:
    """One of the six studies: its question, its corpora and its experiments.

    Parameters
    ----------
    name, title, question, source
        What it is called, what it asks, and the document it rebuilds.
    demo, real
        Names of its corpora, embedded and real.
    window_s
        Length of a model input in seconds.
    paper_window_s
        The same in the profile ``paper``, where it differs; else 0.
    input
        What a model takes: ``waveform``, ``logmel`` or ``logstft``, see `datamodules.transform`.
    frames
        Further parameters of that transform, such as the length of its frames.
    precomputed
        Corpus of ready spectrograms that the models train on in the profile ``real``; sound is
        still taken from the corpora of `real`. Empty where there is none.
    sr
        Sample rate in Hz.
    split
        Which split of the corpora it uses; see `musiclatent.data.corpus`.
    labels
        Labels that it keeps of each corpus, by corpus name; all of them where not named.
    experiments
        Its experiments by name.
    shapes
        The chosen one in other shapes of the same size, by name: rows of one notebook alone.
    compared
        Names of those whose latents are analysed side by side.
    chosen
        Name of the one that makes new music.
    beside
        Names of those that the embedded profiles train too; the other rows come with real data.
    shared
        Notebooks that run on any corpus, a folder of one's own too; most studies share them.
    has_encoder
        Whether its experiments encode sound into latents that can be stored, mapped and decoded.
    dashboard
        The notebook that is served as a web page; empty where there is none.
    paper
        The paper's figures by metric, for a study without experiments.
    guides
        Notebooks that take a folder of one's own too, but are no step of a study: with one they are
        opened by hand.
    study_notebooks
        Notebooks of its own; they need labels, so none of them runs on a folder of one's own music.
    width_divisor
        Factor by which the embedded profiles reduce the channels of its models.
    """

    name: str
    title: str
    question: str
    source: str
    demo: tuple[str, ...]
    real: tuple[str, ...]
    window_s: float
    paper_window_s: float = 0.0
    input: str = "waveform"
    frames: dict[str, PLAIN] = field(default_factory=dict)
    precomputed: str = ""
    sr: int = SR
    split: str = "group"
    labels: dict[str, tuple[str, ...]] = field(default_factory=dict)
    experiments: dict[str, Experiment] = field(default_factory=dict)
    shapes: dict[str, Experiment] = field(default_factory=dict)
    compared: tuple[str, ...] = ()
    chosen: str = ""
    beside: tuple[str, ...] = ()
    shared: tuple[str, ...] = ()
    has_encoder: bool = True
    dashboard: str = ""
    paper: dict[str, float] = field(default_factory=dict)
    guides: tuple[str, ...] = ()
    study_notebooks: tuple[str, ...] = ()
    width_divisor: int = 1

    def notebooks(self, corpus: str = "") -> tuple[str, ...]:
        """Return its notebooks in order; on a `corpus` of one's own those that need no labels."""
        return self.shared if corpus else (*self.shared, *self.guides, *self.study_notebooks)

    def experiment(self, name: str) -> Experiment:
        """Return one of the study's experiments by its name.

        Raises
        ------
        ValueError
            If the study has no such experiment.
        """
        return pick(self.experiments, name, f"experiment of the study {self.name}")

    def select(self, name: str = "all") -> list[Experiment]:
        """Return the named experiment, or all of them for ``all``."""
        return list(self.experiments.values()) if name == "all" else [self.experiment(name)]

    def analysed(self, name: str = "all") -> list[Experiment]:
        """Return the experiments whose latents are compared, or the named one alone."""
        return [self.experiment(row) for row in (self.compared if name == "all" else [name])]

    def main(self, name: str = "all") -> Experiment:
        """Return the experiment that makes new music: the named one, or the chosen one."""
        return self.experiment(self.chosen if name == "all" else name)
