"""Which text is read, and how it becomes blocks and fragments of tokens."""

from typing import Annotated, Literal

from pydantic import Field

from sparse_coding.settings.params.section import Count, Section, Share, setting


class Dataset(Section):
    """Token blocks and interpretation fragments, from a corpus."""

    corpus: str = setting(
        "pydocs", "`pydocs`, a file, a folder, or a data hub name: docs/your-own.md, Corpus.", place="files"
    )
    revision: str | None = setting(None, "Branch, tag or commit of a corpus on the data hub.")
    subset: str | None = setting(None, "Subset (configuration) of a hub corpus or a local copy of one.")
    split: str | None = setting(
        None, "Split to train on, or a slice such as `train[:10%]` where `streaming` is off; null: `train`."
    )
    text_field: str = setting("text", "Column of the text, where a document is a row.")
    streaming: bool | Literal["auto"] = setting(
        "auto", "Read only as many documents as are needed; `auto`: of a hub corpus, not of a local one."
    )
    shuffle_buffer: Count = setting(
        10_000, "Documents that are mixed with one another where `streaming` is on.", unit="documents"
    )
    held_out_share: Share = setting(0.05, "Documents held out, for a corpus without a split of its own.", unit="share")
    context: Annotated[int, Field(ge=2)] = setting(128, "Length of a block, BOS included.", unit="tokens")
    bos: Literal["auto", "always", "never"] = setting(
        "auto", "Begin blocks with BOS; `auto`: if the tokenizer has one."
    )
    packing: Literal["packed", "documents"] = setting(
        "packed", "`packed`: documents end to end; `documents`: a block each, cut or padded to `context`."
    )
    train_on_special: bool = setting(
        False, "Train on vectors of BOS and document ends too; padding, evaluation and fragments stay without."
    )
    train_tokens: Count = setting(800_000, "Text tokens whose activations dictionaries train on.", unit="tokens")
    held_out_tokens: Count = setting(65_536, "Held-out text tokens that evaluation reads.", unit="tokens")
    fragments: Count = setting(4_000, "Interpretation fragments.", unit="fragments")
    fragment_tokens: Annotated[int, Field(ge=2)] = setting(64, "Length of a fragment, BOS not counted.", unit="tokens")
    seed: Annotated[int, Field(ge=0)] = setting(0, "Seed of the order of documents and the choice of fragments.")
