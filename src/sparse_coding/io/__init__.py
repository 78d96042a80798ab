"""Files: activations, tokens, dictionaries, tables."""
