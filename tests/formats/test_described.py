"""Formats that are read by description: files made from the formulas, by code that shares nothing with the readers."""

import json
import sys
import types

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from sparse_coding.cli import converting
from sparse_coding.errors import BadInput
from sparse_coding.formats import reading
from sparse_coding.formats.converting import convert

D, F = 6, 10
GENERATOR = np.random.default_rng(7)
X = GENERATOR.normal(size=(30, D)) * 2 + 0.3


def drawn(*shape):
    return torch.from_numpy(GENERATOR.normal(size=shape).astype(np.float32))


def computed(x, write, rows, bias, threshold=None, k=None, centre=None):
    """A row and a feature at a time: codes, and what they put together."""
    codes, out = np.zeros((len(x), len(rows))), np.zeros((len(x), len(write[0])))
    for r, vector in enumerate(x):
        seen = vector if centre is None else vector - centre
        for f in range(len(rows)):
            value = float(np.dot(seen, rows[f])) + float(bias[f])
            codes[r, f] = value if value > (0 if threshold is None else float(threshold[f])) and value > 0 else 0
        if k is not None:
            codes[r, np.argsort(-codes[r], kind="stable")[k:]] = 0
        out[r] = sum(code * write[f] for f, code in enumerate(codes[r]))
    return codes, out


def n(tensor):
    return tensor.double().numpy()


def check(path, codes, x_hat, x=X, **told):
    found = reading.read(path, **told)
    assert not found.about.proven
    own = torch.from_numpy(x)
    for dictionary, wanted in ((found.raw, codes), (found.raw.dictionary().to(torch.float64), None)):
        assert np.allclose(dictionary.reconstruct(own).numpy(), x_hat, rtol=1e-5, atol=1e-5)
        if wanted is not None:
            assert np.allclose(dictionary.encode(own).numpy(), wanted, rtol=1e-5, atol=1e-5)
    assert (codes > 0).any()
    assert (codes == 0).any()
    return found


def test_goodfire(tmp_path):
    encoder, decoder, be, bd = drawn(F, D), drawn(D, F), drawn(F), drawn(D)
    state = {"encoder_linear.weight": encoder, "encoder_linear.bias": be}
    torch.save(state | {"decoder_linear.weight": decoder, "decoder_linear.bias": bd}, tmp_path / "a.pth")
    codes, out = computed(X, n(decoder).T, n(encoder), n(be))
    check(tmp_path / "a.pth", codes, out + n(bd))


def test_openai_relu_and_no_layer_norm(tmp_path):
    encoder, decoder, pre, latent = drawn(F, D), drawn(D, F), drawn(D), drawn(F)
    state = {"encoder.weight": encoder, "decoder.weight": decoder, "pre_bias": pre, "latent_bias": latent}
    state |= {"stats_last_nonzero": torch.zeros(F), "activation": "ReLU", "activation_state_dict": {}}
    torch.save(state, tmp_path / "a.pt")
    codes, out = computed(X, n(decoder).T, n(encoder), n(latent), centre=n(pre))
    check(tmp_path / "a.pt", codes, out + n(pre))
    torch.save(state | {"activation": "TopK", "activation_state_dict": {"k": 3}}, tmp_path / "b.pt")
    with pytest.raises(BadInput, match="LayerNorm of each vector"):
        reading.read(tmp_path / "b.pt")


def test_qwen_scope_must_be_told_k(tmp_path):
    encoder, decoder, be, bd = drawn(F, D), drawn(D, F), drawn(F), drawn(D)
    file = tmp_path / "layer3.sae.pt"
    torch.save({"W_enc": encoder, "W_dec": decoder, "b_enc": be, "b_dec": bd}, file)
    codes, out = computed(X, n(decoder).T, n(encoder), n(be), k=3)
    check(file, codes, out + n(bd), k=3)
    with pytest.raises(BadInput, match="k=, as its repository's name tells"):
        reading.read(file)
    with pytest.raises(BadInput, match="k 11; wanted from 1 to 10"):
        reading.read(file, k=11)
    assert "k=, as its repository's name tells" in converting.about(file)


@pytest.mark.parametrize("one", [True, False])
@pytest.mark.parametrize("skip", [True, False])
def test_circuit_tracer(tmp_path, one, skip):
    encoder, decoder, be, bd, w_skip = drawn(F, D), drawn(F, 4), drawn(F), drawn(4), drawn(4, D)
    threshold = torch.tensor(0.8) if one else drawn(F).abs()
    tensors = {"W_enc": encoder, "W_dec": decoder, "b_enc": be, "b_dec": bd, "activation_function.threshold": threshold}
    save_file(tensors | ({"W_skip": w_skip} if skip else {}), tmp_path / "layer_2.safetensors")
    config = "model_kind: transcoder_set\nfeature_input_hook: mlp.hook_in\nfeature_output_hook: hook_mlp_out\n"
    (tmp_path / "config.yaml").write_text(config)
    codes, out = computed(X, n(decoder), n(encoder), n(be), threshold=np.broadcast_to(n(threshold), F))
    wanted = out + n(bd) + (X @ n(w_skip).T if skip else 0)
    found = check(tmp_path / "layer_2.safetensors", codes, wanted)
    assert (found.about.hook, found.about.more["layer"]) == ("mlp.hook_in", 2)
    (tmp_path / "config.yaml").write_text("model_kind: cross_layer_transcoder\n")
    with pytest.raises(BadInput, match="single layers"):
        reading.read(tmp_path / "layer_2.safetensors")


def hyperparams(folder, **changes):
    told = {"d_model": D, "d_sae": F, "act_fn": "jumprelu", "jump_relu_threshold": 0.6, "hook_point_in": "blocks.2.out"}
    told |= {"norm_activation": "dataset-wise", "dataset_average_activation_norm": {"in": 5.0, "out": 5.0}} | changes
    (folder / "hyperparams.json").write_text(json.dumps(told))


def test_llama_scope(tmp_path):
    encoder, decoder, be, bd = drawn(F, D), drawn(D, F), drawn(F), drawn(D)
    (tmp_path / "checkpoints").mkdir()
    layers = {"encoder.weight": encoder, "encoder.bias": be, "decoder.weight": decoder, "decoder.bias": bd}
    save_file(layers, tmp_path / "checkpoints" / "final.safetensors")
    hyperparams(tmp_path)
    scale = D**0.5 / 5
    codes, out = computed(X * scale, n(decoder).T, n(encoder), n(be), threshold=np.full(F, 0.6))
    check(tmp_path, codes, (out + n(bd)) / scale)
    for changes, said in (
        ({"dataset_average_activation_norm": {}}, "average_activation_norm"),
        ({"dataset_average_activation_norm": {"in": 5.0, "out": 3.0}}, "one place"),
        ({"jump_relu_threshold": None}, "jump_relu_threshold None"),
        ({"act_fn": "topk"}, "act_fn 'topk'"),
        ({"sparsity_include_decoder_norm": True}, "rows of unit norm"),
        ({"norm_activation": "token-wise"}, "norm_activation 'token-wise'"),
    ):
        hyperparams(tmp_path, **changes)
        with pytest.raises(BadInput, match=said):
            reading.read(tmp_path)


@pytest.fixture
def theirs(monkeypatch):
    """Classes with the names of the original, which run something when they are made."""
    module = types.ModuleType("autoencoders.learned_dict")

    def made(name):
        kind = type(name, (), {"__module__": module.__name__, "__init__": lambda self: 1 / 0})
        setattr(module, name, kind)
        return kind

    monkeypatch.setitem(sys.modules, "autoencoders", types.ModuleType("autoencoders"))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return {name: made(name) for name in ("TiedSAE", "UntiedSAE", "PCAEncoder")}


def held(kind, **values):
    one = kind.__new__(kind)
    one.__dict__.update(values)
    return one


def test_the_original(tmp_path, theirs):
    encoder, bias, decoder, trans, scale = drawn(F, D), drawn(F), drawn(F, D), drawn(D), drawn(D).abs() + 0.5
    turn = torch.linalg.qr(drawn(D, D)).Q.contiguous()
    n_feats = {"n_feats": F, "activation_size": D}
    centred = {"center_trans": trans, "center_rot": turn, "center_scale": scale, "norm_encoder": True}
    there = [
        (
            held(theirs["TiedSAE"], encoder=encoder, encoder_bias=bias, norm_encoder=False, **n_feats),
            {"l1_alpha": 1e-3},
        ),
        (held(theirs["TiedSAE"], encoder=encoder, encoder_bias=bias, **centred, **n_feats), {"l1_alpha": 1e-4}),
        (held(theirs["UntiedSAE"], encoder=encoder, decoder=decoder, encoder_bias=bias, **n_feats), {}),
    ]
    file = tmp_path / "learned_dicts.pt"
    torch.save(there, file)
    with pytest.raises(BadInput, match="which= from 0 to 2, of 3 dictionaries"):
        reading.read(file)
    unit = n(encoder) / np.linalg.norm(n(encoder), axis=1, keepdims=True)
    codes, out = computed(X, unit, n(encoder), n(bias))
    assert check(file, codes, out, which=0).about.more["l1_alpha"] == 1e-3
    z = ((X - n(trans)) @ n(turn).T) * n(scale)
    codes, out = computed(z, unit, unit, n(bias))
    check(file, codes, (out / n(scale)) @ n(turn) + n(trans), which=1)
    codes, out = computed(X, n(decoder) / np.linalg.norm(n(decoder), axis=1, keepdims=True), n(encoder), n(bias))
    check(file, codes, out, which=2)
    told = convert(file, tmp_path / "out", "saelens", which=1)
    assert told.holds
    read = json.loads((tmp_path / "out" / "certificate.json").read_text())["read"]
    assert read["layout"] == "by description, no real file seen"


def test_other_classes_of_the_original_are_refused(tmp_path, theirs):
    file = tmp_path / "learned_dicts.pt"
    torch.save([(held(theirs["PCAEncoder"], components=drawn(D, D)), {})], file)
    with pytest.raises(BadInput, match="cannot be read safely"):
        reading.read(file, which=0)
    torch.save({"a": 1}, file)
    with pytest.raises(BadInput, match="found something else"):
        reading.read(file, which=0)


def test_a_state_dict_of_nobody_is_refused(tmp_path):
    torch.save({"weight": drawn(3, 3)}, tmp_path / "a.pt")
    with pytest.raises(BadInput, match="tensors weight; wanted those of goodfire"):
        reading.read(tmp_path / "a.pt")
