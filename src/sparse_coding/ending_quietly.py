"""Output that nobody reads any more, as in `sparse_coding why all | head`, is no error."""

import os
import sys
from collections.abc import Callable

GONE = 141  # what a shell says of a program that ended so: 128 + SIGPIPE


def ending_quietly(main: Callable[[], int]) -> int:
    """Call `main`; what it returns, or 141, without a word, where the reader of its output has gone."""
    try:
        try:
            return main()
        finally:  # also where a parser of arguments leaves by SystemExit
            sys.stdout.flush()
    except BrokenPipeError:
        # Python would try again to write what is left, and complain, when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return GONE
