"""Tokens and activations, which `dvc pull` does not bring: made when a command reads them, and said before."""

import subprocess
import sys
from pathlib import Path

from sparse_coding.errors import BadInput
from sparse_coding.settings import declared


def make(command: str, site: str) -> None:
    """Make what is missing for `site`. Raises BadInput, naming the command, where that fails."""
    vectors = declared.vectors_of(site)["activations"]
    missing = [path for path in (declared.TOKENS, vectors) if not Path(path).is_file()]
    if missing:
        print(f"{' and '.join(missing)} are made first, which takes a minute or more", file=sys.stderr, flush=True)
        done = subprocess.run([sys.executable, "-m", "snakemake", "--cores", "all", *missing], check=False)
        if done.returncode:
            raise BadInput(command, f"a run that ended with {done.returncode}", "tokens and activations")
