"""Stage evaluation where there is no model, and what it refuses."""

from pathlib import Path

import pytest
import torch

from sparse_coding.core.dictionary import Dictionary
from sparse_coding.errors import BadInput
from sparse_coding.io import dictionaries as dictionary_files
from sparse_coding.io.activations import open_site
from sparse_coding.io.tables.evaluation import EVALUATION
from sparse_coding.settings.slices import EvaluationSlice
from sparse_coding.stages import evaluation
from tests.stages.world import SITE, World, gather


def test_a_misspelt_metric_is_refused_and_no_null(world: World) -> None:
    settings, path = world.settings(["random"]), world.paths["random"]
    with open_site(world.activations, None) as file:
        held = evaluation.HeldOut.of(file.split("held_out"), 128, file.cut)
        (subject,) = evaluation._variants(settings.evaluation, file, held, settings.members["random"], path)
    row = evaluation._row(settings, subject, {"kl": 0.5, "ce": float("inf")})
    assert list(row) == EVALUATION.names
    assert (row["kl"], row["ce"], row["perplexity"], row["l0_target"]) == (0.5, None, None, None)
    with pytest.raises(BadInput, match=rf"{SITE}: random \(plain\): found unknown columns \['kll'\]"):
        evaluation._row(settings, subject, {"kll": 0.5})


def test_an_imported_site_has_no_splice_columns(world: World, tmp_path: Path) -> None:
    settings = world.settings(["tied_r2_l1-0.002_s0"]).model_copy(update={"model": None})
    path = world.paths["tied_r2_l1-0.002_s0"]
    evaluation.run(
        settings,
        activations=world.activations,
        dictionaries=[path],
        output=tmp_path,
        threads=1,
    )
    found = gather(tmp_path, list(settings.members))
    assert len(found) == 2
    for row in found:
        assert row["fvu"] is not None
        assert {row[column] for column in ("ce", "ce_clean", "kl", "kl_low", "loss_recovered", "n_tokens")} == {None}


def test_what_does_not_belong_together_is_refused(world: World, tmp_path: Path) -> None:
    def run(settings: EvaluationSlice, paths: list[Path]) -> None:
        evaluation.run(
            settings,
            activations=world.activations,
            tokens=world.tokens,
            dictionaries=paths,
            output=tmp_path / "out",
            threads=1,
        )

    settings, path = world.settings(["random"]), world.paths["random"]
    with pytest.raises(BadInput, match="--tokens: found none"):
        evaluation.run(settings, activations=world.activations, dictionaries=[path], output=tmp_path / "out", threads=1)
    with pytest.raises(BadInput, match="random_layer1_residual"):
        run(settings.model_copy(update={"site": "random_layer1_residual"}), [path])
    with pytest.raises(BadInput, match="activations of layer1_residual; wanted activations of layer0_residual"):
        run(settings.model_copy(update={"site": "layer0_residual"}), [path])
    with pytest.raises(BadInput, match="2 files; wanted 1"):
        run(settings, [path, path])
    wide = Dictionary(torch.eye(5), torch.zeros(5), torch.eye(5), torch.zeros(5), torch.ones(5))
    dictionary_files.save(tmp_path / "wide.safetensors", wide, {})
    with pytest.raises(BadInput, match=r"wide.safetensors: found atoms of 5 dimensions; wanted 32"):
        run(settings, [tmp_path / "wide.safetensors"])
    assert not (tmp_path / "out").exists()
