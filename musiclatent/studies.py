"""The six studies and their experiments, each with the paper's figures and their source."""

from dataclasses import replace

from musiclatent.config import PROFILES, Experiment, Study, Training, pick

_TP4 = "Nunez, Suarez and Vitetta (2024), TP 4: Encodeador de musica"
_SIZES = (32, 64, 128)


def _waveform(maps: int) -> Experiment:
    """Make one size of the paper's chosen autoencoder (A1, A3)."""
    paper = {"validation_mse": 0.00328, "test_mse": 0.00338} if maps == 64 else {}
    about = (
        f"One convolution and one transposed convolution, {maps} maps, a frame every 512 samples, "
        "tanh. The paper varied the kernel and names none: 1,024 samples is our choice, as are "
        "the learning rate and its one-cycle schedule."
    )
    options = {"maps": maps, "kernel_size": 1024, "stride": 512, "extra": "none"}
    source = f"{_TP4}, section 2" if paper else ""
    training = Training(learning_rate=4e-3, batch_size=8)
    return Experiment(
        f"waveform-{maps}",
        str(maps),
        "WaveformAutoencoder",
        options,
        about,
        training,
        paper,
        source,
    )


def _linear(maps: int) -> Experiment:
    """Make the best linear block transform of the same size, which the paper does not have."""
    about = (
        f"The best linear transform from 512 samples to {maps} numbers and back, fitted in closed "
        "form on the training windows (principal components). Not in the paper: it shows what "
        "training adds."
    )
    options = {"maps": maps, "stride": 512}
    training = Training(epoch_factor=0.0)
    name = f"waveform-linear-{maps}"
    return Experiment(name, f"linear_{maps}", "LinearBlocks", options, about, training)


def _extra(extra: str) -> Experiment:
    """Make the chosen model with added layers (A2, second part)."""
    about = (
        f"waveform-64 with an added {extra} layer and ReLU on both sides; the paper found such "
        "models no better and less clear. Where the layers go is our choice."
    )
    options = {"maps": 64, "kernel_size": 1024, "stride": 512, "extra": extra}
    training = Training(learning_rate=2e-3, batch_size=8, epoch_factor=0.5)
    name = f"waveform-64-{extra}"
    return Experiment(name, f"64_{extra}", "WaveformAutoencoder", options, about, training)


_POOLING = Experiment(
    "waveform-pooling",
    "pooling",
    "PoolingAutoencoder",
    {"maps": 64, "channels": [4, 16, 64], "kernel_size": 9, "pool": 8, "hidden": 128},
    "The autoencoder made from an earlier classifier: three convolutions, three max-poolings and "
    "four hidden dense layers, ELU and shifted ReLU. The sizes are our choice, and the dense "
    "layers act on each frame, so that any length works.",
    Training(learning_rate=1e-3, batch_size=8, epoch_factor=0.1),
    {"test_mse": 0.05},
    f"{_TP4}, section 2 (the text names no split for this loss)",
)
_ROWS = (
    *(_waveform(maps) for maps in _SIZES),
    *(_linear(maps) for maps in _SIZES),
    _POOLING,
    _extra("conv"),
    _extra("dense"),
)

_KOVAR = "Kovar, CTU Prague: Learning the hidden structure of music"
# What a configuration changes in the baseline; the paper names no sizes, so all are our choice.
_CHANNELS = [32, 96, 128]  # of the baseline, as in models.mel
_FRONT = {
    "channels": [32, 64, 128, 128],
    "band_strides": [4, 2, 2, 2],
    "time_strides": [2, 2, 2, 2],
}
_SHAPES = {
    1: ("baseline", {}),
    2: ("larger kernel and latent", {"kernel_size": 5, "latent": 256}),
    3: (
        "large stride",
        {"channels": [64, 128], "kernel_size": 7, "band_strides": [8, 4], "time_strides": [4, 4]},
    ),
    4: (
        "deep, small latent",
        {
            "channels": [32, 96, 128, 128, 128],
            "band_strides": [4, 4, 2, 1, 1],
            "time_strides": [2, 2, 1, 1, 1],
            "latent": 16,
        },
    ),
    5: ("no batch normalisation", {"batch_norm": False}),
    6: ("CRNN baseline", _FRONT),
    7: ("larger kernel", _FRONT | {"kernel_size": 7}),
    8: ("larger RNN output", _FRONT | {"latent": 256}),
    9: ("baseline, larger kernel", _FRONT | {"kernel_size": 5}),
    10: ("small latent", _FRONT | {"latent": 32}),
}
_KNN = {
    "cae": (0.485, 0.455, 0.420, 0.410, 0.440),
    "triplet": (0.885, 0.840, 0.850, 0.655, 0.695),
    "crnn": (0.810, 0.915, 0.865, 0.875, 0.880),
}


def _mel(family: str, configuration: int) -> Experiment:
    """Make one of the fifteen configurations of system B."""
    kind, changes = _SHAPES[configuration]
    weight = 0.0 if family == "cae" else 1.0
    losses = "squared error alone" if family == "cae" else "squared error and triplet loss"
    return Experiment(
        f"mel-{family}-{configuration}",
        f"{family}_{configuration}",
        "CRNNAutoencoder" if family == "crnn" else "MelAutoencoder",
        {"triplet_weight": weight} | changes,
        f"{kind[0].upper()}{kind[1:]}; {losses}. The sizes are our choice; lambda, margin, miner "
        "and epochs were chosen on folds 3 and 4 of the excerpts, without fold 0.",
        Training(learning_rate=4e-3, batch_size=80, select="last", balanced=family != "cae"),
        {"test_knn": _KNN[family][(configuration - 1) % 5]},
        f"{_KOVAR}, table 1 (30 s, random validation set of 200 clips)",
    )


_MEL = (
    *(_mel("cae", i) for i in range(1, 6)),
    *(_mel("triplet", i) for i in range(1, 6)),
    *(_mel("crnn", i) for i in range(6, 11)),
)

STUDIES = {
    study.name: study
    for study in (
        Study(
            "waveform",
            "Waveform autoencoder",
            "How few numbers keep five seconds of music listenable?",
            _TP4,
            demo=("demo-music",),
            real=("gtzan", "music_speech/music"),
            window_s=5.0,
            experiments={row.name: row for row in _ROWS},
            compared=tuple(f"waveform-{maps}" for maps in _SIZES),
            chosen="waveform-64",
        ),
        Study(
            "mel",
            "Mel-spectrogram embeddings",
            "Does a triplet loss make the latents of a spectrogram follow genre?",
            _KOVAR,
            demo=("demo-music",),
            real=("gtzan",),
            window_s=3.0,
            paper_window_s=30.0,
            input="logmel",
            ready="gtzan_excerpts",
            split="filtered",
            experiments={row.name: row for row in _MEL},
            compared=("mel-cae-1", "mel-triplet-1", "mel-crnn-6"),
            chosen="mel-crnn-6",
            shrink=4,
            own=("09_mel_evaluation",),
        ),
        Study(
            "digits",
            "Variational autoencoder of spoken digits",
            "Can a small latent speak a digit that is understood?",
            "Couri and Oliveira, CIn/UFPE: autoencoders for digits and music",
            demo=("demo-digits",),
            real=("fsdd",),
            window_s=0.74,
            split="official",
        ),
        Study(
            "jazz",
            "Variational autoencoder of jazz",
            "Does the same model still work on six seconds of jazz?",
            "Couri and Oliveira, CIn/UFPE: autoencoders for digits and music",
            demo=("demo-music",),
            real=("gtzan", "music_speech/music"),
            window_s=5.94,
            keep={"gtzan": ("jazz",)},
        ),
        Study(
            "edm",
            "Clusters of electronic dance music",
            "Which sections of dance tracks belong together, and what can follow what?",
            "Murillo Martinez, EAFIT (2022): clustering electronic dance music",
            demo=("demo-dance",),
            real=("edm",),
            window_s=15.0,
        ),
        Study(
            "genre",
            "Genre from attributes and spectrograms",
            "How well do attributes and spectrograms tell genre on artists never heard?",
            "Sousa Freitas: project report on music genre classification",
            demo=("demo-music",),
            real=("gtzan",),
            window_s=30.0,
            split="filtered",
        ),
    )
}


def study(name: str, profile: str = "demo") -> Study:
    """Look a study up by its name, with the window and the model sizes of a profile.

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
    found = pick(STUDIES, name, "study")
    if profile == "paper" and found.paper_window_s:
        return replace(found, window_s=found.paper_window_s)
    if pick(PROFILES, profile, "profile").demo and found.shrink > 1:
        small = {row.name: _small(row, found.shrink) for row in found.experiments.values()}
        return replace(found, experiments=small)
    return found


def _small(row: Experiment, factor: int) -> Experiment:
    """Thin out the channels of a convolutional model."""
    channels = [n // factor for n in row.options.get("channels", _CHANNELS)]
    return replace(row, options=row.options | {"channels": channels})
