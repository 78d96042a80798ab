"""Codes of some features of a dictionary."""

ENCODE_ROWS = 4096  # vectors encoded at a time
SCREENED_ROWS = 1024  # of them screened at a time, where the k largest codes are kept
