"""The section `machine`: what a run may take of the machine. Nothing in it changes a result."""

from sparse_coding.settings.params.section import Positive, Section, setting


class Machine(Section):
    """What a run may take: one that needs more is refused before it begins. What it needs: docs/scale.md."""

    disk: Positive | None = setting(
        None, "Most that may be written; null: what is free where results/ and .work lie.", unit="GiB",
        changes_results=False,
    )  # fmt: skip
    memory: Positive | None = setting(
        None, "Most memory of all jobs together; null: what is free.", unit="GiB", changes_results=False
    )
