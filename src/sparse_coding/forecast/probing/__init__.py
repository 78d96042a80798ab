"""What a run costs: processor time, from a few seconds of probes on this machine, and money, where models are asked.

A probe runs the very code of a step on made-up data of the same shapes, for a moment; sizes do the rest.
"""
