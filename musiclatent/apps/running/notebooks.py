"""Run the notebooks of a study, one after the other, and write the report.

Kernels listen on local sockets, by a client that misses no answer. While nbclient waits for the
answer of a cell it sends the state of an Output widget on the same socket, past the event loop, and
the loop may never hear that the answer is there: a notebook with sliders then waits for ever
(jupyter_client 8.10, nbclient 0.11; often where processors are busy). Asking again every second
finds what is there.
"""

import logging
import os
import re
import time
from pathlib import Path
from queue import Empty

import papermill
from joblib import Parallel, delayed
from jupyter_client import channels
from jupyter_client.asynchronous import AsyncKernelClient
from papermill.exceptions import PapermillExecutionError
from traitlets import Type
from traitlets.config import Config

from musiclatent import config, numba_cache
from musiclatent.apps import report
from musiclatent.apps.running import up_to_date
from musiclatent.config import Study, Workspace
from musiclatent.data.corpus import require
from musiclatent.errors import CorpusError, ReproduceError
from musiclatent.files import pick, write_json
from musiclatent.studies import STUDIES, study

_MAKE = Path(config.__file__).with_name("environment.mk").read_text()
ENVIRONMENT = re.findall(r"^export (\w+) \?= (\w+)$", _MAKE, re.MULTILINE)


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
        require(corpus, config.data_root())
    spaces = {
        plan.name: Workspace(profile=profile, study=plan.name, corpus=corpus, results=results)
        for plan in plans
    }
    numba_cache.compile_librosa()
    if scheduler:
        os.environ[config.SCHEDULER] = scheduler  # notebooks that encode hand their work over too
    asked = {"only": notebook, "experiment": experiment, "scheduler": scheduler}
    tasks = (delayed(_whole)(plan, spaces[plan.name], **asked) for plan in plans)
    # In a process of its own each has one thread: joblib sees to that.
    reasons = Parallel(min(config.profile(profile).parallel_studies, len(plans)))(tasks)
    problems = {plan.name: why for plan, why in zip(plans, reasons, strict=True) if why}
    page = report.write(spaces[plans[0].name].base, profile)
    print(f"report: {page}", flush=True)
    _raise_for(problems, alone=len(plans) == 1)
    return page


def _plans(name: str, notebook: str | None, corpus: str) -> list[Study]:
    """Return the studies that are asked for; where a notebook is, those that run it."""
    plans = list(STUDIES.values()) if name == "all" else [study(name)]
    if notebook is None:
        return plans
    names = dict.fromkeys(book for plan in plans for book in plan.notebooks(corpus))
    pick(names, notebook, "notebook of a folder without labels" if corpus else "notebook")
    return [plan for plan in plans if notebook in plan.notebooks(corpus)]


def _whole(plan: Study, space: Workspace, only: str | None, **asked: str) -> str:
    """Run a study if its data is there; return what went wrong, and leave a note of it."""
    problem = _missing(plan, space) or _run(plan, space, only, **asked)
    if problem or only is None:  # one notebook that went well says nothing of the others
        _note(space, problem)
    return problem


def _missing(plan: Study, space: Workspace) -> str:
    """Report which dataset a study lacks and how to get it; empty if none."""
    if space.corpus or config.profile(space.profile).demo:
        return ""
    for name in [*_corpora(plan, space), *(["new_music"] if plan.experiments else [])]:
        try:
            require(name, config.data_root())
        except CorpusError as error:
            print(f"{plan.name}: skipped, {error}", flush=True)
            return f"skipped: {error}"
    return ""


def _corpora(plan: Study, space: Workspace) -> list[str]:
    """Return the real corpora that a study needs in a profile."""
    precomputed = plan.precomputed if space.profile == "real" else ""
    return [*plan.real, *filter(None, [precomputed])]


def _run(
    plan: Study, space: Workspace, only: str | None, *, experiment: str, scheduler: str
) -> str:
    """Run a study's notebooks, or only one; return what went wrong, or nothing."""
    identity = ""
    for name in plan.notebooks(space.corpus):
        parameters = _parameters(plan, space, experiment)
        # The first notebook fills the cache: the work over many files.
        parameters |= {"scheduler": scheduler} if not identity else {}
        source = config.home() / "notebooks" / f"{name}.ipynb"
        identity = up_to_date.identity(source, parameters, data=_data(plan, space), before=identity)
        if only in (None, name) and (problem := _execute_once(source, space, parameters, identity)):
            return problem
    return ""


def _execute_once(source: Path, space: Workspace, parameters: dict[str, str], identity: str) -> str:
    """Run a notebook unless nothing changed since it ran; return what went wrong, or nothing."""
    title = f"{space.study}: {source.stem}"
    if up_to_date.is_up_to_date(space, source.stem, identity):
        print(f"{title} reused, nothing changed since it ran", flush=True)
        return ""
    began = time.monotonic()
    print(f"{title} ...", flush=True)
    problem = execute(source, space, parameters)
    print(f"{title} {problem or f'{time.monotonic() - began:.0f} s'}", flush=True)
    if not problem:
        up_to_date.record(space, source.stem, identity)
    return problem


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
    """Return folders of the audio that a study works on; embedded corpora follow from our code."""
    if config.profile(space.profile).demo:
        return [Path(space.corpus)] if space.corpus else []
    names = [space.corpus] if space.corpus else _corpora(plan, space)
    return [config.data_root() / name for name in [*names, "new_music"]]


def execute(source: Path, space: Workspace, parameters: dict[str, str]) -> str:
    """Run one notebook into the study's results.

    Parameters
    ----------
    source
        The notebook.
    space
        Where its results go.
    parameters
        Values for its parameters cell.

    Returns
    -------
    str
        What went wrong in one sentence, or nothing.
    """
    folder = space.make("notebooks")
    running, target = folder / f".running-{source.name}", folder / source.name
    os.environ["MUSICLATENT_HOME"] = str(config.home())
    os.environ["MUSICLATENT_DATA"] = str(config.data_root())
    for name, value in ENVIRONMENT:
        os.environ.setdefault(name, value)
    logging.getLogger("papermill").setLevel(logging.ERROR)
    try:
        run = {"kernel_name": "python3", "cwd": folder, "progress_bar": False}
        papermill.execute_notebook(source, running, parameters, config=options(), **run)
    except PapermillExecutionError as error:
        failed = folder / f"failed-{source.name}"
        os.replace(running, failed)
        return f"failed in cell {error.exec_count}: {error.ename}: {error.evalue}; see {failed}"
    os.replace(running, target)
    (folder / f"failed-{source.name}").unlink(missing_ok=True)
    return ""


def _note(space: Workspace, problem: str) -> None:
    """Write a line for the report, or remove an old one."""
    (space.path() / report.FAILED).unlink(missing_ok=True)
    if problem:
        write_json(space.make() / report.FAILED, {"reason": problem})


def _raise_for(problems: dict[str, str], alone: bool) -> None:
    """Fail for what went wrong; a dataset that is missing fails only a study asked for by name."""
    serious = {k: v for k, v in problems.items() if alone or not v.startswith("skipped")}
    if serious:
        raise ReproduceError("; ".join(f"{name} {problem}" for name, problem in serious.items()))


ASK_S = 1.0
# jupyter_client 7, which Colab's server runs on, has one asynchronous class under the other name.
_Channel = getattr(channels, "AsyncZMQSocketChannel", channels.ZMQSocketChannel)


class AskingChannel(_Channel):
    """A channel that looks at its socket every second while it waits."""

    async def get_msg(self, timeout: float | None = None) -> dict:
        """Wait for a message, `timeout` seconds at most; None waits for as long as it takes.

        Raises
        ------
        Empty
            If none came in time.
        """
        left = float("inf") if timeout is None else timeout
        while left > ASK_S:
            try:
                return await super().get_msg(ASK_S)
            except Empty:
                left -= ASK_S
        return await super().get_msg(left)


class AskingClient(AsyncKernelClient):
    """A client whose answers come over an `AskingChannel`."""

    shell_channel_class = Type(AskingChannel)


def options() -> Config:
    """Return what papermill passes on to the manager of the kernel."""
    manager = {"client_class": f"{__name__}.{AskingClient.__name__}"}
    # Local sockets: a kernel on TCP warns that its traffic is in plain text.
    manager |= {"transport": "ipc"} if os.name == "posix" else {}
    return Config({"KernelManager": manager})
