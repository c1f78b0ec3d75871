"""What there is to learn from, and how it reaches a model."""
