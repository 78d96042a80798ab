"""What the features of a dictionary are: on a text, in the corpus, for the next token, and in another dictionary."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import normalize

from sparse_coding.core.dictionary import Dictionary
from sparse_coding.core.finder import largest_codes
from sparse_coding.errors import BadInput
from sparse_coding.io import tokens as token_files
from sparse_coding.io.activations import open_activations
from sparse_coding.lm.holding import held
from sparse_coding.lm.loading import load
from sparse_coding.lm.model import WRITING, LanguageModel
from sparse_coding.portions.encoding import ENCODE_ROWS
from sparse_coding.settings import declared, hub_lock, params_file, sites

ATOMS = 4096  # that are compared at a time
PARAMS = Path("params.yaml")
FAR = 1000.0  # so that what a norm adds to the variance is nothing beside a direction


@dataclass(frozen=True)
class Firing:
    """A feature and its code, in the units of activations."""

    feature: int
    code: float


@dataclass(frozen=True)
class OnToken:
    """A token of a text, and the features that fire there, the strongest first; none on special tokens."""

    token: str
    firing: tuple[Firing, ...]


@dataclass(frozen=True)
class Context:
    """A piece of the corpus, token by token, with the codes of one feature."""

    tokens: tuple[str, ...]
    codes: tuple[float, ...]

    @property
    def strongest(self) -> int:
        """The place of the largest code."""
        return int(np.argmax(self.codes))

    def __str__(self) -> str:
        parts = [f"\u00ab{token}\u00bb" if at == self.strongest else token for at, token in enumerate(self.tokens)]
        return "".join(parts)


@dataclass(frozen=True)
class OfToken:
    """A token, its share of all codes of a feature, the mean of its codes, and how often the feature fires on it."""

    token: str
    share: float
    mean: float
    rate: float


@dataclass(frozen=True)
class Lens:
    """Tokens whose logits a feature raises most, and lowers most: with their logits, less the mean of all tokens', of a
    stream that holds nothing but its direction."""

    promoted: tuple[tuple[str, float], ...]
    suppressed: tuple[tuple[str, float], ...]


@dataclass(frozen=True, eq=False)
class Matches:
    """Of each feature of one dictionary the nearest of another: its number, their cosine, and whether it is the other's
    nearest too."""

    index: Int[Tensor, " n"]
    cosine: Float[Tensor, " n"]
    mutual: Bool[Tensor, " n"]


def features_of(dictionary: Dictionary, text: str, model: LanguageModel | None = None, top: int = 5) -> list[OnToken]:
    """Which features fire on which tokens of `text`, at most `top` each.

    model: that of params.yaml without it. Raises BadInput for a text without tokens, one that is longer than the model
    reads, and a dictionary that names no site.
    """
    model = model or _own_model()
    site = sites.parse(_site(dictionary))
    ids = model.tokenizer(text, add_special_tokens=False)["input_ids"]
    if not ids:
        raise BadInput("text", repr(text[:50]), "one with a token at least")
    leading = [] if model.bos is None else [model.bos]
    longest = model.n_context or len(ids) + 1
    if len(leading) + len(ids) > longest:
        raise BadInput("text", f"{len(ids)} tokens", f"at most {longest - len(leading)}, which the model reads at once")
    x = model.harvest(torch.tensor([leading + ids]), [site])[site.name][0, len(leading) :, : dictionary.d_in]
    codes = dictionary.encode(x)
    special = set(model.tokenizer.all_special_ids)
    found = []
    for token, row in zip(ids, codes, strict=True):
        values, features = row.topk(min(top, dictionary.n_feat))
        firing = [Firing(int(f), float(v)) for f, v in zip(features, values, strict=True) if v > 0]
        found.append(OnToken(str(model.tokenizer.decode([token])), () if token in special else tuple(firing)))
    return found


def top_texts(dictionary: Dictionary, feature: int, n: int = 10, results: str | Path = "results") -> list[Context]:
    """The `n` fragments of the corpus on which a feature has its largest codes, the largest first; none without it.

    Tokens and activations are those of `results`; raises BadInput where they were not made.
    """
    ids, codes, vocabulary = _on_fragments(dictionary, feature, Path(results))
    ranks = np.argsort(-codes.max(axis=1), kind="stable")[:n]
    return [
        Context(tuple(vocabulary[token] for token in ids[at]), tuple(codes[at].tolist()))
        for at in ranks if codes[at].max() > 0
    ]  # fmt: skip


def top_tokens(dictionary: Dictionary, feature: int, n: int = 10, results: str | Path = "results") -> list[OfToken]:
    """The `n` tokens that have most of a feature's codes in the fragments, by their sum. Raises as top_texts."""
    ids, codes, vocabulary = _on_fragments(dictionary, feature, Path(results))
    sums = np.bincount(ids.ravel(), codes.ravel(), len(vocabulary))
    firing = np.bincount(ids.ravel(), codes.ravel() > 0, len(vocabulary))
    there = np.bincount(ids.ravel(), minlength=len(vocabulary))
    found = [token for token in np.argsort(-sums, kind="stable")[:n] if sums[token] > 0]
    return [
        OfToken(vocabulary[token], sums[token] / sums.sum(), sums[token] / firing[token], firing[token] / there[token])
        for token in found
    ]


def _on_fragments(
    dictionary: Dictionary, feature: int, results: Path
) -> tuple[Int[np.ndarray, "fragment token"], Float[np.ndarray, "fragment token"], list[str]]:
    """Token ids, codes of a feature, and what the tokens are."""
    if not 0 <= feature < dictionary.n_feat:
        raise BadInput("feature", str(feature), f"one from 0 to {dictionary.n_feat - 1}")
    first = declared.vectors_of(_site(dictionary))["activations"]
    place = results.joinpath(*Path(first).parts[1:])
    text = token_files.load(results / "dataset" / "tokens.h5")
    ids = text.fragments[:, text.fragments.shape[1] - text.fragment_tokens :]
    with open_activations(place) as file:
        fragments = file.split("fragments")
        if not np.array_equal(fragments.token, ids.ravel()):
            raise BadInput(f"{place}: fragments", "other tokens", "those of the token file; make the activations again")
        return ids, _codes(dictionary, fragments, feature).reshape(ids.shape), text.vocabulary


def _codes(dictionary: Dictionary, fragments: Any, feature: int) -> Float[np.ndarray, " row"]:
    chosen, found = torch.tensor([feature]), []
    for start in range(0, fragments.n_rows, ENCODE_ROWS):
        rows = fragments.read(start, min(start + ENCODE_ROWS, fragments.n_rows))
        found.append(dictionary.encode_features(rows, chosen, largest_codes)[:, 0].numpy())
    return np.concatenate(found)


def logit_lens(dictionary: Dictionary, feature: int, model: Any = None, tokenizer: Any = None, n: int = 10) -> Lens:
    """Which tokens a feature promotes and suppresses: its direction through the last norm and the unembedding.

    What later blocks make of it is left out, and so is all that it stands beside. model, tokenizer: of transformers, or
    a TransformerBridge, which has its own; those of params.yaml without them. Raises BadInput for a site that is not in
    the residual stream.
    """
    return logit_lenses(dictionary, [feature], model, tokenizer, n)[0]


def logit_lenses(
    dictionary: Dictionary, features: Sequence[int], model: Any = None, tokenizer: Any = None, n: int = 10
) -> list[Lens]:
    """`logit_lens` of each of several features: one product for all of them, so len(features) x vocabulary numbers."""
    site = sites.parse(_site(dictionary)).places[-1]
    if site.location not in WRITING:
        raise BadInput(f"site {site.name}", site.location, f"one that is in the residual stream: {', '.join(WRITING)}")
    for feature in features:
        if not 0 <= feature < dictionary.n_feat:
            raise BadInput("feature", str(feature), f"one from 0 to {dictionary.n_feat - 1}")
    if model is None:
        loaded = load(hub_lock.pinned(params_file.load(PARAMS)).model)
        model, tokenizer = loaded.network, loaded.tokenizer
    there, tokenizer = held(model), tokenizer or getattr(model, "tokenizer", None)
    if tokenizer is None:
        raise BadInput("tokenizer", "none", "the tokenizer of the model")
    network: Any = there.network
    head = network.get_output_embeddings()
    if head is None:
        raise BadInput("model", "no unembedding", "a model with a head")
    directions = dictionary.atoms[list(features)].to(head.weight)
    norm = there.final_norm()
    with torch.no_grad():
        if norm is not None:
            directions = norm(FAR * directions) - norm(torch.zeros_like(directions))  # without its bias
        logits = (directions @ head.weight.T).float()
    logits -= logits.mean(dim=1, keepdim=True)
    return [_lens(row, tokenizer, n) for row in logits]


def _lens(logits: Float[Tensor, " vocabulary"], tokenizer: Any, n: int) -> Lens:
    def named(found: Any) -> tuple[tuple[str, float], ...]:
        return tuple((tokenizer.decode([int(token)]), float(logits[token])) for token in found.indices)

    n = min(n, len(logits))
    return Lens(named(logits.topk(n)), named(logits.topk(n, largest=False)))


def nearest(one: Dictionary, other: Dictionary) -> Matches:
    """Of each feature of `one` the feature of `other` whose atom has the largest cosine with its own.

    Raises BadInput where their atoms have different widths.
    """
    if one.d_out != other.d_out:
        raise BadInput("nearest", f"atoms of {one.d_out} and {other.d_out} dimensions", "of the same space")
    first, second = normalize(one.atoms.double(), dim=1), normalize(other.atoms.double(), dim=1)
    forth, cosine = _nearest(first, second)
    back, _ = _nearest(second, first)
    return Matches(forth, cosine.float(), back[forth] == torch.arange(len(forth)))


def _nearest(one: Tensor, other: Tensor) -> tuple[Tensor, Tensor]:
    found = [(part @ other.T).max(dim=1) for part in one.split(ATOMS)]
    return torch.cat([each.indices for each in found]), torch.cat([each.values for each in found])


def _site(dictionary: Dictionary) -> str:
    if dictionary.site is None:
        raise BadInput("dictionary", "one that names no site", "one of a site, as load_dictionary gives it")
    return dictionary.site


def _own_model() -> LanguageModel:
    return LanguageModel.load(hub_lock.pinned(params_file.load(PARAMS)).model)
