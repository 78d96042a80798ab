"""`artifacts:` of dvc.yaml: which dictionary of each site is recommended, and that a clone can be asked for it."""

import json
import re
from pathlib import Path

import pytest
import yaml
from dvc.repo import Repo

from sparse_coding import methods
from sparse_coding.cli.highlights import best
from sparse_coding.core.metrics import headline
from sparse_coding.io import tables
from sparse_coding.io.tables.evaluation import EVALUATION
from sparse_coding.load import load_dictionary
from sparse_coding.publishing.markdown import capitalised
from sparse_coding.settings import params_file, sites
from tests.pages import Clone
from tests.workspace import ROOT

ARTIFACTS = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["artifacts"]
BY_SITE = {Path(each["path"]).parent.name: each for each in ARTIFACTS.values()}


@pytest.fixture(scope="module")
def clone(tmp_path_factory) -> Clone:
    """Of this repository, with git's name for who tags; nothing is pulled."""
    made = Clone.make(tmp_path_factory.mktemp("artifacts") / "clone")
    made.does("git config user.name n && git config user.email n@n")
    return made


def rows(clone: Clone, site: str) -> list[dict]:
    path = f"results/evaluation/{site}/table.parquet"
    clone.does(f".venv/bin/dvc get . {path} -o {site}.parquet --force")
    found = tables.read_also_older(clone.folder / f"{site}.parquet", EVALUATION, "snakemake").to_pylist()
    return [row for row in found if row["variant"] == "plain" and row["tokens"] is None]


def test_dvc_reads_them_and_each_site_of_the_default_has_one():
    assert BY_SITE.keys() == set(params_file.load(ROOT / "params.yaml").grid.sites)
    assert {name.replace("-", "_") for name in ARTIFACTS} == BY_SITE.keys()
    (read,) = Repo(str(ROOT)).artifacts.read().values()
    assert {name: each.path for name, each in read.items()} == {
        name: each["path"] for name, each in ARTIFACTS.items()}  # fmt: skip
    assert {each.type for each in read.values()} == {"model"}


@pytest.mark.parametrize("site", BY_SITE)
def test_each_is_the_one_that_is_put_forward_and_what_is_said_of_it_is_true(clone, site):
    trained = [row for row in rows(clone, site) if methods.is_trained(row["kind"])]
    wanted = best(headline.whole(trained))
    said, about = BY_SITE[site], methods.of(wanted["kind"])
    assert said["path"] == wanted["path"]
    assert said["labels"] == ["sparse-autoencoder", wanted["kind"], "pydocs-6l"]
    told = f"{capitalised(about.label)} dictionary of pydocs-6l, "
    told += f"the residual stream after block {sites.parse(site).layer}: "
    told += f"{wanted['n_feat']} features of {wanted['d_act']} dimensions, L0 {wanted['l0']:.2f}, "
    told += f"FVU {wanted['fvu']:.3f}, loss recovered {wanted['loss_recovered']:.3f} on held-out text"
    assert said["desc"] == told


def test_a_clone_gives_them_by_path_and_after_a_tag_by_name(clone, tmp_path):
    name, about = next(iter(ARTIFACTS.items()))
    asked = f"{clone.folder}/.venv/bin/dvc artifacts get {clone.folder} {name} -o {tmp_path}/by_name.safetensors"
    before = clone.runs(asked)
    assert before.returncode != 0
    assert "Unable to find artifact" in before.stdout
    clone.does(f".venv/bin/gto register {name} --version v0.1.0")
    clone.does(asked)
    clone.does(f".venv/bin/dvc get {clone.folder} {about['path']} -o {tmp_path}/by_path.safetensors")
    one, other = (tmp_path / f"by_{how}.safetensors" for how in ("name", "path"))
    assert one.read_bytes() == other.read_bytes()
    dictionary = load_dictionary(one)
    kind = re.match(r"([a-z]+)_", Path(about["path"]).name)
    assert kind is not None
    assert (dictionary.kind, dictionary.site, dictionary.n_feat) == (kind[1], Path(about["path"]).parent.name, 512)


def test_they_make_nothing_stale(clone):
    """What DVC says is to be done is the same without them."""
    path = clone.folder / "dvc.yaml"
    text, said = path.read_text(encoding="utf-8"), []
    for part in (text, re.sub(r"(?ms)^artifacts:\n.*?(?=^metrics:)", "", text)):
        path.write_text(part, encoding="utf-8")
        said.append(json.loads(clone.does(".venv/bin/dvc status --json")))
    assert "artifacts:" not in path.read_text(encoding="utf-8")
    path.write_text(text, encoding="utf-8")
    assert said[0] == said[1]
