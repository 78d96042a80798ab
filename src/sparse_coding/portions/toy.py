"""Toy models."""

BLOCK = 1024  # vectors of one random state
ENCODED = 2048  # held-out vectors at a time: they change no result
