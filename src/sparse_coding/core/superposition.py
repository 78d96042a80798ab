"""A ground truth in superposition, and vectors that are sparse mixtures of it (Sharkey et al. 2022, toy data).

    x = sum_i c_i f_i + noise        ||f_i|| = 1, uniform on the sphere, more of them than dimensions
    P(c_i > 0) = p_i                 p_i = mean_active * decay^i / sum_j decay^j
    c_i | c_i > 0                    uniform on (0, 1), or exponential; mean 1/2

Independent: features fire each by itself. Correlated, a Gaussian copula: feature i fires where Phi(z_i) < p_i, with
z ~ N(0, R) drawn anew for each vector. R = L L^T for unit rows L_i, uniform on the sphere of `factors` dimensions, so
z = L g with g ~ N(0, 1), R has a unit diagonal, and each p_i is what it is without correlations.

Vector number t is a function of the truth, the seed, the stream and t, however many are read at a time.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from scipy.sparse import csr_array
from scipy.special import ndtri
from torch import Tensor

from sparse_coding.portions.toy import BLOCK

TRUTH, LOADINGS, TRAIN, HELD_OUT, WEIGHTS = range(5)  # streams of one seed


@dataclass(frozen=True, eq=False)
class Truth:
    """atoms: [n_true, d_act], unit rows; probability: [n_true]; loadings: [n_true, factors], None: independent."""

    atoms: Float[np.ndarray, "n_true d_act"]
    probability: Float[np.ndarray, " n_true"]
    loadings: Float[np.ndarray, "n_true factors"] | None = None


def truth(n_true: int, d_act: int, mean_active: float, decay: float, factors: int | None, seed: int) -> Truth:
    """The truth of a seed; its atoms are the same with and without correlations (`factors` None)."""
    weight = decay ** np.arange(n_true, dtype=np.float64)
    loadings = None if factors is None else _unit_rows(n_true, factors, _random(seed, LOADINGS))
    atoms = _unit_rows(n_true, d_act, _random(seed, TRUTH)).astype(np.float32)
    return Truth(atoms, mean_active * weight / weight.sum(), loadings)


def _unit_rows(n: int, d: int, random: np.random.Generator) -> Float[np.ndarray, "n d"]:
    rows = random.standard_normal((n, d))
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def seed_of(seed: int, n_feat: int) -> int:
    """The seed of the initial weights of n_feat features: no size begins with the weights of another one.

    A generator's first numbers do not depend on how many are drawn, so of one seed the smaller dictionary would be a
    part of the larger before the first step, and the MMCS between them would say so.
    """
    return int(_random(seed, WEIGHTS, n_feat).integers(2**31))


def _random(*key: int) -> np.random.Generator:
    return np.random.default_rng(key)


@dataclass(frozen=True, eq=False)
class Vectors:
    """An endless stream of vectors; `noise` is the standard deviation in each dimension."""

    truth: Truth
    codes: Literal["uniform", "exponential"]
    noise: float
    seed: int
    stream: int  # TRAIN, HELD_OUT

    def read(self, start: int, stop: int) -> Float[Tensor, "vector d_act"]:
        """Vectors number `start` up to `stop`, float32."""
        # At least one: of no vectors, too, it is known how wide they are.
        blocks = [self._block(number) for number in range(start // BLOCK, max(-(-stop // BLOCK), start // BLOCK + 1))]
        first = start // BLOCK * BLOCK
        return torch.from_numpy(np.concatenate(blocks)[start - first : stop - first])

    def batches(self, size: int) -> Iterator[Float[Tensor, "batch d_act"]]:
        """All vectors in order, `size` at a time, for ever."""
        start = 0
        while True:
            yield self.read(start, start + size)
            start += size

    def _block(self, number: int) -> Float[np.ndarray, "block d_act"]:
        random = _random(self.seed, self.stream, number)
        x = self.block_codes(random) @ self.truth.atoms  # sparse: one sum a row, in one order, on every machine
        if self.noise:
            x += self.noise * random.standard_normal(x.shape, dtype=np.float32)
        return x

    def block_codes(self, random: np.random.Generator) -> csr_array:
        """Codes of BLOCK vectors, [BLOCK, n_true], float32."""
        fires = self._fires(random)
        rows, features = np.nonzero(fires)
        draw = random.random if self.codes == "uniform" else random.standard_exponential
        codes = draw(len(rows), dtype=np.float32)
        return csr_array((codes if self.codes == "uniform" else codes / 2, (rows, features)), shape=fires.shape)

    def _fires(self, random: np.random.Generator) -> np.ndarray:
        """Which features fire, [BLOCK, n_true]."""
        probability, loadings = self.truth.probability, self.truth.loadings
        if loadings is None:
            return random.random((BLOCK, len(probability))) < probability
        factors = random.standard_normal((BLOCK, loadings.shape[1]))
        # Not a product of BLAS, whose threads cost more than they do here, and round as there are more or fewer.
        return np.einsum("vk,nk->vn", factors, loadings) < ndtri(probability)
