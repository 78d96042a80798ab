"""The comparison of quality, as far as it goes without the peers: what is trained next, what is read, what is kept."""

import math
from dataclasses import replace
from functools import partial

import pytest
import torch
from benchmarks import report
from benchmarks.quality import __main__ as program
from benchmarks.quality import lines, ours, plan, rates, runs, section, tables, wished
from benchmarks.quality.contract import CHOSEN_AT, L0S, RATES, SEEDS, Grid, Task
from benchmarks.quality.folded import folded, gate_threshold
from benchmarks.quality.interpolated import at_l0
from benchmarks.quality.plan import Done, next_task
from benchmarks.quality.trainers import Entry
from benchmarks.quality.vectors import Vectors
from benchmarks.results import ROOT
from hypothesis import given
from hypothesis import strategies as st

from sparse_coding import methods

UP, DOWN = Grid((7.0, 15.0, 30.0), (7.0, 15.0), rises=True), Grid((0.1, 0.2), (0.1, 0.2))
positive = st.floats(0.5, 500)


@given(st.lists(positive, min_size=2, max_size=6, unique_by=lambda l0: round(math.log(l0), 2)), st.floats(0, 1))
def test_what_is_linear_in_the_log_of_l0_is_read_exactly_and_never_beyond_its_ends(l0s, share):
    points = [(l0, 0.7 - 0.1 * math.log(l0)) for l0 in l0s]
    least, most = min(l0s), max(l0s)
    wanted = least * (most / least) ** share
    assert at_l0(points, wanted) == pytest.approx(0.7 - 0.1 * math.log(wanted), abs=1e-3)
    assert at_l0(points, 0.9 * least) is None
    assert at_l0(points, 1.1 * most) is None


def answer(task: Task, best: float, grid: Grid) -> dict:
    """A trainer in closed form: k gives a tenth more codes, a penalty as many as 3 / weight."""
    l0 = 1.1 * task.strength if grid.rises else 3 / task.strength
    fvu = 0.5 - 0.1 * math.log(l0) + 0.01 * math.log(task.rate / best) ** 2 + 0.001 * task.seed
    return task.facts() | {"l0": l0, "fvu": fvu, "dead": 0, "seconds": 1.0}


def carried_out(entry: Entry, best: float, there: list, most: int = 100) -> list:
    """Lines until nothing is left to train, or as many as a kill leaves time for."""
    while len(there) < most and (found := next_task(entry, there)) is not None:
        there.append(answer(found[1], best, entry.grid))
    return there


@pytest.mark.parametrize("grid", [UP, DOWN], ids=["k", "l1"])
@pytest.mark.parametrize("best", RATES)
def test_the_best_rate_is_found_and_every_l0_can_be_read_at_it(grid, best):
    entry = Entry("someone", "kind", grid)
    done = Done(entry, carried_out(entry, best, []))
    assert done.best_rate() == best
    for seed in SEEDS:
        for l0 in L0S:
            assert done.at(best, seed, l0) == pytest.approx(0.5 - 0.1 * math.log(l0) + 0.001 * seed, abs=1e-3)
    assert len(done.lines) <= 4 * 3 + 3 * 8


@pytest.mark.parametrize("kill", [1, 4, 9])
def test_what_was_killed_goes_on_where_it_was(kill):
    entry = Entry("someone", "kind", DOWN)
    whole = carried_out(entry, 1e-2, [])
    assert carried_out(entry, 1e-2, carried_out(entry, 1e-2, [], kill)) == whole
    assert len({Task.of(line) for line in whole}) == len(whole)


def test_what_diverged_is_no_best_rate_and_is_not_tried_again():
    entry, there = Entry("someone", "kind", UP), []
    while (found := next_task(entry, there)) is not None:
        task = found[1]
        there.append(answer(task, 2e-2, UP) if task.rate < 1e-2 else task.facts() | {"failed": "not finite"})
    assert Done(entry, there).best_rate() == 4e-3


def test_a_line_that_was_cut_short_counts_for_nothing_and_harms_no_other(tmp_path):
    file = tmp_path / "results.jsonl"
    lines.add({"a": 1}, file)
    with file.open("a") as cut:
        cut.write('{"a": 2, "b"')
    lines.add({"a": 3}, file)
    assert lines.read(file) == [{"a": 1}, {"a": 3}]


@pytest.mark.parametrize("is_centred", [True, False])
@pytest.mark.parametrize("kind", ["relu", "topk", "jumprelu"])
def test_what_others_hold_becomes_the_same_dictionary(kind, is_centred):
    """By the formula of SAELens, with lengths of rows that are not 1 and vectors three times as long."""
    torch.manual_seed(0)
    encoder, decoder, z = torch.randn(12, 5), 2 * torch.randn(12, 5), torch.randn(40, 5)
    bias, centre, threshold = torch.randn(12), torch.randn(5), torch.rand(12)
    lengths = decoder.norm(dim=1)
    pre = (3 * z - centre * is_centred) @ encoder.T + bias
    codes = torch.relu(pre * lengths)
    if kind == "topk":
        codes *= codes >= codes.topk(4, dim=1).values[:, -1:]
    if kind == "jumprelu":
        codes *= pre > threshold
    chosen = {"topk": {"k": 4}, "jumprelu": {"threshold": threshold}}.get(kind, {})
    found = folded(encoder, bias, decoder, centre, is_centred=is_centred, scale=3.0, **chosen)
    torch.testing.assert_close(found.decoder.norm(dim=1), torch.ones(12))
    torch.testing.assert_close(found.encode(z), codes / 3, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(found.reconstruct(z), ((codes / lengths) @ decoder + centre) / 3, atol=1e-5, rtol=1e-4)


def test_a_gate_is_a_threshold_of_magnitudes():
    v, gate, magnitude, log_scale = torch.randn(4, 1000).double()
    open_by_gate = v + gate > 0
    above = log_scale.exp() * v + magnitude > gate_threshold(gate, magnitude, log_scale)
    assert torch.equal(open_by_gate, above)


@pytest.fixture(scope="module")
def vectors():
    torch.manual_seed(1)
    atoms = torch.nn.functional.normalize(torch.randn(32, 16), dim=1)
    x = 3 + (torch.rand(4096, 32) * (torch.rand(4096, 32) < 0.1)) @ atoms
    train, held_out = x[:3072].half(), x[3072:].half()
    mean = train.float().mean(0)
    return Vectors(train, held_out, mean, float((train.float() - mean).norm(dim=1).mean()))


def test_a_training_is_measured_as_the_formulas_say(vectors):
    one = ours.make(Task("ours", "topk", 4, 1e-2, 0), (64, 16))
    clock = runs.trained(one, vectors, steps=60)
    found, z = runs.outcome(one, vectors), vectors.normal(vectors.held_out)
    codes = one.dictionary().encode(z)
    left = (z - one.dictionary().decode(codes)).square().sum()
    assert found["fvu"] == pytest.approx(float(left / (z - z.mean(0)).square().sum()), rel=1e-4)
    assert found["l0"] == pytest.approx(float((codes > 0).sum(1).float().mean()))
    assert found["dead"] == int((codes == 0).all(0).sum())
    assert [steps for steps, _, _ in clock.curve] == [25, 50]
    assert clock.curve[0][2] > clock.curve[1][2] > 0
    assert 0 < clock.curve[0][1] < clock.seconds


def test_a_dictionary_that_is_not_what_the_library_has_is_not_measured(vectors):
    one = ours.make(Task("ours", "topk", 4, 1e-2, 0), (64, 16))
    one.reconstruct = lambda z: 0.9 * one.dictionary().reconstruct(z)
    with pytest.raises(ArithmeticError, match="by its own class"):
        runs.outcome(one, vectors)


def test_every_training_is_a_line_and_is_trained_once(vectors, tmp_path, monkeypatch):
    """Killed in its second training and begun again: the lines of one that was left alone, but for the clock."""
    monkeypatch.setattr(program.vectors, "load", lambda: vectors)
    monkeypatch.setattr(program, "trained", lambda one, source, steps=0: runs.trained(one, source, steps=25))
    monkeypatch.setattr(program, "line_of", partial(program.line_of, keep=tmp_path / "kept"))
    monkeypatch.setattr(program, "WARM", {("ours", "topk")})
    monkeypatch.setattr(plan, "SEEDS", (0,))
    monkeypatch.setattr(plan, "CHOSEN_AT", 3.0)
    monkeypatch.setattr(plan, "L0S", (3.0,))
    entries, begun = [Entry("ours", "topk", Grid((3.0,), (3.0,), rises=True))], []

    def killed(task, shape):
        begun.append(task)
        if len(begun) == 2:
            raise KeyboardInterrupt
        return ours.make(task, shape)

    with monkeypatch.context() as until:
        until.setattr(program, "learner", killed)
        with pytest.raises(KeyboardInterrupt):
            program.train(entries, math.inf, tmp_path / "killed.jsonl")
    assert len(lines.read(tmp_path / "killed.jsonl")) == 1
    found = []
    for name in ("killed", "whole"):
        program.train(entries, math.inf, tmp_path / f"{name}.jsonl")
        found.append(
            [line | dict.fromkeys(("seconds", "curve", "date")) for line in lines.read(tmp_path / f"{name}.jsonl")]
        )
    assert found[0] == found[1]
    assert len(found[0]) == 3  # the two rates in the middle, and one more on the better side


def test_the_page_says_how_far_ours_is_from_the_best():
    there = []
    for trainer, best in (("ours", 1e-2), ("sae_lens", 4e-3)):
        entry = Entry(trainer, "batchtopk", UP)
        there += [line | {"curve": [(1000, 1.0, line["fvu"])]} for line in carried_out(entry, best, [])]
    for line in there:
        line["fvu"] *= 1.03 if line["trainer"] == "ours" else 1
    page = report.render({"quality": section.section(there)})
    assert "| BatchTopK | +3.0 % (SAELens) | +3.0 % (SAELens) | +3.0 % (SAELens) |" in page
    fvu = 0.5 - 0.1 * math.log(CHOSEN_AT) + 0.001
    assert "| BatchTopK | SAELens | 0.004 | 3 |" in page
    assert f"{fvu:.4f} ± 0.0010" in page
    assert "BatchTopK, ours: 7: 7.7, 15: 16.5, 30: 33.0" in page


def test_a_variant_is_held_against_theirs_in_the_same_one():
    def row(trainer, variant, fvu):
        at = {f"fvu {l0:g}": {"mean": fvu, "sd": None, "n": 1} for l0 in L0S}
        return {"trainer": trainer, "kind": "untied", "family": "untied", "variant": variant, "at": at}

    rows = [row("ours", "plain", 0.3), row("ours", "gain_refit", 0.1)]
    rows += [row("sae_lens", "plain", 0.2), row("sae_lens", "gain_refit", 0.1), row("sparsify", "plain", 0.4)]
    found = {each["variant"]: each["ratios"]["16"] for each in section.against(rows)}
    assert found["plain"] == {"ratio": pytest.approx(1.5), "trainer": "sae_lens"}
    assert found["gain_refit"] == {"ratio": 1.0, "trainer": "sae_lens"}


def test_a_curve_ends_where_the_table_reads_the_fvu_and_is_read_as_its_end_before():
    there = carried_out(Entry("ours", "batchtopk", UP), 1e-2, [])
    for line in there:
        line["curve"] = [(500, line["l0"], 2 * line["fvu"]), (1000, 2 * line["l0"], line["fvu"])]
    (curve,) = section.curves_of(there)
    fvu = Done(Entry("ours", "batchtopk", UP), there).at(1e-2, 0, CHOSEN_AT)
    (_, before, twice), (_, seconds, end) = curve["curve"]
    assert (end, twice) == (pytest.approx(fvu), pytest.approx(2 * fvu))
    assert seconds == pytest.approx(2 * before)
    assert section.curves_of([line for line in there if line["l0"] < CHOSEN_AT]) == []


def test_a_cell_of_rates_has_the_settings_of_the_default_but_for_the_rate():
    cell = rates.Cell("topk", "layer2_residual", 2.0, 2048, 0.123)
    settings = cell.settings(rates.STRENGTHS["k"])
    assert settings.own.lr_grows_to is None  # it is the rate of all
    assert (settings.own.lr, settings.ratio, settings.training.steps) == (0.123, 2.0, 500)
    assert [member.k for member in settings.members.values()] == list(rates.STRENGTHS["k"])
    assert rates.cell_of(rates.asdict(cell) | {"fvu": 0.1}) == cell
    assert replace(cell, rate=0.2) != cell


def test_a_cell_of_wishes_has_the_settings_of_the_default_but_for_the_wish():
    for kind in wished.KINDS:
        site = "layer4_mlpin_to_mlpout" if methods.of(kind).pairs else "layer4_residual"
        cell = wished.Cell(kind, site, 2)
        settings = cell.settings()
        assert (settings.site, settings.ratio, settings.training.steps) == (site, 4.0, 1000)
        assert [(member.l0, member.seed) for member in settings.members.values()] == [(8, 2), (16, 2), (32, 2)]
        assert wished.cell_of(wished.asdict(cell) | {"l0": 8.1}) == cell
    assert set(wished.KINDS) == {kind for kind in methods.LEARNED if not methods.of(kind).dense}


def test_the_table_of_wishes_has_what_is_farthest_below_and_above():
    """Two kinds in the order of KINDS; a wish of one seed, one that nobody had, and a training that diverged."""
    told = {"site": "here", "wish": 8.0}
    there = [{"kind": "tied", "seed": seed, "l0": l0} | told for seed, l0 in enumerate((8.0, 8.08, 7.92))]
    there += [{"kind": "tied", "seed": 0, "site": "here", "wish": 32.0, "l0": 32.032}]
    there += [{"kind": "untied", "seed": 1, "l0": 8.0016} | told]
    there += [{"kind": "untied", "seed": 2, "site": "here", "failed": "not finite"}]
    assert wished.table(there).splitlines()[2:] == [
        "| untied | here | 1 | 0.0 % |  |  |",
        "| tied | here | 0, 1, 2 | -1.0 to +1.0 % |  | +0.1 % |",
    ]


@pytest.mark.parametrize("page", tables.TABLES)
def test_the_tables_of_a_page_are_what_was_measured(page: str):
    """`python -m benchmarks.quality.tables` has nothing to write."""
    text = (ROOT / page).read_text(encoding="utf-8")
    assert tables.with_tables(text, tables.TABLES[page]) == text


def test_a_page_without_a_place_for_a_table_is_refused():
    with pytest.raises(ValueError, match="no place for the table x"):
        tables.with_tables("<!-- measured: x -->\n| a |\n", {"x": list})


def test_a_kind_meets_the_sites_that_it_is_for():
    sites = ["layer2_residual", "layer2_mlpin_to_mlpout"]
    assert [wished.fitting(kind, sites) for kind in ("tied", "transcoder")] == [sites[:1], sites[1:]]
