"""What is called broken: the three signs, each by itself, and nothing else."""

import pytest

from sparse_coding.core.metrics.soundness import broken

SOUND = {"kind": "tied", "l0": 1.0, "fvu": 1.0, "dead": 50, "n_feat": 100}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, []),
        ({"fvu": None}, []),
        ({"fvu": float("nan")}, []),
        ({"fvu": 2.1}, ["FVU 2.1"]),
        ({"l0": 0.03}, ["L0 0.03"]),
        ({"dead": 51}, ["51 of 100 features dead"]),
        ({"kind": "topk", "dead": 51.0, "n_feat": 100.0}, ["51 of 100 features dead"]),
        ({"kind": "pca", "dead": 51}, []),
        ({"kind": "nmf", "fvu": 1.5}, ["FVU 1.5"]),
        ({"l0": 0.0, "fvu": 1.001, "dead": 100}, ["FVU 1.001", "L0 0", "100 of 100 features dead"]),
    ],
)
def test_what_is_wrong_is_said(changes: dict, said: list[str]) -> None:
    assert broken(SOUND | changes) == said
