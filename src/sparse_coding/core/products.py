"""Products of matrices, by oneDNN where it works.

On AMD processors torch.mm (MKL) leaves half of the vector units idle; oneDNN, which comes with torch, does not, and
adds the bias on the way (its ReLU would turn NaN into 0). Its operator is private: it is tried once, and torch.mm
stands behind it.
"""

from functools import cache
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor


def linear(
    x: Float[Tensor, "row d"], w: Float[Tensor, "n d"], bias: Float[Tensor, " n"] | None = None
) -> Float[Tensor, "row n"]:
    """x @ w.T + bias; any strides."""
    if _suits_onednn(x, w, bias) and _onednn_works():
        return torch.ops.mkldnn._linear_pointwise(_dense(x), _dense(w), bias, "none", [], "")
    return x @ w.T if bias is None else torch.addmm(bias, x, w.T)


def fastest(x: Float[Tensor, "row d"], w: Float[Tensor, "n d"]) -> Float[Tensor, "row n"]:
    """x @ w.T, for those whose results hang on no rounding: without AVX-512, MKL is the quicker one on AMD too."""
    return linear(x, w) if torch.backends.cpu.get_cpu_capability() == "AVX512" else x @ w.T


def _suits_onednn(x: Tensor, w: Tensor, bias: Tensor | None) -> bool:
    return all(is_plain(each) for each in ([x, w] if bias is None else [x, w, bias]))


def is_plain(tensor: Tensor) -> bool:
    """Whether it is float32 on the processor, not empty, and no gradient is asked for: oneDNN's operator has none."""
    recorded = torch.is_grad_enabled() and tensor.requires_grad
    return tensor.dtype == torch.float32 and tensor.device.type == "cpu" and bool(tensor.numel()) and not recorded


def _dense(matrix: Tensor) -> Tensor:
    """`matrix` without gaps: for some other strides oneDNN falls back to a loop that takes minutes."""
    return matrix if matrix.is_contiguous() or matrix.T.is_contiguous() else matrix.contiguous()


@cache
def _onednn_works() -> bool:
    """Whether oneDNN has the product, in full float32: some processors are allowed to round its factors."""
    generator = torch.Generator().manual_seed(0)
    x, w, bias = (torch.randn(shape, generator=generator) for shape in ((33, 70), (17, 70), (17,)))
    try:
        found = torch.ops.mkldnn._linear_pointwise(x, w, bias, "none", [], "")
    except (AttributeError, RuntimeError):
        return False
    exact = torch.addmm(bias.double(), x.double(), w.double().T)
    return bool((found.double() - exact).abs().max() < 1e-4)


@cache
def int8_is_fast() -> bool:
    """Whether the processor multiplies int8 several times as fast as float32 (VNNI); then torch has the product."""
    return torch.backends.cpu.get_cpu_capability() == "AVX512" and _has_vnni() and _int8_works()


def _int8_works() -> bool:
    """Whether torch's product of int8 matrices, a private operator, is there and right."""
    generator = torch.Generator().manual_seed(0)
    for rows, width, n in ((33, 70, 17), (1, 2, 3), (64, 512, 40)):
        x, w = (torch.randint(-127, 128, (lines, width), generator=generator) for lines in (rows, n))
        try:
            found = torch._int_mm(x.to(torch.int8), w.to(torch.int8).T)
        except (AttributeError, RuntimeError):
            return False
        if not torch.equal(found.long(), x @ w.T):
            return False
    return True


def _has_vnni() -> bool:
    capabilities: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    return bool(capabilities.get("avx512_vnni") or capabilities.get("avx_vnni"))
