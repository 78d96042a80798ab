"""Tensors only: no paths, no environment, no logging, no network."""
