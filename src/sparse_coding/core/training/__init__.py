"""Training of dictionaries: one of them, its optimiser and its steps; many side by side, on a processor or a GPU."""
