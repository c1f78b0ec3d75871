"""Small models without training, kept as a training keeps them."""

from pathlib import Path

import pandas as pd
import torch

from musiclatent import models
from musiclatent.audio.windows import Transform, Waveform
from musiclatent.config import Experiment
from musiclatent.features.mel import LogMel
from musiclatent.training.run_folder import Run, write_model

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


def untrained(
    folder: Path,
    experiment: Experiment = SMALL,
    *,
    seed: int = 0,
    transform: Transform = Waveform(8000, 0.5),  # noqa: B008, frozen
) -> Run:
    """A run whose weights are random, stored as training stores them."""
    torch.manual_seed(seed)
    model = models.MODELS[experiment.model](**experiment.options)
    folder = write_model(
        folder / f"{experiment.name}-{seed}",
        model,
        transform=transform,
        study=experiment.study,
        experiment=experiment.name,
    )
    return Run(
        experiment=experiment, folder=folder, metrics={}, curves=pd.DataFrame(), status="trained"
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
    """A run of `MEL` with random weights."""
    return untrained(folder, MEL, transform=LogMel(sr=8000, window_s=0.5, n_mels=16))
