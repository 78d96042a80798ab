"""Automatic interpretation: explain a feature in words, then test how well the words predict its activations."""
