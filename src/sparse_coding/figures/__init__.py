"""Figures: tables in, a matplotlib figure out. No files, no torch."""
