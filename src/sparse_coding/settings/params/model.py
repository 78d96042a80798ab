"""The section `model`: which language model is analysed, in which format and where."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from sparse_coding.settings.params.section import Section, refused, setting

REVISION_A_STEP = "EleutherAI/pythia"


class Model(Section):
    """The language model whose activations are taken apart."""

    name: str = setting(
        "models/pydocs-6l", "A folder in Hugging Face format, or a name on the model hub.", place="model", min_length=1
    )
    revision: str | None = setting(None, "Branch, tag or commit on the hub.")
    checkpoint: Annotated[int, Field(ge=0)] | None = setting(
        None,
        "Training step, instead of `revision`, where the hub has a revision a step: EleutherAI/pythia.",
        unit="step",
    )
    trust_remote_code: bool = setting(False, "Run code that comes with the model.")
    dtype: Literal["float32", "bfloat16", "float16"] = setting(
        "float32", "Format of the weights and of the pass; activations and logits are float32 from there on."
    )
    centred_writing: bool = setting(
        False,
        "Take the mean over dimensions from `residual` and `mlpout`: LayerNorm does not see it, dictionaries do.",
        source="docs/paper.md",
    )
    device: Literal["auto", "cpu", "cuda"] = setting(
        "cpu", "Where the model runs; auto: a GPU if there is one (docs/what-there-is.md: GPU).", changes_results=False
    )
    device_map: Literal["auto"] | dict[str, int | str] | None = setting(
        None,
        "Instead of `device`, for several GPUs: module -> device, or auto. The weights must fit the memory first.",
        changes_results=False,
    )

    @model_validator(mode="after")
    def _one_revision(self) -> "Model":
        if self.checkpoint is not None and self.revision is not None:
            raise refused("checkpoint", self.checkpoint, "revision or checkpoint, not both")
        if self.checkpoint is not None and not self.name.startswith(REVISION_A_STEP):
            wanted = f"checkpoint only with a name that begins with {REVISION_A_STEP}; else revision"
            raise refused("checkpoint", self.checkpoint, wanted)
        return self

    @property
    def at(self) -> str | None:
        """The revision on the hub that is meant; None: main."""
        return self.revision if self.checkpoint is None else f"step{self.checkpoint}"
