"""docs/tour.ipynb: what stands in it is what its cells say; it is small, and names nothing of the machine."""

import pytest

from sparse_coding import using
from tests import notebook

LARGEST = 300_000  # bytes
IMAGE = "image/png, text/plain"


def code_cells(page):
    return [cell for cell in page.cells if cell.cell_type == "code"]


@pytest.mark.gate
def test_each_cell_says_in_a_fresh_clone_what_stands_in_the_page(tmp_path):
    """From `dvc pull` on, without a network."""
    committed, executed = code_cells(notebook.read()), code_cells(notebook.execute(tmp_path))
    for old, new in zip(committed, executed, strict=True):
        kept, found = notebook.said(old), notebook.said(new)
        again = f"`python -m tests.notebook` writes it\n{new.source}\n{kept}\n{found}"
        assert [kind for kind, _ in kept] == [kind for kind, _ in found], again
        assert all(notebook.are_alike(a, b) for (_, a), (_, b) in zip(kept, found, strict=True)), again


def test_it_was_run_from_its_beginning_and_nothing_failed():
    cells = code_cells(notebook.read())
    assert [cell.execution_count for cell in cells] == [*range(1, len(cells) + 1)]
    kinds = [kind for cell in cells for kind, _ in notebook.said(cell)]
    assert set(kinds) == {"stdout", IMAGE}
    assert kinds.count(IMAGE) == sum("plt.show()" in cell.source for cell in cells) >= 4


def test_it_is_small_and_names_no_machine_and_no_time():
    text = notebook.PAGE.read_text(encoding="utf-8")
    assert len(text.encode()) < LARGEST
    shown = "".join(words for cell in code_cells(notebook.read()) for _, words in notebook.said(cell))
    for word in ("/home", "/tmp", "/root", "/Users", "site-packages", "it/s"):
        assert word not in shown
    assert "iopub" not in text  # times of execution, which nbclient would keep
    assert notebook.read().metadata == {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }


def test_it_shows_what_one_does_with_a_dictionary():
    source = "\n".join(cell.source for cell in code_cells(notebook.read()))
    for name in {*using.__all__, "load_dictionary", "convert"} - {"clamp"}:
        assert f"{name}(" in source, name


@pytest.mark.parametrize(
    ("one", "other", "alike"),
    [
        ("loss 3.53, feature 63", "loss 3.54, feature 63", True),
        ("loss 3.53, feature 63", "loss 3.55, feature 63", False),
        ("loss 3.53, feature 63", "loss 3.53, feature 64", False),
        ("loss 3.53", "loss 3.5", False),
        ("+0.08", "+0.09", True),
        ("1e-05 apart", "2e-05 apart", False),
        ("' index' 0.36", "' name' 0.36", False),
    ],
)
def test_numbers_may_differ_in_their_last_digit_and_words_may_not(one, other, alike):
    assert notebook.are_alike(one, other) == alike
