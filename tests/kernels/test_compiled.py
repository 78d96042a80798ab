"""Where numba's cache goes, and that nothing depends on it."""

import os
import shutil
import subprocess
import sys

from tests.workspace import ROOT

PRINT_KTH = """
import numpy as np
from sparse_coding.kernels.select import kth_largest
print(kth_largest(np.float32([3, 1, 2]), 3, 2))
"""


def test_where_no_cache_can_be_written_it_is_compiled_all_the_same(tmp_path):
    """An installation that only root may write, and a home folder that is none."""
    package = tmp_path / "src" / "sparse_coding"
    shutil.copytree(ROOT / "src" / "sparse_coding", package, ignore=shutil.ignore_patterns("__pycache__"))
    (package / "kernels" / "__pycache__").write_text("a file where numba wants a folder")
    (tmp_path / "home").write_text("no folder")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("NUMBA", "XDG"))}
    environment |= {"PYTHONPATH": str(tmp_path / "src"), "HOME": str(tmp_path / "home"), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", PRINT_KTH], env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.stdout.strip() == "2.0", done.stderr
