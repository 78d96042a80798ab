"""`sparse_coding features`: what it says of a dictionary, of one feature, of a text; and of what is not there."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sparse_coding.cli import commands
from sparse_coding.errors import BadInput
from sparse_coding.io import dictionaries
from sparse_coding.io.tables.autointerp import AUTOINTERP
from tests import step_inputs
from tests.tiny_model import make_tiny_model
from tests.using.test_edits import made

NAME = "tied_r2_l1-0.001_s0"


def row(feature, score, explanation):
    told = {name: "x" for name in AUTOINTERP.names if pa.types.is_string(AUTOINTERP.field(name).type)}
    told |= {"kind": "tied", "scorer": "token-rules", "status": "ok", "feature": feature, "explanation": explanation}
    told |= {
        "ratio": 2.0,
        "l1": 0.001,
        "wanted": 2,
        "n_firing_fragments": 3,
        "seed": 0,
        "top_and_random": score,
        "reason": None,
    }
    return {name: told.get(name) for name in AUTOINTERP.names}


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A dictionary that was interpreted, with tokens and activations; and a model."""
    monkeypatch.chdir(tmp_path)
    site, results = step_inputs.SITE, tmp_path / "results"
    step_inputs.write_activations(results / "activations" / f"{site}.h5")
    step_inputs.write_tokens(results / "dataset" / "tokens.h5")
    path = results / "dictionaries" / site / f"{NAME}.safetensors"
    dictionaries.save(path, made(d_in=step_inputs.D), {"site": site, "architecture": "tied"})
    rows = [row(3, 0.25, "weak"), row(9, 0.75, "strong")]
    (results / "autointerp" / site).mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(rows, AUTOINTERP), results / "autointerp" / site / f"{NAME}.parquet")
    make_tiny_model(tmp_path / "model", d_model=step_inputs.D)
    (tmp_path / "params.yaml").write_text("model:\n  name: model\n")
    return f"{site}/{NAME}"


def test_an_overview_has_the_highest_scores_first(project):
    lines = commands.features(project).splitlines()
    assert [line.split() for line in lines[2:4]] == [
        ["9", "token-rules", "0.75", "strong"],
        ["3", "token-rules", "0.25", "weak"],
    ]
    assert "strong" in commands.features(project, n=1)
    assert "weak" not in commands.features(project, n=1)


def test_a_feature_has_its_explanation_tokens_contexts_and_what_it_promotes(project):
    said = commands.features(project, feature=9, n=4)
    assert "token-rules 0.75  strong" in said
    assert said.count("\u00ab") == 4
    assert said.count("Promotes: ") == said.count("Suppresses: ") == 1
    assert "'t" in said.split("Tokens")[1].splitlines()[1]


def test_a_text_has_features_on_each_token(project):
    said = commands.features(project, text="return the lines", n=2)
    assert "' the'" in said
    assert "".join(line.split("'")[1] for line in said.splitlines() if line.startswith("  '")) == "return the lines"


def test_what_is_not_there_is_said(project, tmp_path):
    with pytest.raises(BadInput, match=f"as {step_inputs.SITE}/{NAME}"):
        commands.features("layer0_residual/other")
    with pytest.raises(BadInput, match="one from 0 to 49"):
        commands.features(project, feature=50)
    with pytest.raises(BadInput, match="one of them"):
        commands.features(project, feature=1, text="x")
    with pytest.raises(BadInput, match="at least 1"):
        commands.features(project, n=0)
    (tmp_path / "results" / "autointerp" / step_inputs.SITE / f"{NAME}.parquet").unlink()
    assert "It was not interpreted." in commands.features(project)
