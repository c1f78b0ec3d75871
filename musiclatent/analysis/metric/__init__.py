"""Metrics that are learned from which rows belong together."""
