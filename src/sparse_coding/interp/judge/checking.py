"""A few of a run's questions before all the others: a run that cannot work ends in seconds, with one line.

1. Is anybody there, and are the models among those that the server lists?
2. The longest question to the explainer: is it taken, and how many tokens has it?
3. The feature with the longest question to the judge: to the explainer, and with what it says to the judge. Are the
   probabilities there that scores rest on, is the schema kept to?

All of them are questions of the run, so their answers serve it, and what was answered before is not asked again. Where
one is refused, which a provider may do for its text, one other is asked.
"""

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress

from sparse_coding.errors import BadInput, Paused, Unanswered
from sparse_coding.interp.explainers import Explanation
from sparse_coding.interp.judge.forecast import BYTES_PER_TOKEN, EXPLANATION, bytes_of
from sparse_coding.interp.judge.questions import Question
from sparse_coding.interp.judge.running import Task
from sparse_coding.interp.panel import Panel
from sparse_coding.llm.answers import Unusable
from sparse_coding.llm.client import Answer, Client
from sparse_coding.llm.faults import CallFailed
from sparse_coding.llm.manners import answers_as_another, has_probabilities, keeps_to_schema, tokens_read
from sparse_coding.llm.overflow import Overflow
from sparse_coding.llm.reaching import has, listed
from sparse_coding.llm.request import Request

LOOKED_AT = 5000  # questions to the judge that are written out to find the longest: of all features, or of some
QUESTIONS = 2  # to each model, at most
SAID_AFTER, PATIENCE = 8.0, 60.0  # seconds: of silence; beside three times the time-out, for a server that is starting
MOST_BYTES = 12.0  # a token; with more, not all of the question was read
NEED_PROBABILITIES = ("per_token", "echo")  # simulators
AGAIN = "then run the same command again"


class Found:
    """What a check found. fresh: keys of the questions that were asked now."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.fresh: set[str] = set()
        self._seen: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)

    @property
    def bytes_per_token(self) -> dict[str, float]:
        """Of the questions, for each model whose server counts what it reads."""
        return {
            model: sum(length for length, _ in seen) / sum(tokens for _, tokens in seen)
            for model, seen in self._seen.items()
        }

    def key(self, request: Request) -> str:
        """What its answer is kept under."""
        return request.key(self.client.reach.server)

    def known_before(self, request: Request) -> Answer | None:
        """What was kept before the check: a forecast is of all that a run asks."""
        return None if self.key(request) in self.fresh else self.client.known(request)

    def measured(self, request: Request, answer: Answer) -> None:
        """Note how many tokens a question has."""
        if tokens := tokens_read(answer):
            self._seen[request.model].append((bytes_of(request), tokens))

    def __str__(self) -> str:
        asked = f"checked by {len(self.fresh)} calls" if self.fresh else "checked before, nothing was sent"
        rates = "".join(f"; {model}: {rate:.1f} bytes a token" for model, rate in self.bytes_per_token.items())
        return f"{self.client.reach.base_url}: {asked}{rates}"


async def check(client: Client, panel: Panel, tasks: Sequence[Task], is_partial: bool = False) -> Found:
    """Ask what the top of this page says, as far as it was not answered before. Notes are printed.

    is_partial: a table of what can be answered is wanted, so that one question without an answer is a note.
    Raises BadInput where the run cannot work: nobody is there, there is no such model, the key is not accepted, or
    there are no probabilities where scores rest on them; Unanswered where the server does not answer, or has too small
    a context. A cap ends a check without a word: the run says so, and publishes what it may.
    """
    found = Found(client)
    alive = [task for task in {id(task): task for task in tasks}.values() if not task.calls_nobody]
    if alive:
        with suppress(Paused):
            await _Check(client, panel, found, is_partial).all(alive)
    return found


class _Check:
    def __init__(self, client: Client, panel: Panel, found: Found, is_partial: bool) -> None:
        self.client, self.panel, self.found, self.is_partial = client, panel, found, is_partial
        self.place = client.reach.base_url
        self.is_reached = False
        self.refusal = ""
        self.models: list[str] = []  # of the explainer and of the judge, as far as they are asked

    async def all(self, alive: Sequence[Task]) -> None:
        """Explainer, then judge, as far as there are both."""
        judged = self._longest_judged(alive)
        case = alive[judged].case
        self.models = [each.request.model for each in self._explaining(alive[judged])[:1]]
        self.models += [request.model for request in self._judging(alive[judged])[:1]]
        said = await self._explained(alive, judged)
        asked = [question.asked(self.client.known) for question in self.panel.judge.questions(said, case)]
        requests = sorted(asked, key=bytes_of, reverse=True)
        for request in requests[:QUESTIONS]:
            answer = await self._answer(request)
            if answer is not None:
                return self._form(request, answer)
        if requests:
            raise self._unfit(requests[0].model)

    def _explaining(self, task: Task) -> list[Question]:
        return self.panel.explainer.questions(task.case.train) if self.panel.explainer else []

    def _judging(self, task: Task) -> list[Request]:
        """The judge's questions about an explanation of usual length."""
        return [question.request for question in self.panel.judge.questions(EXPLANATION, task.case)]

    async def _explained(self, alive: Sequence[Task], judged: int) -> Explanation:
        """What the explainer says about the feature at `judged`, once the longest question to it was answered."""
        if self.panel.explainer is None:
            return EXPLANATION

        def question(place: int) -> Question:
            return self._explaining(alive[place])[0]

        longest = max(range(len(alive)), key=lambda place: bytes_of(question(place).request))
        places = [longest, *([judged] if judged != longest else [])]
        answers = {place: await self._answer(question(place).request) for place in places}
        spare = [place for place in range(len(alive)) if place not in answers][: QUESTIONS - len(answers)]
        if not any(answers.values()) and not any([await self._answer(question(place).request) for place in spare]):
            raise self._unfit(question(judged).request.model)
        answer = answers[judged]
        if answer is None:
            return EXPLANATION
        try:
            return self.panel.explainer.explained(alive[judged].case.train, [question(judged).parse(answer)])
        except Unusable as unusable:
            self._note(f"an answer of {question(judged).request.model} that cannot be used ({unusable})")
            return EXPLANATION

    def _longest_judged(self, alive: Sequence[Task]) -> int:
        """The feature about which the judge is asked most at a time."""
        step = -(-len(alive) * len(self._judging(alive[0])) // LOOKED_AT)
        places = range(0, len(alive), max(step, 1))
        return max(places, key=lambda place: max(map(bytes_of, self._judging(alive[place])), default=0))

    async def _answer(self, request: Request) -> Answer | None:
        """The answer; None where the question is refused for what it says. Raises BadInput where all would be."""
        answer = self.client.known(request)
        if answer is None:
            await self._reach()
            try:
                answer = await self._patiently(request)
            except CallFailed as failed:
                self._without(request, failed)
                return None
            self.found.fresh.add(self.found.key(request))
            self._told(request, answer)
        self.found.measured(request, answer)
        return answer

    def _without(self, request: Request, failed: CallFailed) -> None:
        """Go on without an answer where another question may have one; where none will, raise Unanswered."""
        if failed.by == "context":
            found, wanted = self._too_long(request, failed)
            if not self.is_partial:
                raise Unanswered(self.place, found, wanted)
            self._note(f"{found}: what is as long is left out, as accept_partial allows")
        elif failed.by == "server":
            if not self.is_partial:
                raise Unanswered(self.place, f"{request.model}: {failed.reason}", f"a server that answers; {AGAIN}")
            self._note(f"{request.model}: {failed.reason}: left out, as accept_partial allows")
        self.refusal = failed.reason

    async def _reach(self) -> None:
        """Whether anybody is there, once; and whether it has the models."""
        if self.is_reached:
            return
        self.is_reached = True
        models = await listed(self.client)
        for model in [model for model in dict.fromkeys(self.models) if models and not has(models, model)]:
            self._note(f"{model} is none of the models that it lists ({_some(models or [])}); another may answer")

    async def _patiently(self, request: Request) -> Answer:
        asked = asyncio.ensure_future(self.client.ask(request))
        try:
            await asyncio.wait({asked}, timeout=SAID_AFTER)
            most = 3 * self.client.reach.timeout + PATIENCE
            if not asked.done():
                self._note(f"no answer of {request.model} yet; waiting {most:.0f} s, it may be starting")
                await asyncio.wait({asked}, timeout=most)
            if not asked.done():
                wanted = f"one in time, or a longer autointerp.llm.connection.timeout; {AGAIN}"
                raise Unanswered(self.place, f"no answer of {request.model} in {most:.0f} s", wanted)
            return asked.result()
        finally:
            asked.cancel()
            await asyncio.wait({asked})

    def _told(self, request: Request, answer: Answer) -> None:
        """What an answer shows of any model."""
        if other := answers_as_another(request, answer):
            self._note(f"{request.model} was asked, {other} answered; the table has both names")
        tokens, length = tokens_read(answer), bytes_of(request)
        if tokens and length > MOST_BYTES * tokens:
            self._note(
                f"{request.model} read {tokens:,} tokens of a question of {length:,} bytes: does it cut long ones?"
            )

    def _form(self, request: Request, answer: Answer) -> None:
        """Probabilities and schema. An answer that was kept before was good enough once."""
        key = self.found.key(request)
        if key not in self.found.fresh:
            return
        if request.body.get("logprobs") and not has_probabilities(request, answer):
            simulator = self.panel.judge.simulator
            if simulator in NEED_PROBABILITIES:
                self.client.forget(request)  # or a server that was mended would not be asked again
                other = ", or logprobs: false for the digits that it writes" if simulator == "per_token" else ""
                found = f"no probabilities in an answer of {request.model}, on which simulator: {simulator} rests"
                raise BadInput(self.place, found, f"a server that gives them, or simulator: chat{other}")
            self._note(f"no probabilities in an answer of {request.model}: scores will be of what it writes alone")
        if not keeps_to_schema(request, answer):
            self._note(f"{request.model} does not keep to the schema: answers may be unusable now and then")

    def _too_long(self, request: Request, failed: CallFailed) -> tuple[str, str]:
        """What was found and wanted. Where the server has no numbers, those of the question are about right."""
        needs = failed.overflow or Overflow()
        if needs.needed is None:
            rate = self.found.bytes_per_token.get(request.model, BYTES_PER_TOKEN)
            needs = Overflow(round(bytes_of(request) / rate) + request.most_completion_tokens, needs.room)
        found = f"{needs} by the longest question to {request.model} ({failed.reason})"
        return found, f"a larger context of the server, or a smaller dataset.fragment_tokens; {AGAIN}"

    def _unfit(self, model: str) -> Unanswered:
        found = f"{model} answers none of its questions ({self.refusal})"
        return Unanswered(self.place, found, f"a model that does; {AGAIN}")

    def _note(self, words: str) -> None:
        print(f"warning: {self.place}: {words}", flush=True)


def _some(names: Sequence[str], n: int = 5) -> str:
    return ", ".join([*names[:n], *(["..."] if len(names) > n else [])])
