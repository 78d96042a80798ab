"""Whether a dictionary of a checkout is the one that its params.yaml asks for. Without Snakemake or torch, at once.

The stamp beside a dictionary carries the records of all that it was made from, up to the files from outside. They are
held against those that the rules would declare now.
"""

import os
import sys
from contextlib import chdir, nullcontext
from pathlib import Path

from sparse_coding.errors import BadInput
from sparse_coding.settings import declared, grid, hub_lock, params_file
from sparse_coding.workflow.causes import differences
from sparse_coding.workflow.stamps import Record, Stamp

AGAIN = "run `snakemake`, or load this one with stale=True"
BACK = "run `snakemake`, which makes it or brings it back"
SHOWN = 3  # differences that are named; why names all


def check(path: Path, results: Path, site: str, stamp: Stamp | None) -> None:
    """Hold the dictionary `path` at `site`, which `stamp` vouches for, against the checkout that `results` lies in.

    Nothing is done where that is no checkout's, under whatever name. Where only code is newer, a line on stderr says
    so. Raises BadInput where it was made with other settings or inputs than params.yaml asks for, naming both, and
    where nothing says with which.
    """
    root = _checkout_of(results)
    if root is None:
        return
    if stamp is None:
        raise BadInput(path, "no stamp, so nothing says what it was made with", f"its stamp beside it: {AGAIN}")
    wanted = _wanted_in(root, site)
    found = wanted.differences(stamp.artifact, stamp)
    if found:
        more = f"; {len(found) - SHOWN} more" if len(found) > SHOWN else ""
        raise BadInput(
            path,
            f"a dictionary of other settings or inputs than those of params.yaml ({'; '.join(found[:SHOWN])}{more})",
            f"what params.yaml asks for: {AGAIN}",
        )
    if wanted.has_newer_code(stamp.artifact, stamp):
        print(f"{path}: made by earlier code; `sparse_coding why {stamp.artifact}` says which", file=sys.stderr)


def check_is_there(path: Path, results: Path, site: str, artifact: str) -> None:
    """Raise BadInput where the file `path` of an artifact is missing from a checkout, saying whether it is asked for.

    Nothing is done where `results` is no checkout's: whoever reads the file says that there is none.
    """
    if path.is_file() or (root := _checkout_of(results)) is None:
        return
    if artifact in _wanted_in(root, site).graph.artifacts:
        raise BadInput(path, "no such file, though params.yaml asks for it", f"it: {BACK}")
    raise BadInput(path, "no such file, and params.yaml does not ask for it", "one that it asks for: run `snakemake`")


def _checkout_of(results: Path) -> Path | None:
    """The checkout whose folder `results` it is, here or where it or its link lies; None where it is of none."""
    near = (Path(os.path.abspath(results)).parent, results.resolve().parent, Path.cwd())
    for root in dict.fromkeys(near):
        is_checkout = all((root / file).exists() for file in ("params.yaml", "Snakefile"))
        if is_checkout and (root / "results").resolve() == results.resolve():
            return root
    return None


def _wanted_in(root: Path, site: str) -> "Wanted":
    with nullcontext() if root == Path.cwd() else chdir(root):  # params.yaml names files from there
        return Wanted(root, site)


class Wanted:
    """What the params.yaml of the checkout `root` asks for at `site`.

    Raises BadInput where params.yaml, or a file from outside that it names, cannot be used.
    """

    def __init__(self, root: Path, site: str) -> None:
        self.root, self.graph = root, declared.empty_graph(root, looks=False)
        params = hub_lock.pinned(params_file.load(root / "params.yaml"))
        if site in grid.sites_with_controls(params):
            declared.up_to_dictionaries(self.graph, params, site)

    def differences(self, artifact: str, stamp: Stamp) -> list[str]:
        """Settings and inputs, each as `what: what it was made with -> what is asked for`; code does not count."""
        if artifact not in self.graph.artifacts:
            return ["params.yaml does not ask for it"]
        return list(dict.fromkeys(self._between(stamp.record, self.graph.artifacts[artifact].record, stamp)))

    def has_newer_code(self, artifact: str, stamp: Stamp) -> bool:
        """Whether the code of a step that it was made by is another one now."""
        return stamp.key != self.graph.artifacts[artifact].key

    def _between(self, old: Record, new: Record, stamp: Stamp) -> list[str]:
        found = differences(old["settings"], new["settings"])
        for name in dict.fromkeys([*old["inputs"], *new["inputs"]]):
            before, after = old["inputs"].get(name), new["inputs"].get(name)
            if before == after:
                continue
            upstream, known = self.graph.artifacts.get(name), stamp.upstream.get(str(before))
            if upstream is not None and known is not None:
                found += [f"{name}: {each}" for each in self._between(known, upstream.record, stamp)]
            else:
                found.append(f"{name} was changed")
        return found
