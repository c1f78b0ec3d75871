"""What each command does, once its arguments are parsed.

Libraries are imported where they are used: torch takes seconds, and comes after what can go wrong.
"""
