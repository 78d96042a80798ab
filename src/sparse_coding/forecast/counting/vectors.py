"""How many tokens and vectors there will be, and how wide they are."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from sparse_coding import methods
from sparse_coding.forecast.counting import imported, published, shapes
from sparse_coding.forecast.counting.corpus import DOCUMENT_TOKENS
from sparse_coding.settings import sites
from sparse_coding.settings.params import Params
from sparse_coding.settings.slices import Described


@dataclass(frozen=True)
class Rows:
    """Vectors of one site, by split."""

    train: int
    held_out: int
    fragments: int

    @property
    def all(self) -> int:
        """Vectors of all splits."""
        return self.train + self.held_out + self.fragments


@dataclass(frozen=True)
class Sizes:
    """The sizes that everything follows from."""

    params: Params

    @cached_property
    def model(self) -> shapes.ModelShape:
        """The model's. Raises BadInput where its config is not here."""
        return shapes.of_params(self.params)

    @cached_property
    def begins(self) -> bool:
        """Whether blocks and fragments begin with BOS."""
        bos = self.params.dataset.bos
        return bos == "always" or (bos == "auto" and self.model.begins)

    def width(self, site: str) -> int:
        """The dimensions of a vector; of a pair, of one that is encoded.

        Raises BadInput as `model`, or as imported.rows_and_width.
        """
        folder = self.params.activations.imported.get(site)
        return imported.rows_and_width(folder)[1] if folder else self.model.width(sites.parse(site).location)

    def out_width(self, site: str) -> int:
        """The dimensions of what is put together. Raises as `width`."""
        return self.width(sites.places(site)[-1])

    def read_width(self, site: str) -> int:
        """Numbers of a row that is trained on: of a pair, of both places. Raises as `width`."""
        return sum(map(self.width, sites.places(site)))

    def rows(self, site: str) -> Rows:
        """Text tokens in whole blocks: half a block more than asked for, on average."""
        folder = self.params.activations.imported.get(site)
        if folder:
            n = imported.rows_and_width(folder)[0]
            held_out = round(n * self.params.dataset.held_out_share)
            return Rows(n - held_out, held_out, 0)
        own = self.params.dataset
        train = self.text_tokens(own.train_tokens)
        if own.train_on_special:
            train = round(train * self._special)
        return Rows(train, self.text_tokens(own.held_out_tokens), own.fragments * own.fragment_tokens)

    def text_tokens(self, wanted: int) -> int:
        """Text tokens of as many whole blocks as hold `wanted`."""
        return wanted + self.params.dataset.context // 2

    @property
    def _special(self) -> float:
        """Tokens, special ones counted, for each token of text."""
        context = self.params.dataset.context
        return context / (context - self.begins) * (1 + 1 / DOCUMENT_TOKENS)

    def blocks(self, wanted: int) -> int:
        """Blocks that hold so many tokens of text."""
        return -(-round(self.text_tokens(wanted) * self._special) // self.params.dataset.context)

    @property
    def fragment_length(self) -> int:
        """Tokens of a fragment, BOS counted."""
        return self.params.dataset.fragment_tokens + self.begins

    @property
    def tokens(self) -> int:
        """All tokens that go through the model in one harvest."""
        own = self.params.dataset
        blocks = self.blocks(own.train_tokens) + self.blocks(own.held_out_tokens)
        return blocks * own.context + own.fragments * self.fragment_length

    def of_row(self, site: str, row: Described) -> int:
        """Features of a dictionary that tables describe. Raises as `features`, and as published.features."""
        if methods.is_published(row.kind):
            made = Path("results") / "published" / site / f"{row.name}.safetensors"
            return published.features(self.params.published.dictionaries[row.name], made, self.width(site))
        return self.features(site, row.kind, row.ratio)

    def features(self, site: str, kind: str, ratio: float | None) -> int:
        """Features of a dictionary; of a baseline as many as dimensions, or with signs each direction twice."""
        width, about = self.width(site), methods.of(kind)
        if ratio is not None and about.is_learned:
            return max(1, round(ratio * width))
        if about.constant:
            return 0
        return 2 * min(width, self.out_width(site)) if about.signed else width
