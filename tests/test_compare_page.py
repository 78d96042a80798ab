"""docs/compare-with.md: the numbers that it quotes stand in benchmarks/RESULTS.md, the versions in what is pinned."""

import re

import pytest

from sparse_coding import methods
from tests.workspace import ROOT

PAGE = (ROOT / "docs/compare-with.md").read_text(encoding="utf-8")
RESULTS = (ROOT / "benchmarks/RESULTS.md").read_text(encoding="utf-8")
WIDE = "### 512 dimensions, 2048 features, 1024 vectors a batch: times ours, median\n"
# Where a table of the page is: what stands before it; where its numbers are from; and what names a row.
QUOTED = [
    ("With fast products of int8 (AVX-512):\n", f"## Training\n|{WIDE}", ("setting",)),
    ("Without (AVX2):\n", f"## Training, on a processor without fast products of int8\n|{WIDE}", ("setting",)),
    ("FVU on held-out text at an L0 of 16.\n", "## Quality\n", ("kind", "trainer")),
]


def behind(text: str, *marks: str) -> str:
    """What follows the marks, one after the other."""
    for mark in marks:
        assert mark in text, mark
        text = text.partition(mark)[2]
    return text


def first_table(text: str) -> list[dict[str, str]]:
    """The rows of the first table, by the names of its columns."""
    lines = re.search(r"(?:^\|.*\|\n)+", text, re.MULTILINE).group().splitlines()
    head, _, *rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [dict(zip(head, row, strict=True)) for row in rows]


@pytest.mark.parametrize(("before", "source", "names"), QUOTED, ids=["avx512", "avx2", "quality"])
def test_each_number_of_a_table_is_the_measured_one(before, source, names):
    measured = {tuple(row[name] for name in names): row for row in first_table(behind(RESULTS, *source.split("|")))}
    quoted = first_table(behind(PAGE, before))
    assert len(quoted) >= 5
    for row in quoted:
        there = measured[tuple(row[name] for name in names)]
        assert row == {column: there[column] for column in row}


def test_the_number_of_the_text_is_the_measured_one():
    (said,) = re.findall(r"in a dense step than ours: (\d+\.\d+)", PAGE)
    (dense,) = (row for row in first_table(behind(RESULTS, "## Training\n", WIDE)) if row["setting"] == "untied, dense")
    assert dense["SAELens, bfloat16"] == said


def test_versions_are_those_that_were_run_and_are_pinned():
    pinned = dict(
        line.split("==") for line in (ROOT / "benchmarks/requirements.txt").read_text().splitlines() if "==" in line
    )
    for name, package in (
        ("SAELens", "sae-lens"),
        ("dictionary_learning", "dictionary-learning"),
        ("sparsify", "eai-sparsify"),
    ):
        assert f"{name} {pinned[package]}" in PAGE
    own = dict(line.split("==") for line in (ROOT / "requirements.txt").read_text().splitlines() if "==" in line)
    assert f"| transformer_lens | {own['transformer-lens']} | below 4 |" in PAGE
    assert int(pinned["transformer-lens"].split(".")[0]) < 4


def test_what_it_says_is_trained_here_is_there():
    for kind in ("tied", "untied", "topk", "batchtopk", "jumprelu", "gated", "matryoshka", "transcoder", "pca", "ica"):
        assert kind in methods.BY_KIND


def test_links_lead_to_files():
    for link in re.findall(r"\]\(([^)#]+)", PAGE):
        assert (ROOT / "docs" / link).exists(), link
