"""Tables like those that evaluation and autointerp write, with the figures of a trial run of the default grid."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from sparse_coding.core.metrics.soundness import broken
from sparse_coding.io import tables
from sparse_coding.io.tables.evaluation import EVALUATION

D_ACT = 128
L1 = (3e-4, 5e-4, 8e-4, 1.3e-3, 2e-3, 3e-3)
CE_CLEAN, CE_MEAN, CE_ZERO = 3.00, 8.28, 10.21
# (architecture, ratio) -> L0, FVU, loss recovered, along L1 or k
LEARNED = {
    ("tied", 1): (
        [88, 45, 22, 12, 7.2, 4.1],
        [0.06, 0.158, 0.262, 0.352, 0.445, 0.55],
        [0.985, 0.94, 0.88, 0.81, 0.72, 0.62],
    ),
    ("tied", 2): (
        [86, 47, 24, 14, 8.1, 4.8],
        [0.043, 0.137, 0.231, 0.314, 0.401, 0.493],
        [0.989, 0.952, 0.898, 0.841, 0.763, 0.684],
    ),
    ("tied", 4): (
        [71, 41, 25, 15, 9.2, 5.3],
        [0.075, 0.145, 0.196, 0.264, 0.342, 0.454],
        [0.976, 0.948, 0.918, 0.872, 0.815, 0.721],
    ),
    ("untied", 4): (
        [77, 43, 26, 15.5, 9.4, 5.6],
        [0.07, 0.139, 0.19, 0.25, 0.325, 0.43],
        [0.978, 0.95, 0.922, 0.88, 0.826, 0.74],
    ),
    ("topk", 4): ([4, 8, 16, 32], [0.297, 0.231, 0.175, 0.124], [0.854, 0.907, 0.938, 0.961]),
}
TOPK = {
    "pca": ([0.668, 0.527, 0.36, 0.185, 0.044], [0.468, 0.652, 0.824, 0.938, 0.99]),
    "ica": ([0.533, 0.439, 0.321, 0.18, 0.047], [0.663, 0.761, 0.861, 0.942, 0.988]),
    "neuron_basis": ([0.807, 0.682, 0.504, 0.281, 0.074], [0.295, 0.485, 0.712, 0.895, 0.982]),
}
BASELINES = {"pca": (64, 0.0), "ica": (64, 0.0), "nmf": (105, 0.033), "neuron_basis": (64, 0.0), "random": (64, 0.0)}
SCORES = {
    "tied_r1_l1-0.002_s0": 0.75, "tied_r2_l1-0.002_s0": 0.783, "tied_r4_l1-0.002_s0": 0.812,
    "untied_r4_l1-0.002_s0": 0.807, "topk_r4_k8_s0": 0.796,
    "pca": 0.297, "ica": 0.486, "nmf": 0.41, "neuron_basis": 0.325, "random": 0.327,
}  # fmt: skip

TOKEN_RULES = {
    "scorer": "token-rules", "explainer": "token-rules", "judge": "token-rules", "simulator": "rules",
    "source": "rules", "mode": "nonzero", "choice": "sample", "prompts": None,
}  # fmt: skip
SIMULATION = {
    "scorer": "simulation", "explainer": "gpt-9", "judge": "mind-70b", "simulator": "chat", "mode": "nonzero",
    "choice": "sample", "prompts": "0123456789ab+cdef01234567", "explanation": "names of instruments", "n_rules": None,
}  # fmt: skip


def evaluation(site: str = "layer2_residual") -> pd.DataFrame:
    """A row for each dictionary and variant."""
    rows = []
    for (kind, ratio), (l0s, fvus, recovered) in LEARNED.items():
        for strength, *values in zip((4, 8, 16, 32) if kind == "topk" else L1, l0s, fvus, recovered, strict=True):
            setting = {"k": strength} if kind == "topk" else {"l1": strength}
            name = f"{kind}_r{ratio}_{f'k{strength}' if kind == 'topk' else f'l1-{strength:g}'}_s0"
            about = {"name": name, "kind": kind, "ratio": ratio, "n_feat": ratio * D_ACT, **setting}
            rows.append(row_of(site, about, "plain", *values))
            gain = 0.99 if kind == "topk" else 0.83
            rows.append(row_of(site, about, "gain_refit", values[0], values[1] * gain, 1 - (1 - values[2]) * gain))
    for kind, (fvus, recovered) in TOPK.items():
        for k, *values in zip((4, 8, 16, 32, 64), fvus, recovered, strict=True):
            about = {"name": f"{kind}_top{k}", "kind": kind, "k": k, "n_feat": 2 * D_ACT}
            rows.append(row_of(site, about, "plain", k, *values))
    for kind, (l0, fvu) in BASELINES.items():
        about = {"name": kind, "kind": kind, "n_feat": D_ACT if kind == "nmf" else 2 * D_ACT}
        rows.append(row_of(site, about, "plain", l0, fvu, 1 - fvu))
    return pd.DataFrame(rows)


def row_of(site: str, about: dict, variant: str, l0: float, fvu: float, recovered: float) -> dict:
    """A row of the evaluation table."""
    nothing = dict.fromkeys(("ratio", "l1", "k", "l0_target", "control", "tokens", "steps_taken"))
    row = {"site": site, **nothing, "seed": 0, "variant": variant, **about}
    row |= {"d_act": D_ACT, "l0": l0, "fvu": fvu, "loss_recovered": recovered, "n_vectors": 65_024, "n_tokens": 65_024}
    row |= {"ce_clean": CE_CLEAN, "ce_mean_ablated": CE_MEAN, "ce_zero_ablated": CE_ZERO}
    row |= {
        "ce": CE_MEAN - recovered * (CE_MEAN - CE_CLEAN),
        "dead": about.get("dead", 10 if about.get("l1") == 3e-3 else 0),
    }
    for name, half in (("l0", 0.02 * l0), ("fvu", 0.02 * fvu + 0.002), ("loss_recovered", 0.006)):
        row |= {f"{name}_low": row[name] - half, f"{name}_high": row[name] + half}
    row |= {
        "mean_error": 0.01,
        "mse": fvu,
        "cosine": 1 - fvu / 2,
        "alive": row["n_feat"] - row["dead"],
        "alive_share": 1e-4,
    }
    row |= {column: None for column in EVALUATION.names if column.startswith("final_")} | {"loss_kind": "next_token"}
    row |= {"kl": 1 - recovered, "kl_low": None, "kl_high": None, "ce_low": None, "ce_high": None}
    row |= {
        "perplexity": float(np.exp(row["ce"])),
        "loss_recovered_zero": recovered,
        "path": f"{row['name']}.safetensors",
    }
    return row | {"broken": "; ".join(broken(row)) or None}


def imported(site: str = "layer2_residual") -> pd.DataFrame:
    """The evaluation of activations that come without a model: nothing of the loss is known."""
    table = evaluation(site)
    nothing = [
        field.name for field in EVALUATION if field.name.startswith(("ce", "kl", "perpl", "loss", "final", "n_tok"))
    ]
    table[nothing] = None
    return table


def write(path: Path, table: pd.DataFrame, schema: pa.Schema) -> Path:
    """Write `table` with the columns of `schema`, empty cells as null."""
    whole = [field.name for field in schema if pa.types.is_integer(field.type)]
    rows = [
        {column: None if pd.isna(value) else int(value) if column in whole else value for column, value in row.items()}
        for row in table.to_dict("records")
    ]
    tables.write(path, rows, schema)
    return path


def autointerp(site: str = "layer2_residual", features: int = 100) -> pd.DataFrame:
    """A row for each sampled feature of the scored dictionaries, and of the shuffled null."""
    random = np.random.default_rng(0)
    parts = [scored(site, name, mean, "plain", features, random) for name, mean in SCORES.items()]
    parts.append(scored(site, "tied_r1_l1-0.002_s0", 0.0, "shuffled_null", features, random))
    return pd.concat(parts, ignore_index=True)


def control(features: int = 100) -> pd.DataFrame:
    """The same dictionary on the model with random weights: it scores higher than on the trained one."""
    random = np.random.default_rng(1)
    return scored("random_layer2_residual", "tied_r4_l1-0.002_s0", 0.88, "plain", features, random)


def scored(
    site: str,
    name: str,
    mean: float,
    condition: str,
    features: int,
    random: np.random.Generator,
    evaluated: pd.DataFrame | None = None,
) -> pd.DataFrame:
    evaluated = evaluation(site) if evaluated is None else evaluated
    described = next(row for _, row in evaluated.iterrows() if row["name"] == name)
    status = np.array(["ok"] * features, dtype=object)
    status[:3] = ["dead", "too_few", "pred_constant"] if mean else "ok"
    values = random.beta(4 * mean, 4 * (1 - mean), features) if mean else random.normal(0, 0.03, features)
    values[np.isin(status, ["dead", "too_few"])] = np.nan
    values[status == "pred_constant"] = 0.0
    about = {key: described[key] for key in ("kind", "ratio", "l1", "k", "l0_target", "seed", "control")}
    about |= {"site": site, "name": name, "condition": condition, "wanted": features, "reason": None}
    about |= {"n_firing_fragments": 30, "explanation": "[token rules, no LLM] the", "n_rules": 1}
    about |= {"balanced_accuracy": None, "sensitivity": None, "specificity": None}
    table = pd.DataFrame({"feature": np.arange(features), "status": status, "top_and_random": values})
    return table.assign(top=values, random=values / 2, **about, **TOKEN_RULES)


def simulated(table: pd.DataFrame, sources: Sequence[str] = ("logprob_ev", "sampled")) -> pd.DataFrame:
    """The same scores by a simulation: a row a feature and source."""
    return pd.concat([table.assign(**SIMULATION, source=source) for source in sources], ignore_index=True)


def classified(table: pd.DataFrame, scorer: str = "detection") -> pd.DataFrame:
    """Accuracies in the place of correlations; as in the stage, detection has no shuffled null."""
    table = table[(table["condition"] == "plain") | (scorer == "fuzzing")]
    accuracy = (0.5 + table["top_and_random"] / 2).round(2)
    nothing = dict.fromkeys(("top", "random", "top_and_random"))
    rates = {"balanced_accuracy": accuracy, "sensitivity": accuracy, "specificity": accuracy}
    about = {"simulator": "classifier", "source": "answers"}
    return table.assign(**nothing, **rates, **(SIMULATION | about | {"scorer": scorer}))


def judged(table: pd.DataFrame, scorer: str, weakest: int = 0) -> pd.DataFrame:
    """Scores of intruders or embeddings; so many features of PCA were told from their weakest texts."""
    column, source, simulator = {
        "intruder": ("accuracy", "choices", "one of five"),
        "embedding": ("auc", "cosines", "cosine, nearest negatives"),
        "detection": ("balanced_accuracy", "answers", "classifier"),
    }[scorer]
    score = classified(table, "fuzzing" if scorer == "intruder" else "detection")
    dense = (score["name"] == "pca") & (score["feature"] >= score["wanted"] - weakest)
    return score.assign(
        **{column: score["balanced_accuracy"]},
        scorer=scorer,
        simulator=simulator,
        source=source,
        shown="5 of the top 20",
        negatives=np.where(dense, "weakest", "silent"),
    )


def failing(table: pd.DataFrame, n: int, reason: str, source: str | None = None) -> pd.DataFrame:
    """The last `n` features of `tied r4` fail: under `source` alone, or under all, as those without an answer do."""
    table = table.copy()
    hers = (table["source"] == (source or table["source"])) & (table["name"] == "tied_r4_l1-0.002_s0")
    failed = table.index[hers & (table["feature"] >= table["wanted"] - n)]
    table.loc[failed, ["status", "reason"]] = ["failed", reason]
    table.loc[failed, ["top", "random", "top_and_random", "balanced_accuracy"]] = np.nan
    return table


def frequency(site: str = "layer2_residual", evaluated: pd.DataFrame | None = None) -> pd.DataFrame:
    """Share of held-out tokens on which each feature fires: few of PCA's directions carry most of its codes."""
    random = np.random.default_rng(2)
    plain = (evaluation(site) if evaluated is None else evaluated).query("variant == 'plain'")
    parts = []
    for row in plain.itertuples():
        slope = {"pca": 1.6, "ica": 0.5, "neuron_basis": 0.9}.get(row.kind, 1.0)
        share = np.exp(random.normal(0, slope, row.n_feat))
        share = np.minimum(share * row.l0 / share.sum(), 0.95)
        share[: row.dead] = 0
        parts.append(
            pd.DataFrame({"site": site, "name": row.name, "feature": np.arange(row.n_feat), "frequency": share})
        )
    return pd.concat(parts, ignore_index=True)
