"""docs/tour.ipynb, run in a clone; `python -m tests.notebook` writes it again with what its cells say now.

No network: proxies lead nowhere. What cells print is compared word by word; numbers with a point may differ by one in
their last digit, as sums of floats do between machines.
"""

import copy
import os
import re
import sys
import tempfile
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient

from sparse_coding import atomic
from tests.pages import Clone
from tests.workspace import ROOT

PAGE = ROOT / "docs" / "tour.ipynb"
POINTED = re.compile(r"(?<![\w.])([+-]?\d+\.\d+)(?![\w.])")
NOWHERE = "http://127.0.0.1:9"
Notebook = Any  # nbformat has no types


def read(path: Path = PAGE) -> Notebook:
    """The page, by the newest format."""
    return nbformat.read(path, as_version=4)


def execute(folder: Path) -> Notebook:
    """The page run from its beginning in a fresh clone at `folder`, as an editor does: in the folder of the page."""
    clone = Clone.make(folder / "clone")
    page = copy.deepcopy(read())
    for cell in page.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    env = os.environ | {name: NOWHERE for name in ("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy")}
    env |= {"HF_HUB_OFFLINE": "1", "IPYTHONDIR": str(folder / "ipython"), "NO_PROXY": "", "no_proxy": ""}
    where = {"metadata": {"path": str(clone.folder / "docs")}}
    client = NotebookClient(
        page, timeout=300, kernel_name="python3", resources=where, record_timing=False, coalesce_streams=True
    )
    client.execute(env=env)
    page.metadata = {"kernelspec": page.metadata["kernelspec"], "language_info": {"name": "python"}}
    return page


def said(cell: Any) -> list[tuple[str, str]]:
    """What a cell put out: its kind and its text; of an image that there is one, as its bytes hang on the machine."""
    found: list[tuple[str, str]] = []
    for output in cell.get("outputs", []):
        if output.output_type == "stream":
            found.append((output.name, output.text))
        else:
            found.append((", ".join(sorted(output.data)), output.data.get("text/plain", "")))
    return found


def are_alike(one: str, other: str) -> bool:
    """Whether two texts are the same but for the last digit of numbers with a point."""
    first, second = POINTED.split(one), POINTED.split(other)
    if first[::2] != second[::2]:
        return False
    return all(_are_near(a, b) for a, b in zip(first[1::2], second[1::2], strict=True))


def _are_near(one: str, other: str) -> bool:
    digits = len(one.partition(".")[2])
    return digits == len(other.partition(".")[2]) and abs(float(one) - float(other)) < 1.5 * 10**-digits


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made:
        renewed = execute(Path(made))
    with atomic.whole_file(PAGE) as file:
        nbformat.write(renewed, file)
    sys.exit(0)
