"""What the body of an error says: in words, and whether one question alone is meant."""

import json
import re
from collections.abc import Mapping
from typing import Any

# A filter of what is asked. Azure's comes with 400, which else is about parameters: there only names count, not words.
_FILTERS = {"content_filter", "content_policy_violation", "responsibleaipolicyviolation"}
_FLAGGED = re.compile(
    r"\bflagged\b|\bmoderation\b|\bsafety\b|\b(content|usage)[ _-](management[ _-])?(policy|policies|filter)", re.I
)
_OF_THE_ACCOUNT = re.compile(r"\b(limit|quota|credits?|billing|balance|payment)\b", re.I)  # some say so with 403


def words_of(error: object) -> str:
    """What an error says, with the words of the provider behind a gateway; empty where it says nothing."""
    if not isinstance(error, dict):
        return _text(error)
    about = _object(error.get("metadata"))
    more = [_text(about.get(name)) for name in ("provider_name", "reasons", "raw")]
    beside = ": ".join(words for words in more if words)
    said = _text(error.get("message", error))
    return f"{said} ({beside})" if said and beside else said or beside


def code_of(error: object) -> str:
    """Its code; empty where it has none."""
    return str(_object(error).get("code") or "")


def is_of_quota(error: object) -> bool:
    """Whether what was paid for is used up, of errors about rates."""
    return "quota" in code_of(error) or "quota" in str(_object(error).get("type"))


def is_filter(error: object) -> bool:
    """Whether a filter refuses the question for what it says, by names."""
    fields = _object(error)
    about = _object(fields.get("metadata"))
    names = (fields.get("code"), fields.get("type"), _object(fields.get("innererror")).get("code"))
    return any(str(name).casefold() in _FILTERS for name in names) or bool(
        about.get("reasons") or about.get("flagged_input")
    )


def is_flagged(error: object) -> bool:
    """The same, by words too: of errors that would else be about access."""
    return is_filter(error) or bool(_FLAGGED.search(words_of(error)))


def is_of_the_account(error: object) -> bool:
    """Whether an error about access speaks of what may be spent, so that it holds for all questions."""
    return bool(_OF_THE_ACCOUNT.search(words_of(error)))


def _object(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value) if value else ""
