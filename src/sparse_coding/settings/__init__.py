"""Params.yaml: what it may hold, the grid it spans, what each step sees of it, and what it names outside."""
