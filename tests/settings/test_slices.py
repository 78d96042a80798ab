"""What a step sees of params.yaml, and so what makes its artifacts stale: nothing that it does not need."""

import copy
import json
from typing import Any

import pytest

from sparse_coding.settings import grid, slices
from sparse_coding.settings.params import Params, Section
from sparse_coding.settings.slices import BaselineMember, split

SITE, CONTROL, OWN = "layer1_residual", "random_layer1_residual", "mine"
BASE: dict[str, Any] = {
    "grid": {
        "sites": [SITE, OWN],
        "architectures": ["tied", "topk"],
        "ratios": [1],
        "l1": [0.001, 0.002],
        "k": [4],
        "seeds": [0],
    },
    "activations": {"imported": {OWN: "vectors"}},
    "baselines": {"methods": ["pca", "ica", "nmf", "neuron_basis", "random"], "topk": [8], "topk_methods": ["pca"]},
    "autointerp": {"members": {"l1": 0.002, "k": 4}, "random_weights": {"ratio": 1}},
}


def some_params(changes: dict[str, dict[str, Any]]) -> Params:
    sections = copy.deepcopy(BASE)
    for section, values in changes.items():
        sections[section] = sections.get(section, {}) | values
    return Params.model_validate(sections)


def all_slices(params: Params) -> dict[str, Section]:
    """The slice of every job, by a name for the job."""
    found: dict[str, Section] = {"dataset": slices.dataset(params), "transformer": slices.transformer(params)}
    found["activations"] = slices.activations(params, False, [SITE])
    found["random activations"] = slices.activations(params, True, [CONTROL])
    found["imported activations"] = slices.import_activations(params, OWN)
    found["plots"] = slices.plots(params, SITE)
    for site in (SITE, OWN, CONTROL):
        for cell in grid.cells(params, site):
            found[f"{site} {cell.architecture}"] = slices.dictionaries(params, cell)
    for site in (SITE, OWN):
        found[f"{site} baselines"] = slices.baselines(params, site)
        found[f"{site} evaluation"] = slices.evaluation(params, site)
    for site in (SITE, CONTROL):
        found[f"{site} autointerp"] = slices.autointerp(params, site)
        found[f"{site} means"] = slices.autointerp_tables(params, [])
    return found


def seen(params: Params) -> dict[str, str]:
    """What each artifact sees: its job's slice, with its own member only, without what changes no result."""
    found = {}
    for job, each in all_slices(params).items():
        deciding, _ = split(each)
        members = deciding.pop("members", {"": None})
        found |= {f"{job} {name}".strip(): json.dumps([deciding, member]) for name, member in members.items()}
    return found


def changed(changes: dict[str, dict[str, Any]]) -> tuple[set[str], set[str]]:
    """The artifacts that are new under these changes, and those that see something else than before."""
    before, after = seen(some_params({})), seen(some_params(changes))
    return after.keys() - before.keys(), {name for name in before.keys() & after.keys() if before[name] != after[name]}


def of(*jobs: str) -> set[str]:
    return {name for name in seen(some_params({})) if name.startswith(jobs)}


NEW = "tied_r1_l1-0.005_s0"
CHANGES: dict[str, tuple[dict[str, dict[str, Any]], set[str], set[str]]] = {
    "one more L1": (
        {"grid": {"l1": [0.001, 0.002, 0.005]}},
        {f"{site} {job} {NEW}" for site in (SITE, OWN) for job in ("tied", "evaluation")},
        set(),
    ),
    "another order of the grid": ({"grid": {"l1": [0.002, 0.001], "architectures": ["topk", "tied"]}}, set(), set()),
    "the rate of one architecture": (
        {"dictionaries": {"topk": {"lr": 0.001}}},
        set(),
        of(f"{SITE} topk", f"{OWN} topk"),
    ),
    "the length of training": (
        {"dictionaries": {"steps": 5}},
        set(),
        of(*(f"{site} {kind} " for site in (SITE, OWN, CONTROL) for kind in ("tied", "topk"))),
    ),
    "rows for ICA": ({"baselines": {"ica_rows": 7}}, set(), of(f"{SITE} baselines ica", f"{OWN} baselines ica")),
    "iterations of NMF": (
        {"baselines": {"nmf_iterations": 7}},
        set(),
        of(f"{SITE} baselines nmf", f"{OWN} baselines nmf"),
    ),
    "one more top-k variant": (
        {"baselines": {"topk": [8, 16]}},
        {f"{site} {job} pca_top16" for site in (SITE, OWN) for job in ("baselines", "evaluation")},
        set(),
    ),
    "another imported site": ({"activations": {"imported": {OWN: "vectors", "other": "elsewhere"}}}, set(), set()),
    "another folder of vectors": ({"activations": {"imported": {OWN: "moved"}}}, set(), set()),  # its bytes are a leaf
    "the number format": (
        {"activations": {"dtype": "float32"}},
        set(),
        of("activations", "random activations", "imported"),
    ),
    "the size of a bootstrap": (
        {"autointerp": {"bootstrap": 5}},
        set(),
        {"plots", *of(f"{SITE} means", f"{CONTROL} means")},
    ),
    "more scored members": (
        {"autointerp": {"members": "all"}},
        {f"{SITE} autointerp tied_r1_l1-0.001_s0"},
        set(),
    ),
    "the number of scored features": (
        {"autointerp": {"features": 7}},
        set(),
        of(f"{SITE} autointerp", f"{CONTROL} autointerp"),
    ),
    "how figures look": ({"plots": {"dpi": 60}}, set(), {"plots"}),
    "spliced blocks": ({"evaluation": {"splice_blocks": 5}}, set(), of(f"{SITE} evaluation", f"{OWN} evaluation")),
    "the seed of documents": ({"dataset": {"seed": 5}}, set(), {"dataset"}),
    "the number of tokens, which a title tells": ({"dataset": {"train_tokens": 5000}}, set(), {"dataset", "plots"}),
    "training of the language model": ({"transformer": {"steps": 5}}, set(), {"transformer"}),
    "what only speeds things up": (
        {
            "activations": {"batch_tokens": 5, "sites_per_pass": 1},
            "dictionaries": {"side_by_side": 1, "device": "cpu"},
            "evaluation": {"batch_rows": 5, "batch_blocks": 1},
            "transformer": {"device": "cpu"},
        },
        set(),
        set(),
    ),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_setting_concerns_what_needs_it_and_nothing_else(what):
    changes, new, stale = CHANGES[what]
    base = {section: values | changes.get(section, {}) for section, values in BASE.items()}
    assert changed(changes | {section: base[section] for section in changes if section in base}) == (new, stale)


def test_the_control_of_random_weights_concerns_control_sites_alone():
    control = BASE["autointerp"]["random_weights"]
    new, stale = changed({"autointerp": {"random_weights": control | {"l1": 0.001}, "members": {"l1": 0.001, "k": 4}}})
    assert {name for name in new if name.startswith(CONTROL)} == {
        f"{CONTROL} {job} tied_r1_l1-0.001_s0" for job in ("tied", "autointerp")
    }
    assert not {name for name in stale if name.startswith((CONTROL, "random"))}
    # Its seed is that of the model's random weights; the dictionary keeps the settings of its twin.
    assert changed({"autointerp": {"random_weights": control | {"seed": 3}}}) == (
        set(),
        {f"random activations {CONTROL}"},
    )
    assert slices.activations(some_params({}), False, [SITE]).random_seed is None


ASKED = {"explainer": "one", "judge": "two", "connection": {"max_tokens": 10}}
SIMULATED = {"scorer": "simulation", "llm": ASKED}


def asked(**changes: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """What a step sees of a site that language models interpret: what decides, and what does not."""
    return split(slices.autointerp(some_params({"autointerp": SIMULATED | changes}), SITE))


@pytest.mark.parametrize(
    "changes",
    [{"llm": ASKED | change} for change in ({"judge": "three"}, {"explainer": "x"}, {"temperature": 1}, {"examples": 3},
                                            {"simulator": "echo"}, {"server": "here"}, {"extra": {"think": False}})]
    + [{"scorer": "detection"}, {"mode": "unbiased"}, {"features": 3}, {"accept_partial": True}],
    ids=str,
)  # fmt: skip
def test_what_is_asked_of_whom_decides(changes):
    assert asked(**changes)[0] != asked()[0]


def test_what_language_models_cost_is_not_what_they_say():
    connection = {
        "max_requests": 5,
        "prices": {"one": {"prompt": 1, "cached": 0.5}},
        "in_flight": 2,
        "timeout": 3,
        "cache": "x",
    }
    llm = {"llm": ASKED | {"connection": connection}}
    assert asked(**llm)[0] == asked()[0]
    assert asked(**llm)[1]["llm"]["connection"]["max_requests"] == 5
    assert asked(rules=9)[0] == asked()[0]
    # A table that stopped at a cap is made anew when the cap is another.
    assert asked(**llm, accept_partial=True)[0] != asked(accept_partial=True)[0]


def test_the_address_decides_only_where_the_server_has_no_name():
    def at(port: int, **llm: Any) -> dict[str, Any]:
        connection = ASKED["connection"] | {"base_url": f"http://here:{port}/v1"}
        return asked(llm=ASKED | {"connection": connection} | llm)[0]

    assert at(1) != at(2)
    assert at(1)["llm"]["server"] == "here:1"
    assert at(1, server="mine") == at(2, server="mine") != at(1, server="yours")


def test_token_rules_know_nothing_of_language_models():
    rules = slices.autointerp(some_params({}), SITE)
    assert slices.autointerp(some_params({"autointerp": {"llm": ASKED, "accept_partial": True}}), SITE) == rules


@pytest.mark.parametrize(
    ("scorer", "unread", "read"),
    [
        ("simulation", {"negatives": "nearest", "embedder": "x"}, {"shown": 7}),
        ("detection", {"embedder": "x"}, {"negatives": "nearest"}),
        ("intruder", {"explainer": "x", "shown": 7, "quantiles": 2, "embedder": "x"}, {"negatives": "nearest"}),
        ("embedding", {"judge": "x", "logprobs": False}, {"embedder": "x"}),
    ],
)
def test_what_a_scorer_does_not_read_is_not_in_its_key(scorer, unread, read):
    before = asked(scorer=scorer)
    for name, value in unread.items():
        assert asked(scorer=scorer, llm=ASKED | {name: value}) == before, name
    assert asked(scorer=scorer, llm=ASKED | read)[0] != before[0]


def test_whole_texts_have_no_shuffled_null():
    for scorer, n in (("detection", 0), ("embedding", 0), ("fuzzing", 1), ("simulation", 1), ("intruder", 1)):
        members = slices.autointerp(some_params({"autointerp": SIMULATED | {"scorer": scorer}}), SITE).members
        assert sum(scored.shuffled_null for scored in members.values()) == n


def test_more_values_leave_the_null_where_it_is():
    """All members scored: the null stays with the twin of the control, wherever other values stand in the list."""
    everything = {"autointerp": BASE["autointerp"] | {"members": "all"}}
    for l1 in ([0.002], [0.001, 0.002], [0.002, 0.0005]):
        members = slices.autointerp(some_params(everything | {"grid": {"l1": l1}}), SITE).members
        assert [name for name, scored in members.items() if scored.shuffled_null] == ["tied_r1_l1-0.002_s0"]


@pytest.mark.parametrize("job", all_slices(some_params({})))
def test_what_is_split_off_is_marked_in_the_schema_and_nothing_is_lost(job, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # no path of params.yaml leads anywhere: test_outside.py has those that do
    section = all_slices(some_params({}))[job]
    deciding, free = split(section)
    assert set(_leaves(free)) <= {
        "batch_tokens",
        "sites_per_pass",
        "side_by_side",
        "checkpoint_minutes",
        "device",
        "device_map",
        "batch_rows",
        "batch_blocks",
    }  # and what is under autointerp.llm.connection: test_what_language_models_cost_is_not_what_they_say
    assert not set(_leaves(free)) & set(_leaves(deciding))
    assert type(section).model_validate(_merged(deciding, free)) == section


def test_every_setting_that_changes_no_result_is_split_off(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for each in all_slices(some_params({})).values():
        for name, value in each:
            if isinstance(value, Section):
                marked = {
                    field
                    for field, info in type(value).model_fields.items()
                    if isinstance(info.json_schema_extra, dict) and not info.json_schema_extra["changes_results"]
                }
                assert set(split(each)[1].get(name, {})) == marked


def _leaves(values: dict[str, Any]) -> list[str]:
    return [
        leaf
        for name, value in values.items()
        for leaf in (_leaves(value) if isinstance(value, dict) and value else [name])
    ]


def _merged(values: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    both = {name: _merged(values[name], more[name]) for name in values.keys() & more.keys()}
    return values | more | both


@pytest.mark.parametrize("given", [{"seed": 0, "sed": 1}, {"sed": 1}, {}])
def test_a_baseline_has_what_its_method_reads_and_nothing_else(given):
    assert BaselineMember(method="random", seed=0).reads == {"seed": 0}
    with pytest.raises(ValueError, match="beside method, k and original seed: random reads it"):
        BaselineMember(method="random", **given)


def test_a_setting_that_is_null_by_default_stands_in_no_key(tmp_path, monkeypatch):
    """Else every new strength would make all dictionaries stale; one that is null and not by default stays."""
    monkeypatch.chdir(tmp_path)
    params = some_params({"dictionaries": {"tied": {"initial_density": None}}})
    cell = next(cell for cell in grid.cells(params, params.grid.sites[0]) if cell.architecture == "tied")
    cut = slices.dictionaries(params, cell)
    deciding, free = split(cut)
    assert all(member.keys() == {"seed", "l1"} for member in deciding["members"].values())
    assert deciding["own"]["initial_density"] is None
    assert type(cut).model_validate(_merged(deciding, free)) == cut


@pytest.mark.parametrize("kind", ["jumprelu", "matryoshka"])
@pytest.mark.parametrize("normalise", [True, False])
def test_vectors_that_are_not_scaled_have_no_other_length(kind, normalise):
    """Else a window and a weight would be of vectors that nobody made longer."""
    lists = {"architectures": [kind], "l0": [4] if kind == "jumprelu" else [], "only": []}
    params = some_params({"grid": lists, "dictionaries": {"normalise": normalise}})
    (cell,) = grid.cells(params, SITE)
    assert slices.dictionaries(params, cell).own.vector_length == ("root" if normalise else "unit")
