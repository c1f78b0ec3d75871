"""Models: tensors in, tensors out; they never see a path."""
