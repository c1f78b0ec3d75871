"""Genre beyond one network: types of genres."""
