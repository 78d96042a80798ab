"""Rules that files of the libraries do not show: by formulas of their own, which share nothing with the readers."""

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from sparse_coding.errors import BadInput
from sparse_coding.formats import reading
from tests.formats.test_golden import GOLDEN, near
from tests.formats.test_refused import copied, edited

X = 2 * torch.randn(40, 12, generator=torch.Generator().manual_seed(1), dtype=torch.float64) + 0.5


def saved(folder, tensors):
    save_file({name: each.contiguous() for name, each in tensors.items()}, folder / "sae_weights.safetensors")


def weights(folder):
    return {name: each.double() for name, each in load_file(folder / "sae_weights.safetensors").items()}


def test_before_6_topk_is_told_by_its_activation(tmp_path):
    folder = edited(copied(tmp_path, "saelens/standard_pre6"), activation_fn_str="topk", activation_fn_kwargs={"k": 3})
    found = reading.read(folder)
    assert (found.about.architecture, found.raw.k) == ("topk", 3)
    assert (found.raw.encode(X) > 0).sum(1).max() == 3


def test_before_6_a_scale_of_ones_is_dropped_and_any_other_refused(tmp_path):
    folder = copied(tmp_path, "saelens/standard_pre6")
    plain = reading.read(folder).raw.reconstruct(X)
    tensors = load_file(folder / "sae_weights.safetensors")
    saved(folder, tensors | {"scaling_factor": torch.ones(20)})
    assert torch.equal(reading.read(folder).raw.reconstruct(X), plain)
    saved(folder, tensors | {"scaling_factor": torch.full((20,), 1.5)})
    with pytest.raises(BadInput, match="a scaling_factor other than 1"):
        reading.read(folder)


@pytest.mark.parametrize("rescaled", [True, False])
@pytest.mark.parametrize("centred", [True, False])
def test_whitening_of_a_checkpoint_is_folded(tmp_path, rescaled, centred):
    """x is read as (x - mean) @ matrix, and put back by the inverse."""
    folder = edited(
        copied(tmp_path, "saelens/topk_rescaled"), rescale_acts_by_decoder_norm=rescaled, apply_b_dec_to_input=centred,
        normalize_activations="covariance_whitening",
    )  # fmt: skip
    generator = torch.Generator().manual_seed(2)
    matrix = torch.randn(12, 12, generator=generator, dtype=torch.float64) + 3 * torch.eye(12, dtype=torch.float64)
    mean = torch.randn(12, generator=generator, dtype=torch.float64)
    whitening = {"mean": mean, "matrix": matrix, "inverse_matrix": torch.linalg.inv(matrix).contiguous()}
    save_file(whitening, folder / "activation_whitening.safetensors")
    (folder / "activation_scaler.json").write_text(json.dumps({"scaling_factor": None, "has_whitening": True}))
    w = weights(folder)
    z = (X - mean) @ matrix
    pre = (z - w["b_dec"] if centred else z) @ w["W_enc"] + w["b_enc"]
    pre = pre * w["W_dec"].norm(dim=1) if rescaled else pre
    codes = torch.zeros_like(pre)
    for row, values in enumerate(pre):
        best = sorted(range(len(values)), key=lambda i: -float(values[i]))[:8]
        for i in best:
            codes[row, i] = max(float(values[i]), 0.0)
    own = codes / w["W_dec"].norm(dim=1) if rescaled else codes
    x_hat = (own @ w["W_dec"] + w["b_dec"]) @ torch.linalg.inv(matrix) + mean
    raw = reading.read(folder).raw
    assert near(raw.encode(X), codes)
    assert near(raw.reconstruct(X), x_hat)
    assert near(raw.dictionary().to(torch.float64).reconstruct(X), x_hat)


def test_the_last_checkpoint_is_folded_already(tmp_path):
    folder = copied(tmp_path, "saelens/checkpoint_batchtopk")
    before = reading.read(folder).raw.encode(X)
    (folder / "activation_scaler.json").write_text(json.dumps({"scaling_factor": None, "has_whitening": False}))
    assert not torch.equal(reading.read(folder).raw.encode(X), before)
    assert not any("folded" in rule for rule in reading.read(folder).about.rules)


def test_a_threshold_that_may_be_off_is_told(tmp_path):
    folder = copied(tmp_path, "saelens/batchtopk_saved")
    assert not reading.read(folder).about.traps
    told = json.loads((folder / "cfg.json").read_text())
    told["metadata"]["sae_lens_version"] = "6.54.8"
    (folder / "cfg.json").write_text(json.dumps(told))
    assert "before 6.54.9" in reading.read(folder).about.traps[0]


def test_a_threshold_that_was_never_set_leaves_all_positive_codes(tmp_path):
    folder = copied(tmp_path, "dictionary_learning/batchtopk") / "trainer_0"
    state = torch.load(folder / "ae.pt", weights_only=True)
    torch.save(state | {"threshold": torch.tensor(-1.0)}, folder / "ae.pt")
    found = reading.read(folder)
    pre = (X - state["b_dec"]) @ state["encoder.weight"].double().T + state["encoder.bias"]
    assert torch.allclose(found.raw.encode(X), pre.relu())
    assert any("no threshold was set" in rule for rule in found.about.rules)


def test_a_config_that_says_autoencoder_of_other_tensors(tmp_path):
    folder = copied(tmp_path, "dictionary_learning/autoencoder_new") / "trainer_0"
    wanted = reading.read(folder).raw.encode(X)
    edited(folder, "config.json", dict_class="AutoEncoder")
    found = reading.read(folder)
    assert found.about.architecture == "AutoEncoderNew"
    assert torch.equal(found.raw.encode(X), wanted)


def test_a_backup_of_later_versions_is_read_by_description(tmp_path):
    folder = copied(tmp_path, "dictionary_learning/topk") / "trainer_0"
    state = torch.load(folder / "ae.pt", weights_only=True)
    wanted = reading.read(folder).raw.encode(X)
    torch.save({"step": 5, "ae": state, "optimizer": {}, "config": {}, "norm_factor": None}, folder / "ae.pt")
    found = reading.read(folder)
    assert torch.equal(found.raw.encode(X), wanted)
    assert not found.about.proven
    torch.save({"step": 5, "ae": state, "norm_factor": 0.3}, folder / "ae.pt")
    with pytest.raises(BadInput, match=r"vectors divided by 0\.3"):
        reading.read(folder)


def test_a_checkpoint_has_the_config_above_it():
    folder = GOLDEN / "dictionary_learning/topk_trained_normalised/trainer_0"
    found = reading.read(folder / "checkpoints" / "ae_60.pt")
    assert found.about.files[1] == folder / "config.json"
    assert not torch.equal(found.raw.encoder, reading.read(folder).raw.encoder)


def test_many_topk_of_sparsify_encodes_k(tmp_path):
    folder = edited(copied(tmp_path, "sparsify/topk_default"), multi_topk=True)
    found = reading.read(folder)
    assert (found.raw.encode(X) > 0).sum(1).max() <= 4
    assert any("multi_topk" in rule for rule in found.about.rules)


def test_embeddings_of_gemma_scope_are_scaled(tmp_path):
    source = GOLDEN / "gemma_scope/residual/layer_3/width_16k/average_l0_10"
    shutil.copytree(source, tmp_path / "one")
    plain, scaled = (reading.read(tmp_path / "one", of=of).raw for of in ("residual", "embedding"))
    root = 12**0.5
    pre = X @ (plain.encoder / root).T + plain.bias
    codes = pre.relu() * (pre > plain.threshold)
    assert near(scaled.encode(X), codes)
    assert near(scaled.reconstruct(X), codes @ (plain.decoder * root) + plain.out_bias)


def test_rows_of_zeros_say_nothing(tmp_path):
    folder = copied(tmp_path, "saelens/topk_rescaled")
    w = load_file(folder / "sae_weights.safetensors")
    w["W_dec"][4] = 0
    saved(folder, w)
    raw = reading.read(folder).raw
    ours = raw.dictionary().to(torch.float64)
    assert near(ours.reconstruct(X), raw.reconstruct(X))
    assert not ours.encode(X)[:, 4].any()
