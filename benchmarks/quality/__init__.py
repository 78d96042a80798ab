"""Whether this project's dictionaries are as good as those of other trainers: `python -m benchmarks.quality`.

All learn from the same batches of the default's layer 2, under the same schedule, each at its best rate. A trainer is a
module with NOTE, KINDS and make(task, shape); see contract.py.

Of ours alone, and not part of `make bench`: `python -m benchmarks.quality.rates`, the learning rates of each kind, and
`python -m benchmarks.quality.wished`, how near each kind comes to a wished L0 (an hour on an idle core).
"""
