"""`python -m tests.equal_bytes BEFORE AFTER`: which steps write the same bytes in two finished checkouts.

BEFORE was made by earlier code, AFTER by this one, of the same settings and inputs, on one machine. What is found is
added to `equal_bytes.json`, by which `sparse_coding migrate` knows what need not be made again. What wrote the same as
BEFORE's code, writes the same as AFTER's; entries of other code stay as they are.
"""

import json
import sys
from pathlib import Path

from sparse_coding.errors import BadInput
from sparse_coding.settings.earlier import EQUAL, Pairs
from sparse_coding.workflow import stamps
from sparse_coding.workflow.stamps import Stamp


def stamps_in(root: Path) -> dict[str, Stamp]:
    """The whole stamps of a checkout, by artifact."""
    found = [stamps.read(path) for folder in ("results", "models") for path in sorted((root / folder).rglob("*.stamp"))]
    return {stamp.artifact: stamp for stamp in found if stamp is not None and stamp.is_whole}


def between(before: Path, after: Path) -> Pairs:
    """Of each step, the digests of its code now, and of its code then where all artifacts of both have the same bytes.

    Raises BadInput where no artifact is in both.
    """
    old, new = stamps_in(before), stamps_in(after)
    both = [(old[path], new[path]) for path in new if path in old]
    if not both:
        raise BadInput(after, "no artifact that is in both", f"the same artifacts as in {before}, finished")
    code = {(n.record["step"], n.record["source"], o.record["source"]): True for o, n in both}
    for o, n in both:
        code[n.record["step"], n.record["source"], o.record["source"]] &= o.files == n.files
    found: Pairs = {}
    for (step, now, then), is_equal in code.items():
        if is_equal and now != then:
            found.setdefault(step, {}).setdefault(now, []).append(then)
    return found


def merged(table: Pairs, found: Pairs) -> Pairs:
    """The table with what was found now: of each present code, all that is known to write the same, over whatever many
    versions."""
    merged = {step: {now: set(then) for now, then in pairs.items()} for step, pairs in table.items()}
    for step, pairs in found.items():
        known = merged.setdefault(step, {})
        chains = {now: set(then).union(*(known.get(earlier, ()) for earlier in then)) for now, then in pairs.items()}
        for earlier in set().union(*pairs.values()) - pairs.keys():
            known.pop(earlier, None)
        for now, then in chains.items():
            known[now] = (known.get(now, set()) | then) - {now}
    return {step: {now: sorted(then) for now, then in pairs.items()} for step, pairs in merged.items()}


if __name__ == "__main__":
    written = merged(json.loads(EQUAL.read_bytes()), between(Path(sys.argv[1]), Path(sys.argv[2])))
    EQUAL.write_text(json.dumps(written, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    print(f"{EQUAL}: {', '.join(f'{step}: {len(pairs)}' for step, pairs in written.items())}")
