"""Collections of more sections than can be compared with each other all at once."""
