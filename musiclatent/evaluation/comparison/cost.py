"""What an encoder costs: numbers per second, speed on one core, memory, megabytes of weights."""

import gc
import hashlib
import json
import platform
import re
import sys
import time
from pathlib import Path

import numpy as np
from joblib.externals.loky import ProcessPoolExecutor

from musiclatent.evaluation.comparison.vectors import Find
from musiclatent.files import write_json
from musiclatent.latents.encoders import contract
from musiclatent.latents.encoders.contract import FrameEncoder
from musiclatent.latents.encoders.statistics import Statistics

SECONDS = 20.0  # of noise that is encoded
ROUNDS = 3  # the quickest counts
CACHE_VERSION = 2  # raise by hand when what is measured changes
FIGURES = ("numbers_per_s", "speed", "memory_mb", "weights_mb")


def measure(find: Find, store: Path, *, apart: bool = True) -> dict[str, float]:
    """Measure what an encoder costs on this machine, or take what is kept.

    Parameters
    ----------
    find
        What finds the encoder.
    store
        Folder that keeps the figures by encoder, revision and machine.
    apart
        Whether it works in a process of its own, which alone tells the memory that it takes.

    Returns
    -------
    dict
        ``numbers_per_s`` (rows a second times their width), ``speed`` (seconds of sound encoded
        per second, one thread), ``memory_mb`` (the most that a process took that did only this; NaN
        where it was not apart), ``weights_mb`` (of parameters; NaN where they cannot be counted).
    """
    encoder = find()
    what = (encoder.name, encoder.revision, platform.node(), platform.processor(), CACHE_VERSION)
    name = hashlib.sha256(repr(what).encode()).hexdigest()[:20]
    path = store / "cost" / f"{name}.json"
    if path.exists():
        return {key: float("nan") if v is None else v for key, v in _read(path).items()}
    figures = _in_new_process(find) if apart else _in_this_process(find)
    write_json(path, {key: None if np.isnan(v) else v for key, v in figures.items()})
    return figures


def _read(path: Path) -> dict[str, float | None]:
    """Read figures that were kept."""
    return json.loads(path.read_text("utf-8"))


def _in_new_process(find: Find) -> dict[str, float]:
    """Measure in a process that did nothing else before, so that its memory is the encoder's."""
    with ProcessPoolExecutor(1) as pool:
        return pool.submit(figures_of, find).result()


def _in_this_process(find: Find) -> dict[str, float]:
    """Measure all but the memory, which is that of all else here too."""
    torch = sys.modules.get("torch")
    threads = torch and torch.get_num_threads()
    try:
        return figures_of(find) | {"memory_mb": float("nan")}
    finally:
        if torch:
            torch.set_num_threads(threads)


def figures_of(find: Find) -> dict[str, float]:
    """Measure an encoder in this process, on one thread.

    Parameters
    ----------
    find
        What finds the encoder.

    Returns
    -------
    dict
        As `measure`.
    """
    encoder = find()
    _one_thread()
    y = 0.1 * np.random.default_rng(0).standard_normal(round(SECONDS * encoder.sr))
    y = y.astype(np.float32)
    z = contract.encode_sound(encoder, y)  # warm
    times = []
    for _ in range(ROUNDS):
        gc.collect()
        start = time.perf_counter()
        contract.encode_sound(encoder, y)
        times.append(time.perf_counter() - start)
    return {
        "numbers_per_s": z.shape[1] / encoder.hop_s,
        "speed": SECONDS / min(times),
        "memory_mb": _most_mb(),
        "weights_mb": weights_mb(encoder),
    }


def _one_thread() -> None:
    """Take one thread, where torch is there already."""
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


def _most_mb() -> float:
    """Return the most memory that this process has taken, in millions of bytes; NaN on Windows."""
    status = Path("/proc/self/status")
    if status.exists():  # where the other way counts what the process that started it had taken
        found = re.search(r"VmHWM:\s+(\d+) kB", status.read_text())
        return int(found[1]) * 1024 / 1e6
    try:
        import resource
    except ImportError:
        return float("nan")
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6  # macOS counts bytes


def weights_mb(encoder: FrameEncoder) -> float:
    """Return the size of an encoder's parameters.

    Parameters
    ----------
    encoder
        Any encoder; it may say its `weights_mb`, have a torch module as `model`, or be one of our
        statistics, which have none.

    Returns
    -------
    float
        Millions of bytes; 0 for statistics, NaN where nothing tells.
    """
    if hasattr(encoder, "weights_mb"):
        return float(encoder.weights_mb)
    if isinstance(encoder, Statistics):
        return 0.0
    model = getattr(encoder, "model", None)
    if hasattr(model, "parameters"):
        return sum(p.numel() * p.element_size() for p in model.parameters()) / 1e6
    return float("nan")
