"""What is published is what params.yaml asks for: in a clone with the default's own results, pulled."""

import pytest

from sparse_coding.cli import commands
from sparse_coding.errors import BadInput
from tests.pages import Clone

NAME = "layer2_residual/topk_r4_k8_s0"


@pytest.fixture(scope="module")
def clone(tmp_path_factory) -> Clone:
    made = Clone.make(tmp_path_factory.mktemp("stale") / "clone")
    made.does(".venv/bin/dvc pull")
    return made


@pytest.mark.parametrize(("change", "words"), [
    (("steps: 1000", "steps: 1001"), r"k8_s0.safetensors: found a dictionary of other settings .*1000 -> 1001"),
    (("k: [4, 8, 16, 32]", "k: [4, 16, 32]"), "params.yaml does not ask for it"),
    (("splice_blocks: 48", "splice_blocks: 47"), r"evaluation/.*topk_r4_k8_s0.json: found a result that is stale"),
    (("rules: 3", "rules: 2"), r"results/autointerp/layer2_residual/table.parquet: found a result that is stale"),
])  # fmt: skip
def test_what_was_made_or_measured_otherwise_is_refused(clone, monkeypatch, change, words):
    """Before anything is made."""
    monkeypatch.chdir(clone.folder)
    path = clone.folder / "params.yaml"
    text = path.read_text(encoding="utf-8")
    assert change[0] in text
    path.write_text(text.replace(*change), encoding="utf-8")
    try:
        with pytest.raises(BadInput, match=words):
            commands.publish([NAME], clone.folder / "out")
    finally:
        path.write_text(text, encoding="utf-8")
    assert not (clone.folder / "out").exists()
    assert not (clone.folder / "results" / "dataset").exists()
