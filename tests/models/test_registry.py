import numpy as np
import torch
from helpers.models import untrained

from musiclatent import models
from musiclatent.audio.windows import Waveform
from musiclatent.config import Experiment
from musiclatent.evaluation import reconstruction
from musiclatent.studies import STUDIES


def test_every_experiment_has_a_model_that_takes_its_options():
    for study in STUDIES.values():
        for row in study.experiments.values():
            model = models.MODELS[row.model](**row.options)
            assert model.stride > 0 if study.has_encoder else model.hparams["classes"] > 1


def test_waveforms_come_back_as_the_model_gives_them(tmp_path):
    options = {"maps": 2, "kernel_size": 16, "stride": 8, "extra": "none"}
    row = Experiment(
        name="waveform-w",
        study="waveform",
        key="w",
        model="WaveformAutoencoder",
        options=options,
        about="",
    )
    run = untrained(tmp_path, row)
    model = run.load()
    x = np.random.default_rng(0).uniform(-0.1, 0.1, (3, 100)).astype(np.float32)
    with torch.no_grad():
        expected = model(torch.from_numpy(x)[:, None]).x_hat[:, 0].numpy()
    # Batches may be cut otherwise: float32, samples up to 1.
    np.testing.assert_allclose(
        reconstruction.reconstruct(run, x, Waveform(1000, 0.1)), expected, atol=1e-6
    )
