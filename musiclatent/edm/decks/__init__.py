"""What plays a track inside a mix: its sound, its time map, and what is left out of it."""
