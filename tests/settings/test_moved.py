"""Settings of earlier versions: a file of before becomes one of today, comments kept, and means the same."""

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from sparse_coding.errors import BadInput
from sparse_coding.settings import moved, params_file

BEFORE = """# mine
dictionaries:   # how
  steps: 20     # few
  # rates
  lr: {tied: 0.001, untied: 0.002}   # small ones
  initial_density: null
  batch: 64
  learned_centre: false  # as theirs

plots:
  dpi: 90
"""
AFTER = """# mine
dictionaries:   # how
  steps: 20     # few
  # rates
  # as theirs
  # small ones
  tied: {lr: 0.001, initial_density: null}
  untied: {lr: 0.002, initial_density: null, learned_centre: false}
  topk: {learned_centre: false}
  batch: 64

plots:
  dpi: 90
"""


def test_lines_of_before_become_lines_of_today_and_all_else_stays(tmp_path):
    assert moved.rewritten(BEFORE, "params.yaml") == AFTER
    assert moved.rewritten(AFTER, "params.yaml") == AFTER
    (tmp_path / "params.yaml").write_text(BEFORE)
    with pytest.raises(BadInput, match=r"`topk: \{learned_centre: false\}`; `sparse_coding migrate` shows"):
        params_file.load(tmp_path / "params.yaml")
    (tmp_path / "params.yaml").write_text(AFTER)
    own = params_file.load(tmp_path / "params.yaml").dictionaries
    assert (own.tied.lr, own.untied.lr, own.topk.lr) == (0.001, 0.002, 0.01)
    assert (own.tied.initial_density, own.untied.learned_centre, own.topk.learned_centre) == (None, False, False)


def test_rates_in_lines_of_their_own(tmp_path):
    text = "dictionaries:\n  lr:\n    tied: 0.1  # one\n    topk: 0.2\n  steps: 3\n"
    after = moved.rewritten(text, "params.yaml")
    assert after == "dictionaries:\n  # one\n  tied: {lr: 0.1}\n  topk: {lr: 0.2, lr_grows_to: null}\n  steps: 3\n"
    assert moved.rewritten("dictionaries:\n  steps: 3\n  lr:\n    tied: 0.1", "p") == (
        "dictionaries:\n  steps: 3\n  tied: {lr: 0.1}\n"
    )


def test_a_section_in_braces_is_left_to_its_owner():
    with pytest.raises(BadInput, match=r"params\.yaml: dictionaries: found lr, .*in their place `tied: \{lr: 0\.1\}`;"):
        moved.rewritten("dictionaries: {lr: {tied: 0.1}}\n", "params.yaml")


@pytest.mark.parametrize(
    "text",
    [
        "dictionaries:\n  lr: &own {tied: 0.1}\n  steps: 3\ntoy:\n  x: *own\n",  # it would lose what `*own` names
        "toy:\n  x: &own 0.2\ndictionaries:\n  steps: 3\n  initial_density: *own\n",
        "toy: &own {free_lengths: true}\ndictionaries:\n  <<: *own\n  steps: 3\n",
    ],
)
def test_values_that_stand_elsewhere_are_left_to_their_owner(text):
    with pytest.raises(BadInput, match=r"p: dictionaries: found .*in their place `tied: \{"):
        moved.rewritten(text, "p")


def test_a_file_without_the_section_stays():
    assert moved.rewritten("grid: {}\n", "p") == "grid: {}\n"
    assert moved.rewritten("", "p") == ""


VALUES = {
    "lr": st.dictionaries(st.sampled_from(moved.KINDS), st.floats(1e-4, 1), min_size=1),
    "l1_warmup_share": st.floats(0, 1),
    "initial_density": st.none() | st.floats(0.01, 0.9),
    "initial_weights": st.sampled_from(["unit", "xavier"]),
    "free_lengths": st.booleans(),
    "learned_centre": st.booleans(),
    "steps": st.integers(1, 99),
    "normalise": st.booleans(),
}


@given(st.fixed_dictionaries({}, optional=VALUES), st.booleans(), st.randoms())
def test_every_value_stands_where_it_is_read(tmp_path_factory, values, is_flow, random):
    keys = random.sample(list(values), len(values))
    section = {key: values[key] for key in keys}
    text = yaml.safe_dump({"grid": {"seeds": [1]}, "dictionaries": section}, sort_keys=False)
    if is_flow and "lr" in section:
        text = text.replace(yaml.safe_dump({"lr": section["lr"]}).strip(), "")
        text = yaml.safe_dump({"dictionaries": section}, sort_keys=False, default_flow_style=None)
    path = tmp_path_factory.mktemp("params") / "params.yaml"
    try:
        path.write_text(moved.rewritten(text, "params.yaml"))
    except BadInput:
        assert text.startswith("dictionaries: {")
        return
    found = params_file.load(path).dictionaries
    for key, value in values.items():
        if key == "lr":
            assert all(found.of(kind).lr == rate for kind, rate in value.items())
        elif key in moved.OWN:
            own = [found.of(kind) for kind in moved.KINDS if key in type(found.of(kind)).model_fields]
            assert own
            assert all(getattr(each, key) == value for each in own)
        else:
            assert getattr(found, key) == value
