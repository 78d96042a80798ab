"""The one error that people see."""


class BadInput(Exception):
    """Something given to the program cannot be used.

    The message names the place, what was found there and what was wanted.
    """

    def __init__(self, place: object, found: str, wanted: str) -> None:
        super().__init__(f"{place}: found {found}; wanted {wanted}")
