"""Dictionaries to compare with: linear bases, signed, and non-negative matrix factorisation. One method a file.

All keep the contract of core.dictionary. The top-k variant of a signed basis is the same dictionary with
`activation="topk"`. Sampling, file reading and thread counts are the caller's.
"""
