"""Compiled loops over the few codes that are not zero. Numpy arrays only: no torch, no files.

Everything is float32, sums too. A loop runs on one thread and releases the interpreter's lock, so that threads
work on different dictionaries side by side.
"""
