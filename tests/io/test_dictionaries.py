"""io/dictionaries.py: what is written is read again, and nothing else is read at all."""

import json
from dataclasses import fields, replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from sparse_coding.core.baselines.signed import signed
from sparse_coding.core.dictionary import Dictionary
from sparse_coding.errors import BadInput
from sparse_coding.io import dictionaries, unfinished

MADE = {"site": "layer2_residual", "l1": 1e-05, "nested": {"b": [1, 2], "a": None}}


def random_dictionary(n_feat=3, d_act=2, seed=0, dtype=torch.float32, **changes):
    generator = torch.Generator().manual_seed(seed)
    shapes = {"encoder": (n_feat, d_act), "bias": (n_feat,), "decoder": (n_feat, d_act), "centre": (d_act,)}
    parts = {name: torch.randn(*shape, generator=generator, dtype=dtype) for name, shape in shapes.items()}
    return Dictionary(**parts, gain=torch.ones(n_feat, dtype=dtype), **changes)


def assert_same(found, wanted):
    for each in fields(Dictionary):
        mine, other = getattr(found, each.name), getattr(wanted, each.name)
        assert torch.equal(mine, other) if isinstance(mine, torch.Tensor) else mine == other, each.name


@settings(max_examples=20, deadline=None)
@given(
    st.integers(1, 6),
    st.integers(1, 6),
    st.sampled_from([torch.float32, torch.float64]),
    st.sampled_from([{}, {"activation": "topk", "k": 3}, {"activation": "nnls", "iterations": 7}]),
)
def test_a_dictionary_comes_back_as_it_was(tmp_path_factory, n_feat, d_act, dtype, kind):
    path = tmp_path_factory.mktemp("round") / "one.safetensors"
    dictionary = random_dictionary(n_feat, d_act, dtype=dtype, **kind)
    dictionaries.save(path, dictionary, MADE)
    found, made = dictionaries.load_with_settings(path)
    assert_same(found, dictionary)
    assert made == MADE
    assert_same(dictionaries.load(path), dictionary)


def test_the_bytes_depend_on_the_arguments_alone(tmp_path):
    one, two, three, four = (tmp_path / f"{i}.safetensors" for i in range(4))
    dictionaries.save(one, random_dictionary(), MADE)
    dictionaries.save(two, random_dictionary(), dict(reversed(MADE.items())))
    dictionaries.save(three, random_dictionary(), MADE | {"l1": 2e-05})
    dictionaries.save(four, random_dictionary(activation="topk", k=2), MADE)
    assert one.read_bytes() == two.read_bytes()
    assert len({path.read_bytes() for path in (one, three, four)}) == 3


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 5), st.integers(1, 5), st.booleans(), st.sampled_from([None, 2]), st.integers(0, 9))
def test_directions_held_with_both_signs_come_back_as_they_were(tmp_path_factory, n, d_act, tied, k, seed):
    path = tmp_path_factory.mktemp("signed") / "one.safetensors"
    generator = torch.Generator().manual_seed(seed)
    directions, readout = (torch.randn(n, d_act, generator=generator) for _ in range(2))
    directions[0, 0] = 0.0
    if bool((directions.norm(dim=1) == 0).any()):
        directions[0] = 1.0
    dictionary = signed(directions, directions if tied else readout, torch.zeros(d_act), k)
    bias, gain = torch.randn(2, 2 * n, generator=generator).abs()  # these have no sign to leave out
    dictionary = replace(dictionary, bias=bias, gain=gain)
    dictionaries.save(path, dictionary, MADE)
    assert_same(dictionaries.load(path), dictionary)
    assert load_file(path)["decoder"].shape == (n, d_act)


def test_one_direction_without_its_opposite_is_stored_as_it_is(tmp_path):
    both = signed(torch.eye(4), torch.eye(4), torch.zeros(4))
    decoder = both.decoder.clone()
    decoder[7] = decoder[7].roll(1)
    dictionaries.save(tmp_path / "one.safetensors", replace(both, decoder=decoder), MADE)
    assert load_file(tmp_path / "one.safetensors")["decoder"].shape == (8, 4)
    assert_same(dictionaries.load(tmp_path / "one.safetensors"), replace(both, decoder=decoder))


def test_a_tied_decoder_is_stored_once(tmp_path):
    untied = random_dictionary(64, 16)
    tied = replace(untied, encoder=untied.decoder)
    for name, dictionary in (("tied", tied), ("untied", untied)):
        dictionaries.save(tmp_path / name, dictionary, {})
    sizes = [(tmp_path / name).stat().st_size for name in ("untied", "tied")]
    assert sizes[0] - sizes[1] > 64 * 16 * 4
    assert_same(dictionaries.load(tmp_path / "tied"), tied)


def test_slices_of_stacked_and_turned_tensors_are_saved(tmp_path):
    stack = torch.randn(2, 3, 2, generator=torch.Generator().manual_seed(0))
    turned = torch.randn(2, 3, generator=torch.Generator().manual_seed(1)).T
    dictionary = replace(random_dictionary(), encoder=stack[0], decoder=turned)
    dictionaries.save(tmp_path / "one", dictionary, {})
    assert_same(dictionaries.load(tmp_path / "one"), dictionary)
    assert (tmp_path / "one").stat().st_size < 2000


def test_parameters_that_want_gradients_are_saved(tmp_path):
    dictionary = replace(random_dictionary(), encoder=torch.nn.Parameter(torch.ones(3, 2)))
    dictionaries.save(tmp_path / "one", dictionary, {})
    assert torch.equal(dictionaries.load(tmp_path / "one").encoder, torch.ones(3, 2))


def test_nothing_is_left_behind_by_a_failed_save(tmp_path):
    path = tmp_path / "one.safetensors"
    dictionaries.save(path, random_dictionary(), MADE)
    before = path.read_bytes()
    with pytest.raises(TypeError):
        dictionaries.save(path, random_dictionary(seed=1), {"not JSON": object()})
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def test_a_file_cut_short_anywhere_is_refused(tmp_path):
    path = tmp_path / "one.safetensors"
    dictionaries.save(path, random_dictionary(), MADE)
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(BadInput, match=r"one\.safetensors"):
            dictionaries.load(path)
    path.write_bytes(whole + b"\0")
    with pytest.raises(BadInput, match=r"one\.safetensors"):
        dictionaries.load(path)


@pytest.mark.parametrize("mask", [0x01, 0x20, 0x80])  # 0x20 turns 1e-05 into 1E-05 and letters into the other case
def test_each_edited_byte_is_noticed(tmp_path, mask):
    path = tmp_path / "one.safetensors"
    dictionaries.save(path, random_dictionary(activation="topk", k=2), MADE)
    whole = path.read_bytes()
    for at in range(len(whole)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ mask]) + whole[at + 1 :])
        with pytest.raises(BadInput, match=r"one\.safetensors"):
            dictionaries.load(path)


def test_an_edited_k_is_noticed(tmp_path):
    path = tmp_path / "one.safetensors"
    dictionaries.save(path, random_dictionary(activation="topk", k=2), MADE)
    edited = path.read_bytes().replace(rb"\\\"k\\\": 2", rb"\\\"k\\\": 3")
    assert edited != path.read_bytes()
    path.write_bytes(edited)
    with pytest.raises(BadInput, match="changed"):
        dictionaries.load(path)


@pytest.mark.parametrize("metadata", [None, {"sparse_coding": "[1]"}, {"sparse_coding": "{"}, {"sparse_coding": "{}"}])
def test_a_foreign_safetensors_file_is_refused(tmp_path, metadata):
    save_file({"weight": torch.ones(2, 2)}, tmp_path / "one", metadata=metadata)
    with pytest.raises(BadInput, match="one: found"):
        dictionaries.load(tmp_path / "one")


def test_other_files_and_missing_ones_are_refused(tmp_path):
    (tmp_path / "text").write_text("not a dictionary")
    (tmp_path / "folder").mkdir()
    for name in ("text", "folder", "missing"):
        with pytest.raises(BadInput, match=f"{name}: found"):
            dictionaries.load(tmp_path / name)


def test_a_baseline_file_holds_plain_named_tensors(tmp_path):
    axes = torch.eye(2)
    dictionaries.save(tmp_path / "one", signed(axes, axes, torch.zeros(2)), {})
    tensors = load_file(tmp_path / "one")
    assert set(tensors) == {"bias", "decoder", "centre", "gain"}
    assert torch.equal(tensors["decoder"], axes)  # each direction once, for +d and -d


DAMAGES = {  # what is changed in what is saved: what is said of it
    "no decoder": (lambda tensors, shape: tensors.pop("decoder"), "no decoder; wanted a file with encoder, bias, dec"),
    "no gain": (lambda tensors, shape: tensors.pop("gain"), "no gain; wanted a file with"),
    "NaN": (lambda tensors, shape: tensors["bias"].fill_(float("nan")), "bias with what is no finite number"),
    "infinite": (
        lambda tensors, shape: tensors["centre"].fill_(float("inf")),
        "centre with what is no finite number",
    ),
    "whole numbers": (lambda tensors, shape: tensors.update(gain=torch.ones(3, dtype=int)), "gain with what is no"),
    "negative gain": (lambda tensors, shape: tensors["gain"].fill_(-1), "a gain below 0"),
    "k of a half": (lambda tensors, shape: shape.update(k=2.5), "found k 2.5; wanted a whole number"),
    "k of a word": (lambda tensors, shape: shape.update(k="2"), "found k '2'; wanted a whole"),
    "unknown": (
        lambda tensors, shape: shape.update(activation="sparsemax"),
        "'sparsemax', of a kind that this version",
    ),
    "more": (lambda tensors, shape: shape.update(tau=1), "what no version of this program writes"),
    "a tensor more": (lambda tensors, shape: tensors.update(tau=torch.ones(1)), "what no version of this program wri"),
    "a number in place of a matrix": (
        lambda tensors, shape: tensors.update(encoder=torch.ones(())),
        "encoder of shape []; wanted a matrix",
    ),
    "iterations": (lambda tensors, shape: shape.update(iterations=0), "topk with 0 iterations; wanted at least 1"),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_of_a_right_checksum_is_refused_in_one_line(tmp_path, damage):
    change, words = DAMAGES[damage]
    path = tmp_path / "one.safetensors"
    dictionaries.save(path, random_dictionary(activation="topk", k=2), MADE)
    with safe_open(path, framework="pt") as file:
        header = json.loads(file.metadata()["sparse_coding"])
    tensors, shape = load_file(path), json.loads(header["dictionary"])
    change(tensors, shape)
    header |= {"dictionary": json.dumps(shape)}
    del header["sha256"]
    header["sha256"] = dictionaries.checksum(tensors, header)
    save_file(tensors, path, metadata={"sparse_coding": json.dumps(header)})
    with pytest.raises(BadInput, match=r"one\.safetensors: found ") as error:
        dictionaries.load(path)
    assert words in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("part", ["dictionary", "settings"])
@pytest.mark.parametrize("text", ["[1]", "{", "3", None])
def test_a_header_that_is_none_is_refused_in_one_line(tmp_path, part, text):
    path = tmp_path / "one.safetensors"
    dictionaries.save(path, random_dictionary(), MADE)
    with safe_open(path, framework="pt") as file:
        header = json.loads(file.metadata()["sparse_coding"])
    header = {name: value for name, value in header.items() if name not in ("sha256", part)}
    header |= {} if text is None else {part: text}
    header["sha256"] = dictionaries.checksum(load_file(path), header)
    save_file(load_file(path), path, metadata={"sparse_coding": json.dumps(header)})
    with pytest.raises(BadInput, match=r"one\.safetensors: found a header that no version of this program writes"):
        dictionaries.load(path)


def test_activations_beyond_the_first_are_not_for_readers_of_format_1(tmp_path):
    kinds = {
        "relu": {}, "ramp": {"threshold": torch.ones(3)}, "lista": {"iterations": 2, "momentum": 0.5},
    }  # fmt: skip
    for activation, more in kinds.items():
        dictionary = random_dictionary(activation=activation, **more)
        dictionaries.save(tmp_path / activation, dictionary, MADE)
        assert_same(dictionaries.load(tmp_path / activation), dictionary)
        with safe_open(tmp_path / activation, framework="pt") as file:
            written = json.loads(file.metadata()["sparse_coding"])["format"]
        assert written == (dictionaries.FORMAT if activation == "relu" else dictionaries.FORMAT_2)


def test_what_is_kept_of_a_training_may_be_one_number(tmp_path):
    one = {"state.count": torch.tensor(3), "state.mean": torch.tensor(0.5, dtype=torch.bfloat16)}
    unfinished.save(tmp_path / "one", one, {"step": 1}, "these vectors")
    tensors, numbers = unfinished.load(tmp_path / "one", "these vectors")
    assert numbers == {"step": 1}
    assert all(torch.equal(tensors[name], each) and each.ndim == 0 for name, each in one.items())
