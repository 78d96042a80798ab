"""What an earlier version made that is the same today: said when a run begins, before it is made again.

`equal_bytes.json` has, for each step, digests of its present code, and of earlier code that was found, by remaking and
comparing bytes, to write the same.
"""

import json
from pathlib import Path

from sparse_coding.workflow.graph import Graph, State

EQUAL = Path(__file__).with_name("equal_bytes.json")
Pairs = dict[str, dict[str, list[str]]]  # step: present digest of its code: earlier ones


def equal() -> Pairs:
    """What `equal_bytes.json` has."""
    return json.loads(EQUAL.read_bytes())


def hint(graph: Graph, known: Pairs) -> str:
    """A line where `sparse_coding migrate` may spare the making again of artifacts that are stale; else nothing."""
    number = 0
    for artifact in graph.artifacts.values():
        if artifact.state is State.STALE and artifact.found is not None:
            now, then = artifact.record, artifact.found.record
            number += then["source"] in known.get(now["step"], {}).get(now["source"], [])
    if not number:
        return ""
    return (
        f"{number} artifacts are of an earlier version whose code wrote the same bytes: stop this run, and "
        "`sparse_coding migrate` keeps those that are still what is asked for."
    )
