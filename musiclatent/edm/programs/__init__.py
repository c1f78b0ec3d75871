"""Libraries of DJ programs: what they know of each track, and a playlist."""
