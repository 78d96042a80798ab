"""One optimiser step of one dictionary, in several ways with the same result within rounding.

general  any loss, by autograd
dense    the formula of contract.Form, in plain torch, any device and precision: best while many codes are positive
sparse   the same by compiled loops over the positive codes, on a processor
stacked  the same for a stack of members, on a GPU
"""
