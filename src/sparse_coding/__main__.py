"""`python -m sparse_coding`, and the command `sparse_coding`: the command line is in cli/main.py."""

import os
import sys

from sparse_coding.cli.main import main as run

ASKED_BY_SHELL = "_ARGCOMPLETE"


def main() -> int:
    """What was typed; or what could be, where a shell asks."""
    if ASKED_BY_SHELL in os.environ:
        from sparse_coding.cli import completing

        completing.answer()
    return run()


if __name__ == "__main__":
    sys.exit(main())
