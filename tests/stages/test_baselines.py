"""Stage baselines on a real activations file."""

import numpy as np
import pytest
import torch
from safetensors import safe_open

from sparse_coding import methods
from sparse_coding.core.baselines.contract import Vectors
from sparse_coding.errors import BadInput
from sparse_coding.io import dictionaries
from sparse_coding.io.activations import ActivationsWriter, Header, open_activations
from sparse_coding.settings import grid, slices
from sparse_coding.settings.params import Baselines, Params
from sparse_coding.settings.slices import BaselinesSlice
from sparse_coding.stages import baselines as stage

SITE, D, ROWS = "layer2_residual", 12, 9000  # more rows than the stage reads at a time
SMALL = {"topk": (2, D), "ica_rows": 3000, "nmf_rows": 1000, "nmf_iterations": 50}


@pytest.fixture(scope="module")
def activations(tmp_path_factory):
    path = tmp_path_factory.mktemp("activations") / f"{SITE}.h5"
    generator = np.random.default_rng(0)
    mixing = generator.standard_normal((D, D))
    header = Header(site=SITE, model="none", corpus="none", dtype="float32", d_act=D, block_rows=1000)
    with ActivationsWriter(path, header, {"train": ROWS, "held_out": 500}) as writer:
        for split, rows in (("train", ROWS), ("held_out", 500)):
            x = torch.from_numpy(generator.laplace(size=(rows, D)) @ mixing + 3).float()
            column = np.arange(rows)
            writer.append(split, x, column, column, column)
    return path


def settings(**changes) -> BaselinesSlice:
    return slices.baselines(Params(baselines=Baselines(**(SMALL | changes))), SITE)


@pytest.fixture(scope="module")
def made(activations, tmp_path_factory):
    output = tmp_path_factory.mktemp("made")
    stage.run(settings(), activations=activations, output=output, threads=2)
    return output


def test_there_is_a_file_for_each_name_and_no_other(made):
    names = grid.baseline_names(Baselines(**SMALL), SITE)
    assert sorted(file.name for file in made.iterdir()) == sorted(f"{name}.safetensors" for name in names)


def test_each_reconstructs_held_out_vectors_as_it_should(made, activations):
    with open_activations(activations) as file:
        x = file.split("held_out").read(0, 500)
        centred = x - file.mean
    errors = {}
    for path in made.iterdir():
        error = (dictionaries.load(path).reconstruct(x) - x).square().sum() / centred.square().sum()
        errors[path.stem] = float(error)
    for method in ("pca", "ica", "neuron_basis", "random"):
        assert errors[method] < 1e-10
    for method in ("pca", "ica", "neuron_basis"):
        assert errors[f"{method}_top{D}"] < 1e-10
        assert 0.05 < errors[f"{method}_top2"] < 1.2
    assert errors["nmf"] < 0.1
    assert errors["pca_top2"] < errors["neuron_basis_top2"]


def test_each_file_says_how_it_was_made(made):
    def said(name):
        return dictionaries.load_with_settings(made / f"{name}.safetensors")[1]

    assert said("pca") == {"site": SITE, "method": "pca", "k": None, "fit_rows": ROWS}
    assert said("neuron_basis") == {"site": SITE, "method": "neuron_basis", "k": None}
    assert said("random") == {"site": SITE, "method": "random", "k": None, "seed": 0}
    assert said("nmf") == {"site": SITE, "method": "nmf", "k": None, "seed": 0, "fit_rows": 1000, "iterations": 50}
    ica = said("ica_top2")
    assert (ica["method"], ica["k"], ica["fit_rows"], ica["converged"]) == ("ica", 2, 3000, True)
    assert 1 < ica["iterations"] < 200


@pytest.mark.parametrize("kind", methods.OF_SITES)
def test_what_methods_says_of_a_kind_is_so_in_its_file(kind, made):
    about, dictionary = methods.of(kind), dictionaries.load(made / f"{kind}.safetensors")
    assert dictionary.n_feat == (2 if about.signed else 1) * D
    assert (dictionary.activation == "nnls") == about.solved
    with safe_open(made / f"{kind}.safetensors", framework="pt") as file:
        assert len(set(file.keys()) & set(dictionaries.DIRECTIONS)) == about.matrices


def test_threads_change_no_byte(made, activations, tmp_path):
    heard = []
    stage.run(settings(), activations=activations, output=tmp_path, threads=1, done=heard.append)
    for path in made.iterdir():
        assert path.read_bytes() == (tmp_path / path.name).read_bytes(), path.name
    assert sorted(heard) == sorted(settings().members)


def test_company_changes_no_byte(made, activations, tmp_path):
    """The workflow makes those that are not there: they come out as they would beside the others."""
    members = {name: settings().members[name] for name in ("pca_top2", "ica", "random", "nmf")}
    there = []
    stage.run(
        BaselinesSlice(site=SITE, members=members),
        activations=activations,
        output=tmp_path,
        threads=1,
        done=lambda name: there.append((tmp_path / f"{name}.safetensors").exists()),
    )
    assert there == [True] * 4
    assert {path.stem for path in tmp_path.iterdir()} == set(members)
    for path in tmp_path.iterdir():
        assert path.read_bytes() == (made / path.name).read_bytes(), path.name


def test_the_terminal_is_quiet_and_the_file_says_that_ica_did_not_converge(activations, tmp_path, recwarn, capsys):
    only_ica = settings(methods=("ica",), topk_methods=(), ica_iterations=2)
    stage.run(only_ica, activations=activations, output=tmp_path, threads=1)
    made_by = dictionaries.load_with_settings(tmp_path / "ica.safetensors")[1]
    assert (made_by["iterations"], made_by["converged"]) == (2, False)
    assert not [warning for warning in recwarn if "converge" in str(warning.message)]
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "baselines layer2_residual" in printed.err


def test_topk_variants_do_not_need_the_full_method(activations, tmp_path):
    stage.run(settings(methods=("random",), topk_methods=("pca",)), activations=activations, output=tmp_path, threads=1)
    assert {file.stem for file in tmp_path.iterdir()} == {"random", "pca_top2", f"pca_top{D}"}


def test_more_codes_than_dimensions_are_refused_before_any_work(activations, tmp_path):
    with pytest.raises(BadInput, match=f"baselines.topk: found {D + 1}; wanted at most {D}"):
        stage.run(settings(topk=(2, D + 1)), activations=activations, output=tmp_path / "out", threads=1)
    assert not (tmp_path / "out").exists()
    alone = settings(topk=(D + 1,), topk_methods=(), methods=("neuron_basis",))
    stage.run(alone, activations=activations, output=tmp_path / "out", threads=1)


def test_a_sample_is_drawn_from_everywhere_once_each(activations):
    with open_activations(activations) as file:
        vectors = Vectors(file.split("train"), file.mean)
        sample, again, other = (vectors.sample(2000, seed) for seed in (0, 0, 1))
        assert vectors.sample(ROWS + 1, 0).tolist() == list(range(ROWS))
    assert len(set(sample.tolist())) == 2000
    assert sample.tolist() == sorted(sample.tolist())
    assert 3500 < sample.double().mean() < 5500
    assert torch.equal(sample, again)
    assert not torch.equal(sample, other)


def test_blocks_hold_the_sample_mixed_and_are_the_same_each_time(activations):
    with open_activations(activations) as file:
        train = file.split("train")
        vectors = Vectors(train, file.mean)
        sample = vectors.sample(1000, 0)
        first, second = (list(vectors.mixed_blocks(sample, 300, 0)) for _ in range(2))
        everything = train.read(0, ROWS)
    assert [len(block) for block in first] == [334, 333, 333]
    assert all(torch.equal(one, other) for one, other in zip(first, second, strict=True))
    row_of = {tuple(row): i for i, row in enumerate(everything.tolist())}
    rows = [row_of[tuple(row)] for row in torch.cat(first).tolist()]
    assert sorted(rows) == sample.tolist()
    assert max(rows[:334]) > ROWS * 0.9, "the first block is from everywhere"


def test_nmf_can_use_all_rows_and_then_is_no_worse(made, activations, tmp_path):
    stage.run(settings(methods=("nmf",), nmf_rows=ROWS), activations=activations, output=tmp_path, threads=1)
    with open_activations(activations) as file:
        x = file.split("held_out").read(0, 500)
    errors = [
        float((dictionaries.load(folder / "nmf.safetensors").reconstruct(x) - x).square().sum())
        for folder in (tmp_path, made)
    ]
    assert errors[0] < errors[1] * 1.05
    assert dictionaries.load_with_settings(tmp_path / "nmf.safetensors")[1]["fit_rows"] == ROWS


def test_as_in_the_original(activations, made, tmp_path):
    """Those that differ are made otherwise, and say so; plain ICA and NMF are the same."""
    wanted = settings(original=True)
    differing = {name for name, member in wanted.members.items() if member.original}
    assert differing == {name for name in wanted.members if name not in ("ica", "nmf")}
    stage.run(wanted, activations=activations, output=tmp_path, threads=2)
    for name in wanted.members:
        old, new = (dictionaries.load_with_settings(folder / f"{name}.safetensors") for folder in (made, tmp_path))
        assert new[1].get("original", False) is (name in differing)
        assert (torch.equal(new[0].encoder, old[0].encoder) and torch.equal(new[0].centre, old[0].centre)) is (
            name not in differing
        )
        if name in differing:
            assert not new[0].centre.any()
    assert dictionaries.load(tmp_path / "neuron_basis.safetensors").n_feat == D
    assert dictionaries.load(tmp_path / "pca_top2.safetensors").k == 2
