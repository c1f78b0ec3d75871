"""Ablations: the same with one thing taken away or added, which tells what it is worth."""
