"""Carry out an order: `python -m sparse_coding.workflow .work/orders/<job>-<digest>.json --threads N`.

What a rule calls; the line can be pasted into a terminal.
"""

import argparse
import json
import sys
from pathlib import Path

from sparse_coding.errors import BadInput, exit_code
from sparse_coding.workflow.step import Step


def main(arguments: list[str] | None = None) -> int:
    """0 when all is made, 2 when something cannot be used, 3 at a limit of the user's, with one line that says why."""
    parser = argparse.ArgumentParser(prog="python -m sparse_coding.workflow", description=__doc__.split("\n")[0])
    parser.add_argument("order", type=Path)
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args(arguments)
    try:
        order = json.loads(given.order.read_bytes())
    except FileNotFoundError:
        print(f"error: {given.order}: no such order; run Snakemake again, which writes it", file=sys.stderr)
        return 2
    try:
        Step(order, Path.cwd()).carry_out(given.threads)
    except (BadInput, OSError, ArithmeticError) as error:
        print(f"error: {order['step'].rpartition('.')[2]}: {error}", file=sys.stderr)
        return exit_code(error)
    return 0


if __name__ == "__main__":
    sys.exit(main())
