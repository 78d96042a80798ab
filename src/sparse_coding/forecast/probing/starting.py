"""Processor time of what hangs on no size: starting Python, importing, loading a model, the embedded corpus.

Measured on one machine, and scaled by how long one import takes on this one.
"""

import subprocess
import sys
import time
from functools import cache
from resource import RUSAGE_CHILDREN, getrusage

REFERENCE = 1.65  # seconds of MODULE's import on the machine of the table
MODULE = "sparse_coding.stages.dictionaries"
SECONDS = {
    "dataset": 3.6, "activations": 4.2, "dictionaries": 2.0, "baselines": 2.9, "evaluation": 6.0, "autointerp": 1.9,
    "published": 2.0, "plots": 3.0, "toy": 2.1, "transformer": 4.0, "tables": 0.7, "summary": 0.3, "import": 1.8,
}  # fmt: skip
EMBEDDED_CORPUS = 37.0  # reading all packages, and leaving out what repeats; by two processes, as the stage does
TEXT = 6e-7  # seconds a byte of other texts: reading, tokenising what is used, hashing windows


@cache
def slowness() -> float:
    """How many times as long as there this machine takes, by the import of torch and more."""
    taken = []
    for _ in range(2):
        before = getrusage(RUSAGE_CHILDREN)
        subprocess.run([sys.executable, "-c", f"import {MODULE}"], check=True)
        after = getrusage(RUSAGE_CHILDREN)
        taken.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return min(taken) / REFERENCE


@cache
def hashed() -> float:
    """Seconds a byte of the SHA-256 that a stamp holds, and of the checksums in a file of activations."""
    import hashlib

    data = bytes(1 << 24)
    began = time.thread_time()
    hashlib.sha256(data).digest()
    hashlib.blake2b(data, digest_size=8).digest()
    return (time.thread_time() - began) / len(data)
