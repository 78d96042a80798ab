"""What `params.yaml` says about the small language model that is trained here."""

from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator

from sparse_coding.settings.params.section import Count, NonNegative, Positive, Section, setting

TRAINED = "train"  # a tokenizer that is not there yet


class Transformer(Section):
    """The small language model that is trained here, into models/<name>."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")] = setting("pydocs-6l", "Folder under models/.")
    corpus: str = setting("pydocs", "As dataset.corpus.", place="files")
    corpus_revision: str | None = setting(None, "Branch, tag or commit of a corpus on the data hub.")
    subset: str | None = setting(None, "As dataset.subset.")
    split: str | None = setting(None, "As dataset.split; a slice, `train[:1%]`, where `documents` is null.")
    documents: Count | None = setting(
        None,
        "Stream the corpus and train on so many of its documents, and hold out a twentieth of that; null: all, read "
        "whole.",
        unit="documents",
    )
    shuffle_buffer: Count = setting(
        10_000, "Documents that are mixed with one another where the corpus is streamed.", unit="documents"
    )
    text_field: str = setting("text", "As dataset.text_field.")
    tokenizer: str = setting(
        TRAINED, "`train`: a byte-level BPE of the corpus; or a folder or hub name, such as gpt2.", place="files"
    )
    tokenizer_revision: str | None = setting(None, "Branch, tag or commit of a tokenizer on the hub.")
    tokenizer_fallback: bool = setting(
        False,
        "Train one where `tokenizer` is a hub name that is not in hub.lock.json, and say so; else that is an error.",
    )
    vocabulary: Annotated[int, Field(ge=257)] = setting(4096, "Entries of the byte-level BPE.", unit="tokens")
    architecture: Literal["gpt_neox", "gpt2"] = setting("gpt_neox", "Class of the model in transformers.")
    d_model: Count = setting(128, "Width of the residual stream.", unit="dimensions")
    layers: Count = setting(6, "Blocks.", unit="blocks")
    heads: Count = setting(4, "Attention heads; a divisor of d_model.", unit="heads")
    dropout: Annotated[float, Field(ge=0, lt=1)] = setting(
        0.0, "Dropout of embeddings, attention and what blocks add.", unit="share"
    )
    context: Annotated[int, Field(ge=2)] = setting(128, "Length of a block, BOS included.", unit="tokens")
    batch: Count = setting(16, "Blocks in a step, of all processes together.", unit="blocks")
    steps: Count = setting(12_000, "Optimiser steps.", unit="steps")
    warmup_steps: Count = setting(200, "Steps of linear warm-up; then linear decay to zero.", unit="steps")
    optimiser: Literal["muon", "adamw"] = setting("muon", "`muon`: Muon for weight matrices, AdamW for the rest.")
    lr_muon: Positive = setting(0.02, "Peak rate of Muon, for weight matrices.", source="Jordan et al. 2024")
    lr_adamw: Positive = setting(3e-3, "Peak rate of AdamW, for all that Muon does not train.")
    weight_decay: NonNegative = setting(0.01, "Decoupled weight decay, times the rate.", unit="share / step")
    precision: Literal["float32", "bfloat16"] = setting("float32", "bfloat16 where the device has fast bf16 products.")
    device: Literal["auto", "cpu", "cuda"] = setting(
        "auto",
        "Where training runs; auto: a GPU if there is one (docs/what-there-is.md: GPU).",
        changes_results=False,
    )
    checkpoint_steps: Count = setting(500, "Steps between checkpoints and held-out losses.", unit="steps")
    seed: Annotated[int, Field(ge=0)] = setting(0, "Seed of the initial weights, the order of blocks and dropout.")

    @field_validator("heads")
    @classmethod
    def _divides_the_width(cls, heads: int, info: ValidationInfo) -> int:
        d_model = info.data.get("d_model")
        if d_model is not None and d_model % heads:
            raise ValueError(f"a divisor of d_model, {d_model}")
        return heads
