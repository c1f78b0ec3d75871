"""Spread tasks over workers; a worker that is lost costs its tasks and nothing else."""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager

import joblib
from joblib.externals.loky.process_executor import TerminatedWorkerError
from joblib.parallel import SequentialBackend, get_active_backend

from musiclatent import numba_cache
from musiclatent.errors import CacheError

CONNECT_S = 10  # how long to wait for a Dask scheduler
LOSSES = 3  # of worker processes that are made good; a task that kills its worker ends the run then
_log = logging.getLogger("musiclatent")


def each(
    function: Callable, tasks: Sequence[tuple], *, n_jobs: int, scheduler: str | None = None
) -> Iterator:
    """Call a function for every task, on workers, and yield what it returns in their order.

    A worker may be killed: its tasks are done again, those whose results were yielded are not.

    Parameters
    ----------
    function
        What is called; it can be found by its name in its module.
    tasks
        Its arguments.
    n_jobs
        Processes on this machine; -1 takes every core.
    scheduler
        Address ``tcp://host:port`` of a Dask scheduler that takes the work instead.

    Yields
    ------
    object
        What the function returns.

    Raises
    ------
    CacheError
        If no scheduler with workers answers.
    TerminatedWorkerError
        If worker processes end again and again, as for want of memory.
    """
    done, losses = 0, 0
    while done < len(tasks):
        try:
            with backend(n_jobs, scheduler):
                left = (numba_cache.delayed(function)(*task) for task in tasks[done:])
                for result in joblib.Parallel(return_as="generator")(left):
                    done += 1
                    yield result
        except TerminatedWorkerError:
            losses += 1
            if losses > LOSSES:
                raise
            _log.warning("a worker process ended; what it had not finished is done again")


@contextmanager
def backend(n_jobs: int, scheduler: str | None) -> Iterator[None]:
    """Configure joblib to use processes of this machine or a Dask cluster.

    Parameters
    ----------
    n_jobs, scheduler
        As in `each`.

    Raises
    ------
    CacheError
        If no scheduler with workers answers.
    """
    if scheduler is None:
        alone = isinstance(get_active_backend()[0], SequentialBackend)  # see `warm.share`
        with joblib.parallel_config("loky", n_jobs=1 if alone else n_jobs):
            yield
        return
    from distributed import Client  # half a second to import, and most runs need none

    with ExitStack() as stack:
        try:
            client = stack.enter_context(Client(scheduler, timeout=CONNECT_S))
            client.wait_for_workers(1, timeout=CONNECT_S)
        except (OSError, ValueError) as error:
            raise CacheError(
                f"no Dask scheduler with workers answers at {scheduler!r}; start `dask scheduler`"
                " and `dask worker`, or leave the scheduler out to compute on this machine"
            ) from error
        stack.enter_context(joblib.parallel_config("dask", client=client, n_jobs=-1))
        yield
