"""Networks of other people, rebuilt for the weights that they published."""
