"""Stage toy: a planted truth is found again, and every number is what its formula says."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from matplotlib import image

from sparse_coding.core import superposition
from sparse_coding.core.superposition import HELD_OUT, Vectors
from sparse_coding.errors import BadInput
from sparse_coding.io import dictionaries, tables
from sparse_coding.io.tables.toy import TOY
from sparse_coding.settings.params import Plots
from sparse_coding.settings.params.toy import ToyTraining
from sparse_coding.settings.slices.toy import ToyFigureSlice, ToySlice, ToyTablesSlice
from sparse_coding.stages import toy, toy_figure, toy_tables

N_TRUE, D = 24, 12
TRAINING = ToyTraining(
    true_features=N_TRUE, d_act=D, mean_active=1.5, decay=0.98, steps=300, batch=256, held_out=3000, factors=3
)
L1 = {"low": 0.1, "high": 3.0}


def a_cell(condition="independent", ratio=2.0, seed=0, members=L1, **training) -> ToySlice:
    return ToySlice(
        condition=condition,
        ratio=ratio,
        seed=seed,
        members={f"{name}_r{ratio:g}_s{seed}": l1 for name, l1 in members.items()},
        training=TRAINING.model_copy(update=training),
    )


def run(output: Path, threads=1, **cell) -> list[Path]:
    """Train a cell into the folder of its condition; the files of its members, without their ends."""
    settings, done = a_cell(**cell), []
    toy.run(settings, output=output / settings.condition, threads=threads, done=done.append)
    assert done == list(settings.members)
    return [output / settings.condition / name for name in settings.members]


def row(member: Path) -> dict:
    return json.loads(Path(f"{member}.json").read_text())


def decoder(member: Path) -> bytes:
    return dictionaries.load(Path(f"{member}.safetensors")).decoder.numpy().tobytes()


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> list[Path]:
    """All members of two conditions and three sizes; of one of these, two seeds."""
    folder = tmp_path_factory.mktemp("toy")
    grid = [("independent", 1.0, 0), ("independent", 2.0, 0), ("independent", 4.0, 0), ("independent", 2.0, 1)]
    grid += [("correlated", 1.0, 0), ("correlated", 2.0, 0)]
    return [
        member for condition, ratio, seed in grid for member in run(folder, condition=condition, ratio=ratio, seed=seed)
    ]


@pytest.fixture(scope="module")
def gathered(made, tmp_path_factory) -> Path:
    output = tmp_path_factory.mktemp("tables")
    gather(made, output)
    return output


def gather(made: list[Path], output: Path) -> None:
    rows, members = ([Path(f"{member}.{end}") for member in made] for end in ("json", "safetensors"))
    toy_tables.run(ToyTablesSlice(), rows=rows, members=members, output=output)


@pytest.mark.parametrize(
    ("architecture", "condition"), [("untied", "independent"), ("untied", "correlated"), ("tied", "independent")]
)
def test_a_planted_truth_is_found_again(tmp_path, architecture, condition):
    (member,) = run(
        tmp_path, condition=condition, members={"found": 2.0}, architecture=architecture, steps=1000, batch=512
    )
    assert row(member)["mmcs"] > 0.9


def test_metrics_are_what_their_formulas_say(made):
    """In plain numpy, from the dictionary and the vectors alone."""
    for member in made:
        found = row(member)
        dictionary = dictionaries.load(Path(f"{member}.safetensors"))
        factors = 3 if found["condition"] == "correlated" else None
        truth = superposition.truth(N_TRUE, D, 1.5, 0.98, factors, found["seed"])
        x = Vectors(truth, "uniform", 0.0, found["seed"], HELD_OUT).read(0, 3000).numpy().astype(float)
        encoder, bias, atoms, centre = (
            getattr(dictionary, name).numpy().astype(float) for name in ("encoder", "bias", "decoder", "centre")
        )
        codes = np.maximum((x - centre) @ encoder.T + bias, 0)
        error = (codes @ atoms + centre - x) ** 2
        assert found["fvu"] == pytest.approx(error.sum() / ((x - x.mean(0)) ** 2).sum(), rel=1e-4)
        assert found["mse"] == pytest.approx(error.mean(), rel=1e-4)
        assert found["l0"] == pytest.approx((codes > 0).sum(1).mean(), abs=0.01)
        assert found["dead"] == pytest.approx((codes <= 1e-7).all(0).sum(), abs=1)
        assert found["dead_share"] == found["dead"] / len(atoms)
        assert found["mmcs"] == pytest.approx((truth.atoms.astype(float) @ atoms.T).max(1).mean(), abs=1e-6)
        assert (found["n_feat"], found["n_true"], found["d_act"]) == (round(found["ratio"] * N_TRUE), N_TRUE, D)


def test_a_member_is_the_same_bytes_alone_in_company_and_on_any_number_of_threads(made, tmp_path):
    (alone,) = run(tmp_path, members={"high": 3.0}, threads=2)
    (company,) = (member for member in made if member.name == alone.name and member.parent.name == "independent")
    for end in ("json", "safetensors"):
        assert Path(f"{alone}.{end}").read_bytes() == Path(f"{company}.{end}").read_bytes()


def test_both_scales_of_the_l1_are_one_penalty(tmp_path):
    """L1 / n_feat on the sum of codes is L1 on their mean over features."""
    (mean,) = run(tmp_path / "mean", members={"some": 3.0}, steps=50)
    (total,) = run(tmp_path / "sum", members={"some": 3.0 / 48}, steps=50, l1_scaling="sum")
    (other,) = run(tmp_path / "other", members={"some": 3.0}, steps=50, l1_scaling="sum")
    assert decoder(mean) == decoder(total) != decoder(other)


def test_members_that_diverge_are_named_when_the_others_are_written(tmp_path):
    done: list[str] = []
    cell = a_cell(members={"fine": 0.1, "wild": 3e38}, steps=20, l1_scaling="sum")
    with pytest.raises(BadInput, match=r"toy\.lr: found 0\.01, with which wild_r2_s0 diverged; wanted a lower rate"):
        toy.run(cell, output=tmp_path, threads=1, done=done.append)
    assert done == ["fine_r2_s0"]
    assert {file.stem for file in tmp_path.iterdir()} == {"fine_r2_s0"}


def test_the_next_larger_dictionary_is_of_the_same_condition_seed_and_l1(made, gathered):
    found = tables.read(gathered / "table.parquet", TOY).to_pylist()
    rows = {(each["condition"], each["name"]): each for each in found}
    assert [Path(condition) / name for condition, name in rows] == [Path(m.parent.name) / m.name for m in made]
    atoms = {
        (member.parent.name, member.name): dictionaries.load(Path(f"{member}.safetensors")).decoder.numpy()
        for member in made
    }
    larger = {
        ("independent", f"{name}_r{small}_s0"): ("independent", f"{name}_r{large}_s0")
        for name in L1
        for small, large in ((1, 2), (2, 4))
    } | {("correlated", f"{name}_r1_s0"): ("correlated", f"{name}_r2_s0") for name in L1}
    for own, row_of_own in rows.items():
        if own in larger:
            cosines = atoms[own].astype(float) @ atoms[larger[own]].astype(float).T
            assert row_of_own["mmcs_larger"] == pytest.approx(cosines.max(1).mean(), abs=1e-6)
        else:
            assert row_of_own["mmcs_larger"] is None


def test_cells_are_means_over_seeds_with_an_interval_where_there_are_several(made, gathered):
    with open(gathered / "cells.csv", newline="") as file:
        cells = {(each["condition"], each["ratio"], each["l1"]): each for each in csv.DictReader(file)}
    assert len(cells) == 10
    pair = [row(member)["mmcs"] for member in made if member.name in ("low_r2_s0", "low_r2_s1")
            and member.parent.name == "independent"]  # fmt: skip
    cell, single = cells["independent", "2.0", "0.1"], cells["independent", "1.0", "0.1"]
    assert float(cell["mmcs"]) == pytest.approx(sum(pair) / 2)
    assert float(cell["mmcs_low"]) < min(pair) < max(pair) < float(cell["mmcs_high"])
    assert (cell["seeds"], single["seeds"]) == ("2", "1")
    assert (single["mmcs_low"], single["mmcs_high"]) == ("", "")
    assert cells["independent", "4.0", "0.1"]["mmcs_larger"] == ""


def test_a_damaged_row_and_a_dictionary_in_the_wrong_place_are_refused(made, tmp_path):
    with pytest.raises(BadInput, match=r"high_r1_s0\.safetensors: found independent high_r1_s0; wanted .* low_r1_s0"):
        toy_tables.run(
            ToyTablesSlice(),
            rows=[Path(f"{made[0]}.json")],
            members=[Path(f"{made[1]}.safetensors")],
            output=tmp_path / "out",
        )
    (tmp_path / "bad.json").write_text("{")
    (tmp_path / "short.json").write_text('{"name": "x"}')
    for name, message in (("bad", "no row"), ("short", "no columns"), ("gone", "no row")):
        with pytest.raises(BadInput, match=rf"{name}\.json: found {message}"):
            toy_tables.run(
                ToyTablesSlice(),
                rows=[tmp_path / f"{name}.json"],
                members=[Path(f"{made[0]}.safetensors")],
                output=tmp_path / "out",
            )
    assert not (tmp_path / "out").exists()


def draw(gathered: Path, output: Path, **how) -> str:
    settings = ToyFigureSlice(training=TRAINING, plots=Plots(dpi=60))
    toy_figure.run(settings, table=gathered / "table.parquet", output=output, **how)
    return (output / "toy.txt").read_text()


def test_the_figure_is_a_picture_whose_words_tell_how_it_was_made(gathered, tmp_path):
    words = draw(gathered, tmp_path)
    picture = image.imread(tmp_path / "toy.png")
    assert picture.shape[1] == pytest.approx(60 * 12, abs=2)
    assert picture.std() > 0.1
    for part in ("1.5 of 24", "76,800 vectors", "copula of 3 factors", "means over seeds 0, 1", "Best, correlated"):
        assert part in words
    first = (tmp_path / "toy.png").read_bytes()
    draw(gathered, tmp_path)
    assert (tmp_path / "toy.png").read_bytes() == first
    assert "Mixed" not in words
    assert "Mixed" in draw(gathered, tmp_path, environments=[{"cpu": "a"}, {"cpu": "b"}])


def test_a_table_without_rows_is_refused(tmp_path):
    tables.write(tmp_path / "table.parquet", [], TOY)
    with pytest.raises(BadInput, match=r"table\.parquet: found a table without rows"):
        draw(tmp_path, tmp_path / "out")
    assert not (tmp_path / "out").exists()
