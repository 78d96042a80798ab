"""The one error that people see."""


class BadInput(Exception):
    """Something given to the program cannot be used.

    The message names the place, what was found there and what was wanted.
    """

    def __init__(self, place: object, found: str, wanted: str) -> None:
        super().__init__(f"{place}: found {found}; wanted {wanted}")


class Paused(BadInput):
    """Work stopped at a limit that the user has set. Nothing is wrong, and what was finished is kept."""


def exit_code(error: Exception) -> int:
    """What a command ends with: 3 where it was paused, 2 where something cannot be used."""
    return 3 if isinstance(error, Paused) else 2
