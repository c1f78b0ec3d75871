"""Algorithms on arrays and tables: no files, no corpora, no torch."""
