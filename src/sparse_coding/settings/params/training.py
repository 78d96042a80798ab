"""How a sparse autoencoder is trained, whatever its architecture: of section dictionaries, what all of them read."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from sparse_coding.settings.params.choices import Chosen
from sparse_coding.settings.params.section import Count, Optimisation, Optimiser, Positive, refused, setting


class Training(Chosen, Optimisation):
    """How a sparse autoencoder is trained, whatever its architecture."""

    normalise: bool = setting(
        True,
        "Centre activations and scale them to unit mean norm, or to a `vector_length`; folded into the saved file.",
    )
    optimiser: Optimiser = setting(  # type: ignore[valid-type]
        "adam", "What moves the parameters; another one may be slower than Adam, which the fastest loops have in them."
    )
    legacy_adam: bool = setting(
        False,
        "Adam with the defect of the original: the moments are corrected as if each step were the first one.",
        source="docs/paper.md",
    )
    shuffle_seed: Annotated[int, Field(ge=0)] = setting(0, "Seed of the order in which vectors are read.")
    buffer_rows: Count = setting(
        131_072,
        "Vectors that are mixed with one another; all are in memory, once, as stored, beside 32 batches in float32.",
        unit="vectors",
    )
    log_steps: Count = setting(20, "Steps between lines of the training log.", unit="steps")
    side_by_side: Count = setting(
        8,
        "Members of a cell that are trained on one reading of the data; all of them are in memory.",
        unit="members",
        changes_results=False,
    )
    checkpoint_minutes: Positive = setting(
        10.0,
        "What is in training is written so often, below `.work`, until it is finished; a kill costs no more.",
        unit="minutes",
        changes_results=False,
    )
    device: Literal["auto", "cpu", "cuda"] = setting(
        "auto",
        "Where training runs; auto: a GPU if there is one (docs/what-there-is.md: GPU).",
        changes_results=False,
    )
    gpu_precision: Literal["float32", "tf32", "bfloat16"] = setting(
        "float32", "Products on a GPU: tf32 rounds their factors, bfloat16 factors and results. The processor is exact."
    )

    @model_validator(mode="after")
    def _windows_are_logged(self) -> "Training":
        if self.early_stop is not None and self.early_stop.window < self.log_steps:
            wanted = f"at least log_steps, {self.log_steps}: the log's loss decides"
            raise refused("early_stop.window", self.early_stop.window, wanted)
        return self
