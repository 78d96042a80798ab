"""One model on several threads."""

import pytest
import torch

from sparse_coding.lm.model import LanguageModel
from sparse_coding.lm.parallel import over_batches
from sparse_coding.settings.params import Model
from sparse_coding.settings.sites import Site
from tests.tiny_model import make_tiny_model

SITES = [Site(0, "residual"), Site(2, "residual")]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model") / "tiny"
    make_tiny_model(folder)
    return LanguageModel.load(Model(name=str(folder)))


def batches(n=7):
    generator = torch.Generator().manual_seed(0)
    return [torch.randint(0, 300, (2, 16), generator=generator) for _ in range(n)]


def test_a_twin_shares_weights_and_not_hooks(model):
    twin = model.twin()
    ours = {name: value.data_ptr() for name, value in model._network.named_parameters()}
    assert {name: value.data_ptr() for name, value in twin._network.named_parameters()} == ours
    tokens = batches(1)[0]
    assert torch.equal(twin.logits(tokens), model.logits(tokens))
    # Splicing into one leaves the other as it was.
    zeroed = twin.spliced_logits(tokens, SITES[0], torch.zeros_like)
    assert not torch.equal(zeroed, model.logits(tokens))


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_results_come_in_order_and_do_not_depend_on_threads(model, threads):
    found = list(over_batches(model, lambda own, tokens: own.harvest(tokens, SITES), batches(), threads))
    wanted = [model.harvest(tokens, SITES) for tokens in batches()]
    assert len(found) == len(wanted)
    for ours, theirs in zip(found, wanted, strict=True):
        assert all(torch.equal(ours[site.name], theirs[site.name]) for site in SITES)


def test_few_batches_are_taken_ahead(model):
    taken = []

    def watched():
        for index, tokens in enumerate(batches(20)):
            taken.append(index)
            yield tokens

    results = over_batches(model, lambda own, tokens: own.logits(tokens), watched(), threads=2)
    next(results)
    assert len(taken) <= 4
    results.close()


def test_an_error_in_a_batch_is_raised(model):
    def fail(own, tokens):
        raise ValueError("this batch")

    with pytest.raises(ValueError, match="this batch"):
        list(over_batches(model, fail, batches(3), threads=2))
