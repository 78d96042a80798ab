"""What is put right on the way, though nothing that was asked for has to be made.

A fresh figure says nothing of what it was made from: after a kill and a revert the dictionaries below it may be those
of other settings, after a copy another's. Whoever uses them would not see it. So what lies upstream of what was asked
for, and is not what it should be, is made or comes back; what is lost comes back where it is kept, and is made where
the whole is asked for.
"""

from collections.abc import Iterable
from enum import Enum

from sparse_coding.workflow.graph import Artifact, Job, State


class Mend(Enum):
    """For which targets an artifact is put right where nothing downstream of it has to be made."""

    ALWAYS = "always"
    WHOLE = "whole"  # where the whole is asked for: it is lost
    NEVER = "never"


def mend(artifact: Artifact, job: Job, is_kept: bool) -> Mend:
    """For which targets an artifact of `job` is put right. is_kept: whether its wanted version lies somewhere.

    What is lost and stays on this machine is never made for its own sake: it is large, and serves only to make others.
    """
    if artifact.state is State.FRESH:
        return Mend.NEVER
    lost = artifact.state is State.ABSENT or is_put_away(artifact, job)
    if not lost or is_kept:
        return Mend.ALWAYS
    return Mend.NEVER if job.local else Mend.WHOLE


def is_put_away(artifact: Artifact, job: Job) -> bool:
    """Whether an artifact is moved into the store when a run begins: of other settings, and no part of any version.

    What DVC versions is left until it is replaced: a run that makes something else takes nothing away.
    """
    return job.local and artifact.state is State.STALE and artifact.found is not None and not artifact.problem


class Ways:
    """From each artifact the way upstream to what is put right. whole: where the whole is asked for."""

    def __init__(self, whole: bool) -> None:
        self.whole = whole
        self._of: dict[str, list[str]] = {}
        self._as_input: dict[str, list[str]] = {}

    def add(self, path: str, inputs: Iterable[str], is_fresh: bool, mended: Mend) -> None:
        """To be called for each artifact, after those that it is made from."""
        own = list(dict.fromkeys(way for each in inputs for way in self._as_input[each]))
        is_mended = mended is Mend.ALWAYS or (self.whole and mended is Mend.WHOLE)
        self._of[path] = own
        # What is left away is no station: it would be made to be passed.
        self._as_input[path] = [path] if is_mended or (is_fresh and own) else own

    def of(self, path: str) -> list[str]:
        """The nearest artifacts upstream of an artifact that are put right, or that lead to such ones."""
        return self._of[path]
