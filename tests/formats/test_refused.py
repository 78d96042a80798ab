"""What could be read as something else, or could execute something, is refused with the file's name."""

import io
import json
import os
import pickle
import shutil
import struct
import zipfile

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from sparse_coding import load_dictionary
from sparse_coding.errors import BadInput
from sparse_coding.formats import reading
from tests.formats.test_golden import GOLDEN


def copied(tmp_path, name):
    shutil.copytree(GOLDEN / name, tmp_path / "one")
    return tmp_path / "one"


def edited(folder, file="cfg.json", **changes):
    """Keys of its settings changed; None: left out."""
    path = folder / file
    told = json.loads(path.read_text())
    part = told.get("trainer", told)
    part.update({name: value for name, value in changes.items() if value is not None})
    for name in [name for name, value in changes.items() if value is None]:
        part.pop(name, None)
    path.write_text(json.dumps(told))
    return folder


class Hostile:
    """Runs a command when it is unpickled."""

    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder / "executed"),)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_a_pickle_that_executes_is_not_executed(tmp_path):
    folder = copied(tmp_path, "dictionary_learning/topk") / "trainer_0"
    whole = torch.load(folder / "ae.pt", weights_only=True)
    torch.save(whole | {"more": Hostile(tmp_path)}, folder / "ae.pt")
    with pytest.raises(BadInput, match=r"ae\.pt: found a file that cannot be read safely"):
        reading.read(folder)
    (folder / "ae.pt").write_bytes(pickle.dumps(Hostile(tmp_path)))
    with pytest.raises(BadInput, match=r"ae\.pt: found a file that cannot be read safely"):
        reading.read(folder)
    assert not (tmp_path / "executed").exists()


def test_an_npz_with_objects_is_not_unpickled(tmp_path):
    arrays = dict(np.load(GOLDEN / "gemma_scope/residual/layer_3/width_16k/average_l0_10/params.npz"))
    np.savez(tmp_path / "params.npz", **arrays | {"b_enc": np.array([Hostile(tmp_path)], object)})
    with pytest.raises(BadInput, match=r"params\.npz: found a file that cannot be read safely"):
        reading.read(tmp_path, of="residual")
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("length", [2**62, 2**40, 7])
def test_a_header_bomb_is_refused_before_it_is_read(tmp_path, length):
    folder = copied(tmp_path, "saelens/standard")
    (folder / "sae_weights.safetensors").write_bytes(struct.pack("<Q", length) + b"{}")
    with pytest.raises(BadInput, match=r"sae_weights\.safetensors"):
        reading.read(folder)


def test_a_config_that_names_a_module_imports_nothing(tmp_path):
    folder = copied(tmp_path, "dictionary_learning/topk") / "trainer_0"
    edited(folder, "config.json", dict_class="antigravity.Open")
    with pytest.raises(BadInput, match=r"dict_class 'antigravity\.Open'; wanted one of AutoEncoder"):
        reading.read(folder)
    folder = edited(copied(tmp_path / "other", "saelens/standard"), architecture="os.system")
    with pytest.raises(BadInput, match=r"architecture 'os\.system'; wanted one of standard"):
        reading.read(folder)


@pytest.mark.parametrize(("name", "changes", "said"), [
    ("saelens/standard", {"architecture": None}, "architecture None"),
    ("saelens/standard", {"d_sae": None}, "d_sae None"),
    ("saelens/standard", {"d_sae": 21}, r"W_enc of shape \[12, 20\]"),
    ("saelens/standard", {"normalize_activations": "expected_average_only_in"}, r"no activation_scaler\.json"),
    ("saelens/standard", {"normalize_activations": "layer_norm"}, "which no weight can hold"),
    ("saelens/standard", {"normalize_activations": "mean"}, "normalize_activations 'mean'"),
    ("saelens/standard", {"apply_b_dec_to_input": "yes"}, "true or false"),
    ("saelens/topk", {"k": 0}, "k 0"),
    ("saelens/topk", {"k": None}, "k None"),
    ("saelens/topk", {"architecture": "jumprelu"}, "no tensor threshold"),
    ("saelens/jumprelu", {"architecture": "standard"}, "tensors that are not known: threshold"),
    ("saelens/transcoder", {"apply_b_dec_to_input": True}, "of another place"),
    ("saelens/transcoder", {"apply_b_dec_to_input": None}, "of another place"),
    ("saelens/transcoder", {"d_out": None}, "d_out|b_dec of shape"),
    ("saelens/standard_pre6", {"activation_fn_str": "tanh-relu"}, "SAELens takes others for relu"),
    ("saelens/standard_pre6", {"normalize_activations": True}, r"no activation_scaler\.json"),
    ("saelens/standard_pre6", {"activation_fn_str": "topk", "activation_fn_kwargs": {}}, "k None"),
    ("sparsify/topk_default", {"activation": "groupmax"}, "not read yet"),
    ("sparsify/topk_default", {"signed": True}, "signed true"),
    ("sparsify/topk_default", {"num_latents": 25}, r"encoder\.weight of shape"),
    ("sparsify/topk_default", {"skip_connection": True}, "no tensor W_skip"),
    ("sparsify/topk_default", {"d_in": None}, "d_in None"),
])  # fmt: skip
def test_settings_that_do_not_fit_are_refused(tmp_path, name, changes, said):
    with pytest.raises(BadInput, match=said):
        reading.read(edited(copied(tmp_path, name), **changes))


@pytest.mark.parametrize(("changes", "said"), [
    ({"dict_class": "AutoEncoder"}, "no tensor decoder.bias|tensors that are not known|no tensor bias"),
    ({"dict_class": "IdentityDict"}, "dict_class 'IdentityDict'"),
    ({"k": 5}, "found k 5; wanted 4, as ae.pt has it"),
    ({"dict_size": None}, "dict_size None"),
    ({"activation_dim": 13}, r"b_dec of shape \[12\]"),
])  # fmt: skip
def test_configs_of_dictionary_learning_that_do_not_fit_are_refused(tmp_path, changes, said):
    folder = copied(tmp_path, "dictionary_learning/topk") / "trainer_0"
    edited(folder, "config.json", **changes)
    with pytest.raises(BadInput, match=said):
        reading.read(folder)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_no_number_is_refused(tmp_path, value):
    folder = copied(tmp_path, "saelens/standard")
    tensors = load_file(folder / "sae_weights.safetensors")
    tensors["b_enc"][3] = value
    save_file(tensors, folder / "sae_weights.safetensors")
    with pytest.raises(BadInput, match="b_enc with what is no finite number"):
        reading.read(folder)


def test_files_that_are_cut_short_are_refused(tmp_path):
    for name, file in (("saelens/standard", "sae_weights.safetensors"), ("sparsify/topk_default", "sae.safetensors"),
                       ("dictionary_learning/topk/trainer_0", "ae.pt"), ("saelens/standard", "cfg.json")):  # fmt: skip
        folder = copied(tmp_path / name.replace("/", "_") / file, name)
        content = (folder / file).read_bytes()
        for length in (0, 9, len(content) // 2, len(content) - 1):
            (folder / file).write_bytes(content[:length])
            with pytest.raises(BadInput, match=file.replace(".", r"\.")):
                reading.read(folder)


def test_a_zip_that_is_no_npz_is_refused(tmp_path):
    with io.BytesIO() as buffer:
        with zipfile.ZipFile(buffer, "w") as file:
            file.writestr("W_enc.npy", b"no array")
        (tmp_path / "params.npz").write_bytes(buffer.getvalue())
    with pytest.raises(BadInput, match=r"params\.npz"):
        reading.read(tmp_path, of="residual")


def test_folders_of_nothing_that_is_known_say_what_they_hold(tmp_path):
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(BadInput, match=r"a folder of notes\.txt; wanted a dictionary of saelens"):
        reading.read(tmp_path)
    with pytest.raises(BadInput, match="no such file"):
        reading.read(tmp_path / "nothing")


def test_load_dictionary_reads_them_and_takes_no_variant_of_them(tmp_path, capsys):
    found = load_dictionary(GOLDEN / "saelens/jumprelu")
    assert (found.kind, found.site, found.name) == ("saelens jumprelu", "blocks.3.hook_resid_post", "jumprelu")
    with pytest.raises(BadInput, match="one that stage evaluation measured"):
        load_dictionary(GOLDEN / "saelens/jumprelu", gain_refit=True)
    assert load_dictionary(GOLDEN / "gemma_scope/residual/layer_3/width_16k/average_l0_10", of="residual").n_feat == 20


def test_what_is_told_of_no_file_of_another_library_is_refused(tmp_path):
    with pytest.raises(BadInput, match="k=8; wanted a path of a dictionary of another library"):
        load_dictionary(site="layer2_residual", architecture="topk", k=8)
    with pytest.raises(BadInput, match="found saelens, and told which"):
        load_dictionary(GOLDEN / "saelens/topk", which=1)


@pytest.mark.parametrize(("name", "changes", "said"), [
    ("saelens/topk", {"rescale_acts_by_decoder_norm": "false"}, "'false'; wanted true or false"),
    ("saelens/topk", {"k": 21}, "at most 20"),
    ("saelens/topk", {"metadata": []}, r"metadata \[\]"),
    ("saelens/transcoder", {"normalize_activations": "expected_average_only_in"}, "a transcoder with"),
    ("saelens/standard_pre6", {"metadata": "x"}, "metadata 'x'"),
    ("saelens/standard_pre6", {"activation_fn_str": "topk", "activation_fn_kwargs": [3]}, "kwargs"),
    ("sparsify/topk_default", {"transcode": "false"}, "true or false"),
    ("sparsify/topk_default", {"num_latents": "20"}, "num_latents '20'"),
    ("sparsify/topk_default", {"expansion_factor": [2]}, r"expansion_factor \[2\]"),
])  # fmt: skip
def test_settings_of_another_type_are_refused(tmp_path, name, changes, said):
    with pytest.raises(BadInput, match=said):
        reading.read(edited(copied(tmp_path, name), **changes))


def test_weights_that_are_no_numbers_once_folded_are_refused(tmp_path):
    folder = copied(tmp_path, "saelens/gated")
    tensors = load_file(folder / "sae_weights.safetensors")
    tensors["r_mag"][3] = 100.0
    save_file(tensors, folder / "sae_weights.safetensors")
    with pytest.raises(BadInput, match="gain that is no number in float32"):
        load_dictionary(folder)


def test_a_checkpoint_is_known_from_inside_its_folder(monkeypatch):
    monkeypatch.chdir(GOLDEN / "dictionary_learning/topk_trained_normalised/trainer_0/checkpoints")
    assert load_dictionary("ae_60.pt").name == "ae_60"
    monkeypatch.chdir(GOLDEN / "saelens/topk")
    assert load_dictionary(".").name == "topk"
