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


MEL = Experiment(
    name="mel-small-3",
    study="mel",
    key="small_3",
    model="MelAutoencoder",
    options={
        "latent": 4,
        "channels": [4],
        "band_strides": [4],
        "time_strides": [4],
        "n_mels": 16,
    },
    about="Small; for tests.",
)


def stored_mel(folder: Path) -> Run:
    """A run of `MEL` with random weights, beside them what its training was."""
    torch.manual_seed(0)
    model = models.MODELS[MEL.model](**MEL.options, learning_rate=0.1, total_steps=7)
    content = {"state_dict": model.state_dict(), "hyper_parameters": dict(model.hparams)}
    path = folder / "best.ckpt"
    torch.save(content, path)
    return Run(experiment=MEL, checkpoint=path, metrics={}, curves=pd.DataFrame(), status="trained")
