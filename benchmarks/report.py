"""benchmarks/results.json as a page to read: `python -m benchmarks.report` writes benchmarks/RESULTS.md."""

from typing import Any

from benchmarks.quality import page
from benchmarks.results import ROOT, load
from sparse_coding import atomic

PAGE = ROOT / "benchmarks" / "RESULTS.md"
OURS = "ours"
Row = dict[str, Any]

HEAD = """# Measurements

Made by `make bench` from [results.json](results.json). Each section names the machine that it was measured on:
ratios carry over to others better than times do.
"""

HOW_TO_READ = """**How to read it.** One step is one optimiser step of one dictionary on one batch, float32 unless it
says otherwise. All trainers run in one process, on one core, with one thread, in turn, {rounds} rounds. They get the
same weights and the same vectors, and the loss that each computes agrees with ours (largest relative difference in
float32: {loss_off:.0e}).

"Times ours" is the processor time of a step over that of ours in the same round: 5 means that ours is five times
faster, below 1 that it is slower. Square brackets: least and most of the rounds. "Dense products" are the five matrix
products of a dense step and nothing else, the least that a trainer with dense products can take.

At a fixed L0 the weights are random, a bias sets the L0, and the learning rate is 0, which holds the L0 still and
leaves the arithmetic as it is. "Dense" is a zero bias, as at the start of training. "Trained" is a grid of 8 values of
L1 that ours trained on planted vectors; the steps are timed at the rate of the end of the schedule. Trainers that hold
one dictionary an object are timed with 2 of the 8, because the cost is linear.
"""


def number(value: float) -> str:
    """Three digits that matter, without an exponent."""
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}" if abs(value) >= 0.1 else f"{value:.2g}"


def ranged(spread: Row) -> str:
    """A median with its least and most."""
    return f"{number(spread['median'])} [{number(spread['least'])}, {number(spread['most'])}]"


def table(head: list[str], rows: list[list[str]]) -> str:
    """A table in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def l0_text(setting: Row) -> str:
    """The mean over the members, with the range where they differ."""
    least, most, mean = min(setting["l0"]), max(setting["l0"]), sum(setting["l0"]) / len(setting["l0"])
    return number(mean) if most - least < 0.05 * most + 1 else f"{mean:.0f} ({least:.0f} to {most:.0f})"


def overview(settings: list[Row]) -> str:
    """A line a setting: the time of ours, and how many times longer each other trainer takes."""
    names = list(dict.fromkeys(row["trainer"] for setting in settings for row in setting["rows"]))
    names.remove(OURS)
    names.sort(key=lambda name: name.startswith("dense products"))  # last, the others as they come
    lines = []
    for setting in settings:
        rows = {row["trainer"]: row for row in setting["rows"]}
        ratios = [number(rows[name]["cpu_ratio"]["median"]) if name in rows else "" for name in names]
        kind = f"{setting['architecture']}, {setting['sparsity']}"
        ms = rows[OURS]["cpu_ms"]["median"]
        lines.append([kind, l0_text(setting), number(ms), number(1000 / ms), *ratios])
    return table(["setting", "L0", "ours, ms a step", "ours, steps/s", *names], lines)


def details(setting: Row) -> str:
    """All figures of one setting."""
    lines = []
    for row in setting["rows"]:
        times = [ranged(row[key]) for key in ("cpu_ratio", "wall_ratio", "cpu_ms", "wall_ms")]
        lines.append([row["trainer"], *times, str(row.get("members", ""))])
    head = ["trainer", "times ours, processor", "times ours, clock", "processor ms a step", "clock ms a step", "timed"]
    title = f"#### {setting['architecture']}, {setting['sparsity']} (L0 {l0_text(setting)})"
    return "\n\n".join([title, table(head, lines), *(f"Left out: {line}." for line in setting["refused"])])


def shape_of(setting: Row) -> str:
    """The title of all settings of one shape."""
    return f"{setting['d_act']} dimensions, {setting['n_feat']} features, {setting['batch']} vectors a batch"


def training(section: Row, where: str = "", is_first: bool = True) -> str:
    """The section on training; how to read it stands in the first."""
    settings = section["settings"]
    shapes = list(dict.fromkeys(shape_of(setting) for setting in settings))
    groups = {shape: [setting for setting in settings if shape_of(setting) == shape] for shape in shapes}
    exact = [row for setting in settings for row in setting["rows"] if "bfloat16" not in row["trainer"]]
    loss_off = max((row.get("loss_off", 0) for row in exact), default=0)
    how_to_read = HOW_TO_READ.format(rounds=section["rounds"], loss_off=loss_off).rstrip()
    parts = [f"## Training{where}", machine_line(section), *([how_to_read] if is_first else [])]
    parts += [f"### {shape}: times ours, median\n\n{overview(group)}" for shape, group in groups.items()]
    for title, key in (("Two threads", "threads"), ("Memory", "memory")):
        if section.get(key):
            parts.append(f"### {title}\n\n{generic_table(section[key])}")
    parts.append("### The trainers\n\n" + "\n".join(f"- {note}" for note in section["notes"] + section["missing"]))
    for shape, group in groups.items():
        parts.append(f"### All figures: {shape}")
        parts += [details(setting) for setting in group]
    return "\n\n".join(parts)


def machine_line(section: Row) -> str:
    """What the figures were measured on."""
    machine = section.get("machine")
    if not machine:
        return ""
    known = {"date": "{}", "cpu": "{}", "vectors": "{}", "cores": "{} cores", "python": "Python {}"}
    known |= {"load": "load average before {}"}
    shown = [text.format(machine[key]) for key, text in known.items() if key in machine]
    shown += [f"{key} {value}" for key, value in machine.items() if key not in known]
    return f"Measured on: {', '.join(shown)}."


def generic_table(rows: list[Row]) -> str:
    """Rows {what, value, unit} with least, most and note where there are any."""
    lines = []
    for row in rows:
        has_range = "least" in row and "most" in row
        bounds = f"{number(row['least'])} to {number(row['most'])}" if has_range else ""
        value = number(row["value"]) if isinstance(row["value"], int | float) else str(row["value"])
        lines.append([row["what"], f"{value} {row.get('unit', '')}".strip(), bounds, row.get("note", "")])
    return table(["what", "value", "least to most", "note"], lines)


def generic(name: str, section: list[Row] | Row) -> str:
    """A section that is a list of rows, or a dict with `rows`, `notes` and `machine`."""
    whole = {"rows": section} if isinstance(section, list) else section
    parts = [f"## {name.capitalize()}", machine_line(whole), generic_table(whole.get("rows", []))]
    parts += ["\n".join(f"- {note}" for note in whole.get("notes", []))]
    return "\n\n".join(part for part in parts if part)


def quality(section: Row) -> str:
    """The section on what others reach."""
    (head, *rows), (first, *others) = page.table_of(section["rows"]), page.against_of(section["against"])
    notes = [f"- {note}" for note in page.measured_l0(section["rows"])]
    parts = ["## Quality", machine_line(section), page.HOW_TO_READ, table(head, rows)]
    parts += ["### FVU of ours against the best of the others", table(first, others)]
    parts += ["### What L0 came of what was asked for, seed 0", "\n".join(notes)]
    drawn = f"![FVU against processor seconds, a panel a kind, a line a trainer](../{page.PICTURE})"
    return "\n\n".join([*parts, "### FVU against processor seconds", drawn])


def without_int8(section: Row) -> str:
    """The same where our step has no fast screen."""
    return training(section, ", on a processor without fast products of int8", is_first=False)


OWN_FORM = {"training": training, "training_without_int8": without_int8, "quality": quality}


def render(results: Row) -> str:
    """The whole page: those with a form of their own first, then the others in the order of their names."""
    parts = [HEAD.rstrip()]
    parts += [show(results[name]) for name, show in OWN_FORM.items() if name in results]
    parts += [generic(name, section) for name, section in results.items() if name not in OWN_FORM]
    return "\n\n".join(parts) + "\n"


if __name__ == "__main__":
    known = load()
    atomic.write_text(PAGE, render(known))
    if "quality" in known:
        page.draw(known["quality"]["curves"], str(ROOT / page.PICTURE))
