"""The six studies: their questions, corpora and experiments."""

from dataclasses import replace
from pathlib import Path

from musiclatent import config, experiments, files
from musiclatent.config import Experiment, Study

# Of `classifiers`: the best on the filtered validation list, frozen before the test list was read.
ATTRIBUTE_CLASSIFIER = "vote"
# Notebooks that every study with an encoder runs; the tens digit of the others names the study.
SHARED = (
    "01_preprocess",
    "02_train_autoencoders",
    "03_latent_clustering",
    "04_encode_new_music",
    "05_interpolate_generate",
    "06_latent_map",
)
# Sizes on the embedded corpora, by model, where the real ones would take minutes.
EMBEDDED = {
    "SparseAutoencoder": {"hops": [256, 2048], "iterations": 2, "refits": 0, "crop": 1},
    "DeepAutoencoder": {"width": 32, "depth": 2, "crop": 1},
    "PoolingAutoencoder": {"channels": [2, 8, 16], "hidden": 32},
}


def _study(name: str, row: dict) -> Study:
    """Return a study from its row in ``studies.toml``."""
    rows = {"experiments": experiments.EXPERIMENTS, "shapes": experiments.SHAPES}
    rows = {kind: table.get(name, {}) for kind, table in rows.items()}
    return Study(**{"shared": SHARED} | row | rows, name=name)


_TABLE = files.read_toml(Path(__file__).with_name("studies.toml"))
STUDIES = {name: _study(name, row) for name, row in _TABLE.items()}


def study(name: str, profile: str = "demo") -> Study:
    """Return a study by its name, with the window and the model sizes of a profile.

    Parameters
    ----------
    name
        Name of the study.
    profile
        Name of a profile: ``paper`` may have windows of its own, embedded ones smaller models.

    Raises
    ------
    ValueError
        If there is no such study or profile.
    """
    plan = files.pick(STUDIES, name, "study")
    if profile == "paper":
        rows = {row.name: _full(row) for row in plan.experiments.values()}
        return replace(plan, experiments=rows, window_s=plan.paper_window_s or plan.window_s)
    demo = config.profile(profile).demo
    if demo and demo.clips_per_style < 3:  # tiny: two clips of a style leave no test part
        plan = replace(plan, labels={})
    costly = any(row.model in EMBEDDED for row in plan.experiments.values())
    if demo and (plan.width_divisor > 1 or costly):
        rows = {row.name: _small(row, plan.width_divisor) for row in plan.experiments.values()}
        return replace(plan, experiments=rows)
    return plan


def _full(row: Experiment) -> Experiment:
    """Return an experiment in the paper's own size, where two cores cannot train that."""
    return replace(row, options=row.options | row.full, training=row.full_training or row.training)


def _small(row: Experiment, factor: int) -> Experiment:
    """Return an experiment with fewer channels, or an expensive one in its small sizes."""
    if factor == 1:
        return replace(row, options=row.options | EMBEDDED.get(row.model, {}))
    channels = [n // factor for n in row.options.get("channels", experiments.CHANNELS)]
    return replace(row, options=row.options | {"channels": channels})
