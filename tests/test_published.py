"""Dictionaries that were trained elsewhere, in the whole line: rows, figures, and one that does not fit."""

import re
import shutil

import pyarrow.parquet as pq
import pytest

from sparse_coding import load_dictionary
from sparse_coding.formats import converting
from tests.line.tiny_line import SITE, TINY, write_texts
from tests.tiny_model import make_tiny_model
from tests.workspace import make_workspace, snakemake, step, write_params

pytestmark = pytest.mark.gate

OWN = f"results/dictionaries/{SITE}/topk_r1_k8_s0.safetensors"
TABLES = [f"results/{stage}/{SITE}/table.parquet" for stage in ("evaluation", "autointerp")]


def params(**dictionaries: dict) -> dict:
    smaller = TINY | {
        "grid": TINY["grid"] | {"l1": [0.002], "k": [8]},
        "autointerp": TINY["autointerp"] | {"random_weights": None},
    }
    return smaller | {"published": {"dictionaries": dictionaries}}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Our own dictionary, as another library would have written it, beside itself; and one of other vectors."""
    folder = make_workspace(tmp_path_factory.mktemp("published") / "project", params())
    make_tiny_model(folder / "models" / "tiny", layers=2)
    write_texts(folder / "texts")
    done = snakemake(folder, OWN)
    assert done.returncode == 0, done.stdout
    converting.convert(folder / OWN, folder / "models" / "theirs", "saelens")
    _moved(folder / OWN, folder / "models" / "far")
    theirs = {"path": "models/theirs", "site": SITE}
    write_params(folder, params(theirs=theirs, far={"path": "models/far", "site": SITE}))
    done = snakemake(folder)
    assert done.returncode == 0, done.stdout
    return folder


def _moved(source, output):
    """Of vectors that are somewhere else."""
    from dataclasses import replace

    from sparse_coding.io import dictionaries

    own, made = dictionaries.load_with_settings(source)
    far = own.centre + 30 * own.centre.std()
    output.mkdir()
    dictionaries.save(output / "dictionary.safetensors", replace(own, centre=far), made | {"site": None})
    shutil.move(output / "dictionary.safetensors", output.with_suffix(".safetensors"))
    output.rmdir()
    converting.convert(output.with_suffix(".safetensors"), output, "saelens")


def rows(folder, table):
    found = pq.read_table(folder / table).to_pylist()
    return {name: [row for row in found if row["name"] == name] for name in {row["name"] for row in found}}


def test_it_is_a_row_like_that_of_the_dictionary_it_was(made):
    found = rows(made, TABLES[0])
    own, theirs = found["topk_r1_k8_s0"], found["theirs"]
    assert [row["variant"] for row in theirs] == ["plain", "gain_refit"] == [row["variant"] for row in own]
    for mine, other in zip(own, theirs, strict=True):
        assert (other["kind"], other["ratio"], other["k"], other["broken"]) == ("published:topk", 1.0, 8, None)
        for column in ("l0", "fvu", "ce", "loss_recovered", "fvu_low", "dead"):
            assert other[column] == pytest.approx(mine[column], rel=1e-4), column


def test_it_is_interpreted_as_the_dictionary_it_was(made):
    found = rows(made, TABLES[1])
    own, theirs = found["topk_r1_k8_s0"], found["theirs"]
    assert {row["kind"] for row in theirs} == {"published:topk"}
    same = ("feature", "status", "explanation", "condition")
    plain = [row for row in own if row["condition"] == "plain"]
    assert [[row[name] for name in same] for row in theirs] == [[row[name] for name in same] for row in plain]


def test_one_that_does_not_fit_its_site_is_named_everywhere(made):
    (plain, *_) = rows(made, TABLES[0])["far"]
    assert "of the variance apart in the mean" in plain["broken"]
    log = (made / f"results/logs/evaluation_{SITE}.log").read_text()
    assert "far (plain) does not fit this site" in log
    caption = (made / f"results/plots/{SITE}.txt").read_text()
    assert "Trained elsewhere and not of this site" in caption
    assert "far (topk)" in caption
    assert "theirs" not in caption.partition("not of this site")[2].partition(".")[0]


def test_it_is_found_by_its_row_and_by_its_path(made, monkeypatch, capsys):
    monkeypatch.chdir(made)
    chosen = load_dictionary(site=SITE, architecture="published:topk", l0=8)
    assert chosen.kind == "published:topk"
    path = f"results/published/{SITE}/theirs.safetensors"
    assert load_dictionary(path).name == "theirs"
    assert load_dictionary(path, variant="gain_refit").variant == "gain_refit"


def test_a_second_run_makes_nothing_and_other_bytes_of_it_make_it_again(made, tmp_path):
    assert "Nothing to be done" in snakemake(made, "-n").stdout
    other = tmp_path / "project"
    shutil.copytree(made, other, symlinks=True)
    (
        other / "models" / "theirs" / "certificate.json"
    ).unlink()  # read by nobody, and yet it lies there: known by content
    shutil.move(other / "models" / "theirs", other / "models" / "elsewhere")
    weights = other / "models" / "elsewhere" / "cfg.json"
    weights.write_text(weights.read_text() + "\n")
    write_params(
        other, params(theirs={"path": "models/elsewhere", "site": SITE}, far={"path": "models/far", "site": SITE})
    )
    said = snakemake(other, "-n").stdout
    assert f"published_{SITE}_theirs" in said
    assert f"published_{SITE}_far" not in said
    assert f"dictionaries_{SITE}" not in said.partition("Reasons")[0]


def test_the_forecast_knows_its_size(made):
    said = step("forecast", "--no-probe", cwd=made)
    assert said.returncode == 0, said.stderr
    assert "published" in said.stdout


def test_one_of_another_width_is_refused_with_both(made, tmp_path):
    from tests.stages.test_published import GOLDEN

    other = tmp_path / "project"
    shutil.copytree(made, other, symlinks=True)
    write_params(other, params(narrow={"path": str(GOLDEN / "saelens" / "topk"), "site": SITE}))
    done = snakemake(other, TABLES[0])
    assert done.returncode != 0
    log = (other / f"results/logs/evaluation_{SITE}.log").read_text()
    assert re.search(r"narrow\.safetensors: found atoms of 12 dimensions; wanted \d+, as in ", log), log[-1000:]
