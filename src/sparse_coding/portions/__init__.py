"""How much is worked on at a time: numbers that what works and its forecast share. Reads no torch.

A module for each kind of work, because what a step reads of them is part of its code.
"""
