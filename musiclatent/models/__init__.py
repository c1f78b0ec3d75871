"""Models: tensors in, tensors out; they never see a path."""

from musiclatent.models import adaptive, genre, mel, recogniser, sparse, vae, waveform
from musiclatent.models.spectrograms import transformer

MODELS = {
    model.__name__: model
    for model in (
        waveform.WaveformAutoencoder,
        waveform.PaddedAutoencoder,
        waveform.PoolingAutoencoder,
        waveform.LinearBlocks,
        sparse.SparseAutoencoder,
        adaptive.DeepAutoencoder,
        mel.MelAutoencoder,
        mel.CRNNAutoencoder,
        transformer.SpectrogramTransformer,
        vae.VAE,
        vae.RecurrentVAE,
        recogniser.Judge,
        genre.GenreNetwork,
    )
}
