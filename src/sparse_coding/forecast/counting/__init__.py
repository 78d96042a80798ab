"""What a run will take, from params.yaml alone: which jobs, how much disk and memory. Reads no torch.

Processor time hangs on the machine and is measured there: sparse_coding.forecast.probing.
"""
