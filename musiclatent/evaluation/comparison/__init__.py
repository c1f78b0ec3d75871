"""Encoders side by side: the same sounds, folds, pooling and scaling for each of them."""
