"""A research workbench for latent representations of music."""

__version__ = "0.1.0"
