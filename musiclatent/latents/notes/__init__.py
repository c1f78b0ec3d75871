"""Music as note events: a compact code that a person can read."""
