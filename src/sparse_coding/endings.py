"""How a command ends that could not finish.

Apart from `errors`, which every step reads: a new ending makes none of them stale.
"""

from sparse_coding import errors
from sparse_coding.errors import BadInput


class Unanswered(BadInput):
    """A server, or the model behind it, left too much without an answer that can be used. What it answered is kept."""


def exit_code(error: Exception) -> int:
    """What a command ends with: 4 where answers are missing, 3 where it was paused, 2 where something is of no use."""
    return 4 if isinstance(error, Unanswered) else errors.exit_code(error)
