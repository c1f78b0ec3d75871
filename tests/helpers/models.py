"""Small models without training, kept as a training keeps them."""

from pathlib import Path

import pandas as pd
import torch

from musiclatent import models
from musiclatent.config import Experiment
from musiclatent.training.run_folder import Run

A1 = {"maps": 16, "kernel_size": 64, "stride": 32, "extra": "none"}
SPARSE = {"hops": [64, 1024], "numbers": 27_500, "iterations": 3, "refits": 1, "crop": 2}


def waveform_experiment(model: str, options: dict, key: str = "small") -> Experiment:
    """An experiment of the study ``waveform`` that no table holds."""
    return Experiment(
        name=f"waveform-{key}",
        study="waveform",
        key=key,
        model=model,
        options=options,
        about="a small one for tests",
    )


SMALL = waveform_experiment("WaveformAutoencoder", A1 | {"maps": 8})


def untrained(folder: Path, experiment: Experiment = SMALL, seed: int = 0) -> Run:
    """A run whose weights are random, stored as training stores them."""
    torch.manual_seed(seed)
    model = models.MODELS[experiment.model](**experiment.options)
    content = {"state_dict": model.state_dict(), "hyper_parameters": dict(model.hparams)}
    path = folder / f"{experiment.name}-{seed}.ckpt"
    torch.save(content, path)
    return Run(
        experiment=experiment, checkpoint=path, metrics={}, curves=pd.DataFrame(), status="trained"
    )
