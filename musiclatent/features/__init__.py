"""Numbers from sound, and back; knows no corpus and no torch."""
