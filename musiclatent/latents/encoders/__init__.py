"""Encoders of any origin behind one contract: sound in, one row per window out."""
