"""From sound to latents and back: encode, store, decode, generate."""
