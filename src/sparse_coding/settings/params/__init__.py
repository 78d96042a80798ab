"""What `params.yaml` may hold: one section a stage, each field with its unit, its source and its default.

Frozen, nothing unknown allowed, and no torch: the Snakefile reads this module at every parse. A field marked
`changes_results=False` changes how fast or in what portions work is done, never its result.
"""

from typing import Annotated, Literal

from pydantic import Field, field_validator

from sparse_coding.methods import Strength
from sparse_coding.settings.params.baselines import Baselines
from sparse_coding.settings.params.choices import Own
from sparse_coding.settings.params.dataset import Dataset
from sparse_coding.settings.params.dictionaries import Dictionaries, own_section
from sparse_coding.settings.params.interpretation import (
    MOST_FAILED,
    SET_HERE,
    WHOLE_TEXTS,
    Autointerp,
    Caps,
    Connection,
    Llm,
    LlmScorer,
    Nearest,
    Price,
    Questions,
    RandomWeights,
    Sampling,
    Scoring,
    host_of,
)
from sparse_coding.settings.params.machine import Machine
from sparse_coding.settings.params.model import Model
from sparse_coding.settings.params.published import Published, PublishedDictionary
from sparse_coding.settings.params.section import (
    Architecture,
    Baseline,
    Control,
    Count,
    NonNegative,
    Positive,
    Section,
    Share,
    VariantName,
    distinct,
    filled_and_distinct,
    named_apart,
    setting,
)
from sparse_coding.settings.params.toy import Toy
from sparse_coding.settings.params.training import Training
from sparse_coding.settings.params.transformer import Transformer
from sparse_coding.variants import FITTED, Variant, in_order

__all__ = [
    "MOST_FAILED",
    "SET_HERE",
    "WHOLE_TEXTS",
    "Activations",
    "Architecture",
    "Autointerp",
    "Baseline",
    "Baselines",
    "Caps",
    "Connection",
    "Control",
    "Dataset",
    "Dictionaries",
    "Evaluation",
    "Grid",
    "Llm",
    "LlmScorer",
    "Machine",
    "Model",
    "Nearest",
    "Only",
    "Own",
    "Params",
    "Plots",
    "Price",
    "Published",
    "PublishedDictionary",
    "Questions",
    "RandomWeights",
    "Sampling",
    "Scoring",
    "Section",
    "Toy",
    "Training",
    "Transformer",
    "host_of",
    "own_section",
]


class Only(Section):
    """One allowed part of the grid; a list left out allows every value."""

    sites: tuple[str, ...] | None = None
    architectures: tuple[Architecture, ...] | None = None
    ratios: tuple[Positive, ...] | None = None
    strengths: tuple[Strength, ...] | None = None
    controls: tuple[Control, ...] | None = None  # [] for none of them: what they control is there in any case


class Grid(Section):
    """Which dictionaries to train: the product of the lists, narrowed by `only`."""

    sites: tuple[str, ...] = setting(
        ("layer2_residual", "layer4_residual"),
        "Places in the model, layers from 0: `layerN_residual`, `_mlp`, `_mlpout`, `_attn` or `_mlpin`; a pair: "
        "`layerN_mlpin_to_mlpout`.",
    )
    architectures: tuple[Architecture, ...] = setting(
        ("tied", "untied", "topk"),
        "Kinds of sparse autoencoder, each with the strength that its members differ in (l1, k or l0): "
        "docs/what-there-is.md.",
        source="Cunningham et al. 2023; of the others: docs/what-there-is.md",
    )
    ratios: tuple[Positive, ...] = setting((1, 2, 4), "Features per activation dimension.", unit="features / dimension")
    l1: tuple[NonNegative, ...] = setting(
        (3e-4, 5e-4, 8e-4, 1.3e-3, 2e-3, 3e-3),
        "Weights of the L1 penalty, on activations scaled to unit mean norm (ReLU architectures).",
        unit="loss / code",
    )
    k: tuple[Count, ...] = setting(
        (4, 8, 16, 32), "Codes kept for each vector, or on average (kinds of TopK).", unit="codes / vector"
    )
    l0: tuple[Positive, ...] = setting(
        (),
        "Codes wished for each held-out vector, on average: members of every architecture, beside those of its own "
        "list; JumpReLU has this list alone.",
        unit="codes / vector",
        source="docs/decisions.md: a wished L0",
    )
    seeds: tuple[Annotated[int, Field(ge=0)], ...] = setting((0,), "Seeds of the initial weights.")
    controls: tuple[Control, ...] = setting(
        (),
        "Dictionaries beside each cell of which something is held: `frozen_decoder` and `frozen_encoder` stay random "
        "unit rows, those of `soft_frozen_decoder` within a cosine of 0.8 of these; `step0` is not trained. With one "
        "matrix there is no frozen encoder.",
        source="arXiv:2602.14111",
    )
    only: tuple[Only, ...] = setting(
        (),
        "Parts of the product to train; empty means all of it. A part that matches nothing is refused. `strengths` are "
        "the lists that members come from: `l1`, `k`, `l0`.",
    )

    _lists = field_validator("sites", "architectures", "ratios", "seeds")(filled_and_distinct)
    _strengths = field_validator("l1", "k", "l0", "controls")(
        distinct
    )  # filled where an architecture takes it: grid_checks
    _names = field_validator("ratios", "l1", "l0")(named_apart)


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


class Evaluation(Section):
    """Reconstruction and spliced-model metrics on held-out data."""

    splice_blocks: Count = setting(48, "Held-out blocks with the reconstruction spliced in, at most.", unit="blocks")
    gain_refit_rows: Count | None = setting(
        30_000,
        "Training vectors to fit the gain refit on, at most; null: no refit, which takes n_feat^2 of memory.",
        unit="vectors",
    )
    variants: tuple[VariantName, ...] | None = setting(
        None,
        "What each dictionary is measured as, beside as it is: `gain_refit`, `threshold_refit`, `matching_pursuit` "
        "(docs/what-there-is.md); null: `gain_refit` alone.",
    )

    _variants = field_validator("variants")(lambda values: values if values is None else distinct(values))

    def variants_of(self, kind: str, k: int | None) -> tuple[Variant, ...]:
        """In which variants a dictionary of this kind, which keeps k codes or None, is measured, beside as it is."""
        asked = ("gain_refit",) if self.variants is None else self.variants
        made = [name for name in asked if self.gain_refit_rows is not None or name not in FITTED]
        return tuple(row for row in in_order(made) if row.is_of(kind, k))

    alive_share: Share = setting(
        1e-4, "A feature is alive if it fires on more held-out vectors than this.", unit="share"
    )
    batch_rows: Count = setting(8192, "Vectors encoded at a time.", unit="vectors", changes_results=False)
    batch_blocks: Count = setting(8, "Blocks in one spliced pass.", unit="blocks", changes_results=False)


class Plots(Section):
    """How figures look."""

    dpi: Annotated[int, Field(ge=50, le=1200)] = setting(200, "Resolution.", unit="dots / inch")
    width: Positive = setting(12.0, "Width of a figure.", unit="inch")


class Params(Section):
    """The whole of params.yaml."""

    grid: Grid = Grid()
    model: Model = Model()
    dataset: Dataset = Dataset()
    activations: Activations = Activations()
    dictionaries: Dictionaries = Dictionaries()
    published: Published = Published()
    baselines: Baselines = Baselines()
    evaluation: Evaluation = Evaluation()
    autointerp: Autointerp = Autointerp()
    plots: Plots = Plots()
    transformer: Transformer = Transformer()
    toy: Toy = Toy()
    machine: Machine = Machine()
