"""Every location of real checkpoints through the stages: text, vectors, what a dictionary keeps, interpretation."""

from pathlib import Path

import pytest
import torch
from torch.nn.functional import normalize

from sparse_coding.core.baselines.signed import signed
from sparse_coding.core.dictionary import Dictionary
from sparse_coding.io import dictionaries as dictionary_files
from sparse_coding.io import tables
from sparse_coding.io.activations import open_activations
from sparse_coding.io.tables.autointerp import AUTOINTERP
from sparse_coding.io.tables.evaluation import EVALUATION
from sparse_coding.settings.params import Activations, Dataset, Evaluation, Model, Sampling
from sparse_coding.settings.sites import LOCATIONS
from sparse_coding.settings.slices import (
    ActivationsSlice,
    AutointerpSlice,
    DatasetSlice,
    Described,
    EvaluationSlice,
    Scored,
    TablesSlice,
)
from sparse_coding.stages import activations, autointerp, dataset, evaluation, evaluation_tables
from tests.checkpoints import ENCODERS, make_checkpoint
from tests.step_inputs import write_texts
from tests.tiny_model import TEXT

SITES = tuple(f"layer1_{location}" for location in LOCATIONS)
DESCRIBED = (Described(name="neuron_basis", kind="neuron_basis"), Described(name="random", kind="random"))


@pytest.fixture(scope="module", params=["neox", "gpt2", "llama", "qwen2", *ENCODERS])
def world(request, tmp_path_factory) -> tuple[Path, Model]:
    """Tokens, and the activations of all sites, of one pass each: of the model and of random weights."""
    folder = tmp_path_factory.mktemp("world")
    model = Model(name=str(make_checkpoint(folder / "model", request.param)))
    words = [" ".join(TEXT.split()[start:] + TEXT.split()[:start]) for start in range(0, 18, 2)]
    corpus = write_texts(folder / "texts", [f"{text} {number}. " * 9 for number, text in enumerate(words * 5)])
    settings = Dataset(
        corpus=str(corpus), context=32, train_tokens=900, held_out_tokens=300, held_out_share=0.3, fragments=60,
        fragment_tokens=16,
    )  # fmt: skip
    dataset.run(DatasetSlice(model=model, dataset=settings), output=folder, threads=1)
    for sites, seed in ((SITES, None), ([f"random_{site}" for site in SITES], 0)):
        harvest = ActivationsSlice(
            model=model, members=dict.fromkeys(sites), activations=Activations(dtype="float32"), random_seed=seed
        )
        activations.run(harvest, tokens=folder / "tokens.h5", output=folder, threads=1)
    return folder, model


def write_dictionaries(folder: Path, site: str) -> list[Path]:
    """One that loses nothing, and one whose codes mean nothing and that puts out the mean."""
    with open_activations(folder / f"{site}.h5") as file:
        mean, d_act = file.mean, file.d_act
    atoms = normalize(torch.randn(2 * d_act, d_act, generator=torch.Generator().manual_seed(0)), dim=1)
    silent = Dictionary(atoms, torch.full((2 * d_act,), -1e9), atoms, mean, torch.ones(2 * d_act))
    paths = [folder / site / f"{described.name}.safetensors" for described in DESCRIBED]
    for path, dictionary in zip(paths, (signed(torch.eye(d_act), torch.eye(d_act), mean), silent), strict=True):
        dictionary_files.save(path, dictionary, {})
    return paths


@pytest.mark.parametrize("site", SITES)
def test_each_location_is_evaluated(world, site, tmp_path):
    folder, model = world
    settings = EvaluationSlice(
        site=site, model=model, members={row.name: row for row in DESCRIBED}, evaluation=Evaluation(splice_blocks=6)
    )
    paths = write_dictionaries(folder, site)
    evaluation.run(
        settings, activations=folder / f"{site}.h5", tokens=folder / "tokens.h5", dictionaries=paths, output=tmp_path,
        threads=1,
    )  # fmt: skip
    names = [row.name for row in DESCRIBED]
    parts = {"rows": "json", "frequencies": "frequency.parquet"}
    files = {part: [tmp_path / "rows" / f"{name}.{ending}" for name in names] for part, ending in parts.items()}
    evaluation_tables.run(TablesSlice(names=tuple(names)), **files, output=tmp_path)
    whole, silent = tables.read(tmp_path / "table.parquet", EVALUATION).to_pylist()
    assert whole["fvu"] == pytest.approx(0, abs=1e-9)
    if "bert" in (folder / "model" / "config.json").read_text():  # or RoBERTa
        assert whole["ce"] is whole["ce_clean"] is silent["loss_recovered"] is None
        return
    assert whole["ce"] == pytest.approx(whole["ce_clean"], rel=1e-5)
    assert whole["kl"] == pytest.approx(0, abs=1e-5)
    assert silent["ce"] == silent["ce_mean_ablated"] != silent["ce_clean"]
    assert silent["kl"] > 1e-4
    assert silent["ce_zero_ablated"] != silent["ce_clean"]


@pytest.mark.parametrize("kind", ["", "random_"])
@pytest.mark.parametrize("site", SITES)
def test_each_location_and_its_control_are_interpreted(world, site, kind, tmp_path):
    folder, _ = world
    site = kind + site
    settings = AutointerpSlice(
        site=site, members={"neuron_basis": Scored(**DESCRIBED[0].model_dump())}, sampling=Sampling(features=8), rules=3
    )
    paths = write_dictionaries(folder, site)[:1]
    autointerp.run(
        settings, activations=folder / f"{site}.h5", tokens=folder / "tokens.h5", dictionaries=paths, output=tmp_path,
        threads=1,
    )  # fmt: skip
    rows = tables.read(tmp_path / "neuron_basis.parquet", AUTOINTERP).to_pylist()
    assert len(rows) == 8
    assert {row["site"] for row in rows} == {site}
    assert "ok" in {row["status"] for row in rows}
