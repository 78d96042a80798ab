"""`python -m sparse_coding`, and the command `sparse_coding`: the command line is in cli/main.py."""

import sys

from sparse_coding.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
