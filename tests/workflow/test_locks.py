"""Of things that there are a few of, each process has one for itself."""

import subprocess
import sys

HOLD = """
import sys
from pathlib import Path
from sparse_coding.workflow import locks
which, held = locks.first_free([Path(name) for name in sys.argv[1:]], pause=0.05)
print(which, flush=True)
sys.stdin.readline()
"""


def holder(paths):
    return subprocess.Popen(
        [sys.executable, "-c", HOLD, *paths],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_each_process_takes_one_that_is_free_and_the_last_waits_until_one_is_killed(tmp_path):
    paths = [str(tmp_path / "locks" / name) for name in ("gpu-a", "gpu-b")]
    first, second = holder(paths), holder(paths)
    taken = [int(each.stdout.readline()) for each in (first, second)]
    assert sorted(taken) == [0, 1]
    third = holder(paths)
    assert third.stderr.readline() == "waiting for one of gpu-a, gpu-b: others have them all\n"
    first.kill()
    assert int(third.stdout.readline()) == taken[0]
    for each in (second, third):
        assert each.communicate("\n", timeout=20)[1] == ""  # no more than that, and the second nothing
        assert each.returncode == 0
    first.communicate()
