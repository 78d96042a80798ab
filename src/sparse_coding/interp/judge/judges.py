"""The panels that ask a language model, as settings name them."""

from pathlib import Path

from sparse_coding.interp.cases import Fragments
from sparse_coding.interp.fragments import Mode
from sparse_coding.interp.judge import prompts
from sparse_coding.interp.judge.choosing import ORIGINAL, Shown
from sparse_coding.interp.judge.classifying import Classification
from sparse_coding.interp.judge.embedding import Embed, Embedding
from sparse_coding.interp.judge.explaining import PLACES, Explaining
from sparse_coding.interp.judge.intruding import Intrusion
from sparse_coding.interp.judge.questions import Asked, Style
from sparse_coding.interp.judge.simulating import Chat, Echo, PerToken
from sparse_coding.interp.panel import Panel
from sparse_coding.interp.simulation import Simulation
from sparse_coding.settings.params import Llm, LlmScorer

_SIMULATORS: dict[str, type[Chat] | type[PerToken] | type[Echo]] = {each.name: each for each in (Chat, PerToken, Echo)}
_CLASSIFIERS = {"detection": "detect", "fuzzing": "fuzz"}


def panel(
    scorer: LlmScorer,
    llm: Llm,
    folder: Path,
    fragments: Fragments,
    mode: Mode,
    embed: Embed | None = None,
    embedder: str = "",
) -> Panel:
    """As the settings say, with the prompts in `folder`; embed, embedder: a sentence-embedding model and its digest.

    Raises BadInput for a prompt that cannot be used.
    """
    style = Style(llm.temperature, fragments.seed, llm.reasoning_tokens, llm.logprobs, llm.extra)

    def asked(model: str, name: str, places: frozenset[str]) -> Asked:
        return Asked(prompts.load(folder, name, places), style, model)

    shown, n = Shown(llm.shown, llm.quantiles), llm.examples
    nearest = ", nearest negatives" if llm.negatives == "nearest" else ""
    if scorer == "intruder":
        judge = asked(llm.judge, "intruder", Intrusion.places)
        return Panel(None, Intrusion(fragments, n, f"one of five{nearest}", judge))
    explainer = Explaining(asked(llm.explainer, "explain", PLACES), fragments.vocabulary, llm.explanation_tokens)
    if scorer == "embedding":
        return Panel(explainer, Embedding(fragments, n, shown, f"cosine{nearest}", embed, embedder))
    if scorer == "simulation":
        kind = _SIMULATORS[llm.simulator]
        simulator = kind(asked(llm.judge, kind.file, kind.places), fragments.vocabulary)
        return Panel(explainer, Simulation(fragments, simulator, mode, None if shown == ORIGINAL else shown.choose))
    judge = asked(llm.judge, _CLASSIFIERS[scorer], Classification.places)
    how = f"classifier{nearest if scorer == 'detection' else ''}"
    return Panel(explainer, Classification(scorer, fragments, n, shown, how, judge, llm.per_call))
