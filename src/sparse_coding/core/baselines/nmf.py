"""Non-negative matrix factorisation: parts that only add up (Lee & Seung 1999), fitted on a stream of blocks."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor

from sparse_coding.core.baselines.contract import Fitted, Settings, Vectors, Work
from sparse_coding.core.dictionary import Dictionary, nonnegative_least_squares
from sparse_coding.portions.baselines import nmf_rows

Blocks = Callable[[], Iterable[Float[Tensor, "_ d_act"]]]

VISIT = 20  # iterations on a block before the next one
FIRST_CODES = 30  # steps of non-negative least squares when a visit begins
CODE_STEPS, ATOM_STEPS = 2, 5  # of one iteration
CAREFUL, FURTHER = 2, 0.8  # after the first iterations of a visit, atoms move further than the steps say
LEAST = 1e-6  # of the largest code's size
KEPT = 0.5  # what is left of the sums over earlier blocks, a visit later


def build(vectors: Vectors, settings: Settings) -> Fitted:
    """On a sample of `rows`, drawn and mixed by `seed`; `iterations` and `encode_iterations` as `fit` has them."""
    seed, iterations = settings["seed"], settings["iterations"]
    sample = vectors.sample(settings["rows"], seed)
    blocks = partial(vectors.mixed_blocks, sample, nmf_rows(vectors.d_act), seed)
    dictionary = fit(blocks, iterations=iterations, encode_iterations=settings["encode_iterations"])
    return dictionary, {"seed": seed, "fit_rows": len(sample), "iterations": iterations}


def work(rows: int, d_act: int, settings: Settings) -> Work:
    """Visits of blocks: first codes, then codes and atoms in turn; and a singular value decomposition of one block."""
    rows = min(settings["rows"], rows)
    blocks = max(1, rows // nmf_rows(d_act))
    visits = -(-settings["iterations"] // VISIT) * blocks
    per_block = rows / blocks
    return Work(
        products=visits * VISIT * (3 * per_block + d_act) + 20 * per_block,
        descents=visits * (per_block * (FIRST_CODES + VISIT * CODE_STEPS) + d_act * VISIT * ATOM_STEPS),
        decompositions=visits * VISIT * 2,
    )


def fit(blocks: Blocks, *, iterations: int, encode_iterations: int) -> Dictionary:
    """As many non-negative atoms as dimensions (or rows of a block, if fewer), above the minimum of each dimension.

    `blocks()` gives all rows, in blocks of about `nmf_rows` in random order, the same at each call; one block and
    its codes are in memory at a time. Each row takes part in `iterations` iterations, rounded up to whole visits. The
    minimum is that of the rows. A vector below it needs no care: non-negative least squares finds the nearest point
    that the atoms reach. Atoms that came out zero are dropped.

    Within a visit, codes and atoms take turns at a few accelerated gradient steps (Guan et al. 2012, NeNMF); the
    sums that decide the atoms go on from block to block and fade (Mairal et al. 2010). The start is "nndsvd"
    (Boutsidis & Gallopoulos 2008) of the first block.
    """
    minima = [block.min(dim=0).values for block in blocks() if len(block)]
    if not minima:
        raise ValueError("no rows")
    lowest = torch.stack(minima).min(dim=0).values
    atoms: Tensor | None = None
    for block in _visits(blocks, -(-iterations // VISIT)):
        above = block - lowest
        if atoms is None:
            codes, atoms = _start(above)
            codes_product = atoms.new_zeros(len(atoms), len(atoms))
            data_product = torch.zeros_like(atoms)
        else:
            codes = nonnegative_least_squares(above, atoms, FIRST_CODES)
        atoms, codes_product, data_product = _visit(above, codes, atoms, codes_product, data_product)
    if atoms is None:
        raise ValueError("no iterations")
    kept = atoms.norm(dim=1) > 0
    atoms = atoms[kept]
    return Dictionary(
        encoder=atoms,
        bias=atoms.new_zeros(len(atoms)),
        decoder=atoms,
        centre=lowest,
        gain=atoms.new_ones(len(atoms)),
        activation="nnls",
        iterations=encode_iterations,
    )


def _visits(blocks: Blocks, passes: int) -> Iterator[Tensor]:
    for _ in range(passes):
        yield from (block for block in blocks() if len(block))


def _visit(
    above: Float[Tensor, "row d_act"],
    codes: Float[Tensor, "row n"],
    atoms: Float[Tensor, "n d_act"],
    earlier_codes: Float[Tensor, "n n"],
    earlier_data: Float[Tensor, "n d_act"],
) -> tuple[Float[Tensor, "n d_act"], Float[Tensor, "n n"], Float[Tensor, "n d_act"]]:
    """Atoms of unit norm or zero, and the sums codes^T codes and codes^T above, after the visit of a block."""
    for iteration in range(VISIT):
        codes = _descend(atoms @ atoms.T, above @ atoms.T, codes, CODE_STEPS)
        codes_product = (KEPT * earlier_codes).addmm_(codes.T, codes)
        data_product = (KEPT * earlier_data).addmm_(codes.T, above)
        # In units of each code's size, in which the atoms converge alike; those that are hardly used count less.
        size = codes_product.diagonal().sqrt()
        size = size.clamp(min=max(LEAST * float(size.max()), torch.finfo(codes.dtype).tiny))
        scaled = _descend(
            codes_product / size / size.unsqueeze(1),
            (data_product / size.unsqueeze(1)).T,
            (atoms * size.unsqueeze(1)).T,
            ATOM_STEPS,
        )
        moved = scaled.T / size.unsqueeze(1)
        if iteration >= CAREFUL:
            moved = (moved + FURTHER * (moved - atoms)).relu_()
        norms = moved.norm(dim=1).clamp(min=torch.finfo(moved.dtype).tiny)
        atoms = moved / norms.unsqueeze(1)
        codes = codes * norms
        earlier_codes = earlier_codes * norms * norms.unsqueeze(1)
        earlier_data = earlier_data * norms.unsqueeze(1)
    return atoms, codes_product * norms * norms.unsqueeze(1), data_product * norms.unsqueeze(1)


def _descend(
    gram: Float[Tensor, "n n"], target: Float[Tensor, "row n"], start: Float[Tensor, "row n"], steps: int
) -> Float[Tensor, "row n"]:
    """Towards argmin over v >= 0 of tr(v gram v^T) - 2 tr(v target^T), by FISTA (Beck & Teboulle 2009) from `start`."""
    largest = torch.linalg.eigvalsh(gram.double())[-1].to(gram.dtype)
    step = 1 / largest.clamp(min=torch.finfo(gram.dtype).tiny)
    values, ahead, momentum = start, start, 1.0
    for _ in range(steps):
        previous, values = values, torch.addmm(target, ahead, gram, beta=-1).mul_(-step).add_(ahead).relu_()
        following = (1 + (1 + 4 * momentum**2) ** 0.5) / 2
        ahead = values + (momentum - 1) / following * (values - previous)
        momentum = following
    return values


def _start(above: Float[Tensor, "row d_act"]) -> tuple[Float[Tensor, "row n"], Float[Tensor, "n d_act"]]:
    """Codes, and atoms as unit rows: of each singular pair the part of one sign that carries more."""
    left, values, right = torch.linalg.svd(above, full_matrices=False)
    sizes = [(sign * left).relu().norm(dim=0) * (sign * right).relu().norm(dim=1) for sign in (1, -1)]
    sign = torch.where(sizes[0] >= sizes[1], 1.0, -1.0).to(above.dtype)
    codes, atoms = (sign * left).relu(), (sign.unsqueeze(1) * right).relu()
    tiny = torch.finfo(above.dtype).tiny
    unit = atoms / atoms.norm(dim=1, keepdim=True).clamp(min=tiny)
    return codes / codes.norm(dim=0).clamp(min=tiny) * (values * torch.maximum(*sizes)), unit
