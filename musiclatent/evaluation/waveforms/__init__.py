"""What of sound survives a waveform model: by its shape, and by who understands it."""
