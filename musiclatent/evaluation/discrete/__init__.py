"""Latents as indices into codebooks: bits that can be sent."""
