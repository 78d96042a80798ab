"""Dictionaries of other libraries: each format a file that reads it, and one way from what it holds to ours."""
