"""Sound in and out: decode any file, write it, cut it into windows; knows no corpus and no torch."""
