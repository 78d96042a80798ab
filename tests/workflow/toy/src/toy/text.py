"""What several steps share."""


def shout(text: str) -> str:
    return text.upper()
