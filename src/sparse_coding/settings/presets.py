"""`make preset NAME=tiny`: show what a preset changes, then copy it over params.yaml.

The params file that stood there is kept as params.yaml.before.
"""

import difflib
import shutil
import sys
from pathlib import Path

from sparse_coding.ending_quietly import ending_quietly
from sparse_coding.errors import BadInput
from sparse_coding.settings import next_steps, params_file

FOLDER = Path("presets")
TARGET = Path("params.yaml")


def apply(name: str, folder: Path = FOLDER, target: Path = TARGET) -> str:
    """Copy `<folder>/<name>.yaml` over `target`; the difference, as a unified diff of lines.

    Raises BadInput for a preset that does not exist, naming those that do, or one that is not valid.
    """
    source = folder / f"{name}.yaml"
    known = sorted(file.stem for file in folder.glob("*.yaml"))
    if name not in known:
        raise BadInput("preset", repr(name), f"NAME= one of {', '.join(known)}")
    params_file.load(source)
    before = target.read_text(encoding="utf-8") if target.exists() else ""
    after = source.read_text(encoding="utf-8")
    if target.exists() and before != after:
        shutil.copyfile(target, target.with_name(f"{target.name}.before"))
    shutil.copyfile(source, target)
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), str(target), str(source), lineterm="", n=0)
    return "\n".join(lines)


def main() -> int:
    """Print the difference and what to do next."""
    try:
        difference = apply(sys.argv[1] if len(sys.argv) > 1 else "")
    except BadInput as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print(difference or "params.yaml holds this preset already.")
    if TARGET.with_name(f"{TARGET.name}.before").exists():
        print(f"\nThe old file is {TARGET}.before.")
    print(f"\n{next_steps.after_preset(params_file.load(TARGET))}")
    return 0


if __name__ == "__main__":
    sys.exit(ending_quietly(main))
