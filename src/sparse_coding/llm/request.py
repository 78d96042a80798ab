"""What is asked of a model, and by what it is known."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from sparse_coding.settings.params import SET_HERE

VERSION = 1  # of the keys of the cache
TEMPLATE_TOKENS = 512  # what servers put around messages, at most, for each call
MORE_ROOM = 300  # tokens more, at least, after an answer that was cut
LIVELIER = 0.5  # temperature of another attempt: asked again in the same words, a model would say the same

Endpoint = Literal["chat/completions", "completions"]


@dataclass(frozen=True)
class Request:
    """A call as it is wished for, before a server has made anything of it; `body` is what the API calls its JSON."""

    endpoint: Endpoint
    body: Mapping[str, Any]
    attempt: int = 0

    @property
    def model(self) -> str:
        """The model that is asked."""
        return str(self.body["model"])

    @property
    def extra(self) -> dict[str, Any]:
        """What the user sends beside what is set here: `llm.extra`."""
        return {name: value for name, value in self.body.items() if name not in SET_HERE}

    @property
    def most_prompt_tokens(self) -> int:
        """A bound: no tokenizer makes more tokens of a text than it has bytes in UTF-8."""
        return len(_canonical(self.body).encode("utf-8", "surrogatepass")) + TEMPLATE_TOKENS

    @property
    def most_completion_tokens(self) -> int:
        """What the model may write."""
        return int(self.body["max_tokens"])

    def again(self, attempt: int, after_cut: bool = False) -> "Request":
        """The same question, another attempt: another seed, and warm enough for another answer.

        after_cut: the attempt before it was cut at its longest; this one has more room.
        """
        if attempt == 0:
            return self
        livelier = max(float(self.body["temperature"]), LIVELIER)
        body = {**self.body, "seed": self.body["seed"] + attempt, "temperature": livelier}
        if after_cut:
            most = self.most_completion_tokens
            body["max_tokens"] = max(2 * most, most + MORE_ROOM)
        return replace(self, body=body, attempt=attempt)

    def key(self, server: str) -> str:
        """What an answer is kept under: a digest of all that was asked, and of whom. No secret enters it.

        server: its name (`llm.server`); it was the address once, `base_url`.
        """
        asked = [VERSION, server.rstrip("/"), self.endpoint, self.body, self.attempt]
        return hashlib.sha256(_canonical(asked).encode("utf-8", "surrogatepass")).hexdigest()


def _canonical(value: object) -> str:
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
