"""The one error that people see, and how a command ends with it."""


class BadInput(Exception):
    """Something given to the program cannot be used.

    The message names the place, what was found there and what was wanted.
    """

    def __init__(self, place: object, found: str, wanted: str) -> None:
        super().__init__(f"{place}: found {found}; wanted {wanted}")


class Paused(BadInput):
    """Work stopped at a limit that the user has set. Nothing is wrong, and what was finished is kept."""


class Unanswered(BadInput):
    """A server, or the model behind it, left too much without an answer that can be used. What it answered is kept."""


def exit_code(error: Exception) -> int:
    """What a command ends with: 4 where answers are missing, 3 where it was paused, 2 where something is of no use."""
    if isinstance(error, Unanswered):
        return 4
    return 3 if isinstance(error, Paused) else 2
