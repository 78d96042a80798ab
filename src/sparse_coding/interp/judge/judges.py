"""The scorers that ask a language model, each behind one face."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Int

from sparse_coding.interp import fragments
from sparse_coding.interp.cases import Case, simulation_case
from sparse_coding.interp.explainers import Records
from sparse_coding.interp.fragments import Mode
from sparse_coding.interp.judge import prompts
from sparse_coding.interp.judge.asking import Asking
from sparse_coding.interp.judge.choosing import Near, Shown
from sparse_coding.interp.judge.classifying import ClassifiedCase, Classifying, Kind, Known, classified_case
from sparse_coding.interp.judge.embedding import Embed, Embedding
from sparse_coding.interp.judge.explaining import PLACES, Explaining
from sparse_coding.interp.judge.intruding import Intruding, Intrusion
from sparse_coding.interp.judge.judged import Scores
from sparse_coding.interp.judge.questions import Style
from sparse_coding.interp.judge.simulating import Chat, Echo, PerToken, Simulating
from sparse_coding.interp.scores import FeatureScore, simulated
from sparse_coding.llm.client import Client
from sparse_coding.llm.request import Request
from sparse_coding.settings.params import Llm, LlmScorer

_SIMULATORS: dict[str, tuple[str, type[Chat] | type[PerToken] | type[Echo]]] = {
    "chat": ("simulate", Chat),
    "per_token": ("per_token", PerToken),
    "echo": ("echo", Echo),
}
_CLASSIFIERS: dict[Kind, str] = {"detection": "detect", "fuzzing": "fuzz"}


@runtime_checkable
class Judge(Protocol):
    """Tests explanations."""

    @property
    def simulator(self) -> str:
        """How, as the table says."""
        ...

    @property
    def sources(self) -> tuple[str, ...]:
        """What its scores are made of, the best first."""
        ...

    @property
    def digest(self) -> str:
        """Of its prompt."""
        ...

    def case(
        self,
        activations: Float[np.ndarray, "fragment token"],
        feature: int,
        shuffled: bool,
        near: Near | None = None,
    ) -> Any:
        """What a feature is tested on, with `train` for the explainer; or its FeatureScore where it cannot be.

        near: where its nearest features fire, for those who take negatives from there.
        """
        ...

    def requests(self, explanation: str, case: Any, known: Known | None = None) -> list[Request]:
        """All that is asked about one feature; `known`: kept answers, where a question has an older form."""
        ...

    async def score(self, client: Client, explanation: str, case: Any) -> Scores:
        """Ask, and score. Raises as `questions.usable`."""
        ...


@dataclass(frozen=True)
class Simulation(Asking[Simulating]):
    """Predict the activation on each token of ten fragments."""

    simulator: str
    tokens: Int[np.ndarray, "fragment token"]
    mode: Mode
    seed: int
    shown: Shown

    def case(
        self,
        activations: Float[np.ndarray, "fragment token"],
        feature: int,
        shuffled: bool,
        near: Near | None = None,
    ) -> Case | FeatureScore:
        """See Judge. Fragments that are tested are those of token rules, whatever the explainer sees."""
        case = simulation_case(self.tokens, activations, feature, self.seed, self.mode, shuffled)
        maxima = activations.max(axis=1)
        chosen = fragments.select(maxima, feature, self.seed, self.mode)
        if self.shown.is_original or isinstance(case, FeatureScore) or chosen is None:
            return case
        seen = self.shown.choose(maxima, np.concatenate([chosen.top, chosen.random]), feature, self.seed)
        truth = activations[seen]
        if shuffled:
            truth = fragments.shuffle_positions(truth, feature, self.seed)
        return replace(case, train=Records(self.tokens[seen], truth))

    def requests(self, explanation: str, case: Case, known: Known | None = None) -> list[Request]:
        """See Judge."""
        return self.questions.requests(explanation, case.tested.tokens)

    async def score(self, client: Client, explanation: str, case: Case) -> Scores:
        """See Judge."""
        predictions = await self.questions.predict(client, explanation, case.tested.tokens)
        about = case.feature, case.n_firing_fragments
        return {
            source: FeatureScore(case.feature, "failed", case.n_firing_fragments, prediction, explanation)
            if isinstance(prediction, str)
            else simulated(*about, case.tested, case.n_top, prediction, explanation)
            for source, prediction in predictions.items()
        }


@dataclass(frozen=True)
class Classification(Asking[Classifying]):
    """Tell texts, or marked pieces, apart."""

    scorer: Kind
    vocabulary: Sequence[str]
    tokens: Int[np.ndarray, "fragment token"]
    seed: int
    examples: int
    shown: Shown
    simulator: str

    def case(
        self,
        activations: Float[np.ndarray, "fragment token"],
        feature: int,
        shuffled: bool,
        near: Near | None = None,
    ) -> ClassifiedCase | FeatureScore:
        """See Judge."""
        texts = self.tokens, activations, self.vocabulary
        return classified_case(self.scorer, *texts, feature, self.seed, self.examples, shuffled, self.shown, near)

    def requests(self, explanation: str, case: ClassifiedCase, known: Known | None = None) -> list[Request]:
        """See Judge."""
        return self.questions.requests(explanation, case, known)

    async def score(self, client: Client, explanation: str, case: ClassifiedCase) -> Scores:
        """See Judge."""
        return {self.sources[0]: await self.questions.score(client, explanation, case)}


@dataclass(frozen=True)
class Panel:
    """Who explains, None where no explanation is needed, and who judges."""

    explaining: Explaining | None
    judge: Judge

    @property
    def digest(self) -> str:
        """What tells versions of the prompts apart: the digests of the explainer's and of the judge's."""
        return f"{self.explaining.prompt.digest}+{self.judge.digest}" if self.explaining else self.judge.digest


def panel(
    scorer: LlmScorer,
    llm: Llm,
    folder: Path,
    vocabulary: Sequence[str],
    tokens: Int[np.ndarray, "fragment token"],
    mode: Mode,
    seed: int,
    embed: Embed | None = None,
    embedder: str = "",
) -> Panel:
    """As the settings say, with the prompts in `folder`; embed, embedder: a sentence-embedding model and its digest.

    Raises BadInput for a prompt that cannot be used.
    """
    style = Style(llm.temperature, seed, llm.reasoning_tokens, llm.logprobs, llm.extra)
    shown, texts = Shown(llm.shown, llm.quantiles), (vocabulary, tokens)
    nearest = ", nearest negatives" if llm.negatives == "nearest" else ""
    if scorer == "intruder":
        intruding = Intruding(prompts.load(folder, "intruder", Intruding.places), style, llm.judge)
        return Panel(None, Intrusion(intruding, *texts, seed, llm.examples, f"one of five{nearest}"))
    explaining = Explaining(
        prompts.load(folder, "explain", PLACES), style, llm.explainer, vocabulary, llm.explanation_tokens
    )
    if scorer == "embedding":
        judge = Embedding(embed, embedder, *texts, seed, llm.examples, shown, f"cosine{nearest}")
        return Panel(explaining, judge)
    if scorer != "simulation":
        prompt = prompts.load(folder, _CLASSIFIERS[scorer], Classifying.places)
        classifying = Classifying(prompt, style, llm.judge, llm.per_call)
        simulator = f"classifier{nearest if scorer == 'detection' else ''}"
        return Panel(explaining, Classification(classifying, scorer, *texts, seed, llm.examples, shown, simulator))
    name, kind = _SIMULATORS[llm.simulator]
    simulating = kind(prompts.load(folder, name, kind.places), style, llm.judge, vocabulary)
    return Panel(explaining, Simulation(simulating, llm.simulator, tokens, mode, seed, shown))
