"""Tables of grids that are not the default's: what each figure is drawn from, by what is odd about it."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from sparse_coding import methods
from tests.figures import tables

SITE, CONTROL = "layer2_residual", "random_layer2_residual"
Point = tuple[float, float, float, float]  # L1 or k, L0, FVU, loss recovered
Tables = dict[str, Any]  # the arguments of `drawing.drawn`

L1 = ((5e-4, 41, 0.145, 0.948), (2e-3, 9.2, 0.342, 0.815), (3e-3, 5.3, 0.454, 0.721))
K = ((4, 4, 0.3, 0.85), (8, 8, 0.23, 0.9), (32, 32, 0.12, 0.96))
PCA = ((4, 4, 0.668, 0.468), (16, 16, 0.36, 0.824), (64, 64, 0.044, 0.99))
IN_NAMES = {"l1": "l1-", "k": "k", "l0_target": "l0-"}
ONE: dict[tuple[str, float | None], Sequence[Point]] = {("tied", 4): L1[1:2]}


def evaluated(
    lines: dict[tuple[str, float | None], Sequence[Point]], plain: Sequence[str] = (), refit: bool = True, **more: Any
) -> pd.DataFrame:
    """Dictionaries by kind and ratio (None: a baseline's top-k variants), and baselines without k; `more`: columns."""
    rows = []
    for (kind, ratio), points in lines.items():
        for strength, *values in points:
            column = methods.of(kind).column
            setting = {column: int(strength) if column == "k" else strength}
            word = f"{IN_NAMES[column]}{strength:g}"
            name = f"{kind}_top{strength:g}" if ratio is None else f"{kind}_r{ratio:g}_{word}_s0"
            n_feat = int((ratio or 2) * tables.D_ACT)
            about = {"name": name, "kind": kind, "ratio": ratio, "n_feat": n_feat, **setting, **more}
            rows.append(tables.row_of(SITE, about, "plain", *values))
            if refit and "l1" in setting:
                rows.append(tables.row_of(SITE, about, "gain_refit", values[0], 0.83 * values[1], values[2]))
    for kind in plain:
        about = {"name": kind, "kind": kind, "n_feat": 2 * tables.D_ACT}
        rows.append(tables.row_of(SITE, about, "plain", 64, 0.0, 1.0))
    return pd.DataFrame(rows)


def interpreted(evaluation: pd.DataFrame, names: Sequence[str], null: str | None = None) -> pd.DataFrame:
    """Scores of the dictionaries `names`."""
    random = np.random.default_rng(0)
    parts = [tables.scored(SITE, name, 0.7, "plain", 50, random, evaluation) for name in names]
    if null:
        parts.append(tables.scored(SITE, null, 0.0, "shuffled_null", 50, random, evaluation))
    return pd.concat(parts, ignore_index=True)


def control(evaluation: pd.DataFrame, name: str) -> pd.DataFrame:
    """The control of the settings of `name`."""
    return tables.scored(CONTROL, name, 0.88, "plain", 50, np.random.default_rng(1), evaluation)


def _whole(evaluation: pd.DataFrame, scored: Sequence[str], twin: str | None = None) -> Tables:
    return {
        "evaluation": evaluation,
        "autointerp": interpreted(evaluation, scored, twin),
        "control": control(evaluation, twin) if twin else None,
        "frequency": tables.frequency(SITE, evaluation),
    }


def _middle(evaluation: pd.DataFrame) -> list[str]:
    strong = evaluation[(evaluation["l1"] == L1[1][0]) | ((evaluation["k"] == 8) & evaluation["ratio"].notna())]
    return list(strong["name"].unique())


def one_kind() -> Tables:
    found = evaluated({("tied", ratio): L1 for ratio in (1, 4)} | {("pca", None): PCA}, ["pca", "random"])
    return _whole(found, [*_middle(found), "pca", "random"], "tied_r4_l1-0.002_s0")


def both_lists() -> Tables:
    """tied by its L1 and by wished L0s, with the L1 that came of each; TopK by wishes alone."""
    wishes = {8: (0.0023, 8.01, 0.37, 0.79), 16: (0.0013, 16.1, 0.26, 0.88)}
    parts = [evaluated({("tied", 4): L1, ("pca", None): PCA}, ["pca"])]
    for wish, (l1, *values) in wishes.items():
        parts.append(evaluated({("tied", 4): [(l1, *values)]}, l0_target=wish).assign(name=f"tied_r4_l0-{wish}_s0"))
        topk = [(wish, wish, 0.8 * values[1], values[2])]
        parts.append(evaluated({("topk", 4): topk}, l0_target=wish).assign(name=f"topk_r4_l0-{wish}_s0"))
    found = pd.concat(parts, ignore_index=True)
    return _whole(found, ["tied_r4_l0-16_s0", "topk_r4_l0-16_s0", "pca"], "tied_r4_l0-16_s0")


def one_point() -> Tables:
    return _whole(evaluated(ONE, refit=False), ["tied_r4_l1-0.002_s0"])


def no_baselines() -> Tables:
    found = evaluated({("tied", 4): L1, ("topk", 4): K})
    return _whole(found, _middle(found), "tied_r4_l1-0.002_s0")


def one_point_of_pca() -> Tables:
    found = evaluated({("tied", 4): L1, ("topk", 4): K[2:], ("pca", None): PCA[1:2]}, ["pca"])
    return _whole(found, ["tied_r4_l1-0.002_s0", "topk_r4_k32_s0", "pca"])


def twelve_kinds() -> Tables:
    lines: dict = {
        (kind, ratio): [(s, l0 * (1 + ratio / 40), fvu / ratio**0.2, kept) for s, l0, fvu, kept in points]
        for kind, points in (("tied", L1), ("untied", L1), ("topk", K))
        for ratio in (1, 2, 8, 32)
    }
    lines |= {(kind, None): PCA for kind in ("pca", "ica", "neuron_basis")}
    found = evaluated(lines, ["pca", "ica", "nmf", "neuron_basis", "random"])
    return _whole(found, [*_middle(found), "pca", "ica", "nmf", "neuron_basis", "random"], "untied_r8_l1-0.002_s0")


def long_names() -> Tables:
    l1 = [(strength * 0.1679775, *values) for strength, *values in L1]
    found = evaluated({("untied", 0.333333): l1, ("tied", 10.6667): l1, ("topk", 0.333333): K}, ["pca", "random"])
    scored = [f"{kind}_l1-0.000335955_s0" for kind in ("untied_r0.333333", "tied_r10.6667")]
    whole = _whole(found, [*scored, "topk_r0.333333_k8_s0", "pca", "random"], scored[0])
    name = "/scratch/someone/experiments/2026/checkpoints/Qwen2.5-72B-Instruct-Q4_K_M-00001-of-00002.gguf"
    for part in ("autointerp", "control"):
        whole[part] = tables.simulated(whole[part], ["sampled"]).assign(explainer=name, judge=name)
    return whole | {"model": f"{name}/{name}", "corpus": "organisation/a-corpus-with-a-long-name-" + "x" * 60}


def everything_dead() -> Tables:
    dead = [(strength, 0.0, 1.0, 0.0) for strength, *_ in L1]
    found = evaluated({("tied", 4): dead, ("tied", 2): dead})
    found = found.assign(dead=found["n_feat"], broken="L0 0; all features dead")
    whole = _whole(found, _middle(found), "tied_r4_l1-0.002_s0")
    for part in ("autointerp", "control"):
        whole[part] = whole[part].assign(status="dead", top_and_random=None)
    return whole | {"frequency": whole["frequency"].assign(frequency=0.0)}


def no_scores() -> Tables:
    whole = no_baselines()
    for part in ("autointerp", "control"):
        whole[part] = whole[part].assign(status="too_few", top_and_random=None)
    return whole


def broken() -> Tables:
    """Heavy tails: ReLU members that nearly never fire, and one that is scored by a few features of many."""
    tied = [(5e-4, 9.0, 0.6, 0.5), (2e-3, 1.2, 0.95, 0.12), (3e-3, 0.03, 2.1, -0.9)]
    found = evaluated({("tied", 6): tied, ("topk", 6): K, ("pca", None): PCA}, ["pca", "random"], refit=False)
    found.loc[found["l1"] == 2e-3, ["dead", "broken"]] = 514, "514 of 768 features dead"
    whole = _whole(found, ["tied_r6_l1-0.002_s0", "topk_r6_k8_s0", "pca", "random"], "tied_r6_l1-0.002_s0")
    table = whole["autointerp"]
    few = (table["name"] == "tied_r6_l1-0.002_s0") & (table["feature"] >= 16)
    whole["autointerp"] = table.assign(
        status=table["status"].mask(few, "dead"), top_and_random=table["top_and_random"].mask(few)
    )
    return whole


def twin_apart() -> Tables:
    """All members are scored: the control's twin is not the one of a usual L0."""
    found = evaluated({("tied", 4): L1, ("tied", 2): L1, ("topk", 4): K})
    return _whole(found, list(found["name"].unique()), "tied_r4_l1-0.0005_s0")


def encoder(loss_kind: str | None) -> Tables:
    """A masked-LM loss; with a model without a head, what its final states lose; or nothing."""
    found = evaluated({("tied", 4): L1, ("topk", 4): K, ("pca", None): PCA}, ["pca", "random"])
    found["loss_kind"] = loss_kind
    if loss_kind != "masked":
        found[[column for column in found if column.startswith(("ce", "kl", "loss_recovered", "perp"))]] = None
    if loss_kind == "none":
        found["final_fvu"], found["final_cosine"] = 0.7 * found["fvu"], 1 - 0.3 * found["fvu"]
        for name in ("final_fvu", "final_cosine"):
            found[f"{name}_low"], found[f"{name}_high"] = found[name] - 0.02, found[name] + 0.02
        found["final_fvu_mean_ablated"] = 0.93
    return _whole(found, ["tied_r4_l1-0.002_s0", "topk_r4_k8_s0", "pca", "random"], "tied_r4_l1-0.002_s0")


def seeds() -> Tables:
    one = evaluated({("tied", 4): L1, ("topk", 4): K, ("pca", None): PCA}, ["pca"])
    two = one[one["ratio"].notna()].assign(seed=1, l0=one["l0"] * 1.1, name=one["name"].str.replace("_s0", "_s1"))
    return _whole(pd.concat([one, two], ignore_index=True), ["tied_r4_l1-0.002_s0", "topk_r4_k8_s0", "pca"])


def detection() -> Tables:
    """Dense baselines have no text in which a feature is silent."""
    whole = one_kind()
    for part in ("autointerp", "control"):
        whole[part] = tables.classified(whole[part])
    table = whole["autointerp"]
    dense = table["kind"].isin(["pca", "random"]) & (table["feature"] > 4)
    whole["autointerp"] = table.assign(
        status=table["status"].mask(dense, "too_few"), balanced_accuracy=table["balanced_accuracy"].mask(dense)
    )
    return whole


def controls() -> Tables:
    """Of two kinds, each control: fewer codes explain less."""
    whole = evaluated({("tied", 4): L1, ("topk", 4): K, ("pca", None): PCA}, ["pca", "random"])
    parts, trained = [whole], whole[whole["ratio"].notna() & (whole["variant"] == "plain")]
    for place, control in enumerate(methods.CONTROLS):
        held = trained if control != "frozen_encoder" else trained[trained["kind"] != "tied"]
        name = held["name"].str.replace("_r4_", f"_r4_{control}_")
        parts.append(held.assign(control=control, name=name, fvu=held["fvu"] + 0.03 * (place + 1)))
    found = pd.concat(parts, ignore_index=True)
    middle = [name for name in _middle(found) if "_step0_" not in name]
    return _whole(found, [*middle, "pca", "random"], "tied_r4_l1-0.002_s0")


def every_kind() -> Tables:
    """A line for each kind that there is, at one size: what a reader must tell apart. Two variants of each."""
    lines: dict = {}
    for place, kind in enumerate(methods.LEARNED):
        points = K if methods.of(kind).strength != "l1" else L1
        lines[kind, 4] = [
            (s, l0 * (1 + place / 20), fvu * (1 + place / 20), kept - place / 60) for s, l0, fvu, kept in points
        ]
    found = evaluated(lines | {("pca", None): PCA}, ["pca", "random"])
    pursued = found[(found["variant"] == "plain") & found["ratio"].notna()].assign(variant="matching_pursuit")
    found = pd.concat([found, pursued], ignore_index=True)
    return _whole(found, [*_middle(found), "pca", "random"], "tied_r4_l1-0.002_s0")


CASES: dict[str, Callable[[], Tables]] = {
    "one kind": one_kind,
    "both lists": both_lists,
    "one point": one_point,
    "no baselines": no_baselines,
    "one point of PCA": one_point_of_pca,
    "twelve kinds": twelve_kinds,
    "long names": long_names,
    "everything dead": everything_dead,
    "no scores": no_scores,
    "broken": broken,
    "twin apart": twin_apart,
    "encoder with a head": lambda: encoder("masked"),
    "encoder without a head": lambda: encoder("none"),
    "encoder without any loss": lambda: encoder(None),
    "seeds": seeds,
    "detection": detection,
    "controls": controls,
    "every kind": every_kind,
}
