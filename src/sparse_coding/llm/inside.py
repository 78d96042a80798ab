"""Errors inside a 200: gateways send them where the model behind them failed once the answer had begun."""

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sparse_coding.llm.complaints import code_of, is_filter, words_of
from sparse_coding.llm.faults import Fault, of_status, short
from sparse_coding.llm.usage import used


def error_in(answer: Mapping[str, Any]) -> object:
    """The error that an answer holds, or is: beside the choices, in the first, or as what ended that. None: none.

    An error whose fields are all empty is none: some gateways send one with each answer.
    """
    first = _first_choice(answer)
    for error in (answer.get("error"), first.get("error")):
        if any(error.values()) if isinstance(error, dict) else error:
            return error
    return "the answer ended in an error" if first.get("finish_reason") == "error" else None


def fault_in(answer: Mapping[str, Any], headers: Mapping[str, str], key: str) -> Fault | None:
    """What that error means: as its own code, where that is a status, else as a fault of the server.

    It is charged as its usage says, at the most where it does not. None where there is no error.
    """
    error = error_in(answer)
    if error is None:
        return None
    code = code_of(error)
    if re.fullmatch("[45][0-9]{2}", code):
        fault = of_status(int(code), error, headers, key)
    else:
        said = short(f"{code} {words_of(error)}", key)
        fault = Fault("fail", said, by="words") if is_filter(error) else Fault("again", said)
    return replace(fault, reason=f"an error inside an answer ({fault.reason})", may_cost=True, used=used(answer))


def _first_choice(answer: Mapping[str, Any]) -> Mapping[str, Any]:
    choices = answer.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    return first if isinstance(first, dict) else {}
