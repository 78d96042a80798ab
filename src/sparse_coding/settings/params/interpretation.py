"""Section autointerp: what is explained, by whom, how it is tested, and what that may cost."""

import json
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, JsonValue, field_validator, model_validator

from sparse_coding.settings.params.section import Architecture, Count, NonNegative, Positive, Section, refused, setting

# What a request holds by other settings, or by what is done with its answer, also under newer names.
_CHAT = {"model", "messages", "max_tokens", "temperature", "seed", "response_format", "logprobs", "top_logprobs"}
SET_HERE = frozenset({*_CHAT, "max_completion_tokens", "prompt", "echo", "stream", "stream_options", "n", "best_of"})
_PORTS = {"http": 80, "https": 443}
# To these scorers other positions in a fragment are the same, and there is no null: knowing nothing gives 0.5.
WHOLE_TEXTS = ("detection", "embedding")
MOST_FAILED = 0.05  # with more, what is missing may matter as much as what was found


def host_of(url: str) -> str:
    """Host and port of an address; without the port where it is the usual one. Raises ValueError where it has none."""
    parts = urlsplit(url)
    if not parts.hostname:
        raise ValueError("an address with a host")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return host if parts.port in (None, _PORTS[parts.scheme]) else f"{host}:{parts.port}"


class Nearest(Section):
    """In each cell, and there of each list of the grid, the members nearest to these (on a log scale)."""

    l1: Positive = setting(2e-3, "For architectures with an L1 penalty.", unit="loss / code")
    k: Count = setting(8, "For TopK.", unit="codes / vector")
    l0: Positive = setting(8, "For those with a wished L0.", unit="codes / vector")


class RandomWeights(Section):
    """The control: of the scored dictionaries of a site, the nearest to this one is trained on random weights too.

    So it has a twin on the trained model, with the same settings, to be compared with.
    """

    architecture: Architecture = setting("tied", "Its architecture.")
    ratio: Positive = setting(4, "Its size.", unit="features / dimension")
    l1: NonNegative = setting(2e-3, "Its L1 penalty (ReLU architectures).", unit="loss / code")
    k: Count = setting(8, "Its k (TopK).", unit="codes / vector")
    l0: Positive = setting(16, "Its wished L0, where it is of `grid.l0`.", unit="codes / vector")
    seed: Annotated[int, Field(ge=0)] = setting(0, "Its seed; exactly this one is that of the model's random weights.")


class Sampling(Section):
    """Which features are scored, and on which fragments."""

    features: Count = setting(100, "Features of each dictionary.", unit="features")
    choice: Literal["sample", "first"] = setting(
        "sample",
        "Which: a seeded uniform sample, or the first ones, as the original; those of PCA have the largest variance.",
        source="docs/paper.md",
    )
    mode: Literal["nonzero", "original", "unbiased"] = setting(
        "nonzero",
        "Random fragments: `nonzero`, where the feature fires, the top 20 left out; `original`, the top 20 too; "
        "`unbiased`, any but the top 20. Read by token-rules and simulation.",
        source="docs/numbers.md: fragments",
    )
    seed: Annotated[int, Field(ge=0)] = setting(0, "Seed of the samples of features and fragments.")


class Price(Section):
    """What a model costs."""

    prompt: Annotated[float, Field(ge=0, allow_inf_nan=False)] = setting(
        0.0, "For what it reads.", unit="USD / million tokens"
    )
    completion: Annotated[float, Field(ge=0, allow_inf_nan=False)] = setting(
        0.0, "For what it writes.", unit="USD / million tokens"
    )
    cached: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = setting(
        None, "For what it reads from its cache; null: as `prompt`.", unit="USD / million tokens"
    )


class Caps(Section):
    """What may be spent, all in all; see docs/interpretation.md."""

    max_cost: Positive | None = setting(None, "Most that may ever be spent; needs prices.", unit="USD")
    max_tokens: Count | None = setting(None, "Most tokens, read and written.", unit="tokens")
    max_requests: Count | None = setting(None, "Most requests.", unit="requests")


class Questions(Section):
    """What is asked of which model: all of it decides the answers."""

    server: str | None = setting(
        None,
        "A name of yours for what stands behind `connection.base_url`. Answers are kept under it: another address with "
        "the same name is the same judge, another name asks anew. null: host and port.",
        min_length=1,
    )
    explainer: str = setting("", "The model that explains features; intruder needs none.")
    judge: str = setting("", "The model that tests explanations; embedding needs none.")
    shown: Count = setting(
        5, "Most fragments that the explainer sees.", unit="fragments / feature", source="docs/decisions.md: shown"
    )
    quantiles: Count | None = setting(
        None,
        "So many quantiles of the fragments on which a feature fires, by their maxima, from which they are drawn, "
        "equally many of each; null: every fourth of the top ones (5 of the top 20: Bills et al. 2023).",
        source="docs/decisions.md: shown",
    )
    simulator: Literal["chat", "per_token", "echo"] = setting(
        "chat",
        "How a simulation asks: a fragment a call, a token a call (64 times the price), or by the probabilities of an "
        "echoed prompt (vLLM).",
    )
    logprobs: bool = setting(True, "Ask for probabilities, and score by expected values where the answers have them.")
    temperature: Annotated[float, Field(ge=0, le=2)] = setting(0.0, "Sampling temperature of both models.")
    explanation_tokens: Count = setting(60, "Longest explanation.", unit="tokens")
    reasoning_tokens: Annotated[int, Field(ge=0)] = setting(
        0, "Room for thoughts beside each answer, for models that have them.", unit="tokens"
    )
    extra: dict[str, JsonValue] = setting(
        {},
        "Sent in the body of each request as it stands, for what servers know beyond this page, e.g. "
        "`reasoning_effort: low` or `chat_template_kwargs: {enable_thinking: false}`.",
    )
    examples: Count = setting(
        20,
        "Fragments of each of the two kinds, for detection, fuzzing and embedding; questions, for intruder.",
        unit="1 / feature",
    )
    negatives: Literal["random", "nearest"] = setting(
        "random",
        "Fragments in which the feature is silent, for detection, intruder and embedding: any; or `nearest`, those in "
        "which the features of nearest decoder direction fire.",
        source="docs/interpretation.md",
    )
    most_failed: Annotated[float, Field(ge=0, le=1)] = setting(
        MOST_FAILED,
        "Largest share of a dictionary's features without a usable answer (refused, malformed, cut) in a table; above "
        "it there is none.",
        source="docs/interpretation.md",
    )
    embedder: str | None = setting(
        None,
        "A sentence-embedding model, for embedding: a folder in Hugging Face format. It runs here.",
        place="files",
        min_length=1,
    )
    per_call: Annotated[int, Field(ge=1, le=20)] = setting(
        5, "Fragments in one question, for detection and fuzzing.", unit="fragments"
    )

    @field_validator("extra")
    @classmethod
    def _adds(cls, extra: dict[str, Any]) -> dict[str, Any]:
        taken = sorted(SET_HERE & extra.keys())
        if taken:
            raise ValueError(f"nothing that other settings decide: {', '.join(taken)}")
        try:
            json.dumps(extra, allow_nan=False)
        except ValueError:
            raise ValueError("numbers that JSON has: neither nan nor inf") from None
        return extra


class Connection(Caps):
    """How a server is reached and what may be spent there."""

    base_url: str = setting(
        "https://api.openai.com/v1",
        "A server that speaks OpenAI's API: theirs, vLLM, llama.cpp, Ollama.",
        pattern=r"^https?://[^\s]+$",
    )
    key_variable: str | None = setting(
        None,
        "Environment variable that holds the key, which is read nowhere else; null: OPENAI_API_KEY for OpenAI's "
        "own server, and no key for others.",
    )
    prices: dict[str, Price] = setting(
        {},
        "Model name -> `prompt`, `completion` and `cached` (what the server reads from its cache; null: as `prompt`), "
        "USD for a million tokens; a model that is not here costs nothing.",
    )
    in_flight: Annotated[int, Field(ge=1, le=256)] = setting(16, "Requests under way at the same time.")
    timeout: Positive = setting(
        120.0,
        "Wait for an answer, after which fewer questions are under way; the late one is waited for, up to ten times as "
        "long, before it is sent once more.",
        unit="seconds",
    )
    retries: Annotated[int, Field(ge=0)] = setting(6, "Times a request is sent again after a fault of the server.")
    retry_wait: Positive = setting(1.0, "First wait between them; it doubles.", unit="seconds")
    cache: str = setting(".work/llm/cache", "Folder of all answers ever received.", min_length=1)

    @field_validator("base_url")
    @classmethod
    def _has_host(cls, url: str) -> str:
        host_of(url)
        return url


LlmScorer = Literal["simulation", "detection", "fuzzing", "intruder", "embedding"]


class Llm(Questions):
    """Language models as explainer and judge."""

    connection: Connection = setting(
        Connection(), "How they are reached and what they may cost.", changes_results=False
    )

    @property
    def served_by(self) -> str:
        """The name of the server: `server`, or the host and port of its address."""
        return self.server or host_of(self.connection.base_url)

    @model_validator(mode="after")
    def _enough_for_each_quantile(self) -> Self:
        if self.quantiles is not None and self.quantiles > self.shown:
            raise refused("quantiles", self.quantiles, f"at most as many as fragments shown, {self.shown}")
        return self

    def read_by(self, scorer: LlmScorer) -> "Llm":
        """Without what this scorer does not read, so that a change of that makes nothing stale."""
        unread = {
            "simulation": {"negatives", "embedder"},
            "detection": {"embedder"},
            "fuzzing": {"negatives", "embedder"},
            "intruder": {"embedder", "explainer", "explanation_tokens", "shown", "quantiles", "per_call"},
            "embedding": {"judge", "per_call", "logprobs"},
        }[scorer]
        return self.model_copy(update={name: type(self).model_fields[name].default for name in unread})


class Scoring(Sampling):
    """How a dictionary is explained and scored."""

    scorer: Literal["token-rules", "simulation", "detection", "fuzzing", "intruder", "embedding"] = setting(
        "token-rules",
        "`token-rules` needs no language model; the others need `llm`.",
        source="Bills et al. 2023 (simulation); Paulo et al. 2024 (the others)",
    )
    rules: Count = setting(
        3, "Most rules in an explanation (token-rules).", unit="rules", source="docs/decisions.md: K"
    )
    llm: Llm | None = setting(None, "Language models as explainer and judge; null: none.")
    accept_partial: bool = setting(
        False,
        "At a cap, or where a server leaves questions without an answer, publish the features that are finished, "
        "equally many of each dictionary, marked `n of N`.",
    )


class Autointerp(Scoring):
    """Explanations of features, and how well they predict the activations."""

    members: Literal["all"] | Nearest = setting(Nearest(), "Dictionaries to score: `all`, or the nearest in each cell.")
    random_weights: RandomWeights | None = setting(
        RandomWeights(),
        "Control on the random-weights model: the scored dictionary that is nearest to these settings; null: none.",
    )
    bootstrap: Count = setting(10_000, "Resamples of features for an interval.", unit="resamples")
