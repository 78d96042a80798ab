"""What an answer shows of the server and the model behind it."""

import json
from typing import Any

from sparse_coding.llm.answers import Unusable, choice_of, list_of, object_of, text_of
from sparse_coding.llm.client import Answer
from sparse_coding.llm.heard import name_of
from sparse_coding.llm.overflow import Overflow
from sparse_coding.llm.request import Request
from sparse_coding.llm.usage import is_count, used


def tokens_read(answer: Answer) -> int | None:
    """The length of the question in tokens, as the server counts; None where it does not."""
    read = object_of(answer.get("usage")).get("prompt_tokens")
    return read if is_count(read) and read else None


def has_probabilities(request: Request, answer: Answer) -> bool:
    """Whether tokens come with the likeliest ones in their place: those of the answer, or of an echoed prompt."""
    try:
        found = object_of(choice_of(answer).get("logprobs"))
    except Unusable:
        return False
    if request.endpoint == "completions":
        tokens = list_of(found.get("tokens"))
        return bool(tokens) and len(tokens) == len(list_of(found.get("top_logprobs")))
    likely = (list_of(object_of(token).get("top_logprobs")) for token in list_of(found.get("content")))
    return any(isinstance(object_of(each).get("logprob"), int | float) for top in likely for each in top)


def keeps_to_schema(request: Request, answer: Answer) -> bool:
    """Whether the answer is an object with the keys that the request's schema needs and nothing around it."""
    wanted = object_of(object_of(request.body.get("response_format")).get("json_schema")).get("schema")
    if wanted is None:
        return True
    try:
        said: Any = json.loads(text_of(answer))
    except (Unusable, ValueError, RecursionError):
        return False
    return isinstance(said, dict) and set(said) == set(object_of(wanted).get("required", ()))


def answers_as_another(request: Request, answer: Answer) -> str:
    """The name that the answer gives its model where it is not a longer or shorter form of the one asked for."""
    asked, said = request.model.casefold(), name_of(answer)
    return said if said and asked not in said.casefold() and said.casefold() not in asked else ""


def room_left(request: Request, answer: Answer) -> Overflow | None:
    """What a server had room for that cut an answer before it was as long as it may be; None where it did not.

    Where fewer tokens came than were allowed, something else was full: the context, as a rule.
    """
    counted, both = used(answer), object_of(answer.get("usage")).get("total_tokens")
    if counted is None:
        return None
    read, written = counted.prompt, counted.completion
    if is_count(both):  # some count thoughts in the sum alone
        written = max(written, both - read)
    most = request.most_completion_tokens
    return Overflow(read + most, read + written) if written < most else None
