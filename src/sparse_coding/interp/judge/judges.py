"""The scorers that ask a language model, each behind one face."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float, Int

from sparse_coding.interp.cases import Case, simulation_case
from sparse_coding.interp.fragments import Mode
from sparse_coding.interp.judge import prompts
from sparse_coding.interp.judge.classifying import ClassifiedCase, Classifying, Kind, classified_case
from sparse_coding.interp.judge.explaining import PLACES, Explaining
from sparse_coding.interp.judge.questions import Style
from sparse_coding.interp.judge.simulating import Chat, Echo, PerToken, Simulating
from sparse_coding.interp.scores import FeatureScore, simulated
from sparse_coding.llm.client import Client
from sparse_coding.llm.request import Request
from sparse_coding.params import Llm

NO_PROBABILITIES = "no probabilities in the answers"
_SIMULATORS: dict[str, tuple[str, type[Chat] | type[PerToken] | type[Echo]]] = {
    "chat": ("simulate", Chat),
    "per_token": ("per_token", PerToken),
    "echo": ("echo", Echo),
}
_CLASSIFIERS: dict[Kind, str] = {"detection": "detect", "fuzzing": "fuzz"}

Scores = dict[str, FeatureScore]  # by source


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

    def case(self, activations: Float[np.ndarray, "fragment token"], feature: int, shuffled: bool) -> Any:
        """What a feature is tested on, with `train` for the explainer; or its FeatureScore where it cannot be."""
        ...

    def requests(self, explanation: str, case: Any) -> list[Request]:
        """All that is asked about one feature."""
        ...

    async def score(self, client: Client, explanation: str, case: Any) -> Scores:
        """Ask, and score. Raises as `questions.usable`."""
        ...


@dataclass(frozen=True)
class Simulation:
    """Predict the activation on each token of ten fragments."""

    simulating: Simulating
    simulator: str
    tokens: Int[np.ndarray, "fragment token"]
    mode: Mode
    seed: int

    @property
    def sources(self) -> tuple[str, ...]:
        """As the simulation has them."""
        return self.simulating.sources

    @property
    def digest(self) -> str:
        """Of the prompt."""
        return self.simulating.prompt.digest

    def case(
        self, activations: Float[np.ndarray, "fragment token"], feature: int, shuffled: bool
    ) -> Case | FeatureScore:
        """See Judge."""
        return simulation_case(self.tokens, activations, feature, self.seed, self.mode, shuffled)

    def requests(self, explanation: str, case: Case) -> list[Request]:
        """See Judge."""
        return self.simulating.requests(explanation, case.tested.tokens)

    async def score(self, client: Client, explanation: str, case: Case) -> Scores:
        """See Judge."""
        predictions = await self.simulating.predict(client, explanation, case.tested.tokens)
        about = case.feature, case.n_firing_fragments
        return {
            source: FeatureScore(case.feature, "failed", case.n_firing_fragments, NO_PROBABILITIES, explanation)
            if prediction is None
            else simulated(*about, case.tested, case.n_top, prediction, explanation)
            for source, prediction in predictions.items()
        }


@dataclass(frozen=True)
class Classification:
    """Tell texts, or marked pieces, apart."""

    classifying: Classifying
    scorer: Kind
    vocabulary: Sequence[str]
    tokens: Int[np.ndarray, "fragment token"]
    seed: int
    examples: int
    simulator: str = "classifier"

    @property
    def sources(self) -> tuple[str, ...]:
        """As the classification has them."""
        return self.classifying.sources

    @property
    def digest(self) -> str:
        """Of the prompt."""
        return self.classifying.prompt.digest

    def case(
        self, activations: Float[np.ndarray, "fragment token"], feature: int, shuffled: bool
    ) -> ClassifiedCase | FeatureScore:
        """See Judge."""
        texts = self.tokens, activations, self.vocabulary
        return classified_case(self.scorer, *texts, feature, self.seed, self.examples, shuffled)

    def requests(self, explanation: str, case: ClassifiedCase) -> list[Request]:
        """See Judge."""
        return self.classifying.requests(explanation, case)

    async def score(self, client: Client, explanation: str, case: ClassifiedCase) -> Scores:
        """See Judge."""
        return {self.sources[0]: await self.classifying.score(client, explanation, case)}


@dataclass(frozen=True)
class Panel:
    """Who explains and who judges. digest: of both prompts."""

    explaining: Explaining
    judge: Judge

    @property
    def digest(self) -> str:
        """What tells versions of the prompts apart: the digests of the explainer's and of the judge's."""
        return f"{self.explaining.prompt.digest}+{self.judge.digest}"


def panel(
    scorer: Literal["simulation", "detection", "fuzzing"],
    llm: Llm,
    folder: Path,
    vocabulary: Sequence[str],
    tokens: Int[np.ndarray, "fragment token"],
    mode: Mode,
    seed: int,
) -> Panel:
    """As the settings say, with the prompts in `folder`. Raises BadInput for a prompt that cannot be used."""
    style = Style(llm.temperature, seed, llm.reasoning_tokens, llm.logprobs)
    explaining = Explaining(
        prompts.load(folder, "explain", PLACES), style, llm.explainer, vocabulary, llm.explanation_tokens
    )
    if scorer != "simulation":
        prompt = prompts.load(folder, _CLASSIFIERS[scorer], Classifying.places)
        classifying = Classifying(prompt, style, llm.judge, llm.per_call)
        return Panel(explaining, Classification(classifying, scorer, vocabulary, tokens, seed, llm.examples))
    name, kind = _SIMULATORS[llm.simulator]
    simulating = kind(prompts.load(folder, name, kind.places), style, llm.judge, vocabulary)
    return Panel(explaining, Simulation(simulating, llm.simulator, tokens, mode, seed))
