"""The schema of params.yaml: what it takes, what it refuses, and that nothing in it can change."""

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from sparse_coding.errors import BadInput
from sparse_coding.settings import params, params_file
from sparse_coding.settings.params import Grid, Params
from tests.workspace import ROOT


def write(tmp_path, content):
    path = tmp_path / "params.yaml"
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content))
    return path


def sections(model: type[BaseModel]):
    """A section with all those inside it."""
    yield model
    for field in model.model_fields.values():
        for part in (field.annotation, *getattr(field.annotation, "__args__", ())):
            if isinstance(part, type) and issubclass(part, BaseModel):
                yield from sections(part)


def test_an_empty_mapping_means_all_defaults(tmp_path):
    assert params_file.load(write(tmp_path, "{}")) == Params()


@pytest.mark.parametrize(
    ("model", "wanted"),
    [
        ({"name": "EleutherAI/pythia-70m", "checkpoint": 3, "revision": "main"}, "revision or checkpoint, not both"),
        ({"name": "gpt2", "checkpoint": 3}, "a name that begins with EleutherAI/pythia"),
    ],
)
def test_a_training_checkpoint_is_one_revision_of_a_model_that_has_them(tmp_path, model, wanted):
    assert params.Model(name="EleutherAI/pythia-70m", checkpoint=3).at == "step3"
    assert params.Model(name="gpt2", revision="dev").at == "dev"
    with pytest.raises(BadInput, match=wanted):
        params_file.load(write(tmp_path, {"model": model}))


def test_the_shipped_file_states_defaults_and_narrows_the_grid():
    shipped = params_file.load(ROOT / "params.yaml").model_dump()
    default = Params().model_dump()
    assert shipped["activations"].pop("sites_per_pass") == 1  # one figure needs one site, and the model is small
    assert default["activations"].pop("sites_per_pass") is None
    assert shipped.pop("grid")["only"]
    del default["grid"]
    assert shipped == default


@given(
    st.lists(st.floats(1e-6, 1), min_size=1, unique_by=lambda value: f"{value:g}"),
    st.lists(st.integers(1, 500), min_size=1, unique=True),
    st.lists(st.integers(0, 2**31), min_size=1, unique=True),
)
def test_any_good_grid_comes_back_from_yaml_as_it_went_in(tmp_path_factory, l1, k, seeds):
    path = write(tmp_path_factory.mktemp("params"), {"grid": {"l1": l1, "k": k, "seeds": seeds}})
    grid = params_file.load(path).grid
    assert (list(grid.l1), list(grid.k), list(grid.seeds)) == (l1, k, seeds)


@given(st.floats(max_value=0, exclude_max=True) | st.just(float("nan")) | st.just(float("inf")))
def test_an_l1_must_be_finite_and_not_negative(value):
    with pytest.raises(ValidationError):
        Grid(l1=(value,))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"autointerp": {"members": {"l0": 0}}}, r"yaml: autointerp\.members\.l0: found 0; wanted greater than 0$"),
        (
            {"autointerp": {"members": {"l1": -1.0}}},
            r"yaml: autointerp\.members\.l1: found -1\.0; wanted greater than 0$",
        ),
        ({"autointerp": {"members": {"k": 0}}}, r"autointerp\.members\.k: found 0; wanted greater than or equal to 1$"),
        (
            {"autointerp": {"members": {"l2": 3}}},
            r"members\.l2: found an unknown key \(value 3\); wanted one of l1, k, l0$",
        ),
        ({"autointerp": {"members": "none"}}, r"members: found 'none'; wanted 'all', or a section of l1, k, l0$"),
        (
            {"autointerp": {"members": [8]}},
            r"autointerp\.members: found \[8\]; wanted 'all', or a section of l1, k, l0$",
        ),
        (
            {"autointerp": {"random_weights": {"l2": 3}}},
            r"l2: found an unknown key .*; wanted one of architecture, ratio, ",
        ),
        ({"dataset": {"streaming": "never"}}, r"dataset\.streaming: found 'never'; wanted 'auto', true or false$"),
        ({"dictionaries": {"lista": {"layers": 33}}}, r"lista\.layers: found 33; wanted less than or equal to 32$"),
        ({"autointerp": {"llm": {"quantiles": 9}}}, r"autointerp\.llm\.quantiles: found 9; wanted at most as many as "),
        (
            {"grid": {"only": ["tied"]}},
            r"grid\.only\.0: found 'tied'; wanted a section of sites, architectures, ratios, ",
        ),
        (
            {"grid": {"architectures": ["topk"]}, "evaluation": {"variants": ["threshold_refit"]}},
            r"evaluation\.variants: found threshold_refit, which topk cannot have; wanted it with one of tied, ",
        ),
        ({"grid": {"seeds": []}}, r"grid\.seeds: found \[\]; wanted at least one value"),
        ({"grid": {"l1": []}}, r"grid\.l1: found an empty list, from which tied has its members; wanted at least one"),
        (
            {"grid": {"architectures": ["jumprelu"], "l0": []}},
            r"grid\.l0: found an empty list, from which jumprelu has its members; wanted at least one value",
        ),
        (
            {"grid": {"architectures": ["rica"], "l1": [], "l0": [8]}},
            r"grid\.l1: found an empty list, from which rica has its members; wanted at least one value of grid\.l1",
        ),
        ({"dictionaries": {"jumprelu": {"bandwidth": 0}}}, r"jumprelu\.bandwidth: found 0; wanted greater than 0"),
        (
            {"dictionaries": {"topk": {"aux_weight": 1}}},
            r"dictionaries\.topk\.aux_weight: found an unknown key .*; wan",
        ),
        ({"dictionaries": {"topk_aux": {"dead_after": None}}}, r"topk_aux\.dead_after: found None; wanted a valid int"),
        ({"dictionaries": {"topk_aux": {"dead_after": 0}}}, r"topk_aux\.dead_after: found 0; wanted .*equal to 1"),
        ({"grid": {"architectures": ["tide"]}}, r"grid\.architectures\.0: found 'tide'; wanted 'tied', 'untied', "),
        ({"grid": {"k": [4, 4]}}, r"grid\.k: found \[4, 4\]; wanted each value once"),
        (
            {"grid": {"only": [{"ratio": [1]}]}},
            r"grid\.only\.0\.ratio: found an unknown key .*; wanted one of sites, architectures, ratios",
        ),
        (
            {"dictionaries": {"tide": {"lr": 1}}},
            r"dictionaries\.tide: found an unknown key .*; wanted one of .*tied, untied, topk, jumprelu",
        ),
        (
            {"dictionaries": {"tied": {"learned_centre": False}}},
            r"tied\.learned_centre: found an unknown key .*; wanted one of lr, ",
        ),
        (
            {"dictionaries": {"steps": 3, "lr": {"tied": 0.02, "topk": 0.004}, "initial_density": None}},
            r"params\.yaml: dictionaries: found initial_density, lr, which each architecture now has for itself; "
            r"wanted in their place `tied: {lr: 0\.02, initial_density: null}`; `untied: {initial_density: null}`; "
            r"`topk: {lr: 0\.004, lr_grows_to: null}`; `sparse_coding migrate` shows the new file and writes it",
        ),
        (
            {"autointerp": {"scorer": "simulation"}},
            r"autointerp\.llm: found nothing; wanted explainer, judge and connection: simulation asks a language model",
        ),
        (
            {"autointerp": {"scorer": "detection", "llm": {"explainer": "a"}}},
            r"autointerp\.llm\.judge: found nothing; wanted the name of a model: scorer detection needs one",
        ),
        (
            {"autointerp": {"scorer": "embedding", "llm": {"explainer": "a"}}},
            r"autointerp\.llm\.embedder: found nothing; wanted a folder in Hugging Face format",
        ),
        (
            {"autointerp": {"scorer": "intruder", "llm": {"judge": "b"}}},
            r"autointerp\.llm\.connection: found no cap",
        ),
        (
            {"autointerp": {"llm": {"explainer": "a", "judge": "b", "shown": 3, "quantiles": 4}}},
            r"llm\.quantiles: found 4; wanted at most as many as fragments shown, 3",
        ),
        (
            {"autointerp": {"llm": {"base_url": "http://h:1/v1", "explainer": "a", "judge": "b"}}},
            r"llm\.base_url: found a setting that has moved; wanted autointerp\.llm\.connection\.base_url; answers",
        ),
        (
            {"autointerp": {"llm": {"explainer": "a", "judge": "b", "extra": {"seed": 1, "n": 2, "think": False}}}},
            r"llm\.extra: found \{.*\}; wanted nothing that other settings decide: n, seed$",
        ),
        (
            {"autointerp": {"llm": {"explainer": "a", "judge": "b", "extra": {"deep": [{"x": float("nan")}]}}}},
            r"llm\.extra: found .*; wanted numbers that JSON has",
        ),
        (
            {"autointerp": {"llm": {"explainer": "a", "judge": "b", "connection": {"base_url": "http://:80/v1"}}}},
            r"connection\.base_url: found 'http://:80/v1'; wanted an address with a host",
        ),
        (
            {"autointerp": {"scorer": "detection", "llm": {"explainer": "a", "judge": "b"}}},
            r"autointerp\.llm\.connection: found no cap; wanted one of max_cost, max_tokens, max_requests",
        ),
        (
            {
                "autointerp": {
                    "scorer": "fuzzing",
                    "llm": {
                        "explainer": "a",
                        "judge": "b",
                        "connection": {"max_cost": 1, "prices": {"a": {"prompt": 2}}},
                    },
                }
            },
            r"llm\.connection\.prices: found no price of b; wanted one, as max_cost is set",
        ),
        ({"dictionaries": {"beta2": 1}}, r"dictionaries\.beta2: found 1; wanted less than 1"),
        ({"dictionaries": {"steps": 2.5}}, r"dictionaries\.steps: found 2\.5; wanted a valid integer"),
        (
            {"activations": {"dtype": "int8"}},
            r"activations\.dtype: found 'int8'; wanted 'float16', 'bfloat16' or 'float32'",
        ),
        ({"model": {"name": ""}}, r"model\.name: found ''; wanted String should have at least 1 character"),
        ({"transformer": {"name": "../x"}}, r"transformer\.name: found '\.\./x'; wanted .*pattern"),
        ({"transformer": {"d_model": 16, "heads": 5}}, r"transformer\.heads: found 5; wanted a divisor of d_model, 16"),
        ({"transformer": {"d_model": 130}}, r"transformer\.heads: found 4; wanted a divisor of d_model, 130"),
        ({"plots": None}, r"plots: found None; wanted a section of dpi, width"),
        ({"autointerp": {"scorer": "gpt"}}, r"autointerp\.scorer: found 'gpt'; wanted 'token-rules'"),
    ],
)
def test_a_mistake_is_named_with_its_field_and_value(tmp_path, content, message):
    path = write(tmp_path, content)
    with pytest.raises(BadInput, match=message) as caught:
        params_file.load(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_a_missing_file_says_how_to_make_one(tmp_path):
    with pytest.raises(BadInput, match=r"params\.yaml: found no such file; wanted .*make preset NAME=tiny"):
        params_file.load(tmp_path / "params.yaml")


def test_imported_sites_need_no_name_of_a_layer(tmp_path):
    content = {"grid": {"sites": ["mine"]}, "activations": {"imported": {"mine": "vectors"}}}
    assert params_file.load(write(tmp_path, content)).grid.sites == ("mine",)


@pytest.mark.parametrize("section", list(dict.fromkeys(sections(Params))), ids=lambda section: section.__name__)
def test_sections_are_frozen_and_closed_and_every_field_is_documented(section):
    assert section.model_config["frozen"]
    assert section.model_config["extra"] == "forbid"
    assert section.__doc__
    if section not in (Params, params.Only):
        for name, field in section.model_fields.items():
            assert field.description, f"{section.__name__}.{name}"
            assert not field.is_required() or section in (
                params.Llm,
                params.Questions,
                params.PublishedDictionary,
            )  # models have no default


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://api.openai.com/v1", "api.openai.com"),
        ("http://127.0.0.1:8080/v1", "127.0.0.1:8080"),
        ("http://Judge.Test:80/", "judge.test"),
        ("https://user:secret@here:8443/v1", "here:8443"),
        ("http://[::1]:8000/v1", "[::1]:8000"),
    ],
)
def test_a_server_without_a_name_is_called_by_host_and_port(url, name):
    llm = params.Llm(explainer="a", judge="b", connection={"base_url": url})
    assert llm.served_by == name
    assert llm.model_copy(update={"server": "mine"}).served_by == "mine"
