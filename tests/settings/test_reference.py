"""docs/params.md is the schema in words."""

import re

from sparse_coding.settings import reference
from sparse_coding.settings.params import Params, Section, setting
from tests.workspace import ROOT


def test_the_page_is_up_to_date():
    written = (ROOT / "docs" / "params.md").read_text(encoding="utf-8")
    assert written == reference.page(), "docs/params.md differs from the schema: run `make docs`"


def test_every_field_of_every_section_stands_on_the_page_once():
    page = reference.page()
    for name, field in Params.model_fields.items():
        assert field.annotation is not None
        section = page.split(f"\n## {name}\n")[1].split("\n## ")[0]
        for own in field.annotation.model_fields:
            assert len(re.findall(rf"^\| `{own}`\*? \|", section, re.MULTILINE)) == 1, f"{name}.{own}"
    assert "| `tied.lr` |" in page
    assert "| `random_weights.ratio` | features / dimension | `4` |" in page


def test_units_sources_defaults_and_harmless_fields_are_marked(monkeypatch):
    class Example(Section):
        """A section."""

        size: int = setting(3, "A | size.", unit="rows", source="Someone 2020", changes_results=False)
        shares: tuple[float, ...] = setting((0.1, 1e-5), "Shares.")
        nothing: str | None = setting(None, "Nothing.")

    class Whole(Section):
        """All."""

        example: Example = Example()

    monkeypatch.setattr(reference, "Params", Whole)
    lines = reference.page().splitlines()
    assert "## example" in lines
    assert "| `size`* | rows | `3` | A \\| size. (Someone 2020) |" in lines
    assert "| `shares` |  | `[0.1, 1e-05]` | Shares. |" in lines
    assert "| `nothing` |  | `null` | Nothing. |" in lines
