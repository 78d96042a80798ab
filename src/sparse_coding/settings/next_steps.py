"""What to run next, by params.yaml: the target of `make plot`, and the commands after a run and after a preset.

python -m sparse_coding.settings.next_steps     prints the target of `make plot`
"""

import sys
from pathlib import Path

from sparse_coding import methods
from sparse_coding.ending_quietly import ending_quietly
from sparse_coding.errors import BadInput
from sparse_coding.settings import grid, hub_lock, params_file
from sparse_coding.settings.params import Params, Toy

PARAMS = Path("params.yaml")
SMALL = Path("presets/tiny.yaml")
SUMMARY = "results/evaluation/summary.csv"
TOY = "results/plots/toy.png"
RUN = "snakemake --cores all"

Command = tuple[str, str]  # what to type, and what for


def first_site(params: Params) -> str:
    """The site that `make plot` is about: the first one with a figure; imported sites have none."""
    return [*grid.harvested_sites(params), *params.grid.sites][0]


def target(params: Params) -> str:
    """What `make plot` makes: the figure of the first site; where all sites were imported, the summary."""
    return f"results/plots/{first_site(params)}.png" if grid.harvested_sites(params) else SUMMARY


def after_preset(params: Params) -> str:
    """What a preset is for, in the order in which it can be run: names on a hub need their commits first."""
    unlocked = [each.name for each in hub_lock.unlocked(params)]
    commands: list[Command] = []
    if unlocked:
        commands.append((".venv/bin/sparse_coding lock", f"the commits of {' and '.join(unlocked)}, from the hub"))
        commands.append((".venv/bin/sparse_coding forecast", "disk, memory and time, before anything runs"))
    made = TOY if params.toy != Toy() else target(params)
    commands.append((f".venv/bin/{RUN} {made}", "the toy alone" if made == TOY else "as `make plot` does"))
    return "\n".join(["Next:", *_aligned(commands)])


def after_run(params: Params) -> str:
    """What to try when `make plot` is done."""
    sites = params.grid.sites
    strengths = {name for kind in params.grid.architectures for name in grid.lists_of(params, kind)}
    every = f"all {len(sites)} sites of params.yaml, and {SUMMARY}" if len(sites) > 1 else f"{SUMMARY} too"
    commands: list[Command] = [(RUN, every)]
    if params.toy != Toy():
        commands.append((f"{RUN} {TOY}", "the toy of params.yaml"))
    if SMALL.exists() and params_file.load(SMALL) != params:
        commands.append((f"make preset NAME={SMALL.stem}", "a smaller grid, to try changes in about a minute"))
    elif PARAMS.with_name(f"{PARAMS.name}.before").exists():
        commands.append((f"mv {PARAMS}.before {PARAMS}", "the settings that stood there before the preset"))
    strength = next(each for each in methods.STRENGTHS if each in strengths)
    commands.append((f"edit grid.{strength} in {PARAMS}, then make plot", "what depends on it runs again"))
    commands.append(("make test", "the test suite; make gate: the tests that take minutes"))
    return "\n".join(["Try next (with .venv/bin before snakemake, or inside the environment):", *_aligned(commands)])


def _aligned(commands: list[Command]) -> list[str]:
    wide = max(len(typed) for typed, _ in commands)
    return [f"  {typed:{wide}}    {what_for}" for typed, what_for in commands]


def main() -> int:
    """Print the target; 2, with one line on stderr, where params.yaml cannot be used."""
    try:
        print(target(params_file.load(PARAMS)))
    except BadInput as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(ending_quietly(main))
