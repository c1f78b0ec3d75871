"""Listening pages of a run: what they play, who serves them, where answers go, what they say."""
