"""Run notebooks: which, in what order, on what kernels, and whether again."""
