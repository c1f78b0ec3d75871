"""Embeddings of which no label was seen: learned from which parts are of one recording."""
