"""What finished work is kept is told once it passes a size."""

import os

from sparse_coding.workflow import parked


def test_a_line_above_the_threshold_that_names_the_command(tmp_path):
    store = tmp_path / ".work/store"
    (store / "a/results").mkdir(parents=True)
    (store / "a/results/x").write_bytes(bytes(3_000_000))
    assert parked.line(store, 2_999_999) == (
        ".work/store keeps 3 MB of finished work for later; `make clean` shows and deletes it."
    )
    assert parked.line(store, 3_000_000) == parked.line(store) == ""
    assert parked.line(tmp_path / "nothing", 0) == ""


def test_second_names_of_published_files_take_nothing(tmp_path):
    (tmp_path / "published").write_bytes(bytes(1000))
    (tmp_path / "store").mkdir()
    os.link(tmp_path / "published", tmp_path / "store/x")
    assert parked.freed(tmp_path / "store") == 0
    (tmp_path / "published").unlink()
    assert parked.freed(tmp_path / "store") == 1000
