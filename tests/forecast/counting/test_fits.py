"""Settings against the sizes of the model and of imported vectors, before a run and in the stages."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from sparse_coding.errors import BadInput
from sparse_coding.forecast.counting import fits
from sparse_coding.settings import grid, slices
from sparse_coding.settings.params import Params
from sparse_coding.stages import dictionaries, import_activations
from tests.workspace import make_workspace, snakemake, step, write_params

CONFIG = {
    "model_type": "gpt_neox",
    "num_hidden_layers": 2,
    "hidden_size": 12,
    "intermediate_size": 24,
    "vocab_size": 50,
}


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """A model of which only sizes are known, and vectors of 12 dimensions."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model").mkdir()
    write_config(tmp_path, max_position_embeddings=64)
    (tmp_path / "vectors").mkdir()
    np.save(tmp_path / "vectors" / "0.npy", np.random.default_rng(0).normal(size=(400, 12)).astype(np.float32))
    return tmp_path


def write_config(folder: Path, **own: Any) -> None:
    (folder / "model" / "config.json").write_text(json.dumps(CONFIG | own))


def some(**sections: Any) -> Params:
    own = {"grid": {"sites": ["layer1_residual"], "k": [4]}, "baselines": {"topk": [3]}, "dataset": {"context": 32}}
    own |= {"model": {"name": "model"}, "autointerp": {"random_weights": None}}
    sections = {name: {**own.get(name, {}), **value} for name, value in sections.items()}
    return Params.model_validate({**own, **sections})


def refused(message: str, **sections: Any) -> None:
    with pytest.raises(BadInput, match=message):
        fits.check(some(**sections))


def test_blocks_and_fragments_are_held_against_the_context(folder):
    fits.check(some(dataset={"context": 64, "fragment_tokens": 64}))
    refused(
        r"^params\.yaml: dataset\.context: found 65; wanted at most 64: max_position_embeddings of model$",
        dataset={"context": 65},
    )
    refused(r"dataset\.fragment_tokens: found 65; wanted at most 64 in all: max", dataset={"fragment_tokens": 65})
    refused(r"fragment_tokens: found 64 and BOS; wanted", dataset={"fragment_tokens": 64, "bos": "always"})
    (folder / "model" / "tokenizer_config.json").write_text('{"bos_token": "<s>"}')
    refused(r"fragment_tokens: found 64 and BOS; wanted", dataset={"fragment_tokens": 64})
    fits.check(some(dataset={"fragment_tokens": 64, "bos": "never"}))
    write_config(folder, model_type="roberta", max_position_embeddings=66, pad_token_id=1)
    refused(r"found 65; wanted at most 64", dataset={"context": 65})
    write_config(folder, n_positions=None)
    fits.check(some(dataset={"context": 4000}))  # says nothing of a longest context
    write_config(folder, text_config={"max_position_embeddings": 48})
    refused(r"found 50; wanted at most 48", dataset={"context": 50})


def test_a_model_that_is_yet_to_be_trained_is_known_by_its_settings(folder):
    own = {"model": {"name": "models/mine"}, "transformer": {"name": "mine", "context": 40}}
    refused(r"dataset\.context: found 41; wanted at most 40", dataset={"context": 41}, **own)
    own["dataset"] = {"fragment_tokens": 16}
    refused(r"grid\.k: found 999", grid={"ratios": [1], "architectures": ["topk"], "k": [999]}, **own)


def test_a_hub_model_counts_where_its_config_is_in_the_cache(folder, monkeypatch):
    monkeypatch.setenv("HF_HOME", str(folder / "home"))
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)
    named = {"model": {"name": "someone/tiny"}, "dataset": {"context": 65}}
    fits.check(some(**named))
    snapshot = folder / "home" / "hub" / "models--someone--tiny" / "snapshots" / "main"
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").write_text(json.dumps(CONFIG | {"max_position_embeddings": 64}))
    refused(r"found 65; wanted at most 64: max_position_embeddings of someone/tiny", **named)


def test_k_above_the_features_of_a_cell_is_refused_with_the_cells(folder):
    topk = {"architectures": ["tied", "topk"], "ratios": [1, 2, 4]}
    fits.check(some(grid={**topk, "k": [1, 12]}))
    refused(
        r"^params\.yaml: grid\.k: found 24, 25; wanted at most 12, the features of topk_r1 of layer1_residual; "
        r"at most 24, the features of topk_r2 of layer1_residual \(grid\.only can leave cells out\)$",
        grid={**topk, "k": [4, 24, 25]},
    )
    only = [{"architectures": ["tied"]}, {"architectures": ["topk"], "ratios": [4]}]
    fits.check(some(grid={**topk, "k": [48], "only": only}))
    refused(r"grid\.k: found 49; wanted at most 48, .* topk_r4 of layer1_resi", grid={**topk, "k": [49], "only": only})
    fits.check(some(grid={"sites": ["layer1_mlp"], "architectures": ["topk"], "ratios": [1], "k": [24]}))
    fits.check(some(grid={"architectures": ["tied"], "ratios": [1], "k": [500]}))  # for topk alone


def test_a_wished_l0_above_the_features_of_a_cell_is_refused_as_k_is(folder):
    only = [{"architectures": ["tied"], "strengths": ["l1"]}, {"architectures": ["jumprelu"]}]
    jump = {"architectures": ["tied", "jumprelu"], "ratios": [1, 2], "only": only}
    fits.check(some(grid={**jump, "l0": [0.5, 12]}))
    refused(
        r"^params\.yaml: grid\.l0: found 12\.5, 30; wanted at most 12, the features of jumprelu_r1 of layer1_residual; "
        r"at most 24, the features of jumprelu_r2 of layer1_residual \(grid\.only can leave cells out\)$",
        grid={**jump, "l0": [4, 12.5, 30]},
    )
    tied = {"architectures": ["tied"], "ratios": [1], "l0": [500]}
    refused(r"grid\.l0: found 500; wanted at most 12, the features of tied_r1 of layer1_resi", grid=tied)
    fits.check(some(grid={**tied, "only": only[:1]}))


def test_what_a_config_lists_or_leaves_out_is_not_held_against_anything(folder):
    write_config(folder, hidden_size=[12, 24], max_position_embeddings=None)
    fits.check(some(grid={"architectures": ["topk"], "k": [999]}, dataset={"context": 9999}))
    write_config(folder, model_type="roberta", max_position_embeddings=64, pad_token_id=None)
    fits.check(some(dataset={"context": 64}))


def test_k_of_the_control_and_of_baselines(folder):
    control = {"architecture": "topk", "ratio": 1, "k": 13}
    own = {"architectures": ["topk"], "ratios": [1]}
    fits.check(some(grid={**own, "k": [4]}, autointerp={"random_weights": control}))  # its twin's k is taken: 4
    refused(
        r"grid\.k: found 13; wanted at most 12, the features of topk_r1 of layer1_residual \(",
        grid={**own, "k": [4, 13]},
        autointerp={"random_weights": control},
    )
    refused(
        r"params\.yaml: baselines\.topk: found 13; wanted at most 12, the dimensions of layer1_residual$",
        baselines={"topk": [3, 13]},
    )
    fits.check(some(baselines={"topk": [13], "topk_methods": []}))


def test_ratios_that_are_one_number_of_features_are_refused(folder):
    own = {"architectures": ["topk", "tied"], "k": [4], "ratios": [1, 1.01, 2]}
    refused(
        r"^params\.yaml: grid\.ratios: found 1 and 1\.01, both 12 features \(topk at layer1_residual\); wanted one of",
        grid=own,
    )
    fits.check(some(grid={**own, "ratios": [1, 1.1, 2]}))  # 12, 13, 24
    apart = [{"architectures": ["topk"], "ratios": [1, 2]}, {"architectures": ["tied"], "ratios": [1.01]}]
    fits.check(some(grid={**own, "only": apart}))
    refused(r"both 12 features \(tied", grid={**own, "only": [*apart, {"architectures": ["tied"], "ratios": [1]}]})
    sites = [{"sites": ["layer0_mlp"], "ratios": [1]}, {"sites": ["layer1_residual"], "ratios": [1.01]}]
    fits.check(some(grid={**own, "sites": ["layer0_mlp", "layer1_residual"], "only": sites}))


def imported(folder: Path, **own: Any) -> dict[str, Any]:
    return {
        "grid": {"sites": ["narrow"], "architectures": ["topk"], "ratios": [2], "k": [24, 25, 500]},
        "activations": {"imported": {"narrow": str(folder / "vectors")}}, "baselines": {"topk": [3]},
        "dictionaries": {"steps": 3, "batch": 32}, **own,
    }  # fmt: skip


def test_what_stage_dictionaries_cannot_know_before_it_says_before_training(folder):
    own = imported(folder)
    own["grid"] |= {"architectures": ["topk", "jumprelu"], "l0": [8, 24.5]}
    params = Params.model_validate(own)
    import_activations.run(slices.import_activations(params, "narrow"), folder=folder / "vectors", output=folder)
    for cell, found in zip(grid.cells(params, "narrow"), (r"grid\.k: found 25", r"grid\.l0: found 24\.5"), strict=True):
        settings = slices.dictionaries(params, cell)
        with pytest.raises(BadInput, match=rf"^{found}; wanted at most 24, the features of {cell.name} of narrow$"):
            dictionaries.run(settings, activations=folder / "narrow.h5", output=folder / "out", threads=1)
    assert not (folder / "out").exists()


def test_a_dry_run_and_why_say_it(folder, tmp_path_factory):
    project = make_workspace(tmp_path_factory.mktemp("fits") / "project", imported(folder))
    message = "params.yaml: grid.k: found 25, 500; wanted at most 24, the features of topk_r2 of narrow"
    done = snakemake(project, "-n")
    assert done.returncode != 0
    assert message in done.stdout
    why = step("why", "all", cwd=project)
    assert why.returncode == 2
    assert message in why.stderr
    write_params(
        project, imported(folder) | {"grid": {"sites": ["layer1_residual"]}, "model": {"name": str(folder / "model")}}
    )
    done = snakemake(project, "-n")
    assert "model: found neither model.safetensors nor model.safetensors.index.json" in done.stdout
