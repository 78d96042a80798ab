"""What people hand to a dictionary works, or is refused in one line that names it."""

import re
import subprocess
import sys

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from sparse_coding.core import given
from sparse_coding.core.dictionary import Dictionary
from sparse_coding.core.provenance import Provenance
from sparse_coding.errors import BadInput

N_FEAT, D_ACT = 40, 6
KINDS = {"relu": {}, "topk": {"activation": "topk", "k": 3}, "nnls": {"activation": "nnls", "iterations": 20}}
KNOWN = {"name": "tied_r4_l1-0.002_s0", "site": "layer2_residual", "kind": "tied", "variant": "plain"}
KNOWN |= {"l0": 9.583, "fvu": 0.3801, "path": "results/one.safetensors"}


def a_dictionary(activation: str = "relu", /, **known) -> Dictionary:
    generator = torch.Generator().manual_seed(0)
    atoms = normalize(torch.randn(N_FEAT, D_ACT, generator=generator), dim=1)
    bias, centre = (0.1 * torch.randn(n, generator=generator) for n in (N_FEAT, D_ACT))
    return Dictionary(
        atoms, bias, atoms, centre, torch.rand(N_FEAT, generator=generator) + 0.5, **KINDS[activation], **known
    )


def some(rows: int = 5, seed: int = 1) -> torch.Tensor:
    return torch.randn(rows, D_ACT, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(params=KINDS)
def dictionary(request) -> Dictionary:
    return a_dictionary(request.param)


CHOICES = {
    "one": torch.tensor([5]),
    "one in a list": [5],
    "none": torch.tensor([]),
    "none in a list": [],
    "all": range(N_FEAT),
    "repeated": torch.tensor([3, 7, 3, 3, 0]),
    "from the end": torch.tensor([-1, 2, N_FEAT - 1]),
    "int32 of numpy": np.array([4, 1], np.int32),
    "uint16 of numpy": np.array([4, 1], np.uint16),
    "backwards": np.arange(6)[::-1],
    "a mask": torch.arange(N_FEAT) % 7 == 2,
    "a mask of numpy": np.arange(N_FEAT) % 7 == 2,
    "an empty mask": torch.zeros(N_FEAT, dtype=torch.bool),
}


@pytest.mark.parametrize("choice", CHOICES)
@pytest.mark.parametrize("shape", [(D_ACT,), (1, D_ACT), (0, D_ACT), (5, D_ACT), (2, 3, D_ACT)])
def test_some_codes_are_those_columns_of_all(dictionary, choice, shape):
    features, x = CHOICES[choice], torch.randn(shape, generator=torch.Generator().manual_seed(2))
    columns = np.arange(N_FEAT)[np.asarray(features, None if len(features) else int)]
    found = dictionary.encode_features(x, features)
    assert found.shape == (*shape[:-1], len(columns))
    torch.testing.assert_close(found, dictionary.encode(x)[..., torch.from_numpy(columns.copy())], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("features", "message"),
    [
        (torch.tensor([0, N_FEAT]), f"found feature {N_FEAT}; wanted one from 0 to {N_FEAT - 1}"),
        (torch.tensor([-N_FEAT - 1]), f"found feature {-N_FEAT - 1}; wanted one from 0 to {N_FEAT - 1}"),
        (torch.tensor([0.0]), "found numbers of type torch.float32; wanted whole numbers, or a mask"),
        (torch.ones(3, dtype=torch.bool), f"found a mask [3]; wanted a mask [{N_FEAT}]"),
        (torch.tensor(3), f"found shape []; wanted one dimension: numbers of features, or a mask [{N_FEAT}]"),
        (torch.tensor([[3]]), "found shape [1, 1]; wanted one dimension"),
        (3, "found shape []; wanted one dimension"),
        ("five", "found a str; wanted numbers of features, or a mask"),
        (None, "found a NoneType; wanted numbers of features, or a mask"),
        ([[1], [2, 3]], "found a list; wanted numbers of features, or a mask"),
    ],
)
def test_what_names_no_feature_is_refused(features, message):
    with pytest.raises(BadInput, match=f"^here: {re.escape(message)}"):
        given.indices("here", features, N_FEAT, torch.device("cpu"))


def test_a_feature_that_there_is_not_is_refused_by_each_kind(dictionary):
    with pytest.raises(BadInput, match=f"encode_features: features: found feature {N_FEAT}"):
        dictionary.encode_features(some(), torch.tensor([N_FEAT]))


NUMBERS = {
    "float64": lambda x: x.double(),
    "float16": lambda x: x.half(),
    "bfloat16": lambda x: x.bfloat16(),
    "numpy float32": lambda x: x.numpy(),
    "numpy float64": lambda x: x.double().numpy(),
    "numpy float16": lambda x: x.half().numpy(),
    "numpy of the other byte order": lambda x: x.numpy().astype(">f4"),
    "numpy backwards": lambda x: x.flip(0).numpy()[::-1],
    "columns": lambda x: x.T.contiguous().T,
    "every second": lambda x: x.repeat_interleave(2, 0)[::2],
    "one row for all": lambda x: x[:1].expand(4, -1),
}


@pytest.mark.parametrize("numbers", NUMBERS)
@pytest.mark.filterwarnings("error")
def test_other_numbers_are_taken_in_the_format_of_the_dictionary(dictionary, numbers):
    x = NUMBERS[numbers](some())
    plain = torch.as_tensor(np.array(x, np.float32) if isinstance(x, np.ndarray) else x.float())
    before = x.copy() if isinstance(x, np.ndarray) else x.clone()
    codes = dictionary.encode(x)
    assert codes.dtype == torch.float32
    assert torch.equal(codes, dictionary.encode(plain.clone()))
    assert torch.equal(dictionary.reconstruct(x), dictionary.reconstruct(plain))
    torch.testing.assert_close(dictionary.encode_features(x, [2, 4]), codes[:, [2, 4]], rtol=1e-5, atol=1e-5)
    assert (x == before).all(), "the caller's vectors were changed"


@pytest.mark.filterwarnings("error")
def test_codes_and_gains_in_other_numbers(dictionary):
    codes, gain = dictionary.encode(some()), torch.linspace(0, 2, N_FEAT)
    for numbers in (lambda x: x.double(), lambda x: x.numpy(), lambda x: x.double().numpy()):
        torch.testing.assert_close(dictionary.decode(numbers(codes)), dictionary.decode(codes))
        torch.testing.assert_close(dictionary.with_gain(numbers(gain)).gain, dictionary.gain * gain)
    torch.testing.assert_close(dictionary.decode(codes[0]), dictionary.decode(codes)[0])


@pytest.mark.filterwarnings("error")
def test_a_file_that_numpy_maps_read_only_is_read(dictionary, tmp_path):
    np.save(tmp_path / "x.npy", some().numpy())
    assert torch.equal(dictionary.encode(np.load(tmp_path / "x.npy", mmap_mode="r")), dictionary.encode(some()))


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (torch.ones(4, D_ACT + 1), f"found shape [4, {D_ACT + 1}]; wanted [..., {D_ACT}]"),
        (np.ones((4, 1)), f"found shape [4, 1]; wanted [..., {D_ACT}]"),  # would broadcast
        (torch.ones(N_FEAT), f"found shape [{N_FEAT}]; wanted [..., {D_ACT}]"),
        (torch.tensor(1.0), f"found shape []; wanted [..., {D_ACT}]"),
        (torch.ones(4, D_ACT, dtype=torch.int64), "found numbers of type torch.int64; wanted floating-point numbers"),
        (torch.ones(4, D_ACT) > 0, "found numbers of type torch.bool; wanted floating-point numbers"),
        (np.ones((4, D_ACT), int), "found numbers of type int64; wanted floating-point numbers"),
        (np.full((4, D_ACT), None), "found numbers of type object; wanted floating-point numbers"),
        (torch.ones(4, D_ACT, device="meta"), "found a tensor on meta; wanted one on cpu"),
        ([[0.0] * D_ACT], f"found a list; wanted a tensor or a numpy array [..., {D_ACT}]"),
        (None, f"found a NoneType; wanted a tensor or a numpy array [..., {D_ACT}]"),
    ],
)
def test_what_is_no_vector_is_refused(x, message):
    with pytest.raises(BadInput, match=f"^here: {re.escape(message)}"):
        given.vectors("here", x, D_ACT, torch.zeros(1))


def test_each_way_in_says_its_name(dictionary):
    wrong, codes = torch.ones(3, D_ACT + 1), torch.ones(3, N_FEAT + 1)
    for call, place in (
        (lambda: dictionary.encode(wrong), "encode"),
        (lambda: dictionary.reconstruct(wrong), "encode"),
        (lambda: dictionary.encode_features(wrong, [0]), "encode_features"),
        (lambda: dictionary.decode(codes), "decode"),
        (lambda: dictionary.with_gain(codes), "with_gain"),
        (lambda: dictionary.with_gain(torch.ones(1)), "with_gain"),
    ):
        with pytest.raises(BadInput, match=rf"^{place}: found shape \[.*\]; wanted \[\.\.\., \d+\]$"):
            call()


@pytest.mark.parametrize("gain", [-torch.ones(N_FEAT), torch.full((N_FEAT,), float("nan")), torch.ones(2, N_FEAT)])
def test_a_gain_that_would_make_codes_negative_is_refused(gain):
    with pytest.raises(BadInput, match=f"with_gain: found .*; wanted {N_FEAT} gains of at least 0"):
        a_dictionary().with_gain(gain)


def test_to_another_format_and_device():
    dictionary = a_dictionary("topk", **KNOWN)
    for moved, dtype, device in (
        (dictionary.to(torch.float64), torch.float64, "cpu"),
        (dictionary.to("cpu", torch.bfloat16), torch.bfloat16, "cpu"),
        (dictionary.to(dtype=torch.float16), torch.float16, "cpu"),
        (dictionary.to(torch.device("meta")), torch.float32, "meta"),
    ):
        tensors = (moved.encoder, moved.bias, moved.decoder, moved.centre, moved.gain)
        assert {(tensor.dtype, tensor.device.type) for tensor in tensors} == {(dtype, device)}
        assert moved.encoder is moved.decoder
        assert (moved.activation, moved.k) == ("topk", 3)
        assert {name: getattr(moved, name) for name in KNOWN} == KNOWN
    assert dictionary.to(torch.float64).encode(some()).dtype == torch.float64
    torch.testing.assert_close(dictionary.to(torch.float64).encode(some()).float(), dictionary.encode(some()))
    with pytest.raises(BadInput, match=r"to: found torch.int8; wanted a format of floating-point numbers"):
        dictionary.to(torch.int8)


@pytest.mark.parametrize("target", ["nonsense", "cuda:99", "float16", [1]])
def test_a_device_that_is_not_here_is_refused_in_one_line(target):
    wanted = r"wanted a device that is here \(cpu.*\), or a format of floating-point numbers$"
    with pytest.raises(BadInput, match=rf"^to: found {re.escape(repr(target))} \(.+\); {wanted}"):
        a_dictionary().to(target)
    with pytest.raises(BadInput, match=rf"^to: found device={re.escape(repr(target))} \(.+\); {wanted}"):
        a_dictionary().to(device=target)


def test_print_is_one_line_of_what_is_known():
    assert str(a_dictionary(**KNOWN)) == (
        "Dictionary(tied_r4_l1-0.002_s0, layer2_residual, tied, [40, 6], L0 9.58, FVU 0.38, results/one.safetensors)"
    )
    refitted = repr(a_dictionary(**KNOWN | {"variant": "gain_refit"}))
    assert "tied, gain_refit, [40, 6]" in refitted
    assert repr(a_dictionary("topk")) == "Dictionary(topk, k 3, [40, 6])"
    assert repr([a_dictionary()]) == "[Dictionary(relu, [40, 6])]"


def test_what_is_known_does_not_outlive_other_codes():
    found = a_dictionary(**KNOWN).with_gain(torch.ones(N_FEAT))
    assert {name: getattr(found, name) for name in KNOWN} == KNOWN | {"variant": None, "l0": None, "fvu": None}
    assert all(getattr(a_dictionary(), name) is None for name in Provenance.__dataclass_fields__)


@pytest.mark.parametrize("k", [None, 0, -1])
def test_topk_without_a_k_is_refused(k):
    """It was taken for a k of 1."""
    with pytest.raises(BadInput, match=f"topk with k {k}; wanted a k of at least 1"):
        Dictionary(torch.eye(3), torch.zeros(3), torch.eye(3), torch.zeros(3), torch.ones(3), "topk", k)


def test_k_beyond_the_features_keeps_them_all():
    atoms = torch.eye(3)
    parts = atoms, torch.zeros(3), atoms, torch.zeros(3), torch.ones(3)
    x = torch.randn(4, 3, generator=torch.Generator().manual_seed(0))
    for k in (3, 7):
        found = Dictionary(*parts, "topk", k)
        assert torch.equal(found.encode(x), Dictionary(*parts).encode(x))
        assert torch.equal(found.encode_features(x, [1]), x[:, 1:2].relu())


@pytest.mark.parametrize("inside", [torch.no_grad, torch.inference_mode, torch.enable_grad])
def test_parameters_that_want_gradients(dictionary, inside):
    wanting = {name: torch.nn.Parameter(getattr(dictionary, name)) for name in ("encoder", "bias", "decoder", "gain")}
    learned, x = Dictionary(**wanting, centre=dictionary.centre, **KINDS[dictionary.activation]), some()
    with inside():
        torch.testing.assert_close(learned.encode(x), dictionary.encode(x))
        torch.testing.assert_close(learned.encode_features(x, [4, 4, 1]), dictionary.encode(x)[:, [4, 4, 1]])
        torch.testing.assert_close(learned.reconstruct(x.requires_grad_()), dictionary.reconstruct(x.detach()))


def test_gradients_reach_vectors_and_parameters(dictionary):
    wanting = {name: torch.nn.Parameter(getattr(dictionary, name)) for name in ("encoder", "bias", "decoder", "gain")}
    x = some().requires_grad_()
    learned = Dictionary(**wanting, centre=dictionary.centre, **KINDS[dictionary.activation])
    learned.reconstruct(x).square().sum().backward()
    used = ["decoder", "gain"] if dictionary.activation == "nnls" else list(wanting)
    assert all(float(wanting[name].grad.abs().sum()) > 0 for name in used)
    assert float(x.grad.abs().sum()) > 0


WITHOUT_A_CHECKER = """
import torch
from sparse_coding import Dictionary

parts = [torch.ones(3, 4), torch.zeros(3), torch.ones(3, 4), torch.zeros(4), torch.ones(3)]
d = Dictionary(*parts)
spoiled = [[*parts[:at], parts[at][:1], *parts[at + 1 :]] for at in range(5)]
calls = [
    *(lambda each=each: Dictionary(*each) for each in spoiled),
    lambda: d.encode([[0.0] * 4]),
    lambda: d.encode(torch.tensor(1.0)),
    lambda: d.encode_features(torch.ones(4), "five"),
    lambda: d.decode(None),
    lambda: d.with_gain(2.0),
]
for call in calls:
    try:
        print("accepted", call())
    except Exception as error:
        print(type(error).__name__, error)
"""


def test_what_people_see_who_have_no_checker_of_types():
    """Parts of other lengths, a centre [1] say, would broadcast."""
    done = subprocess.run([sys.executable, "-c", WITHOUT_A_CHECKER], capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    wanted = [
        *[r"BadInput Dictionary: found encoder \[.*\], bias \[.*\], .*; wanted \[n_feat, d_act\], \[n_feat\], .*"] * 5,
        r"BadInput encode: found a list; wanted a tensor or a numpy array \[\.\.\., 4\]",
        r"BadInput encode: found shape \[\]; wanted \[\.\.\., 4\]",
        r"BadInput encode_features: features: found a str; wanted numbers of features, or a mask",
        r"BadInput decode: found a NoneType; wanted a tensor or a numpy array \[\.\.\., 3\]",
        r"BadInput with_gain: found a float; wanted a tensor or a numpy array \[\.\.\., 3\]",
    ]
    assert len(lines) == len(wanted)
    for line, message in zip(lines, wanted, strict=True):
        assert re.fullmatch(message, line), line
