"""What `params.yaml` may hold: one section a stage, each field with its unit, its source and its default.

Frozen, nothing unknown allowed, and no torch: the Snakefile reads this module at every parse. A field marked
`changes_results=False` changes how fast or in what portions work is done, never its result.
"""

from typing import Annotated, Literal

from pydantic import Field, field_validator

from sparse_coding.params.interpretation import (
    Autointerp,
    Caps,
    Connection,
    Llm,
    Nearest,
    Price,
    Questions,
    RandomWeights,
    Sampling,
    Scoring,
)
from sparse_coding.params.model import Model
from sparse_coding.params.section import (
    Architecture,
    Baseline,
    Count,
    NonNegative,
    Positive,
    Section,
    Share,
    setting,
)

__all__ = [
    "Activations",
    "Architecture",
    "Autointerp",
    "Baseline",
    "Baselines",
    "Caps",
    "Connection",
    "Dataset",
    "Dictionaries",
    "Evaluation",
    "Grid",
    "LearningRates",
    "Llm",
    "Model",
    "Nearest",
    "Only",
    "Params",
    "Plots",
    "Price",
    "Questions",
    "RandomWeights",
    "Sampling",
    "Scoring",
    "Section",
    "Training",
    "Transformer",
]


class Only(Section):
    """One allowed part of the grid; a list left out allows every value."""

    sites: tuple[str, ...] | None = None
    architectures: tuple[Architecture, ...] | None = None
    ratios: tuple[Positive, ...] | None = None


class Grid(Section):
    """Which dictionaries to train: the product of the lists, narrowed by `only`."""

    sites: tuple[str, ...] = setting(
        ("layer2_residual", "layer4_residual"),
        "Places in the model, layers from 0: `layerN_residual`, `_mlp`, `_mlpout` or `_attn`.",
    )
    architectures: tuple[Architecture, ...] = setting(
        ("tied", "untied", "topk"),
        "`tied` and `untied` are ReLU with an L1 penalty, `topk` keeps the k largest codes.",
        source="Cunningham et al. 2023; Gao et al. 2024 for TopK",
    )
    ratios: tuple[Positive, ...] = setting((1, 2, 4), "Features per activation dimension.", unit="features / dimension")
    l1: tuple[NonNegative, ...] = setting(
        (3e-4, 5e-4, 8e-4, 1.3e-3, 2e-3, 3e-3),
        "Weights of the L1 penalty, on activations scaled to unit mean norm (ReLU architectures).",
        unit="loss / code",
    )
    k: tuple[Count, ...] = setting((4, 8, 16, 32), "Codes kept for each vector (TopK).", unit="codes / vector")
    seeds: tuple[Annotated[int, Field(ge=0)], ...] = setting((0,), "Seeds of the initial weights.")
    only: tuple[Only, ...] = setting((), "Parts of the product to train; empty means all of it.")

    @field_validator("sites", "architectures", "ratios", "l1", "k", "seeds")
    @classmethod
    def _filled_and_distinct(cls, values: tuple) -> tuple:
        if not values:
            raise ValueError("at least one value")
        if len(set(values)) != len(values):
            raise ValueError("each value once")
        return values


class Dataset(Section):
    """Token blocks and interpretation fragments, from a corpus."""

    corpus: str = setting("pydocs", "`pydocs`, a folder of .txt/.md, a .jsonl or .parquet file, or a data hub name.")
    revision: str | None = setting(None, "Branch, tag or commit of a corpus on the data hub.")
    text_field: str = setting("text", "Column of the text in .jsonl, .parquet and hub corpora.")
    held_out_share: Share = setting(0.05, "Documents held out, for a corpus without a split of its own.", unit="share")
    context: Annotated[int, Field(ge=2)] = setting(128, "Length of a block, BOS included.", unit="tokens")
    bos: Literal["auto", "always", "never"] = setting(
        "auto", "Begin blocks with BOS; `auto`: if the tokenizer has one."
    )
    train_tokens: Count = setting(800_000, "Text tokens whose activations dictionaries train on.", unit="tokens")
    held_out_tokens: Count = setting(65_536, "Held-out text tokens that evaluation reads.", unit="tokens")
    fragments: Count = setting(4_000, "Interpretation fragments.", unit="fragments")
    fragment_tokens: Annotated[int, Field(ge=2)] = setting(64, "Length of a fragment, BOS not counted.", unit="tokens")
    seed: Annotated[int, Field(ge=0)] = setting(0, "Seed of the order of documents and the choice of fragments.")


class Activations(Section):
    """One HDF5 file a site, all sites in one forward pass."""

    dtype: Literal["float16", "bfloat16", "float32"] = setting("float16", "Stored number format.")
    precision: Literal["float32", "bfloat16"] = setting(
        "float32",
        "Arithmetic of the forward pass; bfloat16 is faster where the processor has it, and less exact.",
    )
    block_rows: Count = setting(4096, "Vectors under one checksum.", unit="vectors")
    batch_tokens: Count = setting(2048, "Tokens in one forward pass.", unit="tokens", changes_results=False)
    sites_per_pass: Count | None = setting(
        None,
        "Sites that are harvested together; null: all. Passes run side by side, and each holds the model.",
        unit="sites",
        changes_results=False,
    )
    imported: dict[str, str] = setting({}, "Site name -> folder of .npy, .safetensors or .pt vectors made elsewhere.")


class LearningRates(Section):
    """Peak learning rates; they differ because the architectures' gradients do."""

    tied: Positive = setting(2e-2, "Peak rate, tied.", source="docs/decisions.md: default grid")
    untied: Positive = setting(1e-2, "Peak rate, untied.", source="docs/decisions.md: default grid")
    topk: Positive = setting(4e-3, "Peak rate, TopK.", source="docs/decisions.md: default grid")


class Training(Section):
    """How a sparse autoencoder is trained, whatever its architecture."""

    steps: Count = setting(1000, "Optimiser steps.", unit="steps")
    batch: Count = setting(1024, "Vectors in a step.", unit="vectors")
    warmup_share: Share = setting(0.05, "Steps of linear warm-up of the rate.", unit="share of steps")
    decay_share: Share = setting(0.3, "Last steps, of linear decay of the rate to zero.", unit="share of steps")
    l1_warmup_share: Share = setting(0.1, "Steps of linear warm-up of the L1 penalty.", unit="share of steps")
    initial_density: Annotated[float, Field(gt=0, lt=1)] | None = setting(
        0.1,
        "Codes that are positive before the first step, by one bias for all features; null: biases of 0, half of them.",
        unit="share of codes",
        source="docs/decisions.md: first steps",
    )
    beta1: Annotated[float, Field(ge=0, lt=1)] = setting(
        0.9, "Adam's decay of the first moment.", source="Kingma & Ba 2015"
    )
    beta2: Annotated[float, Field(ge=0, lt=1)] = setting(
        0.999, "Adam's decay of the second moment.", source="Kingma & Ba 2015"
    )
    eps: Positive = setting(1e-8, "Adam's epsilon.", source="Kingma & Ba 2015")
    normalise: bool = setting(True, "Centre activations and scale them to unit mean norm; folded into the saved file.")
    shuffle_seed: Annotated[int, Field(ge=0)] = setting(0, "Seed of the order in which vectors are read.")
    buffer_rows: Count = setting(
        131_072,
        "Vectors that are mixed with one another; all are in memory, once, as stored, beside 32 batches in float32.",
        unit="vectors",
    )
    log_steps: Count = setting(20, "Steps between lines of the training log.", unit="steps")
    side_by_side: Count = setting(
        8,
        "Members of a cell that are trained on one reading of the data; a kill costs these at most.",
        unit="members",
        changes_results=False,
    )
    device: Literal["auto", "cpu", "cuda"] = setting(
        "auto",
        "Where training runs; auto: a GPU if there is one. Weights differ by rounding, as between processors.",
        changes_results=False,
    )
    gpu_precision: Literal["float32", "tf32", "bfloat16"] = setting(
        "float32", "Products on a GPU: tf32 rounds their factors, bfloat16 factors and results. The processor is exact."
    )


class Dictionaries(Training):
    """How sparse autoencoders are trained."""

    lr: LearningRates = setting(LearningRates(), "Peak learning rates of Adam, by architecture.")


class Baselines(Section):
    """Dictionaries that are not learned by gradient descent."""

    methods: tuple[Baseline, ...] = setting(("pca", "ica", "nmf", "neuron_basis", "random"), "Baselines to make.")
    topk: tuple[Count, ...] = setting((4, 8, 16, 32, 64), "Codes kept in the top-k variants.", unit="codes / vector")
    topk_methods: tuple[Literal["pca", "ica", "neuron_basis", "random"], ...] = setting(
        ("pca", "ica", "neuron_basis"), "Baselines with top-k variants."
    )
    ica_rows: Count = setting(60_000, "Vectors that ICA is fitted on.", unit="vectors")
    ica_iterations: Count = setting(200, "Most iterations of FastICA.", unit="iterations")
    nmf_rows: Count = setting(10_000, "Vectors that NMF is fitted on.", unit="vectors")
    nmf_iterations: Count = setting(100, "Iterations in which each row takes part, in visits of 20.", unit="iterations")
    nmf_encode_iterations: Count = setting(100, "Iterations of NMF's non-negative least squares.", unit="iterations")
    seed: Annotated[int, Field(ge=0)] = setting(0, "Seed of ICA, NMF and random directions.")


class Evaluation(Section):
    """Reconstruction and spliced-model metrics on held-out data."""

    splice_blocks: Count = setting(48, "Held-out blocks with the reconstruction spliced in, at most.", unit="blocks")
    gain_refit_rows: Count = setting(30_000, "Training vectors to fit the gain refit on, at most.", unit="vectors")
    alive_share: Share = setting(
        1e-4, "A feature is alive if it fires on more held-out vectors than this.", unit="share"
    )
    batch_rows: Count = setting(8192, "Vectors encoded at a time.", unit="vectors", changes_results=False)
    batch_blocks: Count = setting(8, "Blocks in one spliced pass.", unit="blocks", changes_results=False)


class Plots(Section):
    """How figures look."""

    dpi: Annotated[int, Field(ge=50, le=1200)] = setting(200, "Resolution.", unit="dots / inch")
    width: Positive = setting(12.0, "Width of a figure.", unit="inch")


class Transformer(Section):
    """The small language model that is trained here, into models/<name>."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")] = setting("pydocs-6l", "Folder under models/.")
    corpus: str = setting("pydocs", "As dataset.corpus.")
    vocabulary: Annotated[int, Field(ge=257)] = setting(4096, "Entries of the byte-level BPE.", unit="tokens")
    d_model: Count = setting(128, "Width of the residual stream.", unit="dimensions")
    layers: Count = setting(6, "Blocks.", unit="blocks")
    heads: Count = setting(4, "Attention heads.", unit="heads")
    context: Annotated[int, Field(ge=2)] = setting(128, "Length of a block, BOS included.", unit="tokens")
    batch: Count = setting(16, "Blocks in a step.", unit="blocks")
    steps: Count = setting(12_000, "Optimiser steps.", unit="steps")
    warmup_steps: Count = setting(200, "Steps of linear warm-up; then linear decay to zero.", unit="steps")
    lr_muon: Positive = setting(0.02, "Peak rate of Muon, for weight matrices.", source="Jordan et al. 2024")
    lr_adamw: Positive = setting(3e-3, "Peak rate of AdamW, for embeddings, biases and norms.")
    precision: Literal["float32", "bfloat16"] = setting("float32", "bfloat16 where the CPU has fast bf16 products.")
    checkpoint_steps: Count = setting(500, "Steps between checkpoints and held-out losses.", unit="steps")
    seed: Annotated[int, Field(ge=0)] = setting(0, "Seed of the initial weights and the order of blocks.")


class Params(Section):
    """The whole of params.yaml."""

    grid: Grid = Grid()
    model: Model = Model()
    dataset: Dataset = Dataset()
    activations: Activations = Activations()
    dictionaries: Dictionaries = Dictionaries()
    baselines: Baselines = Baselines()
    evaluation: Evaluation = Evaluation()
    autointerp: Autointerp = Autointerp()
    plots: Plots = Plots()
    transformer: Transformer = Transformer()
