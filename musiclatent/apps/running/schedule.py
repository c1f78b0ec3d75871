"""The notebooks of all studies as one graph over the cores, the longest chain first.

The notebooks of a study follow one another in the order of ``studies.toml``, since they write one
folder; ``needs.toml`` says which of them need what another study left, or would wait for it.
"""

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from graphlib import TopologicalSorter
from itertools import pairwise
from pathlib import Path

from musiclatent.files import read_toml

TICK_S = 1.0
_TABLES = read_toml(Path(__file__).with_name("needs.toml"))
NEEDS: dict[str, tuple[str, ...]] = _TABLES["needs"]
AFTER: dict[str, tuple[str, ...]] = _TABLES["after"]


def needs(study: str, name: str) -> list[str]:
    """Return the notebooks whose files a notebook reads, as ``study/notebook``.

    Parameters
    ----------
    study, name
        The study, and its notebook.
    """
    named = NEEDS.get(name, ())
    return [one if "/" in one else f"{study}/{one}" for one in named]


def graph(plans: Mapping[str, Sequence[str]]) -> dict[str, set[str]]:
    """Return what must have ended before each notebook, among those that are to run.

    Parameters
    ----------
    plans
        Study -> its notebooks, in order.

    Returns
    -------
    dict
        ``study/notebook`` -> such names.

    Raises
    ------
    graphlib.CycleError
        If notebooks wait for one another.
    """
    before = {f"{study}/{name}": set() for study, names in plans.items() for name in names}
    for study, names in plans.items():
        for first, second in pairwise(names):
            before[f"{study}/{second}"].add(f"{study}/{first}")
        for name in names:
            waits = {*needs(study, name), *AFTER.get(f"{study}/{name}", ())}
            before[f"{study}/{name}"] |= waits & before.keys()
    TopologicalSorter(before).prepare()
    return before


def chains(before: Mapping[str, set[str]], seconds: Mapping[str, float]) -> dict[str, float]:
    """Return how long the longest chain is that begins with each notebook, in seconds.

    Parameters
    ----------
    before
        As `graph` gives it.
    seconds
        How long each of them takes; what is not named takes none.
    """
    longest = dict.fromkeys(before, 0.0)
    for name in reversed(list(TopologicalSorter(before).static_order())):
        longest[name] += seconds.get(name, 0.0)
        for earlier in before[name]:
            longest[earlier] = max(longest[earlier], longest[name])
    return longest


def run(
    before: Mapping[str, set[str]],
    work: Callable[[str], object],
    *,
    at_once: int,
    longest: Mapping[str, float],
    tick: Callable[[Iterable[str]], object] = lambda _: None,
    stop: Callable[[], object] = lambda: None,
) -> None:
    """Run all notebooks, each after what it waits for, those with the longest chain first.

    Parameters
    ----------
    before
        As `graph` gives it.
    work
        Runs one; it is called in threads.
    at_once
        How many run at a time.
    longest
        As `chains` gives it.
    tick
        Called every second with the names of those that run.
    stop
        Called where the run is broken off; it makes those that run end.
    """
    sorter, ready, running = TopologicalSorter(before), [], {}
    sorter.prepare()
    with ThreadPoolExecutor(at_once) as threads:
        try:
            while sorter.is_active():
                ready = sorted([*ready, *sorter.get_ready()], key=lambda name: longest[name])
                while ready and len(running) < at_once:
                    name = ready.pop()
                    running[threads.submit(work, name)] = name
                tick(running.values())
                for done in wait(running, TICK_S, FIRST_COMPLETED).done:
                    sorter.done(running.pop(done))
                    done.result()
        except BaseException:  # Ctrl-C too: else the threads would be waited for
            stop()
            raise


def cores() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
