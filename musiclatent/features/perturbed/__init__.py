"""Sound and spectrograms perturbed as their recording allows: the same music, another capture."""
