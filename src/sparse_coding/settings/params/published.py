"""The section `published`: dictionaries that were trained elsewhere, as rows beside those of the grid."""

from typing import Annotated, Literal

from pydantic import Field

from sparse_coding.settings.params.section import Count, Section, setting


class PublishedDictionary(Section):
    """One dictionary: where it lies, and the site that it is of."""

    path: str = setting(
        ...,
        "Its file or folder, in any format of docs/formats.md; or a name on the model hub.",
        place="files",
        min_length=1,
    )
    site: str = setting(..., "The site whose vectors it is of, one of `grid.sites`.", min_length=1)
    revision: str | None = setting(None, "Branch, tag or commit on the hub.", min_length=1)
    inside: str | None = setting(
        None, "Its file or folder in the repository on the hub; null: the whole of it.", min_length=1
    )
    of: Literal["residual", "mlp", "attention", "transcoder", "embedding"] | None = setting(
        None, "What it is of, where its format leaves that to a repository's name."
    )
    k: Count | None = setting(
        None, "Codes kept for each vector, where its format leaves that to a repository's name.", unit="codes / vector"
    )
    which: Annotated[int, Field(ge=0)] | None = setting(None, "Which one, in a file of several, from 0.")

    @property
    def told(self) -> dict[str, object]:
        """What is told of it beside its files, by name."""
        found = {"of": self.of, "k": self.k, "which": self.which}
        return {name: value for name, value in found.items() if value is not None}


class Published(Section):
    """Dictionaries that were trained elsewhere: measured, interpreted and drawn beside those that are trained here."""

    dictionaries: dict[str, PublishedDictionary] = setting(
        {}, "Name -> where it lies and what it is of; files and rows bear the name. Its fields:"
    )
