"""What the model behind tests/model_server.py says: a pure function of what it is asked."""

import json
import math
import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

Json = dict[str, Any]

REFUSAL = "I'm sorry, but I can't help with that."
LOST = "What is it that you ask?"
OTHER = " unknown"  # the token that stands for all that is no digit
SURE = -1e-4  # log-probability of a token that is no digit
UNLIKELY = math.log(1e-6)  # and of an `unknown` of an echoed prompt, or of a digit that was said all the same

SPOILT_VALUES: dict[str, Callable[[dict[Any, int]], dict[Any, int]]] = {
    "wrong_count": lambda values: dict(list(values.items())[:-1]),
    "extra": lambda values: {**values, str(len(values)): 0},
    "zeros": lambda values: dict.fromkeys(values, 0),
    "out_of_range": lambda values: dict.fromkeys(values, 37),
}
SPOILT_TEXTS: dict[str, Callable[[str], str]] = {
    "malformed": lambda _: "sorry, here it is: {not json",
    "truncated": lambda text: text[: len(text) // 2],
    "no_room": lambda text: text[: len(text) // 2],  # the context is full before the answer is as long as it may be
    "empty": lambda _: "",
    "thinks": lambda _: "<think>Okay, the user wants one short sentence about",
    "refusal_text": lambda _: REFUSAL,
}
CUT = {"truncated", "no_room", "thinks"}
SILENT = {"null", "refusal"}  # answers without a text
SPOILT = {*SPOILT_VALUES, *SPOILT_TEXTS, *SILENT}

_QUOTED = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)
_FEATURE = re.compile(r'^Feature: (".*")$', re.MULTILINE)
_TOKEN = re.compile(r'^Token: (".*")$', re.MULTILINE)
_HEADING = re.compile(r"^(Tokens|Examples):\n", re.MULTILINE)
_TEXTS = re.compile(r"^Texts:\n", re.MULTILINE)
_NUMBERED = re.compile(r'^(\d+): (".*")$', re.MULTILINE)
_RECORD_LINE = re.compile(r'^(".*")\t(\d+)$', re.MULTILINE)
_HIDDEN_LINE = re.compile(r'^(".*")\t(unknown)$', re.MULTILINE)
_RECORD = re.compile(r"^<start>\n(.*?)^<end>$", re.MULTILINE | re.DOTALL)
_MARKED = re.compile(r"<<(.*?)>>", re.DOTALL)
_PIECES = r" ?[^\W0-9]+|[0-9]|[^\w]"
_MERGED = r"\t(?:unknown|[0-9]+)|"


@dataclass(frozen=True)
class Mind:
    """A model and its manners.

    prose: it wraps JSON in a sentence and a fence. merged_tab: its tokenizer joins a tab and the value after it.
    digit_spread: probability of the digit that it says. no_digits: its likeliest tokens hold no digit. context: tokens
    of a question that it reads, the last ones, without a word about the others; what it cannot make out then is LOST.
    """

    prose: bool = False
    merged_tab: bool = False
    digit_spread: float = 0.9
    no_digits: bool = False
    context: int | None = None

    def chat(self, body: Json, spoil: str | None = None) -> Json:
        """The choice of an answer to messages."""
        text, is_cut = _within(self._said(body, spoil), most_tokens(body))
        is_silent = spoil in SILENT
        refusal = REFUSAL if spoil == "refusal" else None
        listed = body.get("logprobs") and not is_silent
        return {
            "index": 0,
            "message": {"role": "assistant", "content": None if is_silent else text, "refusal": refusal},
            "finish_reason": "length" if is_cut or spoil in CUT else "stop",
            "logprobs": {"content": self._logprobs(text, body), "refusal": None} if listed else None,
        }

    def complete(self, body: Json, spoil: str | None = None) -> Json:
        """The choice of an answer to a prompt, which may be echoed."""
        text = (body["prompt"] if body.get("echo") else "") + written(body)
        text = SPOILT_TEXTS.get(spoil or "", str)(text)
        is_silent = spoil in SILENT
        is_listed = body.get("logprobs") is not None and not is_silent
        return {
            "index": 0,
            "text": None if is_silent else text,
            "finish_reason": "length",
            "logprobs": self._echoed(text, body["logprobs"], spoil) if is_listed else None,
        }

    def read(self, body: Json) -> str:
        """The text of all messages, as far as it is read."""
        text = "".join(message["content"] for message in body["messages"])
        return text if self.context is None else _last(text, self.context)

    def _said(self, body: Json, spoil: str | None) -> str:
        asked = [message["content"] for message in body["messages"] if message["role"] == "user"][-1]
        schema = ((body.get("response_format") or {}).get("json_schema") or {}).get("schema")
        seen = asked if self.context is None else _last(asked, self.context)
        try:
            text = self._answer(seen, None if self.prose else schema, SPOILT_VALUES.get(spoil or "", dict))
        except ValueError:
            if seen == asked:
                raise
            text = LOST
        return SPOILT_TEXTS.get(spoil or "", str)(text)

    def _answer(self, asked: str, schema: Json | None, spoilt: Callable[[Any], Any]) -> str:
        if _TEXTS.search(asked):
            return _json({"intruder": _intruder(asked)})
        if not _FEATURE.search(asked):
            words = _explanation(asked)
            return _json(dict.fromkeys(_keys(schema), words)) if schema else words
        token = _TOKEN.findall(asked)
        values = {"": _active(_loads(token[-1]), _words(asked))} if token else _values(asked)
        if schema:
            return _json(spoilt({key: values.get("" if token else key, 0) for key in _keys(schema)}))
        if token:
            return "".join(map(str, spoilt(values).values()))
        text = _json(spoilt(values))
        return f"Here are the values, from 0 to 9:\n\n```json\n{text}\n```\n" if self.prose else text

    def _tokens(self, text: str) -> list[str]:
        return re.findall((_MERGED if self.merged_tab else "") + _PIECES, text)

    def _guesses(self, digit: int, prefix: str = "") -> dict[str, float]:
        """Log-probabilities of what may stand in the place of a digit, the likeliest first."""
        p = self.digit_spread
        if self.no_digits:
            shares = {OTHER: p, " the": 1 - p}
        else:
            rest = [f"{prefix}{near}" for near in (digit - 1, digit + 1) if 0 <= near <= 9] + [OTHER]
            shares = {f"{prefix}{digit}": p, **dict.fromkeys(rest, (1 - p) / len(rest))}
        return {token: math.log(share) for token, share in _falling(shares) if share > 0}

    def _logprobs(self, text: str, body: Json) -> list[Json]:
        return [self._logprob(token, body.get("top_logprobs") or 0) for token in self._tokens(text)]

    def _logprob(self, token: str, n_top: int) -> Json:
        guesses = self._guesses(int(token)) if token in set("0123456789") else {token: SURE}
        top = [_entry(*guess) for guess in list(guesses.items())[:n_top]]
        return {**_entry(token, guesses.get(token, UNLIKELY)), "top_logprobs": top}

    def _echoed(self, text: str, n_top: int, spoil: str | None) -> Json:
        tokens = self._tokens(text)
        offsets = list(accumulate(map(len, tokens), initial=0))[:-1]
        hidden = SPOILT_VALUES.get(spoil or "", dict)(_hidden(text))
        top: list[dict[str, float] | None] = []
        for token, offset in zip(tokens, offsets, strict=True):
            prefix = "\t" if token == "\tunknown" else ""
            digit = hidden.get(offset + len(prefix))
            top.append({token: SURE} if digit is None else self._hidden_guesses(token, digit, prefix, n_top))
        likely: list[float | None] = [at[token] for at, token in zip(top, tokens, strict=True) if at]
        if tokens:
            top[0] = likely[0] = None  # nothing stands before the first
        return {"tokens": tokens, "token_logprobs": likely, "top_logprobs": top, "text_offset": offsets}

    def _hidden_guesses(self, token: str, digit: int, prefix: str, n_top: int) -> dict[str, float]:
        return {**dict(list(self._guesses(digit, prefix).items())[:n_top]), token: UNLIKELY}


def most_tokens(body: Json) -> int | None:
    """What may be written; None: no limit."""
    most = body.get("max_completion_tokens")
    return body.get("max_tokens") if most is None else most


def written(body: Json) -> str:
    """What goes on after a prompt: nothing to speak of."""
    return "" if body.get("max_tokens") == 0 else "\n"


def n_tokens(text: str) -> int:
    """The count that this model is paid by."""
    return math.ceil(len(text.encode("utf-8", "surrogatepass")) / 4)


def _within(text: str, most: int | None) -> tuple[str, bool]:
    """The text as far as it goes, and whether its end (a token of its own) is missing."""
    if most is None or n_tokens(text) < most:
        return text, False
    return text.encode("utf-8", "surrogatepass")[: 4 * most].decode(errors="ignore"), True


def _last(text: str, most: int) -> str:
    return text.encode("utf-8", "surrogatepass")[-4 * most :].decode(errors="ignore")


def _explanation(asked: str) -> str:
    found = defaultdict(list)
    if not _RECORD.search(asked):
        raise ValueError("neither a feature nor records")
    for token, value in _records(asked):
        found[token.strip()].append(value)
    means = {token: sum(values) / len(values) for token, values in found.items() if token}
    best = [json.dumps(token, ensure_ascii=False) for token, mean in _falling(means) if mean > 1][:3]
    return f"words {', '.join(best)}" if best else 'nothing ""'


def _records(asked: str) -> Iterator[tuple[str, int]]:
    for record in _RECORD.finditer(asked):
        for token, value in _RECORD_LINE.findall(record[1]):
            yield _loads(token), int(value)


def _values(asked: str) -> dict[str, int]:
    """Of a simulation or a classification."""
    *_, feature = _FEATURE.finditer(asked)
    heading = _HEADING.search(asked, feature.end())
    if heading is None:
        raise ValueError("neither a token nor a list after the feature")
    words, said = _words(asked), _occurs if heading[1] == "Examples" else _active
    return {number: said(_loads(text), words) for number, text in _NUMBERED.findall(asked, heading.end())}


def _intruder(asked: str) -> int:
    """The text whose marked words the fewest of the others have among theirs; the first of several."""
    texts = [_loads(text) for _, text in _NUMBERED.findall(asked)]
    marked = [{_fold(piece) for piece in _MARKED.findall(text)} for text in texts]
    shared = [sum(bool(own & other) for other in marked) for own in marked]
    return shared.index(min(shared))


def _active(token: str, words: set[str]) -> int:
    return 9 * (_fold(token) in words)


def _occurs(text: str, words: set[str]) -> int:
    marked = _MARKED.findall(text)
    if marked:
        return int(any(_fold(piece) in words for piece in marked))
    return int(any(word in text.casefold() for word in words))


def _hidden(prompt: str) -> dict[int, int]:
    """The offset of each `unknown` of the last record, and the digit in its place."""
    words, start = _words(prompt), max(0, prompt.rfind("<start>\n"))
    lines = _HIDDEN_LINE.finditer(prompt, start)
    return {line.start(2): _active(_loads(line[1]), words) for line in lines}


def _words(asked: str) -> set[str]:
    """What stands in quotes in the last explanation."""
    explanation = _loads((_FEATURE.findall(asked) or ['""'])[-1])
    return {_fold(_loads(quoted)) for quoted in _QUOTED.findall(explanation)} - {""}


def _keys(schema: Json) -> list[str]:
    return schema.get("required") or list(schema.get("properties", {}))


def _fold(text: str) -> str:
    return text.strip().casefold()


def _falling(shares: dict[str, float]) -> list[tuple[str, float]]:
    return sorted(shares.items(), key=lambda item: -item[1])


def _loads(quoted: str) -> str:
    try:
        return json.loads(quoted, strict=False)
    except ValueError:
        return quoted[1:-1]


def _json(values: Json) -> str:
    return json.dumps(values, separators=(",", ":"), ensure_ascii=False)


def _entry(token: str, logprob: float) -> Json:
    return {"token": token, "bytes": list(token.encode("utf-8", "surrogatepass")), "logprob": logprob}
