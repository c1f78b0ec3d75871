"""What pictures and tables say, in words and figures: captions, and tables with few digits."""
