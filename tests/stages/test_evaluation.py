"""Stage evaluation on a tiny real model, against plain transformers and direct sums."""

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy, kl_div, normalize
from transformers import AutoModelForCausalLM

from sparse_coding.core.baselines.signed import signed
from sparse_coding.core.dictionary import Dictionary
from sparse_coding.core.metrics.gain_refit import gain_refit
from sparse_coding.errors import BadInput
from sparse_coding.io import dictionaries as dictionary_files
from sparse_coding.io import gains, tables
from sparse_coding.io import tokens as token_file
from sparse_coding.io.activations import ActivationsWriter, Header, open_activations
from sparse_coding.io.tables.evaluation import EVALUATION
from sparse_coding.io.tables.frequency import FREQUENCY
from sparse_coding.lm.model import LanguageModel
from sparse_coding.settings.params import Evaluation, Model
from sparse_coding.settings.sites import parse
from sparse_coding.settings.slices import Described, EvaluationSlice, SummarySlice, TablesSlice
from sparse_coding.stages import evaluation, evaluation_tables, summary
from tests.tiny_model import make_tiny_model

SITE, D_ACT, CONTEXT, SPECIAL = "layer1_residual", 32, 24, (0,)
SETTINGS = Evaluation(splice_blocks=10, gain_refit_rows=600, batch_rows=128, batch_blocks=4, alive_share=0.01)


@dataclass(frozen=True)
class World:
    folder: Path
    model: Path
    activations: Path
    tokens: Path
    paths: dict[str, Path]  # by name, in order
    described: tuple[Described, ...]

    def settings(self, names: list[str] | None = None, **changes: object) -> EvaluationSlice:
        members = {row.name: row for row in self.described if names is None or row.name in names}
        settings = SETTINGS.model_copy(update=changes)
        return EvaluationSlice(site=SITE, model=Model(name=str(self.model)), members=members, evaluation=settings)

    def run(self, output: Path, names: list[str] | None = None, threads: int = 1, **changes: object) -> list[dict]:
        """Evaluate and gather, as the workflow does it; the rows of the table."""
        settings, heard = self.settings(names, **changes), []
        evaluation.run(
            settings,
            activations=self.activations,
            tokens=self.tokens,
            dictionaries=[self.paths[name] for name in settings.members],
            output=output,
            threads=threads,
            done=heard.append,
        )
        assert heard == list(settings.members)
        return gather(output, heard)


def gather(output: Path, names: list[str]) -> list[dict]:
    rows = [output / "rows" / f"{name}.json" for name in names]
    frequencies = [output / "rows" / f"{name}.frequency.parquet" for name in names]
    evaluation_tables.run(TablesSlice(names=tuple(names)), rows=rows, frequencies=frequencies, output=output)
    return tables.read(output / "table.parquet", EVALUATION).to_pylist()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = tmp_path_factory.mktemp("evaluation")
    model_folder = make_tiny_model(folder / "model", layers=3, d_model=D_ACT, vocabulary=300, context=CONTEXT)
    _enlarge(model_folder)
    model = LanguageModel.load(Model(name=str(model_folder)))
    train, held_out = _blocks(model, 60, seed=0), _blocks(model, 14, seed=1)
    tokens = token_file.Tokens(
        train=train,
        held_out=held_out,
        fragments=train.tokens[:2],
        fragments_document=np.zeros(2, np.int32),
        vocabulary=[str(index) for index in range(300)],
        model=str(model_folder),
        corpus="made up",
        bos=0,
        special=SPECIAL,
        seed=0,
        corpus_sha256="",
        leak=0.0,
        n_documents_train=1,
        n_documents_held_out=1,
        n_documents_fragments=1,
    )
    token_file.save(folder / "tokens.h5", tokens)
    _harvest(folder / "activations.h5", model, {"train": train, "held_out": held_out})
    with open_activations(folder / "activations.h5") as file:
        mean, train_vectors = file.mean, file.split("train").read(0, file.split("train").n_rows)
    made = _dictionaries(mean, train_vectors)
    paths = {name: folder / "dictionaries" / f"{name}.safetensors" for name in made}
    for name, (_, dictionary) in made.items():
        dictionary_files.save(paths[name], dictionary, {})
    described = tuple(described for described, _ in made.values())
    return World(folder, model_folder, folder / "activations.h5", folder / "tokens.h5", paths, described)


def _enlarge(folder: Path) -> None:
    """Make the untrained model's predictions depend on its activations enough to be measured."""
    model = AutoModelForCausalLM.from_pretrained(folder)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 2:
                parameter.mul_(8)
    model.save_pretrained(folder)


def _blocks(model: LanguageModel, n: int, seed: int) -> token_file.Blocks:
    """Text in the model's own words, so that it loses something when its activations are disturbed."""
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.zeros(n, 1, dtype=torch.int64)
    while tokens.shape[1] < CONTEXT:
        following = torch.multinomial(model.logits(tokens)[:, -1].softmax(-1), 1, generator=generator)
        following[torch.rand(n, 1, generator=generator) < 0.05] = 0  # the end of a document
        tokens = torch.cat([tokens, following], dim=1)
    document = (tokens == 0).reshape(-1).cumsum(0).reshape(tokens.shape)
    return token_file.Blocks(tokens.int().numpy(), document.int().numpy())


def _harvest(path: Path, model: LanguageModel, splits: dict[str, token_file.Blocks]) -> None:
    kept = {name: ~np.isin(blocks.tokens, SPECIAL) for name, blocks in splits.items()}
    header = Header(SITE, model.name, "made up", "float32", D_ACT, block_rows=100, n_layers=3)
    with ActivationsWriter(path, header, {name: int(mask.sum()) for name, mask in kept.items()}) as writer:  # type: ignore[misc]
        for name, blocks in splits.items():
            mask = kept[name]
            vectors = model.harvest(torch.from_numpy(blocks.tokens).long(), [parse(SITE)])[SITE]
            position = np.broadcast_to(np.arange(CONTEXT), mask.shape)
            writer.append(name, vectors[mask], blocks.tokens[mask], blocks.document[mask], position[mask])  # type: ignore[arg-type]


def _dictionaries(mean: torch.Tensor, vectors: torch.Tensor) -> dict[str, tuple[Described, Dictionary]]:
    generator = torch.Generator().manual_seed(0)
    atoms = normalize(torch.randn(64, D_ACT, generator=generator), dim=1)
    scale = float((vectors - mean).norm(dim=1).mean())
    bias = torch.full((64,), -0.2 * scale)
    bias[:3] = -1e6  # never fire
    ones, eye = torch.ones(64), torch.eye(D_ACT)
    tied = Dictionary(atoms, bias, atoms, mean, ones)
    return {
        "tied_r2_l1-0.002_s0": (Described(name="tied_r2_l1-0.002_s0", kind="tied", ratio=2, l1=2e-3, seed=0), tied),
        "topk_r2_k4_s0": (
            Described(name="topk_r2_k4_s0", kind="topk", ratio=2, k=4, seed=0),
            Dictionary(atoms, 0 * ones, atoms, mean, ones, activation="topk", k=4),
        ),
        "neuron_basis": (Described(name="neuron_basis", kind="neuron_basis", seed=0), signed(eye, eye, mean)),
        "random": (Described(name="random", kind="random"), Dictionary(atoms, -1e6 * ones, atoms, mean, ones)),
    }


@pytest.fixture(scope="module")
def rows(world: World) -> list[dict]:
    return world.run(world.folder / "results")


def find(rows: list[dict], name: str, variant: str = "plain") -> dict:
    (row,) = [row for row in rows if (row["name"], row["variant"]) == (name, variant)]
    return row


def held_out(world: World) -> torch.Tensor:
    with open_activations(world.activations) as file:
        split = file.split("held_out")
        return split.read(0, split.n_rows)


def plain_logits(
    world: World, tokens: torch.Tensor, replace: Callable[[torch.Tensor], torch.Tensor] = lambda x: x
) -> torch.Tensor:
    """Logits by transformers alone, with the output of the layer replaced in a forward hook."""
    model = AutoModelForCausalLM.from_pretrained(world.model, attn_implementation="eager").eval()

    def hook(module: object, inputs: object, output: Any) -> Any:
        hidden = output[0] if isinstance(output, tuple) else output
        new = torch.where((tokens == 0).unsqueeze(-1), hidden, replace(hidden))
        return (new, *output[1:]) if isinstance(output, tuple) else new

    model.gpt_neox.layers[1].register_forward_hook(hook)
    with torch.inference_mode():
        return model(tokens).logits


def test_every_dictionary_has_its_rows_in_order(world: World, rows: list[dict]) -> None:
    assert [(row["name"], row["variant"]) for row in rows] == [
        ("tied_r2_l1-0.002_s0", "plain"),
        ("tied_r2_l1-0.002_s0", "gain_refit"),
        ("topk_r2_k4_s0", "plain"),
        ("topk_r2_k4_s0", "gain_refit"),
        ("neuron_basis", "plain"),
        ("random", "plain"),
    ]
    row = find(rows, "tied_r2_l1-0.002_s0")
    wanted = {"site": SITE, "kind": "tied", "ratio": 2, "l1": 2e-3, "k": None, "seed": 0, "n_feat": 64, "d_act": 32}
    assert wanted.items() <= row.items()
    assert row["path"] == world.paths["tied_r2_l1-0.002_s0"].as_posix()


def test_reconstruction_columns_equal_direct_sums(world: World, rows: list[dict]) -> None:
    x = held_out(world)
    dictionary = dictionary_files.load(world.paths["tied_r2_l1-0.002_s0"])
    codes = dictionary.encode(x)
    error = (x - dictionary.decode(codes)).double().pow(2).sum()
    row = find(rows, "tied_r2_l1-0.002_s0")
    assert row["n_vectors"] == len(x)
    assert row["l0"] == pytest.approx(float((codes != 0).sum() / len(x)), abs=1e-4)
    assert row["fvu"] == pytest.approx(float(error / (x - x.mean(0)).double().pow(2).sum()), rel=1e-6)
    fired = (codes != 0).sum(0)
    assert row["dead"] == int((fired == 0).sum()) >= 3
    assert row["alive"] == int((fired > 0.01 * len(x)).sum())
    assert row["alive_share"] == 0.01
    frequency = tables.read(world.folder / "results" / "frequency.parquet", FREQUENCY).to_pylist()
    own = [entry["frequency"] for entry in frequency if entry["name"] == "tied_r2_l1-0.002_s0"]
    np.testing.assert_allclose(own, fired / len(x))


@pytest.mark.parametrize("name", ["tied_r2_l1-0.002_s0", "topk_r2_k4_s0", "random"])
def test_splice_columns_equal_plain_transformers(world: World, rows: list[dict], name: str) -> None:
    tokens = torch.from_numpy(token_file.load(world.tokens).held_out.tokens[:10]).long()
    dictionary = dictionary_files.load(world.paths[name])
    with open_activations(world.activations) as file:
        mean = file.mean
    clean = plain_logits(world, tokens)
    targets = torch.where(tokens[:, 1:] == 0, -100, tokens[:, 1:]).reshape(-1)

    def ce(logits: torch.Tensor) -> float:
        return float(cross_entropy(logits[:, :-1].reshape(-1, 300).double(), targets, ignore_index=-100))

    spliced = plain_logits(world, tokens, dictionary.reconstruct)
    log_p, log_q = (
        logits[:, :-1].reshape(-1, 300).double().log_softmax(-1)[targets >= 0] for logits in (clean, spliced)
    )
    row = find(rows, name)
    assert row["n_tokens"] == int((targets >= 0).sum())
    assert row["ce"] == pytest.approx(ce(spliced), rel=1e-5)
    assert row["ce_clean"] == pytest.approx(ce(clean), rel=1e-5)
    assert row["ce_mean_ablated"] == pytest.approx(ce(plain_logits(world, tokens, mean.expand_as)), rel=1e-5)
    assert row["ce_zero_ablated"] == pytest.approx(ce(plain_logits(world, tokens, torch.zeros_like)), rel=1e-5)
    assert row["perplexity"] == pytest.approx(math.exp(row["ce"]))
    assert row["kl"] == pytest.approx(float(kl_div(log_q, log_p, reduction="batchmean", log_target=True)), rel=1e-4)
    for ablated, column in (("ce_mean_ablated", "loss_recovered"), ("ce_zero_ablated", "loss_recovered_zero")):
        gap = row[ablated] - row["ce_clean"]
        assert gap > 0.5
        assert row[column] == pytest.approx((row[ablated] - row["ce"]) / gap, abs=1e-9)


def test_a_whole_basis_loses_nothing(rows: list[dict]) -> None:
    row = find(rows, "neuron_basis")
    assert row["fvu"] == pytest.approx(0, abs=1e-10)
    assert row["cosine"] == pytest.approx(1, abs=1e-6)
    assert row["kl"] == pytest.approx(0, abs=1e-6)
    assert row["loss_recovered"] == pytest.approx(1, abs=1e-5)
    assert row["l0"] == pytest.approx(D_ACT, abs=0.01)


def test_a_dictionary_that_never_fires_is_mean_ablation(rows: list[dict]) -> None:
    row = find(rows, "random")
    assert row["l0"] == 0
    assert row["dead"] == 64
    assert row["fvu"] >= 1
    assert row["ce"] == row["ce_mean_ablated"]
    assert row["loss_recovered"] == 0
    assert row["kl"] > 0.01


def test_a_broken_dictionary_is_named_in_the_table_and_in_the_log(
    world: World, rows: list[dict], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert find(rows, "random")["broken"].endswith("L0 0")
    assert {row["name"] for row in rows if row["broken"]} == {"random"}
    capsys.readouterr()
    world.run(tmp_path, ["random", "topk_r2_k4_s0"])
    warnings = [line for line in capsys.readouterr().err.splitlines() if line.startswith("warning")]
    assert warnings == [f"warning: {SITE}: random (plain) is broken: {find(rows, 'random')['broken']}"]


def test_a_misspelt_metric_is_refused_and_no_null(world: World) -> None:
    settings, path = world.settings(["random"]), world.paths["random"]
    with open_activations(world.activations) as file:
        held = evaluation.HeldOut.of(file.split("held_out"), 128)
        (subject,) = evaluation._variants(settings.evaluation, file, held, settings.members["random"], path)
    row = evaluation._row(settings, subject, {"kl": 0.5, "ce": float("inf")})
    assert list(row) == EVALUATION.names
    assert (row["kl"], row["ce"], row["perplexity"], row["l0_target"]) == (0.5, None, None, None)
    with pytest.raises(BadInput, match=rf"{SITE}: random \(plain\): found unknown columns \['kll'\]"):
        evaluation._row(settings, subject, {"kll": 0.5})


def test_intervals_enclose_their_metrics(rows: list[dict]) -> None:
    for metric in ("l0", "fvu", "ce", "kl", "loss_recovered"):
        for row in rows[:2]:
            assert row[f"{metric}_low"] < row[metric] < row[f"{metric}_high"], metric


def test_gains_are_fitted_on_training_vectors_and_kept(world: World, rows: list[dict]) -> None:
    name = "tied_r2_l1-0.002_s0"
    plain, refitted = find(rows, name), find(rows, name, "gain_refit")
    assert refitted["fvu"] < plain["fvu"]
    path = world.paths[name]
    gain = gains.load(world.folder / "results" / "gains" / f"{name}.safetensors", path)
    assert (gain[:3] == 1).all()  # features that never fire
    with open_activations(world.activations) as file:
        training = list(evaluation.spread(file.split("train"), SETTINGS.gain_refit_rows, 100))
    torch.testing.assert_close(gain, gain_refit(dictionary_files.load(path), training), rtol=1e-4, atol=1e-5)
    dictionary, x = dictionary_files.load(path).with_gain(gain), held_out(world)
    error = (x - dictionary.reconstruct(x)).double().pow(2).sum() / (x - x.mean(0)).double().pow(2).sum()
    assert refitted["fvu"] == pytest.approx(float(error), rel=1e-6)
    assert not (world.folder / "results" / "gains" / "neuron_basis.safetensors").exists()


def test_the_refit_reads_runs_from_all_over_the_training_split(world: World) -> None:
    with open_activations(world.activations) as file:
        split = file.split("train")
        few = torch.cat(list(evaluation.spread(split, 300, 50)))
        assert torch.equal(few, torch.cat(list(evaluation.spread(split, 300, 5000))))
        assert torch.equal(few[:256], split.read(0, 256))
        assert torch.equal(few[-10:], split.read(split.n_rows - 10, split.n_rows))
        assert torch.equal(torch.cat(list(evaluation.spread(split, 10**6, 512))), split.read(0, split.n_rows))


@pytest.mark.parametrize(
    "changes", [{"batch_rows": 1}, {"batch_rows": 7, "batch_blocks": 1}, {"batch_rows": 10**6, "batch_blocks": 7}]
)
def test_batches_do_not_matter(world: World, rows: list[dict], tmp_path: Path, changes: dict) -> None:
    names = ["tied_r2_l1-0.002_s0", "topk_r2_k4_s0", "random"]
    for row in world.run(tmp_path, names, **changes):
        same(row, find(rows, row["name"], row["variant"]), 1e-6)


def same(row: dict, other: dict, tolerance: float) -> None:
    for column, value in row.items():
        if isinstance(value, float):
            allowed = 1e-4 if column.startswith("l0") else tolerance
            assert value == pytest.approx(other[column], rel=tolerance, abs=allowed), column
        else:
            assert value == other[column], column


def test_company_does_not_matter(world: World, rows: list[dict], tmp_path: Path) -> None:
    name = "topk_r2_k4_s0"
    assert world.run(tmp_path, [name]) == [row for row in rows if row["name"] == name]
    written = json.loads((tmp_path / "rows" / f"{name}.json").read_text())
    assert written == [row for row in rows if row["name"] == name]


def test_threads_do_not_matter(world: World, rows: list[dict], tmp_path: Path) -> None:
    assert world.run(tmp_path, threads=3) == rows
    assert_same_files(tmp_path, world.folder / "results")


def test_how_many_are_measured_together_does_not_matter(
    world: World, rows: list[dict], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluation, "AT_A_TIME", 3)
    assert world.run(tmp_path) == rows
    assert_same_files(tmp_path, world.folder / "results")


def assert_same_files(one: Path, other: Path) -> None:
    files = sorted(path.relative_to(one) for path in one.rglob("*.*"))
    assert len(files) == 2 + 4 + 4 + 2  # gains, rows, frequencies, gathered tables
    for file in files:
        assert (one / file).read_bytes() == (other / file).read_bytes(), file


def test_metrics_points_and_summary_hold_all_sites(world: World, rows: list[dict], tmp_path: Path) -> None:
    other = tmp_path / "other.parquet"
    tables.write(other, [row | {"site": "layer0_residual"} for row in rows], EVALUATION)
    summary.run(SummarySlice(), tables=[world.folder / "results" / "table.parquet", other], output=tmp_path)
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    name = "tied_r2_l1-0.002_s0"
    row = find(rows, name, "gain_refit")
    assert list(metrics) == [SITE, "layer0_residual"]
    for site in metrics:
        assert metrics[site][name]["gain_refit"]["fvu"] == row["fvu"]
        assert metrics[site].keys() == {row["name"] for row in rows}
    points = (tmp_path / "points.csv").read_text().splitlines()
    assert points[0] == "site,name,kind,ratio,variant,l0,fvu,loss_recovered"
    assert len(points) == 1 + 2 * len(rows)
    columns = [line.split(",") for line in points[1:]]
    assert [line[0] for line in columns] == ["layer0_residual"] * len(rows) + [SITE] * len(rows)
    assert [line[2] for line in columns] == ["neuron_basis", "random", "tied", "tied", "topk", "topk"] * 2
    lines = (tmp_path / "summary.csv").read_text().splitlines()
    assert len(lines) == 1 + 2 * len(rows)
    assert lines[0].split(",") == [*EVALUATION.names, "headline"]
    # A row a site and kind: the plain variants, and no baseline.
    headlines = [line.split(",")[:4] for line in lines[1:] if line.endswith(",yes")]
    assert headlines == [
        [site, name, kind, "plain"]
        for site in (SITE, "layer0_residual")
        for name, kind in (("tied_r2_l1-0.002_s0", "tied"), ("topk_r2_k4_s0", "topk"))
    ]
    assert [line.split(",")[lines[0].split(",").index("site")] for line in lines[1:]] == [
        *[SITE] * len(rows),
        *["layer0_residual"] * len(rows),
    ]


def test_an_imported_site_has_no_splice_columns(world: World, tmp_path: Path) -> None:
    settings = world.settings(["tied_r2_l1-0.002_s0"]).model_copy(update={"model": None})
    path = world.paths["tied_r2_l1-0.002_s0"]
    evaluation.run(
        settings,
        activations=world.activations,
        dictionaries=[path],
        output=tmp_path,
        threads=1,
    )
    found = gather(tmp_path, list(settings.members))
    assert len(found) == 2
    for row in found:
        assert row["fvu"] is not None
        assert {row[column] for column in ("ce", "ce_clean", "kl", "kl_low", "loss_recovered", "n_tokens")} == {None}


def test_what_does_not_belong_together_is_refused(world: World, tmp_path: Path) -> None:
    def run(settings: EvaluationSlice, paths: list[Path]) -> None:
        evaluation.run(
            settings,
            activations=world.activations,
            tokens=world.tokens,
            dictionaries=paths,
            output=tmp_path / "out",
            threads=1,
        )

    settings, path = world.settings(["random"]), world.paths["random"]
    with pytest.raises(BadInput, match="--tokens: found none"):
        evaluation.run(settings, activations=world.activations, dictionaries=[path], output=tmp_path / "out", threads=1)
    with pytest.raises(BadInput, match="random_layer1_residual"):
        run(settings.model_copy(update={"site": "random_layer1_residual"}), [path])
    with pytest.raises(BadInput, match="activations of layer1_residual; wanted activations of layer0_residual"):
        run(settings.model_copy(update={"site": "layer0_residual"}), [path])
    with pytest.raises(BadInput, match="2 files; wanted 1"):
        run(settings, [path, path])
    wide = Dictionary(torch.eye(5), torch.zeros(5), torch.eye(5), torch.zeros(5), torch.ones(5))
    dictionary_files.save(tmp_path / "wide.safetensors", wide, {})
    with pytest.raises(BadInput, match=r"wide.safetensors: found atoms of 5 dimensions; wanted 32"):
        run(settings, [tmp_path / "wide.safetensors"])
    assert not (tmp_path / "out").exists()
