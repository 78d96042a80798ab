"""Whether a dictionary of a checkout is the one that its params.yaml asks for. Without Snakemake or torch, at once.

The stamp beside a dictionary carries the records of all that it was made from, up to the files from outside. They are
held against those that the rules would declare now.
"""

from pathlib import Path

from sparse_coding import declared, grid, hub_lock, params_file
from sparse_coding.params import Params
from sparse_coding.workflow.causes import differences
from sparse_coding.workflow.stamps import Record, Stamp

SOURCE = "source"


class Wanted:
    """What the params.yaml of the checkout `root` asks for at `site`.

    Raises BadInput where params.yaml, or a file from outside that it names, cannot be used.
    """

    def __init__(self, root: Path, site: str) -> None:
        self.root, self.graph = root, declared.empty_graph(root, looks=False)
        params = hub_lock.pinned(params_file.load(root / "params.yaml"))
        if site in _sites(params):
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


def _sites(params: Params) -> list[str]:
    return grid.sites_with_controls(params)
