"""Run the notebooks of one study or of all that something changed for, then write the report."""

import os
import re
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

from musiclatent import config, numba_cache
from musiclatent.apps.running import imports, schedule, up_to_date
from musiclatent.apps.running.console import Console, shipped
from musiclatent.config import Study, Workspace
from musiclatent.errors import CorpusError, ReproduceError
from musiclatent.files import pick, write_json
from musiclatent.studies import STUDIES, study

if TYPE_CHECKING:
    from musiclatent.apps.running.kernels import Kernels

_MAKE = Path(config.__file__).with_name("environment.mk").read_text()
ENVIRONMENT = re.findall(r"^export (\w+) \?= (\w+)$", _MAKE, re.MULTILINE)
FAILED = "failed.json"  # where `report`, which takes a second to import, looks


def reproduce(
    name: str = "all",
    *,
    notebook: str | None = None,
    experiment: str = "all",
    profile: str = "demo",
    corpus: str = "",
    results: str = "results",
    scheduler: str = "",
) -> Path:
    """Run every notebook of one study or of all, then write the report.

    Parameters
    ----------
    name
        A study, or ``all``.
    notebook
        One notebook of the study, or of each study that has it; None runs all of them.
    experiment
        One row of the study, or ``all``.
    profile
        ``tiny``, ``demo``, ``real`` or ``paper``.
    corpus
        A folder of one's own music instead of the study's corpora; no labels are needed.
    results
        Folder of all results, absolute or relative to the checkout.
    scheduler
        Address of a Dask scheduler for the work over many files.

    Returns
    -------
    Path
        The report.

    Raises
    ------
    ValueError
        If a profile, study, notebook or experiment does not exist, or `corpus` holds no music.
    ReproduceError
        If a notebook failed, or if the one study asked for has no data; the report is written.
    """
    config.profile(profile)
    plans = _plans(name, notebook, corpus)
    if len(plans) > 1 and experiment != "all":
        raise ValueError(f"name the study of the experiment {experiment!r} too: STUDY=...")
    plans[0].select(experiment)
    if corpus:
        corpus = str((config.home() / Path(corpus).expanduser()).resolve())
        _require(corpus)
    spaces = {
        plan.name: Workspace(profile=profile, study=plan.name, corpus=corpus, results=results)
        for plan in plans
    }
    asked = {"experiment": experiment, "scheduler": scheduler}
    run = _Run(plans={plan.name: plan for plan in plans}, spaces=spaces, only=notebook, **asked)
    with _scheduler(scheduler):
        run.work()
    page = _report(spaces[plans[0].name], run)
    _raise_for(run.problems, alone=len(plans) == 1)
    return page


@contextmanager
def _scheduler(address: str) -> Iterator[None]:
    """Name the scheduler to notebooks, which hand their encoding over, as long as they run."""
    before = os.environ.get(config.SCHEDULER, "")
    os.environ[config.SCHEDULER] = address or before
    try:
        yield
    finally:
        os.environ[config.SCHEDULER] = before


def _require(corpus: str) -> None:
    """Validate that a corpus is there."""
    from musiclatent.data.corpus import require  # seconds, which a demo spends in its kernels

    require(corpus, config.data_root())


def _plans(name: str, notebook: str | None, corpus: str) -> list[Study]:
    """Return the studies that are asked for; where a notebook is, those that run it."""
    plans = list(STUDIES.values()) if name == "all" else [study(name)]
    if notebook is None:
        return plans
    names = dict.fromkeys(book for plan in plans for book in plan.notebooks(corpus))
    pick(names, notebook, "notebook of a folder without labels" if corpus else "notebook")
    return [plan for plan in plans if notebook in plan.notebooks(corpus)]


@dataclass(kw_only=True)
class _Run:
    """One run: what is asked for, and what came of it so far."""

    plans: dict[str, Study]
    spaces: dict[str, Workspace]
    only: str | None
    experiment: str
    scheduler: str
    problems: dict[str, str] = field(default_factory=dict)
    executed: list[str] = field(default_factory=list)
    starting: threading.Lock = field(default_factory=threading.Lock)
    stopped: bool = False

    @property
    def at_once(self) -> int:
        """How many notebooks run at a time: of each study one, and one more than there are cores.

        While a kernel starts or ends, or its answer is fetched, nothing computes for a second.
        """
        profile = config.profile(next(iter(self.spaces.values())).profile)
        return min(profile.parallel_studies, len(self.plans), schedule.cores() + 1)

    @cached_property
    def kernels(self) -> "Kernels":
        """Where kernels come from; they share the cores."""
        from musiclatent.apps.running.kernels import CAN_FORK, Kernels  # nothing may be to run

        for name, value in _environment().items():
            os.environ[name] = value
        if not CAN_FORK:
            numba_cache.compile_librosa()
        threads = os.environ.get("OMP_NUM_THREADS", "").split(",")[0]
        threads = int(threads or max(1, schedule.cores() // self.at_once))
        first = imports.imported_by(_code(name for name, waits in self.before.items() if not waits))
        compiled = [f"librosa.{name}" for name in numba_cache.MODULES]  # by one process
        modules = imports.modules_of(_code(self.before))
        return Kernels(modules, threads, [*first, *compiled])

    @cached_property
    def before(self) -> dict[str, set[str]]:
        """What must have ended before each notebook that is to run or to be looked at."""
        usable = {name: plan for name, plan in self.plans.items() if name not in self.problems}
        corpus = next(iter(self.spaces.values())).corpus
        books = {name: plan.notebooks(corpus) for name, plan in usable.items()}
        asked = {name: [b for b in all_ if self.only in (None, b)] for name, all_ in books.items()}
        return schedule.graph(asked)

    def work(self) -> None:
        """Run what is to run, and leave a note of what went wrong."""
        for name, plan in self.plans.items():
            if missing := _missing(plan, self.spaces[name]):
                self.problems[name] = missing
        self._schedule()
        for name, space in self.spaces.items():
            # One notebook that went well says nothing of the others.
            if name in self.problems or self.only is None:
                _note(space, self.problems.get(name, ""))

    def _schedule(self) -> None:
        """Run the graph of notebooks."""
        seconds = {name: self._seconds(name) for name in self.before}
        longest = schedule.chains(self.before, seconds)
        console = Console(seconds, longest=longest, at_once=self.at_once)
        order = {"longest": longest, "at_once": self.at_once, "tick": console.tick}
        try:
            work = partial(self._one, console=console)
            schedule.run(self.before, work, **order, stop=self._stop)
        finally:
            console.close()
            self._stop()

    def _stop(self) -> None:
        """End all kernels."""
        self.stopped = True
        if "kernels" in vars(self):
            self.kernels.close()

    def _seconds(self, name: str) -> float:
        """Return how long a notebook took when it ran last, here or where the package was made."""
        study_name, book = name.split("/")
        space = self.spaces[study_name]
        known = up_to_date.read(space, book).seconds
        return known or shipped(space.profile).get(name, 0.0)

    def _one(self, name: str, console: Console) -> None:
        """Run a notebook unless nothing changed since it ran; say how it ended."""
        study_name, book = name.split("/")
        if study_name in self.problems or self.stopped:
            return
        console.began(name)
        space, source = self.spaces[study_name], _source(book)
        parameters = _parameters(self.plans[study_name], space, self.experiment)
        # The first notebook fills the cache: the work over many files.
        first = book == self.plans[study_name].notebooks()[0]
        parameters |= {"scheduler": self.scheduler} if first else {}
        left = {need: _left(need, space) for need in schedule.needs(study_name, book)}
        data = _data(self.plans[study_name], space)
        identity = up_to_date.identity(source, parameters, data=data, left=left)
        if up_to_date.is_up_to_date(space, book, identity):
            console.ended(name, "reused, nothing changed since it ran")
            return
        began = time.time()
        with self.starting:  # one process for all, whichever notebook asks first
            kernels = self.kernels
        problem = execute(source, space, parameters, kernels)
        if self.stopped:
            return
        if problem:
            self.problems[study_name] = f"{book} {problem}"
        else:
            up_to_date.record(space, book, identity, began=began)
        self.executed.append(name)
        console.ended(name, problem or f"{time.time() - began:.0f} s")


def execute(source: Path, space: Workspace, parameters: dict[str, str], kernels: "Kernels") -> str:
    """Run one notebook, see `execution.execute`."""
    from musiclatent.apps.running import execution  # brings papermill

    return execution.execute(source, space, parameters, kernels=kernels)


def _code(names: Iterable[str]) -> str:
    """Return the code of notebooks, each once; names are ``study/notebook``."""
    books = sorted({name.split("/")[1] for name in names})
    return "\n".join(imports.code_of(_source(book)) for book in books)


def _source(name: str) -> Path:
    """Return the file of a notebook."""
    return config.home() / "notebooks" / f"{name}.ipynb"


def _environment() -> dict[str, str]:
    """Return what the environment of kernels lacks."""
    found = {name: os.environ.get(name, value) for name, value in ENVIRONMENT}
    homes = {"MUSICLATENT_HOME": str(config.home()), "MUSICLATENT_DATA": str(config.data_root())}
    return found | homes


def _left(need: str, space: Workspace) -> str:
    """Return what a notebook left that another one needs."""
    study_name, book = need.split("/")
    # The encoders of other studies are trained on their own corpora.
    corpus = space.corpus if study_name == space.study else ""
    options = {"profile": space.profile, "results": space.results}
    return up_to_date.read(Workspace(study=study_name, corpus=corpus, **options), book).left


def _missing(plan: Study, space: Workspace) -> str:
    """Report which dataset a study lacks and how to get it; empty if none."""
    if space.corpus or config.profile(space.profile).demo:
        return ""
    for name in [*_corpora(plan, space), *(["new_music"] if plan.experiments else [])]:
        try:
            _require(name)
        except CorpusError as error:
            print(f"{plan.name}: skipped, {error}", flush=True)
            return f"skipped: {error}"
    return ""


def _corpora(plan: Study, space: Workspace) -> list[str]:
    """Return the real corpora that a study needs in a profile."""
    precomputed = plan.precomputed if space.profile == "real" else ""
    return [*plan.real, *filter(None, [precomputed])]


def _parameters(plan: Study, space: Workspace, experiment: str) -> dict[str, str]:
    """Return the parameters that every notebook takes."""
    return {
        "study": plan.name,
        "experiment": experiment,
        "profile": space.profile,
        "corpus": space.corpus,
        "results": str((config.home() / space.results).resolve()),
    }


def _data(plan: Study, space: Workspace) -> list[Path]:
    """Return folders of what a study reads; embedded corpora follow from our code."""
    # The published weights that embed dance music are taken wherever they are.
    weights = [] if plan.has_encoder or plan.experiments else [config.data_root() / "vggish"]
    if config.profile(space.profile).demo:
        return [*([Path(space.corpus)] if space.corpus else []), *weights]
    names = [space.corpus] if space.corpus else _corpora(plan, space)
    return [*(config.data_root() / name for name in [*names, "new_music"]), *weights]


def _report(space: Workspace, run: _Run) -> Path:
    """Write the report if a notebook ran or it is missing; name what to open."""
    page = space.base / "index.html"
    if run.executed or run.problems or not page.exists():
        from musiclatent.apps.reporting import report

        page = report.write(space.base, space.profile)
    for line in links(page, run.spaces.values()):
        print(line, flush=True)
    return page


def links(page: Path, spaces: Iterable[Workspace]) -> list[str]:
    """Name what there is to open: the report, a map, and the executed notebooks.

    Parameters
    ----------
    page
        The report.
    spaces
        The results of studies.
    """
    found = {"report": page}
    for space in spaces:
        places = {"map": space.path("map.html"), "notebooks": space.path("notebooks")}
        found |= {name: p for name, p in places.items() if name not in found and p.exists()}
    return [f"{name}: {path.absolute().as_uri()}" for name, path in found.items()]


def _note(space: Workspace, problem: str) -> None:
    """Write a line for the report, or remove an old one."""
    (space.path() / FAILED).unlink(missing_ok=True)
    if problem:
        write_json(space.make() / FAILED, {"reason": problem})


def _raise_for(problems: dict[str, str], alone: bool) -> None:
    """Fail for what went wrong; a dataset that is missing fails only a study asked for by name."""
    serious = {k: v for k, v in problems.items() if alone or not v.startswith("skipped")}
    if serious:
        raise ReproduceError("; ".join(f"{name} {problem}" for name, problem in serious.items()))
