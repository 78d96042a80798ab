"""Stage evaluation on a tiny real model, against plain transformers and direct sums."""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy, kl_div
from transformers import AutoModelForCausalLM

from sparse_coding import variants
from sparse_coding.core.metrics.gain_refit import gain_refit
from sparse_coding.core.variants import build
from sparse_coding.io import dictionaries as dictionary_files
from sparse_coding.io import fitted, tables
from sparse_coding.io import tokens as token_file
from sparse_coding.io.activations import open_activations
from sparse_coding.io.tables.frequency import FREQUENCY
from sparse_coding.stages import evaluation
from tests.stages.world import D_ACT, SETTINGS, SITE, World, find, held_out


def plain_logits(
    world: World, tokens: torch.Tensor, replace: Callable[[torch.Tensor], torch.Tensor] = lambda x: x
) -> torch.Tensor:
    """Logits by transformers alone, with the output of the layer replaced in a forward hook."""
    model = AutoModelForCausalLM.from_pretrained(world.model, attn_implementation="eager").eval()

    def hook(module: object, inputs: object, output: Any) -> Any:
        hidden = output[0] if isinstance(output, tuple) else output
        new = torch.where((tokens == 0).unsqueeze(-1), hidden, replace(hidden))
        return (new, *output[1:]) if isinstance(output, tuple) else new

    model.gpt_neox.layers[1].register_forward_hook(hook)
    with torch.inference_mode():
        return model(tokens).logits


def test_every_dictionary_has_its_rows_in_order(world: World) -> None:
    assert [(row["name"], row["variant"]) for row in world.rows] == [
        ("tied_r2_l1-0.002_s0", "plain"),
        ("tied_r2_l1-0.002_s0", "gain_refit"),
        ("topk_r2_k4_s0", "plain"),
        ("topk_r2_k4_s0", "gain_refit"),
        ("neuron_basis", "plain"),
        ("random", "plain"),
    ]
    row = find(world.rows, "tied_r2_l1-0.002_s0")
    wanted = {"site": SITE, "kind": "tied", "ratio": 2, "l1": 2e-3, "k": None, "seed": 0, "n_feat": 64, "d_act": 32}
    assert wanted.items() <= row.items()
    assert row["path"] == world.paths["tied_r2_l1-0.002_s0"].as_posix()


def test_what_came_of_a_wished_l0_is_in_its_row(world: World, tmp_path: Path) -> None:
    (row,) = (each for each in world.described if each.name == "tied_r2_l1-0.002_s0")
    path, wished = tmp_path / "a.safetensors", row.model_copy(update={"name": "a", "l1": None, "l0_target": 16.0})
    made = {"l1": 0.00125, "k": None, "l0_target": 16.0}
    dictionary_files.save(path, dictionary_files.load(world.paths[row.name]), made)
    rows = replace(world, paths={"a": path}, described=(wished,)).run(tmp_path / "results")
    assert {(each["l1"], each["k"], each["l0_target"]) for each in rows} == {(0.00125, None, 16.0)}


def test_reconstruction_columns_equal_direct_sums(world: World) -> None:
    x = held_out(world)
    dictionary = dictionary_files.load(world.paths["tied_r2_l1-0.002_s0"])
    codes = dictionary.encode(x)
    error = (x - dictionary.decode(codes)).double().pow(2).sum()
    row = find(world.rows, "tied_r2_l1-0.002_s0")
    assert row["n_vectors"] == len(x)
    assert row["l0"] == pytest.approx(float((codes != 0).sum() / len(x)), abs=1e-4)
    assert row["fvu"] == pytest.approx(float(error / (x - x.mean(0)).double().pow(2).sum()), rel=1e-6)
    fired = (codes != 0).sum(0)
    assert row["dead"] == int((fired == 0).sum()) >= 3
    assert row["alive"] == int((fired > 0.01 * len(x)).sum())
    assert row["alive_share"] == 0.01
    frequency = tables.read(world.folder / "results" / "frequency.parquet", FREQUENCY).to_pylist()
    own = [entry["frequency"] for entry in frequency if entry["name"] == "tied_r2_l1-0.002_s0"]
    np.testing.assert_allclose(own, fired / len(x))


@pytest.mark.parametrize("name", ["tied_r2_l1-0.002_s0", "topk_r2_k4_s0", "random"])
def test_splice_columns_equal_plain_transformers(world: World, name: str) -> None:
    tokens = torch.from_numpy(token_file.load(world.tokens).held_out.tokens[:10]).long()
    dictionary = dictionary_files.load(world.paths[name])
    with open_activations(world.activations) as file:
        mean = file.mean
    clean = plain_logits(world, tokens)
    targets = torch.where(tokens[:, 1:] == 0, -100, tokens[:, 1:]).reshape(-1)

    def ce(logits: torch.Tensor) -> float:
        return float(cross_entropy(logits[:, :-1].reshape(-1, 300).double(), targets, ignore_index=-100))

    spliced = plain_logits(world, tokens, dictionary.reconstruct)
    log_p, log_q = (
        logits[:, :-1].reshape(-1, 300).double().log_softmax(-1)[targets >= 0] for logits in (clean, spliced)
    )
    row = find(world.rows, name)
    assert row["n_tokens"] == int((targets >= 0).sum())
    assert row["ce"] == pytest.approx(ce(spliced), rel=1e-5)
    assert row["ce_clean"] == pytest.approx(ce(clean), rel=1e-5)
    assert row["ce_mean_ablated"] == pytest.approx(ce(plain_logits(world, tokens, mean.expand_as)), rel=1e-5)
    assert row["ce_zero_ablated"] == pytest.approx(ce(plain_logits(world, tokens, torch.zeros_like)), rel=1e-5)
    assert row["perplexity"] == pytest.approx(math.exp(row["ce"]))
    assert row["kl"] == pytest.approx(float(kl_div(log_q, log_p, reduction="batchmean", log_target=True)), rel=1e-4)
    for ablated, column in (("ce_mean_ablated", "loss_recovered"), ("ce_zero_ablated", "loss_recovered_zero")):
        gap = row[ablated] - row["ce_clean"]
        assert gap > 0.5
        assert row[column] == pytest.approx((row[ablated] - row["ce"]) / gap, abs=1e-9)


def test_a_whole_basis_loses_nothing(world: World) -> None:
    row = find(world.rows, "neuron_basis")
    assert row["fvu"] == pytest.approx(0, abs=1e-10)
    assert row["cosine"] == pytest.approx(1, abs=1e-6)
    assert row["kl"] == pytest.approx(0, abs=1e-6)
    assert row["loss_recovered"] == pytest.approx(1, abs=1e-5)
    assert row["l0"] == pytest.approx(D_ACT, abs=0.01)


def test_a_dictionary_that_never_fires_is_mean_ablation(world: World) -> None:
    row = find(world.rows, "random")
    assert row["l0"] == 0
    assert row["dead"] == 64
    assert row["fvu"] >= 1
    assert row["ce"] == row["ce_mean_ablated"]
    assert row["loss_recovered"] == 0
    assert row["kl"] > 0.01


def test_a_broken_dictionary_is_named_in_the_table_and_in_the_log(
    world: World, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert find(world.rows, "random")["broken"].endswith("L0 0")
    assert {row["name"] for row in world.rows if row["broken"]} == {"random"}
    capsys.readouterr()
    world.run(tmp_path, ["random", "topk_r2_k4_s0"])
    warnings = [line for line in capsys.readouterr().err.splitlines() if line.startswith("warning")]
    assert warnings == [f"warning: {SITE}: random (plain) is broken: {find(world.rows, 'random')['broken']}"]


def test_intervals_enclose_their_metrics(world: World) -> None:
    for metric in ("l0", "fvu", "ce", "kl", "loss_recovered"):
        for row in world.rows[:2]:
            assert row[f"{metric}_low"] < row[metric] < row[f"{metric}_high"], metric


def test_gains_are_fitted_on_training_vectors_and_kept(world: World) -> None:
    name = "tied_r2_l1-0.002_s0"
    plain, refitted = find(world.rows, name), find(world.rows, name, "gain_refit")
    assert refitted["fvu"] < plain["fvu"]
    path = world.paths[name]
    gain = fitted.load(world.folder / "results" / "gains" / f"{name}.safetensors", "gain_refit", path)["gain"]
    assert (gain[:3] == 1).all()  # features that never fire
    with open_activations(world.activations) as file:
        training = list(evaluation.spread(file.split("train"), SETTINGS.gain_refit_rows, 100))
    torch.testing.assert_close(gain, gain_refit(dictionary_files.load(path), training), rtol=1e-4, atol=1e-5)
    dictionary, x = dictionary_files.load(path).with_gain(gain), held_out(world)
    error = (x - dictionary.reconstruct(x)).double().pow(2).sum() / (x - x.mean(0)).double().pow(2).sum()
    assert refitted["fvu"] == pytest.approx(float(error), rel=1e-6)
    assert not (world.folder / "results" / "gains" / "neuron_basis.safetensors").exists()


def test_variants_are_measured_as_the_dictionaries_that_they_are(world: World, tmp_path: Path) -> None:
    """Each by its own encoder, from its file, on all vectors; and each in the model."""
    tied, topk = "tied_r2_l1-0.002_s0", "topk_r2_k4_s0"
    asked = ("matching_pursuit", "threshold_refit", "gain_refit")
    rows = world.run(tmp_path, [tied, topk, "neuron_basis"], variants=asked)
    assert [(row["name"], row["variant"]) for row in rows] == [
        *((tied, variant) for variant in ("plain", "gain_refit", "threshold_refit", "matching_pursuit")),
        *((topk, variant) for variant in ("plain", "gain_refit", "matching_pursuit")),
        ("neuron_basis", "plain"),
    ]
    assert {path.name for path in (tmp_path / "thresholds").glob("*")} == {f"{tied}.safetensors"}
    x = held_out(world)
    for row in rows[:-1]:
        plain, found = dictionary_files.load(world.paths[row["name"]]), {}
        if row["variant"] in variants.FITTED:
            folder = tmp_path / variants.of(row["variant"]).folder
            path = world.paths[row["name"]]
            found = fitted.load(folder / f"{row['name']}.safetensors", row["variant"], path)
        dictionary = plain if row["variant"] == "plain" else build(row["variant"]).dictionary(plain, found)
        error = (x - dictionary.reconstruct(x)).double().pow(2).sum() / (x - x.mean(0)).double().pow(2).sum()
        assert row["fvu"] == pytest.approx(float(error), rel=1e-5), row["variant"]
        assert row["l0"] == pytest.approx(float((dictionary.encode(x) > 0).sum(1).double().mean()), rel=1e-4)
        assert row["loss_recovered"] is not None
    for name in (tied, topk):
        own, pursued = find(rows, name), find(rows, name, "matching_pursuit")
        assert pursued["fvu"] < own["fvu"]
        assert pursued["l0"] <= own["l0"]
    assert find(rows, tied, "threshold_refit")["l0"] == pytest.approx(0.5 * find(rows, tied)["l0"], rel=0.1)


def test_the_refit_reads_runs_from_all_over_the_training_split(world: World) -> None:
    with open_activations(world.activations) as file:
        split = file.split("train")
        few = torch.cat(list(evaluation.spread(split, 300, 50)))
        assert torch.equal(few, torch.cat(list(evaluation.spread(split, 300, 5000))))
        assert torch.equal(few[:256], split.read(0, 256))
        assert torch.equal(few[-10:], split.read(split.n_rows - 10, split.n_rows))
        assert torch.equal(torch.cat(list(evaluation.spread(split, 10**6, 512))), split.read(0, split.n_rows))
