"""The stage on real files: a dictionary whose features follow tokens, and directions that mean nothing."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from sparse_coding.core.baselines.signed import signed
from sparse_coding.errors import BadInput
from sparse_coding.io import dictionaries as dictionary_files
from sparse_coding.io import tables
from sparse_coding.io import tokens as token_files
from sparse_coding.io.tables.autointerp import AUTOINTERP
from sparse_coding.settings.params import Sampling
from sparse_coding.settings.slices import AutointerpSlice, AutointerpTablesSlice, Scored
from sparse_coding.stages import autointerp, autointerp_tables
from tests.interp import planted, site
from tests.interp.site import D_ACT, DESCRIBED, SITE

SETTINGS = Sampling(features=12, seed=3)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory) -> Path:
    return site.write(tmp_path_factory.mktemp("inputs"))


def run(inputs: Path, output: Path, described=DESCRIBED, null=DESCRIBED[0].name, threads=1, **changes) -> list[dict]:
    """Score dictionaries and gather the scores, as the workflow does it."""
    paths, heard = [inputs / f"{row.name}.safetensors" for row in described], []
    files = {"activations": inputs / "site.h5", "tokens": inputs / "tokens.h5", "dictionaries": paths}
    autointerp.run(a_slice(described, null, **changes), **files, output=output, threads=threads, done=heard.append)
    assert heard == [row.name for row in described]
    plain = [output / f"{row.name}.parquet" for row in described]
    nulls = [output / f"{null}.shuffled_null.parquet"] if null else []
    names = tuple(row.name for row in described)
    autointerp_tables.run(AutointerpTablesSlice(names=names, bootstrap=100), scores=[*plain, *nulls], output=output)
    return tables.read(output / "table.parquet", AUTOINTERP).to_pylist()


def a_slice(described, null: str | None, **changes) -> AutointerpSlice:
    members = {row.name: Scored(**row.model_dump(), shuffled_null=row.name == null) for row in described}
    return AutointerpSlice(site=SITE, members=members, sampling=SETTINGS.model_copy(update=changes), rules=3)


@pytest.fixture(scope="module")
def outcome(inputs, tmp_path_factory) -> tuple[Path, list[dict]]:
    output = tmp_path_factory.mktemp("output")
    return output, run(inputs, output)


def rows_of(rows: list[dict], name: str, condition: str = "plain") -> list[dict]:
    return [row for row in rows if (row["name"], row["condition"]) == (name, condition)]


def test_each_sampled_feature_has_a_row_with_a_status(outcome):
    _, rows = outcome
    assert len(rows) == 4 * 12
    for described in DESCRIBED:
        found = rows_of(rows, described.name)
        assert len({row["feature"] for row in found}) == 12
        assert {(row["kind"], row["ratio"], row["l1"], row["k"]) for row in found} == {
            (described.kind, described.ratio, described.l1, described.k)
        }
    learned = rows_of(rows, DESCRIBED[0].name)
    assert {row["status"] for row in learned} == {"ok", "dead"}
    for row in learned:
        dead = row["feature"] % 3 == 2
        assert (row["status"] == "dead") == dead
        assert (row["top_and_random"] is None) == dead == (row["explanation"] is None)


def test_what_follows_tokens_scores_high_and_its_null_zero(outcome):
    _, rows = outcome
    scores = [row["top_and_random"] for row in rows_of(rows, DESCRIBED[0].name) if row["status"] == "ok"]
    assert min(scores) > 0.95
    null = rows_of(rows, DESCRIBED[0].name, "shuffled_null")
    assert len([row for row in null if row["status"] == "dead"]) == 12 - len(scores)
    assert abs(np.mean([row["top_and_random"] for row in null if row["status"] != "dead"])) < 0.05
    random = [row["top_and_random"] for row in rows_of(rows, "random")]
    assert np.mean(random) < 0.8


def test_rows_say_what_made_them(outcome):
    _, rows = outcome
    about = {(row["scorer"], row["judge"], row["simulator"], row["source"], row["mode"], row["site"]) for row in rows}
    assert about == {("token-rules", "token-rules", "rules", "rules", "nonzero", SITE)}
    assert all(row["explanation"].startswith("[token rules, no LLM]") for row in rows if row["explanation"])
    feature, text = next(
        (row["feature"], row["explanation"]) for row in rows_of(rows, DESCRIBED[0].name) if row["status"] == "ok"
    )
    assert f"'{planted.VOCABULARY[feature].strip()}'" in text


def test_a_file_for_each_dictionary_and_one_of_all(outcome):
    output, rows = outcome
    names = [f"{described.name}.parquet" for described in DESCRIBED]
    null = f"{DESCRIBED[0].name}.shuffled_null.parquet"
    assert {path.name for path in output.iterdir()} == {*names, null, "table.parquet", "means.csv"}
    parts = [row for name in (*names, null) for row in tables.read(output / name, AUTOINTERP).to_pylist()]
    assert parts == rows


def test_company_order_and_threads_change_no_byte(inputs, outcome, tmp_path):
    output, _ = outcome
    run(inputs, tmp_path / "reversed", described=DESCRIBED[::-1], threads=2)
    for path in output.iterdir():
        if path.name not in ("table.parquet", "means.csv"):  # these follow the order of the files
            assert path.read_bytes() == (tmp_path / "reversed" / path.name).read_bytes()
    run(inputs, tmp_path / "alone", described=DESCRIBED[1:2], null=None)
    name = f"{DESCRIBED[1].name}.parquet"
    assert (tmp_path / "alone" / name).read_bytes() == (output / name).read_bytes()


def test_more_features_leave_the_first_ones_as_they_are(inputs, outcome, tmp_path):
    _, rows = outcome
    more = run(inputs, tmp_path, features=20)
    for described in DESCRIBED:
        first = [row | {"wanted": 12} for row in rows_of(more, described.name)[:12]]
        assert first == rows_of(rows, described.name)
        assert len(rows_of(more, described.name)) == 20


def test_one_feature_is_scored_as_it_is_among_others(inputs, outcome, tmp_path):
    _, rows = outcome
    assert {described.kind for described in DESCRIBED} >= {"tied", "topk"}
    one = run(inputs, tmp_path, features=1)
    for described in DESCRIBED:
        for condition in ("plain", "shuffled_null"):
            found, first = (rows_of(each, described.name, condition)[:1] for each in (one, rows))
            assert [_about(row) for row in found] == [_about(row) | {"wanted": 1} for row in first]
            # A product with one row is summed in another order.
            assert [row["top"] or 0 for row in found] == pytest.approx([row["top"] or 0 for row in first], rel=1e-4)
            assert len(rows_of(one, described.name, condition)) == len(first)


def _about(row: dict) -> dict:
    """A row without its scores; the explanation has rounded ones."""
    return {name: value for name, value in row.items() if name not in ("top", "random", "top_and_random")}


def test_files_that_do_not_belong_together(inputs, tmp_path):
    with pytest.raises(BadInput, match=r"dictionaries: found .* wanted in this order"):
        _run_with(inputs, tmp_path, paths=["topk_r4_k8_s0", "tied_r4_l1-0.002_s0"])
    narrow = signed(torch.eye(4), torch.eye(4), torch.zeros(4))
    dictionary_files.save(tmp_path / "random.safetensors", narrow, {})
    with pytest.raises(BadInput, match=f"d_act 4; wanted {D_ACT}"):
        _run_with(inputs, tmp_path, paths=[tmp_path / "random"], described=DESCRIBED[2:])
    tokens = token_files.load(inputs / "tokens.h5")
    tokens.fragments[0, 5] += 1
    token_files.save(tmp_path / "tokens.h5", tokens)
    with pytest.raises(BadInput, match="fragments: found other tokens"):
        _run_with(inputs, tmp_path, paths=["random"], described=DESCRIBED[2:], tokens=tmp_path / "tokens.h5")
    assert not list(tmp_path.rglob("*.parquet"))


def _run_with(inputs: Path, output: Path, paths: list, described=DESCRIBED[:2], tokens: Path | None = None) -> None:
    autointerp.run(
        a_slice(described, null=None),
        activations=inputs / "site.h5",
        tokens=tokens or inputs / "tokens.h5",
        dictionaries=[inputs / f"{path}.safetensors" for path in paths],
        output=output,
        threads=1,
    )


def test_means_beside_the_table_and_a_warning_where_too_many_failed(tmp_path, capsys):
    paths = [
        _scored(tmp_path, "tied_r4_l1-0.002_s0", "tied", [0.8, 0.9, *["failed"] * 2]),
        _scored(tmp_path, "pca", "pca", [0.3] * 98 + ["failed"] * 2),
        _scored(tmp_path, "random", "random", [0.1, 0.3, "dead"]),
        _scored(tmp_path, "ica", "ica", ["failed"]),
    ]
    names = tuple(path.stem for path in paths)
    autointerp_tables.run(AutointerpTablesSlice(names=names, bootstrap=100), scores=paths, output=tmp_path)
    found = pd.read_csv(tmp_path / "means.csv").set_index("name")
    assert tuple(found.index) == names
    assert found["mean"].to_list() == pytest.approx([0.85, 0.3, 0.2, np.nan], nan_ok=True)
    assert found["difference"].to_list() == pytest.approx([0.65, 0.1, np.nan, np.nan], nan_ok=True)
    assert found["sampled"].to_list() == [4, 100, 3, 1]
    assert capsys.readouterr().err.splitlines() == [
        "warning: tied_r4_l1-0.002_s0 (plain, rules): 2 of 4 sampled features failed; its mean of 0.850 is 0.425 if "
        "all of them count as 0, 0.925 if as 1",
        "warning: ica (plain, rules): 1 of 1 sampled features failed, and none was scored",
    ]


def _scored(folder: Path, name: str, kind: str, scores: list) -> Path:
    """The file of a dictionary: a number is a score, a word the status of a feature without one."""
    about = {
        "site": SITE,
        "name": name,
        "kind": kind,
        "condition": "plain",
        **dict.fromkeys(("scorer", "explainer", "judge"), "token-rules"),
        "simulator": "rules",
        "source": "rules",
        "mode": "nonzero",
        "choice": "sample",
        "wanted": len(scores),
    }
    rows = [
        dict.fromkeys(AUTOINTERP.names)
        | about
        | {"feature": feature, "n_firing_fragments": 30}
        | ({"status": score} if isinstance(score, str) else {"status": "ok", "top_and_random": score})
        for feature, score in enumerate(scores)
    ]
    path = folder / f"{name}.parquet"
    tables.write(path, rows, AUTOINTERP)
    return path
