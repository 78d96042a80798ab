"""One side of `--against`: our trainer of whatever checkout stands first in PYTHONPATH, a step at a time when asked.

A script, and run as one: `python -P turns.py`. Arguments: the checkout, the fields of a setting in JSON, and a
safetensors file of weights and batches. For each line of stdin, the number of a batch, it answers with the
milliseconds of processor time of one step of one member.
"""

import json
import sys
from pathlib import Path
from time import process_time

import torch
from safetensors.torch import load_file

from benchmarks.training import contract, ours


def main() -> None:
    """Build, say so, and take turns until stdin ends."""
    checkout, fields, file = sys.argv[1:]
    if not Path(ours.__file__).is_relative_to(Path(checkout).resolve()):
        raise SystemExit(f"{ours.__file__} is not of {checkout}")
    torch.set_num_threads(1)
    told = json.loads(fields)
    setting = contract.Setting(**told | {"l1": tuple(told["l1"])})
    given: list[dict[str, torch.Tensor]] = [{} for _ in setting.l1]
    batches: dict[int, torch.Tensor] = {}
    for name, tensor in load_file(file).items():
        index, _, part = name.partition(".")
        if part:
            given[int(index)][part] = tensor
        else:
            batches[int(index)] = tensor
    trainer = ours.make(setting, given)
    print("ready", flush=True)
    for line in sys.stdin:
        print(_turn(trainer, batches[int(line)]), flush=True)


def _turn(trainer: contract.Trainer, batch: torch.Tensor) -> float:
    before = process_time()
    trainer.step(batch)
    return 1e3 * (process_time() - before) / trainer.members


if __name__ == "__main__":
    main()
