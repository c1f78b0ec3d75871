"""The experiments of each study, with the papers' figures and their sources.

In Nunez, Suarez and Vitetta (2024), A1 is the chosen model, A2 the rejected ones and A3 the study
of latent sizes.
"""

from dataclasses import replace

from musiclatent.config import Experiment, Training

TP4 = "Nunez, Suarez and Vitetta (2024), TP 4: Encodeador de musica"
SIZES = (32, 64, 128)


def _waveform(maps: int) -> Experiment:
    """Return one size of the paper's chosen autoencoder (A1, A3)."""
    return Experiment(
        name=f"waveform-{maps}",
        study="waveform",
        key=str(maps),
        model="WaveformAutoencoder",
        options={"maps": maps, "kernel_size": 1024, "stride": 512, "extra": "none"},
        about=f"One convolution and one transposed convolution, {maps} maps, a frame every 512 "
        "samples, tanh. The paper varied the kernel and names none: 1,024 samples is our choice, "
        "as are the learning rate and its one-cycle schedule.",
        training=Training(learning_rate=4e-3, batch_size=8),
        paper={"validation_mse": 0.00328, "test_mse": 0.00338} if maps == 64 else {},
        source=f"{TP4}, section 2" if maps == 64 else "",
    )


def _linear(kind: str, maps: int, **options: int | bool) -> Experiment:
    """Return a linear transform of blocks of samples, which the paper does not have."""
    lapped = ", lapped by half," if "lapped" in options else ""
    return Experiment(
        name=f"waveform-linear-{kind}",
        study="waveform",
        key=f"linear_{kind}",
        model="LinearBlocks",
        options={"maps": maps, "stride": 512} | options,
        about=f"Principal components of blocks of {options.get('stride', 512)} samples{lapped} to "
        f"{maps} numbers and back, in closed form. Not in the paper: it shows what training adds.",
        training=Training(epoch_factor=0.0),
    )


def _extra(extra: str) -> Experiment:
    """Return the chosen model with added layers (A2, second part)."""
    return Experiment(
        name=f"waveform-64-{extra}",
        study="waveform",
        key=f"64_{extra}",
        model="WaveformAutoencoder",
        options={"maps": 64, "kernel_size": 1024, "stride": 512, "extra": extra},
        about=f"waveform-64 with an added {extra} layer and ReLU on both sides; the paper found "
        "such models no better and less clear. Where the layers go is our choice.",
        training=Training(learning_rate=2e-3, batch_size=8),
    )


_POOLING = Experiment(
    name="waveform-pooling",
    study="waveform",
    key="pooling",
    model="PoolingAutoencoder",
    options={"maps": 64, "channels": [4, 16, 64], "kernel_size": 9, "pool": 8, "hidden": 128},
    about="The autoencoder made from an earlier classifier: three convolutions, three max-poolings "
    "and four hidden dense layers, ELU and shifted ReLU. The sizes are our choice, and the dense "
    "layers act on each frame, so that any length works.",
    training=Training(learning_rate=1e-3, batch_size=8),
    paper={"test_mse": 0.05},
    source=f"{TP4}, section 2 (the text names no split for this loss)",
)


def _sparse(numbers: int) -> Experiment:
    """Return one size of the sparse autoencoder, which the paper does not have."""
    return Experiment(
        name="waveform-sparse" + (f"-{numbers}" if numbers < 13_824 else ""),
        study="waveform",
        key=f"sparse_{numbers}",
        model="SparseAutoencoder",
        options={"numbers": numbers},
        about=f"The {numbers // 2:,} coefficients of several lapped cosine transforms that rebuild "
        "five seconds best, and their positions. A baseline, not in the paper: a search in a union "
        "of bases (Ravelli, Richard and Daudet, 2008; Daudet and Torresani, 2002), whose learned "
        "windows gain nothing over their start. Edits and spherical ways move positions.",
        training=Training(learning_rate=2e-4, batch_size=4, epoch_factor=0.025),
    )


_DEEP = Experiment(
    name="waveform-deep",
    study="waveform",
    key="deep_13824",
    model="DeepAutoencoder",
    options={"width": 192, "depth": 6, "weight": 1.3},
    about="A lapped transform that keeps the 14 loudest of 48 bands, chosen anew every four frames "
    "by the ranks of an envelope in the latent, and fills the rest with learned noise; residual "
    "networks correct envelope and noise, coefficients pass as they are. Not in the paper.",
    training=Training(learning_rate=4e-4, batch_size=4, epoch_factor=0.25, select="last"),
)
WAVEFORM = (
    *(_waveform(maps) for maps in SIZES),
    *(_linear(f"{maps}", maps) for maps in SIZES),
    _linear("long", 512, stride=4096),
    _linear("lapped", 64, lapped=True),
    _POOLING,
    _extra("conv"),
    _extra("dense"),
    *(_sparse(numbers) for numbers in (13_824, 6_912, 3_456)),
    _DEEP,
)
KOVAR = "Kovar, CTU Prague: Learning the hidden structure of music"
# What a configuration changes in the baseline; the paper names no sizes, so all are our choice.
CHANNELS = [32, 96, 128]  # of the baseline, as in models.mel
_FRONT = {"channels": [32, 64, 128, 128], "band_strides": [4, 2, 2, 2], "time_strides": [2] * 4}
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
    """Return one of the fifteen configurations of system B."""
    kind, changes = _SHAPES[configuration]
    triplet = family != "cae"
    losses = "squared error and triplet loss" if triplet else "squared error alone"
    return Experiment(
        name=f"mel-{family}-{configuration}",
        study="mel",
        key=f"{family}_{configuration}",
        model="CRNNAutoencoder" if family == "crnn" else "MelAutoencoder",
        options={"triplet_weight": 1.0 if triplet else 0.0} | changes,
        about=f"{kind[0].upper()}{kind[1:]}; {losses}. The sizes are our choice; lambda, margin, "
        "miner and epochs were chosen on folds 3 and 4 of the excerpts, without fold 0.",
        training=Training(learning_rate=4e-3, batch_size=80, select="last", balanced=triplet),
        paper={"test_knn": _KNN[family][(configuration - 1) % 5]},
        source=f"{KOVAR}, table 1 (30 s, random validation set of 200 clips)",
    )


def _weighed(name: str, weights: dict[str, float], about: str) -> Experiment:
    """Return the CRNN baseline with other weights of its two losses."""
    row = _mel("crnn", 6)
    changes = {"name": f"mel-{name}", "key": name, "paper": {}, "source": "", "about": about}
    return replace(row, options=row.options | weights, **changes)


MEL = (
    *(_mel("cae", i) for i in range(1, 6)),
    *(_mel("triplet", i) for i in range(1, 6)),
    *(_mel("crnn", i) for i in range(6, 11)),
    _weighed(
        "lambda",
        {"triplet_weight": 0.01},
        "CRNN baseline with the paper's lambda, 0.01: the squared error, ten times as small as the "
        "triplet loss here, then rules the sum.",
    ),
    _weighed(
        "alone",
        {"mse_weight": 0.0},
        "CRNN baseline with the triplet loss alone, which the paper found worse than the sum.",
    ),
)
COURI = "Couri and Oliveira, CIn/UFPE: autoencoders for digits and music"
_SPECTRUM = {
    "latent": 64,
    "channels": [16, 32, 64, 64, 64],
    "bins": 256,
    "frames": 64,
    "band_strides": [2, 2, 2, 2, 2],
    "time_strides": [2, 2, 2, 2, 1],
    "hidden": 1024,
    "kl_weight": 0.02,
    "warm_up": 0.2,
}
_WIDE = {"channels": [512, 256, 128, 64, 32]}  # the paper's first block has 512


def _digits(kind: str, changes: dict, about: str) -> Experiment:
    """Return a variational autoencoder of spoken digits."""
    return Experiment(
        name=f"digits-{kind}",
        study="digits",
        key=kind,
        model="VAE",
        options=_SPECTRUM | {"components": 256} | changes,
        about=about,
        training=Training(learning_rate=2e-3, batch_size=32, select="last"),
        full=_WIDE,
        full_training=Training(learning_rate=5e-4, batch_size=64, select="last"),
    )


def _jazz(kind: str, model: str, changes: dict, about: str) -> Experiment:
    """Return a variational autoencoder of music; the paper's was of jazz."""
    options = _SPECTRUM | {"channels": [16, 32, 64, 128, 128], "bins": 512, "frames": 256}
    options |= {"time_strides": [2, 2, 2, 2, 2], "shift": True}
    return Experiment(
        name=f"jazz-{kind}",
        study="jazz",
        key="conv" if kind == "vae" else kind,
        model=model,
        options=options | changes,
        about=about,
        training=Training(learning_rate=1e-3, batch_size=8),
        full=_WIDE,
        full_training=Training(learning_rate=5e-4, batch_size=1, select="last"),
    )


DIGITS = (
    _digits(
        "vae",
        {},
        "Five convolutions and dense layers to 64 means and variances, added to the best linear "
        "map of that size. The paper names neither the size of its latent nor other widths than "
        "its first: both are our choice, as are the weight of the divergence and the linear map.",
    ),
    _digits(
        "plain",
        {"channels": [32, 64, 128, 128, 128], "components": 0},
        "Convolutions without the linear map, with a sigmoid at their end, as in the paper; wider, "
        "and for as many epochs. The paper trained six times as long.",
    ),
)
JAZZ = (
    _jazz(
        "vae",
        "VAE",
        {"components": 64},
        "Five convolutions and a dense layer to 64 means and variances of a window, added to "
        "the best linear map of that size.",
    ),
    _jazz(
        "crnn",
        "RecurrentVAE",
        {"recurrent": 128, "components": 256},
        "Recurrent layers over time, the paper's first idea for music: eight numbers for each of "
        "eight latent frames, which share one linear map. So it differs by that map too.",
    ),
)
FREITAS = "Sousa Freitas: music classification with attributes and spectrograms"
_NETWORK = {"channels": [16, 32, 64, 64], "dropout": 0.4, "masks": 2}


def _genre(
    kind: str, key: str, changes: dict, about: str, paper: dict[str, float] | None = None
) -> Experiment:
    """Return a network of system C."""
    return Experiment(
        name=f"genre-{kind}",
        study="genre",
        key=key,
        model="GenreNetwork",
        options=_NETWORK | changes,
        about=f"{about} The paper names no layers; widths, epochs and augmentation were chosen on "
        "folds 3 and 4 of the excerpts, without fold 0.",
        training=Training(learning_rate=3e-3, batch_size=32, select="last"),
        paper=paper or {},
        source=f"{FREITAS}, results" if paper else "",
    )


GENRE = (
    _genre(
        "cnn",
        "cnn",
        {},
        "Four convolutions; mean and deviation over time of each channel in each range of bands.",
        {"accuracy": 0.49},
    ),
    _genre("crnn", "recurrent", {"recurrent": 192}, "The same with a recurrent layer over time."),
    _genre(
        "joint",
        "joint",
        {"recurrent": 192, "attributes": 1, "hidden": 128},
        "The recurrent one and a head on attributes of the same excerpt: what the paper wished.",
    ),
)
