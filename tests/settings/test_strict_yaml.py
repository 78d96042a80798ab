"""Text of params.yaml that another reader would take for something else is refused, or means what stands there."""

import re

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from sparse_coding.errors import BadInput
from sparse_coding.settings import params_file, presets, strict_yaml
from tests.workspace import ROOT


@pytest.fixture
def load(tmp_path):
    def of_text(text: str):
        (tmp_path / "params.yaml").write_text(text)
        return params_file.load(tmp_path / "params.yaml")

    return of_text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "grid: {l1: [1]}\nmodel: {}\ngrid: {l1: [2]}\n",
            r"grid: found the key twice, in lines 1 and 3; wanted it once",
        ),
        ("grid:\n  l1: [1]\n  k: [4]\n  l1: [2]\n", r"grid\.l1: found the key twice, in lines 2 and 4; wanted it once"),
        (
            "dictionaries:\n  tied:\n    lr: 1\n    lr: 2\n",
            r"dictionaries\.tied\.lr: found the key twice, in lines 3",
        ),
        ("grid:\n  only:\n  - {ratios: [1], ratios: [2]}\n", r"grid\.only\.0\.ratios: found the key twice, in lines 3"),
        ("activations: {imported: {a: x, a: y}}", r"activations\.imported\.a: found the key twice"),
        ("grid: {l1: [0,001]}", r"grid\.l1: found 0,001, which is two values to YAML; wanted a decimal point, 0\.001"),
        ("grid: {l1: [0.1, 0,5]}", r"grid\.l1: found 0,5, which is two .*; wanted a decimal point, 0\.5; or a space"),
        ("grid: {ratios: [0,25, 4]}", r"grid\.ratios: found 0,25, which is two .*; wanted a decimal point, 0\.25"),
        ("grid:\n  ratios: [1,05]", r"grid\.ratios: found 1,05, which is two values .*; wanted a decimal point, 1\.05"),
        ("machine:\n  disk: 1,5", r"machine\.disk: found 1,5; wanted a decimal point, 1\.5; quotes"),
        (
            "machine: {disk: 1,5}",
            r"machine\.disk: found 1,5, which is two values to YAML; wanted a decimal point, 1\.5",
        ),
        ('grid: {l1: ["0,001"]}', r"grid\.l1\.0: found '0,001'; wanted a valid number.*; decimals with a point"),
        (
            "dictionaries: {steps: 010}",
            r"dictionaries\.steps: found 010; wanted 10: with a zero before it, it is octal",
        ),
        ("grid: {k: [4, 08]}", r"grid\.k\.1: found 08; wanted 8: "),
        ("dictionaries: {steps: 0x10}", r"dictionaries\.steps: found '0x10'; wanted a valid integer"),
        ("dictionaries: {steps: 0o10}", r"dictionaries\.steps: found '0o10'; wanted a valid integer"),
        ("dictionaries: {steps: 1:30}", r"dictionaries\.steps: found '1:30'; wanted a valid integer"),
        ("dictionaries: {steps: true}", r"dictionaries\.steps: found true; wanted a number"),
        ("grid: {l1: [0.1, true]}", r"grid\.l1\.1: found true; wanted a number"),
        ("grid: {seeds: [yes]}", r"grid\.seeds\.0: found 'yes'; wanted a valid integer"),
        ("dictionaries: {normalise: maybe}", r"dictionaries\.normalise: found 'maybe'; wanted a valid boolean"),
        ("grid: {l1: [.inf]}", r"grid\.l1\.0: found inf; wanted a finite number"),
        ("dictionaries: {tied: {lr: .nan}}", r"dictionaries\.tied\.lr: found nan; wanted a finite number"),
        ("dictionaries: {steps: .inf}", r"dictionaries\.steps: found inf; wanted a finite number"),
        ("dataset: {revision: 123}", r"dataset\.revision: found 123; wanted a valid string, in quotes"),
        ("dictionaries: {steps: !!int 010}", r"found text that is not YAML \('010' is not what its tag says"),
        ("dictionaries: {steps: !!int 1:30}", r"found text that is not YAML \('1:30' is not what its tag says"),
        ("dictionaries: {steps: !!int many}", r"found text that is not YAML \('many' is not what its tag says"),
        ("dictionaries: {normalise: !!bool maybe}", r"found text that is not YAML \('maybe' is not what its tag says"),
        ("grid: {}\n---\ngrid: {}\n", r"found text that is not YAML \(expected a single document"),
    ],
)
def test_what_can_be_read_in_two_ways_is_refused_with_its_place(load, tmp_path, text, message):
    with pytest.raises(BadInput, match=message) as caught:
        load(text)
    assert str(caught.value).startswith(f"{tmp_path / 'params.yaml'}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "place", "value"),
    [
        ("dictionaries: {steps: 1_000}", "dictionaries.steps", 1000),
        ("dictionaries: {eps: 1e-3}", "dictionaries.eps", 0.001),
        ("dictionaries: {eps: 1E-3}", "dictionaries.eps", 0.001),
        ("dictionaries: {eps: .5}", "dictionaries.eps", 0.5),
        ("dictionaries: {normalise: off}", "dictionaries.normalise", False),
        ("dataset: {streaming: on}", "dataset.streaming", True),
        ("dataset: {subset: no}", "dataset.subset", "no"),
        ("dataset: {subset: 1:30}", "dataset.subset", "1:30"),
        ("dataset: {revision: 2024-01-01}", "dataset.revision", "2024-01-01"),
        ("dataset: {revision: 1234e56}", "dataset.revision", "1234e56"),
        ('dataset: {revision: "0123"}', "dataset.revision", "0123"),
        ("dataset: {revision: !!str 0123}", "dataset.revision", "0123"),
        ("dataset:\n  revision: &a !!str 1,5", "dataset.revision", "1,5"),
        ("dictionaries: {eps: !!float 1}", "dictionaries.eps", 1.0),
        ("dictionaries: {steps: !!int 7}", "dictionaries.steps", 7),
        ("dataset: {subset: ~}", "dataset.subset", None),
        ("grid: {seeds: [0,1,2]}", "grid.seeds", (0, 1, 2)),
        ("grid: {l1: [0, 1]}", "grid.l1", (0, 1)),
        ("grid: {ratios: [1,2,4]}", "grid.ratios", (1, 2, 4)),
        ("grid: {l1: &same [0.1, 1]}\ntoy: {l1: *same}", "toy.l1", (0.1, 1)),
    ],
)
def test_what_can_be_read_in_one_way_is_taken_as_it_stands(load, text, place, value):
    found = load(text)
    for name in place.split("."):
        found = getattr(found, name)
    assert found == value
    assert type(found) is type(value)


TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]) | st.just(" "))
# A writer leaves such texts bare, as 08 and 1,5: they are refused, above.
TEXT = TEXT.filter(lambda text: not re.fullmatch(r"[-+]?(0[0-9_]+|[0-9]+,[0-9]+)", text))
SCALARS = st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.floats(allow_nan=False) | TEXT


@given(st.dictionaries(TEXT, SCALARS | st.lists(SCALARS), max_size=6))
def test_whatever_a_writer_of_yaml_writes_comes_back(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("yaml") / "file.yaml"
    path.write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")
    assert strict_yaml.read(path).value == content


def test_a_preset_is_read_as_strictly(tmp_path):
    (tmp_path / "twice.yaml").write_text("grid: {l1: [1], l1: [2]}\n")
    with pytest.raises(BadInput, match=r"twice\.yaml: grid\.l1: found the key twice"):
        presets.apply("twice", tmp_path, tmp_path / "params.yaml")


@pytest.mark.parametrize(
    "file", [ROOT / "params.yaml", *sorted((ROOT / "presets").glob("*.yaml"))], ids=lambda f: f.name
)
def test_shipped_files_read_as_any_reader_reads_them(file):
    assert strict_yaml.read(file).value == yaml.safe_load(file.read_text(encoding="utf-8"))
