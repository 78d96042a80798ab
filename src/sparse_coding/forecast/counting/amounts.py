"""Amounts in words that are easy to compare: three digits, one unit."""

GIB = 1 << 30


def memory(n: float) -> str:
    """Bytes as GiB or MiB."""
    return _short(n / GIB, "GiB") if n >= GIB / 2 else _short(n / (1 << 20), "MiB")


def seconds(n: float) -> str:
    """A time: seconds, minutes or hours."""
    if n < 120:
        return _short(n, "s")
    return _short(n / 60, "min") if n < 7200 else _short(n / 3600, "h")


def count(n: float) -> str:
    """How many."""
    return f"{n:,.0f}" if n < 1e6 else f"{n / 1e6:.3g} million"


def _short(value: float, unit: str) -> str:
    return f"{value:,.0f} {unit}" if value >= 100 else f"{value:.3g} {unit}"
