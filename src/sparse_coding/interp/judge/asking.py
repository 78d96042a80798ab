"""What the judges that ask a language model have in common: their scores are made of its answers to a prompt."""

from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar, runtime_checkable

from sparse_coding.interp.judge.prompts import Prompt


@runtime_checkable
class Questioning(Protocol):
    """The questions of a judge."""

    @property
    def prompt(self) -> Prompt:
        """Their form."""
        ...

    @property
    def sources(self) -> tuple[str, ...]:
        """What scores are made of the answers, the best first."""
        ...


Questions = TypeVar("Questions", bound=Questioning)


@dataclass(frozen=True)
class Asking(Generic[Questions]):
    """A judge by its questions."""

    questions: Questions

    @property
    def sources(self) -> tuple[str, ...]:
        """As the questions have them."""
        return self.questions.sources

    @property
    def digest(self) -> str:
        """Of the prompt."""
        return self.questions.prompt.digest
