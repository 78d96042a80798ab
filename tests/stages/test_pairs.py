"""A pair of places through the stages: a tiny model's, from its vectors to what is measured, scored and drawn."""

from dataclasses import replace

import matplotlib.image
import numpy as np
import pytest
import torch

from sparse_coding.cli import contents
from sparse_coding.errors import BadInput
from sparse_coding.io import dictionaries as dictionary_files
from sparse_coding.io import tables
from sparse_coding.io import tokens as token_files
from sparse_coding.io.activations import open_site
from sparse_coding.io.tables.autointerp import AUTOINTERP
from sparse_coding.lm.model import LanguageModel
from sparse_coding.settings import grid, slices
from sparse_coding.settings.params import Model, Params
from sparse_coding.settings.sites import parse
from sparse_coding.stages import activations, autointerp, autointerp_tables, baselines, dictionaries, evaluation, plots
from tests.stages import world

PAIR, NAMES = "layer1_mlpin_to_mlpout", ("skip_transcoder_r2_k4_s0", "transcoder_r2_k4_s0")
D = world.D_ACT


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The model and the tokens of `world`, the two files of the pair, and all dictionaries of it."""
    folder = tmp_path_factory.mktemp("pair")
    known = world.make(folder / "world")
    tokens = token_files.load(known.tokens)  # fragments of text alone, after BOS
    fragments = np.where(np.arange(world.CONTEXT) == 0, 0, np.maximum(tokens.fragments, 1))
    token_files.save(known.tokens, replace(tokens, fragments=fragments.astype(np.int32)))
    own = {
        "grid": {"sites": [PAIR], "architectures": ["skip_transcoder", "transcoder"], "ratios": [2], "k": [4]},
        "model": {"name": str(known.model)}, "baselines": {"topk": [4]},
        "dictionaries": {"steps": 100, "batch": 256, "log_steps": 50},
        "evaluation": {"splice_blocks": 8}, "autointerp": {"features": 4},
    }  # fmt: skip
    params = Params.model_validate(own)
    harvested = slices.activations(params, False, grid.harvested_places(params))
    activations.run(harvested, tokens=known.tokens, output=folder, threads=1)
    files = {"activations": folder / "layer1_mlpin.h5", "targets": folder / "layer1_mlpout.h5"}
    for cell in grid.cells(params, PAIR):
        dictionaries.run(slices.dictionaries(params, cell), **files, output=folder / "made", threads=1)
    baselines.run(slices.baselines(params, PAIR), **files, output=folder / "made", threads=1)
    return folder, params, files, known


@pytest.fixture(scope="module")
def rows(made):
    folder, params, files, known = made
    settings = slices.evaluation(params, PAIR)
    paths = [folder / "made" / f"{name}.safetensors" for name in settings.members]
    evaluation.run(
        settings, **files, tokens=known.tokens, dictionaries=paths, output=folder / "evaluation", threads=1
    )  # fmt: skip
    return {row["name"]: row for row in world.gather(folder / "evaluation", list(settings.members))}


def test_what_is_measured_is_of_what_is_put_together(made, rows):
    folder, _, files, _ = made
    assert rows.keys() == {*NAMES, "linear_map", "mean", "linear_map_rank4"}
    with open_site(files["activations"], files["targets"]) as site:
        z = site.split("held_out").read(0, site.split("held_out").n_rows).double()
    x, y = z[:, :D], z[:, D:]
    for name, row in rows.items():
        found = dictionary_files.load(folder / "made" / f"{name}.safetensors").to(torch.float64)
        y_hat = found.reconstruct(x)
        fvu = float((y - y_hat).square().sum() / (y - y.mean(0)).square().sum())
        assert row["fvu"] == pytest.approx(fvu, rel=1e-4), name
        assert row["l0"] == pytest.approx(float((found.encode(x) > 0).sum(1).double().mean()), rel=1e-3)
        assert (row["d_act"], row["variant"], row["broken"]) == (D, "plain", row["broken"])
    assert rows["mean"]["broken"] is None
    assert (rows["mean"]["l0"], rows["mean"]["n_feat"], rows["linear_map_rank4"]["l0"]) == (0, 0, pytest.approx(4))
    assert rows["linear_map"]["fvu"] < rows["linear_map_rank4"]["fvu"] < 1.0
    assert rows["skip_transcoder_r2_k4_s0"]["fvu"] < rows["transcoder_r2_k4_s0"]["fvu"] < 0.9


def test_the_reconstruction_stands_in_the_place_of_the_second_in_the_model(made, rows):
    """By hooks on the plain network: what comes out of its MLP is made of what went in."""
    folder, _, files, known = made
    model, corpus = LanguageModel.load(Model(name=str(known.model))), token_files.load(known.tokens)
    found = dictionary_files.load(folder / "made" / f"{NAMES[0]}.safetensors")
    tokens = torch.from_numpy(corpus.held_out.tokens[:8]).long()
    special = torch.isin(tokens, torch.tensor(corpus.special))
    mlp, seen = model.block(1).mlp, {}

    def rebuilt(module, inputs, y):
        return torch.where(special[..., None], y, found.reconstruct(seen["x"]))

    handles = [
        mlp.register_forward_pre_hook(lambda module, inputs: seen.update(x=inputs[0].clone())),
        mlp.register_forward_hook(
            lambda _, inputs, y: torch.where(special[..., None], y, found.reconstruct(seen["x"]))
        ),
    ]
    logits = model.logits(tokens)
    for handle in handles:
        handle.remove()
    losses = -logits[:, :-1].double().log_softmax(-1).gather(2, tokens[:, 1:, None]).squeeze(2)
    assert rows[NAMES[0]]["ce"] == pytest.approx(float(losses[~special[:, 1:]].mean()), rel=1e-5)
    with open_site(files["targets"]) as site:
        mean = site.mean
    ablated = model.spliced_logits(tokens, parse("layer1_mlpout"), lambda y: torch.where(special[..., None], y, mean))
    losses = -ablated[:, :-1].double().log_softmax(-1).gather(2, tokens[:, 1:, None]).squeeze(2)
    assert rows["mean"]["ce"] == pytest.approx(rows["mean"]["ce_mean_ablated"])
    assert rows["mean"]["ce_mean_ablated"] == pytest.approx(float(losses[~special[:, 1:]].mean()), rel=1e-5)


@pytest.fixture(scope="module")
def scores(made):
    """The table of scores."""
    folder, params, files, known = made
    settings = slices.autointerp(params, PAIR)
    assert list(settings.members) == [*NAMES, "linear_map"]
    paths = [folder / "made" / f"{name}.safetensors" for name in settings.members]
    autointerp.run(
        settings, activations=files["activations"], tokens=known.tokens, dictionaries=paths,
        output=folder / "scores", threads=1,
    )  # fmt: skip
    names = list(settings.members)
    null = [path for path in sorted((folder / "scores").glob("*.parquet")) if "null" in path.name]
    files = [*(folder / "scores" / f"{name}.parquet" for name in names), *null]
    autointerp_tables.run(slices.autointerp_tables(params, names), scores=files, output=folder / "scores")
    return folder / "scores" / "table.parquet"


def test_features_are_scored_by_codes_of_the_first_place(scores):
    scored = tables.read(scores, AUTOINTERP).to_pylist()
    assert {row["site"] for row in scored} == {PAIR}
    assert {row["name"] for row in scored} == {*NAMES, "linear_map"}


def test_the_figure_says_what_is_put_together_and_what_it_is_held_against(made, rows, scores):
    folder, params, _, _ = made
    settings = slices.plots(params, PAIR)
    table, frequency = (folder / "evaluation" / f"{name}.parquet" for name in ("table", "frequency"))
    plots.run(settings, evaluation=table, frequency=frequency, autointerp=scores, output=folder / "plots")
    assert matplotlib.image.imread(folder / "plots" / f"{PAIR}.png").std() > 0.05
    words = (folder / "plots" / f"{PAIR}.txt").read_text()
    assert (
        "Encoded is layer1_mlpin; FVU is of layer1_mlpout, which is put together from it, and in (b) it stands" in words
    )
    assert f"so its L0 is k; whole, its FVU is {rows['linear_map']['fvu']:.3f}" in words
    assert "none of the baselines of one place (PCA, ICA, NMF, neuron basis, random directions)" in words
    assert "the model with layer1_mlpout at its mean" in words
    assert "top-k" not in words


def test_a_file_says_that_it_goes_from_one_place_to_another(made):
    folder = made[0]
    (said, *_) = contents.of_file(folder / "made" / f"{NAMES[0]}.safetensors", folder)
    assert f"64 features from {D} to {D} dimensions, topk, k 4, with a skip" in said
    found, told = dictionary_files.load_with_settings(folder / "made" / f"{NAMES[0]}.safetensors")
    assert (told["site"], told["architecture"]) == (PAIR, "skip_transcoder")
    assert "with a skip" in repr(found)
    again = folder / "again.safetensors"
    dictionary_files.save(again, found, told)
    assert again.read_bytes() == (folder / "made" / f"{NAMES[0]}.safetensors").read_bytes()


def test_files_of_another_pair_and_a_single_one_are_refused(made, tmp_path):
    folder, params, files, known = made
    settings = slices.evaluation(params, PAIR)
    paths = [folder / "made" / f"{name}.safetensors" for name in settings.members]
    with pytest.raises(BadInput, match="activations of layer1_mlpin; wanted activations of layer1_mlpin_to_mlpout"):
        evaluation.run(
            settings, activations=files["activations"], tokens=known.tokens, dictionaries=paths, output=tmp_path,
            threads=1,
        )  # fmt: skip
    (cell, _) = grid.cells(params, PAIR)
    with pytest.raises(BadInput, match="skip_transcoder: found vectors of one place; wanted a pair"):
        dictionaries.run(
            slices.dictionaries(params, cell), activations=files["activations"], output=tmp_path, threads=1
        )  # fmt: skip
    assert not list(tmp_path.iterdir())
