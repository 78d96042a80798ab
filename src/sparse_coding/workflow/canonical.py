"""One text for one value, and one short name for a text."""

import hashlib
import json
from typing import Any


def text_of(value: Any) -> str:
    """JSON with sorted keys and no spaces: equal values give equal text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def digest(value: Any) -> str:
    """32 hexadecimal digits (128 bits of SHA-256) of a JSON value."""
    return hashlib.sha256(text_of(value).encode()).hexdigest()[:32]
