"""One optimiser step of one dictionary, in two ways with the same result within rounding.

dense   plain torch, any device and precision: best while many codes are positive
sparse  compiled loops over the positive codes, on a processor
"""
