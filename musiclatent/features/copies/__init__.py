"""Copies that a fingerprint misses: sounds of a second, and recordings played at another speed."""
