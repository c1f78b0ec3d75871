"""Small models without training, kept as a training keeps them."""

from pathlib import Path

import pandas as pd
import torch

from musiclatent import models
from musiclatent.config import Experiment
from musiclatent.training.run_folder import Run

A1 = {"maps": 16, "kernel_size": 64, "stride": 32, "extra": "none"}
SPARSE = {"hops": [64, 1024], "numbers": 27_500, "iterations": 3, "refits": 1, "crop": 2}


def untrained(folder: Path, kind: str, options: dict) -> Run:
    torch.manual_seed(0)
    model = models.MODELS[kind](**options)
    content = {"state_dict": model.state_dict(), "hyper_parameters": dict(model.hparams)}
    torch.save(content, folder / f"{kind}.ckpt")
    row = Experiment(
        name=f"waveform-{kind}",
        study="waveform",
        key=kind,
        model=kind,
        options=options,
        about="for tests",
    )
    return Run(row, folder / f"{kind}.ckpt", {}, pd.DataFrame(), "trained")
