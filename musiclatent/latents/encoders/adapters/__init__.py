"""Encoders of others whose weights lie in a folder or on a hub: none of them comes along."""
