"""Where numba's cache goes, and that no result depends on it."""

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


RESIDUALS = """
import numpy as np
from sparse_coding.kernels import pattern, rows
codes = pattern.Pattern(np.array([0, 1]), np.zeros(1, np.int32), np.ones(1, np.float32))
zeros, ones = np.zeros((1, 3), np.float32), np.ones((1, 3), np.float32)
print(rows.residuals(codes, zeros, ones, ones.copy())[0], sum(rows.residuals.stats.cache_hits.values()))
"""


def copied(folder):
    """The package without what was compiled."""
    package = folder / "src" / "sparse_coding"
    shutil.copytree(ROOT / "src" / "sparse_coding", package, ignore=shutil.ignore_patterns("__pycache__"))
    return package


def said(folder, script, **variables):
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("NUMBA", "XDG"))}
    environment |= {"PYTHONPATH": str(folder / "src"), **variables}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_what_a_loop_calls_is_compiled_anew_after_an_edit(tmp_path):
    package = copied(tmp_path)
    assert [said(tmp_path, RESIDUALS) for _ in range(2)] == ["3.0 0", "3.0 1"]
    rows = package / "kernels" / "rows.py"
    rows.write_text(rows.read_text().replace("total[j] += weight0 * line0[j]", "total[j] += weight0 * line0[j] * 100"))
    assert [said(tmp_path, RESIDUALS) for _ in range(2)] == ["30000.0 0", "30000.0 1"]


def test_where_no_cache_can_be_written_it_is_compiled_all_the_same(tmp_path):
    """An installation that only root may write, and a home folder that is none."""
    package = copied(tmp_path)
    (package / "kernels" / "__pycache__").write_text("a file where numba wants a folder")
    (tmp_path / "home").write_text("no folder")
    assert said(tmp_path, PRINT_KTH, HOME=str(tmp_path / "home"), PYTHONDONTWRITEBYTECODE="1") == "2.0"
