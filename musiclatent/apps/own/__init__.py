"""Music of one's own: encode it, rank it, lead through it."""
