"""What of a text is the answer: not the thoughts before it, not the marks of the template around it.

Servers without a parser for a model's thoughts leave them in the text, and some leave in what ends a turn.
"""

import re

_NAMES = r"think|thinking|thoughts?|reasoning|reflection|seed:think|scratchpad"
_OPENS = (
    rf"<(?:{_NAMES})>|\[THINK\]|\u25c1think\u25b7|<\|begin_of_thought\|>|<\|START_THINKING\|>|<\|channel>\s*thought"
)
_CLOSES = (
    rf"</(?:{_NAMES})>|<(?:{_NAMES})\s*/>|\[/THINK\]|\u25c1/think\u25b7"
    r"|<\|end_of_thought\|>|<\|END_THINKING\|>|<channel\|>"
)
_OPENING, _CLOSING = re.compile(_OPENS, re.I), re.compile(_CLOSES, re.I)

# OpenAI's harmony: messages in channels, of which `final` is for the reader. Without its marks: `analysis...`.
_CHANNEL = re.compile(r"<\|channel\|>")
_FINAL = re.compile(r"<\|channel\|>\s*final\b[^<]*(?:<\|constrain\|>[^<]*)?<\|message\|>")
_MESSAGE_END = re.compile(r"<\|(?:end|return|call|start|channel)\|>")
_BARE_FINAL = re.compile(r"\s*analysis.*assistant\s*final", re.S)

_ENDS = (
    r"(?:<\|(?:im_end|eot_id|eom_id|endoftext|end_of_text|end|return|eot|end_of_turn|END_OF_TURN_TOKEN)\|>"
    r"|</s>|<eos>|<end_of_turn>|<turn\|>|<\uff5cend\u2581of\u2581sentence\uff5c>|\[/INST\])"
)
_STARTS = r"(?:<\|(?:im_start|start_header_id|start|user|assistant)\|>|<start_of_turn>|\[INST\])"
_TURN_END = re.compile(rf"{_ENDS}(?:\s*{_ENDS})*\s*(?:\Z|{_STARTS}.*)", re.S)

_QUOTES = {'"': '"', "'": "'", "`": "`", "\u201c": "\u201d", "\u2018": "\u2019", "\u00ab": "\u00bb"}


def answer_span(text: str) -> tuple[int, int] | None:
    """Where the answer begins and ends in `text`; None where all of it is thoughts that did not end.

    What stands before the last mark that ends thoughts is no answer, and none is what follows an opening mark that
    nothing closes. Of harmony's channels the last final one counts. What ends a turn is cut at the end, and before
    another turn.
    """
    closing = _real(_CLOSING, text, 0)
    start, end = closing[-1].end() if closing else 0, len(text)
    if _real(_CHANNEL, text, start):
        finals = _real(_FINAL, text, start)
        if not finals:
            return None
        start = finals[-1].end()
        ends = _MESSAGE_END.search(text, start)
        end = ends.start() if ends else end
    elif bare := _BARE_FINAL.match(text, start):
        start = bare.end()
    if _real(_OPENING, text[:end], start):
        return None
    turn_end = _TURN_END.search(text, start, end)
    return start, turn_end.start() if turn_end else end


def _real(mark: re.Pattern[str], text: str, start: int) -> list[re.Match[str]]:
    """The marks from `start` on that are meant, and not spoken about.

    An explanation may be about such words: a mark alone in quotes is a word. The quotes must be a pair around it, the
    first at the beginning of a word and the second at the end of one: thoughts may end with a quote, and an answer
    begin with one.
    """
    return [found for found in mark.finditer(text, start) if not _is_quoted(text, found.start(), found.end())]


def _is_quoted(text: str, start: int, end: int) -> bool:
    before, after = text[start - 1 : start], text[end : end + 1]
    if not before or _QUOTES.get(before) != after:
        return False
    outside_before, outside_after = text[start - 2 : start - 1] if start > 1 else "", text[end + 1 : end + 2]
    return not (outside_before.isalnum() or outside_after.isalnum())
