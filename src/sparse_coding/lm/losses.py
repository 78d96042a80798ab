"""What a language model loses with dictionaries at one site, as columns of the evaluation table.

`loss_kind` says what is measured: `next_token` in a causal model, `masked` in an encoder with a head and a mask token,
`none` in a model without one of them, whose final hidden states are compared instead.
"""

import sys
from collections.abc import Callable, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from sparse_coding.core.metrics import held_out_text
from sparse_coding.core.metrics.final_states import FinalStates
from sparse_coding.core.metrics.held_out_text import HeldOutText
from sparse_coding.core.metrics.splice import Replace, Spliced, is_special
from sparse_coding.io.tokens import PADDING, Tokens
from sparse_coding.lm.model import LanguageModel
from sparse_coding.lm.splicing import splice, splice_states
from sparse_coding.settings.params import Evaluation
from sparse_coding.settings.sites import Site


def measured(
    model: LanguageModel, site: Site, corpus: Tokens, mean: Float[Tensor, " d_act"], settings: Evaluation, threads: int
) -> Callable[[Sequence[Replace]], list[dict[str, Any]]]:
    """What gives, for each reconstruction at `site`, the columns of what the model loses on held-out blocks.

    mean: of the training vectors. A line on stderr says so where there is no loss of the next token.
    """
    kind, text = _text(model, site, corpus, settings.splice_blocks)
    how: dict[str, int] = {"batch_blocks": settings.batch_blocks, "threads": threads}
    if kind == "none":
        return lambda replacements: [
            _states_columns(each) for each in splice_states(model, site, text, mean, replacements, **how)
        ]
    return lambda replacements: [
        _loss_columns(kind, each) for each in splice(model, site, text, mean, replacements, **how)
    ]


def _text(model: LanguageModel, site: Site, corpus: Tokens, n_blocks: int) -> tuple[str, HeldOutText]:
    """The kind of loss that the model has, and what it reads and predicts for it."""
    tokens = torch.from_numpy(corpus.held_out.tokens[:n_blocks]).long()
    padding = torch.from_numpy(corpus.held_out.document[:n_blocks] == PADDING)
    special, mask_id = is_special(tokens, corpus.special), model.tokenizer.mask_token_id
    is_causal = model.is_causal()
    if model.has_head and is_causal:
        return "next_token", held_out_text.plain(tokens, special)
    if model.has_head and mask_id is not None and mask_id < model.n_vocabulary:
        _say(site, f"{model.name} sees later tokens: no next-token loss, but that of masked tokens")
        return "masked", held_out_text.masked(tokens, special, padding, mask_id)
    lacks = "no mask token" if model.has_head else "no head that predicts tokens"
    _say(site, f"{model.name} has {lacks}: no loss, but what its final hidden states lose")
    return "none", held_out_text.plain(tokens, special, None if is_causal else padding)


def _say(site: Site, words: str) -> None:
    print(f"evaluation {site.name}: {words}", file=sys.stderr)


def _loss_columns(kind: str, spliced: Spliced) -> dict[str, Any]:
    references = spliced.references
    return {
        "loss_kind": kind,
        **spliced.ce.columns("ce"),
        "ce_clean": references.ce(references.clean).value,
        "ce_mean_ablated": references.ce(references.mean_ablated).value,
        "ce_zero_ablated": references.ce(references.zero_ablated).value,
        "perplexity": spliced.perplexity,
        **spliced.kl.columns("kl"),
        **spliced.loss_recovered.columns("loss_recovered"),
        "loss_recovered_zero": spliced.loss_recovered_zero.value,
        "n_tokens": int(references.n_tokens.sum()),
    }


def _states_columns(states: FinalStates) -> dict[str, Any]:
    return {
        "loss_kind": "none",
        **states.fvu.columns("final_fvu"),
        **states.cosine.columns("final_cosine"),
        "final_fvu_mean_ablated": states.fvu_mean_ablated.value,
        "n_tokens": int(states.n_tokens.sum()),
    }
