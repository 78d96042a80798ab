"""The benchmark of training, as far as it goes without the peers: all trainers do the same, and the page is made."""

from dataclasses import replace

import pytest
import torch
from benchmarks import report, results
from benchmarks.training import ours, torch_loop, vmap_ensemble
from benchmarks.training.contract import MEMBERS, Setting
from benchmarks.training.limits import limits
from benchmarks.training.problem import l0_of, parameters_of, settings, timed_batches
from benchmarks.training.timing import rounds_of, rows_of

TRAINERS = {"ours": ours, "loop": torch_loop, "vmap": vmap_ensemble}
TINY = Setting("untied", n_feat=256, d_act=128, batch=64, sparsity="dense", l1=(1e-3,) * MEMBERS, lr=1e-3)
TINIES = [
    TINY,
    replace(TINY, sparsity="L0 20"),
    replace(TINY, architecture="tied"),
    replace(TINY, architecture="topk", sparsity="k 8", k=8),
]


@pytest.mark.parametrize("setting", TINIES, ids=lambda setting: setting.name)
def test_all_trainers_have_one_loss(setting):
    """Before a step, and after one: the optimisers move alike too."""
    parameters, batch = parameters_of(setting), timed_batches(setting)[0]
    modules = {name: module for name, module in TRAINERS.items() if setting.architecture in module.ARCHITECTURES}
    made = {name: module.make(setting, parameters) for name, module in modules.items()}
    first = {name: trainer.loss(batch)[0] for name, trainer in made.items()}
    for trainer in made.values():
        trainer.step(batch)
    moved = dict(made["ours"].dictionaries[0].parameters)
    after = {name: trainer.loss(batch)[0] for name, trainer in made.items() if name != "ours"}
    after["ours"] = ours.make(setting, [moved]).loss(batch)[0]
    assert first == pytest.approx(dict.fromkeys(first, first["loop"]), rel=1e-5)
    assert after["ours"] == pytest.approx(after["loop"], rel=1e-4)
    assert after["loop"] < first["loop"]


@pytest.mark.parametrize("setting", TINIES[1::2], ids=lambda setting: setting.name)
def test_the_l0_is_as_asked_for(setting):
    l0 = l0_of(setting, parameters_of(setting))
    assert l0 == pytest.approx([float(setting.sparsity.split()[1])] * MEMBERS, rel=0.1)


def test_batches_have_unit_mean_norm_and_are_the_same_for_all():
    batches = timed_batches(TINY)
    assert float(torch.cat(batches).norm(dim=1).mean()) == pytest.approx(1, abs=0.05)
    assert timed_batches(replace(TINY, architecture="tied"))[0] is batches[0]


def test_the_page_shows_what_was_measured(tmp_path):
    path = tmp_path / "results.json"
    parameters, batches = parameters_of(TINY), timed_batches(TINY)
    trainers = {"ours": ours.make(TINY, parameters), "PyTorch loop": torch_loop.make(TINY, parameters)}
    setting = {"name": TINY.name, "architecture": "untied", "n_feat": 256, "d_act": 128, "batch": 64, "refused": []}
    setting |= {"sparsity": "dense", "l0": l0_of(TINY, parameters)}
    setting["rows"] = rows_of(rounds_of(trainers | limits(TINY), batches, rounds=2))
    section = {"machine": results.machine(("torch", "no-such-library")), "rounds": 2, "settings": [setting]}
    results.merge("training", section | {"notes": ["ours: a note."], "missing": []}, path)
    results.merge("reader", [{"what": "rows", "value": 12345, "unit": "rows/s", "least": 1, "most": 20000}], path)
    page = report.render(results.load(path))
    ratio = setting["rows"][1]["cpu_ratio"]["median"]
    assert f"| PyTorch loop | {report.number(ratio)} [" in page
    assert f"| untied, dense | {report.l0_text(setting)} |" in page
    assert "| rows | 12,345 rows/s | 1.00 to 20,000 |  |" in page
    assert f"torch {torch.__version__.split('+')[0]}" in page


def test_settings_have_names_of_their_own():
    names = [setting.name for setting in settings()]
    assert len(set(names)) == len(names) == 24
