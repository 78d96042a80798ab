"""Snapshots: a dictionary as it was on the way, of the same training, whatever else is asked for and when."""

import random

import pytest
import torch

from sparse_coding.errors import BadInput
from sparse_coding.io import dictionaries, tables
from sparse_coding.io.tables.evaluation import EVALUATION
from sparse_coding.settings import declared, grid, params_file, slices
from sparse_coding.settings.params import Params
from sparse_coding.stages import summary
from tests.cli.test_closing import row
from tests.stages.test_unfinished import STEPS, Broken, files, settings, train
from tests.stages.test_unfinished import vectors as vectors
from tests.workspace import write_params

BATCH = 64
COUNTS = (1, 20 * BATCH, 20 * BATCH + 1, STEPS * BATCH)  # seen after 1, 20, 21 and all steps


def with_snapshots(kind, n, counts=COUNTS, finals=True, **more):
    """The slice of n trainings, and what of them is asked for."""
    own = settings(kind, n, **more)
    members = dict(own.members) if finals else {}
    for name, member in own.members.items():
        members |= {f"{name}_t{count}": grid.replace(member, tokens=count) for count in counts}
    return own.model_copy(update={"members": members})


def suffix(name):
    return {f"{name}.safetensors", f"{name}.log.jsonl"}


@pytest.mark.parametrize("kind", ["tied", "topk", "gated"])
def test_a_training_gives_what_shorter_ones_of_its_schedule_would(vectors, tmp_path, kind):
    train(vectors, tmp_path / "without", settings(kind, 2, minutes=1e9))
    train(vectors, tmp_path / "all", with_snapshots(kind, 2, minutes=1e9))
    found = files(tmp_path / "all")
    assert files(tmp_path / "without").items() <= found.items()  # the end is not another one
    train(vectors, tmp_path / "later", with_snapshots(kind, 2, COUNTS[2:3], finals=False, minutes=1e9))
    assert set(files(tmp_path / "later")) == suffix(f"{kind}0_t1281") | suffix(f"{kind}1_t1281")
    assert files(tmp_path / "later").items() <= found.items()
    last = dictionaries.load(tmp_path / f"all/output/{kind}0_t{STEPS * BATCH}.safetensors")
    end = dictionaries.load(tmp_path / f"all/output/{kind}0.safetensors")
    assert torch.equal(last.decoder, end.decoder)
    early, told = dictionaries.load_with_settings(tmp_path / f"all/output/{kind}0_t1281.safetensors")
    assert (told["tokens"], told["seen"]) == (1281, 21 * BATCH)  # a whole batch at a time
    assert not torch.equal(early.decoder, end.decoder)
    lines = found[f"{kind}0.log.jsonl"]
    assert lines.startswith(found[f"{kind}0_t1281.log.jsonl"])


def test_broken_off_at_any_step_the_bytes_are_the_same(vectors, tmp_path):
    train(vectors, tmp_path / "whole", with_snapshots("tied", 2, minutes=1e9))
    draw, written = random.Random(0), {}
    for _ in range(5):
        try:  # what is written is not asked for again, as the store has it
            rest = with_snapshots("tied", 2)
            asked = {name: own for name, own in rest.members.items() if f"{name}.log.jsonl" not in written}
            train(vectors, tmp_path, rest.model_copy(update={"members": asked}), breaks_at=draw.randrange(1, 2 * STEPS))
        except Broken:
            written = files(tmp_path)
    train(vectors, tmp_path, with_snapshots("tied", 2))
    assert files(tmp_path) == files(tmp_path / "whole")


def test_what_is_beyond_a_snapshot_that_is_asked_for_begins_anew(vectors, tmp_path):
    with pytest.raises(Broken):
        train(vectors, tmp_path, settings("tied", 1), breaks_at=100)
    train(vectors, tmp_path, with_snapshots("tied", 1, (20 * BATCH,)))
    train(vectors, tmp_path / "whole", with_snapshots("tied", 1, (20 * BATCH,), minutes=1e9))
    assert files(tmp_path) == files(tmp_path / "whole")


def test_a_training_that_ended_before_gives_what_it_ended_with(vectors, tmp_path):
    stop = {"early_stop": {"window": 14, "gain": 0.5}}
    train(vectors, tmp_path, with_snapshots("tied", 2, COUNTS[-1:], minutes=1e9, **stop))
    for name in ("tied0", "tied1"):
        late, told = dictionaries.load_with_settings(tmp_path / f"output/{name}_t{COUNTS[-1]}.safetensors")
        end = dictionaries.load(tmp_path / f"output/{name}.safetensors")
        assert torch.equal(late.decoder, end.decoder)
        assert told["steps_taken"] < STEPS
        assert told["seen"] == told["steps_taken"] * BATCH < told["tokens"]


def test_a_wish_that_a_snapshot_missed_is_said_of_the_snapshot(vectors, tmp_path, capsys):
    own = settings("tied", 1, minutes=1e9)
    wished = grid.replace(own.members["tied0"], l1=None, l0=0.01, l0_rows=50)
    members = {"final": wished, "early": grid.replace(wished, tokens=BATCH)}
    train(vectors, tmp_path, own.model_copy(update={"members": members}))
    said = capsys.readouterr().err
    assert [said.count(f"warning: {name}: wished L0 0.01") for name in members] == [1, 1]


def of(tmp_path, **section):
    write_params(tmp_path, {"dictionaries": section})
    return params_file.load(tmp_path / "params.yaml")


def test_a_count_more_changes_no_key_of_the_others(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def records(params: Params):
        found = {}
        for cell in grid.cells(params, "layer2_residual"):
            deciding, _ = slices.split(slices.dictionaries(params, cell))
            outputs = declared.dictionaries(params, cell)["outputs"]
            assert outputs.keys() == deciding["members"].keys()
            found |= {name: {**deciding, "members": {name: own}} for name, own in deciding["members"].items()}
        return found

    without, one, two = (records(of(tmp_path, snapshots=counts)) for counts in ([], [5000], [5000, 70000]))
    assert without.items() <= one.items()
    assert one.items() <= two.items()
    assert {name.rpartition("_t")[2] for name in one.keys() - without.keys()} == {"5000"}
    assert len(two) == 3 * len(without)


def test_snapshots_are_evaluated_and_not_interpreted(tmp_path):
    params = of(tmp_path, snapshots=[5000])
    evaluated = slices.evaluation(params, "layer2_residual").members
    assert {row.tokens for row in evaluated.values()} == {None, 5000}
    assert not [name for name in slices.autointerp(params, "layer2_residual").members if "_t5000" in name]
    twin = grid.control_twin(params, "layer2_residual")
    assert twin[1].tokens is None


def test_snapshots_and_controls_are_in_the_summary_and_are_no_points_or_headlines(tmp_path):
    final = row("final", 9.0, 0.3)
    better = row("better_t5000", 10.0, 0.1, tokens=5000)
    held = row("held", 10.0, 0.1) | {"control": "frozen_decoder"}
    tables.write(tmp_path / "table.parquet", [final, better, held], EVALUATION)
    summary.run(slices.SummarySlice(), tables=[tmp_path / "table.parquet"], output=tmp_path)
    points, whole = ((tmp_path / name).read_text().splitlines() for name in ("points.csv", "summary.csv"))
    assert [line.split(",")[1] for line in points[1:]] == ["final"]
    assert [line.endswith(",yes") for line in whole[1:]] == [True, False, False]
    assert "better_t5000" in (tmp_path / "metrics.json").read_text()


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        ([0], "greater than or equal to 1"),
        ([5, 5], "each value once"),
        (
            [1024 * 1000 + 1],
            r"yaml: dictionaries\.snapshots: found 1024001; wanted at most steps \* batch vectors, 1024000",
        ),
    ],
)
def test_counts_that_no_training_passes_are_refused(tmp_path, counts, said):
    with pytest.raises(BadInput, match=said):
        of(tmp_path, snapshots=counts)
