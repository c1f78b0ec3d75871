"""The six studies: their questions, corpora and experiments."""

from dataclasses import replace

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
}
# The study `edm` trains nothing of its own; figures: Murillo Martinez (2022), 53 licensed tracks.
MURILLO = {
    "silhouette_classical": 0.178,
    "pca_classical_1": 0.489,
    "pca_classical_2": 0.129,
    "pca_centres_1": 0.959,
    "pca_centres_2": 0.034,
    "pca_network_1": 0.209,
    "pca_network_2": 0.088,
    "centres_network_1": 0.694,
    "centres_network_2": 0.174,
}
STUDIES = {
    plan.name: plan
    for plan in (
        Study(
            name="waveform",
            title="Waveform autoencoder",
            question="How few numbers keep five seconds of music listenable?",
            source=experiments.TP4,
            demo=("demo-music",),
            real=("gtzan", "music_speech/music"),
            window_s=5.0,
            experiments={row.name: row for row in experiments.WAVEFORM},
            compared=tuple(f"waveform-{maps}" for maps in experiments.SIZES),
            chosen="waveform-64",
            shared=SHARED,
            study_notebooks=("11_waveform_rate_distortion", "12_waveform_downstream"),
        ),
        Study(
            name="mel",
            title="Mel-spectrogram embeddings",
            question="Does a triplet loss make the latents of a spectrogram follow genre?",
            source=experiments.KOVAR,
            demo=("demo-music",),
            real=("gtzan",),
            window_s=3.0,
            paper_window_s=30.0,
            input="logmel",
            precomputed="gtzan_excerpts",
            split="filtered",
            experiments={row.name: row for row in experiments.MEL},
            compared=("mel-cae-1", "mel-triplet-1", "mel-crnn-6"),
            chosen="mel-crnn-6",
            width_divisor=4,
            shared=SHARED,
            study_notebooks=("21_mel_evaluation",),
        ),
        Study(
            name="digits",
            title="Variational autoencoder of spoken digits",
            question="Can a small latent speak a digit that is understood?",
            source=experiments.COURI,
            demo=("demo-digits",),
            real=("fsdd",),
            window_s=0.74,
            input="logstft",
            frames={"n_fft": 512, "hop_length": 256, "first_only": True},
            split="official",
            experiments={row.name: row for row in experiments.DIGITS},
            compared=("digits-vae",),
            chosen="digits-vae",
            shared=SHARED,
            study_notebooks=("31_digits_recognised", "32_digits_generated"),
            width_divisor=2,
        ),
        Study(
            name="jazz",
            title="Variational autoencoder of music",
            question="Does the same model still work on six-second windows of music?",
            source=experiments.COURI,
            demo=("demo-music",),
            real=("gtzan", "music_speech/music"),
            window_s=5.94,
            input="logstft",
            frames={"n_fft": 1024, "hop_length": 512},
            labels={"gtzan": ("jazz",), "demo-music": ("blues",)},
            experiments={row.name: row for row in experiments.JAZZ},
            compared=("jazz-vae", "jazz-crnn"),
            chosen="jazz-crnn",
            shared=SHARED,
            study_notebooks=("41_jazz_reconstruction",),
            width_divisor=4,
        ),
        Study(
            name="edm",
            title="Clusters of electronic dance music",
            question="Which sections of dance tracks belong together, and what can follow what?",
            source="Murillo Martinez, EAFIT (2022): electronic dance music (system E)",
            demo=("demo-dance",),
            real=("edm",),
            window_s=15.0,
            shared=(
                "01_preprocess",
                "61_edm_sections",
                "62_edm_embeddings",
                "63_edm_soft_clusters",
                "64_edm_versions",
                "65_edm_mix",
                "66_edm_dashboard",
            ),
            has_encoder=False,
            dashboard="66_edm_dashboard",
            paper=MURILLO,
        ),
        Study(
            name="genre",
            title="Genre from descriptors and spectrograms",
            question="How well do descriptors and spectrograms classify genre on unseen artists?",
            source=experiments.FREITAS,
            demo=("demo-music",),
            real=("gtzan",),
            window_s=3.0,
            input="logmel",
            precomputed="gtzan_excerpts",
            split="filtered",
            experiments={row.name: row for row in experiments.GENRE},
            compared=("genre-cnn", "genre-crnn", "genre-joint"),
            chosen="genre-joint",
            shared=("01_preprocess",),
            has_encoder=False,
            study_notebooks=(
                "51_genre_descriptors",
                "52_genre_classifiers",
                "53_genre_networks",
                "54_genre_explained",
            ),
        ),
    )
}


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
