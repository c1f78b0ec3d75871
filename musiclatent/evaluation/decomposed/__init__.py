"""Sound taken apart before it is encoded."""
