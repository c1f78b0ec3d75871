"""Measure what a run of notebooks costs besides their work: start-up, reuse, one module changed.

The notebooks are copied and cut off after their imports, and run from a copy of the package: first
all of them, then again, then after a line was added to ``display/edm.py`` of the copy. Processor
seconds are of all processes; they hold better than times where something else runs.

Run: python benchmarks/reproduce.py [--quick]
"""

import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import common

CHECKOUT = Path(__file__).resolve().parents[1]
STEPS = ("start", "second", "touched")
KEYS = ("notebooks", *(f"{step}_{what}" for step in STEPS for what in ("s", "cpu_s", "ran")))


def measure(study: str) -> common.Figures:
    """Return what the three runs of a study, or of ``all``, cost."""
    with tempfile.TemporaryDirectory(prefix="musiclatent-bench-") as scratch:
        home = Path(scratch)
        shutil.copytree(CHECKOUT / "musiclatent", home / "musiclatent")
        (home / "notebooks").mkdir()
        for path in (CHECKOUT / "notebooks").glob("*.ipynb"):
            (home / "notebooks" / path.name).write_text(json.dumps(beginning(path)))
        figures = step("start", home, study) | step("second", home, study)
        with (home / "musiclatent" / "display" / "edm.py").open("a") as module:
            module.write("\nADDED = True\n")
        return figures | step("touched", home, study)


def beginning(path: Path) -> dict:
    """Return a notebook up to its second cell of code, which imports."""
    book = json.loads(path.read_text())
    code = [i for i, cell in enumerate(book["cells"]) if cell["cell_type"] == "code"]
    return book | {"cells": book["cells"][: code[1] + 1]}


def step(name: str, home: Path, study: str) -> common.Figures:
    """Return seconds, processor seconds and notebooks that ran of one run."""
    command = [sys.executable, "-m", "musiclatent", "reproduce", "--study", study]
    environment = {k: v for k, v in os.environ.items() if k != "OMP_NUM_THREADS"}
    environment |= {"MUSICLATENT_HOME": str(home), "PYTHONPATH": str(home)}
    began, before = time.perf_counter(), _processor_s()
    done = subprocess.run(
        command, cwd=home, env=environment, check=True, stdout=subprocess.PIPE, text=True
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("[")]
    seconds = {f"{name}_s": time.perf_counter() - began, f"{name}_cpu_s": _processor_s() - before}
    ran = sum("reused" not in line for line in lines)
    return seconds | {f"{name}_ran": ran, "notebooks": len(lines)}


def _processor_s() -> float:
    """Return the processor seconds of all processes that we started and that ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    common.run(KEYS, full=lambda: measure("all"), quick=lambda: measure("edm"))
