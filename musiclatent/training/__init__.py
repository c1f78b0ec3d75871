"""Train an experiment, keep what it left, and measure it."""
