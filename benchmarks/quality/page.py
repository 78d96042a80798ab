"""The section `quality` of benchmarks/results.json as a part of RESULTS.md, and its picture, docs/quality.png."""

from typing import Any

from benchmarks.quality.contract import CHOSEN_AT, L0S
from benchmarks.quality.trainers import OURS, TITLES
from sparse_coding import methods

Row = dict[str, Any]
PICTURE = "docs/quality.png"
LOOKS = {OURS: ("#0072B2", "o", "-"), "sae_lens": ("#D55E00", "s", "--")}
LOOKS |= {"dictionary_learning": ("#009E73", "^", ":"), "sparsify": ("#CC79A7", "D", "-.")}

HOW_TO_READ = """**How to read it.** All learn from the same 1,000 batches of 1,024 vectors of the default's layer 2
(128 dimensions, 512 features), with the same warm-up and decay of the rate; of the rest of its recipe each keeps its
own. The rate is the best of 0.002, 0.004, 0.01 and 0.02 at an L0 of 16 on seed 0 (the two in the middle first, then
outwards while it gets better). FVU, loss recovered and dead features are on held-out text, means over seeds with the
standard deviation of the FVU. Where no dictionary has the L0 of the column it is read between two that lie around it,
linear in log L0; an empty cell: there were none. Each dictionary of another library was measured in our form, after
its FVU had agreed with that by the library's own class. Processor seconds are of the steps alone, on a machine that
others used too. In the picture, on a sample of held-out vectors, L0 is that of the end: where a penalty makes it,
training begins with many more codes, and so with a low FVU."""


def number(spread: Row | None, digits: int) -> str:
    """A mean with its standard deviation."""
    if spread is None:
        return ""
    sd = f" ± {spread['sd']:.{digits}f}" if spread["sd"] is not None and digits > 2 else ""
    return f"{spread['mean']:.{digits}f}{sd}"


def refit(row: Row) -> str:
    """The variant, behind a name."""
    return "" if row["variant"] == "plain" else f", {row['variant'].replace('_', ' ')}"


def title(row: Row) -> str:
    """The trainer, with what it was refitted by."""
    more = refit(row)
    aux = ", aux-k" if row["kind"] == "topk_aux" else ""
    return TITLES[row["trainer"]] + aux + more


def family(row: Row) -> str:
    """As figures name the kind."""
    return methods.of(row["family"]).label


def table_of(rows: list[Row]) -> list[list[str]]:
    """A row a trainer's kind; the first line is the head. What was measured of none has no column."""
    known = (("fvu", 4), ("loss_recovered", 3), ("dead", 0))
    columns = [each for each in known if any(row["at"][f"{each[0]} {l0:g}"] for row in rows for l0 in L0S)]
    names = {"fvu": "FVU", "loss_recovered": "loss recovered", "dead": "dead"}
    head = ["kind", "trainer", "rate", "seeds", *(f"{names[what]}, {l0:g}" for what, _ in columns for l0 in L0S)]
    found = [[*head, "processor s"]]
    for row in rows:
        at = row["at"]
        seeds = (at[f"fvu {CHOSEN_AT:g}"] or {"n": 0})["n"]
        cells = [number(at[f"{what} {l0:g}"], digits) for what, digits in columns for l0 in L0S]
        found.append([family(row), title(row), f"{row['rate']:g}", str(seeds), *cells, f"{row['seconds']:.0f}"])
    return found


def against_of(rows: list[Row]) -> list[list[str]]:
    """How much more or less FVU ours has than the best of the others."""
    found = [["ours", *(f"L0 {l0:g}" for l0 in L0S)]]
    for row in rows:
        named = methods.of(row["kind"]).label + refit(row)
        cells = [row["ratios"].get(f"{l0:g}") for l0 in L0S]
        found.append(
            [named, *(f"{100 * (c['ratio'] - 1):+.1f} % ({TITLES[c['trainer']]})" if c else "" for c in cells)]
        )
    return found


def measured_l0(rows: list[Row]) -> list[str]:
    """Of kinds with one threshold for all the L0 that came of each k."""
    found = []
    for row in (row for row in rows if row["family"] in ("batchtopk", "matryoshka", "jumprelu")):
        pairs = ", ".join(f"{asked}: {got}" for asked, got in row["l0"].items())
        found.append(f"{family(row)}, {title(row)}: {pairs}")
    return found


def draw(curves: list[Row], path: str) -> None:
    """FVU against processor seconds, a panel a kind, a line a trainer; the legend has a panel's place of its own."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    families = list(dict.fromkeys(curve["family"] for curve in curves))
    n_rows = -(-(len(families) + 1) // 4)
    figure = Figure(figsize=(12, 3.1 * n_rows), layout="constrained")
    FigureCanvasAgg(figure)
    named = {}
    for place, name in enumerate(families):
        axes = figure.add_subplot(n_rows, 4, place + 1, xscale="log", yscale="log")
        for curve in (each for each in curves if each["family"] == name):
            colour, marker, dashes = LOOKS[curve["trainer"]]
            hollow = {"markerfacecolor": "white"} if curve["kind"] != name else {}
            _, seconds, fvu = zip(*curve["curve"], strict=True)
            (line,) = axes.plot(seconds, fvu, dashes, color=colour, marker=marker, markersize=4, **hollow)
            named[title(curve | {"variant": "plain"})] = line
        ruled(axes, methods.of(name).label)
    legend = figure.add_subplot(n_rows, 4, len(families) + 1)
    legend.set_axis_off()
    legend.legend(named.values(), named, loc="center", frameon=False)
    figure.savefig(path, dpi=110)


def ruled(axes: Any, name: str) -> None:
    """Both axes of a panel."""
    axes.set(title=name, xlabel="processor seconds", ylabel="FVU at an L0 of 16")
    axes.set_ylim(top=min(axes.get_ylim()[1], 1.0))
    for which in (axes.yaxis.set_major_formatter, axes.yaxis.set_minor_formatter):
        which("{x:.2g}")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_formatter("")  # in less than a decade they would lie over one another
    axes.grid(color="#e4e4e4")
