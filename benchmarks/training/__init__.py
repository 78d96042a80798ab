"""Time one optimiser step of this project's training against that of other trainers: `python -m benchmarks.training`.

Every trainer is a module with NOTE, ARCHITECTURES and make(setting, parameters); see contract.py.
"""
