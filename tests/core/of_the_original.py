"""What holds for each of the original's own kinds: its formula in numpy, its slopes by differences, its saved codes."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from sparse_coding.core.architectures import build
from sparse_coding.core.architectures.contract import Penalty, Terms
from sparse_coding.core.metrics.similarity import mmcs
from sparse_coding.core.training.trainee import Trainee
from sparse_coding.io import dictionaries
from sparse_coding.settings.params import own_section
from tests.core.test_gated import batches_of, check_company, check_taking_up, folded, member_of
from tests.planted import Planted, plant

# Of parameters, vectors and the weight of L1: the loss, its squared error, codes. All float64.
Formula = Callable[[dict[str, np.ndarray], np.ndarray, float], tuple[float, float, np.ndarray]]
TINY = 1e-6
NOTHING = Terms(torch.zeros(()), torch.zeros(()), torch.zeros(1, 1))  # what a step saw


class OfTheOriginal:
    """What each of these kinds is tested for: a kind's own tests are one of these, with its formula."""

    kind: str
    formula: Formula

    @pytest.mark.parametrize("seed", range(4))
    def test_the_loss_and_its_slopes_are_those_of_the_formula(self, seed):
        check_loss(self.kind, self.formula, seed)

    def test_what_is_saved_is_what_was_trained(self, tmp_path):
        check_fold(self.kind, tmp_path)

    def test_the_bytes_do_not_hang_on_company_or_breaks(self):
        check_bytes(self.kind)


class BeginsSparse(OfTheOriginal):
    """One that begins with a share of its codes."""

    def test_before_the_first_step_the_wished_share_of_codes_is_positive(self):
        check_begin(self.kind)


def settings_of(kind: str) -> dict:
    return own_section(kind)().model_dump(mode="json")


def case(kind: str, seed: int, n_feat: int = 24, d_act: int = 8, batch: int = 30):
    """Parameters in float64, as they might be in the middle of a training, and vectors."""
    generator = torch.Generator().manual_seed(seed)
    architecture = build(kind, settings_of(kind))
    parameters = {name: value.double() for name, value in architecture.init(n_feat, d_act, generator).items()}
    for value in parameters.values():
        value.add_(0.2 * torch.randn(value.shape, generator=generator, dtype=torch.float64))
    architecture.after(parameters, {}, NOTHING)  # as after a step: unit rows, and what else is kept to
    return architecture, parameters, torch.randn(batch, d_act, generator=generator, dtype=torch.float64)


def unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def check_loss(kind: str, formula: Formula, seed: int, l1: float = 0.03) -> None:
    """Loss, error and codes are those of the formula; the slope along any direction is its difference quotient."""
    architecture, parameters, z = case(kind, seed)
    leaves = {name: value.clone().requires_grad_() for name, value in parameters.items()}
    terms = architecture.loss(leaves, {}, z, Penalty(l1=l1))
    slopes = torch.autograd.grad(terms.loss, leaves.values())
    values = {name: value.numpy() for name, value in parameters.items()}
    loss, mse, codes = formula(values, z.numpy(), l1)
    assert float(terms.loss.detach()) == pytest.approx(loss, rel=1e-9)
    assert float(terms.mse.detach()) == pytest.approx(mse, rel=1e-9)
    np.testing.assert_allclose(terms.codes.detach().numpy(), codes, rtol=1e-9, atol=1e-12)
    random = np.random.default_rng(seed)
    for (name, value), slope in zip(values.items(), slopes, strict=True):
        way = random.normal(size=value.shape)
        ends = [formula(values | {name: value + sign * TINY * way}, z.numpy(), l1)[0] for sign in (1, -1)]
        found = float((slope.numpy() * way).sum())
        assert found == pytest.approx((ends[0] - ends[1]) / (2 * TINY), rel=2e-4, abs=1e-7), name


def check_fold(kind: str, tmp_path, scale: float = 7.5) -> None:
    """Codes and reconstructions of the saved dictionary, on raw vectors, are those of the loss."""
    architecture, parameters, z = case(kind, 5)
    parameters, z = {name: value.float() for name, value in parameters.items()}, z.float()
    mean = torch.randn(z.shape[1], generator=torch.Generator().manual_seed(1))
    terms = architecture.loss(parameters, {}, z, Penalty(l1=0.01))
    made = architecture.fold(parameters, {}, mean, scale, Penalty(l1=0.01))
    dictionaries.save(tmp_path / "d.safetensors", made, {})
    read = dictionaries.load(tmp_path / "d.safetensors")
    for dictionary in (made, read):
        x = mean + scale * z
        codes = dictionary.encode(x)
        torch.testing.assert_close(codes, scale * terms.codes, rtol=1e-4, atol=1e-4 * scale)
        assert float(codes.min()) >= 0
        mse = (dictionary.decode(codes) - x).square().mean() / scale**2
        torch.testing.assert_close(mse, terms.mse, rtol=1e-4, atol=1e-6)
        some = torch.tensor([3, 0, 3])
        torch.testing.assert_close(dictionary.encode_features(x, some), codes[:, some])
        torch.testing.assert_close(dictionary.decoder.norm(dim=1), torch.ones(len(codes[0])))
    assert 0 < int((terms.codes > 0).sum()) < terms.codes.numel()


def check_begin(kind: str) -> None:
    """The wished share of codes is positive before the first step."""
    z = torch.randn(200, 12, generator=torch.Generator().manual_seed(2))
    architecture = build(kind, settings_of(kind))
    for density in (0.5, 0.1):
        parameters = architecture.init(36, 12, torch.Generator().manual_seed(0))
        architecture.begin(parameters, z, density)
        codes = architecture.loss(parameters, {}, z, Penalty()).codes
        assert float((codes > 0).float().mean()) == pytest.approx(density, rel=0.03)


def check_bytes(kind: str) -> None:
    """Alone, in company, and gone on with."""
    check_company_of(kind)
    check_taking_up(kind, settings_of(kind), Penalty(l1=2e-3), 23)


def check_company_of(kind: str) -> None:
    own = settings_of(kind)
    name = build(kind, own).matrices[0]
    if name == "encoder":
        check_company(kind, own, Penalty(l1=2e-3))
        return
    batches = batches_of(plant(rows=2000, d_act=12, n_feat=24).x, 30, 64)
    one, two = (member_of(kind, own, Penalty(l1=2e-3), 30, (36, 12)) for _ in range(2))
    one.train(batches)
    two.train(batches)
    assert all(torch.equal(two.parameters[each], value) for each, value in one.parameters.items())


def trained(kind: str, l1: float, planted: Planted | None = None, steps: int = 450, **own) -> tuple[Trainee, dict]:
    """On planted vectors; what came of it on others: mmcs, FVU, L0."""
    planted = planted or plant(rows=24_000)
    n_feat, d_act = planted.atoms.shape
    settings = settings_of(kind) | own
    member = member_of(kind, settings, Penalty(l1=l1), steps, (n_feat, d_act), lr=settings["lr"])
    found, held_out = folded(member, planted.x[:20_000]), planted.x[20_000:]
    codes = found.encode(held_out)
    left = (found.decode(codes) - held_out).square().sum() / (held_out - held_out.mean(0)).square().sum()
    l0 = float((codes > 0).sum(1).float().mean())
    return member, {"mmcs": float(mmcs(planted.atoms, found.atoms)), "fvu": float(left), "l0": l0}
