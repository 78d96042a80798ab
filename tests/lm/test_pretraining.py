"""Training a small language model: its parts, each against something independent."""

import math

import numpy as np
import pytest
import torch
from transformers import GPT2LMHeadModel, PreTrainedModel

from sparse_coding.lm import pretraining, tokenizing
from sparse_coding.settings.params import Transformer

TINY = Transformer(d_model=16, layers=2, heads=2, vocabulary=260, context=12, batch=4, steps=6, warmup_steps=2)


SEEDS_OWN = TINY.model_copy(update={"architecture": "gpt2", "dropout": 0.2, "optimiser": "adamw", "lr_adamw": 0.02})


def new(settings: Transformer) -> PreTrainedModel:
    return pretraining.new_model(settings, settings.vocabulary)


def tokens(rows: int = 10, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, TINY.vocabulary, (rows, TINY.context), dtype=np.int32)


def test_the_rate_warms_up_and_falls_to_zero() -> None:
    rates = [pretraining.schedule(step, 100, 10) for step in range(101)]
    assert rates[0] == pytest.approx(0.1)
    assert rates[9] == rates[10] == 1
    assert rates[55] == pytest.approx(0.5)
    assert rates[100] == 0
    assert max(rates) == 1


def test_each_epoch_has_every_block_once_and_resuming_goes_on() -> None:
    blocks = np.arange(8)[:, None]
    stream = pretraining.batches(blocks, 2, seed=3, first=0)
    seen = [next(stream).ravel().tolist() for _ in range(12)]
    epochs = [np.concatenate(seen[start : start + 4]).tolist() for start in (0, 4, 8)]
    assert all(sorted(epoch) == list(range(8)) for epoch in epochs)
    assert epochs[0] != epochs[1]
    for first in range(12):
        assert next(pretraining.batches(blocks, 2, seed=3, first=first)).ravel().tolist() == seen[first]


def test_the_loss_is_the_mean_over_predicted_tokens() -> None:
    model = new(TINY)
    ids = torch.from_numpy(tokens().astype(np.int64))
    with torch.no_grad():
        log_p = model(ids).logits.log_softmax(-1)
    wanted = -np.mean([float(log_p[b, t, ids[b, t + 1]]) for b in range(10) for t in range(TINY.context - 1)])
    assert float(pretraining.mean_loss(model, tokens(), "float32").detach()) == pytest.approx(wanted, rel=1e-5)
    assert pretraining.held_out_loss(model, tokens(), size=3) == pytest.approx(wanted, rel=1e-5)


def test_new_weights_depend_on_the_seed_alone() -> None:
    one, same = new(TINY).state_dict(), new(TINY).state_dict()
    other = new(TINY.model_copy(update={"seed": 1})).state_dict()
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize("kind", [TINY, SEEDS_OWN, TINY.model_copy(update={"dropout": 0.1})])
def test_training_learns_and_a_restored_run_goes_on_the_same(kind: Transformer) -> None:
    def steps(run: pretraining.Run, n: int) -> list[float]:
        batches = pretraining.batches(tokens(), TINY.batch, 0, first=run.step)
        return [run.train_step(next(batches)) for _ in range(n)]

    settings = kind.model_copy(update={"steps": 40})
    whole = pretraining.Run(new(settings), settings)
    losses = steps(whole, 20)
    whole.note_held_out(losses[-1], 1.0)
    stored = {name: value.clone() for name, value in whole.tensors().items()}
    losses += steps(whole, 20)
    assert losses[0] == pytest.approx(math.log(TINY.vocabulary), abs=0.2)
    assert losses[-1] < losses[0] - 0.5

    torch.manual_seed(1)  # a new process has another generator
    resumed = pretraining.Run(new(settings), settings, step=20)
    resumed.load(stored)
    assert steps(resumed, 20) == losses[20:]
    assert all(torch.equal(stored[f"best.{name}"], value) for name, value in resumed.best.items())


def test_the_best_weights_are_kept() -> None:
    run = pretraining.Run(new(TINY), TINY)
    run.note_held_out(5.0, 4.0)
    best = {name: value.detach().clone() for name, value in run.model.named_parameters()}
    run.train_step(tokens(4))
    run.note_held_out(4.0, 4.5)
    assert run.best_loss == 4.0
    assert [point["held_out_loss"] for point in run.curve] == [4.0, 4.5]
    assert all(torch.equal(run.best[name], best[name]) for name in best)
    assert not all(torch.equal(run.model.state_dict()[name], best[name]) for name in best)


def test_the_tokenizer_gives_text_back() -> None:
    tokenizer = tokenizing.train_tokenizer(["def f(x):\n    return x"] * 5, 270)
    text = "def g(y):\n\treturn \u00e9\u4e2d"
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text
    assert tokenizer.bos_token_id == tokenizer.eos_token_id == 0
    assert len(tokenizer) == 270


def test_the_seeds_own_model_is_the_gpt2_of_transformers() -> None:
    supertiny = Transformer(architecture="gpt2", d_model=16, layers=6, heads=8, dropout=0.2, context=256)
    model = pretraining.new_model(supertiny, vocabulary=50257, begin=50256, end=50256)
    assert isinstance(model, GPT2LMHeadModel)
    embeddings, block = (50257 + 256) * 16, 4 * 16 + 16 * 48 + 48 + 16 * 16 + 16 + 2 * 16 * 64 + 64 + 16
    assert sum(p.numel() for p in model.parameters()) == embeddings + 6 * block + 2 * 16
    assert model.lm_head.weight is model.transformer.wte.weight
    assert {module.p for module in model.modules() if isinstance(module, torch.nn.Dropout)} == {0.2}


def test_muon_trains_the_matrices_of_blocks_and_adamw_the_rest() -> None:
    for settings in (TINY, SEEDS_OWN.model_copy(update={"optimiser": "muon"})):
        run = pretraining.Run(new(settings), settings)
        names = {id(parameter): name for name, parameter in run.model.named_parameters()}
        sets = {kind: {names[id(p)] for p in each.param_groups[0]["params"]} for kind, each in run.optimisers.items()}
        assert sorted([*sets["muon"], *sets["adamw"]]) == sorted(names.values())
        assert len(sets["muon"]) == 4 * settings.layers
        assert not any("embed" in name or "wte" in name or "wpe" in name or "head" in name for name in sets["muon"])
    assert set(pretraining.Run(new(SEEDS_OWN), SEEDS_OWN).optimisers) == {"adamw"}


def test_dropout_differs_from_step_to_step_and_not_from_run_to_run() -> None:
    def losses(rate: float) -> list[float]:
        settings = SEEDS_OWN.model_copy(update={"dropout": 0.5, "lr_adamw": rate})
        run = pretraining.Run(new(settings), settings)
        return [run.train_step(tokens(4)) for _ in range(3)]

    assert len(set(losses(1e-30))) == 3
    assert losses(1e-3) == losses(1e-3)
