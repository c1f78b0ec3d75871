"""Further models of log-mel spectrograms, each with the encoder and decoder of `models.mel`."""
