"""What tests of evaluation measure: a site of a tiny model, and four dictionaries of it."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch.nn.functional import normalize
from transformers import AutoModelForCausalLM

from sparse_coding.core.baselines.signed import signed
from sparse_coding.core.dictionary import Dictionary
from sparse_coding.io import dictionaries as dictionary_files
from sparse_coding.io import tables
from sparse_coding.io import tokens as token_file
from sparse_coding.io.activations import ActivationsWriter, Header, open_activations
from sparse_coding.io.tables.evaluation import EVALUATION
from sparse_coding.lm.model import LanguageModel
from sparse_coding.settings.params import Evaluation, Model
from sparse_coding.settings.sites import parse
from sparse_coding.settings.slices import Described, EvaluationSlice, TablesSlice
from sparse_coding.stages import evaluation, evaluation_tables
from tests.tiny_model import make_tiny_model

SITE, D_ACT, CONTEXT, SPECIAL = "layer1_residual", 32, 24, (0,)
SETTINGS = Evaluation(splice_blocks=10, gain_refit_rows=600, batch_rows=128, batch_blocks=4, alive_share=0.01)


@dataclass(frozen=True)
class World:
    """A site of a tiny model, and dictionaries of it."""

    folder: Path
    model: Path
    activations: Path
    tokens: Path
    paths: dict[str, Path]  # by name, in order
    described: tuple[Described, ...]

    @cached_property
    def rows(self) -> list[dict]:
        """Of all dictionaries, with what is written beside them in `results`."""
        return self.run(self.folder / "results")

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
    """Of the site, as the workflow does it; the rows of the table."""
    rows = [output / "rows" / f"{name}.json" for name in names]
    frequencies = [output / "rows" / f"{name}.frequency.parquet" for name in names]
    evaluation_tables.run(TablesSlice(names=tuple(names)), rows=rows, frequencies=frequencies, output=output)
    return tables.read(output / "table.parquet", EVALUATION).to_pylist()


def make(folder: Path) -> World:
    """In `folder`."""
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


def find(rows: list[dict], name: str, variant: str = "plain") -> dict:
    """The row of a dictionary."""
    (row,) = [row for row in rows if (row["name"], row["variant"]) == (name, variant)]
    return row


def held_out(world: World) -> torch.Tensor:
    """All vectors that are held out."""
    with open_activations(world.activations) as file:
        split = file.split("held_out")
        return split.read(0, split.n_rows)
